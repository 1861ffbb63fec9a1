"""Does it matter how parents are chosen? Shipped strategies and others, at equal evaluations.

    python benchmarks/selection.py [--env PATTERN]... [--seeds 4] [--rounds 6] [--quick] [--out PATH]

Each search sees half of the questions, the two halves in turn, as in benchmarks/search_quality.py; what it found is
scored on episode seeds that no search played, on the same questions and on the other half. The agent is `evolution`
without its own pool of best programs, so the selector alone says who becomes a parent. A program that several searches
come upon is evaluated once. The report is rewritten after each search seed.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from scoring import Fresh
from search_quality import RECORDED, ROOT, found_by, spread
from strategies import Islands, MapElites, PerQuestion, by_spending

from autotts.agents.evolution import EvolutionAgent
from autotts.agents.evolution.genome import Genome
from autotts.archive import Archive, Point
from autotts.archive.selection import BestOfN, Entry, Selector, Sequential
from autotts.evaluation import EnvironmentResult, Evaluator, Program, Protocol, even_betas, shipped
from autotts.evaluation.evaluate import Source
from autotts.evaluation.shards import Work
from autotts.replay import Environment, load_environments
from autotts.search import Config, Search, default_selector, start_run
from autotts.search.screening import student
from autotts.search.standing import rectangle

DOUBT = 0.05
"""Chance that any strategy is told apart from `pareto` on one measure where all are equal; shared among them."""

Key = tuple[str, str, str, tuple[int, ...] | None]


class Remembering(Evaluator):
    """Plays the same program under the same protocol once, however many searches come upon it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._begun: dict[tuple[str, str], Work] = {}
        self._played: dict[Key, list[EnvironmentResult]] = {}

    @property
    def programs(self) -> int:
        """How many were played."""
        return len({hash_ for hash_, _ in self._begun})

    def begin(self, program: Program, protocol: Protocol) -> Work:
        key = program.hash, protocol.hash
        if key not in self._begun:
            self._begun[key] = super().begin(program, protocol)
        return self._begun[key]

    def play(
        self,
        work: Work,
        source: Source = "screen",
        progress: Callable[[float], None] | None = None,
        only: Sequence[int] | None = None,
    ) -> list[EnvironmentResult]:
        key = work.program.hash, work.protocol.hash, source, None if only is None else tuple(only)
        if key not in self._played:
            self._played[key] = super().play(work, source, progress, only)
        return list(self._played[key])


@dataclass(frozen=True)
class Told:
    """What a strategy may look up beside the entries: the run's records of programs told of."""

    archive: Archive
    run: str
    config: Config
    environments: Sequence[Environment]

    def curves(self, id_: str) -> list[list[Point]]:
        """A program's curve on every question of every environment, tokens in units of SC@64's."""
        hashes = [environment.hash for environment in self.environments]
        stored = self.archive.get_evaluations(
            self.archive.resolve(id_).hash, hashes, self.config.protocol.hash, "confirm"
        )
        curves = []
        for environment in self.environments:
            kept = stored[environment.hash]
            accuracy = kept.right / kept.n_seeds
            tokens = kept.tokens / kept.n_seeds / environment.sc64_tokens
            for q in range(accuracy.shape[1]):
                figures = zip(kept.betas, tokens[:, q].tolist(), accuracy[:, q].tolist(), strict=True)
                curves.append([Point(id_, *figure) for figure in figures])
        return curves

    def mechanisms(self, entry: Entry) -> Hashable:
        """A cell of a way to open branches and a way to stop."""
        hash_ = self.archive.resolve(entry.id).hash
        proposals = self.archive.proposals(self.run)
        answer = next(p.answer for p in proposals if p.round and p.verdict and p.verdict.program == hash_)
        genome = Genome.from_json(answer)
        assert genome is not None  # evolution wrote it
        return genome.gene("opening").variant, genome.gene("stopping").variant


def _per_question(told: Told) -> Selector:
    sides = rectangle(told.environments)
    return PerQuestion(told.curves, sides["left"], sides["right"])


STRATEGIES: Mapping[str, tuple[Callable[[Told], Selector], str]] = {
    "pareto": (
        lambda told: default_selector(told.environments),
        "the default: by the hypervolume that a program alone holds on the front of mean curves",
    ),
    "best_of_n": (lambda _: BestOfN(), "no parents: every proposal after the first round is drawn afresh"),
    "sequential": (lambda _: Sequential(), "the programs confirmed last"),
    "per_question": (
        _per_question,
        "as `pareto`, but on the front of every question of every environment, and summed",
    ),
    "islands": (
        lambda told: Islands(lambda: default_selector(told.environments)),
        "three populations, `pareto` within each; the best of each goes to the next one every eight programs",
    ),
    "map_elites_spending": (
        lambda _: MapElites("map_elites_spending", by_spending),
        "MAP-Elites; a cell is half an octave of mean tokens and two points of mean accuracy, its elite the greatest "
        "gain",
    ),
    "map_elites_mechanisms": (
        lambda told: MapElites("map_elites_mechanisms", told.mechanisms),
        "MAP-Elites; a cell is a way to open branches and a way to stop, its elite the greatest gain",
    ),
}
DEFAULT = "pareto"

