"""How many requests are worked on at a time, and how many wait."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autotts.live.serve.failures import ApiError

__all__ = ["LONGEST_WAIT", "Gate"]

LONGEST_WAIT = 600
"""Seconds after which clients are told to ask again, at most."""

_MEMORY = 0.1
"""Weight of the last request in the mean time that one takes."""


class Gate:
    """Lets so many in at a time, and so many wait in order of arrival.

    Args:
        most_running: at a time.
        most_queued: that wait; one more is refused.

    Attributes:
        running, queued: now.
        closing: whether everybody who comes is refused.
    """

    def __init__(self, most_running: int, most_queued: int) -> None:
        self.most_running, self.most_queued = most_running, most_queued
        self.running = self.queued = 0
        self.closing = False
        self._free = asyncio.Semaphore(most_running)
        self._seconds = 1.0

    def check(self) -> None:
        """Whether somebody who comes now is let in or may wait.

        Raises:
            ApiError: 503 as it is closing, 429 as too many wait.
        """
        if self.closing:
            text = "the server is shutting down"
            raise ApiError(503, text, "server_error", "shutting_down", retry_after=5, outcome="closing")
        if self.running + self.queued >= self.most_running + self.most_queued:
            rounds = (self.queued + 1) / self.most_running
            wait = min(LONGEST_WAIT, max(1, math.ceil(rounds * self._seconds)))
            text = f"{self.running} requests are worked on and {self.queued} wait; ask again in {wait} s"
            raise ApiError(429, text, "rate_limit_error", "rate_limit_exceeded", retry_after=wait, outcome="full")

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it.

        Raises:
            ApiError: see `check`.
        """
        self.check()
        self.queued += 1
        try:
            await self._free.acquire()
        finally:
            self.queued -= 1
        self.running += 1
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()
            self._seconds += _MEMORY * (clock() - began - self._seconds)
