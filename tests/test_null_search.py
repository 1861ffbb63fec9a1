"""The report calls nothing better that is not, at its nominal rate, and what is better it does.

A null search proposes programs that are no better than their parents; the report's level is 2.5 %, one-sided. Two
kinds: searches in the sandbox whose agent changes constants at random, and searches whose figures are drawn (without a
sandbox, so that there may be many), in which the lucky become parents.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from autotts.agents import Context, Proposal
from autotts.archive import Archive
from autotts.evaluation.champion import LEVEL
from autotts.search.report import Report, report
from tests.fake_runs import FakeRun
from tests.nulls import TUNED, Perturbing, null_search

SEARCHES = 100
"""Of the long form; searches 0 … 99 are drawn from seeds 0 … 99."""


def drawn(path: Path, seed: int, rounds: int = 5, lift: float | None = None) -> Report:
    """The report of a null search whose figures are drawn; with a lift, its last program is really better."""
    with Archive(path) as archive:
        run = FakeRun(archive, seed=seed)
        run.climb(rounds, 6)
        if lift is not None:
            run.add(rounds + 1, 0, run.luck(lift), parents=run.best(1))
        found = report(archive, "run-1")
    assert found is not None
    return found


def at_most(searches: int) -> int:
    """How many of so many may be called better at the level: its mean and two standard deviations."""
    return math.floor(LEVEL * searches + 2 * math.sqrt(LEVEL * (1 - LEVEL) * searches))


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_no_champion_of_a_search_that_changes_constants_at_random_is_called_better(seed: int, tmp_path: Path) -> None:
    found = null_search(tmp_path / "a.db", [Perturbing()], seed)
    assert found is not None and found.candidates > 1 and found.over("parent") is not None
    assert not any(versus.better for versus in found.versus)


def test_the_lucky_are_not_called_better(tmp_path: Path) -> None:
    for seed in range(4):
        found = drawn(tmp_path / f"{seed}.db", seed, rounds=3)
        assert not any(versus.better for versus in found.versus)
        reference = found.over("reference")
        assert reference is not None and reference.corrected < reference.difference.gain
        assert found.over("parent") is None or found.candidates == 18


class Improving(Perturbing):
    """Proposes a program that is really better than what it came from: it votes, and reads on."""

    name = "improving"

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        cheap = [candidate for candidate in context.candidates if candidate.round]
        if cheap:
            return Proposal(TUNED.format(n=3.5, more=6.0, depth=4.0, deeper=5.0), parents=(cheap[0].id,), answer="")
        return Proposal(TUNED.format(n=1.0, more=1.0, depth=0.0, deeper=0.0), parents=(), answer="")


def test_what_is_really_better_is_called_better(tmp_path: Path) -> None:
    found = null_search(tmp_path / "a.db", [Improving()], 1, rounds=2, proposals_per_round=1)
    assert found is not None
    parent = found.over("parent")
    assert parent is not None and parent.better and parent.corrected > 0.05


def test_one_better_program_among_many_equals_is_found(tmp_path: Path) -> None:
    found = drawn(tmp_path / "a.db", 0, rounds=3, lift=0.25)
    parent = found.over("parent")
    assert found.champion.idea == "Program 4.0" and parent is not None and parent.better


@pytest.mark.slow
def test_null_searches_are_called_better_at_most_at_the_nominal_rate(tmp_path: Path) -> None:
    found = [drawn(tmp_path / f"{seed}.db", seed) for seed in range(SEARCHES)]
    for role in ("parent", "ancestor", "reference"):
        beside = [versus for one in found if (versus := one.over(role)) is not None]
        called = sum(versus.better for versus in beside)
        assert called <= at_most(len(beside)), f"{called} of {len(beside)} called better than the {role}"
    known = [versus for one in found if (versus := one.over("reference")) is not None]
    assert sum(v.corrected for v in known) < 0.35 * sum(v.difference.gain for v in known)


@pytest.mark.slow
def test_searches_that_change_constants_at_random_at_most_at_the_nominal_rate(tmp_path: Path) -> None:
    found = [null_search(tmp_path / f"{seed}.db", [Perturbing()], seed) for seed in range(3, 28)]
    beside = [versus for one in found if one is not None and (versus := one.over("parent")) is not None]
    assert len(beside) > 8
    assert sum(versus.better for versus in beside) <= at_most(len(beside))
