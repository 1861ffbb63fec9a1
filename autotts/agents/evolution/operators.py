"""Random genomes, mutation and crossover."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from autotts.agents.evolution.genome import SLOTS, Gene, Genome, Span
from autotts.agents.evolution.mechanisms import MECHANISMS, Knob, Mechanism, mechanism, variants

__all__ = ["SEEDS", "Merits", "cross", "known", "merits_of", "mutate", "normal", "random_genome"]

Merits = Mapping[tuple[str, str], float]
"""(slot, variant) → how likely it is drawn, relative to the slot's other variants."""

EVEN: Merits = {}


def random_genome(rng: random.Random, merits: Merits = EVEN) -> Genome:
    """Any assembly of mechanisms with any schedules; every variant of a slot as likely as the others by default."""
    return normal(Genome.of({slot: _random_gene(rng, _draw(rng, slot, merits)) for slot in SLOTS}))


def mutate(genome: Genome, rng: random.Random, merits: Merits = EVEN) -> Genome:
    """Swap one mechanism, or move the schedules of one to three."""
    if rng.random() < 0.5:
        slot = rng.choice(SLOTS)
        genome = genome.with_gene(slot, _random_gene(rng, _draw(rng, slot, merits)))
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

    A row that is open leaves nothing to widen, and what never widens is a row. What is read to its end in one wave is
    neither read nor cut on the way, and has no rivals that are still running; and where branches wait for their turn,
    turns of the loop say nothing about how long one has held its answer.
    """
    opening, depth = genome.gene("opening"), genome.gene("depth").variant
    if opening.variant == "row":
        genome = genome.with_gene("widening", Gene("none"))
    elif genome.gene("widening").variant == "none":
        genome = genome.with_gene("opening", Gene("row", (("limit", opening.span("n_init")),)))
    if depth in ("deepest", "finish"):
        genome = genome.with_gene("reading", Gene("finals"))
        if genome.gene("pruning").variant not in ("cap", "overtime"):
            genome = genome.with_gene("pruning", Gene("none"))
    if depth == "finish":
        genome = genome.with_gene("pruning", Gene("none"))
        if genome.gene("vote").variant in ("partial", "deserted"):
            genome = genome.with_gene("vote", Gene("parsed"))
        if genome.gene("stopping").variant in ("settled", "unreachable"):
            genome = genome.with_gene("stopping", _gene("confident", {"min_ballots": (1, 4), "threshold": (0.8, 0.97)}))
    return genome


def known(genome: Genome) -> bool:
    """Whether every gene is of a mechanism that exists, with its knobs (an archive may be of another version)."""
    names = {(m.slot, m.variant): {knob.name for knob in m.knobs} for m in MECHANISMS}
    return all(names.get((slot, gene.variant)) == {name for name, _ in gene.spans} for slot, gene in genome.genes)


def merits_of(gains: Mapping[tuple[str, str], tuple[float, int]]) -> Merits:
    """How likely each variant is drawn: its weight, times what the mean gain of the programs that had it says.

    A point of accuracy is worth a factor of e, one unseen program of gain 0 is counted in, and nothing is ever ruled
    out: a mechanism may have been in bad company.

    Args:
        gains: (slot, variant) → (sum of the gains, number of programs).
    """
    found = {key: min(3.0, max(0.1, math.exp(100 * sum_ / (n + 1)))) for key, (sum_, n) in gains.items()}
    return {(m.slot, m.variant): m.weight * found.get((m.slot, m.variant), 1.0) for m in MECHANISMS}


def _draw(rng: random.Random, slot: str, merits: Merits) -> Mechanism:
    choices = variants(slot)
    return rng.choices(choices, [merits.get((slot, m.variant), 1.0) for m in choices])[0]


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


def _gene(variant: str, spans: dict[str, tuple[float, float]]) -> Gene:
    return Gene(variant, tuple(sorted((k, Span(float(low), float(high))) for k, (low, high) in spans.items())))


def _seed(**slots: tuple[str, dict[str, tuple[float, float]]]) -> Genome:
    return Genome.of({slot: _gene(variant, spans) for slot, (variant, spans) in slots.items()})


_ROW = ("row", {"limit": (3.0, 44.0)})
_NONE: tuple[str, dict[str, tuple[float, float]]] = ("none", {})
_UNSUPPORTED = ("unsupported", {"patience": (8.0, 8.0)})
_UNREACHABLE = ("unreachable", {"caution": (0.1, 0.1)})
_REST: dict[str, tuple[str, dict[str, tuple[float, float]]]] = {
    "depth": ("burst", {}),
    "reading": ("finals", {}),
    "giving_up": ("never", {}),
    "vote": ("parsed", {}),
}

SEEDS: tuple[Genome, ...] = (
    _seed(opening=_ROW, widening=_NONE, pruning=_UNSUPPORTED, stopping=_UNREACHABLE, **_REST),
    _seed(
        opening=("staggered", {"limit": (3, 64), "n_init": (3, 16)}),
        widening=("doubt", {"widen_from": (1, 1), "widen_burst": (1, 8), "doubt": (0.8, 0.97)}),
        pruning=_UNSUPPORTED,
        stopping=_UNREACHABLE,
        **_REST,
    ),
    _seed(  # the confidence momentum controller's stop
        opening=_ROW,
        widening=_NONE,
        pruning=_UNSUPPORTED,
        stopping=("momentum", {"min_ballots": (1, 3), "threshold": (0.8, 0.98), "alpha": (0.7, 0.4)}),
        **_REST,
    ),
    _seed(  # parallel probing's pruning
        opening=_ROW, widening=_NONE, pruning=("disagreement", {"patience": (7, 10)}), stopping=_UNREACHABLE, **_REST
    ),
)
"""Ordinary assemblies that a search starts from."""
