"""Numbers that are written in a program's `schedule`: where they are, and the same program with others in their place.

The host never parses a program's source, for parsers have bombs. A child in the jail does, and says where literals
stand; what it says is checked to be literals, and the host puts other texts there itself. A child that lies can so do
no more than name other numbers of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from autotts.errors import CpuLimit, OutputLimit, WallTimeout
from autotts.evaluation.wire import LITERAL, MAX_LITERALS, MAX_PLACES
from autotts.sandbox import Limits, Sandbox

__all__ = ["Constant", "constants_of", "rewritten"]

ENTRY = "autotts.evaluation.constants_child:main"
LIMITS = Limits(cpu_seconds=2.0, wall_seconds=8.0)

_BESIDE = re.compile(r"[\w.]")
"""What a literal has on neither side: there it would be a part of a name or of another number."""


@dataclass(frozen=True)
class Constant:
    """A literal of a program's text, greater than 0: an int where it is written as one.

    Attributes:
        start, end: its place among the characters of the source.
        text: what stands there.
    """

    start: int
    end: int
    text: str

    @property
    def whole(self) -> bool:
        """Whether it is written as a whole number."""
        return self.text.isdecimal()

    @property
    def value(self) -> float:
        """The number."""
        return float(self.text)


def constants_of(source: str, sandbox: Sandbox) -> tuple[Constant, ...]:
    """The literals greater than 0 in the `schedule` of a program, in their order; the digits of `round` are none.

    Args:
        source: of a program with `schedule` and `solve`.
        sandbox: where it is parsed.

    Raises:
        ProgramError: the typed outcome of the parsing child, `OutputLimit` also where it does not tell of literals.
    """
    try:
        frame = _asked(source, sandbox)
    except (CpuLimit, WallTimeout):
        frame = _asked(source, sandbox)  # the clock may have been the machine's fault
    try:
        places = json.loads(frame)
    except (ValueError, RecursionError):
        places = None
    if not _are_places(places, source):
        raise OutputLimit("what was said of the schedule's constants names no literals of the program")
    return tuple(Constant(start, end, source[start:end]) for start, end in places)


def rewritten(source: str, constants: Sequence[Constant], texts: Sequence[str]) -> str:
    """The source with another text in the place of each constant; they are in their order."""
    parts, place = [], 0
    for constant, text in zip(constants, texts, strict=True):
        parts += [source[place : constant.start], text]
        place = constant.end
    return "".join([*parts, source[place:]])


def _asked(source: str, sandbox: Sandbox) -> bytes:
    with sandbox.spawn(ENTRY, LIMITS) as child:
        child.send(source.encode())
        return child.recv(MAX_PLACES)


def _are_places(places: object, source: str) -> bool:
    """Whether a child's answer is a list of (start, end) of literals, one after the other."""
    if type(places) is not list or len(places) > MAX_LITERALS:
        return False
    last = 0
    for place in places:
        if type(place) is not list or len(place) != 2 or any(type(number) is not int for number in place):
            return False
        start, end = place
        if not last <= start < end <= len(source) or not LITERAL.fullmatch(source, start, end):
            return False
        beside = source[max(0, start - 1) : start] + source[end : end + 1]
        if _BESIDE.search(beside) or not 0 < float(source[start:end]) < float("inf"):
            return False
        last = end
    return True
