"""How a run's front grew, from the archive alone, in the order of the proposals: no clock is read.

A run may have a hundred thousand programs: their points are kept as two arrays, and the scores of those programs alone
are read that may have raised the hypervolume.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from autotts.archive import Listed, Point, front, hypervolume
from autotts.evaluation.envelope import Array
from autotts.search.figures import Figures

__all__ = ["Growth", "Snapshot", "Step", "growth"]

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the rounds, after which the front is shown."""


@dataclass(frozen=True)
class Step:
    """A moment at which the hypervolume rose, or the end.

    Attributes:
        proposals: that agents had been asked for, this one included; 0: the baselines and what people had added.
        dollars: that their calls had cost by then; None where a price is unknown.
        hypervolume: of the front, normalised to 1.
    """

    proposals: int
    dollars: float | None
    hypervolume: float


@dataclass(frozen=True)
class Snapshot:
    """The front after a round, by rising tokens; round 0 is what was there before agents were asked."""

    round: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Growth:
    """How the front grew.

    Attributes:
        steps: of the hypervolume, the first one before any proposal, the last one at the end.
        snapshots: the front before, after each quarter of the rounds, and at the end.
        unpriced: calls of unknown price.
    """

    steps: tuple[Step, ...]
    snapshots: tuple[Snapshot, ...]
    unpriced: int

    @property
    def dollars(self) -> float | None:
        """That the whole run cost; None where a price is unknown."""
        return self.steps[-1].dollars


def growth(figures: Figures) -> Growth:
    """How the front of a run grew.

    Args:
        figures: of the run; its reference and self-consistency are confirmed.
    """
    rows = [row for row in figures.listed if row.outcome is not None]
    costs, unpriced = _costs(figures, rows)
    asked = list(accumulate(int(bool(row.round)) for row in rows))
    steps: list[Step] = []
    reached = 0.0
    table = _table(figures, rows)
    raised = dict(_raised(figures, rows, table))
    for k, row in enumerate(rows):
        reached = raised.get(k, reached)
        if k + 1 == len(rows) or (k in raised and row.round) or (not row.round and rows[k + 1].round):
            steps.append(Step(asked[k], None if unpriced else costs[k], reached))
    return Growth(tuple(steps), tuple(_snapshots(rows, table, figures.config.protocol.betas)), unpriced)


def _costs(figures: Figures, rows: Sequence[Listed]) -> tuple[list[float], int]:
    """(Dollars spent up to each row, calls of unknown price)."""
    of_slot: dict[tuple[int, int], float] = {}
    unpriced = 0
    for call in figures.archive.calls(figures.run.name, texts=False):
        unpriced += call.cost is None
        place = call.round, call.slot
        of_slot[place] = of_slot.get(place, 0.0) + (call.cost or 0.0)
    return list(accumulate(of_slot.get((row.round or 0, row.slot or 0), 0.0) for row in rows)), unpriced


def _raised(figures: Figures, rows: Sequence[Listed], table: Mapping[str, Array]) -> Iterator[tuple[int, float]]:
    """(Row, hypervolume from it on) of each program that raised it.

    Its tokens are shares of SC@64's, environment by environment, for which scores have to be read. Mean tokens divided
    by the greatest unit are at most that share: a program that is behind the front even so is behind it.
    """
    unit = max(figures.units)
    edge: list[Point] = []
    reached = 0.0
    for k, row in enumerate(rows):
        if row.outcome != "ok" or (hash := row.hash) is None or hash not in table:
            continue
        if not _ahead(edge, table[hash] / (unit, 1.0)):
            continue
        edge = front([*edge, *figures.points(hash, figures.scores(hash))])
        found = hypervolume([p.tokens for p in edge], [p.accuracy for p in edge], **figures.rectangle)
        if found > reached:
            reached = found
            yield k, found


def _ahead(edge: Sequence[Point], points: Array) -> bool:
    """Whether any of (tokens, accuracy), shape (B, 2), could be ahead of a front."""
    if not edge:
        return True
    place = np.searchsorted([p.tokens for p in edge], points[:, 0], side="right")
    attained = np.asarray([-math.inf, *(p.accuracy for p in edge)])
    return bool((points[:, 1] > attained[place]).any())


def _table(figures: Figures, rows: Sequence[Listed]) -> dict[str, Array]:
    """(Tokens, accuracy) of each confirmed mean curve, shape (B, 2), by program."""
    betas = {beta: k for k, beta in enumerate(figures.config.protocol.betas)}
    numbers = {row.hash: k for k, row in enumerate(rows) if row.hash and row.stage == "confirm"}
    kept = np.full((len(rows), len(betas), 2), np.nan)
    for point in figures.archive.each_point(figures.run.name):
        if point.id in numbers:  # a search that goes on meanwhile may have added to them
            kept[numbers[point.id], betas[point.beta]] = point.tokens, point.accuracy
    return {hash: kept[k] for hash, k in numbers.items()}


def _snapshots(rows: Sequence[Listed], table: Mapping[str, Array], betas: Sequence[float]) -> Iterator[Snapshot]:
    """The front after some of the rounds."""
    last = max((row.round or 0 for row in rows), default=0)
    wanted = sorted({round(share * last) for share in QUARTERS})
    edge: list[Point] = []
    for k, row in enumerate(rows):
        hash = row.hash
        if row.outcome == "ok" and hash is not None and hash in table and _ahead(edge, table[hash]):
            own = [Point(hash, b, t, a) for b, (t, a) in zip(betas, table[hash].tolist(), strict=True)]
            edge = front([*edge, *own])
        following = (rows[k + 1].round or 0) if k + 1 < len(rows) else last + 1
        while wanted and (row.round or 0) <= wanted[0] < following:
            yield Snapshot(wanted.pop(0), tuple(edge))
