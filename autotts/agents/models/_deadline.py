"""A deadline that holds: the whole call ends in time, whatever the server does.

The SDKs' timeouts are per read, so a server that drips a byte a second holds a caller for ever. Here the call runs as
a coroutine that is cancelled at the deadline, which also closes its connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["within"]

T = TypeVar("T")


class _Loop(asyncio.SelectorEventLoop):
    """Does not wait for its threads when it ends: looking up a name cannot be cancelled, only left behind."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        pass


def within(timeout: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `work` gives, if it ends within `timeout` seconds.

    Works in any thread; inside a running event loop (a notebook) it takes a thread of its own.

    Raises:
        TimeoutError: it did not.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(timeout, work)
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(_run(timeout, work))
        except BaseException as error:
            future.set_exception(error)

    # A daemon, and no pool: an interrupt (Ctrl-C in a notebook) must not wait for the answer.
    threading.Thread(target=run, name="autotts-model", daemon=True).start()
    return future.result()


def _run(timeout: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(timeout):
            return await work()

    threads = ThreadPoolExecutor(2, thread_name_prefix="autotts-names")
    try:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.get_loop().set_default_executor(threads)
            return runner.run(bounded())
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
