"""Is the search a search? Evolution against random sampling of the same space, at equal evaluations.

    python benchmarks/search_quality.py [--env PATTERN]... [--seeds 4] [--rounds 8] [--quick] [--out PATH]

Each search sees half of the questions: the odd ones for odd search seeds, the even ones for even seeds. What it found
(its best new program, and its front of new programs; baselines do not count) is then scored on episode seeds that the
search never saw, on the same questions and on the other half. These are the searches that `autotts search` runs, in the
sandbox. The report is rewritten after each search seed, so an interrupted run leaves what it has.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from scoring import Fresh, cell

from autotts.agents.evolution import EvolutionAgent
from autotts.archive import Archive, Point, front
from autotts.evaluation import Evaluator, Program, even_betas, shipped
from autotts.replay import Environment, load_environments
from autotts.search import Config, Search, default_selector, start_run

ROOT = Path(__file__).resolve().parents[1]
RECORDED = Path(os.environ.get("AUTOTTS_SHARED", ROOT.parent / "shared")) / "data" / "replay"
MODES = ("evolution", "random")
WHERE = ("searched on", "same questions, fresh seeds", "other questions, fresh seeds")
Figures = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Found:
    """What one search found, in order: the best new program, and the (program, β) of its front of new programs."""

    best: Program
    gain: tuple[float, float]
    front: tuple[tuple[Program, float], ...]


@dataclass(frozen=True)
class Outcome:
    """One search: gains in points with standard errors by where they were scored, of its best program and its front."""

    idea: str
    best: Figures
    front: Figures


def search(environments: Sequence[Environment], config: Config, mode: str) -> Found:
    """Run one search in an archive of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Archive(str(Path(folder) / "a.db")) as archive,
        Evaluator(environments) as evaluator,
    ):
        name = start_run(archive, None, config, environments)
        agent = EvolutionAgent(random_only=mode == "random")
        job = Search(archive, name, config, environments, [agent], default_selector(environments), evaluator)
        job.go()
        return found_by(job)


def found_by(job: Search) -> Found:
    """What a search that came to its end found."""
    new = {c.id: c for c in job.candidates if c.round and c.points}
    programs = {id_: Program.from_source(c.source) for id_, c in new.items()}
    best = max(new.values(), key=lambda c: c.gain or 0.0)
    edge = front(Point(id_, beta, spent, right) for id_, c in new.items() for beta, right, spent in c.points)
    gain = 100 * (best.gain or 0.0), 100 * (best.gain_se or 0.0)
    return Found(programs[best.id], gain, tuple((programs[p.id], p.beta) for p in edge))


def outcome(found: Found, fresh: Sequence[Fresh], betas: tuple[float, ...]) -> Outcome:
    """Score what a search found."""
    curve, reference = [(found.best, beta) for beta in betas], [(shipped("cmc"), beta) for beta in betas]
    splits = list(zip(WHERE[1:], fresh, strict=True))
    best = {WHERE[0]: found.gain} | {where: split.gain(curve, reference) for where, split in splits}
    edge = {where: split.gain(found.front, reference) for where, split in splits}
    return Outcome(found.best.idea, best, edge)


# ---- the page --------------------------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):+.2f}" + (f" ({stdev(values):.2f})" if len(values) > 1 else "")


