"""A branch while it grows: what a server's stream brought, cut into intervals of Δ tokens.

Recording and live episodes cut by this one class, so that a branch has the same intervals in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Growth", "Piece", "Token", "mean"]


@dataclass(frozen=True, slots=True)
class Token:
    """A token, where the server tells it.

    Attributes:
        text: as the server writes it.
        logprob: natural logarithm of its probability; None where the server did not tell.
        entropy: of the alternatives that the server told, in nats; None where it told none.
    """

    text: str
    logprob: float | None = None
    entropy: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What a stream brought at a time.

    Attributes:
        text: the new text; it may end within a token.
        total: tokens of the branch so far, with these; the last piece's is the branch's T.
        tokens: the new tokens one by one, () where the server does not tell them.
        ended: whether the branch ended with this piece.
        truncated: whether it ended at the limit of tokens, not by itself.
    """

    text: str
    total: int
    tokens: tuple[Token, ...] = ()
    ended: bool = False
    truncated: bool = False


class Growth:
    """What is there of a branch.

    Interval k ≤ d costs Δ tokens; the last one, d + 1, has the rest. That an interval is not the last is known when a
    token beyond it is there, so d = ⌊(T − 1) / Δ⌋.

    Args:
        interval: Δ in tokens.
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.total = 0
        self.ended = False
        self.truncated = False
        self._texts: list[str] = []
        self._length = 0
        self._cuts: list[int] = []  # characters at each multiple of Δ, or soon after it
        self._scores: list[Token] = []
        self._told = 0  # tokens from the beginning that were all told one by one

    def add(self, piece: Piece) -> None:
        """Take what the stream brought."""
        self._texts.append(piece.text)
        before, self.total = self.total, max(self.total, piece.total)
        # The token that ends a branch counts, but servers do not all tell it.
        if self._told == before and self.total - before - len(piece.tokens) in (0, int(piece.ended)):
            self._told += len(piece.tokens)
        while (due := (len(self._cuts) + 1) * self.interval) < self.total or (due == self.total and not piece.ended):
            self._cuts.append(self._length + len(piece.text))
        self._length += len(piece.text)
        self._scores += piece.tokens
        self.ended = piece.ended
        self.truncated = piece.truncated

    @property
    def text(self) -> str:
        """All of it."""
        if len(self._texts) > 1:
            self._texts = ["".join(self._texts)]
        return self._texts[0] if self._texts else ""

    @property
    def probes(self) -> int:
        """Cuts at which the branch is known to go on; once it has ended, d."""
        return max(0, (self.total - 1) // self.interval)

    @property
    def depth(self) -> int:
        """Intervals that are whole: `probes`, and the last one once the branch has ended."""
        return self.probes + self.ended

    def tokens(self, depth: float) -> int:
        """Tokens after so many whole intervals; all that there are, where it is not so deep."""
        return self.total if depth > self.probes else int(depth) * self.interval

    def prefix(self, depth: int) -> str:
        """The text after so many whole intervals."""
        text = self.text
        if depth > self.probes:
            return text
        if self._told >= depth * self.interval:
            # Servers hold text back that may be the start of a stop text, or half a character; their tokens tell.
            told = "".join(token.text for token in self._scores[: depth * self.interval])
            if text.startswith(told):
                return told
        return text[: self._cuts[depth - 1]]

    def scores(self, depth: int) -> Sequence[Token]:
        """The tokens of one interval, from 1, where the server told every token one by one; else ()."""
        if len(self._scores) not in (self.total, self.total - 1):
            return ()
        return self._scores[(depth - 1) * self.interval : self.tokens(depth)]


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
