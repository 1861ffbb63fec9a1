"""Connections and transactions of an archive: one writer at a time, errors in words."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from autotts.archive.engine import begin, is_locked_or_gone, open_engine, patiently, said
from autotts.archive.schema import ArchiveError, metadata

__all__ = ["CLOCK", "STREAMED", "Database", "bytewise", "next_number", "now"]

PAGE = 500
STREAMED = {"yield_per": PAGE}
"""Of a statement whose rows must not be in memory all at once."""

CLOCK = "created"
_CLOCKS = (CLOCK, "seconds")
"""The only columns that know the time have these names."""


def to_stderr(text: str) -> None:
    """Where notices go unless somebody takes them."""
    print(text, file=sys.stderr, flush=True)


class Database:
    """What `Archive` stands on."""

    patience: float = 60.0
    """Seconds that an operation waits for another process's lock, or for a server that went away, before it fails."""

    def __init__(self, target: str | Path, *, create: bool = True, notice: Callable[[str], None] = to_stderr) -> None:
        self._engine = open_engine(target, create=create, patience=self.patience, notice=notice)
        url = self._engine.url
        self.name = str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string()
        self._notice = notice
        self._given_up = False
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
            with self._begun(writing) as connection:
                if writing:
                    self._local.connection = connection
                try:
                    yield connection
                finally:
                    if writing:
                        self._local.connection = None
                connection.commit()
        except sa.exc.SQLAlchemyError as error:
            raise ArchiveError(f"{self.name}: {said(error)}") from error

    def _begun(self, writing: bool) -> sa.Connection:
        """A transaction that has begun. Who has waited in vain once does not wait again before it is better."""
        patience = 0.0 if self._given_up else self.patience
        try:
            connection = patiently(
                lambda: begin(self._engine, writing=writing),
                is_locked_or_gone,
                patience,
                lambda text: self._notice(f"{self.name}: {text}"),
            )
        except sa.exc.DBAPIError:
            self._given_up = True
            raise
        self._given_up = False
        return connection

    def _writing(self) -> Any:
        return self._connection(writing=True)

    def _all(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._connection(writing=False) as connection:
            return connection.execute(query).all()

    def _first(self, query: sa.Select[Any]) -> sa.Row[Any] | None:
        with self._connection(writing=False) as connection:
            return connection.execute(query.limit(1)).first()

    def _paged(self, query: sa.Select[Any], *key: sa.Column[Any]) -> Iterator[sa.Row[Any]]:
        """All rows by whole-number columns that tell them apart; a page at a time, so that a long list neither fills
        memory nor holds a transaction open."""
        after: tuple[int, ...] = (-1,) * len(key)
        while True:
            page = self._all(query.where(sa.tuple_(*key) > after).order_by(*key).limit(PAGE))
            yield from page
            if len(page) < PAGE:
                return
            after = tuple(page[-1]._mapping[column] for column in key)

    def dump(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(table, row) of everything but the clock, by table and key: two archives are equal when these are."""
        with self._connection(writing=False) as connection:
            for table in metadata.sorted_tables:
                columns = [column for column in table.c if column.name not in _CLOCKS]
                query = sa.select(*columns).order_by(*(bytewise(c, connection) for c in table.primary_key.columns))
                for row in connection.execute(query, execution_options=STREAMED).mappings():
                    yield table.name, dict(row)


def now() -> str:
    """The time as it is stored."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def bytewise(column: sa.Column[Any], connection: sa.Connection) -> sa.ColumnElement[Any]:
    """The column in the order that SQLite has: a server sorts words as its country does."""
    server = connection.dialect.name == "postgresql" and isinstance(column.type, sa.Text)
    return sa.collate(column, "C") if server else column


def next_number(connection: sa.Connection, column: sa.Column[Any], *where: sa.ColumnElement[bool]) -> int:
    """The next counted number, from 1. The caller is the only writer."""
    return int(connection.execute(sa.select(sa.func.max(column)).where(*where)).scalar() or 0) + 1
