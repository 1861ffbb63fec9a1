"""What per-question scores say about a controller, and what they cannot: curves, gains, intervals.

Every figure here is a fraction (accuracy in [0, 1], shares of tokens), never percent. Resampling is over *questions*: a
question that several models were recorded on is one cluster, and all environments and both controllers are resampled
together, because the models share the questions and their errors correlate. Everything is deterministic from `seed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from autotts.errors import InputError
from autotts.evaluation.envelope import Array, Envelope, envelope_at, envelope_rows, envelope_tokens_for, isotonic

__all__ = [
    "GRID",
    "Envelope",
    "Gain",
    "GainOver",
    "Saved",
    "Scores",
    "check_pair",
    "ci95_accuracy",
    "cluster_index",
    "cluster_resamples",
    "gain_at_matched_tokens",
    "gains_under",
    "isotonic",
    "mean_curve",
    "tokens_saved",
]

GRID = 12
"""Number of log-spaced token levels at which two envelopes are compared."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one controller: means over seeds, per environment, β and question.

    Environments with fewer questions than the largest are padded with NaN in `accuracy` and `tokens`.

    Attributes:
        accuracy: shape (E, B, Q), in [0, 1].
        tokens: shape (E, B, Q).
        clusters: shape (E, Q), cluster id of each (environment, question); the same question has one id everywhere.
        units: shape (E,), tokens of SC@64 in each environment, > 0.

    Raises:
        ValueError: shapes that do not fit together.
    """

    accuracy: Array
    tokens: Array
    clusters: npt.NDArray[np.int64]
    units: Array

    def __post_init__(self) -> None:
        for name, kind in (("accuracy", np.float64), ("tokens", np.float64), ("clusters", np.int64), ("units", float)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))
        if self.accuracy.ndim != 3 or self.tokens.shape != self.accuracy.shape:
            raise ValueError(f"accuracy {self.accuracy.shape} and tokens {self.tokens.shape} must both be (E, B, Q)")
        environments, _, questions = self.accuracy.shape
        if self.clusters.shape != (environments, questions) or self.units.shape != (environments,):
            raise ValueError(f"clusters {self.clusters.shape} must be (E, Q) and units {self.units.shape} (E,)")

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which (environment, question) exist (are not padding), shape (E, Q)."""
        return np.logical_not(np.isnan(self.accuracy).any(axis=1))


def mean_curve(accuracy: npt.ArrayLike, tokens: npt.ArrayLike, units: npt.ArrayLike) -> tuple[Array, Array]:
    """Mean curve over environments at each β, which is shared and never chosen per environment.

    Args:
        accuracy: shape (E, B, Q).
        tokens: shape (E, B, Q).
        units: shape (E,); what tokens are divided by first (SC@64's), or ones for absolute tokens.

    Returns:
        (accuracy (B,), tokens (B,) in these units).
    """
    scale = np.asarray(units, dtype=np.float64)[:, None]
    mean_accuracy = np.nanmean(np.asarray(accuracy, dtype=np.float64), axis=2).mean(axis=0)
    mean_tokens = (np.nanmean(np.asarray(tokens, dtype=np.float64), axis=2) / scale).mean(axis=0)
    return mean_accuracy, mean_tokens


@lru_cache(maxsize=8)
def cluster_resamples(clusters: int, resamples: int, seed: int) -> Array:
    """How often each of `clusters` questions is in each bootstrap sample, shape (resamples, clusters)."""
    rng = np.random.default_rng([seed, clusters])
    counts = rng.multinomial(clusters, np.full(clusters, 1.0 / clusters), size=resamples).astype(np.float64)
    counts.setflags(write=False)  # shared by every caller through the cache
    return counts


