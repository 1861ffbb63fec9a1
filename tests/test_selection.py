"""Who becomes a parent."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.agents import MockAgent
from autotts.archive.pareto import Point, exclusive_hypervolume
from autotts.archive.selection import SELECTORS, BestOfN, Entry, ParetoSelector, Selector, Sequential, make_selector
from autotts.archive.selection.pareto import KEPT
from autotts.errors import InputError
from autotts.testing.selectors import SelectorConformance
from benchmarks.strategies import Islands, MapElites, PerQuestion, by_spending
from tests.scripted import good, small_search


def entry(id: str, *curve: tuple[float, float], gain: float | None = None) -> Entry:
    points = tuple(Point(id, k / 10, tokens, accuracy) for k, (tokens, accuracy) in enumerate(curve))
    return Entry(id, points, gain)


CHEAP = entry("cheap", (1.0, 0.4), gain=0.01)
DEAR = entry("dear", (10.0, 0.8), gain=0.02)
CLOSE = entry("close", (10.0, 0.79), gain=0.03)
POOR = entry("poor", (10.0, 0.3), gain=-0.1)
ALL = [CHEAP, DEAR, CLOSE, POOR]


def told(selector: Selector, entries: Sequence[Entry]) -> Selector:
    for one in entries:
        selector.add(one)
    return selector


def draws(selector: Selector, n: int = 400) -> Counter[str]:
    return Counter(selector.parents(random.Random(seed), 1)[0] for seed in range(n))


def test_strict_front_only_without_a_tolerance() -> None:
    assert set(told(ParetoSelector(), ALL).parents(random.Random(0), 4)) == {"cheap", "dear"}


def test_tolerance_lets_in_what_the_data_cannot_tell_apart() -> None:
    selector = told(ParetoSelector(tolerance=0.03), ALL)
    assert set(selector.parents(random.Random(0), 4)) == {"cheap", "dear", "close"}


def test_rarely_used_ones_come_more_often() -> None:
    fresh = draws(told(ParetoSelector(), [CHEAP, DEAR]))
    selector = told(ParetoSelector(), [CHEAP, DEAR])
    for _ in range(9):
        selector.used(["dear", "never heard of"])
    assert draws(selector)["dear"] < fresh["dear"] / 2


def test_same_generator_same_parents_in_any_order_and_no_repeats() -> None:
    one, other = told(ParetoSelector(tolerance=0.03), ALL), told(ParetoSelector(tolerance=0.03), ALL[::-1])
    for seed in range(20):
        chosen = one.parents(random.Random(seed), 3)
        assert chosen == other.parents(random.Random(seed), 3)
        assert len(set(chosen)) == 3
        assert "poor" not in chosen


def test_falls_back_to_the_best_by_gain() -> None:
    candidates = [Entry("a", gain=0.1), Entry("b", gain=0.3), Entry("c")]
    assert told(ParetoSelector(), candidates).parents(random.Random(0), 2) == ["b", "a"]
    assert ParetoSelector().parents(random.Random(0), 2) == []
    assert told(ParetoSelector(floor=0.9), [CHEAP, DEAR]).parents(random.Random(0), 1) == ["dear"]


def test_baselines() -> None:
    assert told(BestOfN(), ALL).parents(random.Random(0), 2) == []
    assert told(Sequential(), ALL).parents(random.Random(0), 2) == ["poor", "close"]


@pytest.mark.parametrize("name", sorted(SELECTORS))
class TestShipped(SelectorConformance):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name

    def make(self) -> Selector:
        selector = make_selector(self.name)
        assert selector.name == self.name
        return selector


curves = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 100)), min_size=1, max_size=3)


@settings(max_examples=15, deadline=None)
@given(st.lists(curves, min_size=2 * KEPT + 1, max_size=3 * KEPT), st.integers(0, 9))
def test_what_is_forgotten_would_have_held_nothing(made: list[list[tuple[int, int]]], seed: int) -> None:
    """The weights are those of all programs that were ever told, as long as those that matter are few."""
    entries = [
        entry(f"p{k}", *((float(tokens), accuracy / 101) for tokens, accuracy in curve)) for k, curve in enumerate(made)
    ]
    ends = {"floor": 0.0, "left": 1.0, "right": 40.0}
    selector = ParetoSelector(**ends)
    told(selector, entries)
    held = exclusive_hypervolume([p for e in entries for p in e.points], **ends)
    chosen = selector.parents(random.Random(seed), len(entries))
    holders = {name for name, volume in held.items() if volume > 0}
    assert set(chosen) == holders or not holders
    assert [held[name] for name in chosen] == sorted((held[name] for name in chosen), reverse=True)


def test_a_long_run_keeps_few_and_stays_as_fast() -> None:
    """Programs that get better and better, most of them near the front for a while."""
    rng, selector = random.Random(0), ParetoSelector(tolerance=0.02, left=1.0, right=100.0)
    for k in range(3_000):
        points = ((1 + 9 * b * rng.random(), (0.3 + 0.4 * k / 3_000) * (0.5 + b / 20)) for b in range(11))
        selector.add(entry(f"p{k}", *points, gain=rng.random()))
        if k % 8 == 0:
            selector.used(selector.parents(random.Random(k), 2))
    assert len(selector._entries) <= 2 * KEPT + 1


class Newest(Sequential):
    name = "newest"


def test_a_package_brings_a_strategy_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("selector.newest", f"{__name__}:Newest", "autotts")
    monkeypatch.setattr("autotts.archive.selection.entry_points", lambda group: [point])
    assert make_selector("newest").name == "newest"
    with small_search(tmp_path / "a.db", [MockAgent([good(1), good(2)])], rounds=2, selector="newest") as search:
        search.go()
        parents = [c.parents for c in search.candidates if c.round]
        assert parents == [(), (search.candidates[5].id,)]
    with pytest.raises(InputError, match="newest, pareto, sequential"):
        make_selector("islands")


def test_unknown_strategy_or_option() -> None:
    with pytest.raises(InputError, match="there are best_of_n, pareto, sequential"):
        make_selector("islands")
    with pytest.raises(InputError, match="colour"):
        make_selector("pareto", colour="red")


# ---- strategies that were tried, in benchmarks/ ----------------------------------------------------------------------


class TestPerQuestion(SelectorConformance):
    def make(self) -> Selector:
        curves = {one.id: [one.points, one.points[:2]] for one in self.entries()}
        return PerQuestion(curves.__getitem__, left=0.5, right=50.0)


class TestIslands(SelectorConformance):
    def make(self) -> Selector:
        return Islands(ParetoSelector)


class TestMapElites(SelectorConformance):
    def make(self) -> Selector:
        return MapElites("map_elites", by_spending)


def test_what_is_best_on_one_question_alone_keeps_a_weight_per_question() -> None:
    def curves(id_: str) -> list[list[Point]]:
        right = {"good": (0.9, 0.9), "special": (0.0, 1.0), "poor": (0.1, 0.1)}[id_]
        return [[Point(id_, 0.0, 1.0, accuracy)] for accuracy in right]

    selector = told(PerQuestion(curves, left=0.5, right=2.0), [Entry("good"), Entry("special"), Entry("poor")])
    assert set(selector.parents(random.Random(0), 3)) == {"good", "special"}


def test_islands_breed_apart_and_children_stay_with_their_parents() -> None:
    selector = Islands(ParetoSelector)
    for id_, parents in (("a", ()), ("b", ()), ("c", ()), ("a2", ("a",)), ("b2", ("b",))):
        selector.add(entry(id_, (1.0 + ord(id_[-1]), 0.5 + 0.01 * len(id_) + ord(id_[-1]) / 1000), gain=0.0))
        selector.used(parents)
    pairs = {frozenset(selector.parents(random.Random(seed), 2)) for seed in range(200)}
    assert all(len({id_[0] for id_ in pair}) == 1 for pair in pairs)
    assert {id_[0] for pair in pairs for id_ in pair} == {"a", "b", "c"}


def test_of_a_cell_the_greatest_gain_stays() -> None:
    selector = told(MapElites("map_elites", lambda one: one.id[0]), [CHEAP, DEAR, CLOSE, POOR])
    assert set(selector.parents(random.Random(0), 4)) == {"close", "dear", "poor"}
