"""β for a budget of tokens: on spending that is known, and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.cli import _run
from autotts.errors import InputError
from autotts.evaluation.calibration import TOLERANCE, Calibration, calibrate, parse_tokens
from autotts.evaluation.scores import Scores
from tests.test_cli import call, world

__all__ = ["call", "world"]

QUESTIONS = 20


def found(spend: Callable[[float], float], budget: float) -> Calibration:
    """A controller that spends so much at each β, half in one environment and one and a half in the other."""
    dear = np.linspace(0.5, 1.5, QUESTIONS)

    def measure(betas: tuple[float, ...]) -> Scores:
        assert all(0 <= beta <= 1 for beta in betas)
        tokens = np.array([[[scale * spend(b) * q for q in dear] for b in betas] for scale in (0.5, 1.5)])
        accuracy = np.array([[[0.5 + 0.4 * b for _ in dear] for b in betas] for _ in (0, 1)])
        return Scores(accuracy, tokens, np.tile(np.arange(QUESTIONS), (2, 1)), np.ones(2))

    return calibrate(measure, budget, resamples=200)


@given(st.floats(1.0, 6.0), st.floats(0.0, 1.0))
@settings(deadline=None, max_examples=40)
def test_the_budget_is_met_to_one_percent_where_spending_is_smooth(power: float, share: float) -> None:
    budget = 1000 + 99_000 * share
    answer = found(lambda beta: 1000 + 99_000 * beta**power, budget)
    assert answer.within and answer.step is None and not answer.falling
    assert answer.tokens == pytest.approx(budget, rel=TOLERANCE)
    low, high = answer.beta_ci95
    assert 0 <= low <= high <= 1 and low - 0.01 <= answer.beta <= high + 0.01
    assert answer.tokens_ci95[0] < answer.tokens < answer.tokens_ci95[1]
    assert answer.accuracy == pytest.approx(0.5 + 0.4 * answer.beta)
    assert [t for t, _ in answer.by_environment] == pytest.approx([0.5 * answer.tokens, 1.5 * answer.tokens])
    assert len(answer.measured) <= 36


def test_where_spending_jumps_it_is_below_and_says_what_mixing_gives() -> None:
    answer = found(lambda beta: 1000.0 * (2 + round(4 * beta)), 3600)
    assert answer.within and answer.tokens == pytest.approx(3000) and answer.beta == pytest.approx(0.375, abs=1e-4)
    assert answer.step is not None and answer.step.tokens == pytest.approx(4000)
    assert answer.step.beta == pytest.approx(0.375, abs=1e-4) and answer.step.beta > answer.beta
    assert answer.step.share == pytest.approx(0.6)


@pytest.mark.parametrize(("budget", "beta"), [(10, 0.0), (10_000, 1.0)])
def test_budgets_beyond_what_it_spends(budget: float, beta: float) -> None:
    answer = found(lambda beta: 1000 + 1000 * beta, budget)
    assert not answer.within and answer.beta == beta and answer.step is None
    assert (answer.least, answer.most) == pytest.approx((1000, 2000))


def test_the_ends_themselves_are_within() -> None:
    assert found(lambda beta: 1000 + 1000 * beta, 1995).within
    assert found(lambda beta: 1000 + 1000 * beta, 1000).beta == 0


def test_spending_that_falls_is_told_and_does_not_mislead() -> None:
    answer = found(lambda beta: 1000 + 4000 * abs(beta - 0.5), 2100)
    assert answer.within and answer.tokens == pytest.approx(2100, rel=TOLERANCE) and answer.falling
    falling = found(lambda beta: 3000 - 2000 * beta, 2110)
    assert falling.within and falling.tokens == pytest.approx(2110, rel=TOLERANCE)


def test_budgets_as_people_write_them() -> None:
    assert [parse_tokens(text) for text in ("200k", "1.5M", " 200000 ", "2e5", "0.5m")] == [2e5, 1.5e6, 2e5, 2e5, 5e5]
    for text in ("", "k", "-3k", "0", "nan", "inf", "many", "1kk", "1e400"):
        with pytest.raises(InputError, match="--budget"):
            parse_tokens(text)


def test_the_command_on_shipped_names_and_files(call: Any) -> None:
    call("export", "sc", "-o", "own.py")
    told = call("calibrate", "own.py", "--env", "tiny.jsonl", "--budget", "20k", "--seeds", "2", "--json")
    answer = json.loads(told)
    assert answer["within"] and answer["program"] == "own.py"
    assert answer["step"] is not None or answer["tokens"] == pytest.approx(20_000, rel=TOLERANCE)
    (row,) = answer["by_environment"]
    assert row["environment"] == "tiny/tiny" and 1 < row["accuracy"] <= 100
    shown = call("calibrate", "sc", "--env", "tiny.jsonl", "--budget", "20000", "--seeds", "2")
    assert "20,000 mean tokens a question" in shown and "crosses the budget" in shown
    assert "--budget" in call("calibrate", "sc", "--budget", "few", code=2)


def test_the_command_says_where_the_range_ends(call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    call("calibrate", "sc", "--env", "tiny.jsonl", "--budget", "9M", "--seeds", "1", code=1)
    assert _run(["calibrate", "sc", "--env", "tiny.jsonl", "--budget", "5", "--seeds", "1"]) == 1
    assert "no β spends that; its least is" in capfd.readouterr().out
