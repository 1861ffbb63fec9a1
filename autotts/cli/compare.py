"""`autotts compare`: two runs side by side."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from autotts.archive import Archive
from autotts.cli._common import archive_option, console, json_option, print_json
from autotts.cli.champion import difference_json
from autotts.search.comparing import Comparison, Side, compare_runs
from autotts.search.report import Difference
from autotts.ui.report import difference_cells, look_lines, points, question_text

__all__ = ["compare"]


@click.command()
@click.argument("left", metavar="RUN")
@click.argument("right", metavar="RUN")
@archive_option
@json_option
def compare(left: str, right: str, archive: str, as_json: bool) -> int:
    """What one RUN gains over another, by their fronts and champions, and what each took.

    RUN@PATH names a run of another archive. Both must have searched the same questions with the same β and seeds.
    """
    with ExitStack() as stack:
        places = [reference.partition("@") for reference in (left, right)]
        opened = {
            place: stack.enter_context(Archive(place, create=False))
            for place in dict.fromkeys(place or archive for _, _, place in places)
        }
        sides = [(opened[place or archive], name) for name, _, place in places]
        found = compare_runs(sides[0], sides[1])
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found, (left, right))
    return 0


def _side_json(side: Side) -> dict[str, Any]:
    report = side.report
    return {
        **{name: getattr(side, name) for name in ("run", "hypervolume", "front", "seconds", "tokens", "cost")},
        "unpriced": side.unpriced,
        "outcomes": dict(side.outcomes),
        "champion": report and report.champion.id,
        "gain": report and 100 * report.champion.gain,
        "corrected": report and 100 * report.corrected,
        "looks": [asdict(look) for look in side.looks],
    }


def _as_json(found: Comparison) -> dict[str, Any]:
    return {
        "left": _side_json(found.left),
        "right": _side_json(found.right),
        "fronts": difference_json(found.fronts),
        "champions": found.champions and difference_json(found.champions),
    }


def _print(found: Comparison, names: tuple[str, str]) -> None:
    out = console()
    table = Table(title="Two runs")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    cells = [_cells(side) for side in (found.left, found.right)]
    for name in cells[0]:
        table.add_row(name, *(own[name] for own in cells))
    out.print(table)
    told = Table(title=f"What {names[0]} gains over {names[1]} at matched tokens, in points")
    told.add_column("")
    for name in ("gain ± se", "95 % interval", "resolves at 95 %", "p"):
        told.add_column(name, justify="right")
    rows = [("front", found.fronts), *([("champion", found.champions)] if found.champions else [])]
    for kind, between in rows:
        told.add_row(kind, *difference_cells(between))
    out.print(told)
    for kind, between in rows:
        out.print(f"{kind}s: {_verdict(between, names)}", soft_wrap=True)
        out.print(f"  the questions that carry it: {question_text(between.questions)}", soft_wrap=True)
    if found.left.report is None or found.right.report is None:
        out.print("A run without a confirmed program of an agent has no champion.")
    for line in dict.fromkeys(line for side in (found.left, found.right) for line in look_lines(side.looks)):
        out.print(line, soft_wrap=True)


def _verdict(between: Difference, names: tuple[str, str]) -> str:
    """Both were chosen on these questions; where one run chose out of more, that favours it, and we say so."""
    low, high = between.ci95
    first, second = names if between.gain > 0 else names[::-1]
    if (low > 0 or high < 0) and between.p < 0.05:
        return f"{first} is ahead of {second} on these questions, which both were chosen on"
    return f"{names[0]} and {names[1]} cannot be told apart"


def _cells(side: Side) -> dict[str, str]:
    report = side.report
    cost = f"{side.cost:,.2f}" + (f" and {side.unpriced} calls of unknown price" if side.unpriced else "")
    return {
        "hypervolume of the front": f"{side.hypervolume:.4f}",
        "programs on the front": str(side.front),
        "confirmed programs of agents": str(report.candidates + report.cut) if report else "0",
        "champion": report.champion.id if report else "–",
        "its gain over the reference": points(report.champion.gain) if report else "–",
        "corrected for having been chosen": points(report.corrected) if report else "–",
        "took": f"{side.seconds:,.0f} s",
        "models' tokens": f"{side.tokens:,}",
        "models' cost, $": cost,
        "outcomes": ", ".join(f"{count} {name}" for name, count in side.outcomes.items()),
    }
