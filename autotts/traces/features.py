"""Features of states and of branches: those that are shipped, and expressions that an agent writes, run in the jail."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autotts.errors import CpuLimit, Crashed, InputError, OutputLimit, WallTimeout
from autotts.evaluation.wire import pack_tables
from autotts.replay.source import branch_order
from autotts.sandbox import Limits, Sandbox
from autotts.sandbox.text import printable
from autotts.toolkit import entropy
from autotts.traces._pool import Pool
from autotts.traces._view import Branch, State, states_of

__all__ = [
    "BRANCH_FEATURES",
    "ENTRY",
    "FEATURE_HELP",
    "STATE_FEATURES",
    "Moments",
    "branch_values",
    "state_values",
    "words_of",
]

ENTRY = "autotts.traces.features_child:main"
"""What a sandbox runs to evaluate an expression; a sandbox that preloads its module starts it in milliseconds."""

LIMITS = Limits(cpu_seconds=3.0, wall_seconds=20.0)

Floats = NDArray[np.float64]
Number = float | None


def words_of(source: str) -> str:
    """An expression as one short line."""
    return printable(" ".join(source.split()))[:100]


def _mean(values: Sequence[float]) -> Number:
    return sum(values) / len(values) if values else None


def _lengths(state: State) -> list[int]:
    return [branch.tokens for branch in state.finished]


def _of_leader(state: State) -> list[Branch]:
    return [branch for branch in state.finished if branch.final == state.leader]


def _leader_length(state: State) -> Number:
    """The leader's branches against the others, log of the ratio of mean tokens."""
    others = [branch.tokens for branch in state.finished if branch.final != state.leader]
    mine = [branch.tokens for branch in _of_leader(state)]
    return math.log(sum(mine) / len(mine) * len(others) / sum(others)) if mine and sum(mine) and sum(others) else None


def _latest_share(state: State) -> Number:
    """Of running branches, how many show the leader now."""
    return _mean([float(branch.answer == state.leader) for branch in state.running])


def _running_agreement(state: State) -> Number:
    """The greatest share of running branches that show the same answer now."""
    shown = [branch.answer for branch in state.running]
    return max(map(shown.count, shown)) / len(shown) if shown else None


STATE_FEATURES: dict[str, tuple[str, Callable[[State], Number]]] = {
    "leader share": ("share of votes for the leader", lambda s: s.n1 / s.n if s.n else None),
    "lead": ("votes by which the leader leads", lambda s: s.lead),
    "lead of left": ("the lead over the branches that can still finish", lambda s: s.lead / s.left if s.left else None),
    "entropy": ("entropy of the votes, nats", lambda s: entropy(s.votes.values()) if s.n else None),
    "distinct": ("number of distinct answers", lambda s: len(s.votes)),
    "singletons": ("share of votes for answers that one branch has", lambda s: _singletons(s)),
    "unparsed": (
        "share of finished branches without a parsed answer",
        lambda s: _mean([float(b.final == "ERR") for b in s.finished]),
    ),
    "mean length": ("mean tokens of finished branches", lambda s: _mean(_lengths(s))),
    "min length": ("tokens of the shortest finished branch", lambda s: min(_lengths(s), default=None)),
    "max length": ("tokens of the longest finished branch", lambda s: max(_lengths(s), default=None)),
    "leader length": ("log of mean tokens, the leader's branches over the others", _leader_length),
    "leader settled": (
        "mean share of their length at which the leader's branches settled",
        lambda s: _mean([b.settled / b.depth for b in _of_leader(s)]),
    ),
    "leader steady": (
        "share of the leader's branches' intervals that show the leader",
        lambda s: _mean([b.answers.count(b.answer) / b.depth for b in _of_leader(s)]),
    ),
    "changes": ("mean changes of answer in finished branches", lambda s: _mean([float(b.changes) for b in s.finished])),
    "running for leader": ("share of running branches that show the leader now", _latest_share),
    "running agreement": ("greatest share of running branches that show one answer now", _running_agreement),
}
"""Name → (what it is, function); None where a state has no such figure. The last two need running branches."""


def _singletons(state: State) -> Number:
    return list(state.votes.values()).count(1) / state.n if state.n else None


