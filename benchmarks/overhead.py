"""What the framework adds to a candidate: a search with an agent and programs that take no time, beside its peers.

    python benchmarks/overhead.py [--candidates 1500] [--workers 1 2] [--peers FOLDER] [--seconds 600] [--out PATH]

With `--peers`, OpenEvolve and ShinkaEvolve are installed into virtual environments in FOLDER and measured as well; what
is in FOLDER already is used again.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shlex
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, quantiles

import numpy as np
from peers import PEERS, Run
from processes import cpu_seconds

from autotts.agents import Context, MockAgent, Proposal
from autotts.archive import Archive
from autotts.evaluation import Evaluator, Program
from autotts.evaluation.shards import Prepared, Work
from autotts.replay import Environment, Question, Trajectory, save_environment
from autotts.sandbox import Sandbox
from autotts.search import Config, Event, SlotEnded, open_run, start_run

ROOT = Path(__file__).resolve().parents[1]
BUCKETS = 5
SHAPE = Config(agents=("mock/instant",), proposals_per_round=4, betas=3, seeds=2, screen_seeds=1)
BARE = 100
"""Bare children that are timed before a search, and again after it."""

BRANCHES, PICKED = 16, 11
"""Branches of a question, and those of them that tell programs apart: 2 ** 11 programs."""

PROGRAM = '''"""Finish {picked} and more with β."""


def schedule(beta):
    return {{"more": round(4 * beta)}}


def solve(episode, knobs):
    episode.branches({branches})
    episode.finish([*{picked}, *range({first}, {first} + knobs["more"])])
    return None
'''


def program(number: int) -> str:
    """A trivial program that acts unlike every other: it finishes the branches that are set in the number's bits."""
    picked = tuple(branch for branch in range(PICKED) if number >> branch & 1)
    return PROGRAM.format(picked=picked, branches=BRANCHES, first=PICKED)


def world() -> Environment:
    """A few questions with branches of all lengths, so that every choice of branches costs something else."""
    rng = random.Random("overhead")
    questions = []
    for q in range(4):
        branches = []
        for _ in range(BRANCHES):
            depth, final = rng.randint(3, 9), rng.choice(["42", "7"])
            branches.append(Trajectory((final,) * depth, depth * 500 - rng.randint(1, 499), final))
        questions.append(Question(f"q{q}", f"Question {q}", "42", tuple(branches)))
    return Environment("overhead", "instant", 500, tuple(questions), max_branches=BRANCHES)


