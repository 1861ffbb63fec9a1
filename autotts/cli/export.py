"""`autotts export`: a program as a file that says where it comes from, or one for the paper's evaluator."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import click

from autotts.archive import Listed, Point, Run
from autotts.archive import Program as StoredProgram
from autotts.cli._common import archive_option, console, option
from autotts.cli.archive import Known, find_stored, known
from autotts.cli.programs import stored
from autotts.evaluation import Program, load_program
from autotts.evaluation.classwriter import class_file
from autotts.evaluation.heading import with_heading
from autotts.files import must_be_free, write_whole
from autotts.sandbox.text import printable
from autotts.search import Config

__all__ = ["export"]

LATEST = 5
"""Runs that a heading tells of: a baseline is in every run."""


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
def export(program: str, output: str, form: str, force: bool, archive: str) -> int:
    """Write PROGRAM (an id, a shipped name or a file) as a file that says where it comes from and how it did."""
    if output != "-" and not force:
        must_be_free(Path(output))
    found = known(_find(program, archive), archive)
    own = Program(found.program.source, found.program.id, found.program.class_name)
    lines = [*_about(found, "FILE" if output == "-" else Path(output).name), *(_CLASS if form == "class" else ())]
    text = with_heading(class_file(own) if form == "class" else own.source, lines)
    if output == "-":
        _to_standard_output(text)
        return 0
    write_whole({Path(output): [text.encode()]})
    again = load_program(f"{output}:{own.class_name}" if own.class_name and output.endswith(".py") else output)
    console().print(f"{again.id} → {output}" if output.endswith(".py") else f"→ {output}", soft_wrap=True)
    return 0


def _find(reference: str, archive: str) -> StoredProgram:
    return stored(load_program(reference)) if ".py" in reference else find_stored(reference, archive)


def _to_standard_output(text: str) -> None:
    """As it is into a file or a pipe; a terminal would obey what does not print."""
    shown = printable(text, newlines=True) if sys.stdout.isatty() else text
    click.echo(shown.encode(), nl=False)


# ---- the heading -------------------------------------------------------------------------------------------------

_CLASS = (
    "",
    'This file needs no autotts: OptimalController(config={"beta": b}).solve(question) runs in the evaluator of the',
    "paper's repository. There an opened branch cannot be run to its end at once: with T tokens and d probes it costs",
    "max(T, d × Δ), where AutoTTS counts T. Sequential tokens follow that evaluator's rule, variables of the module",
    "keep their values from one question to the next, and each question must have 64 branches.",
)


def _about(found: Known, file: str) -> Iterator[str]:
    """The lines of a heading, in which texts of programs may stand."""
    program = found.program
    yield ""
    yield f"{program.id}: {program.idea or 'no idea is given'}"
    yield f"exported by AutoTTS {version('autotts')}; runs anywhere with: pip install autotts"
    yield f"  autotts evaluate {file}{f':{program.class_name}' if program.class_name else ''}"
    yield f"sha256 of {'its source, NUL and class name' if program.class_name else 'its source'}: {program.hash}"
    yield from map(_origin, found.listed[-LATEST:])
    for name in list(found.curves)[-LATEST:]:
        yield from _measured(found.runs[name], found.curves[name])
    left = max(0, len(found.listed) - LATEST, len(found.curves) - LATEST)
    if left:
        yield f"and in {left} {'run' if left == 1 else 'runs'} before: autotts show {program.id}"


def _origin(row: Listed) -> str:
    """Where a program came from, in a line."""
    parents = f", from {', '.join(parent[:10] for parent in row.parents)}" if row.parents else ""
    place = f"in {row.run}, round {row.round}, slot {row.slot}" if row.run else "added to the archive"
    return f"by {row.agent} {place}{parents}: {row.outcome or 'not judged yet'}"


def _measured(run: Run, curve: Sequence[Point]) -> Iterator[str]:
    """A program's confirmed curve in a run, and what it was measured on."""
    seeds = Config.from_json(run.config).protocol.seeds
    yield ""
    yield (
        f"{run.name}: confirmed with AutoTTS {run.versions.get('autotts', 'of unknown version')}, "
        f"seeds {seeds[0]} to {seeds[-1]}, mean over"
    )
    for ref in run.environments:
        yield f"  {ref.name}, sha256 {ref.hash}"
    yield f"  {'β':<8}{'accuracy %':>10}{'tokens':>12}{'sequential':>12}"
    for p in curve:
        yield f"  {p.beta:<8g}{100 * p.accuracy:>10.2f}{p.tokens:>12,.0f}{p.sequential_tokens:>12,.0f}"
