"""`autotts prompt`: what a language model is asked, to paste into any chat."""

from __future__ import annotations

import click

from autotts.archive import Archive, Listed
from autotts.cli._common import archive_option, option
from autotts.cli.archive import pick_run, run_option
from autotts.prompts import Shown, propose_prompt
from autotts.sandbox.text import printable

__all__ = ["prompt"]

REJECTS = 5


@click.command()
@run_option
@option("--best", "n_best", type=click.IntRange(0), default=2, help="How many programs to show.")
@archive_option
def prompt(run_name: str | None, n_best: int, archive: str) -> int:
    """Print the prompt that asks for a controller; put the answer into a file and `autotts add` it."""
    with Archive(archive, create=False) as store:
        run = pick_run(store, run_name)
        listed = list(store.listing(run.name))

        def shown(row: Listed) -> Shown:
            program = store.program(row.hash or "")
            assert program is not None
            points = tuple((p.beta, 100 * p.accuracy, p.tokens) for p in store.points(run.name, program.hash))
            gain = None if row.gain is None else 100 * row.gain
            error = None if row.gain_se is None else 100 * row.gain_se
            return Shown(program.name or program.id, printable(program.idea), program.source, gain, error, points)

        confirmed = [row for row in listed if row.outcome == "ok" and row.stage == "confirm"]
        ranked = sorted((r for r in confirmed if r.round), key=lambda r: -(r.gain or 0.0))
        rejects = [(r.outcome, printable(r.message)) for r in listed if r.outcome not in (None, "ok")][-REJECTS:]
        text = propose_prompt(shown(confirmed[0]), [shown(row) for row in ranked[:n_best]], rejects)
    click.echo(printable(text, newlines=True))
    return 0
