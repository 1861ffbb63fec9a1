"""A long search with everything in it that goes wrong: hostile programs, failing agents, garbage, duplicates.

    python -m tests.soak [CANDIDATES] [--workers 2] [--keep FOLDER]

Prints what it cost and what it found; exits with 1 where something stayed behind, grew, or was let through.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from autotts.agents import Context, Proposal
from autotts.agents.evolution import EvolutionAgent
from autotts.archive import Archive
from autotts.errors import (
    AgentTimeout,
    AgentUnavailable,
    EmptyAnswer,
    MalformedAnswer,
    NotSubmitted,
    Refused,
    Truncated,
)
from autotts.replay import save_environment
from autotts.search import Config, Event, SlotEnded, open_run, start_run
from autotts.search.checking import rerun
from autotts.testing.corpus import LIMITS, world
from autotts.testing.hostile import ATTACKS, Attack
from tests.leaks import COUNTED, WEIGHED, descendants, look, most, orphans, soon

__all__ = ["Soaked", "soak"]

PER_ROUND = 10
SAMPLE = 20
"""Programs that are run again at the end."""
SMOKE = replace(LIMITS, wall_seconds=60.0)
"""No attack waits for the clock; on a machine that is busy a loop must still come to its CPU time first."""

ATTACKERS = ("/tmp/autotts-jail-was-open", "/dev/shm/autotts-jail-was-open")
"""What attacks would write."""

LONG, FLAT = 1000, 1.0
"""From so many candidates on, so many kilobytes a candidate may be kept: less than a program's text."""

REJECTED = [
    a for a in ATTACKS if "ok" not in a.policy and "\nclass OptimalController" not in a.source and "\0" not in a.source
]
"""Attacks that end in an outcome whatever the search does with them: not those with a NUL, which no archive takes, so
that something else stands in its place."""

ERRORS = (Refused, Truncated, EmptyAnswer, MalformedAnswer, NotSubmitted, AgentTimeout, AgentUnavailable)
GARBAGE: tuple[Any, ...] = (None, "def solve(episode, knobs): ...", 42, [], Proposal)


