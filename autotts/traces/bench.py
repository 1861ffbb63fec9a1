"""A bench: every instrument and measurement on the search split, behind one door for agents and for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autotts.evaluation import SHIPPED, EnvironmentResult, Evaluator, Program, Protocol, shipped
from autotts.replay import Environment
from autotts.traces._table import Evidence

__all__ = ["Bench", "Draft"]


@dataclass(frozen=True)
class Draft:
    """A measured program: what there is to read, and its gain at matched tokens (a fraction) with its error."""

    text: str
    gain: float
    gain_se: float


@dataclass
class Bench:
    """Instruments over environments.

    Args:
        environments: the search split.
        evaluator: runs programs in the sandbox, on these environments.
        protocol: what a draft is measured on.
        reference: what gains are measured against.
    """

    environments: Sequence[Environment]
    evaluator: Evaluator
    protocol: Protocol
    reference: str = "cmc"
    _results: dict[str, list[EnvironmentResult]] = field(init=False, default_factory=dict)

    def baseline(self, name: str) -> Program | None:
        """A shipped controller of this name."""
        return shipped(name) if name in SHIPPED else None

    def check(self, program: Program) -> None:
        """Policy, schedule and smoke episodes.

        Raises:
            ProgramError: the typed outcome.
        """
        self.evaluator.check(program)

    def measure(self, program: Program) -> Draft:
        """Screening episodes of a draft: its curve and gain."""
        raise NotImplementedError

    def credit(self, program: Program) -> Evidence:
        """Credit per source line."""
        raise NotImplementedError

    def failures(self, program: Program) -> Evidence:
        """Failure kinds."""
        raise NotImplementedError

    def episode(self, program: Program, environment: str, question: int, seed: int, beta: float) -> Evidence:
        """One episode as a timeline."""
        raise NotImplementedError

    def compare(self, a: Program, b: Program) -> Evidence:
        """Two programs at matched tokens."""
        raise NotImplementedError

    def states(self, split_by: str | None) -> Evidence:
        """Value of continuing."""
        raise NotImplementedError

    def branches(self, feature: str | None) -> Evidence:
        """Within-question AUC."""
        raise NotImplementedError

    def difficulty(self) -> Evidence:
        """Where the tokens go."""
        raise NotImplementedError

    def ceilings(self) -> Evidence:
        """What voting can attain."""
        raise NotImplementedError
