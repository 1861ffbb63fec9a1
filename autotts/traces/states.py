"""The value of continuing: what states promise, and how a feature divides those that are undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotts.errors import InputError
from autotts.replay import Environment
from autotts.replay.source import UNPARSED_ID
from autotts.sandbox import Sandbox
from autotts.traces._pool import LEAST, Pool, ceiling_of, clustered, probe_note, votes
from autotts.traces._table import Cell, Evidence
from autotts.traces.features import STATE_FEATURES, Moments, state_values, words_of

__all__ = ["states"]

SEEDS = tuple(range(20))
SPLIT_SEEDS = tuple(range(8))
SPLIT_AT = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45)
"""Finished branches of the states that a feature divides: half a power of two apart."""

N_BANDS, LEAD_BANDS = (1, 2, 3, 5, 9, 17, 33), (0, 1, 2, 4, 8, 16, 32)
"""First values of the bands."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Sample:
    """States and what became of them: arrays of shape (M,)."""

    n: Ints
    n1: Ints
    n2: Ints
    left: Ints
    now: Floats
    end: Floats
    to_go: Floats
    clusters: Ints

    def where(self, keep: NDArray[np.bool_]) -> _Sample:
        return _Sample(*(values[keep] for values in vars(self).values()))


def states(
    environments: Sequence[Environment],
    seeds: Sequence[int] | None = None,
    *,
    split_by: str | None = None,
    finished: int | None = None,
    running: int = 0,
    advanced: int = 10,
    bins: int = 5,
    sandbox: Sandbox | None = None,
    least: int = LEAST,
) -> Evidence:
    """What states promise: right now, right if continued to the ceiling, and tokens still to go.

    Args:
        environments: the recordings; each state weighs the same.
        seeds: of the episodes; None for 20, or 8 for a split.
        split_by: divide the undecided states by a feature: a name of `STATE_FEATURES`, an expression of `state`, or a
            text with `def feature(state)`.
        finished: only states with so many finished branches, one row for each (leader's votes, runner-up's).
        running: branches that were opened beside those finished one by one, and advanced together; for a split.
        advanced: intervals that those were advanced.
        bins: quantile bins of a split.
        sandbox: where an expression runs.
        least: questions that a row must be about to show what was right.

    Raises:
        InputError: arguments that do not fit together.
        ProgramError: how an expression ended.
    """
    pools = Pool.all_of(environments)
    if split_by is not None:
        used = SPLIT_SEEDS if seeds is None else tuple(seeds)
        at = SPLIT_AT if finished is None else (finished,)
        return _split(pools, used, split_by, (at, running, advanced), bins, sandbox, least)
    if running:
        raise InputError("running: states with running branches are divided by a feature; give split_by as well")
    sample = _joined([_prefixes(pool, SEEDS if seeds is None else tuple(seeds)) for pool in pools])
    found = _value_of_continuing(sample, ceiling_of(pools), finished, least)
    return replace(found, notes=(*found.notes, *probe_note(pools)))


# ---- the value of continuing -----------------------------------------------------------------------------------


def _prefixes(pool: Pool, seeds: Sequence[int]) -> _Sample:
    """Every state in which 1 … 64 branches were finished in the episode's order."""
    orders = pool.orders(seeds)
    width = orders.shape[2]
    there = (orders >= 0).reshape(-1, width)
    vote = votes(pool.along(pool.finals, orders).reshape(-1, width), there)
    questions = np.tile(np.arange(len(pool.counts)), len(seeds))
    right = (vote.leader == pool.prepared.gold[questions][:, None]) & (vote.leader > UNPARSED_ID)
    tokens = np.where(there, pool.along(pool.tokens, orders).reshape(-1, width), 0)
    n = np.arange(1, width + 1)[None, :] * np.ones_like(questions)[:, None]
    columns: tuple[NDArray[Any], ...] = (
        n,
        vote.n1,
        vote.n2,
        pool.limits[questions][:, None] - n,
        right.astype(float),
        np.repeat(right[:, -1:], width, axis=1).astype(float),
        (tokens.sum(axis=1, keepdims=True) - np.cumsum(tokens, axis=1)).astype(float),
        np.repeat(pool.clusters[questions][:, None], width, axis=1),
    )
    return _Sample(*(column[there] for column in columns))


