"""Tables of the archive, in SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from autotts.errors import AutoTTSError

__all__ = ["SCHEMA", "ArchiveError", "metadata", "tables"]

SCHEMA = 4
"""Version of the tables; another version is refused, not guessed at.

2: environments are known by their content. 3: calls of models, and how long a run has taken. 4: fingerprints of
programs, and what each run has spent; columns that nobody read are gone. Versions 2 and 3 are brought to it
(`autotts.archive.migrations`).
"""


class ArchiveError(AutoTTSError):
    """The archive cannot be read or written: locked, full, gone or damaged. Nothing half-written stays."""


metadata = MetaData()


def _key(name: str, *more: Any) -> Column[Any]:
    return Column(name, Text, *more, primary_key=True)


def _text(name: str, *more: Any, optional: bool = False) -> Column[Any]:
    return Column(name, Text, *more, nullable=optional)


def _json(name: str, kind: type) -> Column[Any]:
    """Text that is JSON: a list or an object."""
    return Column(name, Text, nullable=False, info={"json": kind})


class tables:
    """The tables by name. JSON columns are text with sorted keys, so that equal records are equal rows."""

    version = Table("archive_schema", metadata, Column("version", Integer, primary_key=True))
    program = Table(
        "program",
        metadata,
        _key("hash"),
        Column("number", Integer, nullable=False, unique=True),
        _text("name"),
        _text("idea"),
        _text("class_name", optional=True),
        _text("agent"),
        _text("source"),
        Column("fingerprint", Text, nullable=False, server_default=""),
        Index("program_by_name", "name"),
        Index("program_by_fingerprint", "fingerprint"),
        Index("program_by_agent", "agent", "number"),
    )
    run = Table(
        "run",
        metadata,
        _key("name"),
        Column("number", Integer, nullable=False, unique=True),
        _text("seed"),  # as text: seeds may exceed 64 bits
        _json("config", dict),
        _json("environments", list),
        _text("state"),
        _json("versions", dict),
        Column("seconds", Double, nullable=False, server_default="0"),
        # sums over the run's calls, so that a limit is checked by reading one row
        Column("spent_tokens", BigInteger, nullable=False, server_default="0"),
        Column("spent_picodollars", BigInteger, nullable=False, server_default="0"),
        Column("unpriced_calls", Integer, nullable=False, server_default="0"),
        _text("created"),
    )
    proposal = Table(
        "proposal",
        metadata,
        _key("run", ForeignKey("run.name")),
        Column("round", Integer, primary_key=True, autoincrement=False),
        Column("slot", Integer, primary_key=True, autoincrement=False),
        _text("agent"),
        _text("source"),
        _json("parents", list),
        _text("prompt"),
        _text("answer"),
        _json("usage", dict),
        Column("cost", Double, nullable=True),
        _text("outcome", optional=True),
        _text("message"),
        Column("line", Integer, nullable=True),
        _text("place"),
        _text("program", ForeignKey("program.hash"), optional=True),
        _text("stage"),
        Column("gain", Double, nullable=True),
        Column("gain_se", Double, nullable=True),
        _text("isolation"),
        Index("proposal_by_outcome", "run", "outcome", "round", "slot"),
        Index("proposal_by_program", "program"),
    )
    call = Table(
        "call",
        metadata,
        _key("run", ForeignKey("run.name")),
        Column("round", Integer, primary_key=True, autoincrement=False),
        Column("slot", Integer, primary_key=True, autoincrement=False),
        Column("number", Integer, primary_key=True, autoincrement=False),
        _text("agent"),
        _json("templates", dict),
        _text("prompt"),
        _text("outcome"),
        _text("reply"),
        _json("usage", dict),
        Column("tokens", BigInteger, nullable=False),
        Column("cost", Double, nullable=True),
        Column("seconds", Double, nullable=False),
        _text("created"),
    )
    evaluation = Table(
        "evaluation",
        metadata,
        _key("program", ForeignKey("program.hash")),
        _key("environment"),
        _key("protocol"),
        _key("source"),
        _json("betas", list),
        _json("seeds", list),
        Column("right", LargeBinary, nullable=False),
        Column("tokens", LargeBinary, nullable=False),
        Column("sequential_tokens", LargeBinary, nullable=False),
        Column("branches", LargeBinary, nullable=False),
        Column("digests", LargeBinary, nullable=False),
        _json("knobs", list),
        _text("isolation"),
    )
    point = Table(
        "point",
        metadata,
        _key("run", ForeignKey("run.name")),
        _key("program", ForeignKey("program.hash")),
        Column("beta", Double, primary_key=True, autoincrement=False),
        _text("curve"),
        Column("tokens", Double, nullable=False),
        Column("accuracy", Double, nullable=False),
        Column("sequential_tokens", Double, nullable=False),
        Column("on_front", Boolean, nullable=False),
        Index("point_by_run", "run", "on_front"),
        Index("point_by_curve", "curve", "on_front"),
    )
    ledger = Table(
        "ledger",
        metadata,
        _key("environment"),
        Column("number", Integer, primary_key=True, autoincrement=False),
        _text("program"),
        _text("environment_name"),
        _text("run"),
        _json("rows", list),
        _text("created"),
        Index("ledger_by_program", "program"),
    )
