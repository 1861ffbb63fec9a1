"""Recorded branches as arrays: orders, votes and question-clustered errors that every instrument shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autotts.evaluation import clusters_of
from autotts.evaluation.shards import Prepared
from autotts.evaluation.statistics import cluster_resamples
from autotts.replay import Environment
from autotts.replay.source import UNPARSED_ID, branch_order

__all__ = [
    "DIFFICULTY",
    "LEAST",
    "Pool",
    "Votes",
    "ceiling_of",
    "clustered",
    "difficulty_bins",
    "mean_and_se",
    "probe_note",
    "votes",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)

DIFFICULTY = ("0–5 hopeless", "5–25", "25–75", "75–95", "95–100")
"""Bins of pass@1 in percent; a question on an edge belongs to the easier bin."""

LEAST = 5
"""Questions that a row must be about to show what was right: fewer might tell of one question alone."""

RESAMPLES = 1000

_MOST_COUNTS = 4_000_000
"""Counts of votes that are held at a time."""


def difficulty_bins(pass_at_1: Floats) -> Ints:
    """The number in `DIFFICULTY` of each share in [0, 1]."""
    return np.searchsorted([0.05, 0.25, 0.75, 0.95], pass_at_1, side="right").astype(np.int64)


@dataclass(frozen=True, eq=False)
class Pool:
    """All recorded branches of an environment with Q questions of at most N branches, padded.

    Attributes:
        prepared: gold-free tables, gold ids.
        clusters: cluster of each question, shape (Q,).
        finals: answer ids at the end, −1 as padding, shape (Q, N).
        tokens: what opening and finishing costs, 0 as padding, shape (Q, N).
        right: whether it ends right, shape (Q, N).
        counts: branches of each question, shape (Q,).
    """

    prepared: Prepared
    clusters: Ints
    finals: Ints
    tokens: Ints
    right: Bools
    counts: Ints

    @classmethod
    def all_of(cls, environments: Sequence[Environment]) -> list[Pool]:
        """Each environment's, clusters being the same in all."""
        clusters = clusters_of(environments)
        return [cls._of(environment, clusters[e]) for e, environment in enumerate(environments)]

    @classmethod
    def _of(cls, environment: Environment, clusters: Ints) -> Pool:
        prepared = Prepared.of(environment)
        counts = np.array([len(table.totals) for table in prepared.tables], dtype=np.int64)
        finals = np.full((len(counts), counts.max()), -1, dtype=np.int64)
        tokens = np.zeros_like(finals)
        for q, table in enumerate(prepared.tables):
            finals[q, : counts[q]] = [answers[-1] for answers in table.answers]
            first = [environment.interval if len(answers) > 1 else 0 for answers in table.answers]
            tokens[q, : counts[q]] = np.maximum(table.totals, first)
        right = (finals == prepared.gold[:, None]) & (finals >= 0)
        return cls(prepared, clusters[: len(counts)], finals, tokens, right, counts)

    @property
    def environment(self) -> Environment:
        """The recording itself."""
        return self.prepared.environment

    @property
    def limits(self) -> Ints:
        """Branches that an episode may open, shape (Q,)."""
        return self.prepared.n_branches

    @cached_property
    def pass_at_1(self) -> Floats:
        """Share of each question's branches that end right, shape (Q,)."""
        return np.asarray(self.right.sum(axis=1) / self.counts)

    @cached_property
    def mean_tokens(self) -> Floats:
        """Mean tokens of each question's branches, shape (Q,)."""
        return np.asarray(self.tokens.sum(axis=1) / self.counts)

    def orders(self, seeds: Sequence[int]) -> Ints:
        """Recorded branches in each episode's order, −1 past its ceiling: shape (S, Q, K)."""
        out = np.full((len(seeds), len(self.counts), self.limits.max()), -1, dtype=np.int64)
        for s, seed in enumerate(seeds):
            for q, (count, limit) in enumerate(zip(self.counts.tolist(), self.limits.tolist(), strict=True)):
                out[s, q, :limit] = branch_order(seed, count)[:limit]
        return out

    def along(self, values: NDArray[Kind], orders: Ints) -> NDArray[Kind]:
        """Values of branches, shape (Q, N), in the episodes' orders: shape (S, Q, K); anything at padding."""
        found: NDArray[Kind] = values[np.arange(len(self.counts))[None, :, None], orders]
        return found

    @cached_property
    def answers(self) -> Ints:
        """Answers after each interval, carried forward over unparsed ones and past the end: shape (Q, N, D)."""
        depth = max(len(answers) for table in self.prepared.tables for answers in table.answers)
        out = np.zeros((*self.finals.shape, depth), dtype=np.int64)
        for q, table in enumerate(self.prepared.tables):
            for b, answers in enumerate(table.answers):
                out[q, b, : len(answers)] = answers
        last = np.maximum.accumulate(np.where(out != UNPARSED_ID, np.arange(depth), 0), axis=2)
        return np.asarray(np.take_along_axis(out, last, axis=2))

    @cached_property
    def ends(self) -> Ints:
        """Intervals of each branch, 0 as padding: shape (Q, N)."""
        out = np.zeros_like(self.finals)
        for q, table in enumerate(self.prepared.tables):
            out[q, : self.counts[q]] = [len(answers) for answers in table.answers]
        return out


