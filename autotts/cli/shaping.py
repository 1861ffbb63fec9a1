"""`autotts env validate`, `merge`, `split`, `fetch`: environments looked over, put together, parted, fetched."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click

from autotts.cli._common import console, equivalence_option, json_option, option, print_json
from autotts.errors import InputError
from autotts.files import must_be_free
from autotts.replay import (
    Environment,
    environment_files,
    load_environment,
    load_environments,
    read_environment,
    save_environment,
)
from autotts.replay.formats import TEXTS, save_environments
from autotts.replay.shaping import merge as merge_
from autotts.replay.shaping import split as split_
from autotts.replay.shaping import suspicions

__all__ = ["SUFFIXES", "fetch", "in_folder", "merge", "output_path", "split", "validate"]

SUFFIXES = (".jsonl", ".jsonl.gz")

MOST_NAMED = 5
"""Questions that are named where something is suspicious; --json has all."""


def is_file_name(path: Path) -> bool:
    """Whether this can be the name of an environment's file."""
    return path.name.endswith(SUFFIXES) and not path.name.endswith(TEXTS) and path.name not in SUFFIXES


def output_path(output: str, force: bool) -> Path:
    """The path of an environment that is to be made.

    Raises:
        InputError: it is no name for one, or there is a file and it may not be replaced.
    """
    path = Path(output)
    if not is_file_name(path):
        raise InputError(f"-o {output}: must be a file that ends in {' or '.join(SUFFIXES)}, and not in {TEXTS}")
    if not force:
        must_be_free(path)
    return path


def in_folder(folder: Path, environment: Environment) -> Path:
    """`folder/MODEL/DATASET.jsonl.gz`.

    Raises:
        InputError: these cannot be names of files.
    """
    names = [part.replace("/", "_") for part in (environment.model, environment.dataset)]
    if any(name in (".", "..") for name in names):
        raise InputError(
            f"{environment.name}: cannot be a file name; give it another with `autotts env merge --dataset`"
        )
    return folder / names[0] / f"{names[1]}.jsonl.gz"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@equivalence_option
@json_option
def validate(paths: tuple[str, ...], equivalence: str | None, as_json: bool) -> int:
    """Check environments (files, folders, globs, synthetic:search): what is bad, and what is suspicious.

    Exit code 2 if one is bad; what is only suspicious does not count.
    """
    rows = [_checked(name, equivalence) for path in paths for name in _named(path)]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            _show(row)
    return 2 if any(row["error"] for row in rows) else 0


def _named(path: str) -> list[str]:
    return [path] if path.startswith("synthetic:") else list(map(str, environment_files(path)))


def _checked(name: str, equivalence: str | None) -> dict[str, Any]:
    try:
        made = load_environments([name], equivalence) if ":" in name else [load_environment(name, equivalence)]
    except InputError as error:
        return {"path": name, "error": str(error), "questions": None, "branches": None, "suspicions": []}
    found = [(environment, suspicion) for environment in made for suspicion in suspicions(environment)]
    return {
        "path": name,
        "error": None,
        "questions": sum(len(environment.questions) for environment in made),
        "branches": sum(len(question.branches) for environment in made for question in environment.questions),
        "suspicions": [
            {
                "environment": environment.name,
                "kind": suspicion.kind,
                "message": suspicion.message,
                "questions": list(suspicion.questions),
            }
            for environment, suspicion in found
        ],
    }


def _show(row: dict[str, Any]) -> None:
    out = console()
    if row["error"]:
        out.print(f"bad   {row['error']}", soft_wrap=True)
        return
    out.print(f"good  {row['path']}: {row['questions']} questions, {row['branches']} branches", soft_wrap=True)
    for found in row["suspicions"]:
        ids = found["questions"]
        more = ", …" if len(ids) > MOST_NAMED else ""
        where = f" ({', '.join(ids[:MOST_NAMED])}{more})" if ids else ""
        out.print(f"      {found['environment']}: {found['kind']}: {found['message']}{where}", soft_wrap=True)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@option("-o", "--output", required=True, metavar="FILE", help="The environment, .jsonl or .jsonl.gz.")
