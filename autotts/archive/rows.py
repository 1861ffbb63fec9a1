"""Records as rows and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any, overload

import sqlalchemy as sa

from autotts.archive.codec import pack, unpack
from autotts.archive.pareto import Point
from autotts.archive.records import (
    Call,
    EnvironmentRef,
    Evaluation,
    LedgerEntry,
    LedgerRow,
    Listed,
    Program,
    Proposal,
    Run,
    Verdict,
)
from autotts.archive.schema import ArchiveError

__all__ = ["as_stored", "dumps"]

PICO = 10**12

ARRAYS = ("right", "tokens", "sequential_tokens", "branches")

Row = sa.Row[Any]


def dumps(value: Any) -> str:
    """Compact JSON, the same for equal values. NaN and infinity are refused: other readers could not read them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


def clean(text: str) -> str:
    """Text that every database takes: what a model wrote may hold NUL or half a surrogate pair."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def finite(value: float | None) -> float | None:
    """The number, None where it is not finite (databases disagree on NaN)."""
    return float(value) if value is not None and math.isfinite(value) else None


def program_of(row: Row) -> Program:
    """A row of `program`."""
    return Program(row.hash, row.source, row.idea, row.class_name, row.name, row.fingerprint)


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """The columns of `proposal` that a verdict fills."""
    return {
        "outcome": verdict.outcome,
        "message": clean(verdict.message),
        "line": verdict.line,
        "place": clean(verdict.where),
        "program": verdict.program,
        "stage": verdict.stage,
        "gain": finite(verdict.gain),
        "gain_se": finite(verdict.gain_se),
        "isolation": verdict.isolation,
    }


_UNDECIDED: dict[str, Any] = {**verdict_row(Verdict("")), "outcome": None}


def proposal_row(proposal: Proposal) -> dict[str, Any]:
    """All columns of `proposal`."""
    return {
        "run": proposal.run,
        "round": proposal.round,
        "slot": proposal.slot,
        "agent": proposal.agent,
        "source": clean(proposal.source),
        "parents": dumps(proposal.parents),
        "prompt": clean(proposal.prompt),
        "answer": clean(proposal.answer),
        "usage": dumps(proposal.usage),
        "cost": proposal.cost,
        **(_UNDECIDED if proposal.verdict is None else verdict_row(proposal.verdict)),
    }


def proposal_of(row: Row | SimpleNamespace) -> Proposal:
    """A row of `proposal`."""
    verdict = None
    if row.outcome is not None:
        verdict = Verdict(
            row.outcome,
            row.message,
            row.line,
            row.place,
            row.program,
            row.stage,
            row.gain,
            row.gain_se,
            row.isolation,
        )
    parents = tuple(json.loads(row.parents))
    usage = json.loads(row.usage)
    return Proposal(
        row.run, row.round, row.slot, row.agent, row.source, parents, row.prompt, row.answer, usage, row.cost, verdict
    )


def call_row(call: Call) -> dict[str, Any]:
    """All columns of `call` but when it began."""
    values = asdict(call)
    values.update(prompt=clean(call.prompt), outcome=clean(call.outcome), reply=clean(call.reply))
    return {**values, "templates": dumps(call.templates), "usage": dumps(call.usage), "cost": finite(call.cost)}


def spent_by(tokens: int, cost: float | None) -> dict[str, int]:
    """What a call adds to the totals of its run.

    Whole picodollars, because a sum of them is the same in any order and comes out even when a part is taken back.
    """
    known = finite(cost)
    picodollars = 0 if known is None else round(known * PICO)
    return {"spent_tokens": tokens, "spent_picodollars": picodollars, "unpriced_calls": int(known is None)}


def call_of(row: Row) -> Call:
    """A row of `call`."""
    place = row.run, row.round, row.slot, row.number
    told = row.agent, row.prompt, json.loads(row.templates), row.outcome, row.reply, json.loads(row.usage)
    return Call(*place, *told, row.tokens, row.cost, row.seconds)


def listed_by_hand(row: Row) -> Listed:
    """A row of `program` that was added outside a run."""
    return Listed(row.hash, row.idea, row.agent, (), "", None, None, "ok")


def listed_of(row: Row) -> Listed:
    """A row of `proposal` joined with `program`'s idea."""
    return Listed(
        row.program,
        row.idea or "",
        row.agent,
        tuple(json.loads(row.parents)),
        row.run,
        row.round,
        row.slot,
        row.outcome,
        row.message,
        row.line,
        row.stage,
        row.gain,
        row.gain_se,
    )


