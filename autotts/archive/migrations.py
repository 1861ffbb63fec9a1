"""Archives of earlier versions, brought to the tables of today within one transaction."""

from __future__ import annotations

import json

import sqlalchemy as sa

from autotts.archive import rows
from autotts.archive.schema import SCHEMA, tables

__all__ = ["OLDEST", "migrate", "needed"]

OLDEST = 2
"""Version 1 kept no note of what was searched, so nothing could tell held-out recordings from it."""


def needed(connection: sa.Connection) -> bool:
    """Whether these are tables of an earlier version that can be brought up to date."""
    return OLDEST <= (_version(connection) or 0) < SCHEMA


def migrate(connection: sa.Connection) -> None:
    """Bring the tables up to date, whatever another process has done of it before this one got the lock."""
    for version, step in _STEPS.items():
        if _version(connection) == version:
            step(connection)
            connection.execute(sa.update(tables.version).values(version=version + 1))


def _version(connection: sa.Connection) -> int | None:
    return connection.execute(sa.select(sa.func.max(tables.version.c.version))).scalar()


def _from_2(connection: sa.Connection) -> None:
    """Calls of models, and how long a run has taken."""
    tables.call.create(connection)
    connection.execute(sa.text("ALTER TABLE run ADD COLUMN seconds DOUBLE PRECISION NOT NULL DEFAULT 0"))


def _from_3(connection: sa.Connection) -> None:
    """Fingerprints, totals of what was spent, and nothing any more that nobody read."""
    for statement in _TO_4:
        connection.execute(sa.text(statement))
    if connection.dialect.name == "postgresql":  # there an integer has 32 bits
        connection.execute(sa.text("ALTER TABLE call ALTER COLUMN tokens TYPE BIGINT"))
    for name, environments in connection.execute(sa.select(tables.run.c.name, tables.run.c.environments)).all():
        kept = [{key: value for key, value in one.items() if key != "path"} for one in json.loads(environments)]
        totals = {"spent_tokens": 0, "spent_picodollars": 0, "unpriced_calls": 0}
        t = tables.call
        for call in connection.execute(sa.select(t.c.tokens, t.c.cost).where(t.c.run == name)):
            totals = {key: n + totals[key] for key, n in rows.spent_by(call.tokens, call.cost).items()}
        changed = sa.update(tables.run).where(tables.run.c.name == name)
        connection.execute(changed.values(environments=rows.dumps(kept), **totals))


_TO_4 = (
    "ALTER TABLE program ADD COLUMN fingerprint TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX program_by_fingerprint ON program (fingerprint)",
    "ALTER TABLE run ADD COLUMN spent_tokens BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE run ADD COLUMN spent_picodollars BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE run ADD COLUMN unpriced_calls INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE run DROP COLUMN note",
    "ALTER TABLE proposal DROP COLUMN detail",
    "ALTER TABLE evaluation DROP COLUMN outcome",
    "ALTER TABLE evaluation DROP COLUMN message",
    "ALTER TABLE evaluation DROP COLUMN line",
    "DROP INDEX proposal_by_gain",
    "DROP INDEX IF EXISTS call_by_run",
    "DROP TABLE parent",
)

_STEPS = {2: _from_2, 3: _from_3}