def _votes_of(branch: Branch, state: State) -> Number:
    return (state.votes.get(branch.final or "", 1) - 1) / (state.n - 1) if state.n > 1 else None


BRANCH_FEATURES: dict[str, tuple[str, Callable[[Branch, State], Number]]] = {
    "tokens": ("length in tokens", lambda b, s: b.tokens),
    "intervals": ("length in intervals", lambda b, s: b.depth),
    "changes": ("changes of answer", lambda b, s: b.changes),
    "distinct": ("distinct answers shown", lambda b, s: len(set(b.answers) - {"ERR"})),
    "first": ("interval in which the final answer first appeared", lambda b, s: b.first),
    "first share": ("the same as a share of its length", lambda b, s: b.first / b.depth),
    "settled": ("interval from which the final answer stood", lambda b, s: b.settled),
    "settled share": ("the same as a share of its length", lambda b, s: b.settled / b.depth),
    "stood": ("intervals for which the final answer stood", lambda b, s: b.depth - b.settled + 1),
    "agree": ("share of intervals that show the final answer", lambda b, s: b.answers.count(b.answer) / b.depth),
    "unparsed": ("share of intervals without a parsed answer", lambda b, s: b.unparsed),
    "votes": ("share of the question's other branches that end alike", _votes_of),
}
"""Name → (what it is, function of a finished branch and of the state in which all of its question's have finished)."""


FEATURE_HELP = """A feature is an expression of `state` (of `branch` and `state` for branches), or a text with
`def feature(state):` (`def feature(branch, state):`). It gives a finite number, or None where there is no figure.
state: branches, finished, running (tuples of branches, in the order of opening); n (finished branches), votes (label to
  votes, most first), leader, n1, n2 (votes of leader and runner-up), lead (n1 - n2), left (branches that can still
  finish), ceiling, interval, tokens (spent so far)
branch: answers (the label after each interval, carried forward over unparsed ones), raw (as revealed), answer (the
  latest), final (its vote, None while it runs), depth (intervals), finished, tokens, first and settled (the interval in
  which the latest answer appeared, and from which on it stood), changes, unparsed (share), signals (name to values)
Labels are opaque, numbered by order of first reveal; UNPARSED marks no parsable answer. At hand without an import:
math, statistics, itertools, Counter, and all of autotts.toolkit.
"""
"""What an agent has to know to write a feature."""

Moments = NDArray[np.int64]
"""Which states of an environment: rows of (question, seed, finished, running, advanced), by question and seed."""


def state_values(pools: Sequence[Pool], sample: Sequence[Moments], feature: str, sandbox: Sandbox | None) -> Floats:
    """A feature of every state, in order, NaN where a state has no such figure.

    Args:
        pools: the environments.
        sample: the states of each.
        feature: a name of `STATE_FEATURES`, an expression of `state`, or a text with `def feature(state)`.
        sandbox: where an expression runs.

    Raises:
        InputError: an expression without a sandbox.
        ProgramError: how the expression ended.
    """
    if feature in STATE_FEATURES:
        of = STATE_FEATURES[feature][1]
        return _floats([of(s) for pool, moments in zip(pools, sample, strict=True) for s in _states(pool, moments)])
    count = sum(len(moments) for moments in sample)
    return _jailed(pools, sample, feature, "state", count, sandbox)