def cluster_index(scores: Scores) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(cluster ids (K,), index of each (environment, question) among them (E, Q); 0 at padding)."""
    present = scores.present
    ids, inverse = np.unique(scores.clusters[present], return_inverse=True)
    index = np.zeros(scores.clusters.shape, dtype=np.int64)
    index[present] = inverse.reshape(-1)
    return ids, index


def _curves(scores: Scores, weights: Array, index: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Weighted mean (accuracy, tokens in units) of each environment at each β.

    Args:
        scores: E environments, B values of β, Q questions.
        weights: shape (R, K), weight of each cluster.
        index: shape (E, Q).

    Returns:
        Two arrays of shape (E, R, B); NaN where no question of the environment has any weight.
    """
    present = scores.present
    weight = weights[:, index].transpose(1, 0, 2) * present[:, None, :]
    total = weight.sum(axis=2, keepdims=True)
    total[total == 0] = np.nan
    keep = present[:, None, :]
    accuracy = weight @ np.where(keep, scores.accuracy, 0.0).transpose(0, 2, 1) / total
    tokens = weight @ np.where(keep, scores.tokens, 0.0).transpose(0, 2, 1) / total
    return accuracy, tokens / scores.units[:, None, None]


def _over_environments(values: Array) -> Array:
    """Mean over the first axis of what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    count = known.sum(axis=0).astype(np.float64)
    count[count == 0] = np.nan
    mean: Array = np.where(known, values, 0.0).sum(axis=0) / count
    return mean


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


def gains_under(candidate: Scores, reference: Scores, weights: Array, index: npt.NDArray[np.int64]) -> Array:
    """Gain of the mean curve under each weighting of the clusters: (R, K) -> (R,)."""
    ours, theirs = _curves(candidate, weights, index), _curves(reference, weights, index)
    vector, _ = _compare(
        (_over_environments(ours[0]), _over_environments(ours[1])),
        (_over_environments(theirs[0]), _over_environments(theirs[1])),
    )
    mean: Array = vector.mean(axis=1)
    return mean


@dataclass(frozen=True, eq=False)
class Gain:
    """Gain at matched tokens of a candidate over a reference.

    Attributes:
        value: mean over the levels of accuracy_candidate − accuracy_reference. The one scalar.
        se: its standard error over questions; NaN with fewer than two clusters.
        ci95: percentile interval.
        vector: the difference at each level, shape (12,).
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
    ours, theirs = _curves(candidate, weights, index), _curves(reference, weights, index)
    vector, levels = _compare(
        (_over_environments(ours[0]), _over_environments(ours[1])),
        (_over_environments(theirs[0]), _over_environments(theirs[1])),
    )
    gains = vector.mean(axis=1)
    environments = len(reference.units)
    per_environment = np.stack(
        [_compare((ours[0][e], ours[1][e]), (theirs[0][e], theirs[1][e]))[0].mean(axis=1) for e in range(environments)]
    )
    contributions = _contributions(candidate, reference, index, clusters, float(gains[0]))
    order = sorted(range(clusters), key=lambda k: (-abs(contributions[k]), ids[k]))
    se, ci95 = _spread(gains[1:], clusters)
    return Gain(
        value=float(gains[0]),
        se=se,
        ci95=ci95,
        vector=vector[0],
        levels=levels[0],
        by_environment=per_environment[:, 0],
        by_environment_se=np.asarray([_spread(row[1:], clusters)[0] for row in per_environment]),
        by_question=tuple((int(ids[k]), float(contributions[k])) for k in order),
        sign_flip_p=_sign_flip(contributions, seed),
        resolution=1.96 * se,
    )


