"""What a selection strategy is: who are the parents of the next proposal?"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from autotts.archive.pareto import Point

__all__ = ["Entry", "Selector"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A confirmed program that may become a parent.

    Attributes:
        id: its name, as it is given back.
        points: its confirmed mean curve.
        gain, gain_se: gain at matched tokens over the run's reference.
    """

    id: str
    points: tuple[Point, ...] = ()
    gain: float | None = None
    gain_se: float | None = None


class Selector(Protocol):
    """A strategy, told of one run from its beginning.

    A run that goes on tells a new one everything again, in the same order; so what it keeps follows from that alone.
    It keeps what may still become a parent, not every program: a run may have a hundred thousand.
    """

    @property
    def name(self) -> str:
        """What people call it by."""
        ...

    def add(self, entry: Entry) -> None:
        """A program was confirmed."""
        ...

    def used(self, ids: Iterable[str]) -> None:
        """These were the parents of a proposal."""
        ...

    def parents(self, rng: random.Random, k: int) -> list[str]:
        """At most k different ids, best first; none means a proposal from nothing.

        Args:
            rng: the only source of chance; a strategy that was told the same gives the same parents.
            k: how many are wanted, ≥ 0.
        """
        ...
