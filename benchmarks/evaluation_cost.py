"""What an evaluation costs: plain Python, table episodes in the jail, host episodes, and what starts a child.

    python benchmarks/evaluation_cost.py [--env PATTERN]... [--seeds 4] [--out PATH]

One run on one machine; what is worth reading are the ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from autotts.errors import SandboxError
from autotts.evaluation import Evaluator, Protocol, even_betas, shipped
from autotts.replay import Environment, Episode, TableSource, load_environments, table_of
from autotts.sandbox import Limits, Sandbox, SandboxFactory, find_sandbox

ROOT = Path(__file__).resolve().parents[1]
RECORDED = Path(os.environ.get("AUTOTTS_SHARED", ROOT.parent / "shared")) / "data" / "replay"
PROGRAMS = ("cmc", "parallel_probe", "asc", "sc")


def plain(name: str, environments: list[Environment], protocol: Protocol) -> Callable[[], None]:
    """The same episodes in this process, without a sandbox."""
    namespace: dict[str, Any] = {}
    exec(compile(shipped(name).source, name, "exec"), namespace)
    tables = [(e, [table_of(question)[0] for question in e.questions]) for e in environments]

    def play() -> None:
        for environment, rows in tables:
            for beta in protocol.betas:
                knobs = namespace["schedule"](beta)
                for seed in protocol.seeds:
                    for table in rows:
                        source = TableSource(table, seed, environment.interval, environment.max_branches)
                        episode = Episode(source, environment.interval, environment.kappa_probe)
                        episode._answer_id(namespace["solve"](episode, dict(knobs)))

    return play


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and of CPU time."""

    wall: float
    cpu: float


def cost(work: Callable[[], object], cpu: Callable[[], float]) -> Cost:
    """The best of three; `cpu` tells the CPU time that was used so far."""
    found = []
    for _ in range(3):
        start, used = time.perf_counter(), cpu()
        work()
        found.append(Cost(time.perf_counter() - start, cpu() - used))
    return Cost(min(c.wall for c in found), min(c.cpu for c in found))


def sweeps(environments: list[Environment], protocol: Protocol) -> list[str]:
    """A row a program."""
    episodes = len(protocol.betas) * len(protocol.seeds) * len(environments[0].questions)
    rows = []
    with Evaluator(environments, workers=1) as evaluator:
        for name in PROGRAMS:
            program = shipped(name)
            bare = cost(plain(name, environments, protocol), time.process_time)
            table = cost(lambda: evaluator.run(program, protocol), lambda: evaluator.cpu_seconds)  # noqa: B023
            host = cost(lambda: evaluator.run(program, protocol, "confirm"), lambda: evaluator.cpu_seconds)  # noqa: B023
            figures = (bare.cpu, table.cpu, table.wall, host.wall)
            rows.append(
                "| "
                + " | ".join([name, *(f"{1000 * figure / episodes:.2f} ms" for figure in figures)])
                + f" | {table.cpu / bare.cpu:.2f} | {host.wall / table.wall:.2f} |"
            )
            print(rows[-1], flush=True)
    return rows


def starts(environments: list[Environment], sandbox: SandboxFactory) -> str:
    """Median milliseconds of a warm child: until it is locked in, and until its program's first action."""
    locked, acted = [], []
    program = shipped("cmc")
    with Evaluator(environments, workers=1, sandbox=sandbox) as evaluator:
        work = evaluator.begin(program, Protocol((0.5,), (0,)))
        job = work.job([0.5], mode="host", worlds=[evaluator._prepared[0].rules.told], episodes=[(0, 64)])
        for _ in range(50):
            start = time.perf_counter()
            with evaluator._jails.sandbox().spawn("autotts.sandbox.jail:report") as child:
                child.recv()
                locked.append(time.perf_counter() - start)
            start = time.perf_counter()
            with evaluator._spawn(program, Limits()) as child:
                work.start(child, job)
                child.recv()  # the knobs; then the first wave is asked for
                child.recv()
                acted.append(time.perf_counter() - start)
    return f"{1000 * median(locked):.1f} ms | {1000 * median(acted):.1f} ms |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", action="append", help="environments, as `autotts search --env` takes them")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "cost.md")
    options = parser.parse_args()
    recorded = sorted(str(path) for path in RECORDED.glob("*/aime24.json"))
    environments = load_environments(options.env or recorded or ["synthetic:search"])[:1]
    protocol = Protocol(even_betas(11), tuple(range(options.seeds)))
    episodes = len(protocol.betas) * options.seeds * len(environments[0].questions)
    rows = sweeps(environments, protocol)
    started = [f"| process | {starts(environments, Sandbox)}"]
    try:
        started.append(f"| docker | {starts(environments, find_sandbox('docker'))}")
    except SandboxError as error:
        print(f"no container: {error}")
    page = [
        "# What an evaluation costs",
        "",
        f"- Command: `{shlex.join(['python', 'benchmarks/evaluation_cost.py', *sys.argv[1:]])}`",
        f"- Data: {environments[0].name}, {episodes:,} episodes a figure, one worker, best of three",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "",
        "An episode's cost: CPU time in this process without a sandbox; CPU time of the jailed children on table",
        "episodes (policy, schedules and smoke episodes included), and by the clock; by the clock on host episodes (a",
        "referee reveals each wave). The jail costs the ratio of CPU times; confirming, the ratio by the clock.",
        "",
        "| program | plain, CPU | table, CPU | table, clock | host, clock | table ÷ plain, CPU | host ÷ table, clock |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "Starting a child of a warm sandbox, median of 50, by the clock: until it is locked in, and until the first",
        "action of `cmc` in a host episode (the program is compiled once, in its first child).",
        "",
        "| sandbox | locked in | first action |",
        "|---|---|---|",
        *started,
        "",
    ]
    options.out.write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
