"""How fast is the browser on a long run? First screen, sorting, filtering and memory, beside a run of 1,000 programs.

    python benchmarks/browse.py [--programs 100000] [--archive PATH] [--out PATH]

The first screen is that of the real command in a terminal of 80 × 24 (a pseudo-terminal): from the start of its process
until the first program is drawn. Sorting and filtering are measured from the request until the screen has been drawn.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import platform
import pty
import random
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from archive_scale import BATCH, fill
from textual.pilot import Pilot

from autotts.archive import Archive, EnvironmentRef, Run
from autotts.search import Config
from autotts.ui.browser import Browser, Desk
from autotts.ui.browser.columns import FIELDS
from autotts.ui.browser.programs import ProgramsView

ROOT = Path(__file__).resolve().parents[1]
SMALL = 1000
STARTS = 5
FILTERS = ("idea 7", "front", "gain>0.5 acc>40", "-front tok<5K", "zzz")
SECONDS = 120.0


@dataclass(frozen=True)
class Figures:
    """Of one archive: seconds, and MB of the process's memory at the most."""

    first: float
    read: float
    sort: tuple[float, str]
    filter: tuple[float, str]
    memory: float


def make(path: Path, programs: int) -> None:
    """An archive with a run of so many programs, every one of them confirmed."""
    rng = random.Random(0)
    questions = tuple(f"q{k}" for k in range(30))
    ref = EnvironmentRef("e", "model/made-up", questions, 64_000.0, 1000.0, 0.3)
    with Archive(path) as archive:
        archive.add_run(Run("r", 0, json.loads(json.dumps(asdict(Config()))), (ref,), "done"))
        for first in range(0, programs, BATCH):
            fill(archive, first, min(programs, first + BATCH), rng)


def in_a_terminal(path: Path, programs: int, whole: bool) -> tuple[float, float, float]:
    """(seconds to the first program, seconds until all are read, MB at the most) of the real command."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "autotts", "browse", str(path), "--run", "r"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    start = time.perf_counter()
    try:
        seen = bytearray()
        first = until(terminal, seen, rb"Idea \d", start)
        # "reading: 500 of 1,000 proposals" comes before it
        every = rb"(?<!of )(?<![\d,])%s proposals" % f"{programs:,}".encode()
        read = until(terminal, seen, every, start) if whole else first
        return first, read, memory_of(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def until(terminal: int, seen: bytearray, pattern: bytes, start: float) -> float:
    """Seconds from a start until something is drawn; `seen` takes what was drawn."""
    while not re.search(pattern, seen):
        if not select.select([terminal], [], [], SECONDS)[0]:
            raise SystemExit(f"the browser did not draw {pattern!r} in {SECONDS} s; it ended with {seen[-300:]!r}")
        with suppress(OSError):
            seen += os.read(terminal, 65536)
    return time.perf_counter() - start


def memory_of(pid: int) -> float:
    """MB of a process's memory at the most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1000


async def worked(path: Path, programs: int) -> tuple[tuple[float, str], tuple[float, str]]:
    """The slowest column to sort by, and the slowest filter."""
    desk = Desk(str(path), 1, {}, print)
    app = Browser(desk, "r")
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            while app.loading or len(app.columns) < programs or not app.front:
                await pilot.pause(0.1)
            view = app.screen
            assert isinstance(view, ProgramsView)
            await timed(pilot, lambda: view.sort_by("round"))
            sorts = [(await timed(pilot, lambda name=f.name: view.sort_by(name)), f.title) for f in FIELDS]
            filters = [(await timed(pilot, lambda text=text: view.set_filter(text)), text) for text in FILTERS]
            return max(sorts), max(filters)
    finally:
        desk.close()


async def timed(pilot: Pilot[Any], request: Callable[[], None]) -> float:
    """Seconds until the screen is drawn, the median of three."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        request()
        await pilot.pause()
        taken.append(time.perf_counter() - start)
    return median(taken)


def measured(path: Path, programs: int) -> Figures:
    starts = [in_a_terminal(path, programs, whole=k == 0) for k in range(STARTS)]
    sort, filter_ = asyncio.run(worked(path, programs))
    return Figures(median(s[0] for s in starts), starts[0][1], sort, filter_, starts[0][2])


def row(name: str, figures: Figures) -> str:
    (sort, column), (filter_, text) = figures.sort, figures.filter
    return (
        f"| {name} | {figures.first:.2f} s | {figures.read:.1f} s | {1000 * sort:.0f} ms ({column}) "
        f"| {1000 * filter_:.0f} ms (`{text}`) | {figures.memory:.0f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=100_000)
    parser.add_argument("--archive", type=Path, help="Kept and used again; made where it is not there.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "browse-scale.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.db", options.archive or Path(folder) / "large.db"
        make(small, min(SMALL, options.programs))
        if not large.exists():
            make(large, options.programs)
        found = {n: measured(path, n) for n, path in ((min(SMALL, options.programs), small), (options.programs, large))}
    rows = [row(f"{n:,}", figures) for n, figures in found.items()]
    few, many = found.values()
    ratios = [f"{getattr(many, name) / getattr(few, name):.1f}" for name in ("first", "read")] + [
        f"{getattr(many, name)[0] / getattr(few, name)[0]:.1f}" for name in ("sort", "filter")
    ]
    page = [
        "# Is the browser fast on a long run?",
        "",
        "- Command: `python benchmarks/browse.py`",
        "- Data: made up; every program confirmed at 11 β on one environment",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f} at the end",
        "",
        f"First screen: from the start of the process until the first program is drawn, median of {STARTS}. All read:",
        "until every program is in the table; what is there is shown, sorted and filtered meanwhile. Sort, filter: the",
        f"slowest of all columns, and of {len(FILTERS)} filters, until the screen is drawn. Memory: of the process, at",
        "the most.",
        "",
        "| programs | first screen | all read | sort | filter | memory |",
        "|---|---|---|---|---|---|",
        *rows,
        f"| ratio | {' | '.join(ratios)} | {many.memory / few.memory:.1f} |",
    ]
    options.out.write_text("\n".join(page) + "\n", encoding="utf-8")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
