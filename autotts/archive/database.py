"""Connections and transactions of an archive: one writer at a time, errors in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from autotts.archive.engine import lock_for_writing, open_engine
from autotts.archive.schema import ArchiveError, metadata

__all__ = ["CLOCK", "Database", "now"]

CLOCK = "created"
_CLOCKS = (CLOCK, "seconds")
"""The only columns that know the time have these names."""


class Database:
    """What `Archive` stands on."""

    def __init__(self, target: str | Path, *, create: bool = True) -> None:
        self._engine = open_engine(target, create=create)
        url = self._engine.url
        self.name = str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string()
        self._local = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything this thread writes inside is committed together, or not at all."""
        with self._writing():
            yield

    @contextmanager
    def _connection(self, *, writing: bool) -> Iterator[sa.Connection]:
        outer: sa.Connection | None = getattr(self._local, "connection", None)
        if outer is not None:
            yield outer
            return
        try:
            with self._engine.connect().execution_options(archive_write=writing) as connection, connection.begin():
                if writing:
                    lock_for_writing(connection)
                    self._local.connection = connection
                try:
                    yield connection
                finally:
                    self._local.connection = None
        except sa.exc.DBAPIError as error:
            raise ArchiveError(f"{self.name}: {_cause(str(error.orig))}") from error
        except sa.exc.TimeoutError as error:
            raise ArchiveError(f"{self.name}: no connection to the archive became free ({error})") from error

    def _writing(self) -> Any:
        return self._connection(writing=True)

    def _all(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._connection(writing=False) as connection:
            return connection.execute(query).all()

    def _first(self, query: sa.Select[Any]) -> sa.Row[Any] | None:
        with self._connection(writing=False) as connection:
            return connection.execute(query.limit(1)).first()

    def dump(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(table, row) of everything but the clock, by table and key: two archives are equal when these are."""
        for table in metadata.sorted_tables:
            columns = [column for column in table.c if column.name not in _CLOCKS]
            with self._connection(writing=False) as connection:
                query = sa.select(*columns).order_by(*table.primary_key.columns)
                for row in connection.execution_options(yield_per=500).execute(query).mappings():
                    yield table.name, dict(row)


def now() -> str:
    """The time as it is stored."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cause(text: str) -> str:
    """What the driver says, with what to do about it."""
    if "locked" in text:
        return "another process has been writing to the archive for too long; end it, or try again"
    if "full" in text:
        return f"the disk is full ({text}); make room and resume, nothing is lost"
    return f"the archive cannot be used ({text})"
