"""The offline agent: it assembles controllers from mechanisms, mutates and crosses the better ones."""

from __future__ import annotations

import random
from itertools import zip_longest

from autotts.agents._base import Candidate, Context, Proposal
from autotts.agents.evolution.genome import Genome
from autotts.agents.evolution.memory import Memory, genome_of
from autotts.agents.evolution.operators import SEEDS, cross, mutate, random_genome
from autotts.agents.evolution.render import render

__all__ = ["EvolutionAgent"]

TRIES = 1000
"""Draws until a source is new; a mutant is an old program now and then, a thousand in a row are not."""

BEST = 4
"""Programs of the highest gain that may become parents beside the chosen ones, where nothing else is said."""


class EvolutionAgent:
    """Writes programs without a model. Deterministic given (context, rng).

    It starts from a few ordinary assemblies, then mutates and crosses the better programs; what it swaps in is drawn by
    what is known of mechanisms beforehand, and by what programs with them gained so far.

    Args:
        random_only: draw every genome afresh and evenly; what the search is measured against.
        best: programs of the highest gain that may become parents beside the chosen ones; with none of them the
            selector alone says who becomes a parent, which is how selectors are measured.
    """

    name = "evolution"

    def __init__(self, *, random_only: bool = False, best: int = BEST) -> None:
        self._random_only = random_only
        self._memory = Memory(best)

    def most(self) -> tuple[int, float | None]:
        """No tokens, no dollars: no model is called."""
        return 0, 0.0

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The next program; never one whose source the context already has."""
        for attempt in range(TRIES):
            genome, parents = self._genome(context, rng, attempt)
            source = render(genome)
            if not context.history.knows(source):
                break
        return Proposal(source=source, parents=parents, answer=genome.to_json())

    def _genome(self, context: Context, rng: random.Random, attempt: int) -> tuple[Genome, tuple[str, ...]]:
        if self._random_only:
            return random_genome(rng), ()
        first_round = context.round <= 1  # round 0, if there is one, holds the baselines
        if first_round and context.slot < len(SEEDS) and attempt == 0:
            return SEEDS[context.slot], ()
        self._memory.see(context.history)
        pool, merits = self._pool(context), self._memory.merits
        if not pool or first_round or rng.random() < 0.1:
            return random_genome(rng, merits), ()
        # The best parents first: half as likely with each place.
        first = pool[min(int(rng.expovariate(0.7)), len(pool) - 1)]
        if len(pool) > 1 and rng.random() < 0.4:
            second = rng.choice([p for p in pool if p is not first])
            return mutate(cross(first[1], second[1], rng), rng, merits), (first[0].id, second[0].id)
        return mutate(first[1], rng, merits), (first[0].id,)

    def _pool(self, context: Context) -> list[tuple[Candidate, Genome]]:
        """The best by gain and the chosen parents in turn, as far as they have a genome, each once.

        The chosen ones hold parts of the front, which may be a short stretch of it; gain speaks for the whole curve.
        """
        chosen = [(c, genome) for c in context.parents if (genome := genome_of(c)) is not None]
        mixed = [pair for both in zip_longest(self._memory.best, chosen) for pair in both if pair is not None]
        return list({pair[0].id: pair for pair in mixed}.values())
