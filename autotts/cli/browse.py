"""`autotts browse`: the archive in the terminal."""

from __future__ import annotations

import sys
from typing import Any

import click

from autotts.cli._common import archive_option, option, sandbox_options, workers_option
from autotts.errors import InputError

__all__ = ["browse"]


@click.command()
@click.argument("path", metavar="[ARCHIVE]", required=False)
@option("--run", "run_name", default=None, metavar="NAME", help="Look at this run first.  [default: the last one]")
@workers_option
@sandbox_options
@archive_option
def browse(path: str | None, run_name: str | None, workers: int, isolating: dict[str, Any], archive: str) -> int:
    """Browse an archive: runs, programs, the front, and what a program did on each question.

    It follows a search that is running. Programs run in the sandbox where evidence is asked for. ? shows the keys.
    """
    from autotts.ui.browser import Browser, Desk

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(
            "browse needs a terminal; for scripts there are autotts list --json, front --json and show --json"
        )
    desk = Desk(path or archive, workers, isolating, lambda text: click.echo(text, err=True))
    try:
        if run_name is not None:
            desk.archive.run(run_name)
        app = Browser(desk, run_name)
        app.run()
        return app.return_code or 0
    finally:
        desk.close()
