"""Fronts over (tokens, accuracy): pure functions on points; fewer tokens and higher accuracy are better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "Point",
    "Stretch",
    "exclusive_hypervolume",
    "front",
    "hypervolume",
    "near_front",
    "relevant",
    "stretches",
]


@dataclass(frozen=True, slots=True)
class Point:
    """One program at one β, on its mean curve.

    Attributes:
        id: the program (in the archive: its hash).
        beta: in [0, 1].
        tokens: mean tokens, ≥ 0, in any one unit.
        accuracy: mean accuracy in [0, 1].
        sequential_tokens: mean sequential tokens; only breaks ties.
    """

    id: str
    beta: float
    tokens: float
    accuracy: float
    sequential_tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The range of token budgets [low, high) at which this program holds the front; `high` is infinite at the end."""

    id: str
    low: float
    high: float
    betas: tuple[float, ...]


def _best_first(point: Point) -> tuple[float, float, float, str, float]:
    return (point.tokens, -point.accuracy, point.sequential_tokens, point.id, point.beta)


def front(points: Iterable[Point]) -> list[Point]:
    """The non-dominated points by rising tokens, and so by rising accuracy.

    Of points equal in both, one stays: the fewest sequential tokens, then the least id, then the least β; so the
    result does not depend on the order of the input. Points that are not finite are left out.
    """
    finite = (p for p in points if math.isfinite(p.tokens) and math.isfinite(p.accuracy))
    return _staircase(sorted(finite, key=_best_first))


def _staircase(ordered: Iterable[Point]) -> list[Point]:
    """The front of points that are in `_best_first` order."""
    best, kept = -math.inf, []
    for point in ordered:
        if point.accuracy > best:
            kept.append(point)
            best = point.accuracy
    return kept


def _hidden_by_one(ordered: Iterable[Point]) -> list[Point]:
    """Of points in `_best_first` order those that are on the front, or would be if one program were taken away."""
    kept: list[Point] = []
    best, owner, second = -math.inf, "", -math.inf  # the greatest accuracy so far, whose, and that of all others
    for point in ordered:
        if point.accuracy > second:
            kept.append(point)
        if point.id == owner:
            best = max(best, point.accuracy)
        elif point.accuracy > best:
            best, owner, second = point.accuracy, point.id, best
        else:
            second = max(second, point.accuracy)
    return kept


def near_front(points: Iterable[Point], tolerance: float) -> list[Point]:
    """The points that would be on the front if they alone were `tolerance` more accurate, by rising tokens."""
    ordered = sorted(points, key=_best_first)
    edge = front(ordered)
    kept, best, position = [], -math.inf, 0
    for point in ordered:
        while position < len(edge) and edge[position].tokens <= point.tokens:
            best = edge[position].accuracy
            position += 1
        if point.accuracy >= best - tolerance:
            kept.append(point)
    return kept


def relevant(points: Iterable[Point], tolerance: float) -> set[str]:
    """The programs that the exclusive hypervolumes depend on: near the front, or hidden by a single other program.

    What is in neither set never comes back, whatever is added: fronts only rise.
    """
    finite = [p for p in points if math.isfinite(p.tokens) and math.isfinite(p.accuracy)]
    hidden = _hidden_by_one(sorted(finite, key=_best_first))
    return {p.id for p in near_front(finite, tolerance)} | {p.id for p in hidden}


def hypervolume(
    tokens: Sequence[float], accuracy: Sequence[float], *, floor: float, left: float, right: float
) -> float:
    """Share of the rectangle in (log tokens, accuracy) that the points dominate.

    Args:
        tokens, accuracy: of the points, any order, dominated ones allowed.
        floor: lowest accuracy that counts (pass@1); the ceiling is 1.
        left, right: token range (one mean branch … SC@64), 0 < left < right. Points left of it count from `left` on.

    Returns:
        In [0, 1].

    Raises:
        ValueError: an empty rectangle, or as many tokens as accuracies are not given.
    """
    if not (0 < left < right and floor < 1):
        raise ValueError(f"no rectangle: left {left}, right {right}, floor {floor}")
    pairs = sorted(zip(tokens, accuracy, strict=True), key=lambda p: (p[0], -p[1]))
    return _area(pairs, floor, left, right) / (math.log(right / left) * (1 - floor))


def _area(pairs: Iterable[tuple[float, float]], floor: float, left: float, right: float) -> float:
    """What points sorted by rising tokens dominate of the rectangle."""
    area, reached = 0.0, floor
    for spent, attained in pairs:
        if spent >= right:
            break
        if attained > reached:
            top = min(attained, 1.0)
            area += (top - reached) * math.log(right / max(spent, left))
            reached = top
    return area


def exclusive_hypervolume(
    points: Iterable[Point], *, floor: float, left: float, right: float, tolerance: float = 0.0
) -> dict[str, float]:
    """What the hypervolume would lose without each program.

    Args:
        points: of all programs.
        floor, left, right: see `hypervolume`.
        tolerance: each program in turn is taken to be that much more accurate (one standard error), so that programs
            that the data cannot tell from the front keep a weight.

    Returns:
        By id, every id that has a finite point; 0 where nothing is lost.

    Raises:
        ValueError: an empty rectangle.
    """
    if not (0 < left < right and floor < 1):
        raise ValueError(f"no rectangle: left {left}, right {right}, floor {floor}")
    finite = (p for p in points if math.isfinite(p.tokens) and math.isfinite(p.accuracy))
    everything = sorted(finite, key=_best_first)
    # A program off the near front adds nothing even when lifted: it is not looked at again.
    near = {p.id for p in near_front(everything, tolerance)}
    edge, shallow = _staircase(everything), _hidden_by_one(everything)
    holders = {p.id for p in edge}
    own: dict[str, list[Point]] = {}
    for point in everything:
        own.setdefault(point.id, []).append(point)
    result = dict.fromkeys(own, 0.0)
    whole = math.log(right / left) * (1 - floor)
    for name in near:
        # without a holder, points come to light that it hid; without any other program the front stays as it is
        others = _staircase(p for p in shallow if p.id != name) if name in holders else edge
        base = [(p.tokens, p.accuracy) for p in others]
        lifted = [(p.tokens, min(1.0, p.accuracy + tolerance)) for p in own[name]]
        both = sorted(base + lifted, key=lambda pair: (pair[0], -pair[1]))
        gained = _area(both, floor, left, right) - _area(base, floor, left, right)
        result[name] = max(0.0, gained / whole)
    return result


def stretches(points: Iterable[Point]) -> list[Stretch]:
    """Which program holds which stretch of tokens on the front of these points."""
    edge = front(points)
    result: list[Stretch] = []
    for k, point in enumerate(edge):
        high = edge[k + 1].tokens if k + 1 < len(edge) else math.inf
        if result and result[-1].id == point.id:
            last = result[-1]
            result[-1] = Stretch(last.id, last.low, high, (*last.betas, point.beta))
        else:
            result.append(Stretch(point.id, point.tokens, high, (point.beta,)))
    return result
