"""A run's report as a person reads it. Figures are in points of accuracy and percent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from autotts.evaluation.champion import LEVEL
from autotts.search.report import Difference, Known, Look, Report, Versus
from autotts.search.reserve import Reserved
from autotts.ui.progress import clip, gain_text

__all__ = [
    "candidates_text",
    "difference_cells",
    "look_lines",
    "points",
    "print_report",
    "print_reserved",
    "question_text",
    "saved_text",
    "short_report",
    "size_text",
    "times",
    "verdict",
]

MOST = 8
"""Questions, or programs within one standard error, that are listed by name."""


def times(number: int) -> str:
    """A number of times in words."""
    return f"{number} time{'' if number == 1 else 's'}"


def points(value: float) -> str:
    """A fraction in points, with its sign."""
    return f"{100 * value:+.2f}" if math.isfinite(value) else "–"


def difference_cells(found: Difference) -> list[str]:
    """Gain ± se, 95 % interval, what can be resolved, sign-flip p."""
    if not math.isfinite(found.se):
        return [points(found.gain), "–", "–", f"{found.p:.3f}"]
    low, high = found.ci95
    resolves = f"± {100 * found.resolution:.2f}"
    return [gain_text(found.gain, found.se), f"{points(low)} … {points(high)}", resolves, f"{found.p:.3f}"]


def question_text(found: Sequence[tuple[str, float]]) -> str:
    """The questions that carry a difference, and what each contributes, in points."""
    if not found:
        return "no question differs"
    listed = ", ".join(f"{name} {points(value)}" for name, value in found[:MOST])
    more = f", {len(found) - MOST} more {points(sum(value for _, value in found[MOST:]))}" if found[MOST:] else ""
    return f"{listed}{more}"


def look_lines(looks: Iterable[Look]) -> list[str]:
    """The ledger, as every report shows it."""
    return [
        f"held out: {look.environment}, looked at {times(look.times)} in this archive, "
        f"{look.programs} program{'' if look.programs == 1 else 's'}"
        for look in looks
    ]


def short_report(report: Report) -> list[str]:
    """What a search ends with: the champion and whether it is better than its parent, in a few lines."""
    own = report.champion
    lines = [f"champion {own.id}: {clip(own.idea, 100)}"]
    for versus in (report.over("parent"), report.over("reference")):
        if versus is not None and not (versus.role == "reference" and len(lines) > 1 and versus.id in lines[1].split()):
            lines.append(
                f"  over its {versus.role} {versus.id} {points(versus.difference.gain)} points, "
                f"{points(versus.corrected)} corrected for having been chosen: {verdict(versus)}"
            )
    return lines + [f"  {line}" for line in look_lines(report.looks)]


def verdict(versus: Versus) -> str:
    """Whether the champion is better than the other program, in words."""
    if versus.better:
        return f"better than its {versus.role}"
    told, resolution = f"cannot be told from its {versus.role}", versus.difference.resolution
    if versus.difference.gain > resolution:  # more than is resolved for one program, and it was chosen out of many
        if versus.chosen_p < LEVEL:
            return f"{told}: corrected, nothing of it is left"
        return f"{told}: p, chosen is {versus.chosen_p:.3f}, and would have to be below {LEVEL:g}"
    return told + (f"; this data resolves ± {100 * resolution:.2f} at 95 %" if math.isfinite(resolution) else "")


def print_report(out: Console, report: Report) -> None:
    """The whole report."""
    own = report.champion
    out.print(f"Champion of {report.run}: {own.id}  {own.idea}", soft_wrap=True)
    out.print(
        f"  the simplest ({size_text(own)}) of {len(report.within)} within one standard error of the best, "
        f"out of {candidates_text(report)}",
        soft_wrap=True,
    )
    data = f"{report.questions} questions, {len(report.environments)} environments, {report.seeds} seeds"
    table = Table(title=f"What it gains at matched tokens, in points ({data})")
    table.add_column("over")
    for name in ("gain ± se", "95 % interval", "resolves at 95 %", "p"):
        table.add_column(name, justify="right")
    for name in ("corrected", "p, chosen"):
        table.add_column(name, justify="right")
    for versus in report.versus:
        chosen = [points(versus.corrected), f"{versus.chosen_p:.3f}"]
        table.add_row(f"{versus.role} {versus.id}", *difference_cells(versus.difference), *chosen)
    out.print(table)
    out.print("corrected, p chosen: allowed for its having been picked out of all candidates (docs/statistics.md)")
    for versus in report.versus:
        out.print(f"Over its {versus.role} {versus.id}: {verdict(versus)}.", soft_wrap=True)
        out.print(f"  the questions that carry it: {question_text(versus.difference.questions)}", soft_wrap=True)
    if not report.unmeasured and report.over("parent") is None:
        out.print("It was made from no other program, so it has no parent to be better than.")
    for id in report.unmeasured:
        out.print(f"Its parent {id} was screened only, so there is nothing to compare with.", soft_wrap=True)
    for name, gain, se in report.by_environment:
        out.print(f"On {name}: {gain_text(gain, se if math.isfinite(se) else None)} points over the reference")
    out.print(saved_text(report), soft_wrap=True)
    _print_within(out, report)
    for line in look_lines(report.looks):
        out.print(line, soft_wrap=True)
    if report.reserve:
        out.print(f"In reserve: {100 * report.reserve:g} % of the questions, at which --look looks.")


def candidates_text(report: Report) -> str:
    """Out of how many the champion was chosen."""
    cut = f" ({report.cut} more are too far below the best to matter)" if report.cut else ""
    return f"{report.candidates} confirmed program{'' if report.candidates == 1 else 's'} of agents{cut}"


def size_text(program: Known) -> str:
    """How simple a program is."""
    return f"{program.constants} constants, {program.words} words"


def saved_text(report: Report) -> str:
    """Tokens that the champion saves at SC@64's accuracy."""
    saved = report.saved
    at = f"At SC@64's accuracy ({100 * saved.accuracy:.2f} %)"
    if saved.value is None or saved.ci95 is None:
        return f"{at}: not reached, whatever it spends"
    low, high = (f"{100 * end:.0f} %" if math.isfinite(end) else "not reached" for end in saved.ci95)
    return f"{at}: saves {100 * saved.value:.0f} % of the tokens (95 %: {low} … {high})"


