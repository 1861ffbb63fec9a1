"""`autotts list`, `front`, `show`, `export`: reading the archive."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.syntax import Syntax
from rich.table import Table

from autotts.archive import Archive, Listed, Run, stretches
from autotts.cli._common import archive_option, console, json_option, option, print_json
from autotts.errors import InputError
from autotts.evaluation import load_program
from autotts.ui.progress import gain_text

__all__ = ["export", "front", "list_", "pick_run", "run_option", "show"]

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
    if as_json:
        print_json([_listed(row) for row in listed])
        return 0
    table = Table(title=f"{archive}: {len(listed)} proposals")
    for name in ("run", "slot", "id", "outcome", "gain ± se", "agent", "parents", "idea"):
        table.add_column(name, justify="right" if name == "gain ± se" else "left")
    for row in listed:
        slot = f"{row.round}.{row.slot}" if row.round is not None else ""
        parents = " ".join(parent[:ID] for parent in row.parents)
        gain = gain_text(row.gain, row.gain_se)
        table.add_row(row.run, slot, _short(row.hash), row.outcome, gain, row.agent, parents, row.idea[:60])
    console().print(table)
    return 0


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
    for name in ("id", "from tokens", "to", "β", "idea"):
        table.add_column(name, justify="right" if name in ("from tokens", "to") else "left")
    for stretch in stretches(points):
        high = "…" if stretch.high == float("inf") else f"{stretch.high:,.0f}"
        betas = ", ".join(f"{beta:g}" for beta in stretch.betas)
        table.add_row(stretch.id[:ID], f"{stretch.low:,.0f}", high, betas, ideas.get(stretch.id, "")[:80])
    console().print(table)
    return 0


@click.command()
@click.argument("program")
@archive_option
@json_option
def show(program: str, archive: str, as_json: bool) -> int:
    """One PROGRAM of the archive: source, curves, where it came from."""
    with Archive(archive, create=False) as store:
        found = store.resolve(program)
        listed = [row for row in store.listing() if row.hash == found.hash]
        curves = {run.name: store.points(run.name, found.hash) for run in store.runs()}
        looks = store.ledger(program=found.hash)
    points = {name: [asdict(p) for p in curve] for name, curve in curves.items() if curve}
    if as_json:
        print_json(
            {
                "id": found.id,
                "hash": found.hash,
                "idea": found.idea,
                "source": found.source,
                "proposals": [_listed(row) for row in listed],
                "curves": {
                    name: [{**p, "id": found.id, "accuracy": 100 * p["accuracy"]} for p in curve]
                    for name, curve in points.items()
                },
                "ledger": [asdict(entry) for entry in looks],
            }
        )
        return 0
    out = console()
    out.print(f"{found.id}  {found.idea}")
    for row in listed:
        made = f" from {', '.join(parent[:ID] for parent in row.parents)}" if row.parents else ""
        place = f"{row.run} {row.round}.{row.slot}: " if row.run else ""
        out.print(f"  {place}{row.agent}{made}, {row.outcome}, gain {gain_text(row.gain, row.gain_se)}")
    for name, curve in points.items():
        table = Table(title=f"{name}: confirmed mean curve")
        for column in ("β", "accuracy %", "tokens", "sequential"):
            table.add_column(column, justify="right")
        for p in curve:
            numbers = f"{100 * p['accuracy']:.2f}", f"{p['tokens']:,.0f}", f"{p['sequential_tokens']:,.0f}"
            table.add_row(f"{p['beta']:g}", *numbers)
        out.print(table)
    for entry in looks:
        out.print(f"  held out: {entry.environment_name}, look number {entry.number} of this archive")
    out.print(Syntax(found.source, "python", line_numbers=True, background_color="default"))
    return 0


@click.command()
@click.argument("program")
@option("--output", "-o", required=True, metavar="FILE", help="Where to write the program.")
@archive_option
def export(program: str, output: str, archive: str) -> int:
    """Write PROGRAM as a file of its own, ready for `autotts evaluate FILE` or for reading."""
    with Archive(archive, create=False) as store:
        source = store.resolve(program).source
    path = Path(output)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(source)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{output}: cannot be written ({error}); give another path with -o") from error
    console().print(f"{load_program(output).id} → {output}" if path.suffix == ".py" else f"→ {output}")
    return 0
