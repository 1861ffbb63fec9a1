"""What the recorded branches can give: one branch, votes of several kinds, cut-offs, and the best of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autotts.replay import Environment
from autotts.replay.source import UNPARSED_ID
from autotts.traces._pool import Pool, mean_and_se, probe_note, votes
from autotts.traces._table import Cell, Evidence

__all__ = ["CUTS", "ceilings"]

SEEDS = tuple(range(20))

CUTS = (2_000, 4_000, 8_000, 12_000, 16_000, 24_000, 32_000)
"""Tokens after which all branches are cut off."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Kind = TypeVar("Kind", bound=np.generic)
Figures = tuple[Floats, Floats]
"""A rule's accuracy and tokens for each question, means over seeds: two arrays of shape (Q,)."""


def ceilings(
    environments: Sequence[Environment], seeds: Sequence[int] = SEEDS, *, cuts: Sequence[int] = CUTS
) -> Evidence:
    """Accuracy and tokens of fixed rules, in the mean over environments and in each.

    Args:
        environments: the recordings.
        seeds: episodes' seeds over which figures are averaged.
        cuts: tokens at which all branches are cut off.
    """
    pools = Pool.all_of(environments)
    worlds = [_World.of(pool, seeds) for pool in pools]
    rows = []
    for name, rule in _rules(max(int(pool.limits.max()) for pool in pools), cuts):
        figures = [rule(world) for world in worlds]
        accuracy, se = mean_and_se(pools, [right for right, _ in figures])
        tokens = float(np.mean([spent.mean() for _, spent in figures]))
        row: list[Cell] = [name, 100 * accuracy, 100 * se, tokens]
        row += [100 * float(right.mean()) for right, _ in figures] if len(pools) > 1 else []
        rows.append(tuple(row))
    columns = ["rule", "right %", "±", "tokens"]
    columns += [pool.environment.name for pool in pools] if len(pools) > 1 else []
    notes = (
        f"Means over {len(seeds)} seeds, over the questions of an environment, then over environments. "
        "±: standard error over questions. Ties go to the answer seen first.",
        "majority@n counts unparsed answers as votes, as self-consistency does; in weighted votes and at a cut they "
        "abstain. Settled: weight 1 − the share of its length at which a branch's final answer stood.",
        "Cut at L: every branch is advanced by L / Δ intervals, and shows its latest parsed answer. Oracle@n: one of n "
        "branches ends right; no controller can do better with n branches finished.",
    )
    return Evidence("What fixed rules give", tuple(columns), tuple(rows), (*notes, *probe_note(pools)))


@dataclass(frozen=True, eq=False)
class _World:
    """Branches in the episodes' order, one row for each (seed, question): arrays of shape (S·Q, K)."""

    pool: Pool
    n_seeds: int
    branch: Ints
    there: NDArray[np.bool_]
    finals: Ints
    tokens: Ints
    spent: Ints

    @classmethod
    def of(cls, pool: Pool, seeds: Sequence[int]) -> _World:
        orders = pool.orders(seeds)
        width = orders.shape[2]
        there = (orders >= 0).reshape(-1, width)
        finals = pool.along(pool.finals, orders).reshape(-1, width)
        tokens = np.where(there, pool.along(pool.tokens, orders).reshape(-1, width), 0)
        return cls(pool, len(seeds), orders.reshape(-1, width), there, finals, tokens, np.cumsum(tokens, axis=1))

    @property
    def questions(self) -> Ints:
        """The question of each row."""
        return np.tile(np.arange(len(self.pool.counts)), self.n_seeds)

    def means(self, rows: NDArray[np.generic]) -> Floats:
        """Means over seeds of a figure of each row."""
        return np.asarray(rows.astype(np.float64).reshape(self.n_seeds, -1).mean(axis=0))

    def right(self, leader: Ints) -> Floats:
        """How often each question's leader is right."""
        gold = self.pool.prepared.gold[self.questions]
        return self.means((leader == gold) & (leader > UNPARSED_ID))

    def of_branches(self, values: NDArray[Kind]) -> NDArray[Kind]:
        """Values of branches, shape (Q, N, …), in the episodes' order."""
        found: NDArray[Kind] = values[self.questions[:, None], self.branch]
        return found


