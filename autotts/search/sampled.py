"""What a champion does, and the reference beside it, from episodes that are played again in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autotts.archive import Archive
from autotts.errors import InputError, ProgramError
from autotts.evaluation import Evaluator, Program, shipped
from autotts.search.config import Config
from autotts.search.report import Report
from autotts.search.runs import run_environments
from autotts.search.standing import REFERENCE
from autotts.traces import Evidence, LineCredit
from autotts.traces.bench import Bench

__all__ = ["Ended", "Sampled", "sampled"]


@dataclass(frozen=True)
class Ended:
    """How many episodes of a program ended in one way: `kind` is a failure kind, `share` a fraction of all."""

    program: str
    kind: str
    episodes: int
    share: float


@dataclass(frozen=True)
class Sampled:
    """What was seen.

    Attributes:
        title: which episodes were played.
        ended: of the champion, then of the reference.
        credit: of the champion's lines, the one that harms most first.
    """

    title: str
    ended: tuple[Ended, ...]
    credit: tuple[LineCredit, ...]


def sampled(archive: Archive, report: Report, workers: int, **options: Any) -> Sampled | str:
    """Play the champion and the reference on the run's environments.

    Args:
        archive, report: where the run is, and its champion.
        workers, options: see `Evaluator`.

    Returns:
        What was seen; a sentence where it cannot be had: the environments are gone or changed, strangers' programs may
        not run here, or the program ends otherwise than it did.
    """
    run = archive.run(report.run)
    config = Config.from_json(run.config)
    stored = archive.program(report.champion.hash)
    assert stored is not None
    own = Program(stored.source, stored.id, stored.class_name)
    try:
        searched, _ = run_environments(run, config)
        with Evaluator(searched, workers, **options) as evaluator:
            bench = Bench(evaluator, config.bench_protocol)
            found = bench.failures(own)
            ended = (*_ended(stored.id, found), *_ended(REFERENCE, bench.failures(shipped(REFERENCE))))
            return Sampled(found.title, ended, tuple(bench.lines(own)))
    except (InputError, ProgramError) as error:
        return str(error)


def _ended(program: str, found: Evidence) -> Sequence[Ended]:
    """The rows over all environments, which come first; of a single one there are no others."""
    over_all = found.rows[0][0]
    rows = [row for row in found.rows if row[0] == over_all]
    return [Ended(program, str(kind), int(n or 0), float(share or 0) / 100) for _, kind, n, share, *_ in rows]
