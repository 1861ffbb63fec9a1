"""Baseline: sequential conditioning; each proposal starts from the one accepted last."""

from __future__ import annotations

import random
from collections.abc import Iterable

from autotts.archive.selection._base import Entry

__all__ = ["Sequential"]

KEPT = 16
"""Programs that are kept: more than anybody asks for at a time."""


class Sequential:
    """The latest accepted programs, newest first."""

    name = "sequential"

    def __init__(self) -> None:
        self._latest: dict[str, None] = {}

    def add(self, entry: Entry) -> None:
        """See `Selector.add`."""
        self._latest.pop(entry.id, None)
        self._latest[entry.id] = None
        if len(self._latest) > KEPT:
            del self._latest[next(iter(self._latest))]

    def used(self, ids: Iterable[str]) -> None:
        """See `Selector.used`; it makes no difference."""

    def parents(self, rng: random.Random, k: int) -> list[str]:
        """See `Selector.parents`."""
        return list(reversed(self._latest))[: min(k, KEPT)]
