"""`autotts list`, `front`, `show`: reading the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.syntax import Syntax
from rich.table import Table

from autotts.archive import Archive, Listed, Point, Run, Stretch, stretches
from autotts.archive import Program as StoredProgram
from autotts.cli._common import archive_exists, archive_option, console, json_option, option, print_json
from autotts.cli.programs import stored
from autotts.errors import InputError
from autotts.evaluation import SHIPPED, shipped
from autotts.sandbox.text import printable
from autotts.search.known import Known, known
from autotts.search.report import looks_at
from autotts.ui.progress import clip, gain_text, one_line
from autotts.ui.report import look_lines, times

__all__ = ["find_stored", "front", "known_in", "list_", "pick_run", "run_option", "show", "stretch_cells"]

run_option = option("--run", "run_name", default=None, metavar="NAME", help="One run.  [default: the last one]")
ID = 10


def _short(digest: str | None) -> str | None:
    return digest[:ID] if digest else None


@click.command("list")
@option("--run", "run_name", default=None, metavar="NAME", help="One run only.")
@archive_option
@json_option
def list_(run_name: str | None, archive: str, as_json: bool) -> int:
    """List every program and proposal in order, rejects included."""
    with Archive(archive, create=False) as store:
        if run_name is not None:
            store.run(run_name)
        listed = list(store.listing(run_name))
        looks = looks_at(store)
    if as_json:
        print_json([_listed(row) for row in listed])
        return 0
    table = Table(title=f"{archive}: {len(listed)} proposal{'' if len(listed) == 1 else 's'}")
    widths = {"id": ID, "slot": 4, "gain ± se": 13}
    for name in ("run", "slot", "id", "outcome", "gain ± se", "agent", "parents", "idea, or what was wrong"):
        table.add_column(
            name,
            justify="right" if name == "gain ± se" else "left",
            min_width=widths.get(name),
            no_wrap=name in widths,
        )
    for row in listed:
        slot = f"{row.round}.{row.slot}" if row.round is not None else ""
        parents = " ".join(parent[:ID] for parent in row.parents)
        gain = gain_text(row.gain, row.gain_se)
        table.add_row(row.run, slot, _short(row.hash), row.outcome, gain, row.agent, parents, clip(_told(row), 160))
    console().print(table)
    for line in look_lines(looks):
        console().print(line, soft_wrap=True)
    return 0


def _told(row: Listed) -> str:
    """A program's idea, or why it was rejected."""
    if row.outcome in (None, "ok"):
        return row.idea
    return f"line {row.line}: {row.message}" if row.line is not None else row.message


def _listed(row: Listed) -> dict[str, Any]:
    """A row of `list --json`; nothing in it depends on the clock."""
    return {
        "id": _short(row.hash),
        "hash": row.hash,
        "idea": row.idea,
        "agent": row.agent,
        "parents": [parent[:ID] for parent in row.parents],
        "run": row.run,
        "round": row.round,
        "slot": row.slot,
        "outcome": row.outcome,
        "message": row.message or None,
        "line": row.line,
        "stage": row.stage,
        "gain": None if row.gain is None else 100 * row.gain,
        "gain_se": None if row.gain_se is None else 100 * row.gain_se,
    }


def pick_run(store: Archive, name: str | None) -> Run:
    """The named run, or the last one."""
    if name is not None:
        return store.run(name)
    runs = store.runs()
    if not runs:
        raise InputError("the archive has no run yet; start one with `autotts search`")
    return runs[-1]


@click.command()
@run_option
@archive_option
@json_option
def front(run_name: str | None, archive: str, as_json: bool) -> int:
    """The Pareto front of a run: accuracy against tokens over all confirmed programs and β."""
    with Archive(archive, create=False) as store:
        run = pick_run(store, run_name)
        points = store.front(run=run.name)
        looks = {entry.environment: (entry.environment_name, entry.number) for entry in store.ledger()}
        ideas = {point.id: program.idea for point in points if (program := store.program(point.id))}
    if as_json:
        print_json(
            [
                {
                    "id": point.id[:ID],
                    "beta": point.beta,
                    "accuracy": 100 * point.accuracy,
                    "tokens": point.tokens,
                    "sequential_tokens": point.sequential_tokens,
                }
                for point in points
            ]
        )
        return 0
    table = Table(title=f"front of {run.name}: mean over {', '.join(ref.name for ref in run.environments)}")
    for name in ("id", "β", "accuracy %", "tokens a question", "idea"):
        table.add_column(name, justify="right" if name in ("accuracy %", "tokens a question") else "left")
    for stretch in stretches(points):
        table.add_row(stretch.id[:ID], *stretch_cells(stretch, points), one_line(ideas.get(stretch.id, "")))
    console().print(table)
    for name, number in looks.values():
        console().print(f"held out: {name}, scored {times(number)} in this archive")
    return 0


