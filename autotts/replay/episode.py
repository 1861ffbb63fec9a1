"""The Markov decision process that a controller acts in: one question, one order of its branches.

Source: "LLMs Improving LLMs: Agentic Discovery for Test-Time Scaling" (2026), §2; costing rules in docs/mdp.md.

`Episode` is what a program sees; a `Source` stands behind it and pays out intervals. `TableSource` (here) reads a
gold-free table; the host's pipe and a live server are further sources with the same interface, so that a program
cannot tell which one it is playing against.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol, overload

from autotts.errors import InadmissibleAction
from autotts.toolkit import UNPARSED

__all__ = ["OP_ADVANCE", "OP_FINISH", "OP_OPEN", "OP_PROBE", "OP_PRUNE", "Episode", "Source", "Table", "TableSource"]

OP_OPEN, OP_ADVANCE, OP_FINISH, OP_PROBE, OP_PRUNE = 1, 2, 3, 4, 5
"""Codes of the actions in an episode's log: a wave is logged as (code, number of branches, the branches…)."""

UNPARSED_ID = 0
"""The answer id of UNPARSED in every table."""

_LABELS = tuple(f"a{k}" for k in range(2048))


class Source(Protocol):
    """Pays out intervals. Every list is in the order of the branches that were asked for."""

    limit: int
    """Branches that may be opened."""

    def open(self, first: int, n: int) -> Sequence[tuple[int, bool]]:
        """Open branches first … first + n − 1; (cost, finished) of each one's first interval."""

    def advance(self, branches: Sequence[int]) -> Sequence[tuple[int, bool]]:
        """One more interval of each; (cost, finished) of each."""

    def finish(self, branches: Sequence[int]) -> Sequence[int]:
        """Run each to its end; the cost of each."""

    def probe(self, branches: Sequence[int]) -> Sequence[int]:
        """The answer id of each at its current depth."""

    def prune(self, branches: Sequence[int]) -> None:
        """Take branches out."""

    def depth(self, branch: int) -> int:
        """Intervals that were paid for; after `finish`, all of them."""

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
    """Pays out from a table: branch k of the episode is element k of the shuffled recording."""

    __slots__ = ("_answers", "_depth", "_interval", "_order", "_paid", "_signals", "_totals", "limit")

    def __init__(self, table: Table, seed: int, interval: int, max_branches: int) -> None:
        self._order = branch_order(seed, len(table.totals))
        self._answers: list[Sequence[int]] = []
        self._totals = table.totals
        self._signals = table.signals
        self._interval = interval
        self._depth: list[int] = []
        self._paid: list[int] = []
        self.limit = min(max_branches, len(self._order))
        self._answers = [table.answers[b] for b in self._order[: self.limit]]

    def open(self, first: int, n: int) -> list[tuple[int, bool]]:
        """Open branches; a branch without probes is finished, at the cost of all its tokens."""
        result = []
        interval = self._interval
        for i in range(first, first + n):
            finished = len(self._answers[i]) == 1
            cost = self._totals[self._order[i]] if finished else interval
            self._depth.append(1)
            self._paid.append(cost)
            result.append((cost, finished))
        return result

    def advance(self, branches: Sequence[int]) -> list[tuple[int, bool]]:
        """One more interval of each: Δ, or what is left of T for the last one."""
        result = []
        depths, paid, answers, interval = self._depth, self._paid, self._answers, self._interval
        common = (interval, False)
        for i in branches:
            depth = depths[i] + 1
            depths[i] = depth
            if depth < len(answers[i]):
                paid[i] += interval
                result.append(common)
            else:
                # The last interval costs max(0, T − Δ·d), and Δ·d is what stepping has paid so far.
                cost = max(0, self._totals[self._order[i]] - paid[i])
                paid[i] += cost
                result.append((cost, True))
        return result

    def finish(self, branches: Sequence[int]) -> list[int]:
        """Run each to its end at the cost of what is left of its tokens."""
        costs = []
        for i in branches:
            cost = max(0, self._totals[self._order[i]] - self._paid[i])
            self._paid[i] += cost
            self._depth[i] = len(self._answers[i])
            costs.append(cost)
        return costs

    def probe(self, branches: Sequence[int]) -> list[int]:
        """The answer id of each at its current depth."""
        answers, depths = self._answers, self._depth
        return [answers[i][depths[i] - 1] for i in branches]

    def prune(self, branches: Sequence[int]) -> None:
        """Nothing to pay out."""

    def depth(self, branch: int) -> int:
        """Intervals paid for."""
        return self._depth[branch]

    def signal(self, branch: int, name: str) -> float | None:
        """The recorded signal, None where there is none."""
        if not self._signals:
            return None
        values = self._signals[self._order[branch]].get(name)
        return None if values is None else values[self._depth[branch] - 1]


