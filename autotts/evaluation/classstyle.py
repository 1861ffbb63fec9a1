"""Class-style controllers of the paper's repository, driven unmodified.

Such a file defines `OptimalController(config={"beta": b})` whose `solve(question)` calls the methods below; here they
stand before an ordinary `Episode`, so every costing rule is the same.
"""

from __future__ import annotations

from autotts.replay.episode import Episode

__all__ = ["ClassQuestion"]


class ClassQuestion:
    """The `question` object that class-style controllers expect, over one episode."""

    __slots__ = ("_cost", "_episode")

    def __init__(self, episode: Episode) -> None:
        self._episode = episode
        self._cost: list[int] = []

    @property
    def probe_freq(self) -> int:
        """Δ in tokens."""
        return self._episode.interval

    def probe_new(self) -> tuple[str, int, bool]:
        """Open a branch; (answer, branch, finished).

        Raises:
            ValueError: no branch is left.
        """
        if not self._episode.can_branch:
            raise ValueError(f"no branch is left of {self._episode.max_branches}")
        return self._open()

    def probe_more(self, branch_index: int) -> tuple[str, bool]:
        """One more interval; (answer, finished).

        Raises:
            ValueError: the branch is not open, or finished.
        """
        episode = self._episode
        if type(branch_index) is not int or not 0 <= branch_index < len(self._cost):
            raise ValueError(f"branch {branch_index!r} is not open")
        if episode.is_finished(branch_index):
            raise ValueError(f"branch {branch_index} is finished")
        before = episode.tokens
        episode.advance(branch_index)
        answer = episode.probe(branch_index)
        self._cost[branch_index] += episode.tokens - before
        return answer, episode.is_finished(branch_index)

    def get_new_branch_final_answer(self) -> str:
        """Read a fresh branch to its end, at the cost of its total tokens.

        Raises:
            IndexError: no branch is left.
        """
        episode = self._episode
        if not episode.can_branch:
            raise IndexError(f"no branch is left of {episode.max_branches}")
        before = episode.tokens
        branch = episode.branch()
        if not episode.is_finished(branch):
            episode.finish(branch)
        answer = episode.probe(branch)
        self._cost.append(episode.tokens - before)
        return answer

    def get_seq_and_total_tokens(self) -> tuple[int, int]:
        """(sequential tokens, total tokens) so far."""
        return self._episode.sequential_tokens, self._episode.tokens

    def get_cost_per_branch_active(self) -> list[int]:
        """Tokens spent on every opened branch."""
        return self._cost.copy()

    def _open(self) -> tuple[str, int, bool]:
        before = self._episode.tokens
        branch = self._episode.branch()
        answer = self._episode.probe(branch)
        self._cost.append(self._episode.tokens - before)
        return answer, branch, self._episode.is_finished(branch)
