"""What the browser reads: the archive while others write it, and evidence that is made in the sandbox when asked for.

Everything here may be called from any thread, and fails with a sentence (`AutoTTSError`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotts.archive import Archive, ArchiveError, Listed, Point, RunCounts
from autotts.archive.alone import is_free
from autotts.errors import InputError

if TYPE_CHECKING:  # imported when evidence is first asked for: the first screen must not wait for it
    from autotts.evaluation import EpisodeTrace, Evaluator, Program
    from autotts.search.figures import Figures
    from autotts.traces.bench import Bench
    from autotts.traces.heat import HeatMap

__all__ = ["Desk", "News", "Traced"]

PATIENCE = 3.0
"""Seconds for which a locked archive, or a server that went away, is waited for before a person is told."""


@dataclass(frozen=True, slots=True)
class News:
    """What a run has that was not read before.

    Attributes:
        run: its name.
        again: (round, slot) from which on what was read before does not hold any more, None where all of it holds.
        rows, points: proposals, and points of their programs at the three β, in order.
        front: the points of the front, None where more is to be read at once.
        more: whether more is to be read at once.
    """

    run: str
    again: tuple[int, int] | None
    rows: Sequence[Listed]
    points: Sequence[Point]
    front: Sequence[Point] | None
    more: bool


BATCH = 500
"""Proposals that are read at a time."""


TRACED = 4
"""Programs whose traces are kept."""


@dataclass(frozen=True)
class Traced:
    """What a program did in a sample of episodes.

    Attributes:
        program: what played.
        traces: one an episode.
        heat: how they ended.
        evaluator: that played them, and can play others.
    """

    program: Program
    traces: tuple[EpisodeTrace, ...]
    heat: HeatMap
    evaluator: Evaluator


class _Patient(Archive):
    patience = PATIENCE


@dataclass
class Desk:
    """An open archive and, once evidence is asked for, a bench for each run.

    Args:
        target: path or URL of the archive.
        workers: shards at a time, where programs are run.
        isolating: see `Evaluator`: `sandbox` and `reduced`.
        notice: told, in a line, when the archive has to be waited for.
    """

    target: str
    workers: int
    isolating: dict[str, Any]
    notice: Callable[[str], None]
    archive: Archive = field(init=False)
    _file: Path | None = field(init=False)
    _inode: int = field(init=False, default=0)
    _figures: dict[str, Figures] = field(init=False, default_factory=dict)
    _betas: dict[str, list[float]] = field(init=False, default_factory=dict)
    _benches: dict[str, Bench] = field(init=False, default_factory=dict)
    _evaluators: dict[str, Evaluator] = field(init=False, default_factory=dict)
    _traced: dict[tuple[str, str], Traced] = field(init=False, default_factory=dict)
    _making: threading.Lock = field(init=False, default_factory=threading.Lock)
    _open: ExitStack = field(init=False, default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.archive = self._open.enter_context(_Patient(self.target, create=False, notice=self.notice))
        self._file = None if "://" in self.target else Path(self.target).expanduser()
        self._inode = self._file.stat().st_ino if self._file else 0

    def close(self) -> None:
        """End what runs programs, and close the archive."""
        self._open.close()

    def stop(self) -> None:
        """End what runs programs: whoever waits for it is told so, and need not wait until it is done."""
        for evaluator in list(self._evaluators.values()):
            evaluator.close()

    @property
    def name(self) -> str:
        """The archive as people know it, without a password."""
        return self._file.name if self._file else self.archive.name.rpartition("@")[2]

    # ---- the archive ---------------------------------------------------------------------------------------------

    def check_there(self) -> None:
        """An open file can be read after it was deleted, and then it is nobody's archive.

        Raises:
            ArchiveError: it is gone, or another file is in its place.
        """
        if self._file is None:
            return
        try:
            inode = self._file.stat().st_ino
        except OSError as error:
            raise ArchiveError(
                f"{self._file}: the archive is gone ({error.strerror}); what was read before is still shown"
            ) from error
        if inode != self._inode:
            raise ArchiveError(f"{self._file}: another file is in the archive's place; quit, and open it again")

    def counts(self) -> list[RunCounts]:
        """Every run at this moment."""
        self.check_there()
        return self.archive.counts()

    def state(self, counts: RunCounts) -> str:
        """A run's state in a word: one that says "running" and that nobody is at was killed, or runs elsewhere."""
        if counts.state == "running" and is_free(self.archive.name, counts.name):
            return "not running" if self._file else "running elsewhere, or killed"
        return counts.state

    def news(self, run: str, after: tuple[int, int], undecided: tuple[int, int] | None, *, changed: bool) -> News:
        """What follows in a run.

        Args:
            run: its name.
            after: (round, slot) of the last proposal that was read.
            undecided: of the first one that was undecided then, None where there was none.
            changed: whether the front may be another one although there is no new proposal.
        """
        self.check_there()
        again = None
        if undecided is not None and undecided <= after:
            first = self.archive.page(run, (undecided[0], undecided[1] - 1), 1)
            again = undecided if first and first[0].outcome is not None else None
        rows = self.archive.page(run, after if again is None else (again[0], again[1] - 1), BATCH)
        programs = [row.hash for row in rows if row.hash and row.stage == "confirm"]
        points = self.archive.points_of(run, programs, self._three(run, programs[0])) if programs else []
        more = len(rows) == BATCH
        front = self.archive.front(run) if not more and (rows or changed) else None
        return News(run, again, rows, points, front, more)

    def figures(self, run: str) -> Figures:
        """What the archive holds of a run; read anew by `forget`."""
        from autotts.search.figures import Figures

        with self._making:
            if run not in self._figures:
                self._figures[run] = Figures(self.archive, self.archive.run(run))
            return self._figures[run]

    def called(self, run: str, hash: str) -> str:
        """A baseline's name, the beginning of the hash of any other program."""
        return {known: name for name, known in self.figures(run).baselines.items()}.get(hash, hash[:10])

    def hypervolumes(self, run: str, steps: int) -> list[float]:
        """A run's hypervolume after equal shares of its proposals, the last one now; none before there is a reference.

        Args:
            run: its name.
            steps: how many figures.
        """
        from autotts.search.figures import Figures
        from autotts.search.growth import growth
        from autotts.search.standing import NEEDED

        figures = Figures(self.archive, self.archive.run(run))  # of its own: it keeps the whole list
        if any(name not in figures.baselines for name in NEEDED):
            return []
        found = growth(figures).steps
        asked = found[-1].proposals
        at = [asked * k / (steps - 1) for k in range(steps)]
        return [[step for step in found if step.proposals <= place][-1].hypervolume for place in at]

    def forget(self, run: str) -> None:
        """Read a run's record anew when it is next asked for."""
        with self._making:
            self._figures.pop(run, None)

    def _three(self, run: str, program: str) -> list[float]:
        """The least, the middle and the greatest β of a run, by any confirmed program of it."""
        if run not in self._betas:
            betas = [point.beta for point in self.archive.points(run, program)]
            self._betas[run] = [betas[0], betas[len(betas) // 2], betas[-1]] if betas else []
        return self._betas[run]

    # ---- programs and evidence -----------------------------------------------------------------------------------

    def program(self, hash: str) -> Program:
        """A program of the archive, ready to be run.

        Raises:
            InputError: there is none of this hash.
        """
        from autotts.evaluation import Program

        stored = self.archive.program(hash)
        if stored is None:
            raise InputError(f"{hash[:10]}: no such program in {self.archive.name}")
        return Program(stored.source, stored.name or stored.id, stored.class_name)

    def evaluator(self, run: str) -> Evaluator:
        """What runs programs on the environments that a run searches.

        Raises:
            InputError: the environments are not there, or not what they were.
        """
        from autotts.evaluation import Evaluator
        from autotts.search.runs import run_environments

        config = self.figures(run).config
        with self._making:
            if run not in self._evaluators:
                environments, _ = run_environments(self.archive.run(run), config)
                self._evaluators[run] = self._open.enter_context(
                    Evaluator(environments, self.workers, notice=self.notice, **self.isolating)
                )
            return self._evaluators[run]

    def bench(self, run: str) -> Bench:
        """Instruments on the environments that a run searches.

        Raises:
            InputError: see `evaluator`.
        """
        from autotts.traces.bench import Bench

        evaluator, protocol = self.evaluator(run), self.figures(run).config.bench_protocol
        with self._making:
            return self._benches.setdefault(run, Bench(evaluator, protocol))

    def traced(self, run: str, hash: str) -> Traced:
        """What a program did in a sample of episodes, played again in the sandbox; the last few are kept.

        Raises:
            InputError: see `evaluator`.
            ProgramError: the program fails.
        """
        from autotts.traces.heat import heat_map

        if (run, hash) not in self._traced:
            evaluator, program = self.evaluator(run), self.program(hash)
            traces = evaluator.trace(program)
            found = Traced(program, tuple(traces), heat_map(traces, evaluator.environments), evaluator)
            with self._making:
                self._traced[run, hash] = found
                for key in list(self._traced)[:-TRACED]:
                    del self._traced[key]
        return self._traced[run, hash]
