"""How a path or URL becomes an engine on an archive that has its tables.

What SQLite or PostgreSQL needs for itself (the write-ahead log, one writer at a time) is in `_sqlite` and
`lock_for_writing`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autotts.archive import migrations
from autotts.archive.schema import SCHEMA, ArchiveError, metadata, tables
from autotts.errors import InputError

__all__ = ["lock_for_writing", "open_engine"]

BUSY_SECONDS = 30.0
_WRITERS = 0x617474  # PostgreSQL advisory lock number: all writers of an archive


def open_engine(target: str | Path, *, create: bool) -> sa.Engine:
    """An engine on an archive whose tables exist.

    Args:
        target: a path (SQLite), or any SQLAlchemy URL.
        create: make the archive if there is none.

    Raises:
        InputError: nothing there (and not `create`), not an archive, or written by another version.
        ArchiveError: the database cannot be reached or written.
    """
    url = _url(target)
    name = url.render_as_string(hide_password=True) if url.get_backend_name() != "sqlite" else str(url.database)
    if url.get_backend_name() == "sqlite":
        _check_file(url, create)
    try:
        # the driver's 5 s would end a search that another one makes wait
        options = {"connect_args": {"timeout": BUSY_SECONDS}} if url.get_backend_name() == "sqlite" else {}
        engine = sa.create_engine(url, **options)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise InputError(
            f"{name}: the driver for this kind of archive is missing ({error}); for PostgreSQL: pip install psycopg"
        ) from error
    if engine.dialect.name == "sqlite":
        _sqlite(engine)
    try:
        _prepare(engine, name, create)
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise ArchiveError(f"{name}: the archive cannot be opened ({error.orig})") from error
    except InputError:
        engine.dispose()
        raise
    return engine


def lock_for_writing(connection: sa.Connection) -> None:
    """Wait until this transaction is the only writer, so that counted numbers and the front need no retries."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))


def _url(target: str | Path) -> sa.URL:
    text = str(target)
    if "://" not in text:
        return sa.URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        return sa.make_url(text)
    except sa.exc.ArgumentError as error:
        raise InputError(f"{text}: not an archive URL; write sqlite:///path or postgresql://user@host/name") from error


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
        for pragma in ("foreign_keys=ON", "synchronous=NORMAL", f"busy_timeout={int(BUSY_SECONDS * 1000)}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # IMMEDIATE: a transaction that first reads and then writes would fail at once where another one writes
        writing = connection.get_execution_options().get("archive_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _prepare(engine: sa.Engine, name: str, create: bool) -> None:
    """Check the version of the tables, and make them in an empty database."""
    with engine.connect() as connection, connection.begin():
        known = set(sa.inspect(connection).get_table_names())
        if tables.version.name in known and not migrations.needed(connection):
            return _check_version(connection, name)
    if tables.version.name in known:
        with engine.connect().execution_options(archive_write=True) as connection, connection.begin():
            lock_for_writing(connection)
            return migrations.migrate(connection)
    if known:
        raise InputError(f"{name} is a database, but not an AutoTTS archive; give --archive an empty one")
    if not create:
        raise InputError(f"{name}: there is no archive here; `autotts search` makes one, or give --archive")
    if engine.dialect.name == "sqlite":
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL")  # stays in the file; not possible within a transaction
        finally:
            raw.close()
    with engine.connect().execution_options(archive_write=True) as connection, connection.begin():
        lock_for_writing(connection)
        if tables.version.name in sa.inspect(connection).get_table_names():  # another process was first
            return _check_version(connection, name)
        metadata.create_all(connection)
        connection.execute(sa.insert(tables.version).values(version=SCHEMA))


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
