"""Who answers: a controller in front of a model, as the endpoint asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Answered", "Answerer"]


@dataclass(frozen=True)
class Answered:
    """What came of a question."""

    answer: str | None
    text: str
    votes: Mapping[str, int]
    confidence: float | None
    tokens: int
    sequential_tokens: int
    generated: int
    probe_tokens: int
    prompt_tokens: int
    probes: int
    branches: int
    seconds: float
    stopped: str = ""


class Answerer(Protocol):
    """Answers questions, many at a time; a task that is cancelled leaves nothing behind."""

    async def solve(
        self,
        question: str,
        beta: float,
        seed: int = 0,
        watch: Any = None,
        most_tokens: int | None = None,
        most_seconds: float | None = None,
    ) -> Answered:
        """The answer to a question.

        Raises:
            ProgramError: the controller failed.
            ServerError, InputError: the model's server did.
        """
        ...
