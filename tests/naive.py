"""Small environments, and episodes played on the MDP itself with the raw answers in sight."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from autotts.evaluation import clusters_of
from autotts.replay import UNPARSED, Environment, Episode, TableSource, Trajectory, table_of
from autotts.replay.source import branch_order
from autotts.toolkit import vote
from autotts.traces import Evidence
from tests.small import small_environment

SEEDS = (0, 3, 4)


def odd_environment() -> Environment:
    """Ragged: fewer branches here than there, branches without probes, totals below their probes, no parsed answer."""
    base = small_environment("odd", questions=4, branches=9, seed=5)
    rng = random.Random(1)
    questions = []
    for q, question in enumerate(base.questions):
        rows = list(question.branches[: 9 - 2 * q])
        rows[0] = Trajectory((), 120, "42")
        rows[1] = Trajectory(("ERR", "ERR"), 700, "ERR")
        rows[2] = replace(rows[2], tokens=rng.randint(100, 900))
        questions.append(replace(question, branches=tuple(rows)))
    return replace(base, questions=tuple(questions), max_branches=6)


ENVIRONMENTS = [small_environment(), odd_environment(), small_environment("other", questions=5, seed=2)]


def columns(evidence: Evidence) -> dict[str, list[Any]]:
    """The table by column."""
    return {name: [row[k] for row in evidence.rows] for k, name in enumerate(evidence.columns)}


def close(found: Any, wanted: Any) -> bool:
    """Equal as far as floats are; None stands for nan."""
    if found is None or wanted is None or isinstance(found, str):
        return (found is None or found == wanted) and (found is not None or wanted is None)
    return bool(found == pytest.approx(wanted, abs=1e-9, nan_ok=True))


# ---- a naive play ----------------------------------------------------------------------------------------------


class Play:
    """One episode, played on the MDP itself, with the raw answers in sight."""

    def __init__(self, environment: Environment, q: int, seed: int) -> None:
        self.question = environment.questions[q]
        self.order = branch_order(seed, len(self.question.branches))
        table, _ = table_of(self.question)
        self.episode = Episode(
            TableSource(table, seed, environment.interval, environment.max_branches), environment.interval
        )
        self.ceiling = min(environment.max_branches, len(self.order))

    def finish(self, n: int) -> None:
        for _ in range(n):
            i = self.episode.branch()
            if not self.episode.is_finished(i):
                self.episode.finish(i)

    def finals(self) -> list[str]:
        """Of finished branches, in the order of opening."""
        return [self.question.branches[self.order[i]].final for i in sorted(self.episode.finished_branches)]

    def is_right(self, answer: str | None) -> bool:
        return answer == self.question.gold and answer != UNPARSED

    def end(self) -> tuple[bool, int]:
        """Finish all that may be: whether the majority is right, and the tokens that it took."""
        before = self.episode.tokens
        self.episode.finish(self.episode.active)
        self.finish(self.ceiling - len(self.episode.finished_branches))
        return self.is_right(vote(self.finals()).leader), self.episode.tokens - before


def plays() -> Iterator[tuple[int, Environment, int, int]]:
    """(cluster, environment, question, seed) of every episode."""
    clusters = clusters_of(ENVIRONMENTS)
    for e, environment in enumerate(ENVIRONMENTS):
        for q in range(len(environment.questions)):
            for seed in SEEDS:
                yield int(clusters[e, q]), environment, q, seed


Seen = dict[str, Any]
