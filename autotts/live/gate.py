"""How many requests are under way at a time, and how often a request is tried."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from autotts.agents.models import Busy, Lost
from autotts.errors import ServerError

__all__ = ["Gate", "patiently", "together"]

T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 0.25, 30.0


class Gate:
    """At most so many at a time; half as many after the server said that it is busy, then slowly more again.

    Args:
        most: requests at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = float(most)
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the places, for as long as it is needed."""
        while self._running >= max(1, int(self.limit)):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()  # its turn may just have come
                raise
        self._running += 1
        try:
            yield
        except Busy:
            self.limit = max(1.0, self.limit / 2)
            raise
        else:
            self.limit = min(float(self._most), self.limit + 1 / self.limit)
        finally:
            self._running -= 1
            self._wake()

    def _wake(self) -> None:
        free = max(1, int(self.limit)) - self._running
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


async def patiently(
    work: Callable[[], Awaitable[T]], seconds: float, notice: Callable[[str], None] = lambda _: None
) -> T:
    """Do something that a server may be too busy for, again and again within a deadline.

    Args:
        work: raises `Busy` or `Lost` where it may be tried again.
        seconds: from now on, within which the last try begins.
        notice: is told once what is waited for.

    Raises:
        ServerError: it came to nothing within that time.
    """
    deadline = time.monotonic() + seconds
    wait = FIRST_WAIT
    while True:
        try:
            return await work()
        except (Busy, Lost) as error:
            pause = (error.retry_after if isinstance(error, Busy) else None) or wait * random.uniform(0.5, 1.0)
            if time.monotonic() + pause > deadline:
                raise ServerError(f"no answer to be had within {seconds:g} s: {error}") from error
            if wait == FIRST_WAIT:
                notice(f"waiting up to {seconds:g} s: {error}")
        await asyncio.sleep(pause)
        wait = min(LONGEST_WAIT, 2 * wait)


async def together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all at the same time; the first failure ends the others, and is raised when they have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
