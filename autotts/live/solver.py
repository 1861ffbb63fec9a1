"""Questions answered by a controller program that drives a live model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from autotts.errors import InputError, ProgramError, SandboxError
from autotts.evaluation import Program, Protocol
from autotts.evaluation.evaluate import to_stderr
from autotts.evaluation.jails import Jails
from autotts.evaluation.referee import Play, Rules, Shard
from autotts.evaluation.shards import Work, knobs_of
from autotts.evaluation.wire import MAX_BATCH, MAX_SCHEDULE, pack, unpack
from autotts.live.model import LiveModel
from autotts.live.solution import Solution, solution_of
from autotts.live.source import SIGNALS, LiveSource, Over, Reader, Watch
from autotts.replay.answers import get_equivalence
from autotts.sandbox import Child, Limits, Sandbox, SandboxFactory

__all__ = ["Solution", "Solver"]

CPU_SECONDS = 5.0
"""CPU time that a program may use for one question."""

WALL_SECONDS = 120.0
"""Time by the clock that the program itself may take; waiting for the model does not count."""

MOST_AT_ONCE = 4096
"""Questions at a time that have a thread; more wait for one."""


class Solver:
    """Answers questions, many at a time; an asynchronous context manager, on the event loop of its model.

    The program is compiled once. Each question has a jailed process of its own, so that none can know of another.

    Args:
        program: what decides.
        model: what it drives.
        reader: reads the model's answers.
        interval: Δ in tokens.
        max_branches: that an episode may open.
        kappa_probe: κ_probe in tokens.
        equivalence: which answers count as one (`autotts.replay.get_equivalence`).
        ahead: tokens that a branch may be ahead of what was paid for; None for Δ.
        sandbox, reduced, notice, memory_mb: see `autotts.evaluation.Evaluator`.

    Raises:
        InputError: no such equivalence.
    """

    def __init__(
        self,
        program: Program,
        model: LiveModel,
        reader: Reader,
        interval: int,
        max_branches: int,
        kappa_probe: int = 0,
        equivalence: str = "exact",
        *,
        ahead: int | None = None,
        sandbox: SandboxFactory = Sandbox,
        reduced: bool = False,
        notice: Callable[[str], None] = to_stderr,
        memory_mb: int = 256,
    ) -> None:
        self._program = program
        self._model, self._reader = model, reader
        self._rules = Rules(interval, kappa_probe, max_branches, SIGNALS, carried=False)
        self._same = get_equivalence(equivalence)
        self._ahead = ahead
        self._limits = Limits(CPU_SECONDS, WALL_SECONDS, memory_mb)
        self._jails = Jails(sandbox, reduced, notice)
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="autotts-solve")
        self._solving: set[asyncio.Task[Any]] = set()
        self._work: Work

    async def __aenter__(self) -> Self:
        """Compile the program.

        Raises:
            InputError: it may not run under the isolation that can be had here.
            ProgramError: the policy refuses it, or its schedule is none.
        """
        try:
            self._work = await asyncio.get_running_loop().run_in_executor(self._threads, self._compile)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Cancel what is still being solved, and end the sandbox."""
        for task in self._solving:
            task.cancel()
        await asyncio.gather(*self._solving, return_exceptions=True)
        await self._end()

    async def _end(self) -> None:
        await asyncio.to_thread(self._jails.close)
        self._threads.shutdown()

    @property
    def isolation(self) -> str:
        """See `Evaluator.isolation`."""
        return self._jails.sandbox().isolation

    async def solve(
        self,
        question: str,
        beta: float,
        seed: int = 0,
        watch: Watch | None = None,
        most_tokens: int | None = None,
        most_seconds: float | None = None,
        seeds: Callable[[int], int] | None = None,
    ) -> Solution:
        """Answer a question. Cancelling this ends all streams and the program's process before it returns.

        Args:
            question: its text.
            beta: in [0, 1].
            seed: branch b has request seed `seed` + b.
            watch: told what branches do, on the event loop.
            most_tokens: a ceiling for the episode's tokens.
            most_seconds: a ceiling by the clock; see `Solution.stopped` for both.
            seeds: the request seed of a branch, in place of `seed`.

        Raises:
            InputError: β is none, or the server will never answer.
            ProgramError: the program failed, in whatever typed way.
            ServerError: the server gave no answer.
        """
        if not 0.0 <= beta <= 1.0:
            raise InputError(f"β = {beta}: give a number from 0 to 1")
        loop, began = asyncio.get_running_loop(), time.monotonic()
        asked = await self._model.ask(question)
        source = LiveSource(
            self._model,
            asked,
            self._reader,
            self._same,
            self._rules.interval,
            self._rules.max_branches,
            kappa=self._rules.kappa,
            seeds=seeds or (lambda branch: seed + branch),
            ahead=self._ahead,
            most_tokens=most_tokens,
            watch=watch,
        )
        run = _Run(source, Play(source, self._rules))
        if most_seconds is not None:
            left = began + most_seconds - time.monotonic()
            run.clock = loop.call_later(max(0.0, left), source.end, "seconds")
        task = asyncio.current_task()
        assert task is not None
        self._solving.add(task)
        playing = loop.run_in_executor(self._threads, self._play, run, beta)
        try:
            await asyncio.shield(playing)
            seconds = time.monotonic() - began
        finally:
            self._solving.discard(task)
            run.give_up()
            await _ended(asyncio.gather(playing, source.close(), return_exceptions=True))
        return run.solution(beta, seconds)

    # ---- in a thread -------------------------------------------------------------------------------------------

    def _compile(self) -> Work:
        self._jails.admit(self._program.trusted)
        work = Work(self._program, Protocol((0.0, 0.5, 1.0), ()))
        with self._jails.spawn(self._program, self._limits) as child:
            work = work.compiled(child, work.job(work.protocol.betas, mode="host", worlds=[], episodes=[]))
            knobs_of(child.recv(MAX_SCHEDULE), len(work.protocol.betas))
        return work

    def _play(self, run: _Run, beta: float) -> None:
        """Play an episode to its end, whoever ends it."""
        with self._jails.spawn(self._program, self._limits) as child:
            run.takes(child)
            try:
                worlds, episodes = [self._rules.told], [(0, self._rules.max_branches)]
                self._work.start(child, self._work.job([beta], mode="host", worlds=worlds, episodes=episodes))
                (run.knobs,) = knobs_of(child.recv(MAX_SCHEDULE), 1)
                shard = Shard(lambda _: run.play, 1)
                while shard.left:
                    replies = shard.batch(unpack(child.recv(MAX_BATCH)))
                    if replies:
                        child.send(pack(replies))
            except Over as over:
                run.stopped = over.why
            except ProgramError as error:
                error.where = f"β={beta:g}"
                raise


