"""The part of the archive that keeps every request to a model: nothing is paid twice, and spending counts on."""

from __future__ import annotations

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

    def end_call(self, call: Call) -> None:
        """Say how a call ended, and what it really cost.

        Raises:
            ArchiveError: it was not begun, or has ended before.
        """
        t = tables.call
        key = (t.c.run == call.run, t.c.round == call.round, t.c.slot == call.slot, t.c.number == call.number)
        with self._writing() as connection:
            done = connection.execute(sa.update(t).where(*key, t.c.outcome == "").values(**rows.call_row(call)))
            if done.rowcount != 1:
                raise ArchiveError(
                    f"{self.name}: call {call.number} of {call.run} {call.round}.{call.slot} is not open"
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
        t = tables.call
        unknown = sa.func.sum(sa.case((t.c.cost.is_(None), 1), else_=0))
        tokens, cost = sa.func.sum(t.c.tokens).label("tokens"), sa.func.sum(t.c.cost).label("cost")
        row = self._first(sa.select(tokens, cost, unknown.label("unknown")).where(t.c.run == run))
        return (int(row.tokens or 0), float(row.cost or 0.0), int(row.unknown or 0)) if row else (0, 0.0, 0)
