"""Keeps a coding agent's process: a program of its own, which outlives the search by as long as it takes to tidy up.

    python -I -S keeper.py SECONDS TASK_FD STATUS_FD FOLDER COMMAND…

It runs COMMAND in FOLDER with the task on standard input, and ends it and all that it has started when it is done, when
SECONDS are over, or when its own standard input says so: a byte there means stop; its end without a byte means that the
search died, and then the folder is removed as well. How it ended is written to STATUS_FD as JSON. Only the standard
library is used, and nothing of AutoTTS.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

__all__ = ["GRACE", "KILLING", "main", "remove"]

GRACE = 2.0
"""Seconds between the asking end (SIGTERM) and the hard one (SIGKILL)."""

KILLING = 5.0
"""Seconds within which killed processes are gone."""

_BEAT = 0.03
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


def remove(folder: str) -> None:
    """Remove a folder with all that is in it, whatever rights were taken from it; links are not followed."""
    for place, names, _ in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _adopt() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can slip away (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _descendants() -> list[int]:
    """Processes that stem from this one, zombies left out; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in parentheses may hold anything, so the fields are counted from its end.
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        born = children.get(waiting.pop(), [])
        found += born
        waiting += born
    return found


class _Keeper:
    """One command from its start to its end."""

    def __init__(self, seconds: float, folder: str) -> None:
        self.deadline = time.monotonic() + seconds
        self.folder = folder
        self.code: int | None = None
        self.ended = ""
        self.orphaned = False
        self._stop = False
        self._child = 0
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked)  # a handler, for what is ignored here would be ignored by the child too

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def run(self, command: list[str], task: int) -> str:
        """Run to the end; why it could not be started, "" where it could."""
        try:
            process = subprocess.Popen(command, cwd=self.folder, stdin=task, start_new_session=True)
        except (OSError, ValueError) as error:
            return str(error)
        self._child = process.pid
        while not self.ended:
            self._reap()
            if self.code is not None:
                self.ended = "exit"
            elif self._stop:
                self.ended = "stopped"
            elif time.monotonic() >= self.deadline:
                self.ended = "timeout"
            elif select.select([0], [], [], _BEAT)[0]:
                self.orphaned = not os.read(0, 1)
                self.ended = "stopped"
        self._end_all()
        process.returncode = self.code if self.code is not None else -signal.SIGKILL
        return ""

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._child:
                    self.code = os.waitstatus_to_exitcode(status)

    def _end_all(self) -> None:
        for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, KILLING)):
            until, told = time.monotonic() + seconds, set[int]()
            while True:
                self._reap()
                left = _descendants()
                if not left and (self.code is not None or time.monotonic() >= until):
                    # Without /proc the group is all that is known of the others.
                    self._signal_group(number)
                    break
                if not told:
                    self._signal_group(number)
                _signal([pid for pid in left if pid not in told or number == signal.SIGKILL], number)
                told.update(left, [self._child])
                if time.monotonic() >= until:
                    break
                time.sleep(_BEAT)

    def _signal_group(self, number: int) -> None:
        if sys.platform == "linux" and self.code is not None:
            return  # its number may be another's by now
        with contextlib.suppress(OSError):
            os.killpg(self._child, number)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def main(words: list[str]) -> None:
    """See the module."""
    seconds, task, status, folder, *command = words
    _adopt()
    keeper = _Keeper(float(seconds), folder)
    error = keeper.run(command, int(task))
    with contextlib.suppress(OSError):
        os.write(int(status), json.dumps({"code": keeper.code, "ended": keeper.ended, "error": error}).encode())
    if keeper.orphaned:
        remove(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
