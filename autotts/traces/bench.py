"""A bench: every instrument and measurement on the search split, behind one door for agents and for people."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from autotts.errors import InputError
from autotts.evaluation import SHIPPED, EnvironmentResult, Evaluator, Program, Protocol, shipped
from autotts.evaluation.statistics import Scores
from autotts.evaluation.tracing import EpisodeTrace
from autotts.replay import Environment
from autotts.sandbox import Sandbox
from autotts.traces._credit import LineCredit, credit, gutter
from autotts.traces._credit import credit_by_line as lines_of
from autotts.traces._failures import failures
from autotts.traces._rerun import overridden
from autotts.traces._table import Evidence
from autotts.traces._timeline import episode, timeline
from autotts.traces.branches import branches
from autotts.traces.ceilings import ceilings
from autotts.traces.compare import compare
from autotts.traces.difficulty import difficulty
from autotts.traces.features import BRANCH_FEATURES, STATE_FEATURES
from autotts.traces.measure import measured, scores_of
from autotts.traces.states import states

__all__ = ["Bench", "Draft"]

KEPT = 32
"""Programs whose results stay at hand, and findings that do not depend on a program."""

TRACED = 4
"""Programs whose traces stay at hand; they are larger."""

T = TypeVar("T")


@dataclass(frozen=True)
class Draft:
    """A measured program: what there is to read, and its gain at matched tokens (a fraction) with its error."""

    text: str
    gain: float
    gain_se: float


@dataclass
class Bench:
    """Instruments over environments. Everything is from the search split; what a program did is asked for once.

    Args:
        evaluator: runs programs in the sandbox, on its environments.
        protocol: what a draft is measured on, in screening episodes.
        reference: what gains are measured against.
    """

    evaluator: Evaluator
    protocol: Protocol
    reference: str = "cmc"
    _results: _Shelf[list[EnvironmentResult]] = field(init=False, default_factory=lambda: _Shelf(KEPT))
    _traces: _Shelf[list[EpisodeTrace]] = field(init=False, default_factory=lambda: _Shelf(TRACED))
    _found: _Shelf[Evidence] = field(init=False, default_factory=lambda: _Shelf(KEPT))

    @property
    def environments(self) -> Sequence[Environment]:
        """The search split."""
        return self.evaluator.environments

    def baseline(self, name: str) -> Program | None:
        """A shipped controller of this name."""
        return shipped(name) if name in SHIPPED else None

    def check(self, program: Program) -> None:
        """Policy, schedule and smoke episodes.

        Raises:
            ProgramError: the typed outcome.
        """
        self.evaluator.check(program)

    # ---- programs ----------------------------------------------------------------------------------------------

    def measure(self, program: Program) -> Draft:
        """Screening episodes of a draft: its curve, and its gain over the reference.

        Raises:
            ProgramError: the typed outcome.
        """
        names = (program.name or program.id, self.reference)
        found, gain = measured(
            self.environments, self._run(program), self._run(shipped(self.reference)), self.protocol, names=names
        )
        return Draft(found.text(), gain.value, gain.se)

    def scores(self, program: Program, protocol: Protocol) -> Scores:
        """Screening episodes of a program under a protocol, by question; not kept, for there may be many such programs.

        Raises:
            ProgramError: the typed outcome.
        """
        return scores_of(self.environments, protocol.betas, self.evaluator.run(program, protocol))

    def compare(self, a: Program, b: Program) -> Evidence:
        """Two programs at matched tokens, by question and model."""
        names = (a.name or a.id, b.name or b.id)
        return compare(self._run(a), self._run(b), self.environments, self.protocol.betas, names=names)

    def credit(self, program: Program) -> Evidence:
        """Credit per source line."""
        return credit(self._trace(program), self.environments, program)

    def overridden(self, program: Program, line: int) -> Evidence:
        """What a line's decisions do, by running the program again with them overridden."""
        return overridden(self.evaluator, program, line, self._trace(program))

    def lines(self, program: Program) -> list[LineCredit]:
        """Credit per source line as figures."""
        return lines_of(self._trace(program), self.environments)

    def gutter(self, program: Program) -> str:
        """The source with each line's credit beside it."""
        return gutter(self.lines(program), program)

    def failures(self, program: Program) -> Evidence:
        """Failure kinds."""
        return failures(self._trace(program), self.environments)

    def episode(self, program: Program, environment: str, question: int | str, seed: int, beta: float) -> Evidence:
        """One episode as a timeline.

        Args:
            program: what plays.
            environment: its name, or a part of it that no other has.
            question: its number from 1, or its id or the beginning of it, as `compare` names it.
            seed, beta: of the episode.

        Raises:
            InputError: no such environment, question or β.
            ProgramError: the typed outcome.
        """
        fitting = [e for e in self.environments if environment == e.name] or [
            e for e in self.environments if environment in e.name
        ]
        if len(fitting) != 1:
            names = ", ".join(e.name for e in self.environments)
            what = (
                "no environment has this in its name" if not fitting else "several environments have this in their name"
            )
            raise InputError(f"{environment}: {what}; there are {names}")
        number = _number_of(fitting[0], question)
        return timeline(episode(self.evaluator, program, fitting[0].name, number, seed, beta), fitting[0])

    # ---- the recordings ----------------------------------------------------------------------------------------

    def states(self, split_by: str | None, finished: int | None = None) -> Evidence:
        """The value of continuing, or undecided states split by a feature (a name, or an expression).

        Args:
            split_by: the feature, None for no split.
            finished: only states with so many finished branches, by the votes of leader and runner-up.
        """

        def find() -> Evidence:
            jail = self._jail(split_by, STATE_FEATURES)
            return states(self.environments, split_by=split_by, finished=finished, sandbox=jail)

        return self._once(f"states {finished} {split_by}", find)

    def branches(self, feature: str | None) -> Evidence:
        """Within-question AUC of the shipped features, or of one (a name, or an expression)."""
        return self._once(
            f"branches {feature}",
            lambda: branches(self.environments, feature, sandbox=self._jail(feature, BRANCH_FEATURES)),
        )

    def difficulty(self) -> Evidence:
        """Where the tokens go."""
        return self._once("difficulty", lambda: difficulty(self.environments))

    def ceilings(self) -> Evidence:
        """What votes can attain, at which tokens."""
        return self._once("ceilings", lambda: ceilings(self.environments))

    def findings(self, program: Program, other: Program) -> dict[str, Callable[[], Evidence]]:
        """Every table by name, to be asked for or not; `compare` is with the other program, where it is another."""
        found: dict[str, Callable[[], Evidence]] = {
            "credit": lambda: self.credit(program),
            "failures": lambda: self.failures(program),
            "states": lambda: self.states(None),
            "branches": lambda: self.branches(None),
            "difficulty": self.difficulty,
            "ceilings": self.ceilings,
        }
        if program.hash != other.hash:
            found["compare"] = lambda: self.compare(program, other)
        return found

    # ---- at hand -----------------------------------------------------------------------------------------------

    def _jail(self, feature: str | None, known: Collection[str]) -> Sandbox | None:
        """Where an expression runs; a shipped feature needs none."""
        return None if feature is None or feature in known else self.evaluator.jail()

    def _run(self, program: Program) -> list[EnvironmentResult]:
        return self._results.get(program.hash, lambda: self.evaluator.run(program, self.protocol))

    def _trace(self, program: Program) -> list[EpisodeTrace]:
        return self._traces.get(program.hash, lambda: self.evaluator.trace(program))

    def _once(self, key: str, find: Callable[[], Evidence]) -> Evidence:
        return self._found.get(key, find)


def _number_of(environment: Environment, question: int | str) -> int:
    """A question's number, from 1, by its number or its id."""
    if isinstance(question, int) or question.isdecimal():
        return int(question)
    fitting = [n for n, q in enumerate(environment.questions, 1) if q.id.startswith(question)]
    if len(fitting) != 1:
        raise InputError(
            f"{question}: the ids of {len(fitting)} questions of {environment.name} begin so; give the whole id, or a "
            f"number from 1 to {len(environment.questions)}"
        )
    return fitting[0]


@dataclass
class _Shelf(Generic[T]):
    """What was found last, by key; the oldest falls off. Several threads may ask at once."""

    most: int
    _found: OrderedDict[str, T] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str, find: Callable[[], T]) -> T:
        """What is there under a key, found where it is not: by two threads, where both miss it at the same time."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        value = find()
        with self._lock:
            self._found[key] = value
            while len(self._found) > self.most:
                self._found.popitem(last=False)
        return value
