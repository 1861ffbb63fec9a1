"""How a path or URL becomes an engine on an archive that has its tables, and how a transaction begins.

What SQLite or PostgreSQL needs for itself (the write-ahead log, one writer at a time, what may pass) is in this file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from autotts.archive import migrations
from autotts.archive.schema import SCHEMA, ArchiveError, metadata, tables
from autotts.errors import InputError

__all__ = ["begin", "open_engine", "patiently", "said"]

PAUSE = 0.25
"""Seconds that a driver waits for a lock before it says so, and that we wait before asking it again."""

TELL_AFTER = 2.0
"""Seconds of waiting after which somebody is told. Searches that share an archive wait for less all the time."""

_CONNECTING = 5  # seconds in which a PostgreSQL server must answer; without it a lost host is waited for for minutes
_WRITERS = 0x617474  # PostgreSQL advisory lock number: all writers of an archive

T = TypeVar("T")


def open_engine(target: str | Path, *, create: bool, patience: float, notice: Callable[[str], None]) -> sa.Engine:
    """An engine on an archive whose tables exist.

    Args:
        target: a path (SQLite), or any SQLAlchemy URL.
        create: make the archive if there is none.
        patience, notice: see `patiently`. Only locks are waited for: a server that is not there yet may never be.

    Raises:
        InputError: nothing there (and not `create`), not an archive, or written by another version.
        ArchiveError: the database cannot be reached or written.
    """
    url = _url(target)
    name = url.render_as_string(hide_password=True) if url.get_backend_name() != "sqlite" else str(url.database)
    if url.get_backend_name() == "sqlite":
        _check_file(url, create)
    try:
        engine = sa.create_engine(url, **_options(url))
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise InputError(
            f"{name}: the driver for this kind of archive is missing ({error}); for PostgreSQL: "
            "pip install 'autotts[postgres]'"
        ) from error
    if engine.dialect.name == "sqlite":
        _sqlite(engine)
    try:
        patiently(lambda: _prepare(engine, name, create), is_locked, patience, lambda text: notice(f"{name}: {text}"))
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        raise ArchiveError(f"{name}: {said(error)}") from error
    except InputError:
        engine.dispose()
        raise
    return engine


def _options(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": PAUSE}}
    if url.get_backend_name() == "postgresql":
        waits = {"connect_timeout": _CONNECTING, "options": f"-c lock_timeout={int(PAUSE * 1000)}"}
        # Connections of a server that was started again are found out before they are used.
        return {"pool_pre_ping": True, "connect_args": {k: v for k, v in waits.items() if k not in url.query}}
    return {}


def begin(engine: sa.Engine, *, writing: bool) -> sa.Connection:
    """A connection with a transaction that has begun; a writing one is the only one of its kind."""
    connection = engine.connect()
    try:
        if not writing and engine.dialect.name == "postgresql":  # what SQLite gives every reader: one state of things
            connection.execution_options(isolation_level="REPEATABLE READ")
        connection.execution_options(archive_write=writing).begin()
        if writing:
            _lock_for_writing(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def patiently(
    attempt: Callable[[], T],
    may_pass: Callable[[sa.exc.DBAPIError], bool],
    patience: float,
    notice: Callable[[str], None],
) -> T:
    """What `attempt` gives; where it fails for a reason that may pass, it is made again.

    Args:
        attempt: changes nothing where it fails.
        may_pass: whether waiting may help.
        patience: seconds after which the failure stands.
        notice: told once, in a line, when this takes long.
    """
    start, told = time.monotonic(), False
    while True:
        try:
            return attempt()
        except sa.exc.DBAPIError as error:
            waited = time.monotonic() - start
            if waited >= patience or not may_pass(error):
                raise
            if waited >= TELL_AFTER and not told:
                told = True
                why = "another process is writing to it" if is_locked(error) else "its server does not answer"
                notice(f"waiting for the archive, for {patience:.0f} s at most: {why}")
            time.sleep(PAUSE)


def is_locked(error: sa.exc.DBAPIError) -> bool:
    """Whether another process has the archive for itself."""
    return "locked" in str(error.orig) or "lock timeout" in str(error.orig)


def is_locked_or_gone(error: sa.exc.DBAPIError) -> bool:
    """Whether another process has it, or its server has gone: as far as we know, for the time being."""
    gone = isinstance(error, sa.exc.OperationalError) and not isinstance(error.orig, sqlite3.Error)
    return is_locked(error) or gone


def said(error: sa.exc.SQLAlchemyError) -> str:
    """What went wrong in one sentence, with what to do about it."""
    if isinstance(error, sa.exc.TimeoutError):
        return f"no connection to the archive became free ({error})"
    if not isinstance(error, sa.exc.DBAPIError):
        return f"the archive cannot be used ({' '.join(str(error).split())})"
    text = " ".join(str(error.orig).split())
    if is_locked(error):
        return "another process has been writing to the archive for too long; end it, or try again"
    if "is full" in text or "No space left" in text:
        return f"the disk is full ({text}); make room and resume, nothing is lost"
    if "readonly" in text or "read-only" in text or "unable to open" in text:  # readers write, too: the log's index
        return f"the archive cannot be written ({text}); make the file and its folder writable"
    if is_locked_or_gone(error):
        return f"the archive's server does not answer ({text}); start it and resume, nothing is lost"
    return f"the archive cannot be used ({text})"


def _lock_for_writing(connection: sa.Connection) -> None:
    """Wait until this transaction is the only writer, so that counted numbers and the front need no retries."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))


