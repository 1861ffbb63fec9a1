"""What programs and models wrote, made fit for a prompt: it prints, it is bounded, and it stays where it is put."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from autotts.prompts.records import Shown, Tried
from autotts.sandbox.text import printable

__all__ = ["MOST_TRIED", "excerpt", "fenced", "one_line", "shown", "text_of", "tried_of"]

NAME, IDEA, MESSAGE, TOOL = 80, 200, 400, 1000
"""Characters of a name (id, agent, outcome), of an idea, of a message, of what a tool says of itself."""

SOURCE, EVIDENCE = 40_000, 12_000
"""Characters of a program and of a piece of evidence: some 10,000 and 4,000 tokens."""

MOST_TRIED, MOST_POINTS = 60, 32
"""Lines of what was tried, the newest; points of a curve."""

AROUND = 3
"""Lines that are shown before and after the one where a program failed."""

_BACKTICKS = re.compile("`+")


def one_line(text: str, most: int) -> str:
    """A text as one printable line of at most `most` characters."""
    # The cut comes first, so that a text of megabytes is not looked at as a whole.
    words = " ".join(printable(text[: 4 * most]).split())
    return words if len(words) <= most and len(text) <= 4 * most else words[: most - 1].rstrip() + "…"


def text_of(text: str, most: int) -> str:
    """A text of several lines, printable, cut at the end of a line where it is longer than `most` characters."""
    plain = text[:most].replace("\r\n", "\n").replace("\r", "\n")
    kept = printable(plain, newlines=True).rstrip("\n")
    if len(text) <= most:
        return kept
    kept = kept.rpartition("\n")[0] or kept
    left = len(text) - len(kept)
    return f"{kept}\n… (cut here: {left:,} more characters)"


def fenced(text: str, language: str = "") -> str:
    """A code block around a text, of a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def shown(program: Shown, source: bool = True) -> Shown:
    """A program whose texts can be put into a prompt; without its source where that is not to be shown."""
    return replace(
        program,
        id=one_line(program.id, NAME),
        idea=one_line(program.idea, IDEA),
        source=text_of(program.source, SOURCE) if source else "",
        gain=_finite(program.gain),
        gain_se=_finite(program.gain_se),
        points=program.points[:MOST_POINTS],
    )


def tried_of(proposals: Sequence[Tried]) -> list[Tried]:
    """The newest proposals, their texts fit for a prompt."""
    return [
        Tried(
            place=one_line(t.place, NAME),
            id=one_line(t.id, NAME),
            agent=one_line(t.agent, NAME),
            idea=one_line(t.idea, IDEA),
            outcome=one_line(t.outcome, NAME),
            message=one_line(t.message, MESSAGE),
            gain=_finite(t.gain),
            gain_se=_finite(t.gain_se),
            parents=tuple(one_line(parent, NAME) for parent in t.parents),
        )
        for t in proposals[-MOST_TRIED:]
    ]


def excerpt(source: str, line: int | None) -> str:
    """The lines of a source around one, numbered, that one marked; "" where there is no such line."""
    lines = source.split("\n")
    if line is None or not 1 <= line <= len(lines):
        return ""
    first, last = max(1, line - AROUND), min(len(lines), line + AROUND)
    width = len(str(last))
    rows = [f"{'>' if n == line else ' '} {n:>{width}} | {lines[n - 1][: NAME * 2]}" for n in range(first, last + 1)]
    return "\n".join(row.rstrip() for row in rows)
