"""Where a program comes from, laid out in rows and lanes for a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autotts.archive import Listed

__all__ = ["Ancestor", "Ancestry", "ancestry"]

MOST = 24
"""Ancestors that are shown, the nearest ones: a page has so much room."""


@dataclass(frozen=True)
class Ancestor:
    """A program of a line.

    Attributes:
        program: what the archive lists of it.
        row, lane: where it stands; row 0 is the program that was asked for, and parents stand below their children.
        parents: rows of those of its parents that are shown.
    """

    program: Listed
    row: int
    lane: int
    parents: tuple[int, ...]


@dataclass(frozen=True)
class Ancestry:
    """A program and its ancestors, the latest first; `more` further ones are not shown."""

    nodes: tuple[Ancestor, ...]
    more: int


def ancestry(confirmed: Mapping[str, Listed], hash: str) -> Ancestry:
    """The ancestors of a program.

    Args:
        confirmed: programs by hash, in the order of the slots; parents that are not among them are left out.
        hash: of the program.
    """
    nearest, queue = [hash], [hash]
    seen = {hash}
    while queue:
        for parent in confirmed[queue.pop(0)].parents:
            if parent in confirmed and parent not in seen:
                seen.add(parent)
                nearest.append(parent)
                queue.append(parent)
    shown = set(nearest[: MOST + 1])
    order = [each for each in reversed(list(confirmed)) if each in shown]
    return Ancestry(tuple(_laid_out(confirmed, order)), len(nearest) - len(shown))


def _laid_out(confirmed: Mapping[str, Listed], order: list[str]) -> list[Ancestor]:
    """Each program in the leftmost lane that waits for it; its first parent goes on in that lane."""
    rows = {hash: row for row, hash in enumerate(order)}
    lanes: list[str | None] = []
    nodes = []
    for row, hash in enumerate(order):
        if hash not in lanes:
            _take(lanes, hash)
        lane = lanes.index(hash)
        lanes = [None if waiting == hash else waiting for waiting in lanes]
        parents = [p for p in dict.fromkeys(confirmed[hash].parents) if rows.get(p, -1) > row]
        for parent in parents:
            if parent not in lanes:
                _take(lanes, parent, lane)
        nodes.append(Ancestor(confirmed[hash], row, lane, tuple(rows[p] for p in parents)))
    return nodes


def _take(lanes: list[str | None], hash: str, wished: int = 0) -> None:
    """Give a program the wished lane where it is free, else the leftmost free one."""
    free = [k for k, waiting in enumerate(lanes) if waiting is None]
    if not free:
        lanes.append(hash)
    else:
        lanes[wished if wished in free else free[0]] = hash