def _url(target: str | Path) -> sa.URL:
    text = str(target)
    if "://" not in text:
        return sa.URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError as error:
        raise InputError(f"{text}: not an archive URL; write sqlite:///path or postgresql://user@host/name") from error
    # The driver that this package comes with, whichever SQLAlchemy would take.
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgres", "postgresql") else url


def _check_file(url: sa.URL, create: bool) -> None:
    if not url.database or url.database == ":memory:" or "mode=memory" in str(url):
        raise InputError("An archive in memory would be gone at the end; give --archive a path.")
    path = Path(url.database)
    if path.is_dir():
        raise InputError(f"{path} is a directory; give --archive a file")
    if not path.exists():
        if not create:
            raise InputError(f"{path}: there is no archive here; `autotts search` makes one, or give --archive")
        if not path.parent.is_dir():
            raise InputError(f"{path.parent}: no such directory for an archive; make it first")
        return
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path}: the archive cannot be read ({error.strerror})") from error
    if head and head != b"SQLite format 3\0":
        raise InputError(f"{path} is not an AutoTTS archive; give --archive another path")
    if not head and not create:
        raise InputError(f"{path} is empty, not an AutoTTS archive; give --archive another path")


def _sqlite(engine: sa.Engine) -> None:
    """Write-ahead log, enforced keys, and transactions that begin when we say so."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # else the driver decides when a transaction begins
        cursor = connection.cursor()
        # NORMAL in WAL: a killed process loses nothing; a power cut may lose the last commits, never consistency
        for pragma in ("foreign_keys=ON", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # IMMEDIATE: a transaction that first reads and then writes would fail at once where another one writes
        writing = connection.get_execution_options().get("archive_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _prepare(engine: sa.Engine, name: str, create: bool) -> None:
    """Check the version of the tables, and make them in an empty database."""
    with begin(engine, writing=False) as connection:
        known = set(sa.inspect(connection).get_table_names())
        if tables.version.name in known and not migrations.needed(connection):
            return _check_version(connection, name)
    if tables.version.name in known:
        with begin(engine, writing=True) as connection:
            migrations.migrate(connection)
            return connection.commit()
    if known:
        raise InputError(f"{name} is a database, but not an AutoTTS archive; give --archive an empty one")
    if not create:
        raise InputError(f"{name}: there is no archive here; `autotts search` makes one, or give --archive")
    if engine.dialect.name == "sqlite":
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL")  # stays in the file; not possible within a transaction
        except sqlite3.Error as error:  # as SQLAlchemy says it wherever it runs a statement itself
            raise sa.exc.OperationalError("PRAGMA journal_mode=WAL", None, error) from error
        finally:
            raw.close()
    with begin(engine, writing=True) as connection:
        if tables.version.name in sa.inspect(connection).get_table_names():  # another process was first
            return _check_version(connection, name)
        metadata.create_all(connection)
        connection.execute(sa.insert(tables.version).values(version=SCHEMA))
        connection.commit()


def _check_version(connection: sa.Connection, name: str) -> None:
    version = connection.execute(sa.select(sa.func.max(tables.version.c.version))).scalar()
    if version is None or int(version) < 1:
        raise InputError(f"{name} has no archive version; it is damaged or not an AutoTTS archive")
    if int(version) > SCHEMA:
        raise InputError(
            f"{name} was written by a newer AutoTTS (archive version {version}, this one reads {SCHEMA}); "
            "upgrade with: pip install -U autotts"
        )
    if int(version) < SCHEMA:
        raise InputError(
            f"{name} was written by an earlier AutoTTS (archive version {version}, this one reads {SCHEMA}), which "
            "kept no note of what was searched that would tell held-out recordings; give --archive a new path"
        )
