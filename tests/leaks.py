"""What may stay behind when programs have run: memory, descriptors, processes and files, seen through /proc."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

from autotts.evaluation import Evaluator

__all__ = ["COUNTED", "WEIGHED", "descendants", "files", "look", "most", "orphans", "soon"]

WEIGHED = ("host", "server", "referees")
"""Resident kilobytes in a look."""

COUNTED = ("descriptors", "server's descriptors", "processes")
"""Numbers of things in a look."""


def most(early: int) -> float:
    """Kilobytes that a process may have late that had so many early: allocators are not exact."""
    return 1.1 * early + 4096


def memory(pid: int | str) -> int:
    """Resident kilobytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def descriptors(pid: int | str = "self") -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def descendants(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.add(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found | {below for one in found for below in descendants(one)}


def orphans() -> set[int]:
    """Processes of the jail's user that have lost their parent."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if process.stat().st_uid == 65534 and parent == 1:
                found.add(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def files() -> set[str]:
    return {entry.name for folder in ("/tmp", "/dev/shm") for entry in os.scandir(folder) if "autotts" in entry.name}


def soon(what: Callable[[], bool]) -> bool:
    """Whether it comes true in time; other tests at the same time may leave things for a moment."""
    deadline = time.monotonic() + 20
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)
    return what()


def look(evaluator: Evaluator) -> dict[str, int]:
    """What the processes hold: kilobytes by `WEIGHED`, numbers by `COUNTED`."""
    gc.collect()
    server = evaluator._jails.sandbox()._process
    assert server is not None
    referees = [referee._process.pid for referee in evaluator._referees._all]
    return {
        "host": memory("self"),
        "server": memory(server.pid),
        "referees": sum(map(memory, referees)) // max(1, len(referees)),
        "descriptors": descriptors() - 2 * len(referees),
        "server's descriptors": descriptors(server.pid),
        "processes": len(descendants(os.getpid())) - len(referees),
    }
