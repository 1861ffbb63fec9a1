"""All points of a run, thinned to what a terminal can show, and the front by sequential tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from autotts.archive import Point, front

__all__ = ["Cloud", "cloud"]

WIDE, HIGH = 120, 400
"""Dots to a factor of ten in tokens, and to the whole range of accuracy: finer than a terminal is."""

KEPT = 4096
"""Points whose front is taken at a time."""


@dataclass(frozen=True)
class Cloud:
    """Where a run's points are.

    Attributes:
        programs: that they are of.
        tokens, sequential: dots as (tokens, accuracy in percent), one of those that fall on the same place.
        sequential_front: the front by sequential tokens; `tokens` of its points are still tokens.
    """

    programs: int
    tokens: tuple[tuple[float, float], ...]
    sequential: tuple[tuple[float, float], ...]
    sequential_front: tuple[Point, ...]


def cloud(points: Iterable[Point]) -> Cloud:
    """Thin the points of a run, in one pass."""
    dots: tuple[dict[tuple[int, int], tuple[float, float]], ...] = ({}, {})
    programs: set[str] = set()
    edge: list[Point] = []
    waiting: list[Point] = []
    for point in points:
        programs.add(point.id)
        for seen, spent in zip(dots, (point.tokens, point.sequential_tokens), strict=True):
            if spent > 0:
                place = round(WIDE * math.log10(spent)), round(HIGH * point.accuracy)
                seen.setdefault(place, (spent, 100 * point.accuracy))
        waiting.append(point)
        if len(waiting) == KEPT:
            edge, waiting = _edge([*edge, *waiting]), []
    return Cloud(len(programs), tuple(dots[0].values()), tuple(dots[1].values()), tuple(_edge([*edge, *waiting])))


def _edge(points: list[Point]) -> list[Point]:
    """The front by sequential tokens."""
    turned = [replace(p, tokens=p.sequential_tokens, sequential_tokens=p.tokens) for p in points]
    return [replace(p, tokens=p.sequential_tokens, sequential_tokens=p.tokens) for p in front(turned)]
