"""`autotts polish`: better constants for one program."""

from __future__ import annotations

import random
from typing import Any

import click

from autotts.agents.polish import optimiser, polished
from autotts.archive import Archive
from autotts.cli._common import (
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
from autotts.cli.programs import find_program, stored
from autotts.errors import AgentError, ProgramError
from autotts.evaluation import Evaluator
from autotts.search import REFERENCE, Config
from autotts.traces.bench import Bench

__all__ = ["polish"]


@click.command()
@click.argument("program")
@env_option
@equivalence_option
@option("--seed", type=int, default=0, help="Of everything random.")
@workers_option
@sandbox_options
@archive_option
@json_option
def polish(
    program: str,
    env_patterns: tuple[str, ...],
    equivalence: str | None,
    seed: int,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
    as_json: bool,
) -> int:
    """Tune the constants in the schedule of PROGRAM (a shipped name, a file, or an archive id).

    The child goes into the archive, so that a search may build on it. Where none is better beyond a standard error on
    questions that it was not tuned on, nothing is added, and the exit code is 1.
    """
    optimiser()
    parent = find_program(program, archive)
    environments = load_all(env_patterns, equivalence)
    with Evaluator(environments, workers, **isolating) as evaluator:
        evaluator.notice(f"polishing {program}: some dozens of variants are measured, which takes minutes")
        try:
            evaluator.check(parent)
            found = polished(Bench(evaluator, Config().bench_protocol, REFERENCE), parent, random.Random(seed))
        except (AgentError, ProgramError) as error:
            if as_json:
                print_json({"program": program, "outcome": error.outcome, "error": str(error)})
                return error.exit_code
            raise
    child = found.program
    with Archive(archive) as store:
        status = store.add_program(stored(child), agent="person")
    if as_json:
        print_json({"id": child.id, "hash": child.hash, "idea": child.idea, "status": status, **found.facts()})
        return 0
    out = console()
    out.print(f"{child.id} {status} in {archive}: {child.idea}")
    for line, before, after in found.changes:
        out.print(f"  line {line}: {before} → {after}")
    out.print(
        f"  over {parent.id} at matched tokens: {100 * found.gain:+.2f} ± {100 * found.gain_se:.2f} points on "
        f"questions that it was not tuned on ({found.folds} folds, {found.measured} variants)"
    )
    return 0
