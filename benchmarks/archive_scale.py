"""Does the archive stay flat? Time per operation while it grows to 100,000 programs, as a ratio to the first thousand.

    python benchmarks/archive_scale.py [PROGRAMS] [PATH|URL]

Every program is confirmed, which is the worst case: 11 points each.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from autotts.archive import Archive, Evaluation, Point, Program, Proposal, Run, Verdict
from autotts.archive.selection import Entry, ParetoSelector

BETAS = tuple(k / 10 for k in range(11))
SEEDS = tuple(range(100))
SAMPLE = 200  # programs that are measured at each size
STEPS = ("propose + commit", "read the front", "pick parents", "resolve an id")


def fill(archive: Archive, n: int, rng: random.Random, parents: list[str]) -> Program:
    """Program n: proposed, confirmed, committed."""
    mine = Program(f"{rng.getrandbits(256):064x}", "def solve(episode, knobs): ...\n" * 40, f"Idea {n}.")
    sums = np.full((11, 30), n, dtype=np.int64)
    scores = Evaluation(mine.hash, "e", "p", "confirm", BETAS, SEEDS, sums, sums, sums, sums, rng.randbytes(8800))
    skill = 1 - rng.expovariate(5)
    points = [Point(mine.hash, b, (1 + 20 * b) * (1 + rng.random()), skill * (0.5 + b / 2) * 0.9) for b in BETAS]
    archive.add_proposal(Proposal("r", n // 8, n % 8, "mock", mine.source, tuple(parents), answer="x" * 500))
    verdict = Verdict("ok", program=mine.hash, stage="confirm", gain=skill, gain_se=0.01)
    archive.commit_slot("r", n // 8, n % 8, verdict, program=mine, evaluations=[scores], curve="c", points=points)
    return mine


def measured(archive: Archive, n: int, rng: random.Random) -> tuple[float, ...]:
    """Seconds of each step for program n, and how many points the front had."""
    times = [time.perf_counter()]
    edge = archive.front("r")
    times.append(time.perf_counter())
    holders = sorted({p.id for p in edge})
    entries = [Entry(h, tuple(p for p in edge if p.id == h)) for h in holders]
    parents = ParetoSelector(tolerance=0.01).parents(entries, rng, 2)
    times.append(time.perf_counter())
    mine = fill(archive, n, rng, parents)
    times.append(time.perf_counter())
    archive.resolve(mine.id)
    times.append(time.perf_counter())
    front, picking, commit, resolve = (b - a for a, b in pairwise(times))
    return commit, front, picking, resolve, len(edge)


def main(total: int, target: str) -> None:
    rng = random.Random(0)
    first: tuple[float, ...] = ()
    print(f"{'programs':>9}  {'front':>5}  " + "  ".join(f"{step + ', ms':>20} {'ratio':>5}" for step in STEPS))
    with Archive(target) as archive:
        archive.add_run(Run("r", 0))
        done = 0
        for goal in (g for g in (1000, 2000, 5000, 10_000, 25_000, 50_000, 100_000) if g <= total):
            while done < goal - SAMPLE:
                batch = min(250, goal - SAMPLE - done)
                with archive.transaction():  # many in one transaction: only filling up
                    for n in range(done, done + batch):
                        fill(archive, n, rng, [])
                done += batch
            taken = [measured(archive, n, rng) for n in range(done, goal)]
            done = goal
            *medians, size = (median(column) for column in zip(*taken, strict=True))
            first = first or tuple(medians)
            cells = (f"{1000 * m:20.3f} {m / f:5.2f}" for m, f in zip(medians, first, strict=True))
            print(f"{goal:>9}  {size:>5.0f}  " + "  ".join(cells), flush=True)
    if Path(target).is_file():
        print(f"{Path(target).stat().st_size / done / 1000:.1f} KB a program")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if len(sys.argv) > 2:
        main(count, sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(count, str(Path(folder) / "scale.db"))