def stretch_cells(stretch: Stretch, points: Sequence[Point]) -> tuple[str, str, str]:
    """What a program has on its stretch of the front: β, accuracy in percent, tokens a question."""
    own = [p for p in points if p.id == stretch.id and p.beta in stretch.betas]
    ends = [own[0], own[-1]] if len(own) > 1 else own
    return (
        " … ".join(f"{p.beta:g}" for p in ends),
        " … ".join(f"{100 * p.accuracy:.2f}" for p in ends),
        " … ".join(f"{p.tokens:,.0f}" for p in ends),
    )


def find_stored(reference: str, archive: str) -> StoredProgram:
    """A shipped name stands for what is shipped, as it does for `evaluate`, whether the archive has it or not."""
    if reference in SHIPPED:
        return stored(shipped(reference))
    with Archive(archive, create=False) as store:
        return store.resolve(reference)


def known_in(archive: str, program: StoredProgram) -> Known:
    """What an archive, if there is one, knows of a program."""
    if not archive_exists(archive):
        return Known(program)
    with Archive(archive, create=False) as store:
        return known(store, program)


@click.command()
@click.argument("program")
@archive_option
@json_option
def show(program: str, archive: str, as_json: bool) -> int:
    """One PROGRAM (an id, or a shipped name): source, curves, where it came from, held-out looks."""
    found = known_in(archive, find_stored(program, archive))
    if as_json:
        print_json(_known_json(found))
    else:
        _print_known(found)
    return 0


def _known_json(about: Known) -> dict[str, Any]:
    found = about.program
    looks = [
        {**asdict(entry), "rows": [{**asdict(row), "accuracy": 100 * row.accuracy} for row in entry.rows]}
        for entry in about.looks
    ]
    return {
        "id": found.id,
        "hash": found.hash,
        "idea": found.idea,
        "source": found.source,
        "proposals": [_listed(row) for row in about.listed],
        "curves": {
            name: [{**asdict(p), "id": found.id, "accuracy": 100 * p.accuracy} for p in curve]
            for name, curve in about.curves.items()
        },
        "ledger": looks,
    }


def _print_known(about: Known) -> None:
    out, found = console(), about.program
    out.print(f"{found.id}  {found.idea}")
    for row in about.listed:
        made = f" from {', '.join(parent[:ID] for parent in row.parents)}" if row.parents else ""
        place = f"{row.run} {row.round}.{row.slot}: " if row.run else ""
        out.print(f"  {place}{row.agent}{made}, {row.outcome}, gain {gain_text(row.gain, row.gain_se)}")
        if row.outcome not in (None, "ok"):
            out.print(f"    {_told(row)}", soft_wrap=True)
    for name, curve in about.curves.items():
        table = Table(title=f"{name}: confirmed mean curve")
        for column in ("β", "accuracy %", "tokens", "sequential"):
            table.add_column(column, justify="right")
        for p in curve:
            table.add_row(f"{p.beta:g}", f"{100 * p.accuracy:.2f}", f"{p.tokens:,.0f}", f"{p.sequential_tokens:,.0f}")
        out.print(table)
    for name in about.curves:
        out.print(f"  how it stands in {name}: autotts champion --run {name}", soft_wrap=True)
    last = {entry.environment: entry for entry in about.looks}
    for environment, entry in last.items():
        own = sum(look.environment == environment for look in about.looks)
        ends = entry.rows[:1] + entry.rows[1:][-1:]
        figures = "; ".join(f"β {r.beta:g}: {100 * r.accuracy:.2f} % at {r.tokens:,.0f} tokens" for r in ends)
        out.print(
            f"  held out: {entry.environment_name}, scored {times(about.counts[environment])} in this archive, "
            f"this program {times(own)}; {figures}"
        )
    source = printable(found.source, newlines=True)
    out.print(Syntax(source, "python", line_numbers=True, background_color="default"))
