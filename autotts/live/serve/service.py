"""Questions on their way to the controller: places, time, failures and drift."""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from autotts.agents.models import Busy, TooLong
from autotts.errors import AutoTTSError, InputError, ProgramError, ServerError
from autotts.live.serve.answerer import Answerer
from autotts.live.serve.drift import Drift
from autotts.live.serve.failures import ApiError
from autotts.live.serve.limits import LONGEST_WAIT, Gate
from autotts.live.serve.log import AccessLog, Entry
from autotts.live.serve.metrics import Metrics
from autotts.live.serve.schema import Ask, Terms
from autotts.live.server import Silent
from autotts.live.solution import Solution

__all__ = ["Service", "Settings"]


MOST_TOLD = 1000
"""Characters of what the model's server says that a client is told."""


@dataclass(frozen=True)
class Settings:
    """What the operator sets.

    Attributes:
        controller: what is served, for people.
        terms: see `Terms`.
        concurrency: requests that are worked on at a time.
        queue: that wait.
        timeout: seconds from a request's arrival to its answer, None for no limit.
        grace: seconds that running requests have when the server is told to end.
        key: that clients have to give, None for none.
        keep_alive: seconds between signs of life in a stream.
    """

    controller: str
    terms: Terms
    concurrency: int = 32
    queue: int = 1024
    timeout: float | None = None
    grace: float = 30.0
    key: str | None = None
    keep_alive: float = 10.0


class Service:
    """A controller that is served; it belongs to one event loop.

    Args:
        answerer: the controller in front of its model.
        settings: see there.
        log: told of every request.
        drift: compares requests with an environment; None for no comparison.
        ready: why the model's server cannot be asked now, "" where it can.
    """

    def __init__(
        self,
        answerer: Answerer,
        settings: Settings,
        log: AccessLog,
        drift: Drift | None = None,
        ready: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self.settings = settings
        self.log = log
        self.drift = drift
        self.gate = Gate(settings.concurrency, settings.queue)
        terms = settings.terms
        self.metrics = Metrics(self.gate, settings.controller, terms.model, terms.beta)
        self._answerer = answerer
        self._ready = ready
        self._jobs: set[asyncio.Task[Solution]] = set()
        self._asked_ready = (-math.inf, "")
        self._asking_ready = asyncio.Lock()

    def begin(self, ask: Ask) -> asyncio.Task[Solution]:
        """Have a question answered by a task, which raises `ApiError` where that fails; cancelling it ends all of it.

        Raises:
            ApiError: there is no place for it.
        """
        self.gate.check()
        job = asyncio.create_task(self._answer(ask))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    async def _answer(self, ask: Ask) -> Solution:
        try:
            async with asyncio.timeout(self.settings.timeout) as limit, self.gate.place():
                solution = await self._answerer.solve(
                    ask.question, ask.beta, ask.seed, most_tokens=ask.most_tokens, most_seconds=ask.most_seconds
                )
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"no answer within the {self.settings.timeout:g} s that a request has here"
            raise ApiError(504, text, "timeout_error", "timeout", outcome="timeout") from None
        except AutoTTSError as error:
            raise self._failure(error) from error
        self.metrics.answered(solution)
        # Another β takes another number of tokens, and so does an episode that was cut.
        if self.drift is not None and ask.beta == self.settings.terms.beta and not solution.stopped:
            report = self.drift.add(solution)
            if report is not None:
                self.metrics.drifted(report)
                if report.alarm:
                    self.log.say("drift", f"drift: {report}")
        return solution

    def _failure(self, error: AutoTTSError) -> ApiError:
        if isinstance(error, ProgramError):
            return ApiError(
                500, f"the controller failed: {error}", "controller_error", error.outcome, outcome="program"
            )
        message, cause = _brief(str(error)), error.__cause__
        if isinstance(error, TooLong):
            return ApiError(400, message, code="context_length_exceeded", param="messages")
        if isinstance(error, ServerError) and isinstance(cause, Silent):
            failure = ApiError(504, message, "upstream_error", "upstream_timeout")
        elif isinstance(error, ServerError):
            wait = cause.retry_after if isinstance(cause, Busy) else None
            failure = ApiError(503, message, "upstream_error", "upstream_down")
            failure.retry_after = min(LONGEST_WAIT, max(1, math.ceil(wait or 5)))
        elif isinstance(error, InputError):
            failure = ApiError(502, message, "upstream_error", "upstream_refused")
        else:
            self.log.say("failure", f"{type(error).__name__}: {error}")
            return ApiError(500, "the server could not do its work; its log says why", "server_error", outcome="failed")
        failure.outcome = "upstream"
        self.metrics.upstream_failed(failure.status)
        return failure

    def unforeseen(self, error: BaseException) -> ApiError:
        """An error of our own: told in the log, and not to the client."""
        self.log.notice("".join(traceback.format_exception(error)))
        self.log.say("failure", f"{type(error).__name__}: {error}")
        return ApiError(500, "the server failed; its log says why", "server_error", outcome="failed")

    def ended(self, entry: Entry) -> None:
        """A request ended, however it did."""
        self.metrics.ended(entry.outcome, entry.seconds)
        self.log(entry)

    async def ready(self) -> str:
        """Why a request would not be answered now, "" where it would; the model's server is asked once a second."""
        if self.gate.closing:
            return "shutting down"
        clock = asyncio.get_running_loop().time
        async with self._asking_ready:
            if self._ready is not None and clock() - self._asked_ready[0] > 1:
                why = await self._ready()
                self._asked_ready = clock(), why
            return self._asked_ready[1]

    async def drain(self, hurry: asyncio.Event) -> None:
        """Take no more requests, wait for the ones that are there, and end those that take too long.

        Args:
            hurry: set where they are to be ended at once.
        """
        self.gate.closing = True
        first = {asyncio.create_task(self._finished()), asyncio.create_task(hurry.wait())}
        await asyncio.wait(first, timeout=self.settings.grace, return_when=asyncio.FIRST_COMPLETED)
        left: set[asyncio.Task[Any]] = {*first, *self._jobs}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _finished(self) -> Literal[True]:
        while self._jobs:
            await asyncio.wait(self._jobs)
        return True


def _brief(text: str) -> str:
    return text if len(text) <= MOST_TOLD else text[:MOST_TOLD] + " …"
