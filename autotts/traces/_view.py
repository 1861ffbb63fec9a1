"""What a controller could know at a moment, as objects that features are computed from.

Plain Python without gold and without numpy: the same code shows states to the shipped features on the host and to an
agent's expressions in the jail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, pairwise

from autotts.replay.source import UNPARSED_ID, Table
from autotts.toolkit import UNPARSED

__all__ = ["Branch", "State", "states_of"]

Moment = tuple[int, int, int]
"""A state of an episode: (branches finished, branches running after them, intervals that those were advanced)."""


class Branch:
    """One opened branch.

    Attributes:
        answers: the label revealed after each interval, carried forward over unparsed ones; UNPARSED before the first.
        raw: the same as they were revealed.
        depth: intervals that it has gone through.
        finished: whether it has come to its end.
        final: its vote: the answer at its end as revealed, None while it runs.
        tokens: what was paid for it.
        signals: name → what was recorded beside each answer; empty where nothing was.
    """

    def __init__(
        self, raw: tuple[str, ...], finished: bool, tokens: int, signals: Mapping[str, tuple[float | None, ...]]
    ) -> None:
        self.raw = raw
        self.answers = _carried(raw)
        self.depth = len(raw)
        self.finished = finished
        self.final = raw[-1] if finished else None
        self.tokens = tokens
        self.signals = signals

    @property
    def answer(self) -> str:
        """The latest parsed answer, UNPARSED where there is none."""
        return self.answers[-1]

    @cached_property
    def settled(self) -> int:
        """The interval (1 = the first) from which on the latest answer has stood."""
        k = self.depth
        while k > 1 and self.answers[k - 2] == self.answers[-1]:
            k -= 1
        return k

    @property
    def first(self) -> int:
        """The interval in which the latest answer first appeared."""
        return self.answers.index(self.answers[-1]) + 1

    @property
    def changes(self) -> int:
        """How often the answer changed from one parsed answer to another."""
        return sum(a != b for a, b in pairwise(self.answers) if a != UNPARSED)

    @property
    def unparsed(self) -> float:
        """Share of its intervals in which no answer could be parsed."""
        return self.raw.count(UNPARSED) / self.depth


def _carried(raw: tuple[str, ...]) -> tuple[str, ...]:
    if UNPARSED not in raw:
        return raw
    out, last = [], UNPARSED
    for answer in raw:
        last = last if answer == UNPARSED else answer
        out.append(last)
    return tuple(out)


class State:
    """A moment of an episode.

    Attributes:
        branches: the opened ones, in the order of opening.
        finished: those that have come to their end, in that order.
        running: the others.
        n: number of finished branches.
        interval: Δ in tokens.
        ceiling: branches that the episode may open.
    """

    def __init__(self, branches: tuple[Branch, ...], interval: int, ceiling: int) -> None:
        self.branches = branches
        self.finished = tuple(branch for branch in branches if branch.finished)
        self.running = tuple(branch for branch in branches if not branch.finished)
        self.n = len(self.finished)
        self.interval = interval
        self.ceiling = ceiling

    @cached_property
    def votes(self) -> dict[str, int]:
        """Label → votes of finished branches, most first, among equals the one seen first; UNPARSED votes as well."""
        counts: dict[str, int] = {}
        for branch in self.finished:
            assert branch.final is not None
            counts[branch.final] = counts.get(branch.final, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    @property
    def leader(self) -> str | None:
        """The label with most votes, None without any."""
        return next(iter(self.votes), None)

    @property
    def n1(self) -> int:
        """The leader's votes."""
        return next(iter(self.votes.values()), 0)

    @property
    def n2(self) -> int:
        """The runner-up's votes."""
        return next(islice(self.votes.values(), 1, None), 0)

    @property
    def lead(self) -> int:
        """Votes by which the leader leads."""
        return self.n1 - self.n2

    @property
    def left(self) -> int:
        """Branches that can still finish."""
        return self.ceiling - self.n

    @property
    def tokens(self) -> int:
        """Tokens spent so far."""
        return sum(branch.tokens for branch in self.branches)


class _Labels(dict[int, str]):
    """Answer id → opaque label, numbered by order of first reveal."""

    def __missing__(self, answer: int) -> str:
        label = UNPARSED if answer == UNPARSED_ID else f"a{len(self) - (UNPARSED_ID in self)}"
        self[answer] = label
        return label


def states_of(
    table: Table, order: Sequence[int], interval: int, ceiling: int, moments: Sequence[Moment]
) -> Iterator[State]:
    """States of one episode, each knowing nothing but what it has revealed.

    The branches that are finished were finished one by one in the episode's order; those that run were opened after
    them and advanced together, and whichever came to its end on the way has finished.

    Args:
        table: the question's recording.
        order: in which the episode opens the recorded branches.
        interval: Δ.
        ceiling: branches that the episode may open.
        moments: which states; with as many branches as the order has at most.
    """
    labels = _Labels()
    done: list[Branch] = []
    known = [0]  # labels that were revealed when so many branches were finished
    for finished, running, advanced in moments:
        for k in range(len(done), finished):
            done.append(_branch(table, order[k], interval, labels, None))
            known.append(len(labels))
        seen = _Labels(islice(labels.items(), known[finished])) if running else labels
        others = [_branch(table, b, interval, seen, advanced) for b in order[finished : finished + running]]
        yield State((*done[:finished], *others), interval, ceiling)


def _branch(table: Table, number: int, interval: int, labels: _Labels, advanced: int | None) -> Branch:
    """A branch that was finished (`advanced` None), or advanced by intervals as far as it goes."""
    answers, total = table.answers[number], table.totals[number]
    depth = len(answers) if advanced is None else min(advanced, len(answers))
    finished = depth == len(answers)
    # Opening pays the first interval; stepping pays every one before the last in full, whatever the total says.
    stepped = 1 if advanced is None else len(answers) - 1
    paid = max(total, interval * min(stepped, len(answers) - 1)) if finished else interval * depth
    signals = table.signals[number] if table.signals else {}
    shown = {name: tuple(values[:depth]) for name, values in signals.items()}
    return Branch(tuple([labels[a] for a in answers[:depth]]), finished, paid, shown)
