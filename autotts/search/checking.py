"""Whether an archive's figures can be had again: computed from its sums, and a sample by running its programs again."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autotts.archive import Archive, Evaluation, Fault, Point, Run
from autotts.errors import ProgramError
from autotts.evaluation import EnvironmentResult, Evaluator, Program, Protocol
from autotts.evaluation.curve import numbered, scores_of
from autotts.evaluation.statistics import Scores, Yardstick, mean_curve
from autotts.replay import Environment
from autotts.search.config import Config
from autotts.search.runs import run_environments

__all__ = ["Rerun", "recomputed", "rerun"]

_SUMS = ("right", "tokens", "sequential_tokens", "branches")


@dataclass(frozen=True)
class Rerun:
    """A program of the sample.

    Attributes:
        run: the run that it belongs to.
        program: its full hash.
        source: "screen" or "confirm".
        differences: what differs from the archive, one sentence each; empty where everything is the same.
    """

    run: str
    program: str
    source: str
    differences: tuple[str, ...]


def rerun(
    archive: Archive,
    run: Run,
    sample: int,
    seed: int,
    *,
    workers: int = 2,
    took: Callable[[Rerun], None] = lambda _: None,
    **options: Any,
) -> list[Rerun]:
    """Run a sample of a run's evaluated programs in the sandbox again, and compare sums, knobs and digests exactly.

    Args:
        archive, run: where the figures are.
        sample: programs at most; of fewer, all.
        seed: the same seed draws the same programs.
        workers, options: see `Evaluator`.
        took: told of every comparison as it is made.

    Raises:
        InputError: the run's environments are not there any more or not what they were, or strict isolation cannot be
            had.
    """
    config = Config.from_json(run.config)
    environments, _ = run_environments(run, config)
    made = []
    with Evaluator(environments, workers, **options) as evaluator:
        for digest in _drawn(archive, run.name, sample, seed):
            stored = archive.program(digest)
            assert stored is not None  # the database keeps a proposal's program
            program = Program(stored.source, stored.id, stored.class_name)
            for source, protocol in (("screen", config.screen_protocol), ("confirm", config.protocol)):
                kept = archive.get_evaluations(digest, [e.hash for e in environments], protocol.hash, source)
                if kept:
                    told = _differences(evaluator, program, protocol, source, kept)
                    made.append(Rerun(run.name, digest, source, tuple(told)))
                    took(made[-1])
    return made


def recomputed(archive: Archive, run: Run) -> Iterator[Fault]:
    """What does not follow from a run's own sums over seeds: gains, points of mean curves; and rounds that lack slots.

    The figures are computed again from the stored sums, without running anything. Sums that are not there are left to
    `Archive.faults`. A gain's standard error is not compared: it depends on what was taken for one question, which
    earlier versions told otherwise.
    """
    config, counts = Config.from_json(run.config), Counter[int]()
    refs = run.environments
    clusters, units = numbered([ref.clusters for ref in refs]), np.asarray([ref.sc64_tokens for ref in refs])
    reference: str | None = None
    yardsticks: dict[str, Yardstick] = {}

    def scores(program: str, stage: str) -> Scores | None:
        protocol = config.protocol if stage == "confirm" else config.screen_protocol
        kept = archive.get_evaluations(program, [ref.hash for ref in refs], protocol.hash, stage)
        return scores_of([kept[ref.hash] for ref in refs], clusters, units) if len(kept) == len(refs) else None

    for row in archive.listing(run.name):
        counts[row.round or 0] += 1
        if row.outcome != "ok" or row.hash is None or (own := scores(row.hash, row.stage)) is None:
            continue
        where = f"{run.name} {row.round}.{row.slot}"
        reference = reference or row.hash  # the first slot of all
        if row.stage not in yardsticks:
            if (against := scores(reference, row.stage)) is None:
                continue
            yardsticks[row.stage] = Yardstick(against, np.ones((1, int(clusters.max()) + 1)))
        gain = 0.0 if row.hash == reference else float(yardsticks[row.stage].gains(own)[0])
        if row.gain is None or not math.isclose(row.gain, gain, rel_tol=1e-9, abs_tol=1e-12):
            yield Fault(where, f"its gain is {row.gain}, and {gain} by its own sums")
        if row.stage == "confirm":
            yield from _off_the_curve(where, archive.points(run.name, row.hash), own, config.protocol.betas)
    whole = config.proposals_per_round
    for round_ in sorted(counts)[1 : None if run.state == "done" else -1]:
        if counts[round_] != whole:
            yield Fault(f"{run.name} round {round_}", f"is over, with {counts[round_]} of its {whole} slots")


def _off_the_curve(where: str, points: Sequence[Point], scores: Scores, betas: Sequence[float]) -> Iterator[Fault]:
    means = mean_curve(scores.accuracy, scores.tokens, np.ones(len(scores.units)))
    expected = {beta: (accuracy, tokens) for beta, accuracy, tokens in zip(betas, *means, strict=True)}
    if missing := expected.keys() - {p.beta for p in points}:
        yield Fault(where, f"its point at β = {min(missing):g} is not there")
    for p in points:
        accuracy, tokens = expected.get(p.beta, (math.nan, math.nan))
        if not (math.isclose(p.accuracy, accuracy, abs_tol=1e-12) and math.isclose(p.tokens, tokens, rel_tol=1e-9)):
            yield Fault(where, f"its point at β = {p.beta:g} is not what its sums give")


def _drawn(archive: Archive, run: str, sample: int, seed: int) -> list[str]:
    """Hashes of accepted programs, in the order of their slots."""
    accepted = dict.fromkeys(row.hash for row in archive.listing(run) if row.outcome == "ok" and row.hash)
    chosen = set(random.Random(f"{seed}/{run}").sample(sorted(accepted), min(sample, len(accepted))))
    return [digest for digest in accepted if digest in chosen]


def _differences(
    evaluator: Evaluator, program: Program, protocol: Protocol, source: str, kept: Mapping[str, Evaluation]
) -> Iterator[str]:
    try:
        results = evaluator.run(program, protocol, "confirm" if source == "confirm" else "screen")
    except ProgramError as error:
        yield f"it was evaluated before, and now ends with {error}"
        return
    for environment, result in zip(evaluator.environments, results, strict=True):
        if environment.hash in kept:
            yield from _compared(environment, protocol.betas, result, kept[environment.hash])


def _compared(
    environment: Environment, betas: Sequence[float], result: EnvironmentResult, stored: Evaluation
) -> Iterator[str]:
    for name in _SUMS:
        mine, theirs = getattr(result, name), getattr(stored, name)
        if mine.shape != theirs.shape:
            yield f"{environment.name}: {name} has the shape {theirs.shape} in the archive, and {mine.shape} now"
        elif not np.array_equal(mine, theirs):
            b, q = (int(place[0]) for place in np.nonzero(mine != theirs))
            at = f"β = {betas[b]:g}, question {environment.questions[q].id}"
            yield f"{environment.name}: {name} at {at} is {theirs[b, q]} in the archive, and {mine[b, q]} now"
    if tuple(map(dict, result.knobs)) != tuple(map(dict, stored.knobs)):
        yield f"{environment.name}: the schedule gives other knobs than in the archive"
    if stored.digests and result.digests.astype("<u8").tobytes() != stored.digests:
        yield f"{environment.name}: it takes other actions than in the archive (their digests differ)"
