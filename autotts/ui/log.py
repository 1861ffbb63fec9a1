"""`--log FILE`: every event of a run, one JSON object a line (docs/configuration.md)."""

from __future__ import annotations

import json
import mmap
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from autotts.search.events import Event, as_json
from autotts.ui.progress import Display

__all__ = ["SCHEMA", "EventLog", "make_log"]

SCHEMA = 1
"""Of the lines; told in the first one."""

FIRST = "log_started"
OPENING = b'{"time": "'
"""Of every line; of a file of one line that is not whole, this must do."""


def _on_standard_error(text: str) -> None:
    click.echo(text, err=True)


class EventLog(Display):
    """Writes events to the end of a file, each line at once and whole.

    What a kill left of a last line is taken off before the first event is written. A file that cannot be written, or
    is not such a log, is reported once; the search goes on without it.

    Args:
        path: the file; it is made where there is none.
        notice: told why the log ends here, in one line.
    """

    def __init__(self, path: str, notice: Callable[[str], None] = _on_standard_error) -> None:
        self._path, self._notice = path, notice
        self._file: int | None = None

    def __enter__(self) -> EventLog:
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if _prepare(self._file, self._path):
                self._write({"event": FIRST, "schema": SCHEMA, "autotts": version("autotts")})
        except (OSError, ValueError) as error:
            self._give_up(error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __call__(self, event: Event) -> None:
        """Write the event's line."""
        if self._file is None:
            return
        try:
            self._write(as_json(event))
        except OSError as error:
            self._give_up(error)

    def _write(self, row: dict[str, Any]) -> None:
        assert self._file is not None
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        # ASCII alone: no character within a string can be taken for the end of a line.
        left = json.dumps({"time": now, **row}, allow_nan=False).encode("ascii") + b"\n"
        while left:  # in one piece but where the disk is full
            left = left[os.write(self._file, left) :]

    def _give_up(self, error: OSError | ValueError) -> None:
        why = error.strerror if isinstance(error, OSError) else str(error)
        self.__exit__()
        self._notice(f"--log {self._path}: {why}; the search goes on without a log")


def _prepare(file: int, path: str) -> bool:
    """Take half a last line off a regular file; whether it wants a first line.

    Raises:
        ValueError: the file holds something other than a log of this schema.
    """
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return True
    with Path(path).open("rb") as reading, mmap.mmap(reading.fileno(), 0, access=mmap.ACCESS_READ) as held:
        whole = held.rfind(b"\n") + 1
        first = held[: held.find(b"\n") + 1] or held[:]
        if whole or not first.startswith(OPENING):
            _check(first)
        if whole < len(held):
            os.ftruncate(file, whole)
    return not whole


def _check(first: bytes) -> None:
    try:
        head = json.loads(first)
        schema = head["schema"] if head["event"] == FIRST else None
    except (ValueError, TypeError, KeyError, RecursionError):
        schema = None
    if schema is None:
        raise ValueError("the file exists and is not a log of AutoTTS; give another one")
    if schema != SCHEMA:
        raise ValueError(f"the file is a log of schema {schema}, and this AutoTTS writes {SCHEMA}; give another one")


def make_log(path: str | None) -> Display:
    """The log in this file; None: a listener that does nothing."""
    return Display() if path is None else EventLog(path)
