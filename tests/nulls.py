"""Agents that change nothing but constants, at random, and searches with them on worlds that are as random."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from autotts.agents import Agent, Context, Proposal
from autotts.archive import Archive
from autotts.evaluation import Evaluator
from autotts.search import Config, Search, default_selector, start_run
from autotts.search.report import Report, report
from tests.small import small_environment

TUNED = '''"""Read a few branches, each for a while, and believe the majority."""

from autotts.toolkit import majority


def schedule(beta):
    return {{"n": {n} + {more} * beta, "depth": {depth} + {deeper} * beta}}


def solve(episode, knobs):
    wave = episode.branches(int(knobs["n"]))
    for _ in range(int(knobs["depth"])):
        going = [i for i in wave if not episode.is_finished(i)]
        if going:
            episode.advance(going)
    return majority(episode.probe(wave), skip_unparsed=True)
'''


class Perturbing:
    """Proposes TUNED with each constant of the parent's schedule a little larger or smaller."""

    name = "perturbing"

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        parents = [parent for parent in context.parents if parent.idea.startswith("Read a few")]
        if not parents:
            return Proposal(TUNED.format(n=2.5, more=5.0, depth=1.5, deeper=4.0), parents=(), answer="")
        line = next(line for line in parents[0].source.split("\n") if "return {" in line)
        constants = [float(text) * rng.uniform(0.75, 1.3) for text in re.findall(r"\d+\.\d+", line)]
        fields = dict(zip(("n", "more", "depth", "deeper"), (f"{c:.4f}" for c in constants), strict=True))
        return Proposal(TUNED.format(**fields), parents=(parents[0].id,), answer="")


def null_search(path: Path, agents: Sequence[Agent], seed: int, questions: int = 30, **options: int) -> Report | None:
    """The report of a search on a random world of its own."""
    options = {"rounds": 3, "proposals_per_round": 4, "betas": 2, "seeds": 2, "screen_seeds": 1, **options}
    config = Config(agents=tuple(agent.name for agent in agents), seed=seed, **options)
    environments = [small_environment(questions=questions, seed=seed)]
    with Archive(path) as archive, Evaluator(environments, 1) as evaluator:
        name = start_run(archive, "null", config, environments)
        search = Search(archive, name, config, environments, agents, default_selector(environments), evaluator)
        search.go()
        return report(archive, name)
