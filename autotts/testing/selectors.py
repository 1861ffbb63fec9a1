"""What a selection strategy must keep to: inherit from `SelectorConformance` in a test of your own."""

from __future__ import annotations

import random

from autotts.archive import Point
from autotts.archive.selection import Entry, Selector

__all__ = ["SelectorConformance"]


class SelectorConformance:
    """Inherit, and override `make`."""

    def make(self) -> Selector:
        """A new strategy that was told nothing yet."""
        raise NotImplementedError("override make()")

    @staticmethod
    def entries(n: int = 40, seed: int = 0) -> list[Entry]:
        """Confirmed programs, good and bad ones."""
        rng, made = random.Random(seed), []
        for k in range(n):
            skill = rng.random()
            points = tuple(Point(f"p{k}", b / 4, 1.0 + 9 * b * rng.random(), skill * (1 + b) / 5) for b in range(5))
            made.append(Entry(f"p{k}", points, skill - 0.5, 0.01))
        return made

    def told(self, entries: list[Entry]) -> Selector:
        """A new strategy that was told of these, each the parent of the next."""
        selector = self.make()
        for before, entry in zip([None, *entries], entries, strict=False):
            selector.add(entry)
            selector.used([before.id] if before else [])
        return selector

    def test_parents_are_different_programs_that_it_was_told_of_and_at_most_k(self) -> None:
        """Nothing made up, nothing twice."""
        entries = self.entries()
        selector = self.told(entries)
        for k in range(6):
            chosen = selector.parents(random.Random(k), k)
            assert len(chosen) <= k and len(set(chosen)) == len(chosen)
            assert set(chosen) <= {entry.id for entry in entries}

    def test_the_same_story_and_generator_give_the_same_parents(self) -> None:
        """So a run that was killed goes on as if nothing had happened; asking changes nothing."""
        one, two = self.told(self.entries()), self.told(self.entries())
        for seed in range(10):
            one.parents(random.Random(seed), 3)
        for seed in range(10):
            assert one.parents(random.Random(seed), 2) == two.parents(random.Random(seed), 2)

    def test_chance_comes_from_the_generator_alone(self) -> None:
        """Python's own generator is neither asked nor moved."""
        selector, state = self.told(self.entries()), random.getstate()
        selector.parents(random.Random(1), 2)
        assert random.getstate() == state

    def test_with_nothing_told_there_are_no_parents(self) -> None:
        """The first proposal is from nothing."""
        assert self.make().parents(random.Random(0), 2) == []
