"""What stands behind an episode: something that pays out intervals. Here: the table of one recorded question.

The host's pipe and a live server are further sources with the same interface, so that a program cannot tell which one
it is playing against.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

__all__ = ["UNPARSED_ID", "Paid", "Source", "Table", "TableSource", "branch_order"]

UNPARSED_ID = 0
"""The answer id of UNPARSED in every table."""

Paid = tuple[int, int, Sequence[int]]
"""What a wave cost and ended: (tokens of all its members, tokens of the longest, the branches that finished)."""


class Source(Protocol):
    """Pays out intervals. Every list is in the order of the branches that were asked for."""

    limit: int
    """Branches that may be opened."""

    depths: list[int]
    """Intervals that were paid for, a number for each opened branch; after `finish`, all that it has."""

    def open(self, first: int, n: int) -> Paid:
        """Open branches first … first + n − 1, each through its first interval."""

    def advance(self, branches: Sequence[int]) -> Paid:
        """One more interval of each."""

    def finish(self, branches: Sequence[int]) -> Paid:
        """Run each to its end."""

    def probe(self, branches: Sequence[int]) -> Sequence[int]:
        """The answer id of each at its current depth."""

    def prune(self, branches: Sequence[int]) -> None:
        """Take branches out."""

    def signal(self, branch: int, name: str) -> float | None:
        """A number recorded beside the answer at the current depth."""


class Table:
    """The gold-free recording of one question, as lists of integers (what goes into the jail for screening).

    Attributes:
        answers: answer id after each interval, one list of d + 1 a branch; `UNPARSED_ID` is UNPARSED.
        totals: total tokens of each branch.
        signals: per branch, name → values of shape (d + 1,); empty where nothing was recorded.
    """

    __slots__ = ("answers", "signals", "totals")

    def __init__(
        self,
        answers: Sequence[Sequence[int]],
        totals: Sequence[int],
        signals: Sequence[dict[str, Sequence[float | None]]] = (),
    ) -> None:
        self.answers = answers
        self.totals = totals
        self.signals = signals


@lru_cache(maxsize=4096)
def branch_order(seed: int, n: int) -> tuple[int, ...]:
    """The order in which an episode of this seed opens n recorded branches (the published protocol)."""
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return tuple(order)


class TableSource:
    """Pays out from a table: branch k of the episode is element k of the shuffled recording.

    A branch that is still running has paid Δ for each interval, so what it has paid needs no record of its own.
    """

    __slots__ = ("_answers", "_ends", "_interval", "_order", "_table", "_totals", "depths", "limit")

    def __init__(self, table: Table, seed: int, interval: int, max_branches: int) -> None:
        order = branch_order(seed, len(table.totals))
        self.limit = min(max_branches, len(order))
        self.depths: list[int] = []
        self._order = order
        self._totals = table.totals
        self._interval = interval
        self._answers: list[Sequence[int]] = []  # of the opened branches, and the number of intervals of each
        self._ends: list[int] = []
        self._table = table

    def open(self, first: int, n: int) -> Paid:
        """Open branches; a branch without probes is finished, at the cost of all its tokens."""
        opened = [self._table.answers[b] for b in self._order[first : first + n]]
        ends = list(map(len, opened))
        self._answers += opened
        self._ends += ends
        self.depths += [1] * n
        if 1 not in ends:
            return self._interval * n, self._interval, ()
        finished = [first + k for k, end in enumerate(ends) if end == 1]
        return self._costs(n - len(finished), [self._totals[self._order[i]] for i in finished], finished)

    def advance(self, branches: Sequence[int]) -> Paid:
        """One more interval of each: Δ, or what is left of T for the last one: max(0, T − Δ·d)."""
        depths, ends, finished = self.depths, self._ends, []
        for i in branches:
            depth = depths[i] + 1
            depths[i] = depth
            if depth == ends[i]:
                finished.append(i)
        if not finished:
            return self._interval * len(branches), self._interval, ()
        rest = [max(0, self._totals[self._order[i]] - self._interval * (ends[i] - 1)) for i in finished]
        return self._costs(len(branches) - len(finished), rest, finished)

    def finish(self, branches: Sequence[int]) -> Paid:
        """Run each to its end at the cost of what is left of its tokens."""
        rest = [max(0, self._totals[self._order[i]] - self._interval * self.depths[i]) for i in branches]
        for i in branches:
            self.depths[i] = self._ends[i]
        return self._costs(0, rest, branches)

    def _costs(self, running: int, rest: Sequence[int], finished: Sequence[int]) -> Paid:
        longest = max(rest)
        if running and longest < self._interval:
            longest = self._interval
        return self._interval * running + sum(rest), longest, finished

    def probe(self, branches: Sequence[int]) -> list[int]:
        """The answer id of each at its current depth."""
        answers, depths = self._answers, self.depths
        return [answers[i][depths[i] - 1] for i in branches]

    def prune(self, branches: Sequence[int]) -> None:
        """Nothing to pay out."""

    def signal(self, branch: int, name: str) -> float | None:
        """The recorded signal, None where there is none."""
        if not self._table.signals:
            return None
        values = self._table.signals[self._order[branch]].get(name)
        return None if values is None else values[self.depths[branch] - 1]
