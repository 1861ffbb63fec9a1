"""Who is reported as best of many, and how good it is once having been chosen is allowed for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from autotts.evaluation.envelope import Array
from autotts.evaluation.statistics import (
    Scores,
    Yardstick,
    cluster_index,
    cluster_resamples,
    contributions_from,
    jackknife_weights,
)

__all__ = ["LEVEL", "Champion", "Field", "beyond_choosing", "champion", "measured"]

LEVEL = 0.025
"""One-sided level of "better": what lies above 0 with the lower end of a 95 % interval."""

RESAMPLES = 200
FLIPS = 10_000
_BLOCK = 4_000_000  # figures of a block of sign flips: 32 MB


@dataclass(frozen=True, eq=False)
class Field:
    """N candidates measured against one reference, on the same resamples of its K questions (clusters).

    Attributes:
        gains: gain at matched tokens over the reference, shape (N,).
        inside: the same on each of R resamples, shape (N, R).
        outside: on the questions that the resample leaves out, shape (N, R); NaN where it leaves out none.
        contributions: what each cluster contributes to the gain, shape (N, K); rows sum to `gains`.
    """

    gains: Array
    inside: Array
    outside: Array
    contributions: Array


def measured(candidates: Iterable[Scores], reference: Scores, *, resamples: int = RESAMPLES, seed: int = 0) -> Field:
    """Measure candidates one after the other: of each, only 2R + K + 1 figures are kept.

    Args:
        candidates: over the reference's environments and questions; may be a generator.
        reference: what gains are over.
        resamples: R, bootstrap resamples of the questions.
        seed: of the resampling.

    Raises:
        InputError: not over the same questions.
    """
    clusters = len(cluster_index(reference)[0])
    counts = cluster_resamples(clusters, resamples, seed)
    left_out = (counts == 0).astype(np.float64)
    weights = np.concatenate([np.ones((1, clusters)), counts, left_out, jackknife_weights(clusters)])
    yardstick = Yardstick(reference, weights)
    rows = [yardstick.gains(candidate) for candidate in candidates]
    table = np.stack(rows) if rows else np.empty((0, len(weights)))
    gains, inside, outside, shifted = np.split(table, [1, 1 + resamples, 1 + 2 * resamples], axis=1)
    contributions = [contributions_from(float(g[0]), s) for g, s in zip(gains, shifted, strict=True)]
    return Field(gains[:, 0], inside, outside, np.asarray(contributions).reshape(len(table), clusters))


@dataclass(frozen=True)
class Champion:
    """Who is reported as best, and how good it is once having been chosen is allowed for.

    Attributes:
        index: the champion: the simplest within one (paired) standard error of the best.
        best: the candidate with the highest gain.
        value: the champion's raw gain.
        corrected: mean gain, on the questions left out, of what the same rule chooses on each resample; NaN with one
            cluster.
        within: candidates within one standard error of the best, best first.
        left_out: gain on the questions left out of what is chosen on each resample, shape (R,).
    """

    index: int
    best: int
    value: float
    corrected: float
    within: tuple[int, ...]
    left_out: tuple[float, ...] = ()

    def corrected_over(self, other: Array) -> float:
        """Mean over the resamples of what is chosen less another program, on the questions left out.

        Args:
            other: its row of `Field.outside`, shape (R,).
        """
        return _mean(np.asarray(self.left_out) - other)


def champion(field: Field, simplicity: Sequence[tuple[int, ...]]) -> Champion:
    """Choose by the one-standard-error rule, and correct the figure for the choice.

    The standard error is that of the *difference* from the best, paired by question.

    Args:
        field: at least one candidate.
        simplicity: one tuple a candidate, smaller is simpler: (constants, length).
    """
    if not len(field.gains) or len(field.gains) != len(simplicity):
        raise ValueError(f"{len(field.gains)} candidates with {len(simplicity)} simplicities; at least one of each")
    errors: dict[int, Array] = {}

    def choose(gains: Array) -> tuple[int, tuple[int, ...]]:
        best = int(np.argmax(gains))
        if best not in errors:  # row by row as they are needed: all pairs of thousands would fill the memory
            errors[best] = np.asarray(np.std(field.inside - field.inside[best], axis=1, ddof=1))
        return _simplest(gains, best, errors[best], simplicity)

    chosen = [choose(field.inside[:, r])[0] for r in range(field.inside.shape[1])]
    left_out = field.outside[chosen, np.arange(len(chosen))]
    winner, within = choose(field.gains)
    return Champion(
        index=winner,
        best=within[0],
        value=float(field.gains[winner]),
        corrected=_mean(left_out),
        within=within,
        left_out=tuple(left_out.tolist()),
    )


def _simplest(
    gains: Array, best: int, errors: Array, simplicity: Sequence[tuple[int, ...]]
) -> tuple[int, tuple[int, ...]]:
    """(the champion, all within one standard error of the best with the best first)."""
    # the tolerance keeps twins, whose difference is 0 ± 0, within reach of each other
    near = np.flatnonzero(gains >= gains[best] - errors - 1e-12).tolist()
    within = sorted(near, key=lambda i: (-gains[i], i))
    return min(within, key=lambda i: (simplicity[i], -gains[i], i)), tuple(within)


def _mean(values: Array) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def beyond_choosing(differences: Array, index: int, *, seed: int = 0) -> float:
    """One-sided p of a candidate being better, which allows for its having been picked out of all.

    A sign-flip test of the greatest of many (Westfall and Young 1993; as a check of data snooping, White 2000): were no
    candidate better or worse, the sign of every question's contribution could be turned, for all candidates at once.
    The p is the share of such turns in which *some* candidate looks as good as this one does. Each is measured by the
    sum of its contributions over the root of the sum of their squares, so that a noisy one does not hide the others.
    Exact for up to 13 questions, by random turns beyond. It holds whatever rule picks the candidate.

    Args:
        differences: contributions of each candidate's gain over the program that it is compared with, shape (N, K).
        index: the candidate that was picked.
        seed: of the random turns.
    """
    norms = np.sqrt((differences**2).sum(axis=1))
    keep = norms > 1e-9
    if not keep[index]:
        return 1.0
    scaled = differences[keep] / norms[keep, None]
    observed = float(differences[index].sum() / norms[index]) - 1e-9
    signs = _signs(differences.shape[1], seed)
    at_once = max(1, _BLOCK // len(scaled))
    as_good = sum(
        int(((signs[start : start + at_once] @ scaled.T).max(axis=1) >= observed).sum())
        for start in range(0, len(signs), at_once)
    )
    exact = len(signs) != FLIPS
    return as_good / len(signs) if exact else (1 + as_good) / (1 + len(signs))


def _signs(clusters: int, seed: int) -> npt.NDArray[np.float64]:
    """Turns of the signs of K clusters, shape (F, K): all of them where they are few."""
    if clusters <= 13:
        return np.asarray(list(product((-1.0, 1.0), repeat=clusters)))
    rng = np.random.default_rng([seed, clusters, 2])
    return np.asarray(rng.integers(0, 2, size=(FLIPS, clusters)) * 2.0 - 1.0, dtype=np.float64)