def _joined(samples: Sequence[_Sample]) -> _Sample:
    columns: dict[str, Any] = {name: np.concatenate([vars(s)[name] for s in samples]) for name in vars(samples[0])}
    return _Sample(**columns)


def _value_of_continuing(sample: _Sample, ceiling: str, finished: int | None, least: int) -> Evidence:
    head: tuple[str, ...]
    if finished is None:
        band = [np.searchsorted(N_BANDS, sample.n, side="right"), np.searchsorted(LEAD_BANDS, _lead(sample), "right")]
        head, title = ("finished", "lead"), "Value of continuing, by finished branches and the leader's lead"
    else:
        sample = sample.where(sample.n == finished)
        band = [sample.n1, sample.n2]
        head, title = ("leader's votes", "runner-up's"), f"Value of continuing with {finished} branches finished"
    if not len(sample.n):
        raise InputError(f"finished={finished}: no episode finishes so many branches; the ceiling is {ceiling}")
    keys, group = np.unique(np.stack(band), axis=1, return_inverse=True)
    figures = _figures(sample, group.reshape(-1), keys.shape[1], least)
    rows = []
    for key, cells in zip(keys.T.tolist(), figures, strict=True):
        bands = key if finished is not None else [_band(N_BANDS, key[0]), _band(LEAD_BANDS, key[1])]
        rows.append((*bands, *cells))
    return Evidence(title, (*head, *_columns(ceiling)), tuple(rows), _notes(ceiling, least))


def _lead(sample: _Sample) -> Ints:
    return sample.n1 - sample.n2


def _band(starts: Sequence[int], number: int) -> str:
    low = starts[number - 1]
    if number == len(starts):
        return f"{low}+"
    return f"{low}" if starts[number] == low + 1 else f"{low}–{starts[number] - 1}"


def _columns(ceiling: str) -> tuple[str, ...]:
    return ("states", "questions", "right now %", f"majority@{ceiling} right %", "change", "±", "tokens to go")


def _figures(sample: _Sample, group: Ints, groups: int, least: int) -> list[tuple[Cell, ...]]:
    """The columns of each group."""
    clusters = int(sample.clusters.max()) + 1

    def sums(values: Floats) -> Floats:
        out = np.zeros((groups, clusters))
        np.add.at(out, (group, sample.clusters), values)
        return out

    count = sums(np.ones(len(group)))
    now, end = (clustered(sums(values), count)[0] for values in (sample.now, sample.end))
    change, se = clustered(sums(sample.end - sample.now), count)
    to_go = clustered(sums(sample.to_go), count)[0]
    rows: list[tuple[Cell, ...]] = []
    for g in range(groups):
        about = int((count[g] > 0).sum())
        right = [100 * float(v[g]) if about >= least else None for v in (now, end, change, se)]
        rows.append((int(count[g].sum()), about, *right, float(to_go[g])))
    return rows


def _notes(ceiling: str, least: int) -> tuple[str, ...]:
    return (
        f"Right now: the leader of the finished branches; majority@{ceiling}: of all that may be opened, finished.",
        "Unparsed answers vote and are never right; a tie goes to the answer seen first. ±: standard error of the "
        "change over questions (a question that several models saw is one).",
        f"Where a row is about fewer than {least} questions, what was right is left out.",
    )


# ---- split by a feature ----------------------------------------------------------------------------------------


