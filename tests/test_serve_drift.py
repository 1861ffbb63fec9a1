"""Drift: how often windows of requests are called different where nothing is, and where something is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autotts.errors import InputError
from autotts.evaluation import Evaluator, Protocol, shipped
from autotts.live.serve.baseline import episodes_of
from autotts.live.serve.drift import MEASURES, Drift, Report, measures_of
from autotts.live.serve.log import AccessLog
from autotts.replay import Environment
from autotts.sandbox import Sandbox
from tests.serving import Stub, make_service


def world(draw: np.random.Generator, n: int, each: int, dearer: float = 1.0) -> NDArray[np.float64]:
    """Questions of a skewed kind of difficulty, on which everything depends: (questions, episodes, measures)."""
    hard = draw.beta(1.2, 2.5, (n, 1))
    branches = np.clip(4 + draw.poisson(20 * hard, (n, each)), 1, 64)
    tokens = branches * draw.lognormal(8 + hard, 0.4, (n, each)) * dearer
    confidence = np.clip(1 - hard * draw.uniform(0.3, 1, (n, each)), 0.05, 1)
    return np.stack([confidence, tokens, tokens / branches, branches], axis=2)


def told(drift: Drift, requests: NDArray[np.float64]) -> list[Report]:
    """What requests, (requests, measures), come to."""
    rows = [SimpleNamespace(confidence=row[0], tokens=row[1], branches=row[3]) for row in requests]
    return [report for row in rows if (report := drift.add(row)) is not None]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("questions", "window", "worlds"), [(30, 50, 25), pytest.param(60, 200, 100, marks=pytest.mark.slow)]
)
def test_false_alarms_are_as_rare_as_is_said_and_a_third_more_tokens_is_found(
    questions: int, window: int, worlds: int
) -> None:
    false = found = 0
    for k in range(worlds):
        draw = np.random.default_rng(k)
        drift = Drift(world(draw, questions, 8), window, false_alarms=0.05)
        false += sum(report.alarm for report in told(drift, world(draw, 4 * window, 1)[:, 0]))
        found += told(drift, world(draw, window, 1, 1.5)[:, 0])[0].alarm
    # Twice the rate: 100 windows or more come to that about once in fifty times; these are the same in every run.
    assert 0 < false <= 0.1 * 4 * worlds
    assert found >= 0.8 * worlds


def test_the_threshold_is_what_was_asked_for() -> None:
    episodes = world(np.random.default_rng(0), 60, 8)
    rare, often = (Drift(episodes, 100, false_alarms=rate).threshold for rate in (0.001, 0.2))
    assert 1.2 < often < 2.8 < rare < 6
    assert Drift(episodes, 100).threshold == Drift(episodes, 100).threshold


def test_a_measure_that_never_varies_is_no_alarm_until_it_does() -> None:
    episodes = world(np.random.default_rng(0), 30, 8)
    episodes[..., 1], episodes[..., 2], episodes[..., 3] = 6400, 100, 64
    drift = Drift(episodes, 50)
    same = world(np.random.default_rng(1), 50, 1)[:, 0]
    same[:, 1], same[:, 3] = 6400, 64
    (report,) = told(drift, same)
    assert [m.z for m in report.measures][1:] == [0, 0, 0]
    same[:, 1] = 6464
    (report,) = told(drift, same)
    assert [m.name for m in report.measures if m.differs][-2:] == ["tokens", "tokens_per_branch"]


def test_windows_do_not_overlap_and_say_what_differs() -> None:
    episodes = world(np.random.default_rng(0), 30, 8)
    drift = Drift(episodes, 20)
    calm = np.tile(episodes.mean(axis=(0, 1)), (19, 1))
    assert told(drift, calm) == [] and drift.report is None
    (report,) = told(drift, 3 * calm[:1])
    assert report is drift.report and report.requests == 20
    reports = told(drift, np.concatenate([3 * calm, 3 * calm])[:21])
    assert len(reports) == 1 and reports[0].alarm
    assert "tokens" in str(reports[0]) and set(reports[0].as_json["measures"]) == set(MEASURES)


def test_few_questions_tell_no_drift() -> None:
    with pytest.raises(InputError, match="14 questions are too few"):
        Drift(world(np.random.default_rng(0), 14, 8))


def test_no_votes_are_no_confidence() -> None:
    assert measures_of(None, 0, 0) == (0, 0, 0, 0)
    assert measures_of(0.5, 300, 3) == (0.5, 300, 100, 3)


@pytest.mark.parametrize("name", ["sc", "cmc", "parallel_probe"])
def test_the_reference_is_what_the_controller_does_on_the_environment(name: str, worlds: list[Environment]) -> None:
    seeds = 3
    isolating: dict[str, Any] = {"sandbox": Sandbox, "reduced": False, "notice": print}
    found = episodes_of(shipped(name), worlds, 0.4, seeds=seeds, **isolating)
    with Evaluator(worlds, workers=1) as evaluator:
        results = evaluator.confirmed(shipped(name), Protocol((0.4,), tuple(range(seeds))))
    assert found.shape == (sum(len(world.questions) for world in worlds), seeds, len(MEASURES))
    assert found[..., 1].sum(axis=1).tolist() == [n for result in results for n in result.tokens[0]]
    assert found[..., 3].sum(axis=1).tolist() == [n for result in results for n in result.branches[0]]
    assert ((found[..., 0] >= 0) & (found[..., 0] <= 1)).all() and found[..., 0].max() > 0


@pytest.mark.asyncio
async def test_requests_that_differ_are_told_in_log_metrics_and_answers() -> None:
    from autotts.live.serve.schema import Ask

    said: list[str] = []
    episodes = (
        np.broadcast_to(np.array([0.75, 500.0, 125.0, 4.0]), (20, 4, 4)) * np.linspace(0.9, 1.1, 20)[:, None, None]
    )
    drift = Drift(episodes, 25)
    service = make_service(Stub(), AccessLog(notice=said.append), drift)
    for _ in range(25):
        await service.begin(Ask("1", 0.5))  # takes 1,000 tokens
    for _ in range(25):
        await service.begin(Ask("1", 0.9))  # at another β
        await service.begin(Ask("1", 0.5, most_tokens=10))  # which was cut
    text = service.metrics.text().decode()
    assert len(said) == 1 and said[0].startswith("drift: the last 25 requests differ from the environment: tokens")
    assert 'autotts_drift_alarm{measure="tokens"} 1.0' in text
    assert 'autotts_drift_alarm{measure="confidence"} 0.0' in text
    assert drift.report is not None and drift.report.as_json["measures"]["tokens"]["mean"] == 1000
