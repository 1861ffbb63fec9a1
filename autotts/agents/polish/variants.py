"""Variants of a program that differ from it in constants of its schedule only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from autotts.errors import ProgramError
from autotts.evaluation import Program, Protocol
from autotts.evaluation.constants import Constant, rewritten
from autotts.evaluation.statistics import Scores
from autotts.traces.bench import Bench

__all__ = ["FARTHEST", "Trials", "Variant", "moved"]

UNIT = 0.3
"""One step multiplies a number by exp(UNIT); a share between 0 and 1 its odds, so that it stays one."""

QUIET = 0.25
"""Steps smaller than this are none: a constant is changed for good, or stays as it is."""

FARTHEST = 4.0
"""Steps that a constant may move either way: a factor of 3.3."""

DIGITS = 3
"""Significant digits of a new number."""


def moved(constant: Constant, step: float) -> str:
    """What to write for a constant some steps away: a whole number stays one, and positive.

    Args:
        constant: as it is.
        step: how far, in units of `UNIT`.
    """
    if abs(step) < QUIET:
        return constant.text
    value, factor = constant.value, math.exp(UNIT * step)
    if constant.whole:
        text = str(max(1, round(value * factor)))
    elif value < 1:
        odds = value / (1 - value) * factor
        text = repr(float(f"{odds / (1 + odds):.{DIGITS}g}"))
    else:
        text = repr(float(f"{value * factor:.{DIGITS}g}"))
    return constant.text if float(text) == value else text


@dataclass(frozen=True)
class Variant:
    """A program with other constants.

    Attributes:
        source: of the program that it was made from.
        constants: that may move, in their order.
        steps: how far each was moved.
    """

    source: str = field(repr=False)
    constants: tuple[Constant, ...]
    steps: tuple[float, ...]

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """What is written for each constant."""
        return tuple(moved(constant, step) for constant, step in zip(self.constants, self.steps, strict=True))

    @cached_property
    def program(self) -> Program:
        """The variant itself."""
        return Program.from_source(rewritten(self.source, self.constants, self.texts))

    @property
    def changes(self) -> tuple[tuple[Constant, str], ...]:
        """The constants that are others, and what is written for them."""
        pairs = zip(self.constants, self.texts, strict=True)
        return tuple((constant, text) for constant, text in pairs if text != constant.text)

    @property
    def distance(self) -> tuple[int, int]:
        """How far it is from its parent: constants that changed, then thousandths of a step by which they did."""
        pairs = zip(self.constants, self.texts, self.steps, strict=True)
        sizes = [abs(step) for constant, text, step in pairs if text != constant.text]
        return len(sizes), round(1000 * math.hypot(*sizes))

    def stepping(self, steps: Sequence[float]) -> Variant:
        """The variant that is so far from the parent."""
        return Variant(self.source, self.constants, tuple(steps))

    def without(self, place: int) -> Variant:
        """The same with one constant as it was."""
        return self.stepping([0.0 if k == place else step for k, step in enumerate(self.steps)])


@dataclass
class Trials:
    """Measured variants; one of the same text is measured once.

    Args:
        bench: measures.
        protocol: what they are measured on.
        go_on: called before each measurement; it raises where there is no time for more.
        known: what was measured, by the program's hash.
    """

    bench: Bench
    protocol: Protocol
    go_on: Callable[[], None]
    known: dict[str, tuple[Variant, Scores | None]] = field(default_factory=dict)

    def scores(self, variant: Variant) -> Scores | None:
        """What a variant attains; None where it ends in a typed outcome."""
        key = variant.program.hash
        if key not in self.known:
            self.known[key] = variant, self._measured(variant)
        return self.known[key][1]

    def _measured(self, variant: Variant) -> Scores | None:
        self.go_on()
        try:
            return self.bench.scores(variant.program, self.protocol)
        except ProgramError:
            return None
