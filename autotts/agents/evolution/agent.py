"""The offline agent: it assembles controllers from mechanisms, mutates and crosses the better ones."""

from __future__ import annotations

import random
from collections.abc import Iterable

from autotts.agents._base import Candidate, Context, Proposal
from autotts.agents.evolution.genome import Genome
from autotts.agents.evolution.operators import SEEDS, cross, known, mutate, random_genome
from autotts.agents.evolution.render import render

__all__ = ["EvolutionAgent"]

TRIES = 1000


class EvolutionAgent:
    """Writes programs without a model. Deterministic given (context, rng).

    Args:
        random_only: draw every genome afresh; what the search is measured against.
    """

    name = "evolution"

    def __init__(self, *, random_only: bool = False) -> None:
        self._random_only = random_only

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The next program; never one whose source the context already has."""
        known = {candidate.source for candidate in context.candidates}
        for attempt in range(TRIES):
            genome, parents = self._genome(context, rng, attempt)
            source = render(genome)
            if source not in known:
                break
        return Proposal(source=source, parents=parents, answer=genome.to_json())

    def _genome(self, context: Context, rng: random.Random, attempt: int) -> tuple[Genome, tuple[str, ...]]:
        if self._random_only:
            return random_genome(rng), ()
        if context.round == 0 and context.slot < len(SEEDS) and attempt == 0:
            return SEEDS[context.slot], ()
        pool = _parents(context)
        if not pool or context.round == 0 or rng.random() < 0.1:
            return random_genome(rng), ()
        # The best parents first: half as likely with each place.
        first = pool[min(int(rng.expovariate(0.7)), len(pool) - 1)]
        if len(pool) > 1 and rng.random() < 0.4:
            second = rng.choice([p for p in pool if p is not first])
            return mutate(cross(first[1], second[1], rng), rng), (first[0].id, second[0].id)
        return mutate(first[1], rng), (first[0].id,)


def _parents(context: Context) -> list[tuple[Candidate, Genome]]:
    """The chosen parents that have a genome; without any, what was best so far."""
    chosen = _with_genomes(context.parents)
    if chosen:
        return chosen
    measured = [c for c in context.candidates if c.outcome == "ok" and c.gain is not None]
    measured.sort(key=lambda c: -(c.gain or 0.0))
    return _with_genomes(measured)[:6]


def _with_genomes(candidates: Iterable[Candidate]) -> list[tuple[Candidate, Genome]]:
    """Those that evolution wrote, each with its genome."""
    pairs = [(candidate, Genome.from_json(candidate.answer)) for candidate in candidates]
    return [(candidate, genome) for candidate, genome in pairs if genome is not None and known(genome)]
