"""Where a program comes from, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from autotts.errors import InputError
from autotts.traces._table import Cell, Evidence

__all__ = ["lineage"]


class Entry(Protocol):
    """A program of a search: one of the archive's list, or one that an agent was told of."""

    @property
    def id(self) -> str | None: ...
    @property
    def parents(self) -> Sequence[str]: ...
    @property
    def agent(self) -> str: ...
    @property
    def outcome(self) -> str | None: ...
    @property
    def idea(self) -> str: ...
    @property
    def gain(self) -> float | None: ...


def lineage(entries: Iterable[Entry], id_: str) -> Evidence:
    """A program's ancestors, nearest first, and its children.

    Args:
        entries: all that are known; of one that is there twice the first counts.
        id_: the program's id; all ids are as long, and hashes begin with them.

    Raises:
        InputError: it is not among them.
    """
    known: dict[str, Entry] = {}
    for entry in entries:
        if entry.id:
            known.setdefault(entry.id, entry)
    if id_ not in known:
        raise InputError(f"{id_}: no search has proposed it, so it has no lineage")
    rows, queue, seen = [], [(id_, 0)], set()
    while queue:
        at, depth = queue.pop(0)
        if at in seen or at not in known:
            continue
        seen.add(at)
        rows.append(_row("itself" if not depth else f"parent {depth}", known[at]))
        queue += [(parent[: len(id_)], depth + 1) for parent in known[at].parents]
    rows += [_row("child", e) for e in known.values() if any(parent.startswith(id_) for parent in e.parents)]
    columns = ("relation", "program", "gain, points", "agent", "outcome", "idea")
    return Evidence(f"Lineage of {id_}", columns, tuple(rows))


def _row(relation: str, entry: Entry) -> tuple[Cell, ...]:
    gain = None if entry.gain is None else 100 * entry.gain
    return relation, entry.id, gain, entry.agent, entry.outcome, entry.idea
