"""The default: parents from the Pareto front across β, by what they alone hold and by how rarely they were used."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from autotts.archive.pareto import exclusive_hypervolume
from autotts.archive.selection._base import Entry, best_by_gain

__all__ = ["ParetoSelector"]


@dataclass(frozen=True, slots=True)
class ParetoSelector:
    """Draws parents with weight exclusive hypervolume / (1 + uses).

    Without a tolerance the front is a random choice among equals: what separates its members from the programs just
    beneath is less than the data can tell. So each program in turn is taken to be one standard error more accurate.

    Attributes:
        tolerance: the paired standard error of accuracy, in [0, 1]; 0 for the strict front.
        floor: lowest accuracy that counts (pass@1).
        left, right: token range of the hypervolume; by default from the cheapest point to twice the dearest.
        name: of the strategy.
    """

    tolerance: float = 0.0
    floor: float = 0.0
    left: float | None = None
    right: float | None = None
    name: str = "pareto"

    def parents(self, candidates: Sequence[Entry], rng: random.Random, k: int) -> list[str]:
        """See `Selector.parents`. Falls back to the best by gain where no program holds anything."""
        weights = self._weights(candidates)
        chosen: list[str] = []
        pool = sorted(name for name, weight in weights.items() if weight > 0)  # the caller's order must not matter
        while pool and len(chosen) < k:
            (name,) = rng.choices(pool, [weights[name] for name in pool])
            pool.remove(name)
            chosen.append(name)
        chosen.sort(key=lambda name: (-weights[name], name))
        rest = [entry for entry in candidates if entry.id not in chosen]
        return chosen if chosen else best_by_gain(rest, k)

    def _weights(self, candidates: Sequence[Entry]) -> dict[str, float]:
        points = [point for entry in candidates for point in entry.points if math.isfinite(point.tokens)]
        spent = [point.tokens for point in points if point.tokens > 0]
        if not spent:
            return {}
        # to twice the dearest, so that it does not hold a stretch of width nought
        left = self.left if self.left is not None else min(spent)
        right = self.right if self.right is not None else max(spent) * 2
        if not 0 < left < right:
            return {}
        held = exclusive_hypervolume(points, floor=self.floor, left=left, right=right, tolerance=self.tolerance)
        owner = {point.id: entry for entry in candidates for point in entry.points}
        return {owner[name].id: volume / (1 + owner[name].uses) for name, volume in held.items() if volume > 0}
