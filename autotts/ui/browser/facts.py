"""What the archive knows of one program in one run, read at once; none of it walks through the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autotts.archive import Call, LedgerEntry, Listed, Point, Program, Proposal, StoredEvaluation
from autotts.errors import InputError
from autotts.search.curves import Curves, curves
from autotts.search.standing import REFERENCE
from autotts.ui.browser.desk import Desk

__all__ = ["Facts", "Relative", "facts"]

OLDER, YOUNGER = 12, 40
"""Generations of ancestors, and children, that are shown."""


@dataclass(frozen=True)
class Relative:
    """Where a program stands in a lineage: ancestors have depths below 0, children 1."""

    depth: int
    hash: str
    listed: Listed | None


@dataclass(frozen=True)
class Facts:
    """A program of a run, or an answer that never became one.

    Attributes:
        program: None for an answer that is no program.
        proposal: the first one of the run that came to it, None for one that a person added.
        listed: the same as the list has it.
        parents: that are in the archive.
        curves, reference: its curves, and the reference's; None where there are no figures.
        points: on the mean curve.
        lineage: ancestors, itself, children.
        calls: of models, for its slot.
        evaluations, ledger: that are stored of it.
        looks: environment → how often it was looked at in this archive.
        names: hash → name of the baselines.
    """

    program: Program | None
    proposal: Proposal | None
    listed: Listed | None
    parents: tuple[Program, ...]
    curves: Curves | None
    reference: Curves | None
    points: tuple[Point, ...]
    lineage: tuple[Relative, ...]
    calls: tuple[Call, ...]
    evaluations: tuple[StoredEvaluation, ...]
    ledger: tuple[LedgerEntry, ...]
    looks: dict[str, int]
    names: dict[str, str]

    @property
    def source(self) -> str:
        """Of the program, or as it was proposed."""
        return self.program.source if self.program else self.proposal.source if self.proposal else ""


def facts(desk: Desk, run: str, hash: str, place: tuple[int, int] | None) -> Facts:
    """Read what there is.

    Args:
        desk: to read from.
        run: that is looked at.
        hash: of the program, "" for an answer that is none.
        place: (round, slot) of the proposal, None for the first one of the run.

    Raises:
        InputError: there is no such program or proposal.
    """
    archive = desk.archive
    listed = _listed(desk, run, hash, place)
    program = archive.program(hash) if hash else None
    if program is None and listed is None:
        raise InputError(f"{hash[:10] or place}: no such program or proposal in {run}")
    proposal = calls = None
    if listed is not None and listed.round is not None and listed.slot is not None:
        proposal = archive.proposal(run, listed.round, listed.slot)
        calls = archive.calls(run, listed.round, listed.slot)
    figures = desk.figures(run)
    ledger = tuple(archive.ledger(program=hash)) if hash else ()
    parents = [archive.program(parent) for parent in (listed.parents if listed else ())]
    reference = figures.baselines.get(REFERENCE)
    return Facts(
        program=program,
        proposal=proposal,
        listed=listed,
        parents=tuple(parent for parent in parents if parent),
        curves=curves(figures, hash) if hash else None,
        reference=curves(figures, reference) if reference else None,
        points=tuple(archive.points(run, hash)) if hash else (),
        lineage=tuple(_lineage(desk, run, hash, listed)) if hash else (),
        calls=tuple(calls or ()),
        evaluations=tuple(archive.stored_evaluations(hash)) if hash else (),
        ledger=ledger,
        looks={entry.environment: archive.ledger_count(entry.environment) for entry in ledger},
        names={own: name for name, own in figures.baselines.items()},
    )


def _listed(desk: Desk, run: str, hash: str, place: tuple[int, int] | None) -> Listed | None:
    if place is not None:
        found = desk.archive.page(run, (place[0], place[1] - 1), 1)
        return found[0] if found and (found[0].round, found[0].slot) == place else None
    return _first(desk, run, hash)


def _first(desk: Desk, run: str, hash: str) -> Listed | None:
    """The first accepted proposal of a run that came to a program, or the first at all."""
    own = [row for row in desk.archive.listed_as(hash) if row.run == run]
    return next((row for row in own if row.outcome == "ok"), own[0] if own else None)


def _lineage(desk: Desk, run: str, hash: str, listed: Listed | None) -> Sequence[Relative]:
    """Ancestors, the furthest first, itself, and children."""
    older: list[Relative] = []
    seen, level = {hash}, list(listed.parents if listed else ())
    for depth in range(1, OLDER + 1):
        further: list[str] = []
        for parent in level:
            if parent not in seen:
                seen.add(parent)
                row = _first(desk, run, parent)
                older.append(Relative(-depth, parent, row))
                further += row.parents if row else ()
        level = further
    children = [row for row in desk.archive.made_from(run, hash) if row.hash and row.hash != hash]
    younger = {row.hash: row for row in children if row.hash}
    some = [Relative(1, own, row) for own, row in list(younger.items())[:YOUNGER]]
    return [*reversed(older), Relative(0, hash, listed), *some]
