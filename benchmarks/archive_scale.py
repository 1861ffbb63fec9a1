"""Does the archive stay flat? Time per operation while it grows to 100,000 programs, beside one that stays small.

    python benchmarks/archive_scale.py [--programs 100000] [--server GROWS STAYS PROGRAMS]... [--out PATH]

SQLite in a temporary folder, and with `--server` any other database: the URLs of two empty ones of one server, and how
far the first of them grows. Every program is confirmed, which is the worst case: eleven points each.
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
BATCH = 200
SAMPLE = 200
"""Programs that are measured at each size."""


Times = dict[str, tuple[float, float]]


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


def measured(archive: Archive, n: int, rng: random.Random) -> Times:
    """(seconds by the clock, seconds of this process's CPU) of each step for program n."""
    found = {}
    for name, step in steps(archive, n, rng).items():
        clock, cpu = time.perf_counter(), time.process_time()
        step()
        found[name] = time.perf_counter() - clock, time.process_time() - cpu
    return found


def grown(target: str, beside: str, programs: int) -> Iterator[tuple[int, int, Times, Times]]:
    """(programs, points on the front, medians of each step here, medians in the small one) at each size.

    Both are measured in turn, so that what else the machine does disturbs both alike.
    """
    rng, done, few = random.Random(0), 0, SIZES[0] - SAMPLE
    with Archive(target) as archive, Archive(beside) as small:
        for one in (archive, small):
            one.add_run(Run("r", 0))
        for first in range(0, few, BATCH):
            fill(small, first, first + BATCH, rng)
        for size in (size for size in SIZES if size <= programs):
            for first in range(done, size - SAMPLE, BATCH):
                fill(archive, first, first + BATCH, rng)
            pairs = []
            for n in range(SAMPLE):
                pairs.append((measured(archive, size - SAMPLE + n, rng), measured(small, few, rng)))
                few += 1
            done = size
            here, there = ([pair[k] for pair in pairs] for k in (0, 1))
            yield size, len(archive.front("r")), medians(here), medians(there)


def medians(taken: list[Times]) -> Times:
    """Of the clock and of CPU time, for each step."""
    return {name: (median(one[name][0] for one in taken), median(one[name][1] for one in taken)) for name in taken[0]}


def table(what: str, target: str, beside: str, programs: int) -> list[str]:
    """A section of the page, and progress on standard output."""
    lines = [f"## {what}, up to {programs:,} programs", ""]
    for size, points, here, there in grown(target, beside, programs):
        if len(lines) == 2:
            lines += [f"| programs | points on the front | {' | '.join(here)} |", "|---" * (len(here) + 2) + "|"]
        ratios = [tuple(a / b for a, b in zip(here[name], there[name], strict=True)) for name in here]
        lines.append(f"| {size:,} | {points} | {' | '.join(f'{clock:.2f}, {cpu:.2f}' for clock, cpu in ratios)} |")
        told = ", ".join(f"{name} {1000 * clock:.2f} ms" for name, (clock, _) in here.items())
        print(f"{what}, {size:,}: {told}", flush=True)
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=SIZES[-1])
    parser.add_argument("--server", action="append", nargs=3, default=[], metavar=("GROWS", "STAYS", "PROGRAMS"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "archive-scale.md")
    options = parser.parse_args()
    body = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scale.db"
        body += table(f"SQLite {sqlite3.sqlite_version}", str(path), str(Path(folder) / "small.db"), options.programs)
        body[-1:] = ["", f"The file has {path.stat().st_size / options.programs / 1000:.1f} KB a program.", ""]
    for grows, stays, programs in options.server:
        with Archive(grows) as opened:
            name = opened._engine.dialect.name
        body += table({"postgresql": "PostgreSQL"}.get(name, name), grows, stays, int(programs))
    page = [
        "# Does the archive stay flat?",
        "",
        "- Command: `python benchmarks/archive_scale.py`, with `--server` for PostgreSQL",
        f"- Data: made up; every program confirmed on one environment of 30 questions with {len(SEEDS)} seeds and "
        f"{len(BETAS)} β",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "",
        f"Median time of {SAMPLE} operations of each kind when the archive has so many programs, divided by that of",
        f"another one with {SIZES[0]:,}, which takes its turn with it: by the clock, and in CPU time of the process",
        "(which has nothing of a server's work). 1 is flat; the first row is what chance does.",
        "",
        *body,
    ]
    options.out.write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
