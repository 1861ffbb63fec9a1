"""The part of the archive that goes out and comes in as JSON Lines: see docs/formats.md for the lines."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import sqlalchemy as sa

from autotts.archive import rows
from autotts.archive.calls import Calls
from autotts.archive.codec import pack, unpack
from autotts.archive.database import STREAMED, bytewise, next_number
from autotts.archive.records import content_hash
from autotts.archive.schema import SCHEMA, metadata, tables
from autotts.errors import InputError

__all__ = ["FORMAT", "Transfers"]

FORMAT = "autotts.archive"
"""The lines are rows of the tables, so the format's version is that of the tables."""

_IN_ORDER = ("program", "run", "proposal", "call", "evaluation", "point", "ledger")  # what others belong to first
_TABLES = {name: metadata.tables[name] for name in _IN_ORDER}
_COUNTED = (tables.program.name, tables.run.name)
_READERS: dict[str, Callable[[Any], Any]] = {
    "program": rows.program_of,
    "run": rows.run_of,
    "proposal": rows.proposal_of,
    "call": rows.call_of,
    "evaluation": rows.evaluation_of,
    "point": rows.point_of,
    "ledger": rows.ledger_of,
}


class Transfers(Calls):
    """What an archive does with files of lines."""

    def export_lines(self, run: str | None = None) -> Iterator[str]:
        """All rows of one moment, or those that one run needs, as lines without their ends: a header, one line a row,
        and a last one that tells how many.

        Args:
            run: a run that there is; None for everything.
        """
        yield rows.dumps({"schema": f"{FORMAT}/{SCHEMA}", "run": run})
        count = 0
        with self._connection(writing=False) as connection:
            for name, table in _TABLES.items():
                query = sa.select(table).order_by(*(bytewise(column, connection) for column in _order(table)))
                if run is not None:
                    query = query.where(_belongs(table, run, connection))
                for row in connection.execute(query, execution_options=STREAMED):
                    count += 1
                    values = {column.name: _readable(column, row._mapping[column]) for column in table.c}
                    yield rows.dumps({"table": name, **values})
        yield rows.dumps({"end": count})

    def import_lines(self, lines: Iterable[bytes], source: str, as_run: str | None = None) -> dict[str, int]:
        """Take in what `export_lines` gave, in one transaction: everything or nothing.

        Programs and evaluations that are here already stay, runs and looks at held-out data are counted on.

        Args:
            lines: with or without their ends.
            source: the file's name, for errors.
            as_run: the name that the one run in it gets here.

        Returns:
            How many rows were added, by table.

        Raises:
            InputError: a line is damaged, the lines end early, or a run of that name is here; with file and line.
        """
        with self._writing() as connection:
            taking = _Import(connection, as_run, self.name)
            number = 0
            try:
                for number, line in enumerate(lines, 1):  # noqa: B007
                    taking.take(line)
                number += 1
                taking.end()
            except (ValueError, sa.exc.IntegrityError) as error:
                what = " ".join(str(error.orig if isinstance(error, sa.exc.IntegrityError) else error).split())
                raise InputError(f"{source}, line {number}: {what}; nothing was imported") from error
            return dict(taking.added)


class _Import:
    """Lines on their way in. Methods raise ValueError for a line that is not what `export_lines` gives."""

    def __init__(self, connection: sa.Connection, as_run: str | None, archive: str) -> None:
        self.added: Counter[str] = Counter()
        self._connection, self._as_run, self._archive = connection, as_run, archive
        self._seen, self._begun, self._ended = 0, False, False
        self._runs: dict[str, str] = {}

    def take(self, line: bytes) -> None:
        """The next line."""
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or JSON that nobody wrote
            raise ValueError(f"is not JSON ({error})") from error
        if not isinstance(values, dict) or self._ended:
            raise ValueError("comes after the end" if self._ended else "is not a JSON object")
        if not self._begun:
            _check_header(values)
            self._begun = True
        elif "end" in values:
            if values["end"] != self._seen:
                raise ValueError(f"there should be {values['end']} rows, and there are {self._seen}")
            self._ended = True
        else:
            self._seen += 1
            self._row(values)

    def end(self) -> None:
        """There are no more lines."""
        if not self._ended:
            raise ValueError("the file ends too early: its last line, which tells how many rows there are, is missing")

    def _row(self, values: dict[str, Any]) -> None:
        name = values.pop("table", None)
        table = _TABLES.get(name) if isinstance(name, str) else None
        if table is None:
            raise ValueError(f"{name!r} is no table")
        if set(values) != set(table.c.keys()):
            raise ValueError(f"{name} has other columns: {', '.join(sorted(set(values) ^ set(table.c.keys())))}")
        row = {column.name: _storable(column, values[column.name]) for column in table.c}
        _check_record(table.name, row)
        if "run" in row:
            row["run"] = self._run_of(table, row["run"])
        if self._is_here(table, row):
            return
        if table is tables.run:
            self._rename(row)
        if table.name in _COUNTED:
            row["number"] = next_number(self._connection, table.c.number)
        if table is tables.ledger:
            t = tables.ledger.c
            row["number"] = next_number(self._connection, t.number, t.environment == row["environment"])
        self._connection.execute(sa.insert(table).values(**row))
        self.added[table.name] += 1

    def _run_of(self, table: sa.Table, name: str) -> str:
        """What a run that another row belongs to is called here."""
        if name not in self._runs and table is not tables.ledger:  # a look may be at a program of no run
            raise ValueError(f"belongs to the run {name!r}, which is not in the file")
        return self._runs.get(name, name)

    def _rename(self, row: dict[str, Any]) -> None:
        if self._as_run is not None and self._runs:
            raise ValueError("this is the second run, and --as names one; export one with --run")
        name, taken = self._as_run or row["name"], tables.run.c.name
        if self._connection.execute(sa.select(taken).where(taken == name)).first():
            raise ValueError(f"{self._archive} has a run {name!r} already; give it another name with --as NAME")
        self._runs[row["name"]] = name
        row["name"] = name

    def _is_here(self, table: sa.Table, row: Mapping[str, Any]) -> bool:
        """Whether a program or an evaluation need not be added."""
        if table not in (tables.program, tables.evaluation):
            return False
        key = [column == row[column.name] for column in table.primary_key.columns]
        found = self._connection.execute(sa.select(table).where(*key)).first()
        if found is None or table is tables.program:
            return found is not None
        same = all(np.array_equal(unpack(found._mapping[name]), unpack(row[name])) for name in rows.ARRAYS)
        if not same or (found.digests and row["digests"] and found.digests != row["digests"]):
            raise ValueError(f"other figures of {row['program'][:10]} are in {self._archive} already")
        return True


