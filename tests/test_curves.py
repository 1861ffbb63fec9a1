"""Curves and two programs side by side, from the archive alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autotts.archive import Archive, Evaluation, Program, Proposal, Verdict
from autotts.errors import InputError
from autotts.evaluation import Curve, Evaluator, shipped
from autotts.evaluation.statistics import ci95_accuracy
from autotts.search.curves import curves
from autotts.search.figures import Figures
from autotts.search.runs import run_environments
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
