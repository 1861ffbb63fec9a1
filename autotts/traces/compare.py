"""Two programs at matched tokens, question by question: what changed, and how broadly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autotts.evaluation import EnvironmentResult
from autotts.evaluation.statistics import Gain, Scores, gain_at_matched_tokens, mean_curve
from autotts.replay import Environment
from autotts.traces._table import Cell, Evidence
from autotts.traces.measure import gain_lines, names_of_clusters, points, scores_of

__all__ = ["compare", "matched"]

Floats = NDArray[np.float64]

CHANGED = 0.0005
"""What a question contributes at least (in accuracy) to count as changed: a twentieth of a point."""


def compare(
    a: Sequence[EnvironmentResult],
    b: Sequence[EnvironmentResult],
    environments: Sequence[Environment],
    betas: Sequence[float],
    betas_b: Sequence[float] | None = None,
    *,
    names: tuple[str, str] = ("a", "b"),
    most: int = 20,
) -> Evidence:
    """The gain of `a` over `b` at matched tokens, by question and model.

    Args:
        a, b: results of both on the same environments and seeds; `b` is the reference, which the levels belong to.
        environments: what they were run on.
        betas: β of `a`.
        betas_b: β of `b`, None for those of `a`.
        names: what the two are called.
        most: rows at most.

    Raises:
        InputError: the two were not run on the same questions, or `b` spends nothing.
    """
    ours, theirs = scores_of(environments, betas, a), scores_of(environments, betas_b or betas, b)
    gain = gain_at_matched_tokens(ours, theirs)
    (accuracy, tokens), (their_accuracy, their_tokens) = matched(ours, gain.levels), matched(theirs, gain.levels)
    labels = names_of_clusters(environments)
    changed = [(cluster, share) for cluster, share in gain.by_question if abs(share) >= CHANGED]
    rows: list[tuple[Cell, ...]] = []
    for cluster, share in changed[:most]:
        where = ours.clusters == cluster
        row: list[Cell] = [labels[cluster], 100 * share]
        row += [_cell(accuracy[e] - their_accuracy[e], where[e]) for e in range(len(environments))]
        spent, before = float(tokens[where].sum()), float(their_tokens[where].sum())
        rows.append((*row, 100 * (spent / before - 1) if before else None))
    columns = ("question", "of the gain", *(environment.name for environment in environments), "tokens %")
    body = "\n".join([*gain_lines(gain, environments, names[1])[:4], _breadth(gain)])
    notes = (
        f"Matched tokens: both are taken at the same 12 levels of mean tokens, log-spaced between {names[1]}'s first "
        "and last point, each level a mix of two neighbouring β of its mean curve; figures are means over levels.",
        "Of the gain: what the question contributes, in points (its answers and its tokens; all questions sum to the "
        "gain). Under each model: points of accuracy on that question. Tokens %: what it costs more, over all models.",
        f"{len(changed)} of {len(gain.by_question)} questions changed (by {100 * CHANGED:g} points of the gain or more)"
        + (f"; the first {most} are shown." if len(changed) > most else "."),
    )
    title = f"{names[0]} against {names[1]}, at matched tokens: what changed"
    return Evidence(title, columns, tuple(rows), notes, body)


def matched(scores: Scores, levels: Floats) -> tuple[Floats, Floats]:
    """Accuracy and tokens of each (environment, question) at levels of mean tokens, in the mean over levels.

    A level between two points of the mean curve is the mix of their β that spends it; one left of the first point
    answers only a share of the questions; one right of the last is the last. Without the isotonic regression of an
    envelope, for a single question's curve is what it is.

    Args:
        scores: E environments, B values of β, Q questions.
        levels: in units of SC@64, ascending, shape (L,).

    Returns:
        Two arrays of shape (E, Q), NaN at padding; tokens are absolute.
    """
    _, spent = mean_curve(scores.accuracy, scores.tokens, scores.units)
    order = np.argsort(spent, kind="stable")
    x = spent[order]
    count = np.searchsorted(x, levels, side="right")
    low, high = np.clip(count - 1, 0, None), np.clip(count, None, len(x) - 1)
    width = x[high] - x[low]
    share = np.where(width > 0, (levels - x[low]) / np.where(width > 0, width, 1.0), 0.0)
    whole = np.where(count == 0, levels / x[0] if x[0] > 0 else 0.0, 1.0)
    weights = np.zeros(len(x))
    np.add.at(weights, order[low], whole * np.where(count == 0, 1.0, 1.0 - share) / len(levels))
    np.add.at(weights, order[high], whole * np.where(count == 0, 0.0, share) / len(levels))
    return (
        np.asarray(np.einsum("b,ebq->eq", weights, scores.accuracy)),
        np.asarray(np.einsum("b,ebq->eq", weights, scores.tokens)),
    )


def _cell(difference: Floats, where: NDArray[np.bool_]) -> float | None:
    return 100 * float(difference[where].mean()) if where.any() else None


def _breadth(gain: Gain) -> str:
    """How many questions gain and lose, and how much of the gain the first three carry."""
    shares = [share for _, share in gain.by_question]
    up, down = sum(share >= CHANGED for share in shares), sum(share <= -CHANGED for share in shares)
    top = sorted(shares, reverse=gain.value > 0)[:3]
    part = f"{100 * sum(top) / gain.value:.0f} %" if abs(gain.value) > 1e-9 else "no share"
    return (
        f"How broad: {up} questions gain, {down} lose, of {len(shares)}; the three that contribute most to it "
        f"({points(sum(top))} points together) carry {part} of the gain."
    )
