"""All points of a run, thinned to what a terminal can show, and the front by sequential tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from autotts.archive import Point, front

__all__ = ["Cloud", "cloud"]

Floats = npt.NDArray[np.float64]
Dots = tuple[tuple[float, float], ...]

MOST = 2500
"""Dots that are drawn: more than that takes longer to draw than a key may take, and shows no more."""

FINEST = (1 / 200, 1 / 8)
"""Size of a place to begin with, in powers of ten of tokens and in percent: finer than a terminal is."""

PAGE = 20_000
"""Points that are thinned at a time."""


@dataclass(frozen=True)
class Cloud:
    """Where a run's points are.

    Attributes:
        programs: that they are of.
        tokens, sequential: dots as (tokens, accuracy in percent), one of those that fall on the same place.
        sequential_front: the front by sequential tokens; `tokens` of its points are still tokens.
    """

    programs: int
    tokens: Dots
    sequential: Dots
    sequential_front: tuple[Point, ...]


def cloud(points: Iterable[Point]) -> Cloud:
    """Thin the points of a run, in one pass."""
    dots, programs, edge = (_Thinned(), _Thinned()), set[str](), list[Point]()
    following = iter(points)
    while page := list(islice(following, PAGE)):
        programs.update(p.id for p in page)
        accuracy = np.array([p.accuracy for p in page])
        tokens, sequential = np.array([p.tokens for p in page]), np.array([p.sequential_tokens for p in page])
        for thinned, spent in zip(dots, (tokens, sequential), strict=True):
            thinned.add(spent, 100 * accuracy)
        edge = _edge([*edge, *(page[k] for k in _not_behind(edge, sequential, accuracy))])
    return Cloud(len(programs), dots[0].dots(), dots[1].dots(), tuple(edge))


class _Thinned:
    """One dot of those that fall on the same place; places grow until few enough are taken."""

    def __init__(self) -> None:
        self._size = np.array(FINEST)
        self._kept = np.empty((0, 2))

    def add(self, spent: Floats, accuracy: Floats) -> None:
        """Take in points, accuracy in percent; those that took no tokens have no place on a log scale."""
        there = spent > 0
        found = np.column_stack([np.log10(spent[there]), accuracy[there]])
        self._kept = self._one_each(np.concatenate([self._kept, found]))
        while len(self._kept) > MOST:
            self._size = self._size * math.sqrt(2)
            self._kept = self._one_each(self._kept)

    def _one_each(self, dots: Floats) -> Floats:
        """The first dot at each place, in the order of the dots."""
        places = np.floor(dots / self._size).astype(np.int64)
        _, first = np.unique(places, axis=0, return_index=True)
        kept: Floats = dots[np.sort(first)]
        return kept

    def dots(self) -> Dots:
        """As (tokens, accuracy in percent)."""
        return tuple((10**at, accuracy) for at, accuracy in self._kept.tolist())


def _not_behind(edge: Sequence[Point], spent: Floats, accuracy: Floats) -> list[int]:
    """Which points no point of the edge is ahead of, so that few have to be looked at one by one."""
    if not edge:
        return list(range(len(spent)))
    at = np.searchsorted([p.sequential_tokens for p in edge], spent, side="right") - 1
    best = np.where(at < 0, -np.inf, np.array([p.accuracy for p in edge])[at])
    return [int(k) for k in np.flatnonzero(accuracy >= best)]


def _edge(points: Sequence[Point]) -> list[Point]:
    """The front by sequential tokens."""
    turned = (replace(p, tokens=p.sequential_tokens, sequential_tokens=p.tokens) for p in points)
    return [replace(p, tokens=p.sequential_tokens, sequential_tokens=p.tokens) for p in front(turned)]
