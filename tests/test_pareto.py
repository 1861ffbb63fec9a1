"""Fronts, hypervolume and stretches, against brute force and Monte Carlo."""

from __future__ import annotations

import math
import random
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.archive.pareto import Point, exclusive_hypervolume, front, hypervolume, near_front, stretches

BOX = {"floor": 0.2, "left": 1.0, "right": 100.0}

# few distinct values, so that ties happen
POINTS = st.lists(
    st.builds(
        Point,
        id=st.sampled_from("abcd"),
        beta=st.sampled_from([0.0, 0.5, 1.0]),
        tokens=st.sampled_from([0.5, 1.0, 2.0, 3.5, 10.0, 50.0, 100.0, 200.0]),
        accuracy=st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.75, 1.0]),
        sequential_tokens=st.sampled_from([1.0, 2.0]),
    ),
    max_size=12,
)


def dominates(a: Point, b: Point) -> bool:
    return a.tokens <= b.tokens and a.accuracy >= b.accuracy and (a.tokens, a.accuracy) != (b.tokens, b.accuracy)


def volume(points: list[Point]) -> float:
    return hypervolume([p.tokens for p in points], [p.accuracy for p in points], **BOX)


@given(POINTS, st.randoms(use_true_random=False))
def test_front_is_what_nothing_dominates(points: list[Point], rng: random.Random) -> None:
    edge = front(points)
    expected = {(p.tokens, p.accuracy) for p in points if not any(dominates(q, p) for q in points)}
    assert {(p.tokens, p.accuracy) for p in edge} == expected
    assert len(edge) == len(expected)
    assert all(a.tokens < b.tokens and a.accuracy < b.accuracy for a, b in pairwise(edge))
    shuffled = list(points)
    rng.shuffle(shuffled)
    assert front(shuffled) == edge
    assert front(edge) == edge


@given(POINTS, POINTS)
def test_front_can_be_kept_step_by_step(first: list[Point], second: list[Point]) -> None:
    assert front([*front(first), *second]) == front([*first, *second])


@given(POINTS, st.sampled_from([0.0, 0.05, 0.2]))
def test_near_front_is_the_front_of_each_lifted_point(points: list[Point], tolerance: float) -> None:
    near = near_front(points, tolerance)
    for point in points:
        others_better = any(q.tokens <= point.tokens and q.accuracy > point.accuracy + tolerance for q in points)
        if not math.isclose(0, min((abs(q.accuracy - point.accuracy - tolerance) for q in points), default=1)):
            assert (point in near) == (not others_better)


@given(POINTS, POINTS)
def test_hypervolume_never_falls_with_more_points(first: list[Point], second: list[Point]) -> None:
    assert 0 <= volume(first) <= volume([*first, *second]) + 1e-12 <= 1 + 1e-12
    assert volume(first) == pytest.approx(volume(front(first)))


@given(POINTS)
def test_hypervolume_matches_monte_carlo(points: list[Point]) -> None:
    n = 40
    hits = 0
    for i in range(n):
        for j in range(n):
            tokens = math.exp(math.log(100.0) * (i + 0.5) / n)
            accuracy = 0.2 + 0.8 * (j + 0.5) / n
            hits += any(p.tokens <= tokens and p.accuracy >= accuracy for p in points)
    # cells cut by an edge of the staircase: at most 2n of n²
    assert volume(points) == pytest.approx(hits / n**2, abs=2 / n)


@given(POINTS, st.sampled_from([0.0, 0.1]))
def test_exclusive_hypervolume_is_the_difference(points: list[Point], tolerance: float) -> None:
    held = exclusive_hypervolume(points, tolerance=tolerance, **BOX)
    assert held.keys() == {p.id for p in points}
    for name, value in held.items():
        others = [p for p in points if p.id != name]
        lifted = [Point(p.id, p.beta, p.tokens, min(1.0, p.accuracy + tolerance)) for p in points if p.id == name]
        assert value == pytest.approx(volume([*others, *lifted]) - volume(others), abs=1e-12)


def test_exclusive_hypervolume_of_many_programs_that_are_alike_takes_no_time_to_speak_of() -> None:
    draw = random.Random(1)
    points = [
        Point(f"{k}", b / 10, 2.0 ** (b * 0.6) * (1 + draw.random() / 10), 0.4 + 0.03 * b + draw.gauss(0, 0.004))
        for k in range(2000)
        for b in range(11)
    ]
    start = time.process_time()
    held = exclusive_hypervolume(points, tolerance=0.005, **BOX)
    assert time.process_time() - start < 1.5  # about 0.3 s; every program's points sought among all took 3 s and more
    assert sum(value > 0 for value in held.values()) > 100


@given(POINTS)
def test_stretches_tile_the_tokens(points: list[Point]) -> None:
    parts = stretches(points)
    edge = front(points)
    assert [p.beta for p in edge] == [beta for part in parts for beta in part.betas]
    assert all(a.high == b.low and a.id != b.id for a, b in pairwise(parts))
    if parts:
        assert parts[0].low == edge[0].tokens and parts[-1].high == math.inf


def test_bounds_of_the_rectangle() -> None:
    assert hypervolume([], [], **BOX) == 0
    assert hypervolume([0.1], [1.0], **BOX) == pytest.approx(1)
    assert hypervolume([10.0], [0.6], **BOX) == pytest.approx(0.25)
    assert hypervolume([100.0], [1.0], **BOX) == 0
    assert hypervolume([1.0], [0.2], **BOX) == 0
    with pytest.raises(ValueError, match="rectangle"):
        hypervolume([], [], floor=0.0, left=2.0, right=1.0)


def test_points_without_a_figure_stay_out() -> None:
    assert front([Point("a", 0.0, math.nan, 1.0), Point("b", 0.0, 1.0, math.nan)]) == []
