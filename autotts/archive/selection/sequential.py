"""Baseline: sequential conditioning; each proposal starts from the one accepted last."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from autotts.archive.selection._base import Entry

__all__ = ["Sequential"]


@dataclass(frozen=True, slots=True)
class Sequential:
    """The latest accepted programs, newest first."""

    name: str = "sequential"

    def parents(self, candidates: Sequence[Entry], rng: random.Random, k: int) -> list[str]:
        """See `Selector.parents`."""
        newest = dict.fromkeys(entry.id for entry in reversed(candidates))
        return list(newest)[:k]