_ACTIVE, _FINISHED, _PRUNED = 0, 1, 2
_STATE_WORD = {_FINISHED: "finished", _PRUNED: "pruned"}


class Episode:
    """One question, seen by a controller: branches to open, continue, look at, give up.

    One call is one *wave*: its branches run in parallel. `tokens` sums over branches; the sequential tokens (the
    latency proxy) sum the longest member of each wave. Answers are opaque labels, numbered by order of first reveal;
    `UNPARSED` marks no parsable answer. Any inadmissible member refuses the whole wave and changes nothing.
    """

    __slots__ = (
        "_active",
        "_finished",
        "_ids",
        "_kappa",
        "_labels",
        "_log",
        "_looked",
        "_note",
        "_revealed",
        "_sequential",
        "_source",
        "_state",
        "_tokens",
        "_waves",
        "interval",
        "max_branches",
    )

    def __init__(
        self,
        source: Source,
        interval: int,
        kappa_probe: int = 0,
        note: Callable[[str, Any], None] | None = None,
    ) -> None:
        self._source = source
        self._kappa = kappa_probe
        self._note = note
        self.interval: int = interval
        self.max_branches: int = source.limit
        self._tokens = 0
        self._sequential = 0
        self._waves = 0
        self._state: list[int] = []
        self._active: dict[int, None] = {}  # insertion-ordered set: removal must not cost a scan
        self._finished: list[int] = []
        self._revealed: list[list[str]] = []
        self._looked: list[int] = []  # depth at which the branch was last probed, 0 = never
        self._labels: dict[int, str] = {UNPARSED_ID: UNPARSED}
        self._ids: dict[str, int] = {}
        self._log: list[int] = []

    # ---- actions -----------------------------------------------------------------------------------------------

    def branch(self) -> int:
        """BRANCH: open one branch and advance it through its first interval; its number."""
        return self.branches(1)[0]

    def branches(self, n: int) -> list[int]:
        """BRANCH, n in one wave; their numbers.

        Raises:
            InadmissibleAction: n is not a whole number ≥ 0, or the ceiling would be passed.
        """
        first = len(self._state)
        if type(n) is not int or n < 0:
            raise InadmissibleAction(f"branches({n!r}): the number of branches must be a whole number of 0 or more")
        if first + n > self.max_branches:
            raise InadmissibleAction(
                f"branches({n}): {first} of at most {self.max_branches} branches are open; check can_branch first"
            )
        if n == 0:
            return []
        opened = list(range(first, first + n))
        self._log += (OP_OPEN, n)
        longest = 0
        for i, (cost, finished) in zip(opened, self._source.open(first, n), strict=True):
            self._tokens += cost
            if cost > longest:
                longest = cost
            self._revealed.append([])
            self._looked.append(0)
            if finished:
                self._state.append(_FINISHED)
                self._finished.append(i)
            else:
                self._state.append(_ACTIVE)
                self._active[i] = None
        self._sequential += longest
        self._waves += 1
        return opened

    def advance(self, branches: int | Iterable[int]) -> None:
        """CONTINUE: one more interval of a branch, or of each of several in one wave.

        Raises:
            InadmissibleAction: a branch is finished, pruned, unopened, or named twice.
        """
        wave = self._wave("advance", branches)
        if not wave:
            return
        self._log += (OP_ADVANCE, len(wave))
        self._log += wave
        tokens = longest = 0
        for i, (cost, finished) in zip(wave, self._source.advance(wave), strict=True):
            tokens += cost
            if cost > longest:
                longest = cost
            if finished:
                self._close(i)
        self._tokens += tokens
        self._sequential += longest
        self._waves += 1

    def finish(self, branches: int | Iterable[int]) -> None:
        """CONTINUE to the end, in one wave; each costs max(0, T − already spent on it).

        Raises:
            InadmissibleAction: a branch is finished, pruned, unopened, or named twice.
        """
        wave = self._wave("finish", branches)
        if not wave:
            return
        self._log += (OP_FINISH, len(wave))
        self._log += wave
        costs = self._source.finish(wave)
        for i in wave:
            self._close(i)
        self._tokens += sum(costs)
        self._sequential += max(costs)
        self._waves += 1

    @overload
    def probe(self, branches: int) -> str: ...
    @overload
    def probe(self, branches: Iterable[int]) -> list[str]: ...
    def probe(self, branches: int | Iterable[int]) -> str | list[str]:
        """PROBE: the answer at the current depth, of one branch or of each of several; again at one depth is free.

        Raises:
            InadmissibleAction: a branch is pruned, unopened, or named twice.
        """
        single = type(branches) is int
        wave = self._wave("probe", branches, finished_too=True)
        depth_of, looked, revealed = self._source.depth, self._looked, self._revealed
        fresh = [i for i in wave if looked[i] != depth_of(i)]
        if fresh:
            if self._kappa:
                self._log += (OP_PROBE, len(fresh))
                self._log += fresh
                self._tokens += self._kappa * len(fresh)
                self._sequential += self._kappa
                self._waves += 1
            labels = self._labels
            for i, answer in zip(fresh, self._source.probe(fresh), strict=True):
                label = labels.get(answer)
                if label is None:
                    # UNPARSED always has its label, so labels number 1 … len − 1 are a0, a1, …
                    label = _LABELS[len(labels) - 1] if len(labels) <= len(_LABELS) else f"a{len(labels) - 1}"
                    labels[answer] = label
                self._ids[label] = answer
                revealed[i].append(label)
                looked[i] = depth_of(i)
        if single:
            return revealed[wave[0]][-1]
        return [revealed[i][-1] for i in wave]

    def prune(self, branches: int | Iterable[int]) -> None:
        """PRUNE: give up a branch (or several); what it revealed stays.

        Raises:
            InadmissibleAction: a branch is finished, pruned, unopened, or named twice.
        """
        wave = self._wave("prune", branches)
        if not wave:
            return
        self._log += (OP_PRUNE, len(wave))
        self._log += wave
        self._source.prune(wave)
        for i in wave:
            self._state[i] = _PRUNED
            del self._active[i]

    # ---- readable state ----------------------------------------------------------------------------------------

    @property
    def can_branch(self) -> bool:
        """Whether one more branch may be opened."""
        return len(self._state) < self.max_branches

    @property
    def active(self) -> list[int]:
        """Branches neither pruned nor finished, in the order of opening."""
        return list(self._active)

    @property
    def finished_branches(self) -> list[int]:
        """Finished branches, in the order in which they finished (within a wave: in the wave's order)."""
        return self._finished.copy()

    def is_finished(self, branch: int) -> bool:
        """Whether a branch has come to its end."""
        self._check("is_finished", branch)
        return self._state[branch] == _FINISHED

    def depth(self, branch: int) -> int:
        """Intervals that a branch has gone through."""
        self._check("depth", branch)
        return self._source.depth(branch)

    def answers(self, branch: int) -> list[str]:
        """The answers that probes of a branch have revealed, in order."""
        self._check("answers", branch)
        return self._revealed[branch].copy()

    def signal(self, branch: int, name: str) -> float | None:
        """A number recorded beside a branch's answer at its current depth, None where nothing was recorded."""
        self._check("signal", branch)
        return self._source.signal(branch, name)

    @property
    def tokens(self) -> int:
        """Tokens spent so far, over all branches."""
        return self._tokens

    @property
    def sequential_tokens(self) -> int:
        """Tokens on the critical path so far: the longest member of each wave, summed."""
        return self._sequential

    def note(self, name: str, value: Any) -> None:
        """Record a value when the episode is traced; otherwise nothing."""
        if self._note is not None:
            self._note(name, value)

    # ---- what stays inside -------------------------------------------------------------------------------------

    def _wave(self, action: str, branches: int | Iterable[int], finished_too: bool = False) -> list[int]:
        """The wave as a list, after every member was found admissible."""
        wave = [branches] if type(branches) is int else list(branches)  # type: ignore[arg-type]
        active = self._active
        for i in wave:
            if i not in active or type(i) is not int:
                self._check(action, i)
                if not (finished_too and self._state[i] == _FINISHED):
                    raise InadmissibleAction(f"{action}: branch {i} is {_STATE_WORD[self._state[i]]}")
        if len(wave) > 1 and len(set(wave)) != len(wave):
            twice = next(i for k, i in enumerate(wave) if i in wave[:k])
            raise InadmissibleAction(f"{action}: branch {twice} is named twice in one wave")
        return wave

    def _check(self, action: str, branch: int) -> None:
        if type(branch) is not int or not 0 <= branch < len(self._state):
            raise InadmissibleAction(
                f"{action}: branch {branch!r} is not open; opened so far: {len(self._state)} (0 … n − 1)"
            )

    def _close(self, branch: int) -> None:
        self._state[branch] = _FINISHED
        del self._active[branch]
        self._finished.append(branch)

    def _answer_id(self, answer: Any) -> int:
        """The id behind a returned label; −1 for None.

        Raises:
            InadmissibleAction: the label was not revealed in this episode.
        """
        if answer is None:
            return -1
        if type(answer) is str and answer in self._ids:
            return self._ids[answer]
        raise InadmissibleAction(f"return: {str(answer)[:60]!r} is not an answer that this episode has revealed")