def _rules(most: int, cuts: Sequence[int]) -> list[tuple[str, Callable[[_World], Figures]]]:
    sizes = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < most] + [most]
    rules: list[tuple[str, Callable[[_World], Figures]]] = [("pass@1", _one)]
    rules += [(f"majority@{n}", lambda w, n=n: _majority(w, n)) for n in sizes]  # type: ignore[misc]
    some = [n for n in (8, most) if n <= most]
    for word, weight in (("one vote, unparsed abstain", _even), ("1 / length", _short), ("settled early", _settled)):
        rules += [(f"{word} @{n}", lambda w, n=n, of=weight: _weighted(w, n, of(w))) for n in dict.fromkeys(some)]  # type: ignore[misc]
    rules += [(f"cut at {cut:,} @{most}", lambda w, cut=cut: _cut(w, cut)) for cut in cuts]  # type: ignore[misc]
    rules += [(f"oracle@{n}", lambda w, n=n: _oracle(w, n)) for n in sizes]  # type: ignore[misc]
    return rules


def _one(world: _World) -> Figures:
    return world.pool.pass_at_1, world.pool.mean_tokens


def _spent(world: _World, n: int) -> Floats:
    return world.means(world.spent[:, min(n, world.spent.shape[1]) - 1])


def _majority(world: _World, n: int) -> Figures:
    leader = votes(world.finals[:, :n], world.there[:, :n]).leader[:, -1]
    return world.right(leader), _spent(world, n)


def _oracle(world: _World, n: int) -> Figures:
    right = world.of_branches(world.pool.right) & world.there
    return world.means(np.asarray(right[:, :n].any(axis=1))), _spent(world, n)


def _even(world: _World) -> Floats:
    return np.ones(world.finals.shape)


def _short(world: _World) -> Floats:
    return np.asarray(1.0 / np.maximum(world.tokens, 1))


def _settled(world: _World) -> Floats:
    """1 − the share of its intervals after which a branch's latest answer stood."""
    answers, ends = world.pool.answers, world.pool.ends
    depth = answers.shape[2]
    # Past the end the last answer is carried forward, so a difference can only be within the branch.
    differs = answers != answers[:, :, -1:]
    settled = depth - np.argmax(differs[:, :, ::-1], axis=2)
    settled = np.where(differs.any(axis=2), settled, 0)
    return world.of_branches(np.asarray(1.0 - settled / np.maximum(ends, 1)))


def _weighted(world: _World, n: int, weights: Floats) -> Figures:
    """The answer with the greatest sum of weights among parsed ones."""
    rows = np.arange(len(world.finals))
    sums = np.zeros((len(rows), int(world.finals.max()) + 1))
    first = np.full_like(sums, np.inf)
    for k in range(min(n, world.finals.shape[1])):
        votes_now = world.there[:, k] & (world.finals[:, k] > UNPARSED_ID)
        r, a = rows[votes_now], world.finals[votes_now, k]
        sums[r, a] += weights[votes_now, k]
        first[r, a] = np.minimum(first[r, a], k)
    seen = np.isfinite(first)
    best = np.where(seen, sums, -np.inf).max(axis=1, keepdims=True)
    leader = np.argmin(np.where(seen & (sums == best), first, np.inf), axis=1)
    return world.right(np.where(seen.any(axis=1), leader, -1)), _spent(world, n)


def _cut(world: _World, cut: int) -> Figures:
    """All branches abreast for so many tokens each; the majority of what they show then."""
    pool, interval = world.pool, world.pool.environment.interval
    steps = max(1, cut // interval)
    shown = pool.answers[:, :, min(steps, pool.answers.shape[2]) - 1]
    ended = pool.ends <= steps
    paid = np.where(ended, np.maximum(pool.tokens, interval * (pool.ends - 1)), interval * steps)
    answers = world.of_branches(shown)
    leader = votes(answers, world.there & (answers > UNPARSED_ID)).leader[:, -1]
    tokens = np.where(world.there, world.of_branches(paid), 0).sum(axis=1)
    return world.right(leader), world.means(tokens)
