"""The part of the archive that people who look at it read: a page of proposals at a time, and counts of each run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from autotts.archive import rows
from autotts.archive.database import PAGE, Database
from autotts.archive.pareto import Point
from autotts.archive.records import Listed
from autotts.archive.schema import tables

__all__ = ["ADDED", "LISTED", "Overview", "RunCounts", "StoredEvaluation"]

ADDED = tables.program.c.agent > ""
"""Of programs that were added outside a run; a range of the index, which `!=` is not."""

_LONG = ("source", "prompt", "answer", "usage")

LISTED = sa.select(*(c for c in tables.proposal.c if c.name not in _LONG), tables.program.c.idea).join_from(
    tables.proposal, tables.program, tables.proposal.c.program == tables.program.c.hash, isouter=True
)
"""What a line of the archive's list is made of; see `rows.listed_of`."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """A run at this moment.

    Attributes:
        name, state: of the run.
        outcomes: how many decided proposals ended in each outcome, by outcome.
        undecided: proposals that are stored and not decided.
        last_round: of the last proposal, −1 where there is none.
        front: programs that hold a point of the front.
        best_gain, best_gain_se: the greatest gain at matched tokens of a confirmed program.
        agents: their names, from the configuration.
        rounds: rounds of the configuration, None where it names none.
        seconds: that it has taken.
        tokens, cost, unpriced: what models took, in dollars; calls whose price is not known.
    """

    name: str
    state: str
    outcomes: dict[str, int]
    undecided: int
    last_round: int
    front: int
    best_gain: float | None
    best_gain_se: float | None
    agents: tuple[str, ...]
    rounds: int | None
    seconds: float
    tokens: int
    cost: float
    unpriced: int

    @property
    def candidates(self) -> int:
        """Decided proposals, baselines and rejects included."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class StoredEvaluation:
    """That an evaluation is in the archive.

    Attributes:
        environment, protocol: hashes.
        source: "screen", "confirm" or "heldout".
        betas, seeds: how many.
        isolation: layers under which the program ran.
        actions: short hash that stands for all actions of all episodes, "" where it was not taken.
    """

    environment: str
    protocol: str
    source: str
    betas: int
    seeds: int
    isolation: str
    actions: str


class Overview(Database):
    """What an archive tells those who look at it while others write."""

    def page(self, run: str, after: tuple[int, int] = (-1, -1), limit: int = PAGE) -> list[Listed]:
        """The proposals of a run that follow a (round, slot), undecided ones included."""
        t = tables.proposal
        query = LISTED.where(t.c.run == run, sa.tuple_(t.c.round, t.c.slot) > after)
        return [rows.listed_of(row) for row in self._all(query.order_by(t.c.round, t.c.slot).limit(limit))]

    def points_of(self, run: str, programs: Sequence[str], betas: Sequence[float] | None = None) -> list[Point]:
        """Confirmed points of some programs (hashes) of a run, at some β or at all, by program and β."""
        t = tables.point
        query = sa.select(t).where(t.c.run == run, t.c.program.in_(list(programs)))
        if betas is not None:
            query = query.where(t.c.beta.in_(list(betas)))
        return [rows.point_of(row) for row in self._all(query.order_by(t.c.program, t.c.beta))]

    def made_from(self, run: str, program: str) -> list[Listed]:
        """The proposals of a run that a program (hash) is a parent of, in order."""
        t = tables.proposal
        query = LISTED.where(t.c.run == run, t.c.parents.contains(f'"{program}"', autoescape=True))
        return [rows.listed_of(row) for row in self._all(query.order_by(t.c.round, t.c.slot))]

    def listed_as(self, program: str) -> list[Listed]:
        """A program (hash) in the archive's list: as one that a person added, then in each run, by round and slot."""
        t, p, r = tables.proposal, tables.program, tables.run
        query = LISTED.join(r, t.c.run == r.c.name).where(t.c.program == program)
        by_hand = map(rows.listed_by_hand, self._all(sa.select(p).where(p.c.hash == program, ADDED)))
        return [*by_hand, *map(rows.listed_of, self._all(query.order_by(r.c.number, t.c.round, t.c.slot)))]

    def stored_evaluations(self, program: str) -> list[StoredEvaluation]:
        """What evaluations of a program (hash) there are, without their figures, by source and environment."""
        t = tables.evaluation
        columns = t.c.environment, t.c.protocol, t.c.source, t.c.betas, t.c.seeds, t.c.digests, t.c.isolation
        query = sa.select(*columns).where(t.c.program == program).order_by(t.c.source, t.c.protocol, t.c.environment)
        return [
            StoredEvaluation(
                row.environment,
                row.protocol,
                row.source,
                len(json.loads(row.betas)),
                len(json.loads(row.seeds)),
                row.isolation,
                hashlib.sha256(bytes(row.digests)).hexdigest()[:16] if row.digests else "",
            )
            for row in self._all(query)
        ]

    def counts(self) -> list[RunCounts]:
        """Every run at this moment, in the order in which they began."""
        with self._connection(writing=False) as connection:
            runs = connection.execute(sa.select(tables.run).order_by(tables.run.c.number)).all()
            return [_counts(connection, row) for row in runs]


def _counts(connection: sa.Connection, run: sa.Row[tuple[object, ...]]) -> RunCounts:
    t, q = tables.proposal.c, tables.point.c
    many = sa.func.count().label("how_many")
    grouped = sa.select(t.outcome, many).where(t.run == run.name).group_by(t.outcome)
    outcomes = {row.outcome: row.how_many for row in connection.execute(grouped.order_by(t.outcome)).all()}
    undecided = outcomes.pop(None, 0)
    last = connection.execute(sa.select(sa.func.max(t.round)).where(t.run == run.name)).scalar()
    on_front = sa.select(sa.func.count(sa.distinct(q.program))).where(q.run == run.name, q.on_front.is_(True))
    confirmed = sa.select(t.gain, t.gain_se).where(
        t.run == run.name, t.outcome == "ok", t.stage == "confirm", t.gain.is_not(None)
    )
    best = connection.execute(confirmed.order_by(t.gain.desc()).limit(1)).first()
    config = json.loads(run.config)
    return RunCounts(
        name=run.name,
        state=run.state,
        outcomes=outcomes,
        undecided=undecided,
        last_round=-1 if last is None else last,
        front=int(connection.execute(on_front).scalar() or 0),
        best_gain=best.gain if best else None,
        best_gain_se=best.gain_se if best else None,
        agents=tuple(config.get("agents", ())),
        rounds=config.get("rounds"),
        seconds=run.seconds,
        tokens=run.spent_tokens,
        cost=run.spent_picodollars / rows.PICO,
        unpriced=run.unpriced_calls,
    )
