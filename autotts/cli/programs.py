"""`autotts check` and `autotts add`: programs that people write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autotts.archive import Archive
from autotts.archive import Program as StoredProgram
from autotts.cli._common import (
    archive_exists,
    archive_option,
    console,
    env_option,
    json_option,
    load_all,
    print_json,
    sandbox_options,
)
from autotts.errors import InputError, ProgramError
from autotts.evaluation import SHIPPED, Evaluator, Program, load_program
from autotts.sandbox.text import printable

__all__ = ["add", "check", "find_program", "stored"]

LINE = 200
"""Characters of a failing line that are shown."""


def find_program(reference: str, archive: str) -> Program:
    """A shipped name, a file, or an id in the archive, whichever it is.

    Raises:
        InputError: it is none of them.
    """
    looks_like_file = ".py" in reference or Path(reference).exists()
    if reference in SHIPPED or looks_like_file or not archive_exists(archive):
        return load_program(reference)
    with Archive(archive, create=False) as store:
        stored = store.resolve(reference)
    return Program(stored.source, stored.id, stored.class_name)


def stored(program: Program) -> StoredProgram:
    """A program as the archive keeps it."""
    return StoredProgram(program.hash, program.source, program.idea, program.class_name)


def _finding(program: str, digest: str, isolation: str, error: ProgramError) -> dict[str, Any]:
    """What is wrong with a program, as JSON."""
    finding = {"outcome": error.outcome, "line": error.line, "error": error.message, "where": error.where}
    return {"program": program, "source_hash": digest, "isolation": isolation, **finding}


def _line(source: str, number: int) -> str:
    """A line of a program as the interpreter counts them, "" where it has none of that number."""
    lines = source.split("\n")
    return printable(lines[number - 1].strip()[:LINE]) if number <= len(lines) else ""


@click.command()
@click.argument("program")
@env_option
@sandbox_options
@archive_option
@json_option
def check(program: str, env_patterns: tuple[str, ...], isolating: dict[str, Any], archive: str, as_json: bool) -> int:
    """Check PROGRAM: what the policy says, the schedule on a grid of 101 β, and smoke episodes in the sandbox."""
    found = find_program(program, archive)
    environments = load_all(env_patterns, None)
    with Evaluator(environments[:1], workers=1, **isolating) as evaluator:
        isolation = evaluator.isolation
        try:
            knobs = evaluator.check(found)
        except ProgramError as error:
            if as_json:
                print_json(_finding(program, found.hash, isolation, error))
                return error.exit_code
            if error.line is not None:
                click.echo(f"  {error.line} | {_line(found.source, error.line)}", err=True)
            raise
    if as_json:
        ok = {"outcome": "ok", "line": None, "error": None, "where": "", "knobs": knobs}
        print_json({"program": program, "source_hash": found.hash, "isolation": isolation, **ok})
        return 0
    out = console()
    out.print(f"{program}: ok  ({found.idea or 'no docstring: its first line should say the idea'})")
    for name in knobs[0]:
        out.print(f"  {name:<20} β=0: {knobs[0][name]:<10g} β=½: {knobs[1][name]:<10g} β=1: {knobs[2][name]:g}")
    out.print(f"  isolation {isolation}")
    return 0


@click.command()
@click.argument("file")
@sandbox_options
@archive_option
@json_option
def add(file: str, isolating: dict[str, Any], archive: str, as_json: bool) -> int:
    """Check FILE and put it into the archive, so that a search may build on it."""
    program = load_program(file)
    if program.name in SHIPPED:
        raise InputError(f"{file}: a shipped controller is in every search already; give a file")
    with Evaluator(load_all((), None)[:1], workers=1, **isolating) as evaluator:
        try:
            evaluator.check(program)
        except ProgramError as error:
            if as_json:
                print_json(_finding(file, program.hash, evaluator.isolation, error))
                return error.exit_code
            raise
    with Archive(archive) as store:
        status = store.add_program(stored(program), agent="person")
    if as_json:
        print_json({"id": program.id, "hash": program.hash, "idea": program.idea, "status": status})
    else:
        console().print(f"{program.id} {status} in {archive}: {program.idea}")
    return 0
