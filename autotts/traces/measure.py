"""What a draft of a program attains: its curve, its gain at matched tokens, and what these figures can bear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autotts.errors import ProgramError
from autotts.evaluation import (
    Curve,
    EnvironmentResult,
    Protocol,
    clusters_of,
    falling_pairs,
)
from autotts.evaluation.statistics import Envelope, Gain, Scores, gain_at_matched_tokens, mean_curve
from autotts.replay import Environment
from autotts.sandbox.text import printable
from autotts.traces._table import Cell, Evidence

__all__ = [
    "gain_lines",
    "measured",
    "names_of_clusters",
    "points",
    "reject_text",
    "scores_of",
]

CARRIERS = 6
"""Questions that are named as carrying a gain."""

Floats = NDArray[np.float64]


def measured(
    environments: Sequence[Environment],
    results: Sequence[EnvironmentResult],
    reference: Sequence[EnvironmentResult],
    protocol: Protocol,
    *,
    reference_betas: Sequence[float] | None = None,
    names: tuple[str, str] = ("draft", "cmc"),
) -> tuple[Evidence, Gain]:
    """What screening results of a program say beside a reference's on the same episodes, and the gain by itself.

    Args:
        environments: what both were run on.
        results: of the program.
        reference: of the reference, on the same seeds.
        protocol: β and seeds of the program's results.
        reference_betas: the reference's β; None for those of the protocol.
        names: of the program and of the reference.

    Raises:
        InputError: the reference was run on other environments, or spends nothing.
    """
    ours = scores_of(environments, protocol.betas, results)
    theirs = scores_of(environments, reference_betas or protocol.betas, reference)
    gain, name = gain_at_matched_tokens(ours, theirs), names[1]
    accuracy, tokens, sequential = Curve.of(environments, protocol.betas, results).mean()
    over = _over_reference(ours, theirs)
    rows: list[tuple[Cell, ...]] = [
        (f"{beta:g}", 100 * float(accuracy[b]), float(tokens[b]), float(sequential[b]), points(over[b]))
        for b, beta in enumerate(protocol.betas)
    ]
    falling = [f"β = {low:g} and {high:g}" for low, high in falling_pairs(protocol.betas, tokens.tolist())]
    notes = [
        f"Screening: {len(protocol.seeds)} seeds, {len(environments)} environments in the mean; seeds reuse one "
        "pool of recorded branches, so more of them do not make up for few questions.",
        f"Over {name}: points over what mixing two of its β attains at these tokens (in shares of SC@64's); "
        f"– where {name} never spends so little.",
    ]
    if falling:
        notes.append(f"Spending falls although β rises between {', '.join(falling)}; more β has to spend more.")
    columns = ("β", "accuracy %", "tokens", "sequential tokens", f"over {name}")
    body = "\n".join(gain_lines(gain, environments, name))
    return Evidence(f"{names[0]}: its curve", columns, tuple(rows), tuple(notes), body), gain


def gain_lines(gain: Gain, environments: Sequence[Environment], name: str) -> list[str]:
    """A gain in words: the scalar, its vector, each environment, the questions that carry it, what can be resolved."""
    names = names_of_clusters(environments)
    carriers = [(question, share) for question, share in gain.by_question if abs(share) > 1e-9]
    levels = [f"{100 * level:.3g}" for level in (gain.levels[0], gain.levels[-1])]
    each = zip(environments, gain.by_environment, gain.by_environment_se, strict=True)
    lines = [
        f"Gain over {name} at matched tokens: {points(gain.value)} ± {100 * gain.se:.2f} points "
        f"(95 %: {points(gain.ci95[0])} to {points(gain.ci95[1])}); sign-flip p = {gain.sign_flip_p:.3f}.",
        f"This data can resolve ± {100 * gain.resolution:.1f} points at 95 %.",
        f"At 12 levels from {levels[0]} to {levels[1]} % of SC@64's tokens: {' '.join(map(points, gain.vector))}",
        "By environment: " + "; ".join(f"{e.name} {points(value)} ± {100 * se:.2f}" for e, value, se in each),
    ]
    if carriers:
        told = ", ".join(f"{names[question]} {points(share)}" for question, share in carriers[:CARRIERS])
        lines.append(f"Questions that carry it, in points of the gain: {told}")
    return lines


def points(share: float) -> str:
    """A difference of accuracies in points, with its sign."""
    return f"{100 * float(share):+.2f}" if np.isfinite(share) else "–"


def scores_of(
    environments: Sequence[Environment], betas: Sequence[float], results: Sequence[EnvironmentResult]
) -> Scores:
    """An evaluator's results as means over seeds."""
    curve = Curve.of(environments, betas, results)
    return Scores(curve.accuracy, curve.tokens, curve.clusters, curve.units)


def names_of_clusters(environments: Sequence[Environment]) -> dict[int, str]:
    """Cluster of questions → the id of the first of them."""
    names: dict[int, str] = {}
    for environment, clusters in zip(environments, clusters_of(environments).tolist(), strict=True):
        for question, cluster in zip(environment.questions, clusters, strict=False):
            names.setdefault(cluster, question.id)
    return names


def _over_reference(ours: Scores, theirs: Scores) -> Floats:
    """At each β, accuracy over the reference's envelope at the same tokens; NaN left of its first point: shape (B,)."""
    accuracy, tokens = mean_curve(ours.accuracy, ours.tokens, ours.units)
    their_accuracy, their_tokens = mean_curve(theirs.accuracy, theirs.tokens, theirs.units)
    over = accuracy - Envelope(their_tokens, their_accuracy).at(tokens)
    return np.where(tokens < their_tokens.min() * (1 - 1e-9), np.nan, over)


def reject_text(error: ProgramError, source: str) -> str:
    """Why a program was rejected: outcome, the line with its text, message, episode."""
    lines = [error.outcome]
    written = source.split("\n")
    if error.line is not None and 0 < error.line <= len(written):
        lines.append(f"  line {error.line}: {printable(written[error.line - 1].strip()[:200])}")
    elif error.line is not None:
        lines.append(f"  line {error.line}")
    lines.append(f"  {error.message}")
    if len(error.frames) > 1:
        calls = " → ".join(f"{printable(name)} line {number}" for number, name in error.frames)
        lines.append(f"  called: {calls}")
    if error.where:
        lines.append(f"  in {error.where}")
    return "\n".join(lines) + "\n"
