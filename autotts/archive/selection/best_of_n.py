"""Baseline: every proposal is independent; the best of n is kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from autotts.archive.selection._base import Entry

__all__ = ["BestOfN"]


@dataclass(frozen=True, slots=True)
class BestOfN:
    """No parents, ever."""

    name: str = "best_of_n"

    def parents(self, candidates: Sequence[Entry], rng: random.Random, k: int) -> list[str]:
        """See `Selector.parents`."""
        return []
