"""Who is reported as best of many, and how good it is once having been chosen is allowed for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotts.evaluation.envelope import Array
from autotts.evaluation.statistics import Scores, check_pair, cluster_index, cluster_resamples, gains_under

__all__ = ["Champion", "champion"]


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
    """

    index: int
    best: int
    value: float
    corrected: float
    within: tuple[int, ...]


def champion(
    candidates: Sequence[Scores],
    reference: Scores,
    simplicity: Sequence[tuple[int, ...]],
    *,
    resamples: int = 200,
    seed: int = 0,
) -> Champion:
    """Choose by the one-standard-error rule, and correct the figure for the choice.

    The standard error is that of the *difference* from the best, paired by question.

    Args:
        candidates: at least one, over the reference's environments and questions.
        reference: what gains are over.
        simplicity: one tuple a candidate, smaller is simpler: (constants, length).
        resamples: bootstrap resamples of the questions.
        seed: of the resampling.

    Raises:
        InputError: not over the same questions.
    """
    if not candidates or len(candidates) != len(simplicity):
        raise ValueError(f"{len(candidates)} candidates with {len(simplicity)} simplicities; at least one of each")
    for candidate in candidates:
        check_pair(candidate, reference)
    ids, index = cluster_index(reference)
    counts = cluster_resamples(len(ids), resamples, seed)
    ones = np.ones((1, len(ids)))
    full = np.asarray([gains_under(c, reference, ones, index)[0] for c in candidates])
    inside = np.stack([gains_under(c, reference, counts, index) for c in candidates])
    outside = np.stack([gains_under(c, reference, (counts == 0).astype(np.float64), index) for c in candidates])
    covariance = np.atleast_2d(np.cov(inside)) if len(ids) > 1 else np.zeros((len(candidates), len(candidates)))
    variance = np.diag(covariance)
    errors = np.sqrt(np.maximum(variance[:, None] + variance[None, :] - 2 * covariance, 0.0))
    chosen = [_choose(inside[:, r], errors, simplicity)[0] for r in range(resamples)]
    left_out = outside[chosen, np.arange(resamples)]
    winner, within = _choose(full, errors, simplicity)
    return Champion(
        index=winner,
        best=within[0],
        value=float(full[winner]),
        corrected=float(np.nanmean(left_out)) if not np.isnan(left_out).all() else float("nan"),
        within=within,
    )


def _choose(gains: Array, errors: Array, simplicity: Sequence[tuple[int, ...]]) -> tuple[int, tuple[int, ...]]:
    """(the champion, all within one standard error of the best with the best first)."""
    best = int(np.argmax(gains))
    order = sorted(range(len(gains)), key=lambda i: (-gains[i], i))
    # the tolerance keeps twins, whose difference is 0 ± 0, within reach of each other
    within = tuple(i for i in order if gains[i] >= gains[best] - errors[best, i] - 1e-12)
    return min(within, key=lambda i: (simplicity[i], -gains[i], i)), within
