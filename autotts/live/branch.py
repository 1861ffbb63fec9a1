"""One branch that a server streams: read as far as it was paid for, and a little ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress

from autotts.errors import ServerError
from autotts.live.growth import Growth, Piece

__all__ = ["HELD", "LiveBranch"]

HELD = 2.0
"""Seconds that a stream is held open without being read: long enough for a look at an answer, most of the time.

A server does not notice that nobody reads: it goes on into its buffers. So a stream that is held for longer is closed,
which ends the work and gives its place to others; paid for again, the branch goes on from its text.
"""

Opens = Callable[[str, int], AsyncIterator[Piece]]
"""Opens a stream that goes on from a text of so many tokens."""


class LiveBranch:
    """A branch whose stream goes on from one interval to the next, so that no interval makes it begin again.

    Once it has grown so far past what was paid for, no more is read, and soon no more is made. It belongs to one event
    loop, and its reading begins at once.

    Args:
        opens: opens its streams; each is closed when the branch is held for long, ends, or is closed.
        interval: Δ in tokens.
        ahead: tokens past the interval that was paid for at which reading stops; the piece that passes it is taken.
        grown: called after each piece.

    Attributes:
        growth: what is there of it.
    """

    def __init__(self, opens: Opens, interval: int, ahead: int, grown: Callable[[], None] = lambda: None) -> None:
        self.growth = Growth(interval)
        self._opens = opens
        self._ahead = max(1, ahead)  # that an interval is whole is only seen by a token past it
        self._grown = grown
        self._depth = 1.0
        self._go = asyncio.Event()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def reach(self, depth: float) -> None:
        """Wait until so many intervals are whole, or the branch has ended.

        Raises:
            ServerError: the stream broke off; whatever else it raised.
        """
        self._depth = max(self._depth, depth)
        self._go.set()
        while self.growth.depth < depth and not self.growth.ended:
            if self._task.done():
                await self._task  # raises why
                raise ServerError("a branch ended without its last piece")
            self._news.clear()
            await self._news.wait()

    def cancel(self) -> None:
        """End the stream; what came stays."""
        self._task.cancel()

    async def close(self) -> None:
        """End the stream and wait until it is closed."""
        self.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _is_ahead(self) -> bool:
        return self.growth.total >= self._depth * self.growth.interval + self._ahead

    async def _read(self) -> None:
        try:
            while await self._follow():
                await self._paid()
        finally:
            self._news.set()

    async def _follow(self) -> bool:
        """Read a stream; whether it was closed because it was held for too long."""
        async with aclosing(self._opens(self.growth.text, self.growth.total)) as stream:  # type: ignore[type-var]
            async for piece in stream:
                self.growth.add(piece)
                self._grown()
                self._news.set()
                if piece.ended:
                    return False
                if self._is_ahead():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._paid(), HELD)
                if self._is_ahead():
                    return True
        return False

    async def _paid(self) -> None:
        """Wait until more is paid for."""
        while self._is_ahead():
            self._go.clear()
            await self._go.wait()
