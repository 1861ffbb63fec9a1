"""Baseline: every proposal is independent; the best of n is kept."""

from __future__ import annotations

import random
from collections.abc import Iterable

from autotts.archive.selection._base import Entry

__all__ = ["BestOfN"]


class BestOfN:
    """No parents, ever."""

    name = "best_of_n"

    def add(self, entry: Entry) -> None:
        """See `Selector.add`; nothing is kept."""

    def used(self, ids: Iterable[str]) -> None:
        """See `Selector.used`; nothing is kept."""

    def parents(self, rng: random.Random, k: int) -> list[str]:
        """See `Selector.parents`."""
        return []
