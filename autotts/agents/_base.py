"""What an agent is: it sees what was tried and writes the next controller program."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from autotts.agents.history import History
from autotts.evaluation import Program
from autotts.traces.bench import Bench

__all__ = ["Agent", "Candidate", "Context", "Proposal", "Purse"]


@dataclass(frozen=True)
class Candidate:
    """A slot that the search has told about: a program, or why there was none.

    Attributes:
        id: id in the archive, "" where the agent gave no program.
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
        message, line, where: of an outcome that is not "ok".
        points: (β, accuracy from 0 to 1, tokens a question) of its mean curve where it was confirmed.
        class_name: the class to drive for a class-style file, None for a program with `schedule` and `solve`.
        hash: what the archive keeps the program under, "" where there is none.
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
    message: str = ""
    line: int | None = None
    where: str = ""
    points: tuple[tuple[float, float, float], ...] = ()
    class_name: str | None = None
    hash: str = ""

    @property
    def confirmed(self) -> bool:
        """Whether it was confirmed, and so has points."""
        return bool(self.points)

    @property
    def program(self) -> Program:
        """The program itself, by its id."""
        return Program(self.source, self.id, self.class_name)


class Purse(Protocol):
    """What a slot's model calls are paid from. Every call is written down before it is sent, and when it has ended."""

    def recorded(self) -> str | None:
        """The next answer that this slot was given before it was interrupted, in order; None when there is no more."""
        ...

    def begin(self, prompt: str, templates: Mapping[str, str], tokens: int, cost: float | None) -> int:
        """Reserve the most that a call may use; its number.

        Args:
            prompt: what is said that was not said in this slot before.
            templates: hashes of the templates that it was rendered from, by name.
            tokens: the most that it may use.
            cost: the most that it may cost in dollars, None where the price is unknown.

        Raises:
            LimitReached: a budget has no room for it.
        """
        ...

    def end(
        self, number: int, outcome: str, reply: str, usage: Mapping[str, int], tokens: int, cost: float | None
    ) -> None:
        """Write down how it ended: "ok" with the answer, or what went wrong; what it used and cost."""
        ...

    def templates(self) -> set[str]:
        """Names of the templates that the slot's calls were rendered from so far."""
        ...

    def seconds_left(self) -> float:
        """Until the run's own time is over; infinite where it has no limit."""
        ...


@dataclass(frozen=True)
class Context:
    """What an agent knows when it is asked.

    Attributes:
        round, slot: which proposal this is.
        candidates: everything told so far, in order, rejects included.
        parents: chosen by the selector for this slot, best first; may be empty.
        number: how many proposals this agent was asked for in the run before this one.
        bench: instruments and measurements on the search split; None where there are none.
        purse: what calls of models are paid from; None where none can be.
    """

    round: int
    slot: int
    candidates: Sequence[Candidate]
    parents: tuple[Candidate, ...]
    number: int = 0
    bench: Bench | None = None
    purse: Purse | None = None

    @cached_property
    def history(self) -> History:
        """The candidates, with what makes a long list quick to use."""
        return self.candidates if isinstance(self.candidates, History) else History(self.candidates)


@dataclass(frozen=True)
class Proposal:
    """A program that an agent proposes.

    Attributes:
        source: the program's text.
        parents: ids of the candidates that it was made from.
        answer: what the agent wants stored with it.
        prompt: what a model was asked, "" without one.
        usage: tokens by kind, of calls that did not go through the purse.
        cost: in US dollars, likewise; None where it is not known.
    """

    source: str
    parents: tuple[str, ...]
    answer: str
    prompt: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    cost: float | None = 0.0


class Agent(Protocol):
    """Writes controller programs. Deterministic given (context, rng) where it calls no model.

    An agent whose attribute `concurrent` is True may be asked for several proposals at a time, from several threads;
    one without is asked for one after the other.

    Attributes:
        name: by which it is stored and asked for.
    """

    name: str

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The next program.

        Raises:
            AgentError: there is none; the outcome is stored with the slot, and the search goes on.
            LimitReached: a budget has no room for what the agent needs; the search ends.
        """
        ...
