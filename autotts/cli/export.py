"""`autotts export`: a program as a file that says where it comes from, or one for the paper's evaluator."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from autotts.archive import Program as StoredProgram
from autotts.cli._common import archive_option, console, option
from autotts.cli.archive import find_stored, known_in
from autotts.cli.programs import stored
from autotts.evaluation import load_program
from autotts.files import must_be_free, write_whole
from autotts.sandbox.text import printable
from autotts.search.known import Form, exported_text

__all__ = ["export"]


@click.command()
@click.argument("program")
@option("--output", "-o", required=True, metavar="FILE|-", help="Where to write the program; - is standard output.")
@option(
    "--format",
    "form",
    type=click.Choice(["program", "class"]),
    default="program",
    help="class: a file for the evaluator of the paper's repository, which needs no autotts.",
)
@option("--force", is_flag=True, help="Replace a file that exists.")
@archive_option
def export(program: str, output: str, form: Form, force: bool, archive: str) -> int:
    """Write PROGRAM (an id, a shipped name or a file) as a file that says where it comes from and how it did."""
    if output != "-" and not force:
        must_be_free(Path(output))
    found = known_in(archive, _find(program, archive))
    text = exported_text(found, form, "FILE" if output == "-" else Path(output).name)
    if output == "-":
        _to_standard_output(text)
        return 0
    write_whole({Path(output): [text.encode()]})
    class_name = found.program.class_name
    again = load_program(f"{output}:{class_name}" if class_name and output.endswith(".py") else output)
    console().print(f"{again.id} → {output}" if output.endswith(".py") else f"→ {output}", soft_wrap=True)
    return 0


def _find(reference: str, archive: str) -> StoredProgram:
    return stored(load_program(reference)) if ".py" in reference else find_stored(reference, archive)


def _to_standard_output(text: str) -> None:
    """As it is into a file or a pipe; a terminal would obey what does not print."""
    shown = printable(text, newlines=True) if sys.stdout.isatty() else text
    click.echo(shown.encode(), nl=False)
