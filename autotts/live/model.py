"""A model behind an OpenAI-compatible server, as recording and live episodes ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from autotts.live.growth import Piece, Token

__all__ = ["Asked", "LiveModel", "Said"]


@dataclass(frozen=True)
class Asked:
    """A question as it is put to a model.

    Attributes:
        question: its text.
        prompt: the whole text that the model goes on from, or what the user says, as the server is asked.
    """

    question: str
    prompt: str = ""


@dataclass(frozen=True)
class Said:
    """What a model said to a probe.

    Attributes:
        cue: what it was given after the branch's text: the closing cue and the answer prompt.
        text: what it said after that.
        tokens: of `text`, as the server counts.
        prompt_tokens: that the server read, None where it does not tell.
        seconds: that it took.
        scores: the tokens, where the server told them.
    """

    cue: str
    text: str
    tokens: int
    prompt_tokens: int | None = None
    seconds: float = 0.0
    scores: tuple[Token, ...] = ()


class LiveModel(Protocol):
    """A model that opens branches and answers probes. All of it belongs to one event loop.

    Every method raises `InputError` (it never will: key, name, address, request) or `ServerError` (no answer within the
    deadline, whatever was tried, or a branch that broke off).
    """

    name: str

    async def ask(self, question: str) -> Asked:
        """Put a question."""
        ...

    def branch(self, asked: Asked, seed: int, prefix: str = "", spent: int = 0) -> AsyncIterator[Piece]:
        """Open a branch, or let one go on: its pieces as the server sends them.

        Closing the iterator cancels the request.

        Args:
            asked: the question.
            seed: of the branch.
            prefix: the text that it has already.
            spent: tokens of that text; the pieces' `total` counts on from there.
        """
        ...

    async def probe(self, asked: Asked, prefix: str) -> Said:
        """The answer that the model gives when it is stopped after this text of a branch: greedy, a few tokens."""
        ...
