"""The part of the archive that looks whether everything in it is as it must be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autotts.archive import rows
from autotts.archive.database import STREAMED, Database, bytewise
from autotts.archive.records import content_hash
from autotts.archive.schema import ArchiveError, tables

__all__ = ["Fault", "Integrity"]

_ID = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in an archive that is not as it must be.

    Attributes:
        where: the row, or what it belongs to.
        what: what is wrong with it.
    """

    where: str
    what: str


class Integrity(Database):
    """What an archive knows of its own faults."""

    def faults(self, run: str | None = None) -> Iterator[Fault]:
        """Everything that is not as it must be, seen at one moment; reads every row, and holds few in memory.

        The database's own check, hashes of programs, figures and their shapes, counted numbers; of every run, the
        order of its verdicts, what is behind them, its front and what it has spent.

        Args:
            run: of this run only, besides what belongs to no run.

        Raises:
            ArchiveError: the archive cannot even be read.
        """
        with self._connection(writing=False) as connection:
            yield from _of_the_database(connection)
            yield from _of_programs(connection)
            yield from _of_evaluations(connection)
            yield from _of_numbers(connection)
            for row in connection.execute(sa.select(tables.run).order_by(tables.run.c.number)).all():
                if run in (None, row.name):
                    yield from _of_order(connection, row.name)
                    yield from _of_verdicts(connection, row)
                    yield from _of_front(connection, row.name)
                    yield from _of_spending(connection, row)


def _streamed(connection: sa.Connection, query: sa.Select[Any]) -> Iterable[sa.Row[Any]]:
    return connection.execute(query, execution_options=STREAMED)


def _of_the_database(connection: sa.Connection) -> Iterator[Fault]:
    if connection.dialect.name != "sqlite":  # a server checks its pages, and keys cannot be broken
        return
    for (line,) in connection.exec_driver_sql("PRAGMA integrity_check").all():
        if line != "ok":
            yield Fault("the file", str(line))
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").all():
        yield Fault(f"{table} row {row}", f"belongs to no {parent}")


def _of_programs(connection: sa.Connection) -> Iterator[Fault]:
    p = tables.program.c
    for row in _streamed(connection, sa.select(p.hash, p.source, p.class_name)):
        if content_hash(row.source, row.class_name) != row.hash:
            yield Fault(f"program {row.hash[:_ID]}", "its source is not what its hash was taken of")


def _of_evaluations(connection: sa.Connection) -> Iterator[Fault]:
    for row in _streamed(connection, sa.select(tables.evaluation)):
        where = f"{row.source} of {row.program[:_ID]} on {row.environment[:_ID]}"
        try:
            reason = rows.misshapen(rows.evaluation_of(row))
        except (ArchiveError, ValueError) as error:
            reason = str(error)
        if reason:
            yield Fault(where, reason)


def _of_numbers(connection: sa.Connection) -> Iterator[Fault]:
    for table in (tables.program, tables.run):
        count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(table.c.number))).one()
        if count != (last or 0):
            yield Fault(f"the table {table.name}", f"has {count} rows, and the last one's number is {last}")
    ledger = tables.ledger.c
    looks = sa.select(ledger.environment, sa.func.count().label("count"), sa.func.max(ledger.number).label("last"))
    for row in connection.execute(looks.group_by(ledger.environment)).all():
        if row.count != row.last:
            yield Fault(
                f"looks at {row.environment[:_ID]}", f"there are {row.count}, and the last is number {row.last}"
            )


def _of_order(connection: sa.Connection, run: str) -> Iterator[Fault]:
    """Slots are decided in order, and none is left out; only an agent's failure, with no program, is told at once."""
    t = tables.proposal.c
    open_, expected = "", (0, 0)
    slots = sa.select(t.round, t.slot, t.outcome, t.program).where(t.run == run).order_by(t.round, t.slot)
    for row in _streamed(connection, slots):
        if (row.round, row.slot) not in (expected, (expected[0] + 1, 0)):
            open_ = open_ or f"{expected[0]}.{expected[1]} before it is not there"
        if row.outcome is None:
            open_ = open_ or f"{row.round}.{row.slot} before it is not"
        elif open_ and row.program is not None:
            yield Fault(f"{run} {row.round}.{row.slot}", f"is decided, and {open_}")
        expected = (row.round, row.slot + 1)


def _of_verdicts(connection: sa.Connection, run: sa.Row[Any]) -> Iterator[Fault]:
    """Every program that was accepted has figures on every environment of the run, and points where confirmed."""
    wanted = {environment["hash"]: environment["name"] for environment in json.loads(run.environments)}
    t, e, q = tables.proposal.c, tables.evaluation.c, tables.point.c
    evaluated, pointed = sa.select(e.environment).distinct(), sa.select(q.beta).limit(1)
    accepted = sa.select(t.round, t.slot, t.program, t.stage).where(t.run == run.name, t.outcome == "ok")
    for row in _streamed(connection, accepted.order_by(t.round, t.slot)):
        place = f"{run.name} {row.round}.{row.slot}"
        if row.program is None:
            yield Fault(place, "was accepted, and has no program")
            continue
        found = connection.execute(evaluated.where(e.program == row.program, e.source == row.stage)).scalars().all()
        for missing in (name for digest, name in wanted.items() if digest not in found):
            yield Fault(place, f"has no {row.stage or 'stage'} figures of {row.program[:_ID]} on {missing}")
        points = pointed.where(q.run == run.name, q.program == row.program)
        if row.stage == "confirm" and connection.execute(points).first() is None:
            yield Fault(place, f"is confirmed, and {row.program[:_ID]} has no points")


def _of_front(connection: sa.Connection, run: str) -> Iterator[Fault]:
    """The marks of the front are those that `front` would give, in whose order the points are read."""
    t = tables.point.c
    best = float("-inf")
    order = (t.tokens, t.accuracy.desc(), t.sequential_tokens, bytewise(t.program, connection), t.beta)
    for row in _streamed(connection, sa.select(tables.point).where(t.run == run).order_by(*order)):
        belongs = row.accuracy > best
        best = max(best, row.accuracy)
        if belongs != row.on_front:
            state = "is not marked as on the front, and is" if belongs else "is marked as on the front, and is not"
            yield Fault(f"{run}, {row.program[:_ID]} at β = {row.beta:g}", state)


def _of_spending(connection: sa.Connection, run: sa.Row[Any]) -> Iterator[Fault]:
    t = tables.call.c
    total = dict.fromkeys(rows.spent_by(0, 0.0), 0)
    for call in _streamed(connection, sa.select(t.tokens, t.cost).where(t.run == run.name)):
        total = {name: n + total[name] for name, n in rows.spent_by(call.tokens, call.cost).items()}
    for name, summed in total.items():
        if summed != run._mapping[name]:
            yield Fault(run.name, f"{name} says {run._mapping[name]}, and its calls come to {summed}")
