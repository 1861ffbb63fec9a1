"""A look at the questions that a run keeps in reserve: a separate act, on host episodes, written to the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autotts.archive import Archive, LedgerEntry, LedgerRow
from autotts.errors import InputError
from autotts.evaluation import Curve, EnvironmentResult, Evaluator, Program, Protocol, cluster_names, clusters_of
from autotts.evaluation.champion import LEVEL
from autotts.evaluation.curve import scores_of
from autotts.replay import Environment
from autotts.search.config import Config
from autotts.search.report import Difference, Report, difference
from autotts.search.runs import run_environments

__all__ = ["Reserved", "Unseen", "look_at_reserve"]


@dataclass(frozen=True)
class Unseen:
    """The champion beside one other program, on questions that nobody chose by.

    Attributes:
        role, id: see `Versus`.
        difference: paired by question.
        level: two-sided level of the test, divided by the number of programs that were looked at on these questions.
    """

    role: str
    id: str
    difference: Difference
    level: float

    @property
    def better(self) -> bool:
        """Whether the champion is better on questions that nobody chose by."""
        return self.difference.gain > 0 and self.difference.p < self.level


@dataclass(frozen=True)
class Reserved:
    """What a look at the reserved questions showed.

    Attributes:
        questions: how many (a question in several environments is one).
        times: the how-manieth look it is.
        programs: how many champions were looked at on them.
        versus: the champion beside others.
        curve: (environment, β, accuracy, tokens) of the champion.
        searched_by: other runs of the archive that searched on some of these questions.
    """

    questions: int
    times: int
    programs: int
    versus: tuple[Unseen, ...]
    curve: tuple[tuple[str, float, float, float], ...]
    searched_by: tuple[str, ...]


def look_at_reserve(archive: Archive, report: Report, workers: int, **options: Any) -> Reserved:
    """Evaluate a champion, its parents and the reference on the reserved questions, and write the look down.

    Args:
        archive: where the run is.
        report: of the run.
        workers, options: see `Evaluator`.

    Raises:
        InputError: the run keeps nothing in reserve, or its environments are not what they were.
        ProgramError: one of the programs fails there.
    """
    run = archive.run(report.run)
    config = Config.from_json(run.config)
    if not config.reserve:
        raise InputError(
            f"{run.name}: keeps no questions in reserve; start a search with --reserve 0.2, "
            "or score its champion on held-out environments by `autotts score`"
        )
    _, kept = run_environments(run, config)
    protocol = config.protocol
    champion = report.champion.hash
    hashes = dict.fromkeys([champion, *(versus.hash for versus in report.versus)])
    with Evaluator(kept, workers, **options) as evaluator:
        results = {hash: evaluator.confirmed(_program(archive, hash), protocol) for hash in hashes}
    times, looked = _write_down(archive, run.name, champion, kept, protocol, results[champion])
    return Reserved(
        questions=len({name for names in cluster_names(kept) for name in names}),
        times=times,
        programs=looked,
        versus=_differences(report, results, kept, 2 * LEVEL / looked),
        curve=_curve(kept, protocol, results[champion]),
        searched_by=_searched_by(archive, run.name, kept),
    )


def _program(archive: Archive, hash: str) -> Program:
    stored = archive.program(hash)
    assert stored is not None
    return Program(stored.source, stored.id, stored.class_name)


def _differences(
    report: Report, results: dict[str, list[EnvironmentResult]], kept: Sequence[Environment], level: float
) -> tuple[Unseen, ...]:
    clusters, units = clusters_of(kept), np.array([environment.sc64_tokens for environment in kept])
    scores = {hash: scores_of(rows, clusters, units) for hash, rows in results.items()}
    names = list(dict.fromkeys(name for row in cluster_names(kept) for name in row))
    reference = next(versus.hash for versus in report.versus if versus.role == "reference")

    def between(hash: str) -> Difference:
        return difference(scores[report.champion.hash], scores[hash], scores[reference], names)

    return tuple(Unseen(versus.role, versus.id, between(versus.hash), level) for versus in report.versus)


def _curve(
    kept: Sequence[Environment], protocol: Protocol, results: Sequence[EnvironmentResult]
) -> tuple[tuple[str, float, float, float], ...]:
    curve = Curve.of(kept, protocol.betas, results)
    accuracy, tokens = np.nanmean(curve.accuracy, axis=2), np.nanmean(curve.tokens, axis=2)
    return tuple(
        (environment.name, beta, float(accuracy[e, b]), float(tokens[e, b]))
        for e, environment in enumerate(kept)
        for b, beta in enumerate(protocol.betas)
    )


def _write_down(
    archive: Archive,
    run: str,
    program: str,
    kept: Sequence[Environment],
    protocol: Protocol,
    results: Sequence[EnvironmentResult],
) -> tuple[int, int]:
    """(The how-manieth look this is, how many programs were looked at); one entry an environment."""
    times, looked = 0, 0
    with archive.transaction():
        for environment, result in zip(kept, results, strict=True):
            episodes = result.n_seeds * len(environment.questions)
            figures = [
                (row.sum(axis=1) / episodes).tolist() for row in (result.right, result.tokens, result.sequential_tokens)
            ]
            rows = tuple(LedgerRow(*row) for row in zip(protocol.betas, *figures, strict=True))
            name = f"{environment.name} (in reserve)"
            entry = archive.append_ledger(LedgerEntry(program, environment.content_hash, name, rows, run))
            times = max(times, entry.number)
            looked = max(looked, len({e.program for e in archive.ledger(environment=environment.content_hash)}))
    return times, looked


def _searched_by(archive: Archive, run: str, kept: Sequence[Environment]) -> tuple[str, ...]:
    keys = {key for environment in kept for key in environment.content}
    others = (other for other in archive.runs() if other.name != run)
    return tuple(o.name for o in others if any(key in keys for ref in o.environments for key in ref.content))
