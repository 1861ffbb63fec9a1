"""How the programs of a run stand against each other: gains, the front, hypervolume. Computed from sums over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Typing

import numpy as np
import numpy.typing as npt

from autotts.agents import Candidate
from autotts.archive import Point, front, hypervolume
from autotts.archive.selection import Entry
from autotts.evaluation import Protocol, clusters_of
from autotts.evaluation.statistics import Gain, Scores, gain_at_matched_tokens, mean_curve, tokens_saved
from autotts.replay import Environment

__all__ = ["Standing", "pass_at_1", "rectangle"]

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


@dataclass(frozen=True)
class _Figures:
    name: str
    scores: Scores
    points: tuple[Point, ...]


def pass_at_1(environment: Environment) -> float:
    """Mean over questions of the share of recorded branches that end right."""
    shares = [sum(b.final == q.gold for b in q.branches) / len(q.branches) for q in environment.questions]
    return sum(shares) / len(shares)


def rectangle(environments: Sequence[Environment]) -> dict[str, float]:
    """What a hypervolume is measured in: floor pass@1, from one mean branch to SC@64's tokens."""
    return {
        "floor": float(np.mean([pass_at_1(environment) for environment in environments])),
        "left": float(np.mean([environment.mean_branch_tokens for environment in environments])),
        "right": float(np.mean([environment.sc64_tokens for environment in environments])),
    }


class Standing:
    """Figures of all programs of a run; fed with the archive's records, in the order of the slots."""

    def __init__(self, environments: Sequence[Environment], protocol: Protocol, screen_protocol: Protocol) -> None:
        self._environments = environments
        self._protocol = protocol
        self._clusters = clusters_of(environments)
        self._units = np.array([environment.sc64_tokens for environment in environments])
        self._entries: dict[str, dict[str, _Figures]] = {"screen": {}, "confirm": {}}
        self._rectangle = rectangle(environments)

    def scores(self, results: Sequence[Sums]) -> Scores:
        """Means over seeds of shape (E, B, Q), padded with NaN where environments differ in questions."""
        shape = (len(results), len(self._protocol.betas), self._clusters.shape[1])
        accuracy, tokens = np.full(shape, np.nan), np.full(shape, np.nan)
        for e, result in enumerate(results):
            width = result.right.shape[1]
            accuracy[e, :, :width] = result.right / result.n_seeds
            tokens[e, :, :width] = result.tokens / result.n_seeds
        return Scores(accuracy, tokens, self._clusters, self._units)

    def take(self, id_: str, name: str, source: str, kept: Mapping[str, Sums]) -> None:
        """Take a program's records of one source, one an environment (by hash)."""
        scores = self.scores([kept[environment.hash] for environment in self._environments])
        self._entries[source][id_] = _Figures(name, scores, self.points(id_, kept))

    def points(self, id_: str, kept: Mapping[str, Sums]) -> tuple[Point, ...]:
        """The mean curve as points, absolute tokens, under the name `id_`."""
        results = [kept[environment.hash] for environment in self._environments]
        sequential = np.mean([r.sequential_tokens.mean(axis=1) / r.n_seeds for r in results], axis=0)
        scores = self.scores(results)
        means = mean_curve(scores.accuracy, scores.tokens, np.ones(len(scores.units)))
        return tuple(
            Point(id_, beta, float(tokens), float(accuracy), float(seq))
            for beta, accuracy, tokens, seq in zip(self._protocol.betas, *means, sequential, strict=True)
        )

    # ---- gains -------------------------------------------------------------------------------------------------

    def _named(self, name: str, source: str) -> _Figures:
        return next(entry for entry in self._entries[source].values() if entry.name == name)

    def gain(self, scores: Scores, confirmed: bool) -> Gain:
        """Gain at matched tokens over the reference, on the same seeds."""
        reference = self._named("cmc", "confirm" if confirmed else "screen").scores
        return gain_at_matched_tokens(scores, reference, resamples=RESAMPLES)

    def could_touch_front(self, scores: Scores) -> bool:
        """Whether a screened curve has a point that the screened points of the confirmed programs do not dominate."""
        confirmed = self._entries["confirm"]
        edge = front(p for id_, entry in self._entries["screen"].items() if id_ in confirmed for p in entry.points)
        accuracy, tokens = mean_curve(scores.accuracy, scores.tokens, np.ones(len(scores.units)))
        return any(
            attained > max((p.accuracy for p in edge if p.tokens <= spent), default=-1.0)
            for spent, attained in zip(tokens, accuracy, strict=True)
        )

    # ---- front -------------------------------------------------------------------------------------------------

    def front(self) -> list[Point]:
        """The front over all confirmed programs and β, on mean curves, by rising tokens."""
        return front(point for entry in self._entries["confirm"].values() for point in entry.points)

    def front_ids(self) -> set[str]:
        """The programs that hold a point of the front."""
        return {point.id for point in self.front()}

    def is_confirmed(self, id_: str) -> bool:
        """Whether a program was confirmed."""
        return id_ in self._entries["confirm"]

    def points_of(self, id_: str) -> tuple[Point, ...]:
        """A confirmed program's points."""
        return self._entries["confirm"][id_].points

    def curve(self, name: str) -> tuple[Point, ...]:
        """A baseline's confirmed points."""
        return self._named(name, "confirm").points

    def parent_records(self, told: Sequence[Candidate]) -> list[Entry]:
        """What the selector needs to know of every confirmed program that has been told."""
        uses: dict[str, int] = {}
        for candidate in told:
            for parent in candidate.parents:
                uses[parent] = uses.get(parent, 0) + 1
        records = []
        for candidate in told:
            entry = self._entries["confirm"].get(candidate.id)
            if entry is not None and candidate.outcome == "ok" and candidate.agent != "baseline":
                gain = candidate.gain, candidate.gain_se
                records.append(Entry(candidate.id, entry.points, *gain, uses.get(candidate.id, 0)))
        return records

    def hypervolume(self) -> float:
        """Of the front, normalised to 1."""
        points = self.front()
        return hypervolume([p.tokens for p in points], [p.accuracy for p in points], **self._rectangle)

    def best(self, candidates: Sequence[Candidate]) -> Candidate:
        """The confirmed program with the greatest gain at matched tokens, the first of equals."""
        confirmed = self._entries["confirm"]
        known = [c for c in candidates if c.id in confirmed and c.outcome == "ok" and c.gain is not None]
        return max(known, key=lambda c: c.gain or 0.0)

    def figures(self, candidates: Sequence[Candidate]) -> dict[str, Any]:
        """What a display shows at the end of a round."""
        best = self.best(candidates)
        saved = tokens_saved(self._entries["confirm"][best.id].scores, self._named("sc", "confirm").scores, resamples=2)
        return {
            "front": len(self.front_ids()),
            "hypervolume": self.hypervolume(),
            "best": best.id,
            "best_gain": best.gain,
            "best_gain_se": best.gain_se,
            "saved": saved.value,
        }