SAME, OTHER = "same questions", "other questions"
MEASURES = (
    "best program's gain, as searched",
    *(f"{what}, {where}" for what in ("best program's gain", "front's gain", "hypervolume") for where in (SAME, OTHER)),
)
JUDGED = f"front's gain, {OTHER}"
"""The measure that decides, fixed beforehand: what a deployer gets who takes the front."""

Outcome = dict[str, float]
Results = dict[tuple[int, str], Outcome]


def search(evaluator: Evaluator, config: Config, strategy: str, fresh: Mapping[str, Fresh]) -> Outcome:
    """One search in an archive of its own, and what it found is worth, in points."""
    environments = evaluator.environments
    with tempfile.TemporaryDirectory() as folder, Archive(str(Path(folder) / "a.db")) as archive:
        name = start_run(archive, None, config, environments)
        make, _ = STRATEGIES[strategy]
        selector = make(Told(archive, name, config, environments))
        job = Search(archive, name, config, environments, [EvolutionAgent(best=0)], selector, evaluator)
        job.go()
        result = found_by(job)
    curve, reference = ([(program, b) for b in even_betas(config.betas)] for program in (result.best, shipped("cmc")))
    figures = {MEASURES[0]: result.gain[0]}
    for where, split in fresh.items():
        figures[f"best program's gain, {where}"] = split.gain(curve, reference)[0]
        figures[f"front's gain, {where}"] = split.gain(result.front, reference)[0]
        figures[f"hypervolume, {where}"] = 100 * split.hypervolume(result.front)
    return figures


# ---- the page --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A strategy less `pareto`, paired by search seed, in points.

    Attributes:
        gaps: one a seed.
        reach: half the width of the interval about their mean; infinite with one seed.
    """

    gaps: Sequence[float]
    reach: float

    @classmethod
    def of(cls, results: Results, strategy: str, measure: str) -> Difference:
        seeds = sorted({seed for seed, _ in results})
        gaps = [results[seed, strategy][measure] - results[seed, DEFAULT][measure] for seed in seeds]
        if len(gaps) < 2:
            return cls(gaps, math.inf)
        level = DOUBT / 2 / (len(STRATEGIES) - 1)
        return cls(gaps, student(level, len(gaps) - 1) * stdev(gaps) / math.sqrt(len(gaps)))

    @property
    def verdict(self) -> str:
        if abs(fmean(self.gaps)) <= self.reach:
            return "cannot be told apart"
        return "better" if fmean(self.gaps) > 0 else "worse"

    @property
    def cell(self) -> str:
        told = "" if self.verdict == "cannot be told apart" else f", **{self.verdict}**"
        return f"{spread(self.gaps)}, ahead in {sum(gap > 0 for gap in self.gaps)} of {len(self.gaps)}{told}"


def head(first: str) -> list[str]:
    return [f"| {first} | {' | '.join(MEASURES)} |", "|---|" + "---|" * len(MEASURES)]


def verdicts(results: Results) -> list[str]:
    """What follows for each strategy, by the measure that decides."""
    lines = [f"By *{JUDGED}*, the measure that was fixed beforehand to decide:", ""]
    better: list[str] = []
    for strategy in STRATEGIES:
        if strategy != DEFAULT:
            gap = Difference.of(results, strategy, JUDGED)
            told = f"{fmean(gap.gaps):+.2f} ± {gap.reach:.2f}"
            lines.append(f"- `{strategy}`: {gap.verdict} ({told} points beside `{DEFAULT}`).")
            better += [f"`{strategy}`"] if gap.verdict == "better" else []
    paying = ", ".join(better) if better else "none"
    return [*lines, "", f"Of those tried these pay by that measure at this size: {paying}.", ""]


def report(results: Results, facts: Mapping[str, str]) -> str:
    """The page, from figures alone."""
    seeds = sorted({seed for seed, _ in results})
    lines = ["# Does it matter how parents are chosen?", "", *(f"- {name}: {fact}" for name, fact in facts.items())]
    lines += ["", EXPLANATION, "## What was tried", ""]
    lines += [f"- `{name}`: {told}." for name, (_, told) in STRATEGIES.items()]
    lines += ["", "## What follows", "", *verdicts(results), "## Means over search seeds (standard deviation)", ""]
    lines += head("strategy")
    for name in STRATEGIES:
        cells = [spread([results[seed, name][measure] for seed in seeds]) for measure in MEASURES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"## Differences to `{DEFAULT}`, paired by search seed: mean (standard deviation)",
        "",
        *head("strategy"),
    ]
    for name in STRATEGIES:
        if name != DEFAULT:
            cells = [Difference.of(results, name, measure).cell for measure in MEASURES]
            lines.append(f"| {name} − {DEFAULT} | {' | '.join(cells)} |")
    lines += ["", "## Every search", "", *head("search seed, strategy")]
    for seed, name in sorted(results):
        cells = [f"{results[seed, name][measure]:+.2f}" for measure in MEASURES]
        lines.append(f"| {seed}, {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", REACH])


EXPLANATION = f"""\
Gains are at matched tokens over CMC, hypervolumes those of the front of new programs; both in points. Baselines are
taken out. The first column is the figure by which the best program was chosen, and flatters it; all others are on fresh
episode seeds. `evolution` was run without its own pool of best programs (`EvolutionAgent(best=0)`), so parents come
from the selector alone; what it learns of mechanisms from all programs it keeps. The first round is the same whatever
the selector. A strategy is called better or worse where Student's interval about the mean of its paired differences
leaves nought out, at a level of {100 * DOUBT:g}% that the strategies share (Bonferroni); measures do not share it, so
with several of them a chance finding is likelier than that.
"""

REACH = """\
## How far this carries

