"""`autotts score`: held-out figures, a separate act that is written down."""

from __future__ import annotations

from typing import Any

import click

from autotts.archive import Archive, LedgerEntry, LedgerRow
from autotts.cli._common import (
    MOST_SEEDS,
    archive_exists,
    archive_option,
    console,
    equivalence_option,
    json_option,
    load_all,
    option,
    print_json,
    sandbox_options,
    workers_option,
)
from autotts.cli._kappa import at_kappas, kappa_option
from autotts.cli.evaluate import print_beside, print_rows
from autotts.cli.programs import find_program
from autotts.errors import InputError, ProgramError
from autotts.evaluation import SHIPPED, Curve, Evaluator, Protocol, failed_rows, parse_betas
from autotts.replay import Environment
from autotts.search import Config
from autotts.ui.report import times

__all__ = ["score"]


@click.command()
@click.argument("program")
@option("--heldout", multiple=True, required=True, metavar="PATH", help="A held-out environment; repeatable.")
@option("--betas", default="11", metavar="N|LIST", help="A count (11 = 0, 0.1 … 1) or values (0,0.5,1).")
@option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=20, help="Episodes a question: seeds 0 … N − 1.")
@equivalence_option
@kappa_option
@workers_option
@sandbox_options
@archive_option
@json_option
def score(
    program: str,
    heldout: tuple[str, ...],
    betas: str,
    seeds: int,
    equivalence: str | None,
    kappa_probe: str | None,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
    as_json: bool,
) -> int:
    """Score PROGRAM (an id, a shipped name, a file) on held-out environments, on host episodes, and write it down.

    Every look is counted in the archive's ledger: a held-out set that was looked at often is held out no more.
    """
    if not archive_exists(archive):
        raise InputError(f"--archive {archive}: no such archive; the ledger of held-out looks is kept in one")
    found = find_program(program, archive)
    environments = load_all(heldout, equivalence)
    settings = at_kappas(environments, kappa_probe)
    protocol = Protocol(parse_betas(betas), tuple(range(seeds)))
    with Archive(archive) as store:
        for environment in environments:
            _refuse_searched(store, environment)
        tables: list[list[dict[str, Any]]] = []
        for costed in settings:
            with Evaluator(costed, workers, **isolating) as evaluator:
                isolation = evaluator.isolation
                try:
                    results = evaluator.confirmed(found, protocol)
                except ProgramError as error:
                    if as_json:
                        print_json(failed_rows(found, costed, protocol, "confirm", isolation, error))
                    raise
            curve = Curve.of(costed, protocol.betas, results)
            tables.append(curve.rows(found, costed, protocol, results, "confirm", isolation))
        run = "" if found.name in SHIPPED else _run_of(store, found.hash)
        looks = [
            _written(store, found.hash, run, recorded, costed, tables[0])
            for recorded, costed in zip(environments, settings[0], strict=True)
        ]
    if as_json:
        number = {hash: look for costed in settings for hash, look in zip((c.hash for c in costed), looks, strict=True)}
        print_json([{**row, "looks": number[row["env_hash"]], "run": run or None} for rows in tables for row in rows])
        return 0
    if len(tables) == 1:
        print_rows(tables[0], isolation)
    else:
        print_beside(*tables)
    if run:
        console().print(f"{found.name or found.id} comes from {run}")
    for environment, look in zip(environments, looks, strict=True):
        console().print(f"{environment.name}: scored {times(look)} in this archive")
    return 0


def _written(
    store: Archive, program: str, run: str, recorded: Environment, costed: Environment, rows: list[dict[str, Any]]
) -> int:
    """Write one look at a recording into the ledger, whatever a probe costs; the how-manieth it is."""
    kappa = costed.kappa_probe
    name = recorded.name if kappa == recorded.kappa_probe else f"{recorded.name} (κ = {kappa})"
    own = [row for row in rows if row["env_hash"] == costed.hash]
    found = tuple(LedgerRow(r["beta"], r["accuracy"] / 100, r["tokens"], r["sequential_tokens"]) for r in own)
    return store.append_ledger(LedgerEntry(program, recorded.content_hash, name, found, run)).number


def _run_of(store: Archive, program: str) -> str:
    """The last run in which the program was confirmed, "" where there is none."""
    return next((run.name for run in reversed(store.runs()) if store.points(run.name, program)), "")


def _refuse_searched(store: Archive, environment: Environment) -> None:
    """The recording counts, not its name or settings: another name for what was searched is not held out.

    Of a recording that a run searched on and kept a part of in reserve, that part is looked at by `champion --look`.
    """
    searched = {key: run for run in store.runs() for ref in run.environments for key in (ref.hash, *ref.content)}
    known = [searched[key] for key in environment.content if key in searched]
    parted = [run for run in known if Config.from_json(run.config).reserve]
    if environment.hash in searched or parted or 2 * len(known) > len(environment.content):
        run = searched.get(environment.hash) or [*parted, *known][0]
        reserve = f"; what {parted[0].name} kept in reserve is for" if parted else ""
        hint = f"{reserve} `autotts champion --run {parted[0].name} --look`" if parted else ""
        raise InputError(
            f"--heldout {environment.name}: run {run.name} searched on these branches, so they are not held out; "
            f"give recordings that no run of this archive has seen{hint}"
        )
