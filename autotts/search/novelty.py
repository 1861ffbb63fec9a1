"""What a run knows already: programs by their text, by their syntax, and by what they do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from autotts.archive import Verdict

__all__ = ["Known", "behaviour_of"]

_Place = tuple[int, int, str]


def behaviour_of(digests: Iterable[bytes]) -> str:
    """Stands for every action in the episodes of these digests: programs that share it cannot be told apart by them."""
    return hashlib.blake2b(b"".join(digests), digest_size=16).hexdigest()


@dataclass
class Known:
    """The programs of a run, each by the slot in which it first came.

    It holds slots that are committed, which come before all others. So what it is asked in the middle of an evaluation
    is as true when that slot is committed, whatever happens meanwhile.
    """

    _hashes: dict[str, _Place] = field(default_factory=dict)
    _fingerprints: dict[str, _Place] = field(default_factory=dict)
    _behaviours: dict[str, _Place] = field(default_factory=dict)

    def add(self, place: tuple[int, int], digest: str, fingerprint: str, behaviour: str) -> None:
        """Take in a program; "" for what is not known of it."""
        at = (*place, digest[:10])
        for shelf, key in (
            (self._hashes, digest),
            (self._fingerprints, fingerprint),
            (self._behaviours, behaviour),
        ):
            if key:
                shelf.setdefault(key, at)

    def verdict(self, digest: str, fingerprint: str = "", behaviour: str = "") -> Verdict | None:
        """What is said of a program that is known already; None of a new one."""
        if found := self._hashes.get(digest):
            return Verdict("Duplicate", f"the same program as {_words(found)}", program=digest)
        if found := self._fingerprints.get(fingerprint):
            return Verdict(
                "Duplicate",
                f"the same program as {_words(found)}, but for comments, docstrings and layout",
                program=digest,
            )
        if found := self._behaviours.get(behaviour):
            return Verdict(
                "Twin",
                f"does exactly what {_words(found)} does: every action is the same, at every β, on all episodes of the "
                "first environment that is screened; change what it does, not how it is written",
                program=digest,
            )
        return None


def _words(place: _Place) -> str:
    return f"{place[2]} of slot {place[0]}.{place[1]}"
