"""`autotts prompts`: every word that a language model is given, to read and to replace."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from autotts.cli._common import console, json_option, option, print_json, prompts_option
from autotts.prompts import Prompts
from autotts.sandbox.text import printable

__all__ = ["prompts"]

DIGITS = 12
"""Of a hash, in the table; JSON has all of it."""


@click.group()
def prompts() -> None:
    """The templates of what language models are told; single ones can be replaced (docs/prompts.md)."""


def _load(folder: str | None) -> Prompts:
    return Prompts(None if folder is None else Path(folder))


@prompts.command("list")
@prompts_option
@json_option
def list_(prompts_folder: str | None, as_json: bool) -> int:
    """List the templates: what each can use, what it includes, and whether it is replaced."""
    loaded = _load(prompts_folder)
    if as_json:
        print_json([_described(loaded, name) for name in loaded.names()])
        return 0
    table = Table(title=f"{len(loaded.names())} prompt templates")
    for column in ("name", "origin", "hash", "includes", "variables"):
        table.add_column(column)
    for name in loaded.names():
        origin = f"overridden by {loaded.path(name)}" if loaded.is_own(name) else "shipped"
        included, variables = ", ".join(loaded.included(name)), ", ".join(loaded.variables(name))
        table.add_row(name, origin, loaded.hash(name)[:DIGITS], included, variables)
    console().print(table)
    return 0


def _described(loaded: Prompts, name: str) -> dict[str, object]:
    """A template in JSON, without its text."""
    return {
        "name": name,
        "overridden": loaded.is_own(name),
        "path": loaded.path(name),
        "hash": loaded.hash(name),
        "includes": loaded.included(name),
        "variables": list(loaded.variables(name)),
    }


@prompts.command()
@click.argument("name")
@prompts_option
@json_option
def show(name: str, prompts_folder: str | None, as_json: bool) -> int:
    """Print the template NAME, and the hash by which prompts made of it are told apart."""
    loaded = _load(prompts_folder)
    source = loaded.source(name)
    if as_json:
        print_json({**_described(loaded, name), "source": source})
        return 0
    click.echo(printable(f"{name}, {loaded.path(name)}, sha256 {loaded.hash(name)}") + "\n")
    click.echo(printable(source, newlines=True), nl=False)
    return 0


@prompts.command()
@click.argument("folder", metavar="DIR")
@option("--force", is_flag=True, help="Replace files that exist.")
def export(folder: str, force: bool) -> int:
    """Write the shipped templates into DIR; change some, delete the others, and give DIR to `--prompts`."""
    written = Prompts().export(Path(folder), force)
    console().print(f"{len(written)} templates → {folder}")
    return 0