def table(title: str, results: dict[tuple[int, str], Figures], columns: Sequence[str]) -> list[str]:
    """Every search, the means, and how far evolution is ahead of random sampling."""
    seeds = sorted({seed for seed, _ in results})
    lines = [f"## {title}", "", f"| search seed | mode | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    for (seed, mode), figures in sorted(results.items()):
        lines.append(f"| {seed} | {mode} | {' | '.join(cell(figures[where]) for where in columns)} |")
    for mode in MODES:
        cells = [spread([results[seed, mode][where][0] for seed in seeds]) for where in columns]
        lines.append(f"| mean (sd) | {mode} | {' | '.join(cells)} |")
    cells = []
    for where in columns:
        gaps = [results[seed, MODES[0]][where][0] - results[seed, MODES[1]][where][0] for seed in seeds]
        cells.append(f"{spread(gaps)}, ahead in {sum(gap > 0 for gap in gaps)} of {len(gaps)}")
    lines += [f"| difference | evolution − random | {' | '.join(cells)} |", ""]
    for mode in MODES:
        above = [sum(results[s, mode][w][0] > results[s, mode][w][1] for s in seeds) for w in columns]
        positive = [sum(results[s, mode][w][0] > 0 for s in seeds) for w in columns]
        told = "; ".join(f"{w}: {a} and {p}" for w, a, p in zip(columns, above, positive, strict=True))
        lines.append(f"- {mode}: more than one standard error above CMC, and above it at all, of {len(seeds)}: {told}.")
    return [*lines, ""]


EXPLANATION = """\
Gains at matched tokens over CMC, in points of accuracy, ± standard error over questions. Baselines are taken out: only
programs that the search's agent wrote count. The first column is the figure by which the best of many was chosen, and
flatters it; in the others nothing was chosen.
"""

REACH = """\
## How far this carries

The questions are shared by all environments, so a standard error rests on as many clusters as there are questions in a
half. The space itself (which mechanisms, the ranges of knobs) and what evolution knows beforehand (the assemblies that
it starts from, how likely it takes each mechanism to be of use) were chosen with the recorded environments at hand, all
questions included: the other half is unseen by a search, not by its space. Random sampling draws evenly from the same
space, without that knowledge, which is part of the difference: with the same knowledge put into its draws, one trial of
random sampling did as well.
"""


def report(results: dict[tuple[int, str], Outcome], facts: dict[str, str]) -> str:
    """The page, from figures alone."""
    lines = ["# Is the search a search?", "", *(f"- {name}: {fact}" for name, fact in facts.items()), "", EXPLANATION]
    lines += table("The best new program", {key: o.best for key, o in results.items()}, WHERE)
    lines += table("The front of new programs", {key: o.front for key, o in results.items()}, WHERE[1:])
    lines += ["## What was found", ""]
    lines += [f"- seed {seed}, {mode}: {results[seed, mode].idea}" for seed, mode in sorted(results)]
    return "\n".join([*lines, "", REACH])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", action="append", help="environments, as `autotts search --env` takes them")
    parser.add_argument("--seeds", type=int, default=4, help="searches a mode")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--fresh", type=int, default=12, help="episode seeds that the winners are scored on")
    parser.add_argument("--quick", action="store_true", help="one seed, two rounds, few episodes: does it run?")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "search-quality.md")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.rounds, options.fresh = 1, 2, 2
    return options


def main() -> None:
    options = arguments()
    recorded = sorted(str(path) for path in RECORDED.glob("*/aime24.json"))
    environments = load_environments(options.env or recorded or ["synthetic:search"])
    halves = [[e.select([q.id for q in e.questions[start::2]]) for e in environments] for start in (0, 1)]
    config = Config(rounds=options.rounds)
    betas = even_betas(config.betas)
    fresh = [Fresh(half, options.fresh) for half in halves]
    origin = "given by `--env`" if options.env else "recorded" if recorded else "synthetic: no recording is at hand"
    facts = {
        "Command": f"`{shlex.join(['python', 'benchmarks/search_quality.py', *sys.argv[1:]])}`",
        "Data": f"{', '.join(e.name for e in environments)} ({origin}), half of the questions a search "
        f"({len(halves[0][0].questions)} and {len(halves[1][0].questions)})",
        "Size": f"{config.rounds} rounds × {config.proposals_per_round} proposals a search; {config.betas} β; "
        f"{config.screen_seeds} episode seeds to screen, {config.seeds} to confirm, {options.fresh} fresh ones",
        "Machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    results: dict[tuple[int, str], Outcome] = {}
    start = time.monotonic()
    for seed in range(1, options.seeds + 1):
        seen = (seed + 1) % 2
        for mode in MODES:
            found = search(halves[seen], Config(rounds=options.rounds, seed=seed), mode)
            results[seed, mode] = outcome(found, (fresh[seen], fresh[1 - seen]), betas)
            best, edge = (
                {w: cell(f) for w, f in x.items()} for x in (results[seed, mode].best, results[seed, mode].front)
            )
            print(f"seed {seed} {mode}: best {best}, front {edge}", flush=True)
        minutes = (time.monotonic() - start) / 60
        options.out.write_text(report(results, {**facts, "Time": f"{minutes:.0f} minutes"}), encoding="utf-8")


if __name__ == "__main__":
    main()