class Clock:
    """Listens to a search.

    Attributes:
        run: what it sees; the last baseline comes first.
        confirmed: candidates that were confirmed.
    """

    def __init__(self, candidates: int) -> None:
        self.run = Run([], [], [])
        self.confirmed = 0
        self._every = max(1, candidates // 30)

    def __call__(self, event: Event) -> None:
        if not isinstance(event, SlotEnded):
            return
        moments, cpu = self.run.moments, self.run.cpu
        if event.round == 0:  # the baselines: from the last of them on, time counts
            moments.clear()
            cpu.clear()
        else:
            assert event.outcome == "ok", event
            self.confirmed += event.confirmed
        moments.append(time.monotonic())
        if (len(moments) - 1) % self._every == 0:
            cpu.append((len(moments), cpu_seconds(os.getpid())))
            self.run.loads.append(os.getloadavg()[0])


def searched(candidates: int, workers: int, folder: Path) -> Clock:
    """A search of so many candidates over a new archive on the disk."""
    environments = [world()]
    save_environment(environments[0], folder / "overhead.jsonl")
    rounds = -(-candidates // SHAPE.proposals_per_round)
    config = replace(SHAPE, rounds=rounds, envs=(str(folder / "overhead.jsonl"),))
    agent, clock = MockAgent(answer, "instant"), Clock(candidates)
    with Archive(str(folder / f"workers-{workers}.db")) as archive:
        run = start_run(archive, None, config, environments)
        with open_run(archive, run, workers, agents=[agent]) as search:
            search.listen = clock
            search.go()
    return clock


def answer(context: Context) -> Proposal:
    return Proposal(program(context.number + 1), tuple(c.id for c in context.parents[:1]), "")


@dataclass(frozen=True)
class Bare:
    """Jailed children that compile a program and play its episodes, with no search around them: milliseconds of each.

    Attributes:
        wall: by the clock.
        cpu: CPU time, mean, of all processes that take part.
    """

    wall: list[float]
    cpu: float


def bare(environment: Environment) -> Bare:
    prepared, protocol = Prepared.of(environment), SHAPE.screen_protocol
    wall: list[float] = []
    signals = [table.signals for table in prepared.tables]
    with Sandbox(Evaluator._preload) as sandbox:

        def one(number: int) -> None:
            work = Work(Program.from_source(program(number)), protocol)
            with sandbox.spawn(Evaluator._entry) as child:
                work.compiled(
                    child, prepared.table_job(work, protocol.betas, seeds=list(protocol.seeds), signals=signals)
                )
                child.send(prepared.packed)
                for _ in range(1 + len(protocol.betas)):
                    child.recv()  # the knobs, and the episodes of each β

        one(1)  # starts the server
        used = cpu_seconds(os.getpid())
        for number in range(1, BARE + 1):
            start = time.monotonic()
            one(number)
            wall.append(1000 * (time.monotonic() - start))
        return Bare(wall, 1000 * (cpu_seconds(os.getpid()) - used) / BARE)


# ---- figures ---------------------------------------------------------------------------------------------------------


def milliseconds(run: Run) -> list[float]:
    """A candidate, over each group of as many as a round has: slots are committed in order, so some come at once."""
    group = SHAPE.proposals_per_round
    return [1000 * (b - a) / group for a, b in pairwise(run.moments[::group])]


def slope(taken: list[float]) -> tuple[float, float]:
    """Milliseconds that a thousand candidates add to one, and its standard error.

    Least squares through the medians of 30 equal parts: a machine that others use has outliers.
    """
    parts = np.array_split(np.array(taken), min(30, len(taken) // 2))
    y = np.array([np.median(part) for part in parts])
    x = np.cumsum([len(part) for part in parts]) * SHAPE.proposals_per_round / 1000
    centred = x - x.mean()
    rise = float(centred @ y / (centred @ centred))
    residuals = y - y.mean() - rise * centred
    return rise, float(np.sqrt(residuals @ residuals / (len(y) - 2) / (centred @ centred)))


def cell(figure: float) -> str:
    return f"{figure:.1f}"


def row(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def heading(*texts: str) -> list[str]:
    return [row(*texts), "|" + "---|" * len(texts)]


@dataclass(frozen=True)
class Row:
    """A run in the two tables of times: by the clock, and in CPU time."""

    name: str
    workers: int
    run: Run

    def clock(self) -> str:
        taken = milliseconds(self.run)
        buckets = [float(np.median(part)) for part in np.array_split(np.array(taken), BUCKETS)]
        whole = median(taken), mean(taken), quantiles(taken, n=20)[-1]
        rise, error = slope(taken)
        growth = f"{buckets[-1] / buckets[0]:.2f}", f"{rise:+.2f} ± {error:.2f}"
        load = cell(mean(self.run.loads))
        return row(
            self.name, str(self.workers), str(len(self.run.moments) - 1), *map(cell, (*whole, *buckets)), *growth, load
        )

    def cpu(self) -> list[float]:
        """Milliseconds a candidate in each fifth."""
        done, seconds = np.array(self.run.cpu, dtype=float).T
        borders = np.linspace(done[0], done[-1], BUCKETS + 1)
        return [float(ms) for ms in 1000 * np.diff(np.interp(borders, done, seconds)) / np.diff(borders)]

    def cpu_row(self) -> str:
        buckets = self.cpu()
        growth = f"{buckets[-1] / buckets[0]:.2f}"
        return row(self.name, str(self.workers), *map(cell, (mean(buckets), *buckets)), growth)


def ours(candidates: int, workers: int) -> tuple[Row, str]:
    """A search, and what it adds to bare children, which go before and after it."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        children = [bare(world())]
        clock = searched(candidates, workers, Path(folder))
        children.append(bare(world()))
    found = Row("AutoTTS", workers, clock.run)
    wall, used = [ms for child in children for ms in child.wall], mean(child.cpu for child in children)
    taken = milliseconds(clock.run)
    added = median(wall), median(taken) - median(wall), mean(taken) - mean(wall), used, mean(found.cpu()) - used
    share = f"{100 * clock.confirmed / candidates:.1f} %"
    return found, row(str(workers), *map(cell, added), f"{median(taken) / median(wall):.2f}", share)


def page(searches: list[tuple[Row, str]], rows: list[Row]) -> list[str]:
    """Lines of the page: our searches with what they add, and the rows of all frameworks."""
    parts = [f"part {k + 1} of {BUCKETS}" for k in range(BUCKETS)]
    return [
        "# What the framework adds to a candidate",
        "",
        f"- Command: `{shlex.join(['python', 'benchmarks/overhead.py', *sys.argv[1:]])}`",
        "- Data: an agent that answers at once, each time with a trivial program that acts unlike all before and",
        "  answers nothing, so that it is screened, and confirmed only until the screen's errors are known; one",
        f"  environment of {len(world().questions)} questions with {BRANCHES} branches; {SHAPE.betas} β, "
        f"{SHAPE.seeds} seeds, {SHAPE.screen_seeds} of them to screen; an archive on the disk",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "",
        f"Milliseconds a candidate by the clock, over groups of {SHAPE.proposals_per_round} (a round of AutoTTS):",
        "of all, then the median of each fifth of the run, in order. Slope: milliseconds that a thousand candidates",
        "add to each, ± its standard error (least squares through the medians of 30 equal parts). Load: the machine's",
        "load average meanwhile, the run's own included; with more than the cores, it tells of other work.",
        "",
        *heading(
            "framework", "workers", "candidates", "median", "mean", "95 %", *parts, "last ÷ first", "slope", "load"
        ),
        *(found.clock() for found in rows),
        "",
        "The same in CPU time, of all processes that take part, which does not see what else the machine does, nor",
        "sleeping: means.",
        "",
        *heading("framework", "workers", "mean", *parts, "last ÷ first"),
        *(found.cpu_row() for found in rows),
        "",
        "A bare jailed child is what no framework with this isolation can do without: one child that locks itself in,",
        "compiles the program under the policy and plays the screening episodes. What AutoTTS adds to it (the rest of",
        "screening, confirming, the archive, the standing, the selector), in milliseconds by the clock and of CPU",
        "time, and the share that was confirmed:",
        "",
        *heading(
            "workers",
            "bare child, median",
            "added, median",
            "added, mean",
            "bare child, CPU",
            "added, CPU",
            "candidate ÷ bare child, medians",
            "confirmed",
        ),
        *(added for _, added in searches),
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=1500, help=f"at most {2**PICKED - 1}")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--peers", type=Path, help="a folder for the peers, which are left out without it")
    parser.add_argument("--seconds", type=float, default=600, help="that a peer's run may take")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "overhead.md")
    options = parser.parse_args()
    searches = [ours(options.candidates, n) for n in options.workers]
    rows = [found for found, _ in searches]
    if options.peers:
        limits = options.peers.absolute(), options.candidates
        for peer in PEERS:
            runs = [(n, peer.run(*limits, n, options.seconds)) for n in options.workers]
            rows += [Row(peer.requirement.replace("==", " "), n, run) for n, run in runs]
    lines = page(searches, rows)
    if options.peers:
        lines += [
            "How the peers were run: with an evaluator that takes no time, configured for the least overhead.",
            "",
        ]
        for peer in PEERS:
            lines += textwrap.wrap(f"- {peer.name}: {peer.configured}", 118, subsequent_indent="  ")
        lines.append("")
    options.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
