"""The Markov decision process that a controller acts in: one question, one order of its branches.

Source: "LLMs Improving LLMs: Agentic Discovery for Test-Time Scaling" (2026), §2; costing rules in docs/mdp.md.

`Episode` is what a program sees; a `Source` (source.py) stands behind it and pays out intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

from autotts.errors import InadmissibleAction
from autotts.replay.source import UNPARSED_ID, Paid, Source
from autotts.toolkit import UNPARSED

__all__ = ["OP_ADVANCE", "OP_FINISH", "OP_OPEN", "OP_PROBE", "OP_PRUNE", "Episode"]

OP_OPEN, OP_ADVANCE, OP_FINISH, OP_PROBE, OP_PRUNE = 1, 2, 3, 4, 5
"""Codes of the actions in an episode's log: a wave is logged as (code, number of branches, the branches…)."""

_LABELS = tuple(f"a{k}" for k in range(2048))

_ONLY_INT = {int}

_OF_PROBES = "probe_"
"""How the names of those signals begin that a probe shows."""


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
        "_shown",
        "_source",
        "_tokens",
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
        # Insertion-ordered sets: a removal must not cost a scan. What is opened is active, finished or pruned.
        self._active: dict[int, None] = {}
        self._finished: dict[int, None] = {}
        self._shown: dict[int, None] = {}  # active or finished: what may be probed
        self._revealed: list[list[str]] = []
        self._looked: list[int] = []  # depth at which the branch was last probed, 0 = never
        self._labels: dict[int, str] = {}  # answer id: label, of what was revealed, and the other way round
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
        first = self._opened
        if type(n) is not int or n < 0:
            raise InadmissibleAction(f"branches({n!r}): the number of branches must be a whole number of 0 or more")
        if first + n > self.max_branches:
            raise InadmissibleAction(
                f"branches({n}): {first} of at most {self.max_branches} branches are open; check can_branch first"
            )
        if n == 0:
            return []
        paid = self._source.open(first, n)
        opened = list(range(first, first + n))
        fresh = dict.fromkeys(opened)
        self._active |= fresh
        self._shown |= fresh
        self._revealed += [[] for _ in opened]
        self._looked += [0] * n
        self._log += (OP_OPEN, n)
        self._pay(paid)
        return opened

    def advance(self, branches: int | Iterable[int]) -> None:
        """CONTINUE: one more interval of a branch, or of each of several in one wave.

        Raises:
            InadmissibleAction: a branch is finished, pruned, unopened, or named twice.
        """
        wave = self._wave("advance", branches, self._active)
        if not wave:
            return
        self._pay(self._source.advance(wave))
        self._log += (OP_ADVANCE, len(wave), *wave)

    def finish(self, branches: int | Iterable[int]) -> None:
        """CONTINUE to the end, in one wave; each costs max(0, T − already spent on it).

        Raises:
            InadmissibleAction: a branch is finished, pruned, unopened, or named twice.
        """
        wave = self._wave("finish", branches, self._active)
        if not wave:
            return
        self._pay(self._source.finish(wave))
        self._log += (OP_FINISH, len(wave), *wave)

    @overload
    def probe(self, branches: int) -> str: ...
    @overload
    def probe(self, branches: Iterable[int]) -> list[str]: ...
    def probe(self, branches: int | Iterable[int]) -> str | list[str]:
        """PROBE: the answer at the current depth, of one branch or of each of several; again at one depth is free.

        Raises:
            InadmissibleAction: a branch is pruned, unopened, or named twice.
        """
        wave = self._wave("probe", branches, self._shown)
        depths, looked, revealed = self._source.depths, self._looked, self._revealed
        fresh = [i for i in wave if looked[i] != depths[i]]
        if fresh:
            if self._kappa:
                self._log += (OP_PROBE, len(fresh), *fresh)
                self._tokens += self._kappa * len(fresh)
                self._sequential += self._kappa
            labels = self._labels
            for i, answer in zip(fresh, self._source.probe(fresh), strict=True):
                label = labels.get(answer)
                if label is None:
                    label = self._reveal(answer)
                revealed[i].append(label)
                looked[i] = depths[i]
        if type(branches) is int:
            return revealed[branches][-1]
        return [revealed[i][-1] for i in wave]

    def prune(self, branches: int | Iterable[int]) -> None:
        """PRUNE: give up a branch (or several); what it revealed stays.

        Raises:
            InadmissibleAction: a branch is finished, pruned, unopened, or named twice.
        """
        wave = self._wave("prune", branches, self._active)
        if not wave:
            return
        self._log += (OP_PRUNE, len(wave), *wave)
        self._source.prune(wave)
        for i in wave:
            del self._active[i]
            del self._shown[i]

    # ---- readable state ----------------------------------------------------------------------------------------

    @property
    def can_branch(self) -> bool:
        """Whether one more branch may be opened."""
        return self._opened < self.max_branches

    @property
    def active(self) -> list[int]:
        """Branches neither pruned nor finished, in the order of opening."""
        return list(self._active)

    @property
    def finished_branches(self) -> list[int]:
        """Finished branches, in the order in which they finished (within a wave: in the wave's order)."""
        return list(self._finished)

    def is_finished(self, branch: int) -> bool:
        """Whether a branch has come to its end."""
        if type(branch) is int and 0 <= branch < len(self._revealed):
            return branch in self._finished
        raise self._not_open("is_finished", branch)

    def depth(self, branch: int) -> int:
        """Intervals that a branch has gone through."""
        if type(branch) is int and 0 <= branch < len(self._revealed):
            return self._source.depths[branch]
        raise self._not_open("depth", branch)

    def answers(self, branch: int) -> list[str]:
        """The answers that probes of a branch have revealed, in order."""
        if type(branch) is int and 0 <= branch < len(self._revealed):
            return self._revealed[branch].copy()
        raise self._not_open("answers", branch)

    def signal(self, branch: int, name: str) -> float | None:
        """A number recorded beside a branch's answer at its current depth, None where nothing was recorded.

        One whose name begins with `probe_` is of the probe there: None until the branch was probed at this depth.
        """
        if type(branch) is int and 0 <= branch < len(self._revealed):
            if self._looked[branch] != self._source.depths[branch] and name.startswith(_OF_PROBES):
                return None
            return self._source.signal(branch, name)
        raise self._not_open("signal", branch)

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

    @property
    def _opened(self) -> int:
        return len(self._revealed)

    def _wave(self, action: str, branches: int | Iterable[int], admitted: dict[int, None]) -> list[int]:
        """The wave as a list, after every member was found among those admitted.

        Sets look at all members at once, which is what makes a step cheap; who is at fault is only asked when one is.
        """
        if type(branches) is int:
            if branches not in admitted:
                raise self._refusal(action, branches)
            return [branches]
        wave = list(branches)  # type: ignore[arg-type]
        if not wave:
            return wave
        if set(map(type, wave)) != _ONLY_INT:
            raise self._not_open(action, next(i for i in wave if type(i) is not int))
        members = set(wave)
        if not members <= admitted.keys():
            raise self._refusal(action, next(i for i in wave if i not in admitted))
        if len(members) != len(wave):
            twice = next(i for k, i in enumerate(wave) if i in wave[:k])
            raise InadmissibleAction(f"{action}: branch {twice} is named twice in one wave")
        return wave

    def _refusal(self, action: str, branch: int) -> InadmissibleAction:
        if not 0 <= branch < len(self._revealed):
            return self._not_open(action, branch)
        word = "finished" if branch in self._finished else "pruned"
        return InadmissibleAction(f"{action}: branch {branch} is {word}")

    def _not_open(self, action: str, branch: object) -> InadmissibleAction:
        opened = self._opened
        return InadmissibleAction(f"{action}: branch {branch!r} is not open; opened so far: {opened} (0 … n − 1)")

    def _pay(self, paid: Paid) -> None:
        tokens, longest, finished = paid
        self._tokens += tokens
        self._sequential += longest
        for i in finished:
            del self._active[i]
            self._finished[i] = None

    def _reveal(self, answer: int) -> str:
        """The label of an answer that is seen for the first time."""
        if answer == UNPARSED_ID:
            label = UNPARSED
        else:
            number = len(self._labels) - (UNPARSED_ID in self._labels)
            label = _LABELS[number] if number < len(_LABELS) else f"a{number}"
        self._labels[answer] = label
        self._ids[label] = answer
        return label

    def _answer_id(self, answer: Any) -> int:
        """The id behind a returned label; −1 for None.

        Raises:
            InadmissibleAction: the label was not revealed in this episode.
        """
        if answer is None:
            return -1
        if type(answer) is str and answer in self._ids:
            return self._ids[answer]
        if type(answer) is str:
            raise InadmissibleAction(f"return: {answer[:60]!r} is not an answer that this episode has revealed")
        # Only what cannot compute its own text is asked for it.
        plain = type(answer) in (int, float, bool) or (
            type(answer) in (tuple, list) and all(type(part) in (str, int, float, bool) for part in answer)
        )
        shown = f" {answer!r}"[:60] if plain else ""
        raise InadmissibleAction(
            f"return: a {type(answer).__name__}{shown} is no answer; return one that was revealed, or None"
        )