@dataclass
class _Run:
    """One question that is being answered: what its thread and its event loop share."""

    source: LiveSource
    play: Play
    knobs: dict[str, float] = field(default_factory=dict)
    stopped: str = ""
    clock: asyncio.TimerHandle | None = None
    _child: Child | None = None
    _left: bool = False

    def takes(self, child: Child) -> None:
        """The child is there, unless nobody waits for it any more."""
        self._child = child
        if self._left:
            raise SandboxError("nobody waits for this question any more")

    def give_up(self) -> None:
        """Nobody waits any more: the thread ends, whatever it waits for."""
        self._left = True
        self.source.end("closed")
        if self.clock is not None:
            self.clock.cancel()
        if self._child is not None:
            self._child.hang_up()

    def solution(self, beta: float, seconds: float) -> Solution:
        """What it came to."""
        episode = self.play.episode
        finished = episode.finished_branches
        return solution_of(
            self.source,
            -1 if self.stopped else self.play.record[0],
            finished=finished,
            pruned=len(self.source.branches) - len(finished) - len(episode.active),
            seconds=seconds,
            stopped=self.stopped,
            beta=beta,
            knobs=self.knobs,
        )


async def _ended(work: asyncio.Future[Any]) -> None:
    """Wait for it, however often this is told not to."""
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
