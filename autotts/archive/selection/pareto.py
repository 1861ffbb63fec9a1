"""The default: parents from the Pareto front across β, by what they alone hold and by how rarely they were used."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping

from autotts.archive.pareto import Point, exclusive_hypervolume, relevant
from autotts.archive.selection._base import Entry

__all__ = ["ParetoSelector"]

KEPT = 64
"""Programs that are kept. Those that the data cannot tell from the front may be many; beyond these they weigh next to
nothing, and weighing all of them would make a long search slow."""


class ParetoSelector:
    """Draws parents with weight exclusive hypervolume / (1 + uses).

    Without a tolerance the front is a random choice among equals: what separates its members from the programs just
    beneath is less than the data can tell. So each program in turn is taken to be one standard error more accurate.

    Args:
        tolerance: the paired standard error of accuracy, in [0, 1]; 0 for the strict front.
        floor: lowest accuracy that counts (pass@1).
        left, right: token range of the hypervolume; by default from the cheapest point to twice the dearest.
    """

    name = "pareto"

    def __init__(
        self, tolerance: float = 0.0, floor: float = 0.0, left: float | None = None, right: float | None = None
    ) -> None:
        self.tolerance, self.floor, self.left, self.right = tolerance, floor, left, right
        self._entries: dict[str, Entry] = {}
        self._uses: dict[str, int] = {}
        self._best: list[Entry] = []
        self._held: Mapping[str, float] | None = None

    def add(self, entry: Entry) -> None:
        """See `Selector.add`. The first of an id stays."""
        if entry.id in self._entries:
            return
        self._entries[entry.id] = entry
        self._best = sorted([*self._best, entry], key=_by_gain)[:KEPT]
        self._held = None
        if len(self._entries) > 2 * KEPT:
            self._forget()

    def used(self, ids: Iterable[str]) -> None:
        """See `Selector.used`."""
        for name in ids:
            if name in self._entries:
                self._uses[name] = self._uses.get(name, 0) + 1

    def parents(self, rng: random.Random, k: int) -> list[str]:
        """See `Selector.parents`. Falls back to the best by gain where no program holds anything."""
        held = self._volumes()
        weights = {name: volume / (1 + self._uses.get(name, 0)) for name, volume in held.items() if volume > 0}
        chosen: list[str] = []
        pool = sorted(weights)  # the order in which they came must not matter
        while pool and len(chosen) < k:
            (name,) = rng.choices(pool, [weights[name] for name in pool])
            pool.remove(name)
            chosen.append(name)
        chosen.sort(key=lambda name: (-weights[name], name))
        return chosen if chosen else [entry.id for entry in self._best[:k]]

    def _volumes(self) -> Mapping[str, float]:
        """What each program alone holds; found once for all proposals that are asked with the same knowledge."""
        if self._held is None:
            self._held = self._measured()
        return self._held

    def _measured(self) -> Mapping[str, float]:
        points = [p for entry in self._entries.values() for p in entry.points if math.isfinite(p.tokens)]
        spent = [point.tokens for point in points if point.tokens > 0]
        if not spent:
            return {}
        # to twice the dearest, so that it does not hold a stretch of width nought
        left = self.left if self.left is not None else min(spent)
        right = self.right if self.right is not None else max(spent) * 2
        if not 0 < left < right:
            return {}
        return exclusive_hypervolume(points, floor=self.floor, left=left, right=right, tolerance=self.tolerance)

    def _forget(self) -> None:
        """Drop what can never hold anything again, for fronts only rise; then what holds least."""
        points: list[Point] = [p for entry in self._entries.values() for p in entry.points]
        needed = relevant(points, self.tolerance)
        held = self._measured()
        ordered = sorted(needed, key=lambda name: (-held.get(name, 0.0), name))
        kept = set(ordered[:KEPT]) | relevant(points, 0.0)
        self._entries = {name: entry for name, entry in self._entries.items() if name in kept}
        self._uses = {name: count for name, count in self._uses.items() if name in kept}
        self._held = None


def _by_gain(entry: Entry) -> tuple[float, str]:
    return (-entry.gain if entry.gain is not None else math.inf, entry.id)
