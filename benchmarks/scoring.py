"""What the benchmarks share: scoring curves made of any (program, β) on episode seeds that no search plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autotts.archive import hypervolume
from autotts.evaluation import Curve, Evaluator, Program, Protocol
from autotts.evaluation.statistics import Scores, gain_at_matched_tokens, mean_curve
from autotts.replay import Environment
from autotts.search.standing import rectangle

__all__ = ["FRESH", "Fresh", "Points", "cell"]

FRESH = 1000
"""First episode seed that no search plays."""

Points = Sequence[tuple[Program, float]]
"""A curve: any programs, each at any β."""


class Fresh:
    """Scores curves on given environments with fresh seeds, in the sandbox, on table episodes."""

    def __init__(self, environments: Sequence[Environment], n_seeds: int, workers: int = 2) -> None:
        self._environments = environments
        self._seeds = tuple(range(FRESH, FRESH + n_seeds))
        self._evaluator = Evaluator(environments, workers)
        self._known: dict[tuple[str, float], Curve] = {}

    def scores(self, points: Points) -> Scores:
        """Of a curve; each program is played once at each β, whatever curves it is part of."""
        for program in {program.hash: program for program, _ in points}.values():
            betas = dict.fromkeys(beta for other, beta in points if other.hash == program.hash)
            self._play(program, tuple(beta for beta in betas if (program.hash, beta) not in self._known))
        curves = [self._known[program.hash, beta] for program, beta in points]
        accuracy, tokens = (np.concatenate([getattr(c, x) for c in curves], axis=1) for x in ("accuracy", "tokens"))
        return Scores(accuracy, tokens, curves[0].clusters, curves[0].units)

    def _play(self, program: Program, betas: tuple[float, ...]) -> None:
        if not betas:
            return
        results = self._evaluator.run(program, Protocol(betas, self._seeds))
        curve = Curve.of(self._environments, betas, results)
        for b, beta in enumerate(betas):
            part = slice(b, b + 1)
            self._known[program.hash, beta] = replace(
                curve, betas=(beta,), accuracy=curve.accuracy[:, part], tokens=curve.tokens[:, part]
            )

    def gain(self, points: Points, reference: Points) -> tuple[float, float]:
        """At matched tokens over a reference, in points, with its standard error over questions."""
        gain = gain_at_matched_tokens(self.scores(points), self.scores(reference))
        return 100 * gain.value, 100 * gain.se

    def hypervolume(self, points: Points) -> float:
        """Of what the curve dominates in (log tokens, accuracy), normalised to 1."""
        scores = self.scores(points)
        accuracy, tokens = mean_curve(scores.accuracy, scores.tokens, scores.units)
        return hypervolume([float(t) for t in tokens], [float(a) for a in accuracy], **rectangle(self._environments))


def cell(figure: tuple[float, float]) -> str:
    """A figure with its standard error."""
    return f"{figure[0]:+.2f} ± {figure[1]:.2f}"
