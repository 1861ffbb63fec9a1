"""What a recording may cost: the worst case of a request is reserved before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from autotts.agents.models import PROVIDERS
from autotts.agents.prices import Prices
from autotts.errors import InputError, LimitReached

__all__ = ["Purse", "most_tokens", "priced_name"]

AROUND = 2048
"""Tokens that a server may put around a question, and that a probe's cue may have."""


def priced_name(base_url: str, model: str) -> str:
    """The name that a model behind an address has in tables of prices: `provider/model`."""
    host = urlsplit(base_url).hostname
    hosts = {urlsplit(row.address).hostname: name for name, row in PROVIDERS.items() if row.address}
    known = hosts.get(host) if host not in ("localhost", None) else None
    return f"{known or 'openai-compatible'}/{model}"


def most_tokens(*texts: str) -> int:
    """No fewer tokens than a request with these texts has: a token stands for a byte at least."""
    return AROUND + sum(len(text.encode("utf-8", "replace")) for text in texts)


class Purse:
    """Counts what requests cost at most, and refuses one that might pass a ceiling.

    Args:
        prices: of models.
        name: the model's, as `priced_name` says.
        ceiling: US dollars, None for none.
        before: (tokens in, tokens out) of every request that was made before.

    Attributes:
        spent: US dollars at most, None where the model's price is not known.

    Raises:
        InputError: a ceiling, and no price.
    """

    def __init__(self, prices: Prices, name: str, ceiling: float | None, before: Iterable[tuple[int, int]]) -> None:
        self._prices, self._name, self._ceiling = prices, name, ceiling
        self._held, self._reserved = 0, 0.0
        self._change = asyncio.Event()
        self.spent: float | None = None
        if prices.worst(name, 0, 0) is not None:
            self.spent = sum(self._worst(tokens_in, tokens_out) for tokens_in, tokens_out in before)
        elif ceiling is not None:
            raise InputError(
                f'--max-cost: the price of {name} is not known; give it with --prices FILE, {{"{name}": {{"input": 3, '
                '"output": 15}} in dollars per million tokens, or leave --max-cost out'
            )

    @asynccontextmanager
    async def request(self, tokens_in: int, tokens_out: int) -> AsyncIterator[None]:
        """Room for a request of so many tokens at most; what it came to is told with `pay` while it is held.

        Raises:
            LimitReached: there is no room, not even when all others have ended.
        """
        worst = self._worst(tokens_in, tokens_out) if self.spent is not None else 0.0
        while (
            self._ceiling is not None and self.spent is not None and self.spent + self._reserved + worst > self._ceiling
        ):
            if not self._held:
                raise LimitReached(
                    f"--max-cost {self._ceiling:g}: ${self.spent:.4f} may be spent, and the next request may cost "
                    f"${worst:.4f}; what was recorded is kept, and the same command with a higher limit goes on"
                )
            self._change.clear()
            await self._change.wait()
        self._held += 1
        self._reserved += worst
        try:
            yield
        finally:
            self._held -= 1
            # Sums of fractions leave a rest, and nobody would ever wake who waits for that.
            self._reserved = self._reserved - worst if self._held else 0.0
            self._change.set()

    def pay(self, tokens_in: int, tokens_out: int) -> None:
        """Count a request that was made."""
        if self.spent is not None:
            self.spent += self._worst(tokens_in, tokens_out)

    def _worst(self, tokens_in: int, tokens_out: int) -> float:
        return self._prices.worst(self._name, tokens_in, tokens_out) or 0.0
