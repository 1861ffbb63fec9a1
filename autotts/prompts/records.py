"""What prompts are made of, and what they are."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Prompt", "Shown", "Tried"]


@dataclass(frozen=True)
class Shown:
    """A program as a prompt shows it.

    Attributes:
        id, idea, source: of the program.
        gain, gain_se: gain at matched tokens over the reference in points, None where not measured.
        points: (β, accuracy percent, tokens a question) of its confirmed mean curve.
    """

    id: str
    idea: str
    source: str
    gain: float | None
    gain_se: float | None
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Tried:
    """A proposal of the past, in a line.

    Attributes:
        place: round and slot, "3.1".
        id: of its program, "" where the answer held none.
        agent: who wrote it.
        idea: of the program.
        outcome: "ok", or the typed outcome that rejected it.
        message: the cause of the rejection, or what else is to be said.
        gain, gain_se: gain at matched tokens over the reference in points, None where not measured.
        parents: ids of the programs that it was made from.
    """

    place: str
    id: str
    agent: str
    idea: str
    outcome: str
    message: str
    gain: float | None
    gain_se: float | None
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt.

    Attributes:
        name: of its template.
        text: what is sent.
        hash: SHA-256 (hex) of the template's source, and of those that it includes, if any; never of what was put in.
    """

    name: str
    text: str
    hash: str
