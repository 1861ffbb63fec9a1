"""Two runs side by side: their fronts, their champions, and what they took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from autotts.archive import Archive, Point, Run, front, hypervolume
from autotts.errors import InputError
from autotts.evaluation.statistics import Scores
from autotts.search.figures import Figures
from autotts.search.report import Difference, Look, Report, difference, looks_at, report
from autotts.search.standing import REFERENCE

__all__ = ["Comparison", "Side", "compare_runs"]


@dataclass(frozen=True)
class Side:
    """One of two runs.

    Attributes:
        run: its name.
        hypervolume: of its front, tokens in units of SC@64 of each environment, normalised to 1.
        front: programs that hold a point of it.
        report: see `report`; None where no program of an agent was confirmed.
        seconds: that the run took.
        tokens, cost, unpriced: that its models used, dollars, and calls of unknown price.
        outcomes: how many proposals ended in each.
        looks: its archive's ledger.
    """

    run: str
    hypervolume: float
    front: int
    report: Report | None
    seconds: float
    tokens: int
    cost: float
    unpriced: int
    outcomes: Mapping[str, int]
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same environments and protocol.

    Attributes:
        left, right: the runs.
        fronts: what the left front gains over the right one at matched tokens.
        champions: what the left champion gains over the right one; None where a run has none.
    """

    left: Side
    right: Side
    fronts: Difference
    champions: Difference | None


def compare_runs(left: tuple[Archive, str], right: tuple[Archive, str]) -> Comparison:
    """Compare two runs, of one archive or of two.

    Args:
        left, right: an archive and the run's name.

    Raises:
        InputError: they were not measured on the same questions in the same way.
    """
    ours = Figures(left[0], left[0].run(left[1]))
    theirs = Figures(right[0], _in_order(right[0].run(right[1]), ours.run))
    if ours.config.protocol.hash != theirs.config.protocol.hash:
        raise InputError(
            f"{left[1]} confirms with {_protocol(ours)} and {right[1]} with {_protocol(theirs)}, so their figures "
            "cannot be compared; search with the same --betas and --seeds"
        )
    reference = ours.reference
    if not np.array_equal(reference.accuracy, theirs.reference.accuracy, equal_nan=True):
        raise InputError(
            f"{left[1]} and {right[1]} were measured against different versions of {REFERENCE}; search again with one"
        )
    fronts = [_front(figures) for figures in (ours, theirs)]
    sides = [_side(figures, points) for figures, points in zip((ours, theirs), fronts, strict=True)]
    between = difference(_held(ours, fronts[0]), _held(theirs, fronts[1]), reference, ours.questions)
    best = [side.report and side.report.champion.hash for side in sides]
    champions = None
    if best[0] and best[1]:
        champions = difference(ours.scores(best[0]), theirs.scores(best[1]), reference, ours.questions)
    return Comparison(sides[0], sides[1], between, champions)


def _in_order(run: Run, like: Run) -> Run:
    """A run with its environments in another run's order."""
    refs = {ref.hash: ref for ref in run.environments}
    if set(refs) != {ref.hash for ref in like.environments}:
        names = " and ".join(f"{r.name} on {', '.join(ref.name for ref in r.environments)}" for r in (like, run))
        raise InputError(
            f"{names}: not the same recordings, questions in reserve left out, so their figures cannot be compared; "
            "search with the same --env, --equivalence, --reserve (and then --seed)"
        )
    return replace(run, environments=tuple(refs[ref.hash] for ref in like.environments))


def _protocol(figures: Figures) -> str:
    return f"{figures.config.betas} β and {figures.config.seeds} seeds"


def _front(figures: Figures) -> list[Point]:
    """The front over all confirmed programs, baselines included, in units of SC@64."""
    return front(point for hash in figures.confirmed for point in figures.points(hash, figures.scores(hash)))


def _held(figures: Figures, points: list[Point]) -> Scores:
    """A front as if it were one controller, whose β are the points of the front: its envelope mixes neighbours."""
    betas = figures.config.protocol.betas
    scores = {id: figures.scores(id) for id in {point.id for point in points}}
    rows = [(scores[point.id], betas.index(point.beta)) for point in points]
    reference = figures.reference
    return Scores(
        np.stack([row.accuracy[:, b] for row, b in rows], axis=1),
        np.stack([row.tokens[:, b] for row, b in rows], axis=1),
        reference.clusters,
        reference.units,
    )


def _side(figures: Figures, points: list[Point]) -> Side:
    archive, name = figures.archive, figures.run.name
    tokens, cost, unpriced = archive.spent(name)
    return Side(
        run=name,
        hypervolume=hypervolume([p.tokens for p in points], [p.accuracy for p in points], **figures.rectangle),
        front=len({point.id for point in points}),
        report=report(archive, name),
        seconds=archive.seconds(name),
        tokens=tokens,
        cost=cost,
        unpriced=unpriced,
        outcomes=archive.outcomes(name),
        looks=looks_at(archive),
    )
