"""Everything that a search has told, as its agents see it."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, overload

from autotts.evaluation import Program

if TYPE_CHECKING:
    from autotts.agents._base import Candidate

__all__ = ["History"]


class History(Sequence["Candidate"]):
    """Candidates in the order in which they were told: a view with a fixed end, of a list that grows behind it.

    So a search copies nothing however long it is, and an agent that has seen one view need only look at what a later
    one of the same `story` has beyond it.

    Args:
        story: all candidates so far; only ever appended to.
        front: ids of the programs that hold a part of the front.
        sources: the place at which each source (by its hash) first came; made from the story where it is not given.
    """

    def __init__(
        self,
        story: Sequence[Candidate] = (),
        front: Collection[str] = (),
        sources: MutableMapping[str, int] | None = None,
    ) -> None:
        self.story = story
        self._front = frozenset(front)
        self._length = len(story)
        if sources is None:
            sources = {}
            for place, candidate in enumerate(story):
                if candidate.source:
                    sources.setdefault(Program.from_source(candidate.source).hash, place)
            self._front |= {candidate.id for candidate in story if candidate.front}
        self._sources = sources

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> Candidate: ...
    @overload
    def __getitem__(self, place: slice) -> list[Candidate]: ...
    def __getitem__(self, place: int | slice) -> Candidate | list[Candidate]:
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(self._length))]
        if not -self._length <= place < self._length:
            raise IndexError(place)
        return self._marked(self.story[place % self._length])

    def __iter__(self) -> Iterator[Candidate]:
        return (self[k] for k in range(self._length))

    def knows(self, source: str) -> bool:
        """Whether a program of this text was told of, rejects included."""
        return self._sources.get(Program.from_source(source).hash, self._length) < self._length

    def _marked(self, candidate: Candidate) -> Candidate:
        held = candidate.outcome == "ok" and candidate.id in self._front
        if candidate.front == held:
            return candidate
        marked = copy.copy(candidate)
        object.__setattr__(marked, "front", held)
        return marked
