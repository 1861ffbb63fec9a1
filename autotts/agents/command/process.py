"""Runs a command for a coding agent: no shell, a deadline, bounded output, and nothing of it is left afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from autotts.agents.command import keeper

__all__ = ["Ended", "run"]

MOST_OUTPUT = 2_000_000
"""Bytes of each stream that are kept, the last ones: there the command lines say what they used."""

_BLOCK = 1 << 16
_BACKSTOP = 30.0
"""Seconds after which a keeper that does not end is not waited for."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code, negative for a signal, None where it is not known.
        timed_out: it was ended at its deadline.
        out, err: the last of what it wrote.
        error: why it could not be started, "" where it could.
    """

    code: int | None
    timed_out: bool
    out: str
    err: str
    error: str = ""


class _Tail(threading.Thread):
    """Reads a stream to its end and keeps the last bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._blocks: deque[bytes] = deque()
        self._size = 0
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while block := os.read(self._stream.fileno(), _BLOCK):
                self._blocks.append(block)
                self._size += len(block)
                while self._size - len(self._blocks[0]) >= MOST_OUTPUT:
                    self._size -= len(self._blocks.popleft())
        self._stream.close()

    def text(self) -> str:
        self.join(1.0)
        return b"".join(tuple(self._blocks))[-MOST_OUTPUT:].decode("utf-8", "replace")


def run(words: Sequence[str], folder: Path, task: str, seconds: float) -> Ended:
    """Run a command in a folder until it ends, or is ended; all that it started ends with it.

    Args:
        words: the command.
        folder: where it runs.
        task: what it is given on standard input.
        seconds: until it is ended.
    """
    status, write_status = os.pipe()
    with tempfile.TemporaryFile() as said, os.fdopen(status, "rb") as told:
        said.write(task.encode("utf-8", "replace"))
        said.seek(0)
        given = [str(seconds), str(said.fileno()), str(write_status), str(folder), *words]
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(keeper.__file__), *given],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(said.fileno(), write_status),
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            return Ended(None, False, "", "", str(error))
        finally:
            os.close(write_status)
        out, err = _attend(process, seconds)
        found = told.read()
    if not found:
        return Ended(None, False, out, err)  # somebody killed the keeper
    ending = json.loads(found)
    return Ended(ending["code"], ending["ended"] == "timeout", out, err, ending["error"])


def _attend(process: subprocess.Popen[bytes], seconds: float) -> tuple[str, str]:
    """Wait for a keeper; what its command wrote. An interrupt stops it, and is waited for as well."""
    assert process.stdin and process.stdout and process.stderr
    out, err = _Tail(process.stdout), _Tail(process.stderr)
    try:
        process.wait(seconds + keeper.GRACE + keeper.KILLING + _BACKSTOP)
    except subprocess.TimeoutExpired:
        process.kill()
    finally:
        with contextlib.suppress(OSError):
            process.stdin.write(b"s")
        try:
            process.wait(keeper.GRACE + keeper.KILLING + _BACKSTOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()
    return out.text(), err.text()
