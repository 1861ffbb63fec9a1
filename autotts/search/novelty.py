"""What a run knows already: programs by their text, by their syntax, and by what they do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autotts.agents import Candidate
from autotts.archive import Verdict

__all__ = ["Known", "behaviour_of"]


def behaviour_of(digests: Iterable[bytes]) -> str:
    """Stands for every action in the episodes of these digests: programs that share it cannot be told apart by them."""
    return hashlib.blake2b(b"".join(digests), digest_size=16).hexdigest()


@dataclass
class Known:
    """The programs of a run, each by the place in its story at which it first came.

    It holds slots that are committed, which come before all others. So what it is asked in the middle of an evaluation
    is as true when that slot is committed, whatever happens meanwhile. A run may have many: what stands for a program
    is kept as a number, a third of the memory of its digits.

    Args:
        story: the candidates, by place.

    Attributes:
        places: by the program's hash.
    """

    story: Sequence[Candidate]
    places: dict[str, int] = field(default_factory=dict)
    _marks: dict[int, int] = field(default_factory=dict)
    _behaviours: dict[int, int] = field(default_factory=dict)

    def add(self, place: int, digest: str, fingerprint: str, behaviour: str) -> None:
        """Take in a program; "" for what is not known of it."""
        if digest:
            self.places.setdefault(digest, place)
        for shelf, key in ((self._marks, fingerprint), (self._behaviours, behaviour)):
            if key:
                shelf.setdefault(int(key, 16), place)

    def verdict(self, digest: str, fingerprint: str = "", behaviour: str = "") -> Verdict | None:
        """What is said of a program that is known already; None of a new one."""
        if (place := self.places.get(digest)) is not None:
            return Verdict("Duplicate", f"the same program as {self._words(place)}", program=digest)
        if fingerprint and (place := self._marks.get(int(fingerprint, 16))) is not None:
            same = f"the same program as {self._words(place)}, but for comments, docstrings and layout"
            return Verdict("Duplicate", same, program=digest)
        if behaviour and (place := self._behaviours.get(int(behaviour, 16))) is not None:
            told = (
                f"does exactly what {self._words(place)} does: every action is the same, at every β, on all episodes "
                "of the first environment that is screened; change what it does, not how it is written"
            )
            return Verdict("Twin", told, program=digest)
        return None

    def _words(self, place: int) -> str:
        first = self.story[place]
        return f"{first.id} of slot {first.round}.{first.slot}"
