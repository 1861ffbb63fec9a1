"""What an agent is: it sees what was tried and writes the next controller program."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Agent", "Candidate", "Context", "Proposal"]


@dataclass(frozen=True)
class Candidate:
    """A program that the search has told about.

    Attributes:
        id: id in the archive.
        source: the program's text.
        idea: the first line of its docstring.
        agent: name of the agent that wrote it, or of where it came from.
        answer: what the agent stored with it; for evolution the genome as JSON.
        outcome: "ok" or the typed outcome that rejected it.
        gain: gain at matched tokens over the reference, in accuracy from 0 to 1; None where it was not measured.
        gain_se: its standard error over questions.
        front: whether any of its points is on the Pareto front.
        round, slot: when it was proposed.
        parents: ids of the programs that it was made from.
    """

    id: str
    source: str
    idea: str
    agent: str
    answer: str
    outcome: str
    gain: float | None
    gain_se: float | None
    front: bool
    round: int
    slot: int
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """What an agent knows when it is asked.

    Attributes:
        round, slot: which proposal this is.
        candidates: everything told so far, in order, rejects included.
        parents: chosen by the selector for this slot, best first; may be empty.
    """

    round: int
    slot: int
    candidates: tuple[Candidate, ...]
    parents: tuple[Candidate, ...]


@dataclass(frozen=True)
class Proposal:
    """A program that an agent proposes.

    Attributes:
        source: the program's text.
        parents: ids of the candidates that it was made from.
        answer: what the agent wants stored with it.
        prompt: what a model was asked, "" without one.
        usage: tokens by kind.
        cost: in US dollars, None where it is not known.
    """

    source: str
    parents: tuple[str, ...]
    answer: str
    prompt: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    cost: float | None = 0.0


class Agent(Protocol):
    """Writes controller programs. Deterministic given (context, rng) where it calls no model.

    Attributes:
        name: by which it is stored and asked for.
    """

    name: str

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The next program."""
        ...
