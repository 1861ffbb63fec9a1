"""`autotts report`: a run as one page, as pictures for papers, and the figures behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autotts.archive import Archive
from autotts.cli._again import again
from autotts.cli._common import archive_option, console, option, sandbox_options, workers_option
from autotts.cli.archive import pick_run
from autotts.files import must_be_free, write_whole
from autotts.search.sampled import Sampled, sampled
from autotts.search.summary import Summary, summarise
from autotts.ui.report_page import Chart, as_csv, charts, page, rendered

__all__ = ["report"]

DEFAULT = "report.html"
LEFT_OUT = "--no-evidence was given"


@click.command()
@click.argument("run", required=False)
@option(
    "--output",
    "-o",
    default=None,
    metavar="FILE",
    help=f"The page, HTML that needs nothing else.  [default: {DEFAULT}, with neither --plots nor --csv]",
)
@option("--plots", default=None, metavar="DIR", help="Every picture as SVG and as PNG, into this folder.")
@option("--csv", "figures", default=None, metavar="DIR", help="The figures behind every picture, into this folder.")
@option("--no-evidence", is_flag=True, help="Play nothing again: no failure kinds, no credit per line.")
@option("--force", is_flag=True, help="Replace files that exist.")
@workers_option
@sandbox_options
@archive_option
def report(
    run: str | None,
    output: str | None,
    plots: str | None,
    figures: str | None,
    no_evidence: bool,
    force: bool,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
) -> int:
    """Report of RUN, the last one where none is named: curves, champion, front, lineage, failures, source.

    Everything comes from the archive, but for failure kinds and credit per line: for these the champion and the
    reference play some episodes again, in the sandbox. Where the run's environments are gone, the page says so.
    """
    if output is None and plots is None and figures is None:
        output = DEFAULT
    if output is not None and not force:
        must_be_free(Path(output))
    with Archive(archive, create=False) as store:
        chosen = pick_run(store, run)
        summary = summarise(store, chosen.name)
        found: Sampled | str = LEFT_OUT
        if summary.report is not None and not no_evidence:
            found = sampled(store, summary.report, workers, **isolating)
    files = _files(summary, found, output, plots, figures)
    if not force:
        for path in files:
            must_be_free(path)
    write_whole({path: [content] for path, content in files.items()}, folders=True)
    for place, what in ((output, "page"), (plots, "pictures"), (figures, "figures")):
        if place is not None:
            console().print(f"{chosen.name}: {what} → {place}", soft_wrap=True)
    if isinstance(found, str) and not no_evidence and summary.report is not None:
        click.echo(f"note: without failure kinds and credit per line: {found}", err=True)
    return 0


def _files(
    summary: Summary, found: Sampled | str, output: str | None, plots: str | None, figures: str | None
) -> dict[Path, bytes]:
    """What is to be written."""
    made: dict[str, Chart] = charts(summary, found if isinstance(found, Sampled) else None)
    files: dict[Path, bytes] = {}
    if output is not None:
        files[Path(output)] = page(summary, found, made, again(summary.run)).encode()
    for name, chart in made.items():
        if plots is not None:
            files[Path(plots, f"{name}.svg")] = rendered(chart, "svg")
            files[Path(plots, f"{name}.png")] = rendered(chart, "png")
        if figures is not None:
            files[Path(figures, f"{name}.csv")] = as_csv(chart)
    return files
