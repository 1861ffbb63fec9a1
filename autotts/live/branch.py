"""One branch that a server streams: read as far as it was paid for, and a little ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from autotts.errors import ServerError
from autotts.live.growth import Growth, Piece

__all__ = ["LiveBranch"]


class LiveBranch:
    """A branch whose stream is open from its first interval to its end, so that no interval makes it begin again.

    Once it has grown so far past what was paid for, no more is read: the server is held by what it cannot send. It
    belongs to one event loop, and its reading begins at once.

    Args:
        pieces: the stream; it is closed when the branch ends or is closed.
        interval: Δ in tokens.
        ahead: tokens past the interval that was paid for at which reading stops; the piece that passes it is taken.
        grown: called after each piece.

    Attributes:
        growth: what is there of it.
    """

    def __init__(
        self, pieces: AsyncIterator[Piece], interval: int, ahead: int, grown: Callable[[], None] = lambda: None
    ) -> None:
        self.growth = Growth(interval)
        self._ahead = max(1, ahead)  # that an interval is whole is only seen by a token past it
        self._grown = grown
        self._depth = 1.0
        self._loose = False
        self._go = asyncio.Event()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._read(pieces))

    @property
    def begun(self) -> bool:
        """Whether anything came."""
        return self.growth.total > 0 or self._task.done()

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

    def let_go(self, loose: bool) -> None:
        """Read on however far ahead it is, or no longer."""
        self._loose = loose
        self._go.set()

    def cancel(self) -> None:
        """End the stream; what came stays."""
        self._task.cancel()

    async def close(self) -> None:
        """End the stream and wait until it is closed."""
        self.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _is_ahead(self) -> bool:
        return self.growth.total >= self._depth * self.growth.interval + self._ahead

    async def _read(self, pieces: AsyncIterator[Piece]) -> None:
        try:
            async with aclosing(pieces) as stream:  # type: ignore[type-var]
                async for piece in stream:
                    self.growth.add(piece)
                    self._grown()
                    self._news.set()
                    if piece.ended:
                        return
                    while self._is_ahead() and not self._loose:
                        self._go.clear()
                        await self._go.wait()
        finally:
            self._news.set()
