"""Does the archive stay flat? Time per operation while it grows to 100,000 programs, as a ratio to the first thousand.

    python benchmarks/archive_scale.py [--programs 100000] [--database URL]... [--out PATH]

SQLite in a temporary folder, and every other database that is named by the URL of an empty one, `URL=PROGRAMS` for
fewer programs in it. Every program is confirmed, which is the worst case: eleven points each.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import sqlalchemy as sa

from autotts.archive import Archive, Call, Evaluation, Point, Program, Proposal, Run, Verdict, rows
from autotts.archive.schema import tables

ROOT = Path(__file__).resolve().parents[1]
BETAS = tuple(k / 10 for k in range(11))
SEEDS = tuple(range(100))
SIZES = (1000, 10_000, 100_000)
SUMS = np.arange(330, dtype=np.int64).reshape(11, 30)
SAMPLE = 200
"""Programs that are measured at each size."""


class Slot:
    """Program n, and all that a search stores of it."""

    def __init__(self, n: int, rng: random.Random) -> None:
        source = f"def solve(episode, knobs): ...  # {rng.random()}\n" * 40
        self.program = Program(f"{rng.getrandbits(256):064x}", source, f"Idea {n}.")
        self.place = ("r", n // 8, n % 8)
        of, skill = self.program.hash, 1 - rng.expovariate(5)
        self.scores = Evaluation(of, "e", "p", "confirm", BETAS, SEEDS, SUMS, SUMS, SUMS, SUMS, rng.randbytes(8800))
        self.points = [Point(of, b, (1 + 20 * b) * (1 + rng.random()), skill * (0.5 + b / 2) * 0.9) for b in BETAS]
        self.verdict = Verdict("ok", program=of, stage="confirm", gain=skill, gain_se=0.01)
        self.proposal = Proposal(*self.place, "mock", source, answer="x" * 500)
        self.open = Call(*self.place, 0, "mock", "asked" * 100, tokens=9000, cost=0.5)
        self.call = replace(self.open, outcome="ok", reply="said" * 100, tokens=700, cost=0.01)


def fill(archive: Archive, first: int, last: int, rng: random.Random) -> None:
    """What a search would have stored of programs first … last, many rows at a time: not what is measured.

    The totals of what was spent are left alone.
    """
    slots = [Slot(n, rng) for n in range(first, last)]
    packed = rows.evaluation_row(slots[0].scores)
    made = {
        tables.program: [asdict(s.program) | {"agent": "", "number": n} for n, s in enumerate(slots, first + 1)],
        tables.proposal: [rows.proposal_row(replace(s.proposal, verdict=s.verdict)) for s in slots],
        tables.call: [rows.call_row(s.call) | {"created": ""} for s in slots],
        tables.evaluation: [packed | {"program": s.program.hash, "digests": s.scores.digests} for s in slots],
    }
    with archive._writing() as connection:
        for table, values in made.items():
            connection.execute(sa.insert(table), values)
        archive.add_points("r", "c", [point for slot in slots for point in slot.points])


def steps(archive: Archive, n: int, rng: random.Random) -> dict[str, Callable[[], Any]]:
    """What a search does for program n, in order."""
    slot = Slot(n, rng)
    mine, measures = slot.program, {"evaluations": [slot.scores], "curve": "c", "points": slot.points}
    return {
        "what is spent": lambda: archive.spent("r"),
        "begin a call": lambda: archive.add_call(slot.open),
        "end a call": lambda: archive.end_call(slot.call),
        "add a proposal": lambda: archive.add_proposal(slot.proposal),
        "commit a slot": lambda: archive.commit_slot(*slot.place, slot.verdict, program=mine, **measures),
        "read the front": lambda: archive.front("r"),
        "resolve an id": lambda: archive.resolve(mine.id),
        "list a page": lambda: list(islice(archive.listing("r"), 100)),
    }


def measured(archive: Archive, n: int, rng: random.Random) -> dict[str, tuple[float, float]]:
    """(seconds by the clock, seconds of this process's CPU) of each step for program n."""
    found = {}
    for name, step in steps(archive, n, rng).items():
        clock, cpu = time.perf_counter(), time.process_time()
        step()
        found[name] = time.perf_counter() - clock, time.process_time() - cpu
    return found


def grown(target: str, programs: int) -> Iterator[tuple[int, int, dict[str, tuple[float, float]]]]:
    """(programs, points on the front, medians of each step) at each size, while the archive grows."""
    rng, done = random.Random(0), 0
    with Archive(target) as archive:
        archive.add_run(Run("r", 0))
        for size in (size for size in SIZES if size <= programs):
            while done < size - SAMPLE:
                last = min(done + 250, size - SAMPLE)
                fill(archive, done, last, rng)
                done = last
            taken = [measured(archive, n, rng) for n in range(done, size)]
            done = size
            medians = {name: tuple(map(median, zip(*(one[name] for one in taken), strict=True))) for name in taken[0]}
            yield size, len(archive.front("r")), medians  # type: ignore[misc]


def table(what: str, target: str, programs: int) -> list[str]:
    """A section of the page, and progress on standard output."""
    lines, first = [f"## {what}, up to {programs:,} programs", ""], None
    for size, points, found in grown(target, programs):
        if first is None:
            first = found
            lines += [f"| programs | points on the front | {' | '.join(found)} |", "|---" * (len(found) + 2) + "|"]
        ratios = (f"{clock / first[name][0]:.2f}, {cpu / first[name][1]:.2f}" for name, (clock, cpu) in found.items())
        lines.append(f"| {size:,} | {points} | {' | '.join(ratios)} |")
        print(
            f"{what}, {size:,}: " + ", ".join(f"{name} {1000 * t[0]:.2f} ms" for name, t in found.items()), flush=True
        )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=SIZES[-1])
    parser.add_argument("--database", action="append", default=[], metavar="URL[=PROGRAMS]")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "archive-scale.md")
    options = parser.parse_args()
    body = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scale.db"
        body += table(f"SQLite {sqlite3.sqlite_version}", str(path), options.programs)
        body[-1:] = ["", f"The file has {path.stat().st_size / options.programs / 1000:.1f} KB a program.", ""]
    for named in options.database:
        url, _, programs = named.rpartition("=") if named.rpartition("=")[2].isdecimal() else (named, "", "")
        body += table(url.partition("://")[0].partition("+")[0], url, int(programs or options.programs))
    page = [
        "# Does the archive stay flat?",
        "",
        "- Command: `python benchmarks/archive_scale.py`, with `--database` for other databases than SQLite",
        f"- Data: made up; every program confirmed on one environment of 30 questions with {len(SEEDS)} seeds and "
        f"{len(BETAS)} β",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "",
        f"Median time of {SAMPLE} operations of each kind when the archive has so many programs, divided by that of",
        "the first thousand: by the clock, and in CPU time of the process (which a machine with other work to do",
        "disturbs less, and which has nothing of a server's work). 1 is flat.",
        "",
        *body,
    ]
    options.out.write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
