"""`autotts cost`: what models were asked and paid in a run, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from autotts.archive import Archive
from autotts.cli._common import archive_option, console, json_option, option, print_json
from autotts.cli.archive import pick_run, run_option
from autotts.search import Spending, spending

__all__ = ["cost", "spending_table"]


@click.command()
@run_option
@option("--by", type=click.Choice(["agent", "round", "program"]), default="agent", help="One line for each of these.")
@archive_option
@json_option
def cost(run_name: str | None, by: Any, archive: str, as_json: bool) -> int:
    """What a run's models were asked and paid, retries included, and the gain that it bought."""
    with Archive(archive, create=False) as store:
        run = pick_run(store, run_name)
        found = spending(store, run.name, by)
    if as_json:
        more = [{"gain_per_proposal": s.per_proposal, "gain_per_dollar": s.per_dollar} for s in found]
        print_json([{**asdict(s), **extra} for s, extra in zip(found, more, strict=True)])
        return 0
    console().print(spending_table(f"{run.name}: spending by {by}", by, found))
    return 0


def spending_table(title: str, by: str, found: Sequence[Spending]) -> Table:
    """A table; gains in points."""
    table = Table(title=title, caption="Progress: by how many points the proposals raised the run's greatest gain.")
    table.add_column(by)
    names = ("proposals", "ran", "calls", "tokens in", "cached", "out", "$", "seconds")
    for name in (*names, "progress", "a proposal", "a dollar"):
        table.add_column(name, justify="right")
    for s in found:
        dollars = "unknown" if s.cost is None else f"{s.cost:,.4f}"
        kinds = [f"{n:,}" for n in (s.input + s.cache_write, s.cache_read, s.output)]
        gains = ["–" if x is None else f"{100 * x:+.2f}" for x in (s.progress, s.per_proposal, s.per_dollar)]
        table.add_row(
            s.name, str(s.proposals), str(s.accepted), str(s.calls), *kinds, dollars, f"{s.seconds:,.1f}", *gains
        )
    return table
