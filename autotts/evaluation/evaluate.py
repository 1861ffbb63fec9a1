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
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from autotts.errors import InputError, LookAhead, Nondeterministic, ProgramError
from autotts.evaluation.crew import Crew, Progress
from autotts.evaluation.jails import Jails
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

SMOKE_LIMITS = Limits(cpu_seconds=2.0, wall_seconds=8.0)
SMOKE_QUESTIONS = 2
SCREENED = 2
"""Seeds that are screened for the sake of comparing."""
PARTS, WORTH_A_CHILD = 4, 250
"""Shards of an environment at most, and episodes that make one more of them pay: a child takes as long as a hundred."""

TRACING = 4
"""CPU time that a traced episode may take, in untraced ones: it takes about three."""


def to_stderr(line: str) -> None:
    """Where notices go unless somebody takes them."""
    print(line, file=sys.stderr, flush=True)


@dataclass
class Evaluator:
    """Runs evaluations of any program on a fixed list of environments, `workers` shards at a time.

    Several threads may use it at once; they share the workers. Use as a context manager: it owns a sandbox (a fork
    server) and a pool of threads.

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
    _prepared: list[Prepared] = field(init=False)
    _jails: Jails = field(init=False)
    _referees: Referees = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._prepared = [Prepared.of(environment) for environment in self.environments]
        self._referees = Referees([prepared.world for prepared in self._prepared])
        self._jails = Jails(self.sandbox, self.reduced, self.notice, self._entry, self._preload)
        self._crew = Crew(self.workers)

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the fork servers, the threads and the referees."""
        # Children first: a thread that waits for one then ends at once, and starts no other.
        self._jails.close()
        self._crew.close()
        self._referees.close()

    @property
    def isolation(self) -> str:
        """The isolation that was probed at start: "strict", "docker (…)", or "reduced (…)" with what is missing."""
        return self._jails.sandbox().isolation

    def admit(self, trusted: bool) -> None:
        """Refuse programs that may not run under the isolation that can be had here, and never say nothing of it.

        Args:
            trusted: see `Program`.

        Raises:
            InputError: isolation is reduced, which a stranger's program needs an explicit word for.
        """
        self._jails.admit(trusted)

    def jail(self) -> Sandbox:
        """The sandbox, for what an agent wrote besides programs (a feature of states, say).

        Raises:
            InputError: see `admit`.
        """
        self.admit(False)
        return self._jails.sandbox()

    # ---- the jobs ----------------------------------------------------------------------------------------------

    def check(self, program: Program) -> tuple[dict[str, float], ...]:
        """Policy, schedule and smoke episodes; the knobs at β = 0, ½, 1.

        Raises:
            InputError: see `admit`.
            ProgramError: the typed outcome.
        """
        return self.begin(program, Protocol(betas=(0.0, 0.5, 1.0), seeds=(0,))).knobs

    def begin(self, program: Program, protocol: Protocol) -> Work:
        """Compile a program under the policy, check its schedule, play the smoke episodes: what is needed to run it.

        Raises:
            InputError: an override names no knob of the schedule; see also `admit`.
            ProgramError: the typed outcome.
        """
        self.admit(program.trusted)
        return self._crew.one(lambda: self._smoke(program, protocol))

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
            InputError: see `begin`.
            ProgramError: the typed outcome of the first shard (in order) that failed.
        """
        return self.play(self.begin(program, protocol), source, progress)

    def play(
        self,
        work: Work,
        source: Source = "screen",
        progress: Progress | None = None,
        only: Sequence[int] | None = None,
    ) -> list[EnvironmentResult]:
        """Run what was begun; see `run`.

        Args:
            work: see `begin`.
            source, progress: see `run`.
            only: places of the environments that are screened, None for all; confirming plays them all.

        Raises:
            ProgramError: see `run`.
        """
        progress = progress or (lambda _: None)
        if source == "confirm":
            return self._host_episodes(work, progress)
        chosen = self._prepared if only is None else [self._prepared[e] for e in only]
        return self._table_episodes(work, chosen, progress)

    def confirmed(self, program: Program, protocol: Protocol) -> list[EnvironmentResult]:
        """Host episodes of a program that was not screened before: a few seeds are, to be compared.

        Raises:
            InputError, ProgramError: see `run` and `confirm`.
        """
        few = replace(protocol, seeds=protocol.seeds[:SCREENED])
        work = self.begin(program, few)
        return self.confirm(work, protocol, self.play(work))

    def confirm(
        self,
        work: Work,
        protocol: Protocol,
        screened: Sequence[EnvironmentResult],
        progress: Progress | None = None,
    ) -> list[EnvironmentResult]:
        """Host episodes, and agreement action by action with a screening on the episodes that both ran.

        Args:
            work: what was screened, with the protocol of the screening.
            protocol: what is played now.
            screened: what the screening gave.
            progress: see `run`.

        Raises:
            LookAhead: the program acts differently when nothing unrevealed is within its reach.
            Nondeterministic: it does not even repeat itself on table episodes.
            ProgramError: any other typed outcome.
        """
        confirmed = self.play(replace(work, protocol=protocol), "confirm", progress)
        where = disagreement(screened, work.protocol, confirmed, protocol)
        if where is None:
            return confirmed
        if disagreement(screened, work.protocol, self.play(work), work.protocol) is not None:
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
        work = self.begin(program, protocol)
        scenes = [Scene(e, prepared, overridden=overridden) for e, prepared in enumerate(self._prepared)]
        if only is not None:
            scenes = [replace(scenes[only[0]], numbers=(only[1],))]

        def play(scene: Scene, beta: float) -> list[EpisodeTrace]:
            episodes = len(protocol.seeds) * len(scene.questions)
            with self._child(program, self._limits(TRACING * episodes)) as child:
                return trace_block(work, beta, scene, child)

        shards = [(scene, beta) for scene in scenes for beta in protocol.betas]
        blocks = self._crew.all([partial(play, *shard) for shard in shards], lambda _: None)
        return [trace for block in blocks for trace in block]

    # ---- shards ------------------------------------------------------------------------------------------------

    def _table_episodes(
        self, work: Work, environments: Sequence[Prepared], progress: Progress
    ) -> list[EnvironmentResult]:
        """Shards of one environment and a part of the β, interleaved: cheap and dear β in each."""
        protocol = work.protocol
        episodes = len(protocol.betas) * len(protocol.seeds) * max(len(prepared.tables) for prepared in environments)
        n_parts = max(1, min(PARTS, len(protocol.betas), episodes // WORTH_A_CHILD))
        parts = [tuple(range(part, len(protocol.betas), n_parts)) for part in range(n_parts)]
        shards = [(part, prepared) for part in parts for prepared in environments]

        def play(part: tuple[int, ...], prepared: Prepared) -> EnvironmentResult:
            shape = (len(part), len(protocol.seeds), len(prepared.tables), RECORD)
            with self._child(work.program, self._limits(math.prod(shape[:-1]))) as child:
                knobs, blocks = table_blocks(work, [protocol.betas[b] for b in part], prepared, child)
            return scored(blocks.reshape(shape), prepared.gold, knobs, len(protocol.seeds))

        results = self._crew.all([partial(play, *shard) for shard in shards], progress)
        n = len(environments)
        return [joined(list(zip(parts, results[e::n], strict=True))) for e in range(n)]

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

        results = self._crew.all([partial(play, *shard) for shard in shards], progress)
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

    def _limits(self, episodes: int) -> Limits:
        cpu = 3.0 + self.cpu_seconds_per_episode * episodes
        return Limits(cpu_seconds=cpu, memory_mb=self.memory_mb)

    def _smoke(self, program: Program, protocol: Protocol) -> Work:
        """A few episodes under tight limits: what loops, crashes or is refused ends here, in seconds."""
        prepared = self._prepared[0]
        betas = sorted({protocol.betas[0], protocol.betas[len(protocol.betas) // 2], protocol.betas[-1]})
        tables = prepared.tables[:SMOKE_QUESTIONS]
        work = Work(program, protocol)
        signals = [table.signals for table in tables]
        job = prepared.table_job(work, betas, seeds=list(protocol.seeds[:1]), signals=signals)
        with self._spawn(program, replace(self.smoke, memory_mb=self.memory_mb)) as child:
            work = work.compiled(child, job)
            child.send(pack_tables(tables))
            try:
                knobs = knobs_of(child.recv(MAX_SCHEDULE), len(betas))
                if unknown := sorted(protocol.overrides.keys() - knobs[0].keys()):
                    there = ", ".join(sorted(knobs[0])) or "none"
                    raise InputError(f"--set {unknown[0]}: no such knob; the schedule's knobs are: {there}")
                for _ in betas:
                    child.recv()
            except ProgramError as error:
                error.fingerprint = work.fingerprint
                raise
        return replace(work, knobs=knobs)

    def _spawn(self, program: Program, limits: Limits) -> Child:
        return self._jails.spawn(program, limits)

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
