"""Shards side by side: so many at a time, one of several failures told, some of them tried again alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from autotts.errors import ProgramError, SandboxError

__all__ = ["Crew", "Progress"]

Progress = Callable[[float], None]
T = TypeVar("T")


def _machine(error: ProgramError | SandboxError) -> bool:
    """Whether it may have been the machine's fault: then it is tried once more, alone, before it stands."""
    return isinstance(error, SandboxError) or error.machine


class Crew:
    """Threads that wait for children. Jobs of several callers share them; what runs alone has the machine for itself.

    Args:
        workers: shards at a time.
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="autotts-worker")
        self._quiet = threading.Condition()
        self._running = 0
        self._waiting_alone = 0

    def close(self) -> None:
        """End the threads; end the children first, so that none waits for one."""
        self._threads.shutdown(cancel_futures=True)

    def one(self, work: Callable[[], T]) -> T:
        """Do one piece of work among others; once more, alone, where the machine may have ended it."""
        try:
            return self._threads.submit(self._among_others, work).result()
        except (ProgramError, SandboxError) as error:
            if not _machine(error):
                raise
        return self._alone(work)

    def all(self, works: Sequence[Callable[[], T]], progress: Progress) -> list[T]:
        """Do all; the failure that stands is the first in order, whatever the timing of the workers."""
        futures = {self._threads.submit(self._among_others, work): k for k, work in enumerate(works)}
        results: dict[int, T] = {}
        failures: dict[int, ProgramError | SandboxError] = {}
        pending = set(futures)
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done - {f for f in done if f.cancelled()}:
                    k, error = futures[future], future.exception()
                    if error is None:
                        results[k] = future.result()
                    elif isinstance(error, ProgramError | SandboxError):
                        failures[k] = error
                        for other in pending:
                            if futures[other] > k:
                                other.cancel()
                    else:
                        raise error
                progress(1 - len(pending) / len(works))
        finally:
            for other in pending:
                other.cancel()
        for k, work in enumerate(works):
            if k in results:
                continue
            # Work behind a failure that did not stand was cancelled: what is missing is done in its place, for it may
            # fail before the next failure in order.
            error = failures.get(k) or self._tried(work, k, results)
            if error is None:
                continue
            if not _machine(error):
                raise error
            results[k] = self._alone(work)
        return [results[k] for k in range(len(works))]

    def _tried(self, work: Callable[[], T], k: int, results: dict[int, T]) -> ProgramError | SandboxError | None:
        """Do one piece of work among others; its failure, or None where its result is there."""
        try:
            results[k] = self._among_others(work)
        except (ProgramError, SandboxError) as error:
            return error
        return None

    def _among_others(self, work: Callable[[], T]) -> T:
        with self._place(lambda: not self._waiting_alone):
            return work()

    def _alone(self, work: Callable[[], T]) -> T:
        """With no other shard beside it, of whatever candidate."""
        with self._quiet:
            self._waiting_alone += 1
        try:
            with self._place(lambda: not self._running):
                return work()
        finally:
            with self._quiet:
                self._waiting_alone -= 1
                self._quiet.notify_all()

    @contextmanager
    def _place(self, free: Callable[[], bool]) -> Iterator[None]:
        with self._quiet:
            self._quiet.wait_for(free)
            self._running += 1
        try:
            yield
        finally:
            with self._quiet:
                self._running -= 1
                self._quiet.notify_all()