def branch_values(
    pools: Sequence[Pool], features: Sequence[str], sandbox: Sandbox | None
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Features of every recorded branch, each beside all of its question's.

    Args:
        pools: the environments.
        features: names of `BRANCH_FEATURES`, or expressions of `branch` and `state`.
        sandbox: where expressions run.

    Returns:
        Feature → values, by environment, question and recorded place; and the same for signals, which are given when
        shipped features are asked for: "NAME at the end", "NAME on average".
    """
    found: dict[str, list[Number]] = {feature: [] for feature in features if feature in BRANCH_FEATURES}
    sample = [_whole(pool) for pool in pools]
    signals: dict[str, list[Number]] = {}
    if found:
        names = sorted({name for pool in pools for name in pool.prepared.signal_names})
        signals = {f"{name} {when}": [] for name in names for when in ("at the end", "on average")}
        for pool, moments in zip(pools, sample, strict=True):
            for state in _states(pool, moments):
                for feature, values in found.items():
                    of = BRANCH_FEATURES[feature][1]
                    values += [of(branch, state) for branch in state.branches]
                for name in names:
                    for branch in state.branches:
                        told = [v for v in branch.signals.get(name, ()) if v is not None]
                        signals[f"{name} at the end"].append(told[-1] if told else None)
                        signals[f"{name} on average"].append(_mean(told))
    recorded = _recorded_places(pools)
    out = {feature: _floats(values)[recorded] for feature, values in found.items()}
    for feature in features:
        if feature not in out:
            out[feature] = _jailed(pools, sample, feature, "branch", len(recorded), sandbox)[recorded]
    return out, {name: _floats(values)[recorded] for name, values in signals.items()}


def _whole(pool: Pool) -> Moments:
    """Of each question the state in which all recorded branches have finished."""
    return np.array([(q, 0, n, 0, 0) for q, n in enumerate(pool.counts.tolist())], dtype=np.int64)


def _recorded_places(pools: Sequence[Pool]) -> NDArray[np.int64]:
    """Where the values of each recorded branch are among those in the order of seed 0."""
    places, start = [], 0
    for pool in pools:
        for count in pool.counts.tolist():
            places.append(start + np.argsort(branch_order(0, count)))
            start += count
    return np.concatenate(places)


def _floats(values: Sequence[Number]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _states(pool: Pool, moments: Moments) -> list[State]:
    """The states themselves."""
    rows: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for q, seed, *moment in moments.tolist():
        rows.setdefault((q, seed), []).append((moment[0], moment[1], moment[2]))
    environment = pool.environment
    out: list[State] = []
    for (q, seed), wanted in rows.items():
        table = pool.prepared.tables[q]
        order = branch_order(seed, len(table.totals))
        out += states_of(table, order, environment.interval, int(pool.limits[q]), wanted)
    return out


# ---- the jail --------------------------------------------------------------------------------------------------


def _jailed(
    pools: Sequence[Pool],
    sample: Sequence[Moments],
    source: str,
    kind: Literal["state", "branch"],
    count: int,
    sandbox: Sandbox | None,
) -> Floats:
    if not source.strip():
        raise InputError("the feature is empty; give a name, an expression, or a text with `def feature`")
    if sandbox is None:
        names = ", ".join(STATE_FEATURES if kind == "state" else BRANCH_FEATURES)
        raise InputError(f"{source[:60]!r} is no shipped feature, and expressions need a sandbox; shipped are: {names}")
    tables = [table for pool in pools for table in pool.prepared.tables]
    worlds = [{"interval": p.environment.interval, "ceilings": p.limits.tolist()} for p in pools]
    job: dict[str, Any] = {"source": source, "kind": kind, "worlds": worlds}
    job["signals"] = [list(table.signals) for table in tables] if any(table.signals for table in tables) else []
    starts = np.cumsum([0, *(len(pool.counts) for pool in pools)])
    rows = [m + np.array([start, 0, 0, 0, 0]) for m, start in zip(sample, starts.tolist(), strict=False)]
    job["sample"] = np.concatenate(rows).tolist()
    frames = [json.dumps(job).encode(), pack_tables(tables)]
    try:
        return _asked(sandbox, frames, count)
    except (CpuLimit, WallTimeout):
        return _asked(sandbox, frames, count)  # the clock may have been the machine's fault
    except Crashed as error:
        if error.message.startswith(("NameError", "AttributeError")):
            shipped = ", ".join(STATE_FEATURES if kind == "state" else BRANCH_FEATURES)
            error.message += f"; shipped features are {shipped}. {FEATURE_HELP}"
        raise


def _asked(sandbox: Sandbox, frames: Sequence[bytes], count: int) -> Floats:
    with sandbox.spawn(ENTRY, LIMITS) as child:
        for frame in frames:
            child.send(frame)
        reply = child.recv(8 * count)
    if len(reply) != 8 * count:
        raise OutputLimit(f"{len(reply)} bytes where {8 * count} are due")
    values = np.frombuffer(reply, dtype="<f8")
    if np.isinf(values).any():
        raise OutputLimit("a feature that is not finite")
    return values
