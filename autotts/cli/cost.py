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
        print_json([{**asdict(s), **_points(s)} for s in found])
        return 0
    console().print(spending_table(f"{run.name}: spending by {by}", by, found))
    return 0


def _points(s: Spending) -> dict[str, float | None]:
    gains = {"progress": s.progress, "progress_per_proposal": s.per_proposal, "progress_per_dollar": s.per_dollar}
    return {name: None if gain is None else 100 * gain for name, gain in gains.items()}


def spending_table(title: str, by: str, found: Sequence[Spending]) -> Table:
    """A table; progress in points."""
    notes = ["asked: proposals; progress: by how many points they raised the run's greatest gain."]
    if reserved := sum(s.reserved for s in found):
        notes.append(f"{reserved} calls whose usage nobody told count at the most that they may have used.")
    table = Table(title=title, caption=" ".join(notes), box=None, padding=(0, 1), pad_edge=False)
    table.add_column(by, overflow="fold", min_width=10)
    for name in ("asked", "accepted", "calls", "tokens", "$", "progress", "by proposal", "by $"):
        table.add_column(name, justify="right", min_width=min(len(name), 8))
    for s in found:
        dollars = "unknown" if s.cost is None else f"{s.cost:,.4f}"
        gains = ["–" if gain is None else f"{gain:+.2f}" for gain in _points(s).values()]
        table.add_row(s.name, str(s.proposals), str(s.accepted), str(s.calls), f"{s.tokens:,}", dollars, *gains)
    return table
