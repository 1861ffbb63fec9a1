"""`autotts evaluate`: a program's curve on replay environments."""

from __future__ import annotations

import math
from typing import Any

import click
from rich.table import Table

from autotts.cli._common import (
    MOST_SEEDS,
    archive_option,
    console,
    env_option,
    equivalence_option,
    json_option,
    load_all,
    option,
    print_json,
    sandbox_options,
    workers_option,
)
from autotts.cli._kappa import at_kappas, kappa_option
from autotts.cli.programs import find_program
from autotts.errors import ProgramError
from autotts.evaluation import (
    Curve,
    Evaluator,
    Protocol,
    failed_rows,
    falling_pairs,
    parse_betas,
    parse_overrides,
)

__all__ = ["evaluate", "print_beside", "print_rows"]


@click.command()
@click.argument("program")
@env_option
@option("--betas", default="11", metavar="N|LIST", help="A count (11 = 0, 0.1 … 1) or values (0,0.5,1).")
@option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=100, help="Episodes a question: seeds 0 … N − 1.")
@option("--set", "overrides", multiple=True, metavar="KNOB=VALUE", help="Replace a knob at every β; repeatable.")
@equivalence_option
@kappa_option
@option("--confirm", is_flag=True, help="Host episodes: slower, nothing unrevealed within the program's reach.")
@workers_option
@sandbox_options
@archive_option
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    program: str,
    env_patterns: tuple[str, ...],
    betas: str,
    seeds: int,
    overrides: tuple[str, ...],
    equivalence: str | None,
    kappa_probe: str | None,
    confirm: bool,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
    as_json: bool,
) -> int:
    """Run PROGRAM (a shipped name, a file, file.py:Class, or an archive id) in the sandbox and score it."""
    found = find_program(program, archive)
    protocol = Protocol(parse_betas(betas), tuple(range(seeds)), parse_overrides(overrides))
    source = "confirm" if confirm else "screen"
    tables: list[list[dict[str, Any]]] = []
    for environments in at_kappas(load_all(env_patterns, equivalence), kappa_probe):
        with Evaluator(environments, workers, **isolating) as evaluator:
            isolation = evaluator.isolation
            try:
                results = evaluator.confirmed(found, protocol) if confirm else evaluator.run(found, protocol)
            except ProgramError as error:
                if as_json:
                    print_json(failed_rows(found, environments, protocol, source, isolation, error))
                raise
        curve = Curve.of(environments, protocol.betas, results)
        tables.append(curve.rows(found, environments, protocol, results, source, isolation))
    if as_json:
        print_json([row for rows in tables for row in rows])
        return 0
    if len(tables) == 1:
        print_rows(tables[0], isolation)
    else:
        print_beside(*tables)
    for low, high in falling_pairs(protocol.betas, list(curve.mean()[1])):
        console().print(f"note: mean tokens fall between β = {low:g} and β = {high:g}; more β should spend more")
    return 0


def print_beside(free: list[dict[str, Any]], paid: list[dict[str, Any]]) -> None:
    """Rows of one program with free probes, and beside them with probes that cost what they were measured to."""
    head = free[0]
    table = Table(
        title=f"{head['program']}: {head['n_seeds']} seeds × {head['n_questions']} questions, {head['source']}"
    )
    table.add_column("environment")
    for name in ("β", "accuracy %", "tokens, κ = 0", "κ measured", "accuracy %", "tokens, κ measured", "more"):
        table.add_column(name, justify="right")
    for row, other in zip(free, paid, strict=True):
        table.add_row(
            row["environment"],
            f"{row['beta']:g}",
            f"{row['accuracy']:.2f}",
            f"{row['tokens']:,.0f}",
            f"{other['kappa_probe']:,}",
            f"{other['accuracy']:.2f}",
            f"{other['tokens']:,.0f}",
            f"{other['tokens'] / row['tokens'] - 1:+.1%}" if row["tokens"] else "–",
            end_section=row["beta"] == free[-1]["beta"],
        )
    console().print(table)


def print_rows(rows: list[dict[str, Any]], isolation: str) -> None:
    """Rows of one program as a table."""
    head = rows[0]
    table = Table(
        title=f"{head['program']}: {head['n_seeds']} seeds × {head['n_questions']} questions, "
        f"equivalence {head['equivalence']}, {head['source']}, isolation {isolation}"
    )
    table.add_column("environment")
    for name in ("β", "accuracy %", "95 % (questions)", "tokens", "sequential", "branches"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["environment"],
            f"{row['beta']:g}",
            f"{row['accuracy']:.2f}",
            _interval(*row["ci95"]),
            f"{row['tokens']:,.0f}",
            f"{row['sequential_tokens']:,.0f}",
            f"{row['branches']:.1f}",
            end_section=row["beta"] == rows[-1]["beta"],
        )
    console().print(table)


def _interval(low: float, high: float) -> str:
    """One question alone has no interval."""
    return f"{low:.1f} … {high:.1f}" if math.isfinite(low) else "–"
