"""Curves and two programs side by side, from the archive alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autotts.archive import Archive, Evaluation, Program, Proposal, Verdict
from autotts.errors import InputError
from autotts.evaluation import Curve, Evaluator, shipped
from autotts.evaluation.statistics import ci95_accuracy, gain_at_matched_tokens
from autotts.search.curves import curves
from autotts.search.figures import Figures
from autotts.search.report import difference
from autotts.search.runs import run_environments
from autotts.search.side_by_side import Changed, SideBySide, side_by_side
from tests.fake_runs import FakeRun


@pytest.fixture(scope="module")
def figures(browsed: Path) -> Iterator[Figures]:
    with Archive(browsed, create=False) as archive:
        yield Figures(archive, archive.run("run-1"))


# ---- curves --------------------------------------------------------------------------------------------------------


def test_a_confirmed_program_has_the_curve_that_evaluating_it_again_gives(figures: Figures) -> None:
    environments, _ = run_environments(figures.run, figures.config)
    protocol = figures.config.protocol
    program = shipped("parallel_probe")
    with Evaluator(environments, workers=1) as evaluator:
        results = evaluator.run(program, protocol)
    curve = Curve.of(environments, protocol.betas, results)
    rows = curve.rows(program, environments, protocol, results, "confirm", "")
    found = curves(figures, program.hash)
    assert found and (found.source, found.seeds, found.program) == ("confirm", 2, program.hash)
    assert list(found.knobs) == [row["knobs"] for row in rows[: len(protocol.betas)]]
    told = [(name, point) for name, points in found.environments for point in points]
    for (name, point), row in zip(told, rows, strict=True):
        assert (name, point.beta) == (row["environment"], row["beta"])
        assert 100 * point.accuracy == pytest.approx(row["accuracy"])
        assert [100 * bound for bound in point.ci95] == pytest.approx(row["ci95"])
        for figure in ("tokens", "sequential_tokens", "branches"):
            assert getattr(point, figure) == pytest.approx(row[figure])
    for b, (point, *mean) in enumerate(zip(found.mean, *curve.mean(), strict=True)):
        assert [point.accuracy, point.tokens, point.sequential_tokens] == pytest.approx(mean)
        assert point.ci95 == pytest.approx(ci95_accuracy(curve.accuracy[:, b], curve.clusters))


def test_every_program_with_figures_has_a_curve_and_no_other(figures: Figures) -> None:
    stages = {row.hash: row.stage for row in figures.archive.listing("run-1") if row.hash and row.outcome == "ok"}
    assert set(stages.values()) >= {"confirm"}
    for hash, stage in stages.items():
        found = curves(figures, hash)
        assert found and found.source == stage
        for _, points in (("mean", found.mean), *found.environments):
            assert all(point.ci95[0] <= point.accuracy <= point.ci95[1] for point in points)
    assert curves(figures, "0" * 64) is None


def test_a_screened_program_has_the_curve_of_its_screen(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run = FakeRun(archive, questions=5)
        screened(run, questions=5)
        found = curves(Figures(archive, archive.run("run-1")), "5" * 64)
    assert found and (found.source, found.seeds) == ("screen", 2)
    assert [point.beta for point in found.mean] == [0.0, 0.5, 1.0]
    low, high = (points for _, points in found.environments)
    assert [point.accuracy for point in low] == [0.5, 0.5, 0.5]
    assert [point.accuracy for point in high] == [1.0, 1.0, 1.0]
    assert [point.tokens for point in found.mean] == [150.0, 150.0, 150.0]
    assert found.knobs == ({"b": 0.0}, {"b": 0.5}, {"b": 1.0})
    with Archive(tmp_path / "a.db") as archive, pytest.raises(InputError, match="5555555555: not confirmed in run-1"):
        Figures(archive, archive.run("run-1")).scores("5" * 64)


def screened(run: FakeRun, questions: int) -> None:
    """A program that was not let through: half right and cheap in the first environment, all right in the second."""
    protocol = run.config.screen_protocol
    ones = np.ones((len(protocol.betas), questions), dtype=np.int64)
    made = [
        Evaluation(
            "5" * 64, ref.hash, protocol.hash, "screen", protocol.betas, protocol.seeds,
            (e + 1) * ones, 200 * (e + 1) * ones, 100 * ones, 4 * ones, knobs=tuple({"b": b} for b in protocol.betas),
        )
        for e, ref in enumerate(run.refs)
    ]  # fmt: skip
    run.archive.add_proposal(Proposal("run-1", 1, 0, "fake", "X = 5\n"))
    verdict = Verdict("ok", program="5" * 64, stage="screen", gain=-0.1, gain_se=0.01)
    run.archive.commit_slot("run-1", 1, 0, verdict, program=Program("5" * 64, "X = 5\n"), evaluations=made)


# ---- side by side --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Figures, str, str]]:
    """A run of drawn figures, a better program, and one that spends more."""
    with Archive(tmp_path_factory.mktemp("drawn") / "a.db") as archive:
        run = FakeRun(archive, questions=60, environments=4)
        better, dearer = run.add(1, 0, run.luck(0.2)), run.add(1, 1, run.luck(), 1.5 * run.tokens)
        yield Figures(archive, archive.run("run-1")), better, dearer


def test_gains_are_those_of_a_report(drawn: tuple[Figures, str, str]) -> None:
    figures, better, dearer = drawn
    found = side_by_side(figures, better, dearer)
    ours, theirs, reference = figures.scores(better), figures.scores(dearer), figures.reference
    assert found.gain == difference(ours, theirs, reference, figures.questions)
    assert found.gain.gain > 0.1 and found.gain.p < 0.05
    assert [name for name, _ in found.environments] == [ref.name for ref in figures.run.environments]
    over = side_by_side(figures, better, figures.baselines["cmc"])
    gain = gain_at_matched_tokens(ours, reference)
    assert (over.gain.gain, over.gain.se) == pytest.approx((gain.value, gain.se))
    assert [one.gain for _, one in over.environments] == pytest.approx(gain.by_environment.tolist())
    assert (found.a, found.b) == (curves(figures, better), curves(figures, dearer))


def test_the_other_way_round_every_gain_has_the_other_sign(drawn: tuple[Figures, str, str]) -> None:
    figures, better, dearer = drawn
    there, back = side_by_side(figures, better, dearer), side_by_side(figures, dearer, better)
    pairs = [(there.gain, back.gain)]
    pairs += [(one, other) for (_, one), (_, other) in zip(there.environments, back.environments, strict=True)]
    for one, other in pairs:
        assert (one.gain, one.se, one.p) == pytest.approx((-other.gain, other.se, other.p))
        assert one.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]))
    for mine, theirs in zip(there.questions, sorted(back.questions, key=order_of(there)), strict=True):
        assert mine.question == theirs.question
        assert mine.contribution == pytest.approx(-theirs.contribution, abs=1e-9)
        for cell, other_cell in zip(mine.cells, theirs.cells, strict=True):
            assert cell and other_cell
            assert (cell.accuracy, cell.tokens) == (other_cell.accuracy[::-1], other_cell.tokens[::-1])
            assert (cell.gain, cell.more_tokens) == (-other_cell.gain, -other_cell.more_tokens)


def order_of(found: SideBySide) -> Callable[[Changed], int]:
    places = {one.question: k for k, one in enumerate(found.questions)}
    return lambda one: places[one.question]


def test_questions_sum_to_the_gain_and_the_greatest_comes_first(drawn: tuple[Figures, str, str]) -> None:
    figures, better, dearer = drawn
    found = side_by_side(figures, better, dearer)
    assert sorted(one.question for one in found.questions) == sorted(figures.questions)
    shares = [abs(one.contribution) for one in found.questions]
    assert shares == sorted(shares, reverse=True)
    assert sum(one.contribution for one in found.questions) == pytest.approx(found.gain.gain, abs=1e-6)
    same = side_by_side(figures, better, better)
    assert {one.contribution for one in same.questions} == {0.0} and same.gain.gain == 0
    assert {cell.gain for one in same.questions for cell in one.cells if cell} == {0.0}


def test_matched_tokens_are_matched(drawn: tuple[Figures, str, str]) -> None:
    """Two programs whose curves span the levels spend the same at them, over all questions."""
    figures, better, _ = drawn
    found = side_by_side(figures, better, figures.baselines["cmc"])
    cells = [cell for one in found.questions for cell in one.cells if cell]
    assert sum(cell.more_tokens for cell in cells) == pytest.approx(0, abs=1e-6 * sum(c.tokens[1] for c in cells))


def test_a_question_is_shown_where_it_was_asked(figures: Figures) -> None:
    """A real run, of which the second environment is taken to have another name for its last question."""
    refs = figures.run.environments
    other = replace(refs[1], clusters=(*refs[1].clusters[:-1], "own"))
    parted = Figures(figures.archive, replace(figures.run, environments=(refs[0], other)))
    hashes = [row.hash for row in parted.confirmed.values() if row.hash]
    found = side_by_side(parted, hashes[-1], hashes[0])
    there = {one.question: tuple(cell is not None for cell in one.cells) for one in found.questions}
    alone_in = {refs[0].clusters[-1]: (True, False), "own": (False, True)}
    assert there == {name: alone_in.get(name, (True, True)) for name in parted.questions}


def test_what_was_not_confirmed_is_named(drawn: tuple[Figures, str, str]) -> None:
    figures, better, _ = drawn
    with pytest.raises(InputError, match="ffffffffff: not confirmed in run-1"):
        side_by_side(figures, better, "f" * 64)
