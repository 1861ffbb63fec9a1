"""What a selection strategy is: who are the parents of the next proposal?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autotts.archive.pareto import Point

__all__ = ["Entry", "Selector", "best_by_gain"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A program that may become a parent.

    Attributes:
        id: its name, as it is given back.
        points: its confirmed mean curve; empty where it was only screened.
        gain, gain_se: gain at matched tokens over the run's reference; None where it was not evaluated.
        uses: how often it has been a parent.
    """

    id: str
    points: tuple[Point, ...] = ()
    gain: float | None = None
    gain_se: float | None = None
    uses: int = 0


class Selector(Protocol):
    """A strategy. It has no memory: everything it goes by is in the entries and the generator."""

    @property
    def name(self) -> str:
        """What people call it by."""
        ...

    def parents(self, candidates: Sequence[Entry], rng: random.Random, k: int) -> list[str]:
        """At most k different ids, best first; none means a proposal from nothing.

        Args:
            candidates: everything that was accepted so far, oldest first.
            rng: the only source of chance; the same entries and generator give the same parents.
            k: how many are wanted, ≥ 0.
        """
        ...


def best_by_gain(candidates: Sequence[Entry], k: int) -> list[str]:
    """The k ids of the highest gains, unevaluated ones last; ties by id."""
    ordered = sorted(candidates, key=lambda e: (-(e.gain if e.gain is not None else float("-inf")), e.id))
    return [entry.id for entry in ordered[:k]]
