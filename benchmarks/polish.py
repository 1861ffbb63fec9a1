"""Does tuning constants pay on questions that they were not tuned on? Programs polished on half of the questions.

    python benchmarks/polish.py [--env PATTERN]... [--seeds 2] [--generations 1,2,3] [--quick] [--out PATH]

Each program is polished on the odd questions for odd seeds, on the even ones for even seeds. The child is then scored
against its parent on episode seeds that the tuning never saw, on the same questions and on the other half; where there
is no child the gain is 0. A longer tuning goes on from a shorter one, so each variant is measured once.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from scoring import Fresh, Points, cell

from autotts.agents.evolution.operators import SEEDS
from autotts.agents.evolution.render import render
from autotts.agents.polish import polished
from autotts.errors import NothingBetter
from autotts.evaluation import Evaluator, Program, Protocol, even_betas, shipped
from autotts.evaluation.statistics import Scores, Yardstick, cluster_index, cluster_resamples
from autotts.replay import Environment, load_environments
from autotts.search import Config
from autotts.traces.bench import Bench

ROOT = Path(__file__).resolve().parents[1]
RECORDED = Path(os.environ.get("AUTOTTS_SHARED", ROOT.parent / "shared")) / "data" / "replay"
BASELINES = ("esc", "parallel_probe", "cmc")
WHERE = ("same", "other", "within")
COLUMNS = "same questions | other questions | within the parent's range"
Figure = tuple[float, float]


@dataclass
class Remembering(Bench):
    """A bench that measures each program once."""

    known: dict[tuple[str, str], Scores] = field(init=False, default_factory=dict)

    def scores(self, program: Program, protocol: Protocol) -> Scores:
        key = program.hash, protocol.hash
        if key not in self.known:
            self.known[key] = super().scores(program, protocol)
        return self.known[key]


@dataclass(frozen=True)
class Row:
    """One tuning: what the cross-validation said and what fresh seeds say, gains over the parent in points."""

    parent: str
    seed: int
    generations: int
    measured: int
    cpu: float
    words: str
    validated: Figure | None = None
    same: Figure = (0.0, 0.0)
    other: Figure = (0.0, 0.0)
    within: Figure = (0.0, 0.0)


def programs(count: int) -> dict[str, Program]:
    """Published controllers, and the first assemblies that `evolution` starts from."""
    ours = {f"evolution {n}": Program.from_source(render(SEEDS[n - 1])) for n in range(1, count + 1)}
    return {name: shipped(name) for name in BASELINES} | ours


def tune(bench: Remembering, name: str, parent: Program, seed: int, generations: int, fresh: Sequence[Fresh]) -> Row:
    """Polish one program, and score the child."""
    before, measured = bench.evaluator.cpu_seconds, len(bench.known)
    try:
        child, words = polished(bench, parent, random.Random(seed), generations=generations), ""
    except NothingBetter as error:
        child, words = None, f"declined{str(error).partition(' tuned on')[2]}"
    cost = len(bench.known) - measured, bench.evaluator.cpu_seconds - before
    if child is None:
        return Row(name, seed, generations, *cost, words)
    betas = even_betas(Config().betas)
    curve, origin = [(child.program, b) for b in betas], [(parent, b) for b in betas]
    words = ", ".join(f"line {line}: {old} → {new}" for line, old, new in child.changes)
    validated = 100 * child.gain, 100 * child.gain_se
    reference = [(shipped(bench.reference), b) for b in betas]
    figures = [difference(split, curve, origin, reference) for split in fresh]
    return Row(name, seed, generations, *cost, words, validated, *figures, fresh[1].gain(curve, origin))


def difference(split: Fresh, ours: Points, theirs: Points, reference: Points) -> Figure:
    """Of two gains over a reference, in points, with its paired standard error over questions."""
    a, b, over = (split.scores(points) for points in (ours, theirs, reference))
    clusters = len(cluster_index(over)[0])
    yardstick = Yardstick(over, np.concatenate([np.ones((1, clusters)), cluster_resamples(clusters, 1000, 0)]))
    gap = 100 * (yardstick.gains(a) - yardstick.gains(b))
    return float(gap[0]), float(gap[1:].std(ddof=1))


# ---- the page --------------------------------------------------------------------------------------------------------

EXPLANATION = """\
How far the child's gain at matched tokens over CMC is above its parent's, in points of accuracy, ± paired standard
error over questions. The cross-validated figure is what the decision rested on; in the columns after it nothing was
chosen. The last of these compares child and parent on the other questions between the parent's own first and last
point: a wider range counts for nothing there. A tuning that declines leaves the parent, so its gain is 0. Programs:
published controllers, and the assemblies that `evolution` starts from.
"""

REACH = """\
## How far this carries

