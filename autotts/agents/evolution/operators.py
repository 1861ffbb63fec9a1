"""Random genomes, mutation and crossover."""

from __future__ import annotations

import random

from autotts.agents.evolution.genome import SLOTS, Gene, Genome, Span
from autotts.agents.evolution.mechanisms import MECHANISMS, Knob, Mechanism, mechanism, variants

__all__ = ["SEEDS", "cross", "known", "mutate", "normal", "random_genome"]


def random_genome(rng: random.Random) -> Genome:
    """Any assembly of mechanisms with any schedules."""
    return normal(Genome.of({slot: _random_gene(rng, _draw(rng, slot)) for slot in SLOTS}))


def mutate(genome: Genome, rng: random.Random) -> Genome:
    """Swap one mechanism, or move the schedules of one to three, or both."""
    if rng.random() < 0.5:
        slot = rng.choice(SLOTS)
        genome = genome.with_gene(slot, _random_gene(rng, _draw(rng, slot)))
    else:
        movable = [slot for slot in SLOTS if genome.gene(slot).spans]
        for slot in rng.sample(movable, min(len(movable), rng.randint(1, 3))):
            genome = genome.with_gene(slot, _moved(rng, slot, genome.gene(slot)))
    return normal(genome)


def cross(first: Genome, second: Genome, rng: random.Random) -> Genome:
    """Each slot's gene from either parent."""
    return normal(Genome.of({slot: (first if rng.random() < 0.5 else second).gene(slot) for slot in SLOTS}))


def normal(genome: Genome) -> Genome:
    """Without mechanisms that could not act as they say.

    What is read to its end in one wave is neither read nor cut on the way; and where branches wait for their turn,
    turns of the loop say nothing about how long one has held its answer.
    """
    if genome.gene("depth").variant == "deepest":
        genome = genome.with_gene("reading", Gene("finals"))
        if genome.gene("pruning").variant in ("disagreement", "stragglers", "overruled"):
            genome = genome.with_gene("pruning", Gene("none"))
    if genome.gene("depth").variant == "finish":
        genome = genome.with_gene("reading", Gene("finals")).with_gene("pruning", Gene("none"))
        if genome.gene("vote").variant == "partial":
            genome = genome.with_gene("vote", Gene("parsed"))
    return genome


def known(genome: Genome) -> bool:
    """Whether every gene is of a mechanism that exists, with its knobs (an archive may be of another version)."""
    names = {(m.slot, m.variant): {knob.name for knob in m.knobs} for m in MECHANISMS}
    return all(names.get((slot, gene.variant)) == {name for name, _ in gene.spans} for slot, gene in genome.genes)


def _draw(rng: random.Random, slot: str) -> Mechanism:
    choices = variants(slot)
    return rng.choices(choices, [m.weight for m in choices])[0]


def _random_gene(rng: random.Random, part: Mechanism) -> Gene:
    spans = []
    for knob in part.knobs:
        spans.append((knob.name, _span(knob, rng.uniform(*knob.at0), rng.uniform(*knob.at1))))
    return Gene(part.variant, tuple(sorted(spans)))


def _moved(rng: random.Random, slot: str, gene: Gene) -> Gene:
    """Each end of each span moves by up to a third of its range."""
    spans = []
    for knob in mechanism(slot, gene.variant).knobs:
        old = gene.span(knob.name)
        ends = [
            min(high, max(low, value + rng.gauss(0, 0.25) * (high - low)))
            for value, (low, high) in ((old.at0, knob.at0), (old.at1, knob.at1))
        ]
        spans.append((knob.name, _span(knob, *ends)))
    return Gene(gene.variant, tuple(sorted(spans)))


def _span(knob: Knob, at0: float, at1: float) -> Span:
    if knob.kind != "float":
        at0, at1 = float(round(at0)), float(round(at1))
    # Three digits are read more easily than sixteen, and two genomes that differ less are the same program.
    at0, at1 = float(f"{at0:.3g}"), float(f"{at1:.3g}")
    return Span(at0, max(at0, at1)) if knob.rises else Span(at0, min(at0, at1))


def _seed(**slots: tuple[str, dict[str, tuple[float, float]]]) -> Genome:
    return Genome.of(
        {
            slot: Gene(variant, tuple(sorted((k, Span(float(low), float(high))) for k, (low, high) in spans.items())))
            for slot, (variant, spans) in slots.items()
        }
    )


SEEDS: tuple[Genome, ...] = (
    _seed(  # like the confidence momentum controller
        opening=("few", {"limit": (4, 64), "n_init": (2, 8)}),
        depth=("burst", {}),
        reading=("finals", {}),
        widening=("doubt", {"widen_from": (1, 5), "widen_burst": (1, 4), "doubt": (0.85, 0.97)}),
        pruning=("disagreement", {"patience": (3, 12)}),
        stopping=("momentum", {"min_ballots": (2, 5), "threshold": (0.85, 0.97), "alpha": (0.7, 0.3)}),
        giving_up=("never", {}),
        vote=("majority", {}),
    ),
    _seed(  # like adaptive consistency
        opening=("few", {"limit": (2, 64), "n_init": (2, 3)}),
        depth=("finish", {}),
        reading=("finals", {}),
        widening=("batches", {"batch": (1, 1)}),
        pruning=("none", {}),
        stopping=("confident", {"min_ballots": (2, 2), "threshold": (0.8, 0.97)}),
        giving_up=("never", {}),
        vote=("majority", {}),
    ),
    _seed(  # like self-consistency, stopping at the first few
        opening=("all", {"limit": (3, 64)}),
        depth=("lockstep", {}),
        reading=("finals", {}),
        widening=("none", {}),
        pruning=("none", {}),
        stopping=("first", {"enough": (2, 40)}),
        giving_up=("never", {}),
        vote=("parsed", {}),
    ),
    _seed(  # like parallel probing
        opening=("wide", {"limit": (4, 64), "n_init": (4, 48)}),
        depth=("lockstep", {}),
        reading=("finals", {}),
        widening=("none", {}),
        pruning=("disagreement", {"patience": (5, 16)}),
        stopping=("settled", {"min_ballots": (2, 4), "turn": (0.3, 1.0)}),
        giving_up=("never", {}),
        vote=("majority", {}),
    ),
)
"""Ordinary assemblies that a search starts from."""