def evaluation_row(evaluation: Evaluation) -> dict[str, Any]:
    """All columns of `evaluation`."""
    row: dict[str, Any] = {
        name: getattr(evaluation, name)
        for name in ("program", "environment", "protocol", "source", "digests", "isolation")
    }
    row.update({name: pack(getattr(evaluation, name)) for name in ARRAYS})
    row.update({name: dumps(getattr(evaluation, name)) for name in ("betas", "seeds", "knobs")})
    return row


def evaluation_of(row: Row) -> Evaluation:
    """A row of `evaluation`.

    Raises:
        ArchiveError: the row is damaged.
    """
    try:
        arrays = {name: unpack(getattr(row, name)) for name in ARRAYS}
    except ValueError as error:
        raise ArchiveError(f"The evaluation of {row.program[:10]} on {row.environment[:10]}: {error}") from error
    return Evaluation(
        program=row.program,
        environment=row.environment,
        protocol=row.protocol,
        source=row.source,
        betas=tuple(json.loads(row.betas)),
        seeds=tuple(json.loads(row.seeds)),
        digests=bytes(row.digests),
        knobs=tuple(json.loads(row.knobs)),
        isolation=row.isolation,
        **arrays,
    )


@overload
def as_stored(record: Proposal) -> Proposal: ...
@overload
def as_stored(record: Program) -> Program: ...
def as_stored(record: Proposal | Program) -> Proposal | Program:
    """A record as a database gives it back: what none of them takes is replaced."""
    if isinstance(record, Program):
        return replace(record, idea=clean(record.idea))
    return proposal_of(SimpleNamespace(**proposal_row(record)))


def misshapen(evaluation: Evaluation) -> str:
    """What is wrong with the shapes of an evaluation, "" where they fit."""
    shape = (len(evaluation.betas), *evaluation.right.shape[1:])
    if len(shape) != 2 or any(getattr(evaluation, name).shape != shape for name in ARRAYS):
        return f"its arrays are not all of one shape, {len(evaluation.betas)} β by questions"
    if len(evaluation.digests) not in (0, 8 * len(evaluation.betas) * len(evaluation.seeds)):
        return f"{len(evaluation.digests)} bytes of digests are not 8 for each β and seed"
    return ""


def run_row(run: Run) -> dict[str, Any]:
    """All columns of `run` but the counted number and the clock."""
    return {
        "name": run.name,
        "seed": str(run.seed),
        "config": dumps(run.config),
        "environments": dumps([asdict(e) for e in run.environments]),
        "state": run.state,
        "versions": dumps(run.versions),
    }


def _environment_of(fields: dict[str, Any]) -> EnvironmentRef:
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return EnvironmentRef(**values)


def run_of(row: Row) -> Run:
    """A row of `run`."""
    environments = tuple(map(_environment_of, json.loads(row.environments)))
    config, versions = json.loads(row.config), json.loads(row.versions)
    return Run(row.name, int(row.seed), config, environments, row.state, versions)


def point_of(row: Row) -> Point:
    """A row of `point`."""
    return Point(row.program, row.beta, row.tokens, row.accuracy, row.sequential_tokens)


def ledger_row(entry: LedgerEntry) -> dict[str, Any]:
    """All columns of `ledger` but the clock."""
    rows = dumps([asdict(row) for row in entry.rows])
    return {**asdict(entry), "environment_name": clean(entry.environment_name), "rows": rows}


def ledger_of(row: Row) -> LedgerEntry:
    """A row of `ledger`."""
    rows = tuple(LedgerRow(**fields) for fields in json.loads(row.rows))
    return LedgerEntry(row.program, row.environment, row.environment_name, rows, row.run, row.number)
