"""A line a request: in words for a person, as JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from autotts.errors import InputError
from autotts.sandbox.text import printable

__all__ = ["AccessLog", "Entry"]


def to_stderr(line: str) -> None:
    """Where a person reads."""
    print(line, file=sys.stderr, flush=True)


@dataclass
class Entry:
    """A request, as the log keeps it.

    Attributes:
        id: that the client was told.
        status: of HTTP; 499 where the client left.
        outcome: in a word.
        message: why there is no answer.
        beta, seed: with which it was answered.
        confidence, tokens, sequential_tokens, generated, branches, stopped: of its answer.
        seconds: from its arrival to its end.
        stream: whether it was answered by events.
        question: where questions are kept.
    """

    id: str
    status: int = 500
    outcome: str = "failed"
    message: str = ""
    beta: float | None = None
    seed: int | None = None
    confidence: float | None = None
    tokens: int | None = None
    sequential_tokens: int | None = None
    generated: int | None = None
    branches: int | None = None
    stopped: str = ""
    seconds: float = 0.0
    stream: bool = False
    question: str | None = None

    def __str__(self) -> str:
        told = f"{self.id} {self.status} {self.outcome} {self.seconds:.2f} s"
        if self.beta is not None:
            told += f", β = {self.beta:g}"
        if self.branches is not None:
            told += f", {self.branches} branches, {self.tokens:,} tokens"
        if self.confidence is not None:
            told += f", {100 * self.confidence:.0f} % of the votes"
        return f"{told}: {self.message}" if self.message else told


class AccessLog:
    """Tells every request.

    Args:
        path: a file that gets a JSON object a line at its end; None: a line in words on standard error instead.
        questions: keep the questions' text too.
        notice: where a person reads.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(
        self, path: str | None = None, questions: bool = False, notice: Callable[[str], None] = to_stderr
    ) -> None:
        self.questions = questions
        self.notice = notice
        self._path = path
        self._file: int | None = None
        if path is not None:
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise InputError(f"--log {path}: cannot be written ({error.strerror}); give another file") from error

    def __call__(self, entry: Entry) -> None:
        """Tell a request that ended."""
        if self._path is None:
            self.notice(printable(str(entry)))
        else:
            self._write({"event": "request", **asdict(entry)})

    def say(self, event: str, line: str) -> None:
        """Tell something that is no request."""
        self.notice(printable(line))
        self._write({"event": event, "message": line})

    def _write(self, row: dict[str, object]) -> None:
        if self._file is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        # ASCII alone: no character within a string can be taken for the end of a line.
        line = json.dumps({"time": now, **row}).encode("ascii") + b"\n"
        try:
            os.write(self._file, line)
        except OSError as error:
            self.close()
            self.notice(f"--log {self._path}: {error.strerror}; requests are answered on, without a log")

    def close(self) -> None:
        """End it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
