"""Two confirmed programs of a run side by side, from the archive alone: curves, gain, and what changed by question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autotts.evaluation.statistics import Scores, Yardstick, cluster_index
from autotts.search.curves import Curves, alone, curves
from autotts.search.figures import Figures
from autotts.search.report import Difference, difference
from autotts.traces.compare import matched

__all__ = ["Changed", "Matched", "SideBySide", "side_by_side"]

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Matched:
    """One question in one environment, both programs at matched tokens.

    Attributes:
        accuracy: of `a` and of `b`, in [0, 1].
        tokens: of an episode of `a` and of `b`.
    """

    accuracy: Pair
    tokens: Pair

    @property
    def gain(self) -> float:
        """Accuracy of `a` over `b`."""
        return self.accuracy[0] - self.accuracy[1]

    @property
    def more_tokens(self) -> float:
        """Tokens of `a` over `b`."""
        return self.tokens[0] - self.tokens[1]


@dataclass(frozen=True, slots=True)
class Changed:
    """What one question has to do with the gain.

    Attributes:
        question: its name.
        contribution: to the gain of `a` over `b`, as a fraction, by its answers and its tokens; over all questions they
            sum to the gain.
        cells: one an environment, None where it does not have the question.
    """

    question: str
    contribution: float
    cells: tuple[Matched | None, ...]


@dataclass(frozen=True)
class SideBySide:
    """Two confirmed programs on the same episodes. With the two exchanged, every gain has the other sign.

    Matched tokens: at the levels of the run's reference, 12 of them, log-spaced between its first and last point on
    its mean curve, with each question (`questions`) or each environment (`environments`) as it is there.

    Attributes:
        a, b: their curves.
        gain: of `a` over `b` at matched tokens, on mean curves.
        environments: (name, gain) within each environment, at the reference's levels there.
        questions: every question, the greatest contribution to `gain` first; each level is a mix of the two
            neighbouring β of a program's mean curve, figures are means over levels.
    """

    a: Curves
    b: Curves
    gain: Difference
    environments: tuple[tuple[str, Difference], ...]
    questions: tuple[Changed, ...]


def side_by_side(figures: Figures, a: str, b: str) -> SideBySide:
    """Two confirmed programs of a run, from their stored evaluations.

    Args:
        figures: of the run.
        a, b: hashes.

    Raises:
        InputError: one of them was not confirmed in this run, or the run has not come as far as its reference.
    """
    reference, names = figures.reference, figures.questions
    ours, theirs = figures.scores(a), figures.scores(b)
    gain = difference(ours, theirs, reference, names)
    within = (
        (ref.name, difference(alone(ours, e), alone(theirs, e), alone(reference, e), names))
        for e, ref in enumerate(figures.run.environments)
    )
    shown = [curves(figures, hash) for hash in (a, b)]
    assert shown[0] and shown[1], "both are confirmed"
    return SideBySide(
        a=shown[0],
        b=shown[1],
        gain=gain,
        environments=tuple(within),
        questions=tuple(_changed(ours, theirs, reference, names, dict(gain.questions))),
    )


def _changed(
    ours: Scores, theirs: Scores, reference: Scores, names: list[str], contributions: dict[str, float]
) -> Iterator[Changed]:
    """Every question, the greatest contribution first, among equals in the order of their numbers."""
    ids, _ = cluster_index(reference)
    levels = Yardstick(reference, np.ones((1, len(ids)))).levels[0]
    figures = [matched(scores, levels) for scores in (ours, theirs)]
    present = reference.present
    for cluster in sorted(ids.tolist(), key=lambda cluster: -abs(contributions.get(names[cluster], 0.0))):
        where = (reference.clusters == cluster) & present
        cells = tuple(_cell(figures, e, row) for e, row in enumerate(where))
        yield Changed(names[cluster], contributions.get(names[cluster], 0.0), cells)


def _cell(
    figures: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]], e: int, where: npt.NDArray[np.bool_]
) -> Matched | None:
    if not where.any():
        return None
    (accuracy, tokens), (their_accuracy, their_tokens) = [
        (float(right[e, where].mean()), float(spent[e, where].mean())) for right, spent in figures
    ]
    return Matched((accuracy, their_accuracy), (tokens, their_tokens))
