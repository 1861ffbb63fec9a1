"""An ordinary `Episode` over the `question` of the paper's repository: the other way round than `classstyle`.

`classwriter` copies this module, together with the episode itself and the toolkit, into files that run where AutoTTS is
not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autotts.errors import InadmissibleAction
from autotts.replay.episode import Episode
from autotts.replay.source import UNPARSED_ID
from autotts.toolkit import UNPARSED

__all__ = ["QuestionSource", "knobs_at", "play"]

MAX_BRANCHES = 64
"""Branches that an episode may open: the published files keep to it."""


class QuestionSource:
    """Pays out the intervals of a `question` (see `ClassQuestion` for what that has).

    It can only step: an opened branch is run to its end interval by interval, which costs max(T, Δ·d) for T tokens and
    d probes, where AutoTTS counts T.
    """

    def __init__(self, question: Any) -> None:
        self.limit = MAX_BRANCHES
        self.depths: list[int] = []
        self.texts = [UNPARSED]  # of each answer id, in the order in which they came
        self._ids = {UNPARSED: UNPARSED_ID}
        self._question = question
        self._numbers: list[int] = []  # what the question calls each branch
        self._now: list[int] = []

    def open(self, first: int, n: int) -> tuple[int, int, Sequence[int]]:
        """Open branches, each through its first interval."""
        return self._wave(range(first, first + n), self._open)

    def advance(self, branches: Sequence[int]) -> tuple[int, int, Sequence[int]]:
        """One more interval of each."""
        return self._wave(branches, self._step)

    def finish(self, branches: Sequence[int]) -> tuple[int, int, Sequence[int]]:
        """Run each to its end."""
        return self._wave(branches, self._run)

    def probe(self, branches: Sequence[int]) -> list[int]:
        """The answer id of each at its current depth."""
        return [self._now[i] for i in branches]

    def prune(self, branches: Sequence[int]) -> None:
        """Nothing to pay out."""

    def signal(self, branch: int, name: str) -> float | None:
        """A question has none."""
        return None

    def _wave(self, branches: Iterable[int], act: Callable[[int], bool]) -> tuple[int, int, Sequence[int]]:
        costs, finished = [], []
        for branch in branches:
            before = self._spent()
            if act(branch):
                finished.append(branch)
            costs.append(self._spent() - before)
        return sum(costs), max(costs), finished

    def _spent(self) -> int:
        total: int = self._question.get_seq_and_total_tokens()[1]
        return total

    def _open(self, branch: int) -> bool:
        try:
            answer, number, finished = self._question.probe_new()
        except ValueError:
            raise InadmissibleAction(f"branches: only {branch} of {self.limit} branches were recorded") from None
        self._numbers.append(number)
        self.depths.append(1)
        self._now.append(self._id(answer))
        return bool(finished)

    def _step(self, branch: int) -> bool:
        answer, finished = self._question.probe_more(self._numbers[branch])
        self.depths[branch] += 1
        self._now[branch] = self._id(answer)
        return bool(finished)

    def _run(self, branch: int) -> bool:
        while not self._step(branch):
            pass
        return True

    def _id(self, answer: str) -> int:
        if answer not in self._ids:
            self._ids[answer] = len(self.texts)
            self.texts.append(answer)
        return self._ids[answer]


def knobs_at(schedule: Callable[[float], dict[str, float]], config: Mapping[str, Any]) -> dict[str, float]:
    """The knobs at the β of a configuration {"beta": β}."""
    return schedule(float(config["beta"]))


def play(solve: Callable[[Episode, dict[str, float]], Any], question: Any, knobs: dict[str, float]) -> str | None:
    """One episode of a program: its answer as the question has it, None where it gave none.

    Raises:
        InadmissibleAction: an action, or what was returned.
    """
    source = QuestionSource(question)
    episode = Episode(source, question.probe_freq)
    answer = episode._answer_id(solve(episode, dict(knobs)))
    return None if answer < 0 else source.texts[answer]