@option("--dataset", default=None, metavar="NAME", help="What it is called, where theirs differ.")
@option(
    "--duplicates",
    type=click.Choice(["refuse", "drop", "keep"]),
    default="refuse",
    help="What becomes of a branch that an earlier one has, too.",
)
@option("--force", is_flag=True, help="Replace a file that exists.")
def merge(paths: tuple[str, ...], output: str, dataset: str | None, duplicates: Any, force: bool) -> None:
    """Put environments of one model together: questions united, branches of the same question joined.

    Answers stay as they are written. What contradicts (interval, a question's text or answer) is named.
    """
    path = output_path(output, force)
    names = list(dict.fromkeys(name for given in paths for name in map(str, environment_files(given))))
    made = merge_({name: read_environment(name) for name in names}, dataset, duplicates)
    save_environment(made, path)
    _tell(path, made)


@click.command()
@click.argument("path", metavar="PATH")
@option("--parts", required=True, metavar="NAME=SHARE,…", help="E.g. search=0.6,heldout=0.4; shares add up to 1.")
@option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Another seed, another parting.")
@option("-o", "--output", required=True, metavar="DIR", help="Takes NAME/MODEL/DATASET.jsonl.gz of each.")
@option("--force", is_flag=True, help="Replace files that exist.")
def split(path: str, parts: str, seed: int, output: str, force: bool) -> None:
    """Part environments (a file, folder or glob) by question.

    Where a question goes depends on its text, the seed and the shares alone, so that it is in the same part of every
    model's recording.
    """
    shares = _shares(parts)
    made: dict[Path, Environment] = {}
    for file in environment_files(path):
        for name, part in split_(read_environment(file), shares, seed).items():
            place = in_folder(Path(output) / name, part)
            if place in made:
                raise InputError(f"{path}: several of its environments would become {place}; part them one by one")
            if not force:
                must_be_free(place)
            made[place] = part
    save_environments(made)
    for place, part in made.items():
        _tell(place, part)


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name) or not 0 < value <= 1 or name in shares:
            raise InputError(
                f"--parts {text}: {part.strip()!r} is no part; write search=0.6,heldout=0.4, each name once"
            )
        shares[name] = value
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise InputError(f"--parts {text}: the shares add up to {sum(shares.values()):g}; they must add up to 1")
    return shares


@click.command()
@click.argument("what", type=click.Choice(["paper"]))
@option("--model", "models", multiple=True, metavar="NAME", help="Only this; repeatable.")
@option("--dataset", "datasets", multiple=True, metavar="NAME", help="Only this; repeatable.")
@option("-o", "--output", required=True, metavar="DIR", help="Takes MODEL/DATASET.json of each.")
@option("--from", "source", default=None, metavar="URL", help="Where they are.  [default: the paper's repository]")
@option("--force", is_flag=True, help="Replace files that are others than the paper's.")
def fetch(
    what: str, models: tuple[str, ...], datasets: tuple[str, ...], output: str, source: str | None, force: bool
) -> None:
    """Fetch the paper's recorded branches, verified by their SHA-256; files that are there are not fetched again."""
    from autotts.live.fetch import PAPER
    from autotts.live.fetch import fetch as fetch_

    def told(name: str, became: str) -> None:
        console().print(f"{Path(output) / name}: {became}", soft_wrap=True)

    fetch_(Path(output), frozenset(models), frozenset(datasets), source or PAPER, force, told)


def _tell(path: Path, environment: Environment) -> None:
    n = sum(len(question.branches) for question in environment.questions)
    console().print(f"{path}: {environment.name}, {len(environment.questions)} questions, {n} branches", soft_wrap=True)