def _broken(number: int) -> Any:
    """What an agent does whose own code is broken: it raises what it should not, or gives what is no proposal."""
    kind = number // PER_ROUND % 3
    if kind == 0:
        return dict[str, Any]()["no such key"]
    if kind == 1:
        raise RecursionError("the agent's own")
    return GARBAGE[number // PER_ROUND % len(GARBAGE)]


@lru_cache(maxsize=1)
def _attacks(times: int) -> list[Attack]:
    return [a for k in range(times) for a in random.Random(f"soak/{k}").sample(REJECTED, len(REJECTED))]


def attack(number: int) -> Attack:
    """The hostile program of a proposal: each before any comes again."""
    turn = number // PER_ROUND
    return _attacks(1 + turn // len(REJECTED))[turn]


class SoakAgent:
    """Of ten proposals, one is hostile, one an agent's error, one broken, one a duplicate; the rest are random genomes.

    What it does follows from the number of the proposal, so that a resumed run gets the same.
    """

    name = "soak"

    def __init__(self) -> None:
        self._evolution = EvolutionAgent(random_only=True)

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        number = context.number
        kind = number % PER_ROUND
        if kind == 9:
            return Proposal(attack(number).source, (), "")
        if kind == 3:
            turn = number // PER_ROUND
            raise ERRORS[turn % len(ERRORS)](f"injected, number {turn}")
        if kind == 6:
            given: Proposal = _broken(number)
            return given
        if kind == 8:
            return self._ordinary(number - 1)
        return self._ordinary(number)

    def _ordinary(self, number: int) -> Proposal:
        return self._evolution.propose(Context(1, 0, (), ()), random.Random(f"soak/{number}"))


@dataclass
class Soaked:
    """What a soak saw.

    Attributes:
        candidates: how many were asked for.
        outcomes: by kind of proposal, how many ended how.
        wrong: hostile programs that did not end as they have to, and other slots that ended as they must not.
        looks: (candidates so far, what the processes held).
        moments: when each candidate was in the archive.
        left: what stayed behind when the search had ended, and what is wrong with its archive.
    """

    candidates: int
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    looks: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def hear(self, event: SlotEnded) -> None:
        """Count a slot, and see whether it ended as it has to."""
        number = (event.round - 1) * PER_ROUND + event.slot
        kind = {9: "hostile", 3: "error", 6: "broken", 8: "duplicate"}.get(number % PER_ROUND, "ordinary")
        self.outcomes.setdefault(kind, Counter())[event.outcome] += 1
        turn = number // PER_ROUND
        allowed: tuple[str, ...] = {
            "hostile": (*attack(number).policy, *(("Duplicate",) if turn >= len(REJECTED) else ())),
            "error": (ERRORS[turn % len(ERRORS)].__name__,),
            "broken": ("AgentFailed",),
            "duplicate": ("Duplicate",),
            "ordinary": ("ok", "Duplicate", "Twin"),
        }[kind]
        if event.outcome not in allowed:
            name = str(attack(number)) if kind == "hostile" else kind
            self.wrong.append(f"{number}: {name} ended as {event.outcome}, not {' or '.join(allowed)}: {event.message}")

    def quarter(self, n: int) -> list[dict[str, int]]:
        """The looks in the n-th quarter of the run, from 1 to 4."""
        return [seen for k, seen in self.looks if n - 1 < 4 * k / self.candidates <= n]

    def complaints(self) -> list[str]:
        """Everything that must not be; [] for a run that was as it has to be."""
        found = [*self.wrong, *self.left]
        ended = sum(sum(counts.values()) for counts in self.outcomes.values())
        if ended != self.candidates:
            found.append(f"{ended} of {self.candidates} candidates were settled")
        early, late = self.quarter(2), self.quarter(4)
        for name in COUNTED:  # children at work come and go: a leak shows where the least is more than the most was
            if min(seen[name] for seen in late) > max(seen[name] for seen in early):
                found.append(f"{name}: {[seen[name] for seen in early]}, and then {[seen[name] for seen in late]}")
        for name in WEIGHED:
            rise, error = self.slope(name)
            if self.candidates >= LONG and rise - 2 * error > FLAT:
                found.append(f"memory of {name}: {rise:.2f} ± {error:.2f} KB a candidate over the second half")
            before, after = (int(median(seen[name] for seen in part)) for part in (early, late))
            if after > most(before):
                found.append(f"memory of {name}: {before} KB in the second quarter, {after} KB in the last")
        return found

    def slope(self, name: str) -> tuple[float, float]:
        """Kilobytes a candidate over the second half, and its standard error."""
        x, y = np.array([(k, seen[name]) for k, seen in self.looks if 2 * k > self.candidates], dtype=float).T
        (rise, _), covariance = np.polyfit(x, y, 1, cov=True)
        return float(rise), float(np.sqrt(covariance[0, 0]))

    def report(self) -> list[str]:
        """The figures in lines."""
        lines = [f"{kind}: {dict(counts.most_common())}" for kind, counts in sorted(self.outcomes.items())]
        for name in WEIGHED:
            quarters = [round(median(seen[name] for seen in self.quarter(n)) / 1024, 1) for n in (1, 2, 3, 4)]
            rise, error = self.slope(name)
            lines.append(f"memory of {name} by quarter: {quarters} MB; {rise:+.2f} ± {error:.2f} KB a candidate")
        for name in COUNTED:
            lines.append(f"{name}: {[min(seen[name] for seen in self.quarter(n)) for n in (1, 2, 3, 4)]}")
        taken = np.array_split(1000 * np.diff(self.moments), 4)
        lines.append(f"ms a candidate by quarter, medians: {[round(float(np.median(part)), 1) for part in taken]}")
        return lines


def soak(candidates: int, folder: Path, workers: int = 2, watch: Callable[[Soaked], object] = lambda _: None) -> Soaked:
    """Search through so many candidates, a multiple of 10, in a folder; what was seen.

    Args:
        candidates: proposals after the baselines.
        folder: where the archive and the environment go.
        workers: shards at a time.
        watch: called after each candidate.
    """
    before, family, made = orphans(), descendants(os.getpid()), folder / "temporary"
    made.mkdir()
    save_environment(world(), folder / "soak.jsonl")
    rounds, envs = candidates // PER_ROUND, (str(folder / "soak.jsonl"),)
    config = Config(("soak",), rounds, PER_ROUND, betas=6, seeds=3, screen_seeds=2, envs=envs)
    seen, every = Soaked(candidates), max(1, candidates // 80)
    with temporary_files_in(made), Archive(str(folder / "soak.db")) as archive:
        run = start_run(archive, None, config, [world()])
        with open_run(archive, run, workers, agents=[SoakAgent()], memory_mb=64, smoke=SMOKE) as search:

            def listen(event: Event) -> None:
                if isinstance(event, SlotEnded) and event.round:
                    seen.hear(event)
                    seen.moments.append(time.monotonic())
                    if len(seen.moments) % every == 0:
                        seen.looks.append((len(seen.moments), look(search.evaluator)))
                    watch(seen)

            search.listen = listen
            search.go()
        if archive.run(run).state != "done":
            seen.left.append(f"the run is not done but {archive.run(run).state}")
    if not soon(lambda: descendants(os.getpid()) <= family):
        seen.left.append(f"processes: {descendants(os.getpid()) - family}")
    if not soon(lambda: orphans() <= before):
        seen.left.append(f"orphans: {orphans() - before}")
    seen.left += [f"file: {path}" for path in (*made.iterdir(), *map(Path, ATTACKERS)) if path.exists()]
    seen.left += unsound(folder / "soak.db")
    return seen


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Everybody uses /tmp; what this process leaves is seen in a folder of its own."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def unsound(path: Path) -> list[str]:
    """What `autotts archive check` finds wrong with an archive; a sample of its programs is run again."""
    with Archive(path, create=False) as archive:
        told = [f"archive: {fault.where}: {fault.what}" for fault in archive.faults()]
        (run,) = archive.runs()
        again = rerun(archive, run, SAMPLE, 0)
    assert len(again) >= SAMPLE
    return told + [f"archive: {one.program} run again: {line}" for one in again for line in one.differences]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", type=int, nargs="?", default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="where the archive stays; in a folder that goes away without it")
    options = parser.parse_args()

    def watch(seen: Soaked) -> None:
        if len(seen.moments) % 100 == 0:
            print(len(seen.moments), seen.looks[-1][1], flush=True)

    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        seen = soak(options.candidates, options.keep or Path(folder), options.workers, watch)
    print(*seen.report(), *(f"NOT AS IT HAS TO BE: {line}" for line in seen.complaints()), sep="\n")
    return 1 if seen.complaints() else 0


if __name__ == "__main__":
    sys.exit(main())