@dataclass(frozen=True, eq=False)
class Votes:
    """A vote after each of K ballots in each of R rows; arrays of shape (R, K).

    Attributes:
        leader: the most frequent answer, the one seen first among equals; −1 before the first ballot.
        n1: its votes.
        n2: the runner-up's.
    """

    leader: Ints
    n1: Ints
    n2: Ints


def votes(answers: Ints, counted: Bools) -> Votes:
    """The vote after each ballot; what is not `counted` abstains. Both of shape (R, K)."""
    rows, distinct = len(answers), int(answers.max(initial=0)) + 1
    step = max(1, _MOST_COUNTS // distinct)
    parts = [_votes(answers[r : r + step], counted[r : r + step], distinct) for r in range(0, rows, step)]
    return Votes(*(np.concatenate([vars(part)[name] for part in parts]) for name in ("leader", "n1", "n2")))


def _votes(answers: Ints, counted: Bools, distinct: int) -> Votes:
    rows, ballots = answers.shape
    counts = np.zeros((rows, distinct), dtype=np.int64)
    first = np.full_like(counts, ballots)
    leader, n1, n2 = np.full(rows, -1, dtype=np.int64), np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    kept = Votes(*(np.empty((rows, ballots), dtype=np.int64) for _ in range(3)))
    for k in range(ballots):
        r = np.flatnonzero(counted[:, k])
        a, ahead, most = answers[r, k], leader[r], n1[r]
        counts[r, a] += 1
        first[r, a] = np.minimum(first[r, a], k)
        mine = counts[r, a]
        leads = ahead == a
        # Nothing but the answer just counted can take the lead; a tie goes to the one seen first.
        takes = ~leads & ((mine > most) | ((mine == most) & (first[r, a] < first[r, ahead])))
        n2[r] = np.where(leads, n2[r], np.where(takes, most, np.maximum(n2[r], mine)))
        n1[r] = np.where(leads | takes, mine, most)
        leader[r] = np.where(takes, a, ahead)
        kept.leader[:, k], kept.n1[:, k], kept.n2[:, k] = leader, n1, n2
    return kept


def ceiling_of(pools: Sequence[Pool]) -> str:
    """The ceiling of branches in words: a number, or a range where environments differ."""
    low, high = min(int(p.limits.min()) for p in pools), max(int(p.limits.max()) for p in pools)
    return f"{high}" if low == high else f"{low}–{high}"


def probe_note(pools: Sequence[Pool]) -> tuple[str, ...]:
    """A sentence where looking costs tokens."""
    costs = any(pool.environment.kappa_probe for pool in pools)
    return ("What probes cost (κ) is not in these tokens.",) if costs else ()


def clustered(numerators: Floats, denominators: Floats) -> tuple[Floats, Floats]:
    """(ratio of sums, its standard error over questions) of each of G rows.

    Args:
        numerators, denominators: sums within each of K clusters, shape (G, K).

    Returns:
        Two arrays of shape (G,); NaN where nothing is there or fewer than two clusters are.
    """
    clusters = numerators.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        value = numerators.sum(axis=1) / denominators.sum(axis=1)
        weights = cluster_resamples(clusters, RESAMPLES, 0)
        drawn = (numerators @ weights.T) / (denominators @ weights.T)
    drawn[~np.isfinite(drawn)] = np.nan
    enough = (~np.isnan(drawn)).sum(axis=1) > 1
    few = (denominators > 0).sum(axis=1) < 2
    se = np.full(len(value), np.nan)
    good = enough & ~few
    se[good] = np.nanstd(drawn[good], axis=1, ddof=1)
    return value, se


def mean_and_se(pools: Sequence[Pool], values: Sequence[Floats]) -> tuple[float, float]:
    """Mean over environments of the mean over questions, and its standard error over questions.

    Args:
        pools: E environments.
        values: a number for each question of each environment, shapes (Q,).
    """
    known = np.unique(np.concatenate([pool.clusters for pool in pools]))
    weights = cluster_resamples(len(known), RESAMPLES, 0)
    means, drawn = [], []
    for pool, row in zip(pools, values, strict=True):
        weight = weights[:, np.searchsorted(known, pool.clusters)]
        means.append(float(row.mean()))
        total = weight.sum(axis=1)
        drawn.append(np.where(total > 0, weight @ row / np.maximum(total, 1), np.nan))
    table = np.stack(drawn)
    count = (~np.isnan(table)).sum(axis=0)
    samples = np.nansum(table, axis=0)[count > 0] / count[count > 0]
    return float(np.mean(means)), float(samples.std(ddof=1)) if len(known) > 1 else float("nan")
