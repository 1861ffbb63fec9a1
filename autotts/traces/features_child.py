"""What runs in the jail for an agent's feature: its text, and gold-free states. Nothing here knows a gold answer."""

from __future__ import annotations

import ast
import json
import math
from array import array
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from autotts import toolkit
from autotts.errors import Crashed, PolicyViolation
from autotts.evaluation.wire import unpack_tables
from autotts.replay.source import branch_order
from autotts.sandbox import Channel, Importer, compile_program
from autotts.sandbox.parsing import in_words
from autotts.traces._view import State, states_of

__all__ = ["main"]

_IMPORTER = Importer({"autotts.toolkit": list(toolkit.__all__)})

_PRELUDE = f"""import itertools, math, statistics
from collections import Counter
from autotts.toolkit import {", ".join(toolkit.__all__)}
"""
"""What an expression may use without importing it."""

_PARAMETERS = {"state": "state", "branch": "branch, state"}


def main(channel: Channel) -> None:
    """Evaluate a feature: a job, tables and a sample come in, one frame of numbers goes out, NaN for None."""
    job = json.loads(channel.recv())
    tables = unpack_tables(channel.recv())
    kind: str = job["kind"]
    channel.context = "before the first state"
    feature = _feature(job["source"], kind)
    for table, signals in zip(tables, job["signals"], strict=False):
        table.signals = signals
    worlds = [(world["interval"], ceiling) for world in job["worlds"] for ceiling in world["ceilings"]]
    values = array("d")

    def states() -> Iterator[State]:
        for (t, seed), group in groupby(job["sample"], key=lambda row: (row[0], row[1])):
            order = branch_order(seed, len(tables[t].totals))
            moments = [(row[2], row[3], row[4]) for row in group]
            interval, ceiling = worlds[t]
            yield from states_of(tables[t], order, interval, ceiling, moments)

    for state in states():
        channel.context = f"a state with {state.n} finished of {len(state.branches)} opened branches"
        if kind == "state":
            values.append(_number(feature(state)))
        else:
            values.extend(_number(feature(branch, state)) for branch in state.branches)
    channel.send(values.tobytes())


def _feature(source: str, kind: str) -> Callable[..., Any]:
    """The function that a text defines, or that returns what an expression says."""
    parameters = _PARAMETERS[kind]
    if _is_expression(source):
        # On one line with its head, so that a line of the expression keeps its number.
        source = f"def feature({parameters}): return ({source}\n)"
    code = compile_program(source)
    namespace = _IMPORTER.fresh_globals()
    exec(compile_program(_PRELUDE), namespace)
    exec(code, namespace)
    found = namespace.get("feature")
    if not callable(found):
        raise PolicyViolation(
            f"a feature is an expression of {parameters}, or a text with `def feature({parameters}):` at top level; "
            "this is neither"
        )
    if kind == "branch" and getattr(getattr(found, "__code__", None), "co_argcount", 2) == 1:
        return lambda branch, _: found(branch)
    function: Callable[..., Any] = found
    return function


def _is_expression(source: str) -> bool:
    try:
        with in_words(source):
            ast.parse(f"({source}\n)", mode="eval")
    except PolicyViolation:
        return False  # whatever is wrong with it, compiling it says so
    return True


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if type(value) not in (int, float, bool):
        raise Crashed(f"the feature gave a {type(value).__name__[:40]}; it must give a finite number, or None")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Crashed(f"the feature gave {'nan' if number != number else 'an infinite number'}; give a finite, or None")
    return number
