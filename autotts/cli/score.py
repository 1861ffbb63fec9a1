"""`autotts score`: held-out figures, a separate act that is written down."""

from __future__ import annotations

from pathlib import Path

import click

from autotts.archive import Archive, LedgerEntry, LedgerRow
from autotts.cli._common import (
    MOST_SEEDS,
    archive_option,
    console,
    equivalence_option,
    json_option,
    load_all,
    option,
    print_json,
    workers_option,
)
from autotts.cli.evaluate import print_rows
from autotts.cli.programs import find_program
from autotts.errors import InputError
from autotts.evaluation import Curve, Evaluator, Protocol, parse_betas

__all__ = ["score"]


@click.command()
@click.argument("program")
@option("--heldout", multiple=True, required=True, metavar="PATH", help="A held-out environment; repeatable.")
@option("--betas", default="11", metavar="N|LIST", help="A count (11 = 0, 0.1 … 1) or values (0,0.5,1).")
@option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=20, help="Episodes a question: seeds 0 … N − 1.")
@equivalence_option
@workers_option
@archive_option
@json_option
def score(
    program: str,
    heldout: tuple[str, ...],
    betas: str,
    seeds: int,
    equivalence: str | None,
    workers: int,
    archive: str,
    as_json: bool,
) -> int:
    """Score PROGRAM (an id, a shipped name, a file) on held-out environments, on host episodes, and write it down.

    Every look is counted in the archive's ledger: a held-out set that was looked at often is held out no more.
    """
    if "://" not in archive and not Path(archive).exists():
        raise InputError(f"--archive {archive}: no such archive; the ledger of held-out looks is kept in one")
    found = find_program(program, archive)
    environments = load_all(heldout, equivalence)
    protocol = Protocol(parse_betas(betas), tuple(range(seeds)))
    with Archive(archive) as store:
        searched = {ref.hash: run.name for run in store.runs() for ref in run.environments}
        for environment in environments:
            if environment.hash in searched:
                run = searched[environment.hash]
                raise InputError(f"--heldout {environment.name}: run {run} searched on it, so it is not held out")
        with Evaluator(environments, workers) as evaluator:
            isolation = evaluator.isolation
            results = evaluator.run(found, protocol, "confirm")
        curve = Curve.of(environments, protocol.betas, results)
        rows = curve.rows(found, environments, protocol, results, "confirm", isolation)
        numbers = []
        for environment in environments:
            own = [row for row in rows if row["env_hash"] == environment.hash]
            entry = LedgerEntry(
                found.hash,
                environment.hash,
                environment.name,
                tuple(LedgerRow(r["beta"], r["accuracy"] / 100, r["tokens"], r["sequential_tokens"]) for r in own),
            )
            numbers.append((environment.name, store.append_ledger(entry).number))
    if as_json:
        counted = dict(numbers)
        print_json([{**row, "looks": counted[row["environment"]]} for row in rows])
        return 0
    print_rows(rows, isolation)
    for name, number in numbers:
        console().print(f"{name}: scored {number} time{'s' if number > 1 else ''} in this archive")
    return 0
