"""How large a screen has to be, and which bound lets through all that full evaluation would put on the front.

    python benchmarks/screening.py [--env PATTERN]... [--searches 12] [--cache FOLDER] [--quick] [--out PATH]

Every program is played fully once, seed by seed (`played.py`); then searches are simulated under many screens: the
order of the programs and the episode seeds are drawn anew for each. The gate of a round is what the round before it
left, as in a search. What a screen loses is counted strictly: a program that would have entered the front of everything
that had come so far, had all been fully evaluated, and was not confirmed.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist, mean, stdev

import numpy as np
from played import BETAS, PER_ROUND, World, collected

from autotts.archive import Point, front, hypervolume
from autotts.evaluation import Evaluator, shipped
from autotts.evaluation.statistics import mean_curve
from autotts.replay import Environment, load_environments
from autotts.search import BASELINES, Config
from autotts.search.screening import DOUBT, Gate, spent
from autotts.search.standing import rectangle

ROOT = Path(__file__).resolve().parents[1]
RECORDED = Path(os.environ.get("AUTOTTS_SHARED", ROOT.parent / "shared")) / "data" / "replay"
SCREENS = ((2, 3), (3, 2), (1, 6), (1, 11), (3, 11))
"""(episode seeds, β) of the screens that are compared."""

STARTS = 5
"""Times that what every evaluation starts with is measured."""

AGAIN = 12
"""(seed, β) pairs for which a small screen is repeated, to be timed."""

Screen = tuple[int, int]


@dataclass(frozen=True)
class Run:
    """One simulated search: the programs as they come, and its episode seeds, of which screens play the first."""

    world: World
    order: tuple[str, ...]
    seeds: tuple[int, ...]

    def points(self, hash_: str, screen: Screen | None = None) -> tuple[Point, ...]:
        """A program's mean curve: of a screen, or of full evaluation."""
        n_seeds, n_betas = screen or (len(self.seeds), len(BETAS))
        betas = Config(betas=len(BETAS), screen_betas=n_betas).screen_protocol.betas
        scores = self.world.scores(hash_, self.seeds[:n_seeds], [BETAS.index(beta) for beta in betas])
        accuracy, tokens = mean_curve(scores.accuracy, scores.tokens, np.ones(len(scores.units)))
        return tuple(Point(hash_, *p) for p in zip(betas, tokens.tolist(), accuracy.tolist(), strict=True))


@dataclass(frozen=True)
class Asked:
    """What a bound has to decide on: a program's screened points at a look, and what it may know by then."""

    run: Run
    screen: Screen
    gate: Gate
    confirmed: tuple[str, ...]
    hash: str
    points: tuple[Point, ...]
    look: int


Bound = Callable[[Asked], bool]


@dataclass(frozen=True)
class Outcome:
    """Of one simulated search: shares of the programs, of those that full evaluation keeps off the front; losses."""

    passed: float
    others: float
    entered: int
    lost: int
    lost_at_end: int
    at_end: int
    volume_lost: float


# ---- bounds ----------------------------------------------------------------------------------------------------------


def raw(asked: Asked) -> bool:
    """A point above the screened front of the confirmed programs, luck and all."""
    edge = front(p for hash_ in asked.confirmed for p in asked.run.points(hash_, asked.screen))
    return any(p.accuracy > max((q.accuracy for q in edge if q.tokens <= p.tokens), default=-1.0) for p in asked.points)


def gated(spend: Callable[[int], float]) -> Bound:
    """The gate that a search has, spending its doubt thus."""
    return lambda asked: asked.gate.look(asked.points, asked.look, spend).passes


def no_bound(asked: Asked) -> bool:
    """A lead over the front, luck taken off, and nothing for its error."""
    return asked.gate.look(asked.points, asked.look).lead > 0


def paired(asked: Asked) -> bool:
    """A point that no program of the front beats on the same episodes, at no more tokens, beyond the error of seeds.

    The error from the episodes on which the two differ, all of which might be chance, with the correction for a finite
    population of seeds; the doubt is spent as in a search.
    """
    run, (n_seeds, _) = asked.run, asked.screen
    z = -NormalDist().inv_cdf(spent(asked.look))
    places = {point.beta: BETAS.index(point.beta) for point in asked.points}
    seeds = list(run.seeds[:n_seeds])

    def right(hash_: str, beta: float) -> np.ndarray:
        return run.world.programs[hash_].right[seeds][:, :, places[beta]].mean(axis=0)

    for point in asked.points:
        ours, beaten = right(asked.hash, point.beta), False
        for holder in {p.id for p in asked.gate.edge}:
            cheaper = [p for p in run.points(holder, asked.screen) if p.tokens <= point.tokens]
            if cheaper:
                gap = ours - right(holder, max(cheaper, key=lambda p: p.accuracy).beta)
                error = math.sqrt((gap**2).sum() * (1 - n_seeds / len(run.seeds))) / gap.size
                beaten = beaten or gap.mean() < -z * error
        if not beaten:
            return True
    return False