def _split(
    pools: Sequence[Pool],
    seeds: Sequence[int],
    feature: str,
    shape: tuple[Sequence[int], int, int],
    bins: int,
    sandbox: Sandbox | None,
    least: int,
) -> Evidence:
    if bins < 2:
        raise InputError(f"bins={bins}: a split needs at least two")
    if min(shape[0]) < 0 or shape[1] < 0 or shape[2] < 1 or min(shape[0]) + shape[1] < 1:
        raise InputError("a state has opened at least one branch, and advanced those that run at least one interval")
    pairs = [_moments(pool, seeds, *shape) for pool in pools]
    sample = _joined([one for one, _ in pairs])
    if not len(sample.n):
        raise InputError("no state is undecided; give fewer finished branches")
    values = state_values(pools, [moments for _, moments in pairs], feature, sandbox)
    group, labels = _quantile_bins(values, bins)
    figures = _figures(sample, group, len(labels), least)
    rows = [(label, *cells) for label, cells in zip(labels, figures, strict=True)]
    meaning = STATE_FEATURES[feature][0] if feature in STATE_FEATURES else words_of(feature)
    at, running, advanced = shape
    beside = f", {running} more running for {advanced} intervals" if running else ""
    name = feature if feature in STATE_FEATURES else "an expression"
    notes = (
        f"{name}: {meaning}. States with {', '.join(map(str, at))} finished branches{beside}; {len(seeds)} seeds.",
        "Undecided: more branches are left than the leader's lead among finished ones.",
    )
    ceiling = ceiling_of(pools)
    title = f"Undecided states, split by {name}"
    return Evidence(
        title, (name, *_columns(ceiling)), tuple(rows), (*notes, *_notes(ceiling, least), *probe_note(pools))
    )


def _moments(
    pool: Pool, seeds: Sequence[int], at: Sequence[int], running: int, advanced: int
) -> tuple[_Sample, Moments]:
    """The undecided states of a sample, by question and seed, and how each is made."""
    orders, interval = pool.orders(seeds).transpose(1, 0, 2), pool.environment.interval
    questions, used, width = *orders.shape[:2], orders.shape[2]
    shape = (questions, used, len(at), width)
    place, n = np.arange(width), np.asarray(at)[:, None]
    there = np.broadcast_to((orders >= 0)[:, :, None, :], shape)
    along = [np.arange(questions)[:, None, None], orders]
    finals, tokens, ends = (np.broadcast_to(v[tuple(along)][:, :, None, :], shape) for v in _recorded(pool))
    beside = (place >= n) & (place < n + running)
    stepped = beside & (ends <= advanced)
    done = there & ((place < n) | stepped)
    vote = votes(finals.reshape(-1, width), done.reshape(-1, width))
    whole = votes(finals.reshape(-1, width), there.reshape(-1, width))
    rest = np.where(beside, np.maximum(0, tokens - interval * advanced), tokens)
    to_go = np.where(there & ~done, rest, 0).sum(axis=3).reshape(-1)
    q = np.repeat(np.arange(questions), used * len(at))
    gold, finished = pool.prepared.gold[q], done.sum(axis=3).reshape(-1)
    lead, left = vote.n1[:, -1] - vote.n2[:, -1], pool.limits[q] - finished
    now, end = ((v.leader[:, -1] == gold) & (gold > UNPARSED_ID) for v in (vote, whole))
    opened = np.tile(np.asarray(at), questions * used)
    keep = (left > lead) & (opened + running <= pool.limits[q])
    sample = _Sample(
        finished, vote.n1[:, -1], vote.n2[:, -1], left, now.astype(float), end.astype(float), to_go.astype(float),
        pool.clusters[q],
    )  # fmt: skip
    seed = np.tile(np.repeat(np.asarray(seeds), len(at)), questions)
    same = np.ones_like(q)
    return sample.where(keep), np.stack([q, seed, opened, running * same, advanced * same], axis=1)[keep]


def _recorded(pool: Pool) -> tuple[Ints, Ints, Ints]:
    return pool.finals, pool.tokens, pool.ends


def _quantile_bins(values: Floats, bins: int) -> tuple[Ints, list[str]]:
    """The bin of each value, and what each bin holds in words; what has no figure is a bin of its own, the last."""
    # What differs by the order of a sum alone is the same.
    values = np.array([float(f"{value:.12g}") for value in values.tolist()])
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf")) if len(known) else known
    raw = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
    _, group = np.unique(raw, return_inverse=True)
    group = group.reshape(-1)
    labels = []
    for g in range(int(group.max()) + 1):
        held = values[group == g]
        low, high = f"{held.min():.4g}", f"{held.max():.4g}"
        labels.append("no figure" if np.isnan(held[0]) else low if low == high else f"{low} – {high}")
    return group.astype(np.int64), labels
