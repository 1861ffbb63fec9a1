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
from pathlib import Path
from typing import Any

from autotts.evaluation import Evaluator, Protocol, even_betas, shipped
from autotts.replay import Environment, Episode, TableSource, load_environments, table_of

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


def timed(work: Callable[[], object]) -> float:
    """Seconds by the clock, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


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
    rows = []
    with Evaluator(environments, workers=1) as evaluator:
        for name in PROGRAMS:
            program = shipped(name)
            bare = timed(plain(name, environments, protocol))
            table = timed(lambda: evaluator.run(program, protocol))  # noqa: B023
            host = timed(lambda: evaluator.run(program, protocol, "confirm"))  # noqa: B023
            rows.append(
                f"| {name} | {1000 * bare / episodes:.2f} ms | {1000 * table / episodes:.2f} ms | "
                f"{1000 * host / episodes:.2f} ms | {table / bare:.2f} | {host / table:.2f} |"
            )
            print(rows[-1], flush=True)
    page = [
        "# What an evaluation costs",
        "",
        f"- Command: `{shlex.join(['python', 'benchmarks/evaluation_cost.py', *sys.argv[1:]])}`",
        f"- Data: {environments[0].name}, {episodes:,} episodes a figure, one worker, best of three",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "",
        "Time by the clock an episode: in this process without a sandbox; table episodes in the jail (child start,",
        "policy and smoke episodes included); host episodes (a referee that reveals each wave).",
        "",
        "| program | plain | table | host | table ÷ plain | host ÷ table |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    options.out.write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
