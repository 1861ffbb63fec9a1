"""The report of a run: its champion, what it is better than beyond what choosing explains, and what carries that.

Everything here comes from the archive alone. docs/statistics.md defines the measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotts.archive import Archive, Listed
from autotts.evaluation.champion import LEVEL, Champion, Field, beyond_choosing, champion, measured
from autotts.evaluation.simplicity import simplicity
from autotts.evaluation.statistics import (
    Saved,
    Scores,
    Yardstick,
    cluster_index,
    cluster_resamples,
    contributions_from,
    gain_at_matched_tokens,
    jackknife_weights,
    sign_flip,
    spread,
    tokens_saved,
)
from autotts.search.figures import Figures
from autotts.search.standing import REFERENCE

__all__ = ["Difference", "Known", "Look", "Report", "Versus", "difference", "looks_at", "report", "report_of"]

RESAMPLES = 1000
REACH = 4.0
"""Programs whose gain is further below the best's than this many times both standard errors are left out: none is the
best of any resample, and a test of the greatest of many may do without those that are plainly worse (Hansen 2005)."""


@dataclass(frozen=True)
class Known:
    """A confirmed program as a report names it.

    Attributes:
        hash, idea: of the program.
        gain, se: gain at matched tokens over the reference as a fraction, and its standard error.
        constants, words: how simple it is, see `simplicity`.
    """

    hash: str
    idea: str
    gain: float
    se: float
    constants: int
    words: int

    @property
    def id(self) -> str:
        """The first ten digits of the hash."""
        return self.hash[:10]


@dataclass(frozen=True)
class Difference:
    """How much one program gains over another at matched tokens (the reference's levels), paired by question.

    Attributes:
        gain, se, ci95: as fractions; over questions; NaN with fewer than two.
        p: two-sided sign-flip p over questions.
        resolution: half-width that this data can resolve at 95 %.
        questions: (question, contribution) by falling absolute contribution, those that contribute nothing left out.
    """

    gain: float
    se: float
    ci95: tuple[float, float]
    p: float
    resolution: float
    questions: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Versus:
    """The champion beside one other program.

    Attributes:
        role: "parent", "ancestor" (where its line began) or "reference".
        hash, idea: of the other program.
        id: the first ten digits of its hash, or a baseline's name.
        difference: raw, as if the champion had not been chosen.
        corrected: mean, over resamples of the questions, of what is chosen less the other on the questions left out.
        chosen_p: one-sided sign-flip p that allows for the champion's having been picked out of all candidates.
    """

    role: str
    hash: str
    id: str
    idea: str
    difference: Difference
    corrected: float
    chosen_p: float

    @property
    def better(self) -> bool:
        """Whether the champion is better beyond what choosing explains."""
        return self.chosen_p < LEVEL and self.corrected > 0


@dataclass(frozen=True)
class Look:
    """How often a held-out environment was looked at, and with how many programs."""

    environment: str
    times: int
    programs: int


@dataclass(frozen=True)
class Report:
    """What a run's champion is worth.

    Attributes:
        run, seeds, betas, environments, questions: what was measured, and on how much.
        candidates: confirmed programs that agents wrote and that the choice was made from.
        cut: confirmed programs that are so far below the best that they were left out.
        champion: by the one-standard-error rule.
        best: the candidate of the highest gain, which need not be the champion.
        corrected: the champion's gain over the reference, corrected for its having been chosen.
        versus: the champion beside its parents, where its line began, and the reference.
        unmeasured: parents of the champion that were screened only, by id.
        by_environment: (name, gain over the reference, standard error).
        saved: tokens at SC@64's accuracy.
        within: the candidates within one standard error of the best, best first.
        reserve: share of the questions that the run keeps from agents and selection.
        looks: the ledger.
    """

    run: str
    seeds: int
    betas: int
    environments: tuple[str, ...]
    questions: int
    candidates: int
    cut: int
    champion: Known
    best: Known
    corrected: float
    versus: tuple[Versus, ...]
    unmeasured: tuple[str, ...]
    by_environment: tuple[tuple[str, float, float], ...]
    saved: Saved
    within: tuple[Known, ...]
    reserve: float
    looks: tuple[Look, ...]

    def over(self, role: str) -> Versus | None:
        """The champion beside the first program of this role, None where there is none."""
        return next((versus for versus in self.versus if versus.role == role), None)


def report(archive: Archive, run: str) -> Report | None:
    """A run's report; None where no program of an agent was confirmed.

    Args:
        archive: where the run is.
        run: its name.

    Raises:
        InputError: no such run, or it has not come as far as its reference.
    """
    return report_of(Figures(archive, archive.run(run)))


def report_of(figures: Figures) -> Report | None:
    """The same from figures that somebody else reads as well."""
    archive, reference = figures.archive, figures.reference
    near = _near(figures.written)
    if not near:
        return None
    field = measured(figures.all_scores([row.hash for row in near if row.hash]), reference)
    known = [_known(archive, row, float(gain)) for row, gain in zip(near, field.gains, strict=True)]
    chosen = champion(field, [(k.constants, k.words) for k in known])
    own = known[chosen.index]
    ours = figures.scores(own.hash)
    gain = gain_at_matched_tokens(ours, reference, resamples=RESAMPLES)
    names = tuple(ref.name for ref in figures.run.environments)
    roles, unmeasured = _beside(figures, own.hash)
    return Report(
        run=figures.run.name,
        seeds=figures.config.seeds,
        betas=figures.config.betas,
        environments=names,
        questions=len(figures.questions),
        candidates=len(near),
        cut=len(figures.written) - len(near),
        champion=own,
        best=known[chosen.best],
        corrected=chosen.corrected,
        versus=tuple(_versus(figures, field, chosen, ours, role, row) for role, row in roles),
        unmeasured=unmeasured,
        by_environment=tuple(zip(names, gain.by_environment.tolist(), gain.by_environment_se.tolist(), strict=True)),
        saved=tokens_saved(ours, figures.scores(figures.baselines["sc"]), resamples=RESAMPLES),
        within=tuple(known[i] for i in chosen.within),
        reserve=figures.config.reserve,
        looks=looks_at(archive),
    )


def looks_at(archive: Archive) -> tuple[Look, ...]:
    """The ledger, one line an environment: every report shows it."""
    names: dict[str, str] = {}
    programs: dict[str, list[str]] = {}
    for entry in archive.ledger():
        names[entry.environment] = entry.environment_name
        programs.setdefault(entry.environment, []).append(entry.program)
    return tuple(Look(names[key], len(own), len(set(own))) for key, own in programs.items())


def _near(written: Sequence[Listed]) -> list[Listed]:
    """Those that could be the best of some resample, by the stored figures."""
    figures = [(row, row.gain, row.gain_se or 0.0) for row in written if row.gain is not None]
    if not figures:
        return []
    _, best, error = max(figures, key=lambda entry: entry[1])
    return [row for row, gain, se in figures if gain >= best - REACH * (se + error) - 1e-12]


def _known(archive: Archive, row: Listed, gain: float) -> Known:
    program = archive.program(row.hash or "")
    assert program is not None
    se = float("nan") if row.gain_se is None else row.gain_se
    return Known(program.hash, program.idea, gain, se, *simplicity(program.source))


def _beside(figures: Figures, hash: str) -> tuple[list[tuple[str, Listed]], tuple[str, ...]]:
    """Who a program stands beside: (role, program), and the ids of parents of which there are no figures."""
    confirmed = figures.confirmed
    parents = confirmed[hash].parents
    beside = [("parent", confirmed[parent]) for parent in parents if parent in confirmed]
    line, at = [hash], confirmed[hash]
    while at.parents and at.parents[0] in confirmed and at.parents[0] not in line:
        line.append(at.parents[0])
        at = confirmed[at.parents[0]]
    reference = figures.baselines[REFERENCE]
    if len(line) > 2 and line[-1] != reference:
        beside.append(("ancestor", at))
    beside.append(("reference", confirmed[reference]))
    return beside, tuple(parent[:10] for parent in parents if parent not in confirmed)


def _versus(figures: Figures, field: Field, chosen: Champion, ours: Scores, role: str, row: Listed) -> Versus:
    reference = figures.reference
    assert row.hash is not None
    theirs = figures.scores(row.hash)
    other = measured([theirs], reference, resamples=field.outside.shape[1])
    return Versus(
        role=role,
        hash=row.hash,
        id=next((name for name, hash in figures.baselines.items() if hash == row.hash), row.hash[:10]),
        idea=row.idea,
        difference=difference(ours, theirs, reference, figures.questions),
        corrected=chosen.corrected_over(other.outside[0]),
        chosen_p=beyond_choosing(field.contributions - other.contributions, chosen.index),
    )


def difference(ours: Scores, theirs: Scores, reference: Scores, questions: Sequence[str]) -> Difference:
    """What one gains over the other, at the reference's token levels.

    Args:
        ours, theirs: over the reference's environments and questions.
        reference: what both are measured against.
        questions: names by cluster number.
    """
    ids, _ = cluster_index(reference)
    clusters = len(ids)
    weights = [np.ones((1, clusters)), cluster_resamples(clusters, RESAMPLES, 0), jackknife_weights(clusters)]
    yardstick = Yardstick(reference, np.concatenate(weights))
    gains = yardstick.gains(ours) - yardstick.gains(theirs)
    value, resampled, shifted = float(gains[0]), gains[1 : 1 + RESAMPLES], gains[1 + RESAMPLES :]
    contributions = contributions_from(value, shifted)
    order = sorted(np.flatnonzero(np.abs(contributions) > 1e-9), key=lambda k: (-abs(contributions[k]), k))
    se, ci95 = spread(resampled, clusters)
    named = tuple((questions[int(ids[k])], float(contributions[k])) for k in order)
    return Difference(value, se, ci95, sign_flip(contributions), 1.96 * se, named)