What there is to gain depends on the program. Half of the questions cannot resolve a few tenths of a point, and then the
parent stays: that is most of the time for a program whose numbers are sensible. So `polish` is an agent to ask for, and
not a part of the default search. Where the gain over CMC is large and that within the parent's range is small, the
child has mostly come to work at budgets that its parent could not go down to. The halves share the models: the spread
over programs and seeds is no standard error. The published controllers were tuned by their authors for other models and
questions, which leaves more to find in them than in what a search has polished. What a child brings to a front is for
the search to say: it is screened and confirmed as any other program.
"""


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):+.2f}" + (f" ({stdev(values):.2f})" if len(values) > 1 else "")


def report(rows: Sequence[Row], facts: dict[str, str]) -> str:
    """The page, from figures alone."""
    lines = ["# Does polishing pay?", "", *(f"- {name}: {fact}" for name, fact in facts.items()), "", EXPLANATION]
    lines += ["## By how long is tuned", ""]
    lines += [f"| generations | children | measured | {COLUMNS} | below the parent |"]
    lines += ["|---|---|---|---|---|---|---|"]
    sizes = sorted({row.generations for row in rows})
    for size in sizes:
        these = [row for row in rows if row.generations == size]
        made = [row for row in these if row.validated]
        # A longer tuning was charged with what it did beyond the shorter ones.
        measured = sum(row.measured for row in rows if row.generations <= size) / len(these)
        figures = " | ".join(spread([getattr(row, where)[0] for row in these]) for where in WHERE)
        worse = sum(row.other[0] < 0 for row in made)
        lines += [f"| {size} | {len(made)} of {len(these)} | {measured:.0f} | {figures} | {worse} of {len(made)} |"]
    lines += ["", "In brackets the standard deviation over programs and seeds.", ""]
    longest = [row for row in rows if row.generations == sizes[-1]]
    means = {name: [row.other[0] for row in longest if row.parent == name] for name in {row.parent for row in longest}}
    told = ", ".join(f"{name} {mean(means[name]):+.2f}" for name in sorted(means, key=lambda n: (-mean(means[n]), n)))
    lines += [f"By program, on the other questions, after the longest tuning: {told}.", ""]
    for size in sizes:
        lines += [f"## {size} generation{'s' * (size > 1)}", ""]
        lines += [f"| program | seed | cross-validated | {COLUMNS} | what changed |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for row in (row for row in rows if row.generations == size):
            told = (row.validated, *(getattr(row, where) for where in WHERE)) if row.validated else ()
            figures = " | ".join([cell(figure) for figure in told] or ["–"] * 4)
            lines += [f"| {row.parent} | {row.seed} | {figures} | {row.words} |"]
        lines += [""]
    return "\n".join([*lines, REACH])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", action="append", help="environments, as `autotts search --env` takes them")
    parser.add_argument("--seeds", type=int, default=2, help="tunings a program")
    parser.add_argument("--generations", default="1,2,3", help="of the optimiser")
    parser.add_argument("--evolved", type=int, default=2, help="programs of evolution beside the published ones")
    parser.add_argument("--fresh", type=int, default=6, help="episode seeds that the children are scored on")
    parser.add_argument("--quick", action="store_true", help="one seed, one generation, few episodes: does it run?")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "polish.md")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.generations, options.evolved, options.fresh = 1, "1", 0, 2
    return options


def facts_of(environments: Sequence[Environment], fresh: int) -> dict[str, str]:
    protocol, questions = Config().screen_protocol, len(environments[0].questions)
    return {
        "Command": f"`{shlex.join(['python', 'benchmarks/polish.py', *sys.argv[1:]])}`",
        "Data": f"{', '.join(e.name for e in environments)}, half of the questions a tuning "
        f"({(questions + 1) // 2} and {questions // 2})",
        "Size": f"{len(protocol.seeds)} episode seeds to tune on, {fresh} fresh ones",
        "Machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def main() -> None:
    options = arguments()
    recorded = sorted(str(path) for path in RECORDED.glob("*/aime24.json"))
    environments = load_environments(options.env or recorded or ["synthetic:search"])
    halves = [[e.select([q.id for q in e.questions[start::2]]) for e in environments] for start in (0, 1)]
    fresh = [Fresh(half, options.fresh) for half in halves]
    facts, rows, start = facts_of(environments, options.fresh), list[Row](), time.monotonic()
    for seed in range(1, options.seeds + 1):
        seen = (seed + 1) % 2
        with Evaluator(halves[seen]) as evaluator:
            bench = Remembering(evaluator, Config().screen_protocol)
            for name, parent in programs(options.evolved).items():
                for size in sorted(map(int, options.generations.split(","))):
                    rows.append(tune(bench, name, parent, seed, size, (fresh[seen], fresh[1 - seen])))
                    print(rows[-1], flush=True)
                cpu = sum(row.cpu for row in rows) / len({(row.parent, row.seed) for row in rows})
                minutes = (time.monotonic() - start) / 60
                spent = {"Time": f"{minutes:.0f} minutes; {cpu:.0f} CPU seconds a program for the longest tuning"}
                options.out.write_text(report(rows, facts | spent), encoding="utf-8")


if __name__ == "__main__":
    main()