class GainOver:
    """The gain of `gain_at_matched_tokens` and its error over one reference, for many candidates.

    What only the reference decides (its resampled curves, the levels) is found once, and what a search does not look at
    (by environment, by question) is left out: a tenth of the time.

    Args:
        reference: what gains are over.
        resamples, seed: see `gain_at_matched_tokens`.
    """

    def __init__(self, reference: Scores, *, resamples: int = 1000, seed: int = 0) -> None:
        ids, self._index = cluster_index(reference)
        self._reference, self._clusters = reference, len(ids)
        self._weights = np.concatenate([np.ones((1, len(ids))), cluster_resamples(len(ids), resamples, seed)])
        accuracy, tokens = (_over_environments(c) for c in _curves(reference, self._weights, self._index))
        self._levels = _levels(tokens)
        self._attained = envelope_at(*envelope_rows(tokens, accuracy), self._levels)

    def __call__(self, candidate: Scores) -> tuple[float, float]:
        """(gain, its standard error) of a candidate.

        Raises:
            InputError: it is not over the reference's questions.
        """
        check_pair(candidate, self._reference)
        accuracy, tokens = (_over_environments(c) for c in _curves(candidate, self._weights, self._index))
        gains = (envelope_at(*envelope_rows(tokens, accuracy), self._levels) - self._attained).mean(axis=1)
        return float(gains[0]), _spread(gains[1:], self._clusters)[0]


def check_pair(candidate: Scores, reference: Scores) -> None:
    """Refuse (InputError) a pair that is not over the same questions, or a reference that spends nothing."""
    same = (
        candidate.clusters.shape == reference.clusters.shape
        and np.array_equal(candidate.clusters, reference.clusters)
        and np.array_equal(candidate.units, reference.units)
        and np.array_equal(candidate.present, reference.present)
    )
    if not same:
        raise InputError(
            "The candidate and the reference were not evaluated on the same environments and questions; "
            "evaluate both with the same --env."
        )
    if not np.nansum(reference.tokens) > 0:
        raise InputError("The reference spends no tokens, so there is no budget to compare at; name another reference.")


def _spread(values: Array, clusters: int) -> tuple[float, tuple[float, float]]:
    """(standard deviation, 95 % percentile interval) of resampled figures; NaN with fewer than two clusters."""
    known = values[~np.isnan(values)]
    if clusters < 2 or len(known) < 2:
        return float("nan"), (float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return float(known.std(ddof=1)), (float(low), float(high))


def _contributions(
    candidate: Scores, reference: Scores, index: npt.NDArray[np.int64], clusters: int, gain: float
) -> Array:
    """What each cluster contributes to the gain, shape (K,), summing to it.

    The infinitesimal jackknife: (gain + influence) / K, the influence being the derivative in the cluster's weight. So
    a question counts both for the answers and for the tokens that it changes.
    """
    step = 1e-4
    shifts = np.eye(clusters) * step
    gains = gains_under(candidate, reference, np.concatenate([1 + shifts, 1 - shifts]), index)
    slope: Array = (gains[:clusters] - gains[clusters:]) / (2 * step)
    result: Array = gain / clusters + slope
    return result


def _sign_flip(contributions: Array, seed: int, flips: int = 10_000) -> float:
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
    ours, theirs = _curves(candidate, weights, index), _curves(reference, weights, index)
    accuracy = _over_environments(theirs[0])[:, -1]
    spent = _over_environments(theirs[1])[:, -1]
    x, y = envelope_rows(_over_environments(ours[1]), _over_environments(ours[0]))
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


def ci95_accuracy(
    accuracy: npt.ArrayLike, clusters: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval over questions of the mean accuracy at one β.

    Args:
        accuracy: shape (Q,) for one environment, or (E, Q); means over seeds, in [0, 1].
        clusters: same shape, cluster id of each question.

    Returns:
        (low, high) in [0, 1]; NaN with fewer than two clusters.
    """
    values, ids = np.atleast_2d(np.asarray(accuracy, np.float64)), np.atleast_2d(np.asarray(clusters, np.int64))
    row = Scores(values[:, None, :], np.zeros_like(values)[:, None, :], ids, np.ones(len(values)))
    names, index = cluster_index(row)
    means, _ = _curves(row, cluster_resamples(len(names), resamples, seed), index)
    return _spread(_over_environments(means)[:, 0], len(names))[1]