Searches are as short as is said above: strategies that keep variety alive, islands above all, may need longer ones to
pay. Odd and even search seeds see different halves of the same questions, so the spread holds that difference as well;
in paired differences it cancels. The space and its weights were chosen with all questions at hand. With agents that
are language models parents may matter more, or less: that was not measured. `evolution` as it is shipped also breeds
from its own pool of best programs, which makes it depend on the selector less than here.
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", action="append", help="environments, as `autotts search --env` takes them")
    parser.add_argument("--seeds", type=int, default=4, help="searches a strategy")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument(
        "--betas", type=int, default=6, help="number of β; fewer than a search has otherwise, to save time"
    )
    parser.add_argument("--fresh", type=int, default=6, help="episode seeds that what was found is scored on")
    parser.add_argument("--quick", action="store_true", help="one seed, two rounds, few episodes: does it run?")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "selection.md")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.rounds, options.betas, options.fresh = 1, 2, 3, 1
    return options


def main() -> None:
    options = arguments()
    recorded = sorted(str(path) for path in RECORDED.glob("*/aime24.json"))
    environments = load_environments(options.env or recorded or ["synthetic:search"])
    halves = [[e.select([q.id for q in e.questions[start::2]]) for e in environments] for start in (0, 1)]
    config = Config(rounds=options.rounds, betas=options.betas)
    fresh = [Fresh(half, options.fresh, 1) for half in halves]
    origin = "given by `--env`" if options.env else "recorded" if recorded else "synthetic: no recording is at hand"
    facts = {
        "Command": f"`{shlex.join(['python', 'benchmarks/selection.py', *sys.argv[1:]])}`",
        "Data": f"{', '.join(e.name for e in environments)} ({origin}), half of the questions a search "
        f"({len(halves[0][0].questions)} and {len(halves[1][0].questions)})",
        "Size": f"{config.rounds} rounds × {config.proposals_per_round} proposals a search; {config.betas} β; "
        f"{config.screen_seeds} episode seeds to screen, {config.seeds} to confirm, {options.fresh} fresh ones",
        "Machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; one worker",
    }
    results: Results = {}
    start = time.monotonic()
    evaluators = [Remembering(half, 1) for half in halves]
    with evaluators[0], evaluators[1]:
        for seed in range(1, options.seeds + 1):
            seen = (seed + 1) % 2
            splits = {SAME: fresh[seen], OTHER: fresh[1 - seen]}
            for strategy in STRATEGIES:
                figures = search(evaluators[seen], replace(config, seed=seed), strategy, splits)
                results[seed, strategy] = figures
                told = ", ".join(f"{measure} {figure:+.2f}" for measure, figure in figures.items())
                print(f"{time.monotonic() - start:.0f} s: seed {seed} {strategy}: {told}", flush=True)
            programs = sum(evaluator.programs for evaluator in evaluators)
            now = {
                "Searches": f"{seed} a strategy; {programs} programs were evaluated, each once on a half, whatever "
                "number of searches came upon it",
                "Time": f"{(time.monotonic() - start) / 60:.0f} minutes",
            }
            options.out.write_text(report(results, {**facts, **now}), encoding="utf-8")


if __name__ == "__main__":
    main()
