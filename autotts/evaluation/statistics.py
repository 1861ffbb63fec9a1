"""What per-question scores say about a controller beside another, and what they cannot: gains, tests, tokens saved.

Figures are fractions, never percent. Of two controllers the same resamples of the questions are compared (see
`scores`). docs/statistics.md has every measure in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from autotts.evaluation.envelope import Array, Envelope, envelope_at, envelope_rows, envelope_tokens_for, isotonic
from autotts.evaluation.scores import (
    Scores,
    check_pair,
    ci95_accuracy,
    cluster_index,
    cluster_resamples,
    curves,
    mean_curve,
    over_environments,
    spread,
)

__all__ = [
    "GRID",
    "Envelope",
    "Gain",
    "Saved",
    "Scores",
    "Yardstick",
    "check_pair",
    "ci95_accuracy",
    "cluster_index",
    "cluster_resamples",
    "contributions_from",
    "gain_at_matched_tokens",
    "isotonic",
    "jackknife_weights",
    "mean_curve",
    "sign_flip",
    "spread",
    "tokens_saved",
]

GRID = 12
"""Number of log-spaced token levels at which two envelopes are compared."""

_STEP = 1e-4  # of a cluster's weight, in a central difference


def _levels(tokens: Array) -> Array:
    """Log-spaced levels between the first and last point with tokens of each row: (R, B) -> (R, GRID)."""
    least = np.where(tokens > 0, tokens, np.inf).min(axis=1)
    low, high = np.log(least), np.log(np.maximum(tokens.max(axis=1), least))
    grid: Array = np.exp(low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, GRID))
    return grid


def _compare(candidate: tuple[Array, Array], reference: tuple[Array, Array]) -> tuple[Array, Array]:
    """(gain at each level, levels), both (R, GRID), of curves given as (accuracy, tokens), each (R, B)."""
    levels = _levels(reference[1])
    ours, theirs = envelope_rows(candidate[1], candidate[0]), envelope_rows(reference[1], reference[0])
    return envelope_at(*ours, levels) - envelope_at(*theirs, levels), levels


class Yardstick:
    """A reference under many weightings of the questions, computed once for all that are measured against it.

    All are compared at the reference's token levels, so gains over one reference may be subtracted from each other.

    Args:
        reference: what gains are over.
        weights: shape (R, K), weight of each cluster in each weighting.

    Attributes:
        levels: token levels in units of SC@64 under each weighting, shape (R, 12), log-spaced between the reference's
            first and last point.
    """

    def __init__(self, reference: Scores, weights: Array) -> None:
        self.reference, self.weights = reference, weights
        _, self._index = cluster_index(reference)
        accuracy, tokens = map(over_environments, curves(reference, weights, self._index))
        self.levels = _levels(tokens)
        self._attained = envelope_at(*envelope_rows(tokens, accuracy), self.levels)

    def gains(self, candidate: Scores) -> Array:
        """Gain of the mean curve under each weighting, shape (R,); NaN where no question has any weight.

        Raises:
            InputError: not over the same questions.
        """
        check_pair(candidate, self.reference)
        accuracy, tokens = map(over_environments, curves(candidate, self.weights, self._index))
        mean: Array = (envelope_at(*envelope_rows(tokens, accuracy), self.levels) - self._attained).mean(axis=1)
        return mean

    @classmethod
    def bootstrap(cls, reference: Scores, *, resamples: int = 1000, seed: int = 0) -> Yardstick:
        """With the questions as they are, and then resampled: for `gain_and_error`."""
        clusters = len(cluster_index(reference)[0])
        return cls(reference, np.concatenate([np.ones((1, clusters)), cluster_resamples(clusters, resamples, seed)]))

    def gain_and_error(self, candidate: Scores) -> tuple[float, float]:
        """(gain, its standard error over questions) over a `bootstrap`, as `gain_at_matched_tokens` has them.

        What a search does not look at (by environment, by question) is left out: a tenth of the time.
        """
        gains = self.gains(candidate)
        return float(gains[0]), spread(gains[1:], self.weights.shape[1])[0]


def jackknife_weights(clusters: int) -> Array:
    """Each of K clusters a little heavier, then each a little lighter: shape (2K, K)."""
    shifts = np.eye(clusters) * _STEP
    return np.concatenate([1 + shifts, 1 - shifts])


def contributions_from(gain: float, shifted: Array) -> Array:
    """What each cluster contributes to a gain, shape (K,), summing to it.

    The infinitesimal jackknife: (gain + influence) / K, the influence being the derivative in the cluster's weight. So
    a question counts both for the answers and for the tokens that it changes.

    Args:
        gain: under equal weights.
        shifted: gains under `jackknife_weights`, shape (2K,).
    """
    clusters = len(shifted) // 2
    result: Array = gain / clusters + (shifted[:clusters] - shifted[clusters:]) / (2 * _STEP)
    return result


@dataclass(frozen=True, eq=False)
class Gain:
    """Gain at matched tokens of a candidate over a reference.

    Attributes:
        value: mean over the levels of accuracy_candidate − accuracy_reference. The one scalar.
        se: its standard error over questions; NaN with fewer than two clusters.
        ci95: percentile interval.
        vector: the difference at each level, shape (12,).
        vector_ci95: percentile interval at each level, shape (12, 2); NaN with fewer than two clusters.
        levels: token levels in units of SC@64, shape (12,), log-spaced between the reference's first and last point.
        by_environment: the same scalar within each environment (each on its own levels), shape (E,).
        by_environment_se: shape (E,).
        by_question: (cluster, contribution) by falling absolute contribution; contributions sum to `value`.
        sign_flip_p: two-sided p of a sign-flip test over the contributions.
        resolution: half-width that this data can resolve at 95 %: 1.96 × se.
    """

    value: float
    se: float
    ci95: tuple[float, float]
    vector: Array
    vector_ci95: Array
    levels: Array
    by_environment: Array
    by_environment_se: Array
    by_question: tuple[tuple[int, float], ...]
    sign_flip_p: float
    resolution: float


def gain_at_matched_tokens(candidate: Scores, reference: Scores, *, resamples: int = 1000, seed: int = 0) -> Gain:
    """Gain at matched tokens with its question-clustered uncertainty.

    Each resample recomputes everything that depends on the questions, the levels included.

    Args:
        candidate, reference: over the same environments and questions, paired by seed; β may differ.
        resamples: bootstrap resamples of the questions.
        seed: of the resampling.

    Raises:
        InputError: the two are not over the same questions, or the reference spends no tokens.
    """
    check_pair(candidate, reference)
    ids, index = cluster_index(reference)
    clusters = len(ids)
    weights = np.concatenate([np.ones((1, clusters)), cluster_resamples(clusters, resamples, seed)])
    ours, theirs = curves(candidate, weights, index), curves(reference, weights, index)
    vector, levels = _compare(
        (over_environments(ours[0]), over_environments(ours[1])),
        (over_environments(theirs[0]), over_environments(theirs[1])),
    )
    gains = vector.mean(axis=1)
    environments = len(reference.units)
    per_environment = np.stack(
        [_compare((ours[0][e], ours[1][e]), (theirs[0][e], theirs[1][e]))[0].mean(axis=1) for e in range(environments)]
    )
    shifted = Yardstick(reference, jackknife_weights(clusters)).gains(candidate)
    contributions = contributions_from(float(gains[0]), shifted)
    order = sorted(range(clusters), key=lambda k: (-abs(contributions[k]), ids[k]))
    se, ci95 = spread(gains[1:], clusters)
    return Gain(
        value=float(gains[0]),
        se=se,
        ci95=ci95,
        vector=vector[0],
        vector_ci95=np.asarray([spread(at_level[1:], clusters)[1] for at_level in vector.T]),
        levels=levels[0],
        by_environment=per_environment[:, 0],
        by_environment_se=np.asarray([spread(row[1:], clusters)[0] for row in per_environment]),
        by_question=tuple((int(ids[k]), float(contributions[k])) for k in order),
        sign_flip_p=sign_flip(contributions, seed),
        resolution=1.96 * se,
    )


def sign_flip(contributions: Array, seed: int = 0, flips: int = 10_000) -> float:
    """Two-sided sign-flip p of the sum of the contributions: exact up to 13 that are not zero, else by random flips."""
    values = contributions[np.abs(contributions) > 1e-9]
    if not len(values):
        return 1.0
    observed = abs(float(values.sum())) - 1e-12
    if len(values) <= 13:
        signs = np.asarray(list(product((-1.0, 1.0), repeat=len(values))))
        return float((np.abs(signs @ values) >= observed).mean())
    signs = np.random.default_rng([seed, len(values), 1]).integers(0, 2, size=(flips, len(values))) * 2.0 - 1.0
    return float((1 + (np.abs(signs @ values) >= observed).sum()) / (1 + flips))


@dataclass(frozen=True)
class Saved:
    """Tokens that a candidate saves at the accuracy of a reference's last point (β = 1; SC@64 when that is `sc`).

    Attributes:
        value: 1 − candidate's tokens / reference's; None where the candidate never reaches that accuracy.
        ci95: percentile interval over questions, −inf where even then it is not reached; None where `value` is None.
        reached: share of the resamples in which the candidate reaches the reference's accuracy.
        accuracy: the accuracy that was asked for.
        tokens: what the candidate needs for it, in units of SC@64, None where it never reaches it.
        reference_tokens: what the reference spends for it.
    """

    value: float | None
    ci95: tuple[float, float] | None
    reached: float
    accuracy: float
    tokens: float | None
    reference_tokens: float


def tokens_saved(candidate: Scores, reference: Scores, *, resamples: int = 1000, seed: int = 0) -> Saved:
    """Share of tokens saved at the accuracy of the reference's last point.

    Args:
        candidate, reference: over the same environments and questions; the reference's last β is the point.
        resamples: bootstrap resamples of the questions.
        seed: of the resampling.

    Raises:
        InputError: the two are not over the same questions, or the reference spends no tokens.
    """
    check_pair(candidate, reference)
    ids, index = cluster_index(reference)
    weights = np.concatenate([np.ones((1, len(ids))), cluster_resamples(len(ids), resamples, seed)])
    ours, theirs = curves(candidate, weights, index), curves(reference, weights, index)
    accuracy = over_environments(theirs[0])[:, -1]
    spent = over_environments(theirs[1])[:, -1]
    x, y = envelope_rows(over_environments(ours[1]), over_environments(ours[0]))
    tokens = envelope_tokens_for(x, y, accuracy)
    saved = 1.0 - tokens / spent
    reached = bool(np.isfinite(tokens[0]))
    # "lower", so that no quantile is taken between a finite and an infinite value
    low, high = (float(q) for q in np.quantile(saved[1:], [0.025, 0.975], method="lower"))
    return Saved(
        value=float(saved[0]) if reached else None,
        ci95=(low, high) if reached else None,
        reached=float(np.isfinite(tokens[1:]).mean()),
        accuracy=float(accuracy[0]),
        tokens=float(tokens[0]) if reached else None,
        reference_tokens=float(spent[0]),
    )
