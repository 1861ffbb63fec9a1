"""What evidence costs: every instrument once, cold, at its default sample, beside a screening of `cmc`.

    python benchmarks/evidence_cost.py [--env PATTERN]... [--workers 2] [--out PATH]

One run on one machine; what is worth reading are the ratios, and whether anything takes more than a few seconds.
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

from autotts.evaluation import Evaluator, Protocol, even_betas, shipped
from autotts.replay import Environment, load_environments
from autotts.traces.bench import Bench

ROOT = Path(__file__).resolve().parents[1]
RECORDED = Path(os.environ.get("AUTOTTS_SHARED", ROOT.parent / "shared")) / "data" / "replay"


def instruments(bench: Bench) -> dict[str, Callable[[], object]]:
    """Name → an instrument's call, as agents and `autotts inspect` make it."""
    cmc, asc = shipped("cmc"), shipped("asc")
    prune = next(n for n, line in enumerate(cmc.source.split("\n"), 1) if "episode.prune(" in line)
    return {
        "credit": lambda: bench.credit(cmc).text(),
        "credit, a line overridden": lambda: bench.overridden(cmc, prune).text(),
        "failures": lambda: bench.failures(cmc).text(),
        "episode": lambda: bench.episode(cmc, bench.environments[0].name, 1, 0, 0.5).text(),
        "compare": lambda: bench.compare(asc, cmc).text(),
        "states": lambda: bench.states(None).text(),
        "states, split by an expression": lambda: bench.states("state.lead / state.n").text(),
        "branches": lambda: bench.branches(None).text(),
        "branches, an expression": lambda: bench.branches("branch.settled / branch.depth").text(),
        "difficulty": lambda: bench.difficulty().text(),
        "ceilings": lambda: bench.ceilings().text(),
        "evaluate_draft": lambda: bench.measure(cmc).text,
    }


def timed(environments: list[Environment], workers: int) -> tuple[float, dict[str, float]]:
    """Seconds by the clock: of a screening, and of each instrument on a bench of its own."""
    protocol = Protocol(even_betas(11), (0, 1))
    found = {}
    with Evaluator(environments, workers) as evaluator:
        evaluator.run(shipped("cmc"), protocol)  # the sandbox is warm
        start = time.perf_counter()
        evaluator.run(shipped("cmc"), protocol)
        screening = time.perf_counter() - start
        for name in instruments(Bench(evaluator, protocol)):
            find = instruments(Bench(evaluator, protocol))[name]
            start = time.perf_counter()
            find()
            found[name] = time.perf_counter() - start
            print(f"{name}: {found[name]:.2f} s", flush=True)
    return screening, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", action="append", help="environments, as `autotts search --env` takes them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "evidence-cost.md")
    options = parser.parse_args()
    recorded = sorted(str(path) for path in RECORDED.glob("*/aime24.json"))
    environments = load_environments(options.env or recorded or ["synthetic:search"])
    screening, found = timed(environments, options.workers)
    questions = sum(len(environment.questions) for environment in environments)
    page = [
        "# What evidence costs",
        "",
        f"- Command: `{shlex.join(['python', 'benchmarks/evidence_cost.py', *sys.argv[1:]])}`",
        f"- Data: {', '.join(e.name for e in environments)}, {questions} questions; default samples",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{options.workers} workers",
        "",
        "By the clock, each on a bench that has nothing at hand yet; beside it the ratio to a screening of `cmc` "
        f"(11 β, 2 seeds: {screening:.2f} s).",
        "",
        "| instrument | seconds | ÷ screening |",
        "|---|---|---|",
        *(f"| {name} | {seconds:.3f} | {seconds / screening:.3f} |" for name, seconds in found.items()),
        "",
        f"The slowest takes {max(found.values()):.1f} s.",
        "",
    ]
    options.out.write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
