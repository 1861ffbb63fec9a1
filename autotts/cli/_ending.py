"""What a search ends with: the front, its picture, the champion, and what to type next."""

from __future__ import annotations

import shlex

import click
from rich.table import Table

from autotts.archive import stretches
from autotts.cli._common import EMBEDDED, console
from autotts.cli.archive import stretch_cells
from autotts.cli.cost import spending_table
from autotts.search import Search, spending
from autotts.search.report import report
from autotts.ui.plot import front_picture
from autotts.ui.progress import clip, one_line
from autotts.ui.report import short_report

__all__ = ["print_end"]


def print_end(job: Search, archive: str) -> None:
    """The front as a table and a picture, and what to type next."""
    out = console()
    points = job.standing.front()
    ideas = {candidate.id: candidate for candidate in job.candidates}
    table = Table(title="The front: who holds which stretch of tokens")
    for column in ("program", "β", "accuracy %", "tokens a question", "agent", "idea"):
        figures = column in ("accuracy %", "tokens a question")
        width = None if column == "idea" else 10 if column == "program" else 1
        table.add_column(column, justify="right" if figures else "left", min_width=width)
    for stretch in stretches(points):
        candidate = ideas[stretch.id]
        table.add_row(stretch.id, *stretch_cells(stretch, points), candidate.agent, one_line(clip(candidate.idea, 60)))
    out.print(table)
    curves = {name: [(p.tokens, 100 * p.accuracy) for p in job.standing.curve(name)] for name in ("cmc", "sc")}
    picture = front_picture(curves, [(p.tokens, 100 * p.accuracy) for p in points], colour=out.is_terminal)
    click.echo(picture)
    place = "" if archive == "./autotts.db" else f" --archive {shlex.quote(archive)}"
    heldout = "synthetic:heldout" if job.config.envs == (EMBEDDED,) else "HELDOUT_ENVIRONMENT"
    found = spending(job.archive, job.run)
    if any(line.calls for line in found) or len(found) > 1:
        out.print(spending_table("What agents were asked, and what came of it", "agent", found))
    best = job.best().id
    if (made := report(job.archive, job.run)) is not None:
        best = made.champion.id
        for line in short_report(made):
            out.print(line, soft_wrap=True, markup=False)
    out.print("Next:")
    for command in (
        f"autotts browse --run {shlex.quote(job.run)}{place}",
        f"autotts show {best}{place}",
        f"autotts champion --run {shlex.quote(job.run)}{place}",
        f"autotts export {best} -o controller.py{place}",
        f"autotts score {best} --heldout {heldout}{place}",
        f"autotts list --run {shlex.quote(job.run)}{place}",
    ):
        out.print(f"  {command}", soft_wrap=True)
