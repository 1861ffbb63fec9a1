"""The part of the archive that keeps every request to a model: nothing is paid twice, and spending counts on."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from autotts.archive import rows
from autotts.archive.database import CLOCK, Database, now
from autotts.archive.records import Call
from autotts.archive.schema import ArchiveError, tables

__all__ = ["Calls"]


class Calls(Database):
    """What an archive does with calls."""

    def add_call(self, call: Call) -> None:
        """Write a call down before it is sent: from now on what it may cost is spent."""
        with self._writing() as connection:
            connection.execute(sa.insert(tables.call).values(**rows.call_row(call), **{CLOCK: now()}))
            _count(connection, call.run, rows.spent_by(call.tokens, call.cost))

    def end_call(self, call: Call) -> None:
        """Say how a call ended, and what it really cost, which replaces what it might have.

        Raises:
            ArchiveError: it was not begun, or has ended before.
        """
        t = tables.call
        key = (t.c.run == call.run, t.c.round == call.round, t.c.slot == call.slot, t.c.number == call.number)
        with self._writing() as connection:
            begun = connection.execute(sa.select(t.c.tokens, t.c.cost).where(*key, t.c.outcome == "")).first()
            if begun is None:
                raise ArchiveError(
                    f"{self.name}: call {call.number} of {call.run} {call.round}.{call.slot} is not open"
                )
            connection.execute(sa.update(t).where(*key).values(**rows.call_row(call)))
            reserved = rows.spent_by(begun.tokens, begun.cost)
            _count(
                connection,
                call.run,
                {name: n - reserved[name] for name, n in rows.spent_by(call.tokens, call.cost).items()},
            )

    def calls(self, run: str, round: int | None = None, slot: int | None = None, *, texts: bool = True) -> list[Call]:
        """Calls of a run, or of one slot, in order; without prompts and replies where only figures are wanted."""
        t = tables.call
        left_out = () if texts else ("prompt", "reply")
        columns = [sa.literal("").label(c.name) if c.name in left_out else c for c in t.c]
        query = sa.select(*columns).where(t.c.run == run).order_by(t.c.round, t.c.slot, t.c.number)
        for column, value in ((t.c.round, round), (t.c.slot, slot)):
            query = query if value is None else query.where(column == value)
        return [rows.call_of(row) for row in self._all(query)]

    def spent(self, run: str) -> tuple[int, float, int]:
        """(tokens, dollars of known price, calls whose price is unknown) of a run, calls under way at their most."""
        t = tables.run
        row = self._first(sa.select(t.c.spent_tokens, t.c.spent_picodollars, t.c.unpriced_calls).where(t.c.name == run))
        return (row.spent_tokens, row.spent_picodollars / rows.PICO, row.unpriced_calls) if row else (0, 0.0, 0)


def _count(connection: sa.Connection, run: str, more: Mapping[str, int]) -> None:
    """Add to the totals of a run."""
    t = tables.run
    values = {name: t.c[name] + n for name, n in more.items()}
    connection.execute(sa.update(t).where(t.c.name == run).values(**values))
