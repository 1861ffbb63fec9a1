"""How the programs of a run stand against each other: gains, the front, hypervolume. Computed from sums over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Protocol as Typing

import numpy as np
import numpy.typing as npt

from autotts.archive import Point, front, hypervolume
from autotts.evaluation import clusters_of
from autotts.evaluation.curve import scores_of
from autotts.evaluation.envelope import Array
from autotts.evaluation.statistics import Scores, Yardstick, mean_curve, tokens_saved
from autotts.replay import Environment
from autotts.search.screening import Gate

__all__ = ["BASELINES", "NEEDED", "REFERENCE", "Standing", "pass_at_1", "rectangle"]

REFERENCE = "cmc"
"""What every gain is measured against."""

BASELINES = (REFERENCE, "sc", "asc", "esc", "parallel_probe")
"""Round 0, before what people added. The reference comes first: every gain is measured against it."""

NEEDED = (REFERENCE, "sc")
"""Baselines without which nothing can be compared."""

RESAMPLES = 1000


class Sums(Typing):
    """What an evaluator's result and an archive's record have in common."""

    @property
    def right(self) -> npt.NDArray[np.int64]: ...
    @property
    def tokens(self) -> npt.NDArray[np.int64]: ...
    @property
    def sequential_tokens(self) -> npt.NDArray[np.int64]: ...
    @property
    def n_seeds(self) -> int: ...


def pass_at_1(environment: Environment) -> float:
    """Mean over questions of the share of recorded branches that end right."""
    shares = [sum(b.final == q.gold for b in q.branches) / len(q.branches) for q in environment.questions]
    return sum(shares) / len(shares)


def rectangle(environments: Sequence[Environment]) -> dict[str, float]:
    """What a hypervolume is measured in: floor pass@1, from one mean branch to SC@64's tokens, which are the unit."""
    return {
        "floor": float(np.mean([pass_at_1(environment) for environment in environments])),
        "left": float(np.mean([e.mean_branch_tokens / e.sc64_tokens for e in environments])),
        "right": 1.0,
    }


class Standing:
    """Figures of a run; fed with the archive's records, in the order of the slots.

    What it keeps is bounded by the front, not by the number of programs: a run may have a hundred thousand.

    Attributes:
        gate: what screened programs are held against.
    """

    def __init__(self, environments: Sequence[Environment], betas: Sequence[float], screen: Sequence[float]) -> None:
        self._environments = environments
        self._betas = {False: tuple(betas), True: tuple(screen)}
        self._clusters = clusters_of(environments)
        self._units = np.array([environment.sc64_tokens for environment in environments])
        self._rectangle = rectangle(environments)
        self._over: dict[bool, Yardstick] = {}
        self._sc: Scores | None = None
        self._curves: dict[str, tuple[Point, ...]] = {}
        self._front: list[Point] = []
        self._shares: list[Point] = []
        self._best: tuple[str, float, float | None, Scores] | None = None
        self.gate = Gate()

    def scores(self, results: Sequence[Sums]) -> Scores:
        """Means over seeds of shape (E, B, Q), padded with NaN where environments differ in questions."""
        return scores_of(results, self._clusters, self._units)

    def points(self, id_: str, results: Sequence[Sums], *, screened: bool = False) -> tuple[Point, ...]:
        """The mean curve as points, absolute tokens, under the name `id_`; at the β of the screen, or at all."""
        return self._points(id_, results, np.ones(len(self._units)), screened)

    def shares(self, id_: str, results: Sequence[Sums]) -> tuple[Point, ...]:
        """The same with tokens divided by SC@64's in each environment: for what becomes one figure of several."""
        return self._points(id_, results, self._units, False)

    def _points(self, id_: str, results: Sequence[Sums], units: Array, screened: bool) -> tuple[Point, ...]:
        sequential = np.mean([r.sequential_tokens.mean(axis=1) / r.n_seeds for r in results], axis=0)
        scores = self.scores(results)
        means = mean_curve(scores.accuracy, scores.tokens, units)
        return tuple(
            Point(id_, beta, float(tokens), float(accuracy), float(seq))
            for beta, accuracy, tokens, seq in zip(self._betas[screened], *means, sequential, strict=True)
        )

    def gain(self, results: Sequence[Sums], confirmed: bool) -> tuple[float, float]:
        """Gain at matched tokens over the reference, on the same seeds, and its standard error."""
        return self._over[confirmed].gain_and_error(self.scores(results))

    def take(
        self,
        id_: str,
        name: str,
        gain: tuple[float, float | None],
        screened: Sequence[Sums],
        confirmed: Sequence[Sums],
    ) -> tuple[Point, ...]:
        """Take in a confirmed program; its points.

        Args:
            id_, name: its id, and its name where it is a baseline.
            gain: at matched tokens, with its standard error.
            screened, confirmed: what it did, one an environment.
        """
        points, scores = self.points(id_, confirmed), self.scores(confirmed)
        if name == REFERENCE:
            of = {True: scores, False: self.scores(screened)}
            self._over = {kind: Yardstick.bootstrap(reference, resamples=RESAMPLES) for kind, reference in of.items()}
        if name == "sc":
            self._sc = scores
        if name:
            self._curves[name] = points
        self._front = front([*self._front, *points])
        self._shares = front([*self._shares, *self.shares(id_, confirmed)])
        self.gate = self.gate.add(self.points(id_, screened, screened=True), points)
        if self._best is None or gain[0] > self._best[1]:
            self._best = (id_, *gain, scores)
        return points

    # ---- how it stands -----------------------------------------------------------------------------------------

    def front(self) -> list[Point]:
        """The front over all confirmed programs and β, on mean curves, by rising tokens."""
        return list(self._front)

    def front_ids(self) -> set[str]:
        """The programs that hold a point of the front."""
        return {point.id for point in self._front}

    def curve(self, name: str) -> tuple[Point, ...]:
        """A baseline's confirmed points."""
        return self._curves[name]

    def hypervolume(self) -> float:
        """Of the front, normalised to 1."""
        return hypervolume([p.tokens for p in self._shares], [p.accuracy for p in self._shares], **self._rectangle)

    @property
    def best_gain(self) -> float:
        """The greatest gain at matched tokens of a confirmed program; minus infinity where there is none."""
        return self._best[1] if self._best is not None else float("-inf")

    def figures(self) -> dict[str, Any]:
        """What a display shows at the end of a round."""
        assert self._best is not None and self._sc is not None
        best, gain, gain_se, scores = self._best
        saved = tokens_saved(scores, self._sc, resamples=2)
        return {
            "front": len(self.front_ids()),
            "hypervolume": self.hypervolume(),
            "best": best,
            "best_gain": gain,
            "best_gain_se": gain_se,
            "saved": saved.value,
        }
