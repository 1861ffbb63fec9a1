"""What evolution remembers of a search: the gains of mechanisms, and the best programs. It grows by what is new."""

from __future__ import annotations

from collections.abc import Sequence

from autotts.agents._base import Candidate
from autotts.agents.evolution.genome import Genome
from autotts.agents.evolution.operators import Merits, known, merits_of
from autotts.agents.history import History

__all__ = ["Memory", "genome_of"]


class Memory:
    """Of one story; reading a candidate's genome takes longer than all else, so each is read once.

    Args:
        best: how many of the best programs are kept.
    """

    def __init__(self, best: int) -> None:
        self._most = best
        self._story: Sequence[Candidate] | None = None
        self._seen = 0
        self._sums: dict[tuple[str, str], tuple[float, int]] = {}
        self._best: list[tuple[float, int, Candidate, Genome]] = []

    @property
    def best(self) -> list[tuple[Candidate, Genome]]:
        """The best programs by gain, each with its genome.

        A standard error is taken off, as a gain that a few questions carry is the less likely to be there on others.
        """
        return [(candidate, genome) for _, _, candidate, genome in self._best]

    @property
    def merits(self) -> Merits:
        """How likely each mechanism is drawn."""
        return merits_of(self._sums)

    def see(self, history: History) -> None:
        """Take in what is new in a history; from its beginning where it is not one that was seen up to here."""
        if self._story is not history.story or self._seen > len(history):
            self._story, self._seen, self._sums, self._best = history.story, 0, {}, []
        for place in range(self._seen, len(history)):
            self._take(place, history.story[place])
        self._seen = len(history)

    def _take(self, place: int, candidate: Candidate) -> None:
        if candidate.gain is None or (genome := genome_of(candidate)) is None:
            return
        if candidate.gain:
            for slot, gene in genome.genes:
                sum_, count = self._sums.get((slot, gene.variant), (0.0, 0))
                self._sums[slot, gene.variant] = (sum_ + candidate.gain, count + 1)
        if candidate.outcome == "ok":
            ranked = (candidate.gain_se or 0.0) - candidate.gain, place, candidate, genome
            self._best = sorted([*self._best, ranked], key=lambda one: one[:2])[: self._most]


def genome_of(candidate: Candidate) -> Genome | None:
    """The genome of a program that evolution wrote, of mechanisms that exist."""
    genome = Genome.from_json(candidate.answer)
    return genome if genome is not None and known(genome) else None
