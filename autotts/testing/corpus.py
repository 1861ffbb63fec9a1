"""How an attack is tried: screened and confirmed like any program, and its figures held against honest ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from autotts.errors import ProgramError
from autotts.evaluation import EnvironmentResult, Evaluator, Program, Protocol
from autotts.replay import Environment, Question, Trajectory
from autotts.sandbox import Limits, SandboxFactory
from autotts.testing.hostile._attack import controller
from autotts.testing.hostile.others import CANARY

__all__ = ["CONFIRM", "SCREEN", "Unguarded", "Verdict", "corpus_evaluator", "judge", "world"]

BETAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SCREEN, CONFIRM = Protocol(BETAS, (0, 1)), Protocol(BETAS, (0, 1, 2))
LIMITS = Limits(cpu_seconds=0.5, wall_seconds=6.0)

# What attacks may import: after lock-down nothing comes from the disk.
_MODULES = (
    "atexit ctypes encodings.idna gc greenlet importlib.util mmap multiprocessing multiprocessing.context "
    "multiprocessing.popen_fork os re resource signal socket subprocess sys threading time urllib.request"
)


class Unguarded(Evaluator):
    """An evaluator whose children know no policy. For tests of a jail; it is never what a search runs in."""

    _entry: ClassVar[str] = "autotts.testing.entries:unguarded"
    _preload: ClassVar[tuple[str, ...]] = ("autotts.testing.entries", *_MODULES.split(), "numpy")


@dataclass(frozen=True)
class Verdict:
    """What became of a program: its outcome ("ok" or the type), the message, and whether its figures are honest."""

    outcome: str
    message: str = ""
    honest: bool = False


def world() -> Environment:
    """A few questions with gold that would be found wherever it were."""
    rng = random.Random("corpus")
    questions = []
    for q in range(4):
        branches = []
        for _ in range(16):
            final = CANARY if rng.random() < (q + 1) / 5 else rng.choice(["7", "8", "9"])
            probes = tuple(rng.choice([final, "7", "ERR"]) for _ in range(rng.randint(1, 6)))
            branches.append(Trajectory(probes, 500 * len(probes) + rng.randint(-200, 499), final))
        questions.append(Question(f"q{q}", f"Question {q}", CANARY, tuple(branches)))
    return Environment("corpus", "hostile", 500, tuple(questions), max_branches=12)


def corpus_evaluator(sandbox: SandboxFactory, policy: bool) -> Evaluator:
    """An evaluator over `world` with tight limits; without the policy, the jail stands alone."""
    kind = Evaluator if policy else Unguarded
    return kind([world()], workers=1, sandbox=sandbox, reduced=True, memory_mb=64, smoke=LIMITS)


def judge(evaluator: Evaluator, source: str) -> Verdict:
    """Check, screen and confirm a program, as a search does.

    An end that is "ok" is `honest` when the confirmed figures are those of the program without the hostile lines.
    """
    class_name = "OptimalController" if "\nclass OptimalController" in source else None
    program = Program.from_source(source, class_name=class_name)
    try:
        work = evaluator.begin(program, SCREEN)
        confirmed = evaluator.confirm(work, CONFIRM, evaluator.play(work))
    except ProgramError as error:
        return Verdict(error.outcome, error.message)
    if class_name:
        return Verdict("ok", honest=True)  # its figures have no honest twin: what it may do is in its outcomes
    plain = evaluator.run(Program.from_source(controller()), CONFIRM, "confirm")
    return Verdict("ok", honest=_figures(confirmed) == _figures(plain))


def _figures(results: Sequence[EnvironmentResult]) -> list[list[int]]:
    return [
        values.ravel().tolist()
        for result in results
        for values in (result.right, result.tokens, result.sequential_tokens, result.branches)
    ]
