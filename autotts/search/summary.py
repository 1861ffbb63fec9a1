"""What a run came to, as figures for a page: everything that can be had from the archive alone.

Nothing here draws or writes; docs/reports.md says what a page shows of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autotts.archive import Archive, LedgerEntry, Point, Program, Run, Stretch, stretches
from autotts.evaluation.statistics import Gain, gain_at_matched_tokens
from autotts.search.ancestry import Ancestry, ancestry
from autotts.search.curves import CurvePoint, curves
from autotts.search.figures import Figures
from autotts.search.growth import Growth, growth
from autotts.search.report import Look, Report, looks_at, report_of
from autotts.search.spending import Spending, spending

__all__ = ["Holder", "Line", "Over", "Role", "Summary", "summarise"]

Role = Literal["champion", "baseline", "front"]

RESAMPLES = 1000


@dataclass(frozen=True)
class Line:
    """A curve over the β of one program, or the front's points.

    Attributes:
        name: id, a baseline's name, or "front".
        role: "champion", "baseline" or "front".
        environment: its name, "" for the mean over all.
        programs: whose each point is, an id or a baseline's name.
        points: by rising β, of the front by rising tokens of the mean.
    """

    name: str
    role: Role
    environment: str
    programs: tuple[str, ...]
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Over:
    """What a program gains over the reference, level by level. `role` is "champion", "parent" or "ancestor"."""

    role: str
    id: str
    gain: Gain


@dataclass(frozen=True)
class Holder:
    """A program of the front: id or a baseline's name, idea, and the stretches of tokens that it holds."""

    program: str
    idea: str
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True)
class Summary:
    """A run in figures.

    Attributes:
        run: its record.
        report: its champion; None where no program of an agent was confirmed.
        champion: its program; None in the same case.
        proposals, undecided: that agents were asked for, and of these those that nothing is decided about yet.
        outcomes: how many decided proposals of agents ended in each outcome, the most frequent first.
        lines: curves, first the means over the environments, then each environment.
        front: who holds which stretches of tokens, by the first of them.
        over: the champion, its parents and where its line began, over the reference.
        unit: SC@64's tokens, mean over the environments: what levels in `over` are multiplied with to be read.
        growth: of the front.
        spending: of the agents.
        ancestry: of the champion; None where there is none.
        looks, ledger: held-out environments, how often they were looked at, and each look.
    """

    run: Run
    report: Report | None
    champion: Program | None
    proposals: int
    undecided: int
    outcomes: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]
    front: tuple[Holder, ...]
    over: tuple[Over, ...]
    unit: float
    growth: Growth
    spending: tuple[Spending, ...]
    ancestry: Ancestry | None
    looks: tuple[Look, ...]
    ledger: tuple[LedgerEntry, ...]


def summarise(archive: Archive, run: str) -> Summary:
    """A run in figures, as far as it has come.

    Args:
        archive: where the run is.
        run: its name.

    Raises:
        InputError: no such run, or it has not come as far as its reference.
    """
    edge = archive.front(run=run)
    figures = Figures(archive, archive.run(run))  # read later, so it has every program of the front
    report = report_of(figures)
    asked = [row for row in figures.listed if row.round]
    ended = Counter(row.outcome for row in asked if row.outcome is not None)
    return Summary(
        run=figures.run,
        report=report,
        champion=archive.program(report.champion.hash) if report else None,
        proposals=len(asked),
        undecided=len(asked) - ended.total(),
        outcomes=tuple(sorted(ended.items(), key=lambda pair: (-pair[1], pair[0]))),
        lines=tuple(_lines(figures, report, edge)),
        front=tuple(_holders(figures, edge)),
        over=tuple(_over(figures, report)) if report else (),
        unit=float(np.mean(figures.units)),
        growth=growth(figures),
        spending=tuple(spending(archive, run)),
        ancestry=ancestry(figures.confirmed, report.champion.hash) if report else None,
        looks=looks_at(archive),
        ledger=tuple(archive.ledger()),
    )


def _holders(figures: Figures, edge: Sequence[Point]) -> Iterator[Holder]:
    names = {hash: name for name, hash in figures.baselines.items()}
    held = stretches(edge)
    for hash in dict.fromkeys(stretch.id for stretch in held):
        own = tuple(stretch for stretch in held if stretch.id == hash)
        yield Holder(names.get(hash, hash[:10]), figures.confirmed[hash].idea, own)


def _over(figures: Figures, report: Report) -> Iterator[Over]:
    others = [(versus.role, versus.id, versus.hash) for versus in report.versus if versus.role != "reference"]
    for role, id, hash in [("champion", report.champion.id, report.champion.hash), *others]:
        yield Over(role, id, gain_at_matched_tokens(figures.scores(hash), figures.reference, resamples=RESAMPLES))


def _lines(figures: Figures, report: Report | None, edge: Sequence[Point]) -> Iterator[Line]:
    """The curves of the baselines, the champion and the front; the mean first, then each environment."""
    names = {hash: name for name, hash in figures.baselines.items()}
    wanted = list(names) + ([report.champion.hash] if report else [])
    tables = {hash: _curves(figures, hash) for hash in [*wanted, *(point.id for point in edge)]}
    owners = tuple(names.get(point.id, point.id[:10]) for point in edge)
    betas = {beta: b for b, beta in enumerate(figures.config.protocol.betas)}
    for e, environment in enumerate(["", *(ref.name for ref in figures.run.environments)]):
        for hash in wanted:
            name, role, own = names.get(hash, hash[:10]), _role(hash, names), tables[hash][e]
            yield Line(name, role, environment, (name,) * len(own), own)
        yield Line("front", "front", environment, owners, tuple(tables[p.id][e][betas[p.beta]] for p in edge))


def _role(hash: str, baselines: Mapping[str, str]) -> Role:
    return "baseline" if hash in baselines else "champion"


def _curves(figures: Figures, hash: str) -> list[tuple[CurvePoint, ...]]:
    """A confirmed program's curves: the mean, then one an environment."""
    found = curves(figures, hash)
    assert found is not None
    return [found.mean, *(own for _, own in found.environments)]
