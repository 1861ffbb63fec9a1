"""A program's curves from the archive alone: in each environment, and in their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autotts.archive import Evaluation
from autotts.evaluation.scores import Scores, cluster_index, resampled, spread
from autotts.search.figures import Figures, Source

__all__ = ["CurvePoint", "Curves", "alone", "curves"]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A program at one β: means over questions and seeds.

    Attributes:
        beta: the knob.
        accuracy: in [0, 1].
        ci95: 95 % interval of the accuracy over questions; NaN with fewer than two.
        tokens, sequential_tokens, branches: of an episode; branches are those that it opened.
    """

    beta: float
    accuracy: float
    ci95: tuple[float, float]
    tokens: float
    sequential_tokens: float
    branches: float


@dataclass(frozen=True)
class Curves:
    """A program's curve in each environment of a run.

    Attributes:
        program: its hash.
        source: "confirm"; "screen" for a program that was screened only, at the β and seeds that screening plays.
        seeds: how many episode seeds the means are over.
        mean: the mean curve; environments weigh the same.
        environments: (name, curve), in the run's order.
        knobs: what the program's schedule gave at each β; empty where that was not stored.
    """

    program: str
    source: Source
    seeds: int
    mean: tuple[CurvePoint, ...]
    environments: tuple[tuple[str, tuple[CurvePoint, ...]], ...]
    knobs: tuple[Mapping[str, float], ...]


def curves(figures: Figures, program: str) -> Curves | None:
    """A program's curves; None where the run has no figures of it, as it was rejected or is not decided.

    Args:
        figures: of the run.
        program: hash.
    """
    source: Source = "confirm"
    kept = figures.evaluations(program, source)
    if not kept:
        source = "screen"
        kept = figures.evaluations(program, source)
    if not kept:
        return None
    scores = figures.scores_of(kept)
    means = [_means(one) for one in kept]
    names = [ref.name for ref in figures.run.environments]
    single = [_curve(kept[e].betas, means[e], alone(scores, e)) for e in range(len(kept))]
    return Curves(
        program=program,
        source=source,
        seeds=kept[0].n_seeds,
        mean=_curve(kept[0].betas, np.mean(means, axis=0), scores),
        environments=tuple(zip(names, single, strict=True)),
        knobs=kept[0].knobs,
    )


def _means(evaluation: Evaluation) -> npt.NDArray[np.float64]:
    """Accuracy, tokens, sequential tokens and branches at each β, shape (4, B): one division, one rounding."""
    sums = [evaluation.right, evaluation.tokens, evaluation.sequential_tokens, evaluation.branches]
    episodes = evaluation.n_seeds * evaluation.right.shape[1]
    return np.asarray([part.sum(axis=1) / episodes for part in sums])


def alone(scores: Scores, environment: int) -> Scores:
    """One environment's scores."""
    at = slice(environment, environment + 1)
    return Scores(scores.accuracy[at], scores.tokens[at], scores.clusters[at], scores.units[at])


def _curve(betas: Sequence[float], means: npt.NDArray[np.float64], scores: Scores) -> tuple[CurvePoint, ...]:
    accuracies, _ = resampled(scores)
    questions = len(cluster_index(scores)[0])
    points = []
    for b, beta in enumerate(betas):
        accuracy, tokens, sequential, branches = means[:, b].tolist()
        ci95 = spread(accuracies[:, b], questions)[1]
        points.append(CurvePoint(beta, accuracy, ci95, tokens, sequential, branches))
    return tuple(points)
