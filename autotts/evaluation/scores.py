"""Per-question scores of a controller, and how they vary over questions.

Figures are fractions (accuracy in [0, 1], shares of tokens), never percent. Resampling is over *questions*: a question
that several models were recorded on is one cluster, and all environments are resampled together, because the models
share the questions and their errors correlate. Everything is deterministic from `seed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from autotts.errors import InputError
from autotts.evaluation.envelope import Array

__all__ = [
    "Scores",
    "check_pair",
    "ci95_accuracy",
    "cluster_index",
    "cluster_resamples",
    "curves",
    "mean_curve",
    "over_environments",
    "resampled",
    "spread",
]


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


def curves(scores: Scores, weights: Array, index: npt.NDArray[np.int64]) -> tuple[Array, Array]:
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


def over_environments(values: Array) -> Array:
    """Mean over the first axis of what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    count = known.sum(axis=0).astype(np.float64)
    count[count == 0] = np.nan
    mean: Array = np.where(known, values, 0.0).sum(axis=0) / count
    return mean


def resampled(scores: Scores, *, resamples: int = 1000, seed: int = 0) -> tuple[Array, Array]:
    """(Accuracy, tokens in units) of the mean curve on resamples of the questions, each of shape (R, B)."""
    ids, index = cluster_index(scores)
    accuracy, tokens = curves(scores, cluster_resamples(len(ids), resamples, seed), index)
    return over_environments(accuracy), over_environments(tokens)


def spread(values: Array, clusters: int) -> tuple[float, tuple[float, float]]:
    """(standard deviation, 95 % percentile interval) of resampled figures; NaN with fewer than two clusters."""
    known = values[~np.isnan(values)]
    if clusters < 2 or len(known) < 2:
        return float("nan"), (float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return float(known.std(ddof=1)), (float(low), float(high))


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
    means, _ = resampled(row, resamples=resamples, seed=seed)
    return spread(means[:, 0], len(cluster_index(row)[0]))[1]
