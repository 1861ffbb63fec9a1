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
        body: the part of a request that puts it, in the server's own form.
    """

    question: str
    body: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Said:
    """What a model said to a probe, or to a text that it completed.

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

    Every method raises: `Busy` (not done, later it may be), `Lost` (no answer, or none that can be read), `InputError`
    (it never will). Retries are the caller's (`autotts.live.gate.patiently`).
    """

    name: str

    async def ask(self, question: str) -> Asked:
        """Put a question."""
        ...

    def branch(self, asked: Asked, seed: int) -> AsyncIterator[Piece]:
        """Open a branch: its pieces as the server sends them; closing the iterator cancels the request."""
        ...

    async def probe(self, asked: Asked, prefix: str) -> Said:
        """The answer that the model gives when it is stopped after this text of a branch: greedy, a few tokens."""
        ...
