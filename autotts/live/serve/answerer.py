"""Who answers: a controller in front of a model, as the endpoint asks it."""

from __future__ import annotations

from typing import Protocol

from autotts.live.solution import Solution

__all__ = ["Answerer"]


class Answerer(Protocol):
    """Answers questions, many at a time; a task that is cancelled leaves nothing behind. See `Solver`."""

    async def solve(
        self,
        question: str,
        beta: float,
        seed: int = 0,
        *,
        most_tokens: int | None = None,
        most_seconds: float | None = None,
    ) -> Solution:
        """The answer to a question.

        Raises:
            ProgramError: the controller failed.
            ServerError, InputError: the model's server did.
        """
        ...
