"""Evaluate programs in the jail and score them on the host.

An evaluation is split into shards, each run by a child of its own. *Screening* plays table episodes inside the child
(fast); *confirming* plays host episodes: the child asks by a pipe, the host reveals, counts and refuses. So nothing
unrevealed is ever within the program's reach, and no child sees a question twice.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from autotts.errors import CpuLimit, InputError, LookAhead, Nondeterministic, ProgramError, WallTimeout
from autotts.evaluation.program import Program
from autotts.evaluation.protocol import Protocol
from autotts.evaluation.referees import Referees
from autotts.evaluation.results import EnvironmentResult, disagreement, joined, scored
from autotts.evaluation.shards import Prepared, Work, host_blocks, knobs_of, table_blocks
from autotts.evaluation.tracing import SAMPLE, EpisodeTrace, Scene, trace_block
from autotts.evaluation.wire import MAX_SCHEDULE, RECORD, pack_tables
from autotts.replay import Environment
from autotts.sandbox import Child, Limits, Sandbox, SandboxFactory

__all__ = ["EnvironmentResult", "Evaluator", "Source"]

Source = Literal["screen", "confirm"]
Ints = NDArray[np.int64]
Progress = Callable[[float], None]
T = TypeVar("T")

SMOKE_LIMITS = Limits(cpu_seconds=2.0, wall_seconds=8.0)
SMOKE_QUESTIONS = 2
SCREENED = 2
"""Seeds that are screened for the sake of comparing."""
TRACING = 4
"""CPU time that a traced episode may take, in untraced ones: it takes about three."""


def to_stderr(line: str) -> None:
    """Where notices go unless somebody takes them."""
    print(line, file=sys.stderr, flush=True)


@dataclass
class Evaluator:
    """Runs evaluations of any program on a fixed list of environments, `workers` shards at a time.

    Use as a context manager: it owns a sandbox (a fork server) and a pool of threads.

    Args:
        environments: what programs are run on.
        workers: shards at a time.
        sandbox: makes the sandbox; see `autotts.sandbox.find_sandbox`.
        reduced: run any program where strict isolation cannot be had; without it, trusted ones only.
        notice: told in a line what people should know: that isolation is reduced, or what takes long.
        memory_mb: for each shard's process, MiB.
        smoke: limits of the few episodes that come first.
        cpu_seconds_per_episode: CPU time that a shard may use, for each of its episodes.

    Attributes:
        cpu_seconds: CPU time of all shards so far.
    """

    environments: Sequence[Environment]
    workers: int = 2
    sandbox: SandboxFactory = Sandbox
    reduced: bool = False
    notice: Callable[[str], None] = to_stderr
    memory_mb: int = 256
    smoke: Limits = SMOKE_LIMITS
    cpu_seconds_per_episode: float = 0.02
    cpu_seconds: float = field(init=False, default=0.0)
    _entry: ClassVar[str] = "autotts.evaluation.child:main"
    _preload: ClassVar[tuple[str, ...]] = ("autotts.evaluation.child",)
    _told: bool = field(init=False, default=False)
    _prepared: list[Prepared] = field(init=False)
    _sandboxes: dict[bool, Sandbox] = field(init=False, default_factory=dict)
    _referees: Referees = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._prepared = [Prepared.of(environment) for environment in self.environments]
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
        """The isolation that was probed at start: "strict", "docker (…)", or "reduced (…)" with what is missing."""
        return self._sandbox(False).isolation

    def admit(self, trusted: bool) -> None:
        """Refuse programs that may not run under the isolation that can be had here, and never say nothing of it.

        Args:
            trusted: see `Program`.

        Raises:
            InputError: isolation is reduced, which a stranger's program needs an explicit word for.
        """
        isolation = self.isolation
        if not isolation.startswith("reduced"):
            return
        layers = self._sandbox(False).layers
        why = "; ".join(f"{name} {state}" for name, state in layers.items() if not state.startswith("on"))
        if not (trusted or self.reduced):
            raise InputError(
                f"strict isolation cannot be had here ({why}), and this program may have been written by a model or a "
                "stranger; use --sandbox docker, or take the risk with --isolation reduced"
            )
        if not self._told:
            self._told = True
            self.notice(f"isolation is reduced ({why})")

    def jail(self) -> Sandbox:
        """The sandbox, for what an agent wrote besides programs (a feature of states, say).

        Raises:
            InputError: see `admit`.
        """
        self.admit(False)
        return self._sandbox(False)

    def _sandbox(self, compat: bool) -> Sandbox:
        with self._lock:
            if compat not in self._sandboxes:
                preload = (*self._preload, "numpy") if compat else self._preload
                self._sandboxes[compat] = self.sandbox(preload, self.notice)
            return self._sandboxes[compat]

    # ---- the jobs ----------------------------------------------------------------------------------------------

    def check(self, program: Program) -> tuple[dict[str, float], ...]:
        """Policy, schedule and smoke episodes; the knobs at β = 0, ½, 1.

        Raises:
            InputError: see `admit`.
            ProgramError: the typed outcome.
        """
        self.admit(program.trusted)
        protocol = Protocol(betas=(0.0, 0.5, 1.0), seeds=(0,))
        return self._again_if_clock(lambda: self._smoke(program, protocol))[0]

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
            InputError: an override names no knob of the schedule; see also `admit`.
            ProgramError: the typed outcome of the first shard (in order) that failed.
        """
        self.admit(program.trusted)
        _, code = self._again_if_clock(lambda: self._smoke(program, protocol))
        play = self._host_episodes if source == "confirm" else self._table_episodes
        return play(Work(program, protocol, code), progress or (lambda _: None))

    def confirmed(self, program: Program, protocol: Protocol) -> list[EnvironmentResult]:
        """Host episodes of a program that was not screened before: a few seeds are, to be compared.

        Raises:
            InputError, ProgramError: see `run` and `confirm`.
        """
        few = replace(protocol, seeds=protocol.seeds[:SCREENED])
        return self.confirm(program, protocol, self.run(program, few), few)

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

    def trace(
        self,
        program: Program,
        protocol: Protocol = SAMPLE,
        only: tuple[int, int] | None = None,
        overridden: int | None = None,
    ) -> list[EpisodeTrace]:
        """Table episodes with every action, its line, notes, and the line of the return.

        Args:
            program: what to run.
            protocol: β, seeds, overrides.
            only: the one question that is played, as places in `environments` and in that environment.
            overridden: a line of the program whose prunes have no effect and whose waves go an interval further, to
                see what they do; None for the program as it is.

        Returns:
            The traces, environments outermost, then β, seeds, and questions.

        Raises:
            InputError, ProgramError: see `run`; `OutputLimit` as well where the traces are not what they say.
        """
        self.admit(program.trusted)
        _, code = self._again_if_clock(lambda: self._smoke(program, protocol))
        work = Work(program, protocol, code)
        scenes = [Scene(e, prepared, overridden=overridden) for e, prepared in enumerate(self._prepared)]
        if only is not None:
            scenes = [replace(scenes[only[0]], numbers=(only[1],))]

        def play(scene: Scene, beta: float) -> list[EpisodeTrace]:
            episodes = len(protocol.seeds) * len(scene.questions)
            with self._child(program, self._limits(TRACING * episodes)) as child:
                return trace_block(work, beta, scene, child)

        shards = [(scene, beta) for scene in scenes for beta in protocol.betas]
        blocks = self._all([partial(play, *shard) for shard in shards], lambda _: None)
        return [trace for block in blocks for trace in block]

    # ---- shards ------------------------------------------------------------------------------------------------

    def _table_episodes(self, work: Work, progress: Progress) -> list[EnvironmentResult]:
        """Shards of one environment and a quarter of the β, interleaved: cheap and dear β in each."""
        protocol = work.protocol
        n_parts = min(4, len(protocol.betas))
        parts = [tuple(range(part, len(protocol.betas), n_parts)) for part in range(n_parts)]
        shards = [(part, prepared) for part in parts for prepared in self._prepared]

        def play(part: tuple[int, ...], prepared: Prepared) -> EnvironmentResult:
            shape = (len(part), len(protocol.seeds), len(prepared.tables), RECORD)
            with self._child(work.program, self._limits(math.prod(shape[:-1]))) as child:
                knobs, blocks = table_blocks(work, [protocol.betas[b] for b in part], prepared, child)
            return scored(blocks.reshape(shape), prepared.gold, knobs, len(protocol.seeds))

        results = self._all([partial(play, *shard) for shard in shards], progress)
        return [
            joined(list(zip(parts, results[e :: len(self._prepared)], strict=True))) for e in range(len(self._prepared))
        ]

    def _host_episodes(self, work: Work, progress: Progress) -> list[EnvironmentResult]:
        """Shards of one β and one seed over all environments: a child sees no question twice.

        So nothing that it learnt in one episode, however it kept it, tells it anything of another.
        """
        protocol = work.protocol
        shards = [(beta, seed) for seed in protocol.seeds for beta in protocol.betas]

        def play(beta: float, seed: int) -> tuple[dict[str, float], list[Ints]]:
            episodes = sum(len(prepared.tables) for prepared in self._prepared)
            with self._child(work.program, self._limits(episodes)) as child, self._referees.one() as referee:
                return host_blocks(work, beta, seed, self._prepared, child, referee)

        results = self._all([partial(play, *shard) for shard in shards], progress)
        n = len(protocol.betas)
        knobs = tuple(told for told, _ in results[:n])
        for (beta, seed), (told, _) in zip(shards, results, strict=True):
            if told != knobs[protocol.betas.index(beta)]:
                raise Nondeterministic("schedule gave other knobs in another process", where=f"β={beta:g}, seed {seed}")
        found = []
        for e, prepared in enumerate(self._prepared):
            by_seed = [np.stack([blocks[e] for _, blocks in results[k : k + n]]) for k in range(0, len(results), n)]
            found.append(scored(np.stack(by_seed, axis=1), prepared.gold, knobs, len(protocol.seeds)))
        return found

    def _all(self, works: Sequence[Callable[[], T]], progress: Progress) -> list[T]:
        """Do all; the failure that stands is the first in order, whatever the timing of the workers."""
        futures = {self._threads.submit(work): k for k, work in enumerate(works)}
        results: dict[int, T] = {}
        failures: dict[int, ProgramError] = {}
        pending = set(futures)
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done - {f for f in done if f.cancelled()}:
                    k, error = futures[future], future.exception()
                    if error is None:
                        results[k] = future.result()
                    elif isinstance(error, ProgramError):
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
        for k in sorted(failures):
            if not isinstance(failures[k], CpuLimit | WallTimeout):
                raise failures[k]
            # The clock may have been the machine's fault: once more, alone, before it stands.
            results[k] = works[k]()
        # Work behind a clock outcome that did not stand was cancelled: do what is missing.
        return [results[k] if k in results else work() for k, work in enumerate(works)]

    def _again_if_clock(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (CpuLimit, WallTimeout):
            return work()

    def _limits(self, episodes: int) -> Limits:
        cpu = 3.0 + self.cpu_seconds_per_episode * episodes
        return Limits(cpu_seconds=cpu, memory_mb=self.memory_mb)

    def _smoke(self, program: Program, protocol: Protocol) -> tuple[tuple[dict[str, float], ...], bytes]:
        """A few episodes under tight limits: what loops, crashes or is refused ends here, in seconds.

        Returns:
            The knobs at the least, middle and greatest β, and the program's code.
        """
        prepared = self._prepared[0]
        betas = sorted({protocol.betas[0], protocol.betas[len(protocol.betas) // 2], protocol.betas[-1]})
        tables = prepared.tables[:SMOKE_QUESTIONS]
        work = Work(program, protocol)
        signals = [table.signals for table in tables]
        job = prepared.table_job(work, betas, seeds=list(protocol.seeds[:1]), signals=signals)
        with self._spawn(program, replace(self.smoke, memory_mb=self.memory_mb)) as child:
            code = work.start(child, job)
            child.send(pack_tables(tables))
            knobs = knobs_of(child.recv(MAX_SCHEDULE), len(betas))
            if unknown := sorted(protocol.overrides.keys() - knobs[0].keys()):
                there = ", ".join(sorted(knobs[0])) or "none"
                raise InputError(f"--set {unknown[0]}: no such knob; the schedule's knobs are: {there}")
            for _ in betas:
                child.recv()
        return knobs, code

    def _spawn(self, program: Program, limits: Limits) -> Child:
        return self._sandbox(program.class_name is not None).spawn(self._entry, limits)

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
