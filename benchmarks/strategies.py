"""Selection strategies that were tried and are not shipped; benchmarks/selection.py measures them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from statistics import fmean

from autotts.archive import Point
from autotts.archive.pareto import exclusive_hypervolume
from autotts.archive.selection import Entry, Selector

__all__ = ["Islands", "MapElites", "PerQuestion", "by_spending"]

ISLANDS = 3
MIGRATION = 8
"""Programs between two migrations."""


class PerQuestion:
    """Draws parents by what they alone hold on the fronts of single questions, and by how rarely they were used.

    A program that is the best on a few questions and poor on average keeps a weight. Weights are sums over questions of
    exclusive hypervolumes, as `pareto` has them for the mean curve.

    Args:
        curves: by a program's id its curve on each question, tokens in units of SC@64's.
        left, right: token range of the hypervolumes.
    """

    name = "per_question"

    def __init__(self, curves: Callable[[str], Sequence[Sequence[Point]]], left: float, right: float) -> None:
        self._curves, self._left, self._right = curves, left, right
        self._points: list[list[Point]] = []
        self._uses: dict[str, int] = {}
        self._held: Mapping[str, float] | None = None

    def add(self, entry: Entry) -> None:
        if entry.id in self._uses:
            return
        curves = self._curves(entry.id)
        self._points = self._points or [[] for _ in curves]
        for points, curve in zip(self._points, curves, strict=True):
            points.extend(curve)
        self._uses[entry.id], self._held = 0, None

    def used(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            if id_ in self._uses:
                self._uses[id_] += 1

    def parents(self, rng: random.Random, k: int) -> list[str]:
        if self._held is None:
            self._held = self._measured()
        weights = {id_: held / (1 + self._uses[id_]) for id_, held in self._held.items() if held > 0}
        pool, chosen = sorted(weights), list[str]()
        while pool and len(chosen) < k:
            (id_,) = rng.choices(pool, [weights[one] for one in pool])
            pool.remove(id_)
            chosen.append(id_)
        return sorted(chosen, key=lambda id_: (-weights[id_], id_))

    def _measured(self) -> Mapping[str, float]:
        sums = dict.fromkeys(self._uses, 0.0)
        for points in self._points:
            held = exclusive_hypervolume(points, floor=0.0, left=self._left, right=self._right)
            for id_, volume in held.items():
                sums[id_] += volume
        return sums


class Islands:
    """Populations that breed apart; every `MIGRATION` programs the best of each goes to the next one as well.

    A program belongs where its first parent does, one without parents to the smallest island. Within an island the
    parents are chosen as the strategy that `make` gives chooses them.
    """

    name = "islands"

    def __init__(self, make: Callable[[], Selector]) -> None:
        self._islands = [make() for _ in range(ISLANDS)]
        self._members: list[dict[str, Entry]] = [{} for _ in range(ISLANDS)]
        self._new: Entry | None = None

    def add(self, entry: Entry) -> None:
        self._settle(())
        self._new = entry

    def used(self, ids: Iterable[str]) -> None:
        parents = tuple(ids)
        self._settle(parents)
        for island in self._islands:
            island.used(parents)

    def parents(self, rng: random.Random, k: int) -> list[str]:
        inhabited = [island for island, members in zip(self._islands, self._members, strict=True) if members]
        return rng.choice(inhabited).parents(rng, k) if inhabited else []

    def _settle(self, parents: Sequence[str]) -> None:
        """Put the program that came last where it belongs: a slot's program is told just before its parents are."""
        if self._new is None:
            return
        entry, self._new = self._new, None
        homes = [k for parent in parents[:1] for k, members in enumerate(self._members) if parent in members]
        sizes = [len(members) for members in self._members]
        before = len({id_ for members in self._members for id_ in members})
        self._put(homes[0] if homes else sizes.index(min(sizes)), entry)
        if (before + 1) % MIGRATION == 0:
            self._migrate()

    def _put(self, island: int, entry: Entry) -> None:
        if entry.id not in self._members[island]:
            self._members[island][entry.id] = entry
            self._islands[island].add(entry)

    def _migrate(self) -> None:
        best = [min(members.values(), key=_by_gain) if members else None for members in self._members]
        for k, entry in enumerate(best):
            if entry is not None:
                self._put((k + 1) % ISLANDS, entry)


class MapElites:
    """The program of the greatest gain in each cell; parents come from cells drawn evenly.

    Args:
        name: what people call it by.
        cell: where a program belongs.
    """

    def __init__(self, name: str, cell: Callable[[Entry], Hashable]) -> None:
        self.name, self._cell = name, cell
        self._elites: dict[Hashable, Entry] = {}

    def add(self, entry: Entry) -> None:
        cell = self._cell(entry)
        self._elites[cell] = min(self._elites.get(cell, entry), entry, key=_by_gain)

    def used(self, ids: Iterable[str]) -> None:
        """It makes no difference."""

    def parents(self, rng: random.Random, k: int) -> list[str]:
        elites = sorted(self._elites.values(), key=lambda entry: entry.id)
        return [entry.id for entry in sorted(rng.sample(elites, min(k, len(elites))), key=_by_gain)]


def by_spending(entry: Entry) -> Hashable:
    """A cell of half an octave of tokens and two points of accuracy, both means over the curve."""
    spent = fmean(math.log2(max(point.tokens, 1e-9)) for point in entry.points)
    return math.floor(2 * spent), math.floor(50 * fmean(point.accuracy for point in entry.points))


def _by_gain(entry: Entry) -> tuple[float, str]:
    return (-entry.gain if entry.gain is not None else math.inf, entry.id)
