"""The β at which a controller spends a given budget: deployers think in tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autotts.errors import InputError
from autotts.evaluation.curve import falling_pairs
from autotts.evaluation.envelope import Array, isotonic
from autotts.evaluation.protocol import even_betas
from autotts.evaluation.scores import Scores, cluster_index, mean_curve, resampled, spread

__all__ = ["TOLERANCE", "Calibration", "Step", "calibrate", "parse_tokens"]

TOLERANCE = 0.01
"""Share of the budget to which mean spending is met, where the controller can."""

GRID = 11
INSIDE = 5
"""Values of β that a finer grid puts between two of the one before."""
ROUNDS = 5
"""Finer grids at most: the last step is 0.1 / 6⁵, finer than any schedule's rounding is worth."""

_SUFFIXES = {"k": 1e3, "m": 1e6}

Measure = Callable[[tuple[float, ...]], Scores]


@dataclass(frozen=True)
class Step:
    """Where spending jumps over the budget: no β is near it.

    Attributes:
        beta, tokens: just above the jump; the answer's β is just below it.
        share: of the questions that would have to be run with this β, the others with the answer's, so that mean
            spending is the budget.
    """

    beta: float
    tokens: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """A β for a budget of mean tokens a question. Accuracies are fractions.

    Attributes:
        budget: what was asked for.
        least, most: mean tokens at β = 0 and β = 1.
        beta: within `TOLERANCE` of the budget, or the last β below a jump over it; the end that is nearest where the
            controller's range does not hold the budget.
        within: whether the controller's range holds the budget.
        beta_ci95: of the β at which mean spending crosses the budget, over questions; an end where it is not crossed.
        tokens, tokens_ci95: mean tokens at `beta`, over questions.
        accuracy, accuracy_ci95: mean accuracy at `beta`, over questions.
        by_environment: (tokens, accuracy) at `beta` in each environment.
        step: where spending jumps over the budget, else None.
        falling: neighbouring β between which mean spending falls although β rises.
        measured: (β, mean tokens, mean accuracy) of all that was run, by rising β.
    """

    budget: float
    least: float
    most: float
    beta: float
    within: bool
    beta_ci95: tuple[float, float]
    tokens: float
    tokens_ci95: tuple[float, float]
    accuracy: float
    accuracy_ci95: tuple[float, float]
    by_environment: tuple[tuple[float, float], ...]
    step: Step | None
    falling: tuple[tuple[float, float], ...]
    measured: tuple[tuple[float, float, float], ...]


def parse_tokens(text: str) -> float:
    """`200k`, `1.5M` or `200000` as a number of tokens.

    Raises:
        InputError: it is not a finite number above 0.
    """
    plain = text.strip().lower()
    scale = _SUFFIXES.get(plain[-1:], 1.0)
    try:
        tokens = float(plain[:-1] if scale > 1 else plain) * scale
    except ValueError:
        tokens = float("nan")
    if not 0 < tokens < float("inf"):
        raise InputError(f"--budget {text!r}: give mean tokens a question, such as 200k, 1.5M or 200000")
    return tokens


def calibrate(measure: Measure, budget: float, *, resamples: int = 1000, seed: int = 0) -> Calibration:
    """Find the β whose mean tokens, over questions and environments, are a budget.

    A grid of β is measured, then finer ones between the two that the budget lies between, until one is within
    `TOLERANCE` of it or the step is too small to matter.

    Args:
        measure: gives the scores at some β, in their order, tokens in units of one token (`Scores.units` of ones).
        budget: mean tokens a question.
        resamples, seed: bootstrap resamples of the questions, for the intervals.
    """
    scores = _Measured(measure)
    scores.add(even_betas(GRID))
    within, low = True, None
    for _ in range(1 + ROUNDS):
        tokens = scores.tokens
        nearest = int(np.argmin(np.abs(tokens - budget)))
        if abs(tokens[nearest] - budget) <= TOLERANCE * budget:
            low = None
            break
        low = _crossing(tokens, budget)
        if low is None:
            within = False
            break
        left, right = scores.betas[low], scores.betas[low + 1]
        scores.add(tuple(left + (right - left) * (k + 1) / (INSIDE + 1) for k in range(INSIDE)))
    else:
        low = _crossing(scores.tokens, budget)
    return _result(scores, budget, low, within, resamples, seed)


class _Measured:
    """Scores at all β that were measured so far, by rising β."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self.betas: tuple[float, ...] = ()
        self.scores: Scores

    def add(self, betas: tuple[float, ...]) -> None:
        new = self._measure(betas)
        parts = [self.scores, new] if self.betas else [new]
        joined = (*self.betas, *betas)
        order = np.argsort(joined)
        self.betas = tuple(joined[k] for k in order)
        accuracy, tokens = (
            np.concatenate([getattr(part, name) for part in parts], axis=1)[:, order] for name in ("accuracy", "tokens")
        )
        self.scores = Scores(accuracy, tokens, new.clusters, new.units)

    @property
    def tokens(self) -> Array:
        """Mean tokens at each β."""
        return mean_curve(self.scores.accuracy, self.scores.tokens, self.scores.units)[1]


def _crossing(tokens: Array, budget: float) -> int | None:
    """The first place at which spending rises over the budget, else where it falls below it; None where neither."""
    rises = np.flatnonzero((tokens[:-1] <= budget) & (tokens[1:] > budget))
    falls = np.flatnonzero((tokens[:-1] > budget) & (tokens[1:] <= budget))
    return int([*rises, *falls][0]) if len(rises) + len(falls) else None


def _result(found: _Measured, budget: float, low: int | None, within: bool, resamples: int, seed: int) -> Calibration:
    scores, betas = found.scores, np.asarray(found.betas)
    accuracy, tokens = mean_curve(scores.accuracy, scores.tokens, scores.units)
    at, step = int(np.argmin(np.abs(tokens - budget))), None
    if low is not None:
        at, over = sorted((low, low + 1), key=lambda k: tokens[k])
        share = (budget - tokens[at]) / (tokens[over] - tokens[at])
        step = Step(float(betas[over]), float(tokens[over]), float(share))
    accuracies, spent = resampled(scores, resamples=resamples, seed=seed)
    clusters = len(cluster_index(scores)[0])
    # each resample's curve is made to rise first, or it could cross several times
    crossings = np.asarray([np.interp(budget, row, betas) for row in isotonic(spent)])
    own = np.nanmean(scores.tokens[:, at], axis=1), np.nanmean(scores.accuracy[:, at], axis=1)
    return Calibration(
        budget=budget,
        least=float(tokens[0]),
        most=float(tokens[-1]),
        beta=float(betas[at]),
        within=within,
        beta_ci95=spread(crossings, clusters)[1],
        tokens=float(tokens[at]),
        tokens_ci95=spread(spent[:, at], clusters)[1],
        accuracy=float(accuracy[at]),
        accuracy_ci95=spread(accuracies[:, at], clusters)[1],
        by_environment=tuple(zip(own[0].tolist(), own[1].tolist(), strict=True)),
        step=step,
        falling=tuple(falling_pairs(found.betas, tokens.tolist())),
        measured=tuple(zip(found.betas, tokens.tolist(), accuracy.tolist(), strict=True)),
    )
