"""Evaluate programs in the jail and score them on the host.

An evaluation is split into shards (environment × part of the β), each run by a child of its own. *Screening* plays
table episodes inside the child (fast); *confirming* plays host episodes: the child asks by a pipe, the host reveals,
counts and refuses, so that nothing unrevealed is ever within the program's reach.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autotts.errors import CpuLimit, InputError, LookAhead, Nondeterministic, OutputLimit, ProgramError, WallTimeout
from autotts.evaluation.program import Program
from autotts.evaluation.protocol import Protocol
from autotts.evaluation.referees import Referees, World
from autotts.evaluation.results import EnvironmentResult, disagreement, joined, scored
from autotts.evaluation.wire import RECORD, pack_tables
from autotts.replay import Environment, table_of
from autotts.replay.source import Table
from autotts.sandbox import Child, Limits, Sandbox

__all__ = ["EnvironmentResult", "Evaluator", "Source"]

Source = Literal["screen", "confirm"]
Ints = NDArray[np.int64]

SMOKE_LIMITS = Limits(cpu_seconds=2.0, wall_seconds=8.0)
SMOKE_QUESTIONS = 2
ENTRY = "autotts.evaluation.child:main"


@dataclass(frozen=True)
class _Prepared:
    """An environment as the jail (tables) and the host (gold) need it."""

    environment: Environment
    tables: tuple[Table, ...]
    gold: Ints
    packed: bytes
    signal_names: tuple[str, ...]

    @property
    def world(self) -> World:
        """What a referee gets: no gold."""
        header = {
            "interval": self.environment.interval,
            "kappa": self.environment.kappa_probe,
            "max_branches": self.environment.max_branches,
            "signal_names": list(self.signal_names),
            "signals": [table.signals for table in self.tables],
        }
        return World(header, self.packed)

    @classmethod
    def of(cls, environment: Environment) -> _Prepared:
        pairs = [table_of(question) for question in environment.questions]
        tables = tuple(table for table, _ in pairs)
        names = sorted({name for table in tables for signals in table.signals for name in signals})
        gold = np.array([gold for _, gold in pairs], dtype=np.int64)
        return cls(environment, tables, gold, pack_tables(tables), tuple(names))


@dataclass
class _Shard:
    index: int
    environment: int
    betas: tuple[int, ...]
    result: EnvironmentResult | None = None


@dataclass
class Evaluator:
    """Runs evaluations of any program on a fixed list of environments, `workers` shards at a time.

    Use as a context manager: it owns a sandbox (a fork server) and a pool of threads.
    """

    environments: Sequence[Environment]
    workers: int = 2
    memory_mb: int = 256
    cpu_seconds_per_episode: float = 0.02
    cpu_seconds: float = 0.0
    _prepared: list[_Prepared] = field(init=False)
    _sandboxes: dict[bool, Sandbox] = field(init=False, default_factory=dict)
    _referees: Referees = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._prepared = [_Prepared.of(environment) for environment in self.environments]
        self._referees = Referees([prepared.world for prepared in self._prepared])
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="autotts-worker")

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the fork servers, the threads and the referees."""
        # Children first: a thread that waits for one then ends at once.
        for sandbox in self._sandboxes.values():
            sandbox.close()
        self._threads.shutdown(cancel_futures=True)
        self._referees.close()

    @property
    def isolation(self) -> str:
        """The isolation that was probed at start: "strict", or what is missing."""
        return self._sandbox(False).isolation

    def _sandbox(self, compat: bool) -> Sandbox:
        with self._lock:
            if compat not in self._sandboxes:
                preload = ("autotts.evaluation.child", "numpy") if compat else ("autotts.evaluation.child",)
                self._sandboxes[compat] = Sandbox(preload=preload)
            return self._sandboxes[compat]

    # ---- the jobs ----------------------------------------------------------------------------------------------

    def check(self, program: Program) -> tuple[dict[str, float], ...]:
        """Policy, schedule and smoke episodes; the knobs at β = 0, ½, 1.

        Raises:
            ProgramError: the typed outcome.
        """
        protocol = Protocol(betas=(0.0, 0.5, 1.0), seeds=(0,))
        return self._again_if_clock(lambda: self._smoke(program, protocol))

    def run(
        self,
        program: Program,
        protocol: Protocol,
        source: Source = "screen",
        progress: Callable[[float], None] | None = None,
    ) -> list[EnvironmentResult]:
        """Every environment's result, in the order of `environments`.

        Args:
            program: what to run.
            protocol: β, seeds, overrides.
            source: "screen" for table episodes, "confirm" for host episodes.
            progress: called with the share that is done, from a worker's thread.

        Raises:
            InputError: an override names no knob of the schedule.
            ProgramError: the typed outcome of the first shard (in order) that failed.
        """
        self._again_if_clock(lambda: self._smoke(program, protocol))
        shards = list(self._shards(protocol))
        self._run_shards(shards, lambda shard: self._shard(program, protocol, source, shard), progress)
        done = [(s.environment, (s.betas, s.result)) for s in shards if s.result is not None]
        return [joined([part for e, part in done if e == environment]) for environment in range(len(self.environments))]

    def confirm(
        self,
        program: Program,
        protocol: Protocol,
        screened: Sequence[EnvironmentResult],
        screen_protocol: Protocol,
        progress: Callable[[float], None] | None = None,
    ) -> list[EnvironmentResult]:
        """Host episodes, and agreement action by action with a screening on the episodes that both ran.

        Raises:
            LookAhead: the program acts differently when nothing unrevealed is within its reach.
            Nondeterministic: it does not even repeat itself on table episodes.
            ProgramError: any other typed outcome.
        """
        confirmed = self.run(program, protocol, "confirm", progress)
        where = disagreement(screened, screen_protocol, confirmed, protocol)
        if where is None:
            return confirmed
        again = self.run(program, screen_protocol, "screen")
        if disagreement(screened, screen_protocol, again, screen_protocol) is not None:
            raise Nondeterministic("two runs of the same episodes took different actions", where=where)
        raise LookAhead(
            "its actions on a table of recorded branches differ from those where the host reveals each interval",
            where=where,
        )

    # ---- shards ------------------------------------------------------------------------------------------------

    def _shards(self, protocol: Protocol) -> Iterator[_Shard]:
        """Four parts of the β an environment, interleaved: cheap and dear β in each."""
        parts = min(4, len(protocol.betas))
        index = 0
        for part in range(parts):
            for environment in range(len(self.environments)):
                yield _Shard(index, environment, tuple(range(part, len(protocol.betas), parts)))
                index += 1

    def _run_shards(
        self,
        shards: list[_Shard],
        work: Callable[[_Shard], EnvironmentResult],
        progress: Callable[[float], None] | None,
    ) -> None:
        """Run all; the failure that stands is the first in order, whatever the timing of the workers."""
        futures: dict[Future[EnvironmentResult], _Shard] = {self._threads.submit(work, s): s for s in shards}
        failures: dict[int, ProgramError] = {}
        pending = set(futures)
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    shard = futures[future]
                    if future.cancelled():
                        continue
                    error = future.exception()
                    if isinstance(error, ProgramError):
                        failures[shard.index] = error
                        for other in pending:
                            if futures[other].index > shard.index:
                                other.cancel()
                    elif error is not None:
                        raise error
                    else:
                        shard.result = future.result()
                if progress is not None:
                    progress(1 - len(pending) / len(shards))
        finally:
            for other in pending:
                other.cancel()
        for index in sorted(failures):
            if not isinstance(failures[index], CpuLimit | WallTimeout):
                raise failures[index]
            # The clock may have been the machine's fault: once more, alone, before it stands.
            shards[index].result = work(shards[index])
        # A shard behind a clock outcome that did not stand was cancelled: run what is missing.
        missing = [shard for shard in shards if shard.result is None]
        if missing:
            for shard in missing:
                shard.result = work(shard)

    def _again_if_clock(self, work: Callable[[], tuple[dict[str, float], ...]]) -> tuple[dict[str, float], ...]:
        try:
            return work()
        except (CpuLimit, WallTimeout):
            return work()

    def _limits(self, episodes: int) -> Limits:
        cpu = 3.0 + self.cpu_seconds_per_episode * episodes
        return Limits(cpu_seconds=cpu, memory_mb=self.memory_mb)

    def _job(self, program: Program, prepared: _Prepared, mode: str, betas: Sequence[float], **more: Any) -> bytes:
        environment = prepared.environment
        return json.dumps(
            {
                "source": program.source,
                "class_name": program.class_name,
                "mode": mode,
                "betas": list(betas),
                "environment": environment.name,
                "interval": environment.interval,
                "kappa_probe": environment.kappa_probe,
                "max_branches": environment.max_branches,
                **more,
            }
        ).encode()

    def _smoke(self, program: Program, protocol: Protocol) -> tuple[dict[str, float], ...]:
        """A few episodes under tight limits: what loops, crashes or is refused ends here, in seconds."""
        prepared = self._prepared[0]
        betas = sorted({protocol.betas[0], protocol.betas[len(protocol.betas) // 2], protocol.betas[-1]})
        tables = prepared.tables[:SMOKE_QUESTIONS]
        job = self._job(
            program,
            prepared,
            "table",
            betas,
            overrides=dict(protocol.overrides),
            seeds=list(protocol.seeds[:1]),
            signals=[table.signals for table in tables],
        )
        with self._spawn(program, SMOKE_LIMITS) as child:
            child.send(job)
            child.send(pack_tables(tables))
            knobs = _knobs(child.recv(), len(betas))
            if unknown := sorted(protocol.overrides.keys() - knobs[0].keys()):
                there = ", ".join(sorted(knobs[0])) or "none"
                raise InputError(f"--set {unknown[0]}: no such knob; the schedule's knobs are: {there}")
            for _ in betas:
                child.recv()
        return knobs

    def _spawn(self, program: Program, limits: Limits) -> Child:
        return self._sandbox(program.class_name is not None).spawn(entry=ENTRY, limits=limits)

    def _shard(self, program: Program, protocol: Protocol, source: Source, shard: _Shard) -> EnvironmentResult:
        prepared = self._prepared[shard.environment]
        betas = [protocol.betas[b] for b in shard.betas]
        shape = (len(betas), len(protocol.seeds), len(prepared.tables), RECORD)
        episodes = math.prod(shape[:-1])
        common = {"overrides": dict(protocol.overrides), "seeds": list(protocol.seeds)}
        with ExitStack() as stack:
            child = stack.enter_context(self._child(program, self._limits(episodes)))
            if source == "confirm":
                n_branches = [len(table.totals) for table in prepared.tables]
                names = list(prepared.signal_names)
                child.send(self._job(program, prepared, "host", betas, n_branches=n_branches, names=names, **common))
                knobs = _knobs(child.recv(), len(betas))
                referee = stack.enter_context(self._referees.one())
                frame = referee.serve(child, shard.environment, len(betas), protocol.seeds)
                blocks = np.frombuffer(frame, "<i8").reshape(shape)
            else:
                signals = [table.signals for table in prepared.tables]
                child.send(self._job(program, prepared, "table", betas, signals=signals, **common))
                child.send(prepared.packed)
                knobs = _knobs(child.recv(), len(betas))
                blocks = _table_blocks(child, shape)
        return scored(blocks, prepared.gold, knobs, len(protocol.seeds))

    @contextmanager
    def _child(self, program: Program, limits: Limits) -> Iterator[Child]:
        """A child whose CPU time is counted when it has ended."""
        child = self._spawn(program, limits)
        try:
            yield child
        finally:
            child.close()
            with self._lock:
                self.cpu_seconds += child.cpu_seconds


def _knobs(frame: bytes, n: int) -> tuple[dict[str, float], ...]:
    try:
        knobs = json.loads(frame)
        return tuple({str(k): v + 0 for k, v in knobs[b].items()} for b in range(n))
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise OutputLimit("the schedule's frame is not what a schedule gives") from error


def _table_blocks(child: Child, shape: tuple[int, ...]) -> Ints:
    """Records of all episodes, of shape (β, seeds, questions, RECORD): one frame an β."""
    due = 8 * math.prod(shape[1:])
    frames = [child.recv() for _ in range(shape[0])]
    for frame in frames:
        if len(frame) != due:
            raise OutputLimit(f"a result of {len(frame)} bytes where {due} are due")
    return np.frombuffer(b"".join(frames), dtype="<i8").reshape(shape)
