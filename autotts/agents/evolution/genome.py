"""Genomes: which mechanism fills each slot of a controller, and how its knobs follow β."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["SLOTS", "Gene", "Genome", "Span"]

SLOTS = ("opening", "depth", "reading", "widening", "pruning", "stopping", "giving_up", "vote")
"""The interchangeable parts of a controller, in the order in which they are written."""


@dataclass(frozen=True)
class Span:
    """A knob's value at β = 0 and at β = 1; what lies between is linear, geometric for counts of branches."""

    at0: float
    at1: float


@dataclass(frozen=True)
class Gene:
    """The mechanism in one slot.

    Attributes:
        variant: its name.
        spans: one a knob, by the knob's name.
    """

    variant: str
    spans: tuple[tuple[str, Span], ...] = ()

    def span(self, name: str) -> Span:
        """The span of a knob of this mechanism."""
        return dict(self.spans)[name]


@dataclass(frozen=True)
class Genome:
    """One gene a slot, in the order of `SLOTS`."""

    genes: tuple[tuple[str, Gene], ...]

    @classmethod
    def of(cls, genes: Mapping[str, Gene]) -> Genome:
        """A genome from its genes by slot."""
        return cls(tuple((slot, genes[slot]) for slot in SLOTS))

    def gene(self, slot: str) -> Gene:
        """The gene in a slot."""
        return dict(self.genes)[slot]

    def with_gene(self, slot: str, gene: Gene) -> Genome:
        """The same genome with another gene in one slot."""
        return Genome.of({**dict(self.genes), slot: gene})

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        slots = {
            slot: {"variant": gene.variant, "spans": {name: [s.at0, s.at1] for name, s in gene.spans}}
            for slot, gene in self.genes
        }
        return json.dumps({"schema": 1, "slots": slots}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Genome | None:
        """The genome in a text, None where the text holds none (another agent's answer)."""
        try:
            slots = json.loads(text)["slots"]
            genes = {}
            for slot in SLOTS:
                spans = {str(k): (float(low), float(high)) for k, (low, high) in slots[slot]["spans"].items()}
                if not all(math.isfinite(x) for pair in spans.values() for x in pair):
                    return None
                ordered = tuple((name, Span(*spans[name])) for name in sorted(spans))
                genes[slot] = Gene(str(slots[slot]["variant"]), ordered)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return cls.of(genes)
