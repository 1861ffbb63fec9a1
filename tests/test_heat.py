"""The heat map: every cell against the episodes that it counts, reckoned from the recording itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from autotts.evaluation import SAMPLE, EpisodeTrace, Evaluator, Protocol
from autotts.replay import Environment
from autotts.traces import KINDS
from autotts.traces.heat import HeatMap, heat_map
from tests.small import small_environment
from tests.traced import MIXED, Naive, naive_kind

PROTOCOL = Protocol(SAMPLE.betas, (0, 1, 2))


@pytest.fixture(scope="module")
def worlds() -> list[Environment]:
    """The second has six questions of the first, one of its own, and one of its own by an id that is taken."""
    first = small_environment("one", questions=8, branches=20)
    second = replace(small_environment("two", questions=8, branches=16, seed=1), kappa_probe=30)
    new, taken, *shared = second.questions
    own = [replace(new, id="new", text="New"), replace(taken, id="q0", text="Another")]
    return [first, replace(second, questions=(*shared, *own))]


@pytest.fixture(scope="module")
def traces(worlds: list[Environment]) -> Iterator[list[EpisodeTrace]]:
    with Evaluator(worlds, workers=1) as evaluator:
        yield evaluator.trace(MIXED, PROTOCOL)


@pytest.fixture(scope="module")
def found(traces: list[EpisodeTrace], worlds: list[Environment]) -> HeatMap:
    return heat_map(traces, worlds)


def test_rows_are_questions_and_columns_environments(found: HeatMap) -> None:
    assert found.environments == ("one/tiny", "two/tiny")
    assert found.questions == (*(f"q{q}" for q in range(8)), "new", "q0 (2)")
    there = [tuple(cell is not None for cell in row) for row in found.cells]
    assert there == [(True, False)] * 2 + [(True, True)] * 6 + [(False, True)] * 2


def test_every_episode_is_in_one_cell_with_its_kind(
    found: HeatMap, traces: list[EpisodeTrace], worlds: list[Environment]
) -> None:
    endings = [ending for row in found.cells for cell in row if cell for ending in cell.endings]
    assert sorted(ending.trace for ending in endings) == list(range(len(traces)))
    for row in found.cells:
        for environment, cell in enumerate(row):
            for ending in cell.endings if cell else ():
                trace = traces[ending.trace]
                naive = Naive(trace, worlds[environment])
                assert trace.environment == environment
                assert ending.kind == naive_kind(naive)
                assert ending.right == (naive.answer == naive.gold)
                assert (ending.beta, ending.seed, ending.tokens) == (trace.beta, trace.seed, trace.tokens)


def test_counts_sum_up(found: HeatMap, traces: list[EpisodeTrace]) -> None:
    cells = [cell for row in found.cells for cell in row if cell]
    for cell in cells:
        assert list(cell.kinds) == list(KINDS)
        assert sum(cell.kinds.values()) == len(cell.endings) == len(PROTOCOL.betas) * len(PROTOCOL.seeds)
        right = cell.kinds["right"] + cell.kinds["overspent"]
        assert cell.accuracy == pytest.approx(right / len(cell.endings))
    assert sum(cell.tokens * len(cell.endings) for cell in cells) == pytest.approx(sum(t.tokens for t in traces))
    kinds = Counter(ending.kind for cell in cells for ending in cell.endings)
    assert len(kinds) >= 4, "these worlds must tell the kinds apart"


def test_the_worst_question_comes_first(found: HeatMap) -> None:
    order = found.worst_first()
    assert sorted(order) == list(range(len(found.questions)))
    wrong = [found.wrong(q) for q in order]
    assert wrong == sorted(wrong, reverse=True) and wrong[0] > wrong[-1]
    both = found.cells[3]
    assert both[0] and both[1]
    assert found.wrong(3) == pytest.approx(1 - (both[0].accuracy + both[1].accuracy) / 2)


def test_what_was_not_played_has_no_cell(traces: list[EpisodeTrace], worlds: list[Environment]) -> None:
    found = heat_map([trace for trace in traces if (trace.environment, trace.question) == (0, 4)], worlds)
    there = [(q, e) for q, row in enumerate(found.cells) for e, cell in enumerate(row) if cell]
    assert there == [(4, 0)]
    assert found.wrong(0) == 0
    assert heat_map([], worlds).worst_first() == tuple(range(10))