def _order(table: sa.Table) -> list[sa.Column[Any]]:
    """Counted things in the order in which they were counted, for they will be counted again."""
    return [table.c.number] if table.name in _COUNTED else list(table.primary_key.columns)


def _belongs(table: sa.Table, run: str, connection: sa.Connection) -> sa.ColumnElement[bool]:
    """What of a table a run needs: also the programs that its own were made from, and their figures."""
    if table is tables.run:
        return table.c.name == run
    if table not in (tables.program, tables.evaluation):
        return table.c.run == run
    p, q, r = tables.proposal.c, tables.point.c, tables.run.c
    own = (
        sa.select(p.program).where(p.run == run, p.program.is_not(None)).union(sa.select(q.program).where(q.run == run))
    )
    if table is tables.program:
        return table.c.hash.in_(own)
    environments = connection.execute(sa.select(r.environments).where(r.name == run)).scalar_one()
    hashes = [environment["hash"] for environment in json.loads(environments)]
    return sa.and_(table.c.program.in_(own), table.c.environment.in_(hashes))


def _readable(column: sa.Column[Any], value: Any) -> Any:
    if "json" in column.info:
        return json.loads(value)
    if isinstance(column.type, sa.LargeBinary):
        return value.hex() if column.name == "digests" else unpack(value).tolist()
    return value


def _storable(column: sa.Column[Any], value: Any) -> Any:
    """What `_readable` was given."""
    if value is None and column.nullable:
        return None
    wanted: Any = column.info.get("json", column.type.python_type)
    if isinstance(column.type, sa.LargeBinary):
        wanted = str if column.name == "digests" else list
    elif wanted is float:
        wanted = (float, int)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(f"{column.name} cannot be {json.dumps(value)[:40]}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{column.name} is too large a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{column.name} is not a finite number")
    if "json" in column.info:
        return rows.dumps(value)
    if isinstance(column.type, sa.LargeBinary):
        return bytes.fromhex(value) if isinstance(value, str) else _array(column.name, value)
    if isinstance(value, str) and rows.clean(value) != value:
        raise ValueError(f"{column.name} has characters that no database holds")
    return value


def _array(name: str, value: Any) -> bytes:
    array = np.array(value)
    if array.size and array.dtype != np.int64:
        raise ValueError(f"{name} is not an array of whole numbers")
    return pack(array.astype(np.int64))


def _check_header(values: Mapping[str, Any]) -> None:
    kind, _, version = str(values.get("schema", "")).partition("/")
    if kind != FORMAT or not version.isdecimal():
        raise ValueError(f"is not the header of an exported archive, which says {FORMAT}/{SCHEMA}")
    if int(version) > SCHEMA:
        raise ValueError(f"has version {version}, newer than {SCHEMA}; upgrade autotts")
    if int(version) < SCHEMA:
        raise ValueError(f"has version {version}; export it again with this version of autotts, which writes {SCHEMA}")


def _check_record(table: str, row: Mapping[str, Any]) -> None:
    """Refuse a row that a reader would stumble over later."""
    try:
        record = _READERS[table](SimpleNamespace(**row))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"is no {table} ({error})") from error
    if table == "program" and content_hash(row["source"], row["class_name"]) != row["hash"]:
        raise ValueError(f"the source is not that of {row['hash'][:10]}: its hash is another")
    if table == "evaluation" and (reason := rows.misshapen(record)):
        raise ValueError(reason)
