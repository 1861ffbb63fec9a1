"""Who becomes a parent."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from autotts.archive.pareto import Point
from autotts.archive.selection import SELECTORS, BestOfN, Entry, ParetoSelector, Sequential, make_selector
from autotts.errors import InputError


def entry(id: str, *curve: tuple[float, float], gain: float | None = None, uses: int = 0) -> Entry:
    points = tuple(Point(id, k / 10, tokens, accuracy) for k, (tokens, accuracy) in enumerate(curve))
    return Entry(id, points, gain, uses=uses)


CHEAP = entry("cheap", (1.0, 0.4), gain=0.01)
DEAR = entry("dear", (10.0, 0.8), gain=0.02)
CLOSE = entry("close", (10.0, 0.79), gain=0.03)
POOR = entry("poor", (10.0, 0.3), gain=-0.1)
ALL = [CHEAP, DEAR, CLOSE, POOR]


def draws(selector: ParetoSelector, candidates: list[Entry], n: int = 400) -> Counter[str]:
    return Counter(selector.parents(candidates, random.Random(seed), 1)[0] for seed in range(n))


def test_strict_front_only_without_a_tolerance() -> None:
    assert set(ParetoSelector().parents(ALL, random.Random(0), 4)) == {"cheap", "dear"}


def test_tolerance_lets_in_what_the_data_cannot_tell_apart() -> None:
    assert set(ParetoSelector(tolerance=0.03).parents(ALL, random.Random(0), 4)) == {"cheap", "dear", "close"}


def test_rarely_used_ones_come_more_often() -> None:
    fresh = draws(ParetoSelector(), [CHEAP, DEAR])
    tired = draws(ParetoSelector(), [CHEAP, entry("dear", (10.0, 0.8), uses=9)])
    assert tired["dear"] < fresh["dear"] / 2


def test_same_generator_same_parents_in_any_order_and_no_repeats() -> None:
    selector = ParetoSelector(tolerance=0.03)
    for seed in range(20):
        chosen = selector.parents(ALL, random.Random(seed), 3)
        assert chosen == selector.parents(ALL[::-1], random.Random(seed), 3)
        assert len(set(chosen)) == 3
        assert "poor" not in chosen


def test_falls_back_to_the_best_by_gain() -> None:
    candidates = [Entry("a", gain=0.1), Entry("b", gain=0.3), Entry("c")]
    assert ParetoSelector().parents(candidates, random.Random(0), 2) == ["b", "a"]
    assert ParetoSelector().parents([], random.Random(0), 2) == []
    beneath_floor = ParetoSelector(floor=0.9)
    assert beneath_floor.parents([CHEAP, DEAR], random.Random(0), 1) == ["dear"]


def test_baselines() -> None:
    assert BestOfN().parents(ALL, random.Random(0), 2) == []
    assert Sequential().parents(ALL, random.Random(0), 2) == ["poor", "close"]


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_every_strategy_keeps_the_contract(name: str) -> None:
    selector = make_selector(name)
    assert selector.name == name
    for k in range(6):
        chosen = selector.parents(ALL, random.Random(k), k)
        assert len(chosen) <= k
        assert len(set(chosen)) == len(chosen)
        assert set(chosen) <= {e.id for e in ALL}
        assert chosen == selector.parents(ALL, random.Random(k), k)


def test_unknown_strategy_or_option() -> None:
    with pytest.raises(InputError, match="there are best_of_n, pareto, sequential"):
        make_selector("islands")
    with pytest.raises(InputError, match="colour"):
        make_selector("pareto", colour="red")