def _print_within(out: Console, report: Report) -> None:
    table = Table(title="Within one standard error of the best")
    for name in ("program", "gain ± se", "constants", "words", "idea"):
        table.add_column(name, justify="left" if name in ("program", "idea") else "right")
    for known in report.within[:MOST]:
        gain = gain_text(known.gain, known.se if math.isfinite(known.se) else None)
        table.add_row(known.id, gain, str(known.constants), str(known.words), clip(known.idea, 80))
    out.print(table)
    if len(report.within) > MOST:
        out.print(f"and {len(report.within) - MOST} more")


def print_reserved(out: Console, found: Reserved) -> None:
    """What a look at the reserved questions showed."""
    table = Table(title=f"On {found.questions} questions that no agent and no selection saw, in points")
    table.add_column("over")
    for name in ("gain ± se", "95 % interval", "resolves at 95 %", "p"):
        table.add_column(name, justify="right")
    for versus in found.versus:
        table.add_row(f"{versus.role} {versus.id}", *difference_cells(versus.difference))
    out.print(table)
    for versus in found.versus:
        verdict = "better than" if versus.better else "cannot be told from"
        out.print(f"In reserve: {verdict} its {versus.role} {versus.id} (level {versus.level:.3g})")
    programs = f"{found.programs} program{'' if found.programs == 1 else 's'}"
    out.print(f"The reserved questions were looked at {times(found.times)}, {programs}.")
    for name in found.searched_by:
        out.print(
            f"note: {name} searched on some of them; if anything of it went into this run, they are no reserve",
            soft_wrap=True,
        )