BOUNDS: dict[str, Bound] = {
    "none, luck and all": raw,
    "none": no_bound,
    "each look 0.1": gated(lambda _: 0.1),
    "each look 0.01": gated(lambda _: 0.01),
    f"k ln² k, {DOUBT} in all": gated(spent),
    f"k², {DOUBT} in all": gated(lambda k: DOUBT * 6 / (math.pi * k) ** 2),
    f"paired by episode, k ln² k, {DOUBT} in all": paired,
}


# ---- simulated searches ----------------------------------------------------------------------------------------------


def runs(world: World, n: int, n_seeds: int) -> list[Run]:
    """Searches: first the streams as they were proposed, then all programs in any order; episode seeds drawn."""
    result, everything = [], [h for h in world.programs if h not in world.streams[0][: len(BASELINES)]]
    known = len(next(iter(world.programs.values())).right)
    for number in range(n):
        rng = random.Random(number)
        baselines = world.streams[0][: len(BASELINES)]
        shuffled = (*baselines, *rng.sample(everything, len(everything)))
        order = world.streams[number] if number < len(world.streams) else shuffled
        result.append(Run(world, order, tuple(rng.sample(range(known), min(n_seeds, known)))))
    return result


def sides(environments: Sequence[Environment]) -> dict[str, float]:
    """The rectangle of a hypervolume in the tokens of the curves here, which are not divided."""
    shares = rectangle(environments)
    left, right = (mean(getattr(e, name) for e in environments) for name in ("mean_branch_tokens", "sc64_tokens"))
    return {"floor": shares["floor"], "left": left, "right": right}


def simulate(run: Run, screen: Screen, bound: Bound, box: dict[str, float]) -> Outcome:
    """One search under one screen and one bound."""
    n = len(BASELINES)
    gate, confirmed = Gate(), list(run.order[:n])
    for hash_ in confirmed:
        gate = gate.add(run.points(hash_, screen), run.points(hash_))
    edge = front(p for hash_ in confirmed for p in run.points(hash_))
    passes, enters = [], []
    for start in range(n, len(run.order), PER_ROUND):
        before, known = gate, tuple(confirmed)
        for place in range(start, min(start + PER_ROUND, len(run.order))):
            hash_ = run.order[place]
            points = run.points(hash_, screen)
            passes.append(bound(Asked(run, screen, before, known, hash_, points, place + 1)))
            edge = front([*edge, *run.points(hash_)])
            enters.append(any(p.id == hash_ for p in edge))
            if passes[-1]:
                gate = gate.add(points, run.points(hash_))
                confirmed.append(hash_)
    passed, entered = np.array(passes), np.array(enters)
    holders = {p.id for p in edge}
    volumes = [hypervolume([p.tokens for p in e], [p.accuracy for p in e], **box) for e in (edge, gate.edge)]
    others = passed[~entered].mean() if (~entered).any() else math.nan
    lost = (entered & ~passed).sum()
    ends = len(holders - set(confirmed)), len(holders)
    return Outcome(
        float(passed.mean()), float(others), int(entered.sum()), int(lost), *ends, 1 - volumes[1] / volumes[0]
    )


# ---- what a screen costs ---------------------------------------------------------------------------------------------


def cpu(environments: Sequence[Environment], work: Callable[[Evaluator], object]) -> float:
    """CPU seconds of this process and all beneath it, children included."""
    before = os.times()
    with Evaluator(environments, workers=1) as evaluator:
        evaluator.admit(True)
        work(evaluator)
    return sum(b - a for a, b in zip(before[:4], os.times()[:4], strict=True))


