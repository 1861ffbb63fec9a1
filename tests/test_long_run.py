"""Thousands of candidates, one in five hostile: nothing stays, nothing grows, and no healthy figure moves."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from autotts.agents import Context
from autotts.agents.evolution import EvolutionAgent
from autotts.errors import ProgramError
from autotts.evaluation import Evaluator, Program
from autotts.testing.corpus import CONFIRM, LIMITS, SCREEN, world
from autotts.testing.hostile import ATTACKS
from tests.leaks import COUNTED, WEIGHED, descendants, files, look, most, orphans, soon

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def candidates(n: int) -> Iterator[tuple[bool, str]]:
    """(hostile?, source), the same for the same n; one in five is hostile, each attack before any comes again."""
    agent, nothing = EvolutionAgent(random_only=True), Context(1, 0, (), ())
    attacks = [a for _ in range(1 + n // len(ATTACKS)) for a in random.Random("long run").sample(ATTACKS, len(ATTACKS))]
    for k in range(n):
        hostile = k % 5 == 4
        yield hostile, attacks[k // 5].source if hostile else agent.propose(nothing, random.Random(k)).source


def outcome(evaluator: Evaluator, source: str) -> tuple[str, str]:
    """How it ended, and a digest of all its figures: kept whole, they alone would make the memory grow."""
    program = Program.from_source(source)
    try:
        work = evaluator.begin(program, SCREEN)
        (r,) = evaluator.confirm(work, CONFIRM, evaluator.play(work))
    except ProgramError as error:
        return error.outcome, ""
    figures = (r.right, r.tokens, r.sequential_tokens, r.branches, r.digests)
    return "ok", hashlib.sha256(b"".join(values.tobytes() for values in figures)).hexdigest()


def evaluator_like_the_corpus() -> Evaluator:
    return Evaluator([world()], workers=2, smoke=LIMITS, memory_mb=64)


@pytest.mark.parametrize("n", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_long_run(n: int) -> None:
    files_before, orphans_before, family = files(), orphans(), descendants(os.getpid())
    healthy: dict[int, str] = {}
    kinds: Counter[str] = Counter()
    marks: dict[int, dict[str, int]] = {}
    with evaluator_like_the_corpus() as evaluator:
        for k, (hostile, source) in enumerate(candidates(n), 1):
            ended, figures = outcome(evaluator, source)
            kinds[ended] += 1
            if not hostile:
                healthy[k] = figures
                assert ended == "ok", source
            if k in (n // 4, n):
                marks[k] = look(evaluator)
    early, late = marks[n // 4], marks[n]
    for name in COUNTED:
        assert late[name] == early[name], name
    for name in WEIGHED:
        assert late[name] <= most(early[name]), (name, early, late)
    assert {"PolicyViolation", "CpuLimit", "Crashed", "ok"} <= set(kinds)
    assert descendants(os.getpid()) <= family
    assert soon(lambda: orphans() <= orphans_before)
    assert soon(lambda: files() <= files_before)
    with evaluator_like_the_corpus() as evaluator:
        for k, (hostile, source) in enumerate(candidates(n), 1):
            if not hostile:
                assert outcome(evaluator, source) == ("ok", healthy[k])
