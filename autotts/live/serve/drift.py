"""Whether requests still look like the environment that β was calibrated on.

The controller's own episodes on the environment say what a request takes and how sure it gets. Every window of N
requests is compared once with these: for each measure the difference of means in standard errors, of which the largest
counts. How large it gets where nothing differs is found by resampling the environment's questions, at start, so that
the share of windows with a false alarm is the one that was asked for, whatever the measures' distributions and however
they hang together. Requests are taken to be of independent questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotts.errors import InputError
from autotts.live.solution import Solution

__all__ = ["FALSE_ALARMS", "LEAST_QUESTIONS", "MEASURES", "Drift", "Measure", "Report", "measures_of"]

Floats = NDArray[np.float64]

MEASURES = ("confidence", "tokens", "tokens_per_branch", "branches")
FALSE_ALARMS = 0.01
"""Share of windows with one."""
LEAST_QUESTIONS = 15
"""Of an environment; what a request takes varies most from question to question, which fewer do not tell."""
RESAMPLES = 5000


def measures_of(confidence: float | None, tokens: float, branches: float) -> tuple[float, ...]:
    """One episode or request in the order of `MEASURES`; no votes are no confidence."""
    return (confidence or 0.0, float(tokens), tokens / max(1.0, branches), float(branches))


@dataclass(frozen=True)
class Measure:
    """One measure over a window.

    Attributes:
        name: of `MEASURES`.
        mean: over the window's requests.
        expected: over the environment's episodes.
        z: their difference in standard errors of it.
        differs: whether that is beyond the threshold.
    """

    name: str
    mean: float
    expected: float
    z: float
    differs: bool


@dataclass(frozen=True)
class Report:
    """The last whole window.

    Attributes:
        requests: that were compared.
        measures: each of `MEASURES`.
    """

    requests: int
    measures: tuple[Measure, ...]

    @property
    def alarm(self) -> bool:
        """Whether something differs."""
        return any(measure.differs for measure in self.measures)

    @property
    def as_json(self) -> dict[str, Any]:
        """For a response."""
        of = {m.name: {"mean": m.mean, "expected": m.expected, "z": m.z, "differs": m.differs} for m in self.measures}
        return {"alarm": self.alarm, "requests": self.requests, "measures": of}

    def __str__(self) -> str:
        told = [f"{m.name} {m.mean:,.3g} for {m.expected:,.3g} (z = {m.z:+.1f})" for m in self.measures if m.differs]
        return f"the last {self.requests} requests differ from the environment: {', '.join(told)}"


@dataclass
class Drift:
    """Compares windows of requests with an environment.

    Args:
        episodes: what the controller does there, of shape (questions, episodes of each, measures).
        window: requests that are compared at a time.
        false_alarms: share of windows that may be called different where nothing is.
        seed: of the resampling.

    Attributes:
        report: of the last whole window; None before the first one.

    Raises:
        InputError: the environment has too few questions to tell.
    """

    episodes: Floats
    window: int = 200
    false_alarms: float = FALSE_ALARMS
    seed: int = 0
    report: Report | None = field(init=False, default=None)
    threshold: float = field(init=False)
    _seen: list[tuple[float, ...]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.episodes)
        if n < LEAST_QUESTIONS:
            raise InputError(f"{n} questions are too few to tell drift by; {LEAST_QUESTIONS} are the least")
        self._by_question: Floats = self.episodes.mean(axis=1)
        self.threshold = self._largest_by_chance()

    def _largest_by_chance(self) -> float:
        """What the largest |z| of a window exceeds as rarely as is wanted, were its requests of the environment."""
        draw = np.random.default_rng(self.seed)
        n, each = self.episodes.shape[:2]
        largest = np.empty(RESAMPLES)
        for k in range(RESAMPLES):
            world = self._by_question[draw.integers(n, size=n)]
            window = self.episodes[draw.integers(n, size=self.window), draw.integers(each, size=self.window)]
            largest[k] = np.abs(_z(window, world)).max()
        return float(np.quantile(largest, 1 - self.false_alarms, method="higher"))

    def add(self, solution: Solution) -> Report | None:
        """Take a request in; the report where it makes a window whole."""
        self._seen.append(measures_of(solution.confidence, solution.tokens, solution.branches))
        if len(self._seen) < self.window:
            return None
        self.report = self._compare(self._seen)
        self._seen = []
        return self.report

    def _compare(self, seen: Sequence[tuple[float, ...]]) -> Report:
        window = np.array(seen)
        rows = zip(
            MEASURES, window.mean(axis=0), self._by_question.mean(axis=0), _z(window, self._by_question), strict=True
        )
        return Report(
            len(window),
            tuple(
                Measure(name, float(m), float(e), float(z), abs(float(z)) > self.threshold) for name, m, e, z in rows
            ),
        )


_MOST_Z = 1e6


def _z(window: Floats, questions: Floats) -> Floats:
    """Difference of means in standard errors: requests (R, measures) against means of questions (Q, measures).

    A request's measures vary by question and within it, so its variance is taken from the window itself; the
    environment's mean is as uncertain as its questions are few.
    """
    difference = window.mean(axis=0) - questions.mean(axis=0)
    error = np.sqrt(window.var(axis=0, ddof=1) / len(window) + questions.var(axis=0, ddof=1) / len(questions))
    # A measure that does not vary on either side (branches of a controller that always opens as many).
    scale = 1e-9 * np.maximum(1.0, np.abs(questions.mean(axis=0)))
    z: Floats = np.where(
        np.abs(difference) <= scale, 0.0, difference / np.maximum(error, scale / math.sqrt(len(window)))
    )
    return np.clip(z, -_MOST_Z, _MOST_Z)