def shares(environments: Sequence[Environment], screens: Sequence[Screen], n_seeds: int) -> list[tuple[float, float]]:
    """What screens play of a full evaluation's episodes, and what they cost of its CPU (`cmc`)."""
    program, whole = shipped("cmc"), Config(betas=len(BETAS), seeds=n_seeds)
    # The least of several: what else the machine does only ever adds to it, and too much must not be taken off.
    start = min(cpu(environments, lambda evaluator: evaluator.isolation) for _ in range(STARTS))
    full = cpu(environments, lambda e: e.run(program, whole.protocol, "confirm")) - start
    result = []
    for seeds, betas in screens:
        protocol = replace(whole, screen_seeds=seeds, screen_betas=betas).screen_protocol
        again = max(1, AGAIN // (seeds * betas))
        small = cpu(environments, lambda e, p=protocol, n=again: [e.run(program, p) for _ in range(n)]) - start
        result.append((seeds * betas / (n_seeds * len(BETAS)), small / again / full))
    return result


# ---- the page --------------------------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> str:
    known = [100 * v for v in values if not math.isnan(v)]
    return f"{mean(known):.0f} ({stdev(known):.0f})" if len(known) > 1 else f"{known[0]:.0f}" if known else "—"


def row(name: str, outcomes: Sequence[Outcome]) -> str:
    lost, entered, late, at_end = (
        sum(getattr(o, x) for o in outcomes) for x in ("lost", "entered", "lost_at_end", "at_end")
    )
    cells = [spread([o.passed for o in outcomes]), spread([o.others for o in outcomes])]
    losses = f"{lost} of {entered}", f"{late} of {at_end}", f"{100 * max(o.volume_lost for o in outcomes):.2f} %"
    return " | ".join(["", name, *cells, *losses, ""]).strip()


def section(world: World, environments: Sequence[Environment], options: argparse.Namespace, n_seeds: int) -> list[str]:
    """A world's tables: every bound under the default screen, then the shipped bound under every screen."""
    box, searches = sides(environments), runs(world, options.searches, n_seeds)
    entering = [simulate(run, (1, 1), lambda _: True, box) for run in searches]
    share = sum(o.entered for o in entering) / sum(len(o.order) - len(BASELINES) for o in searches)
    default = Config().screen_seeds, Config().screen_betas
    head = "passes, % | of the others, % | lost on coming | lost at the end | hypervolume lost at most |"
    lines = [
        f"## {world.name}",
        "",
        f"{len(world.programs)} programs; of those after the baselines {100 * share:.0f} % entered the front.",
        "",
        f"Bounds, on a screen of {default[0]} seeds × {default[1]} β:",
        "",
        f"| bound | {head}",
        "|---|---|---|---|---|---|",
    ]
    for name, bound in BOUNDS.items():
        lines.append(row(name, [simulate(run, default, bound, box) for run in searches]))
        print(world.name, lines[-1], flush=True)
    lines += ["", "Screens, under the bound that a search has:", "", f"| seeds × β | episodes, % | CPU, % | {head}"]
    lines.append("|---|---|---|---|---|---|---|---|")
    screens = [screen for screen in dict.fromkeys((default, *SCREENS)) if screen[0] <= n_seeds]
    for screen, (episodes, time) in zip(screens, shares(environments, screens, n_seeds), strict=True):
        outcomes = [simulate(run, screen, gated(spent), box) for run in searches]
        lines.append(row(f"{screen[0]} × {screen[1]} | {100 * episodes:.1f} | {100 * time:.1f}", outcomes))
        print(world.name, lines[-1], flush=True)
    return [*lines, ""]


EXPLANATION = """\
A program *passes* when it is confirmed; *the others* are those that full evaluation keeps off the front, so that a
perfect screen passes none of them. *Lost on coming*: programs that would have entered the front of all that had come so
far, and did not pass; *lost at the end*: programs of the final front. Shares are means over the simulated searches,
with their standard deviation. Luck is what all programs share on the screen's seeds; every bound but the first and the
last takes it off. *Each look*: a chance that each look may spend, whatever their number. *In all*: a chance that a
whole run may spend, by a union bound over its looks. CPU is that of `cmc`, table episodes beside host episodes, of all
processes.
"""

MEANING = """\
## What follows from it

- Without a bound a screen loses programs of the front; a level that is the same at each look may lose the more the
  longer a run is. The union bound over all looks is the one that is shipped: `autotts/search/screening.py`.
- For as many episodes, more seeds at fewer β say more than the other way round: what lies between is read off a
  straight line, and how far that is off is known from the programs that were confirmed. A β in the middle is kept all
  the same: it costs next to nothing here, and tells programs apart that do the same at both ends.
- Most programs of this agent are near the front, and many enter it by an answer or two. No screen of a tenth tells
  these apart with a bound for a whole run, so nearly all of them pass: losing nothing is what the bound is for. What
  the screen stops is what is far off, at a twentieth of the CPU that confirming costs.
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", action="append", help="environments, as `autotts search --env` takes them")
    parser.add_argument("--searches", type=int, default=12, help="simulated searches")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps what was played")
    parser.add_argument("--quick", action="store_true", help="few programs, few searches: does it run?")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screening.md")
    options = parser.parse_args()
    if options.quick:
        options.searches = 2
    return options


def main() -> None:
    options = arguments()
    recorded = sorted(str(path) for path in RECORDED.glob("*/aime24.json"))
    patterns = {"given by `--env`": options.env} if options.env else {"synthetic:search": ["synthetic:search"]}
    if recorded and not options.env:
        patterns = {"recorded: Qwen3 0.6B, 1.7B, 4B, 8B on AIME 2024": recorded, **patterns}
    known, n_seeds = (3, 2) if options.quick else (6, Config().seeds)
    facts = [
        f"- Command: `python benchmarks/screening.py --searches {options.searches}`",
        f"- Size: full evaluation is {len(BETAS)} β × {n_seeds} seeds, drawn from {known} for each simulated search; "
        f"{options.searches} searches each",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    ]
    lines = ["# How large a screen has to be", "", *facts, "", EXPLANATION]
    with tempfile.TemporaryDirectory() as folder:
        for name, names in patterns.items():
            environments = load_environments(names)
            lengths = [(False, 44), (True, 30), (False, 26)] if name.startswith("rec") else [(False, 20), (True, 10)]
            if options.quick:
                lengths = [(False, 4), (True, 4)]
            world = collected(name, environments, known, lengths, options.cache or Path(folder))
            lines += section(world, environments, options, n_seeds)
    options.out.write_text("\n".join([*lines, MEANING]), encoding="utf-8")


if __name__ == "__main__":
    main()
