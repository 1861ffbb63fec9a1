"""`autotts archive export`, `import`, `check`: a whole archive, or a run of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from autotts.archive import Archive, Fault, Run
from autotts.cli._common import (
    archive_exists,
    archive_option,
    check_run_name,
    console,
    json_option,
    option,
    print_json,
    sandbox_options,
    workers_option,
)
from autotts.errors import InputError
from autotts.files import must_be_free, write_whole
from autotts.search.checking import Rerun, recomputed, rerun

__all__ = ["archive"]

MOST = 1_000_000


@click.group()
def archive() -> None:
    """The archive as a whole: take it along, put together, and check it."""


@archive.command("export")
@click.argument("file", metavar="FILE|-")
@option("--run", "run_name", default=None, metavar="NAME", help="One run only, and what it needs.")
@option("--force", is_flag=True, help="Replace a file that exists.")
@archive_option
def export(file: str, run_name: str | None, force: bool, archive: str) -> int:
    """Write everything, or one run, as JSON Lines to FILE, or to standard output where it is -."""
    with Archive(archive, create=False) as store:
        if run_name is not None:
            store.run(run_name)
        lines = store.export_lines(run_name)
        if file == "-":
            for line in lines:
                click.echo(line)
            return 0
        if not force:
            must_be_free(Path(file))
        count = 0

        def encoded() -> Iterator[bytes]:
            nonlocal count
            for count, line in enumerate(lines, 1):  # noqa: B007
                yield f"{line}\n".encode()

        write_whole({Path(file): encoded()})
    console().print(f"{count - 2:,} rows → {file}", soft_wrap=True)
    return 0


@archive.command("import")
@click.argument("file", metavar="FILE|-")
@option("--as", "as_run", default=None, metavar="NAME", help="What the run in the file is called here.")
@archive_option
@json_option
def import_(file: str, as_run: str | None, archive: str, as_json: bool) -> int:
    """Take in what `archive export` wrote: all of FILE or, where anything in it is damaged, nothing."""
    check_run_name(as_run, "--as")
    was_there, added = archive_exists(archive), None
    try:
        with click.open_file(file, "rb") as lines, Archive(archive) as store:
            added = store.import_lines(lines, "standard input" if file == "-" else file, as_run)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    finally:
        if added is None and not was_there:
            Path(archive).expanduser().unlink(missing_ok=True)
    if as_json:
        print_json(added)
        return 0
    told = ", ".join(f"{n:,} {table}" for table, n in added.items()) or "nothing that was not there"
    console().print(f"{file} → {archive}: {told}", soft_wrap=True)
    return 0


@archive.command("check")
@option("--run", "run_name", default=None, metavar="NAME", help="One run only.")
@option("--sample", type=click.IntRange(0, MOST), default=5, help="Programs of each run that are run again.")
@option("--seed", type=int, default=0, help="Which ones: the same seed draws the same programs.")
@workers_option
@sandbox_options
@archive_option
@json_option
def check(
    run_name: str | None,
    sample: int,
    seed: int,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
    as_json: bool,
) -> int:
    """Whether everything is as it must be, and whether a sample of the figures can be had again.

    Ends with 1 where something is off.
    """
    with Archive(archive, create=False) as store:
        runs = store.runs() if run_name is None else [store.run(run_name)]
        # Only what is sound can be computed with.
        faults = list(store.faults(run_name)) or [fault for run in runs for fault in recomputed(store, run)]
        reruns: list[Rerun] = []
        skipped: dict[str, str] = {}
        for run in runs if sample else ():
            try:
                reruns += rerun(store, run, sample, seed, workers=workers, **isolating)
            except InputError as error:
                skipped[run.name] = str(error)
    fine = not faults and not any(one.differences for one in reruns)
    if as_json:
        print_json(_as_json(archive, runs, faults, reruns, skipped, fine))
    else:
        _print(archive, runs, faults, reruns, skipped)
    return 0 if fine else 1


def _as_json(
    archive: str, runs: list[Run], faults: list[Fault], reruns: list[Rerun], skipped: dict[str, str], fine: bool
) -> dict[str, Any]:
    return {
        "archive": archive,
        "ok": fine,
        "runs": [run.name for run in runs],
        "faults": [asdict(fault) for fault in faults],
        "rerun": [asdict(one) for one in reruns],
        "not_rerun": [{"run": name, "why": why} for name, why in skipped.items()],
    }


def _print(archive: str, runs: list[Run], faults: list[Fault], reruns: list[Rerun], skipped: dict[str, str]) -> None:
    out = console()
    wrong = [(f"{one.run}, {one.source} of {one.program[:10]}", text) for one in reruns for text in one.differences]
    found = [(fault.where, fault.what) for fault in faults] + wrong
    if found:
        table = Table(title=f"{archive}: what is not as it must be")
        for name in ("where", "what"):
            table.add_column(name)
        for row in found:
            table.add_row(*row)
        out.print(table)
    for name, why in skipped.items():
        out.print(f"{name}: its programs were not run again: {why}", soft_wrap=True)
    programs = len({(one.run, one.program) for one in reruns})
    state = f"{len(found)} fault{'' if len(found) == 1 else 's'}" if found else "everything is as it must be"
    out.print(
        f"{archive}: {state}; {len(runs)} run{'' if len(runs) == 1 else 's'}, "
        f"{programs} program{'' if programs == 1 else 's'} run again",
        soft_wrap=True,
    )
