"""What the archive knows of one program in one run, read at once; none of it walks through the run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autotts.archive import Call, LedgerEntry, Listed, Program, Proposal, StoredEvaluation
from autotts.errors import InputError
from autotts.search.curves import Curves, curves
from autotts.search.standing import REFERENCE
from autotts.ui.browser.desk import Desk

__all__ = ["Facts", "Relative", "facts"]

OLDER, FORBEARS, YOUNGER = 8, 40, 40
"""Generations of ancestors, ancestors in all, and children that are shown."""


@dataclass(frozen=True)
class Relative:
    """A program, or an answer that is none, in a lineage.

    Attributes:
        guide: what ties it to the one that it is a parent or a child of.
        hash: of the program, "" where there is none.
        listed: how the run lists it, None where it does not.
        again: whether its own parents stand elsewhere in the tree.
    """

    guide: str
    hash: str
    listed: Listed | None
    again: bool = False


@dataclass(frozen=True)
class Facts:
    """A program of a run, or an answer that never became one.

    Attributes:
        run: its name.
        program: None for an answer that is no program.
        proposal: the first one of the run that came to it, None for one that a person added.
        listed: the same as the list has it.
        parents: that are in the archive.
        curves, reference: its curves, and the reference's; None where there are no figures.
        older, younger: ancestors, parents last; and children, the best first.
        left_out: children that are not among those.
        calls: of models, for its slot.
        evaluations, ledger: that are stored of it.
        looks: environment → how often it was looked at in this archive.
        names: hash → name of the baselines.
        environments: hash → name of those of the run, and of those that it was scored on.
    """

    run: str
    program: Program | None
    proposal: Proposal | None
    listed: Listed | None
    parents: tuple[Program, ...]
    curves: Curves | None
    reference: Curves | None
    older: tuple[Relative, ...]
    younger: tuple[Relative, ...]
    left_out: int
    calls: tuple[Call, ...]
    evaluations: tuple[StoredEvaluation, ...]
    ledger: tuple[LedgerEntry, ...]
    looks: dict[str, int]
    names: dict[str, str]
    environments: dict[str, str]

    @property
    def wrong(self) -> int:
        """The line that failed, from 1; 0 for none."""
        return (self.listed.line or 0) if self.listed and self.listed.outcome not in (None, "ok") else 0

    @property
    def told(self) -> str:
        """The idea, or what was wrong."""
        if self.listed is None:
            return self.program.idea if self.program else ""
        return self.listed.idea if self.listed.outcome in (None, "ok") else self.listed.message

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
    hash = hash or (listed and listed.hash) or ""  # it may have been undecided when somebody began to look at it
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
    younger = _younger(desk, run, hash)
    return Facts(
        run=run,
        program=program,
        proposal=proposal,
        listed=listed,
        parents=tuple(parent for parent in parents if parent),
        curves=curves(figures, hash) if hash else None,
        reference=curves(figures, reference) if reference else None,
        older=tuple(_older(desk, run, hash, listed)),
        younger=tuple(Relative("├ ", row.hash or "", row) for row in younger[:YOUNGER]),
        left_out=max(0, len(younger) - YOUNGER),
        calls=tuple(calls or ()),
        evaluations=tuple(archive.stored_evaluations(hash)) if hash else (),
        ledger=ledger,
        looks={entry.environment: archive.ledger_count(entry.environment) for entry in ledger},
        names={own: name for name, own in figures.baselines.items()},
        environments={
            **{ref.hash: ref.name for ref in figures.run.environments},
            **{entry.environment: entry.environment_name for entry in ledger},
        },
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


def _older(desk: Desk, run: str, hash: str, listed: Listed | None) -> list[Relative]:
    """Ancestors as a tree that grows upwards: each stands above what was made from it, parents of parents once."""
    found: list[Relative] = []
    seen = {hash}

    def climb(row: Listed | None, trunk: str, depth: int) -> None:
        parents = list(row.parents) if row and depth < OLDER else []
        for k, parent in enumerate(parents):
            if len(found) == FORBEARS:
                return
            last = k == len(parents) - 1
            own = _first(desk, run, parent)
            again = parent in seen and bool(own and own.parents)
            found.append(Relative(trunk + ("┌ " if last else "├ "), parent, own, again))
            if parent not in seen:
                seen.add(parent)
                climb(own, trunk + ("  " if last else "│ "), depth + 1)

    climb(listed, "", 0)
    return found[::-1]


def _younger(desk: Desk, run: str, hash: str) -> list[Listed]:
    """What was made from a program: its children once each, the best first; then what did not become any."""
    if not hash:
        return []
    rows = [row for row in desk.archive.made_from(run, hash) if row.hash != hash]
    children = {row.hash: row for row in reversed(rows) if row.hash}  # the first proposal of each counts
    ranked = sorted(children.values(), key=lambda row: -math.inf if row.gain is None else row.gain, reverse=True)
    return [*ranked, *(row for row in rows if not row.hash)]
