"""What an archive knows of a program, and the file that takes it along: where it comes from, and how it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Literal

from autotts.archive import Archive, LedgerEntry, Listed, Point, Run
from autotts.archive import Program as StoredProgram
from autotts.evaluation import Program
from autotts.evaluation.classwriter import class_file
from autotts.evaluation.heading import with_heading
from autotts.search.config import Config

__all__ = ["Form", "Known", "exported_text", "known"]

Form = Literal["program", "class"]
"""As AutoTTS reads it, or as a class for the evaluator of the paper's repository."""

LATEST = 5
"""Runs that a heading tells of: a baseline is in every run."""


@dataclass(frozen=True)
class Known:
    """What the archive knows of a program: where it came from, its curve in each run, its held-out looks.

    `runs` has the runs in which it has a curve. `counts` has the number of looks at each of those environments, with
    whatever program.
    """

    program: StoredProgram
    listed: Sequence[Listed] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)
    curves: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    looks: Sequence[LedgerEntry] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


def known(archive: Archive, program: StoredProgram) -> Known:
    """What an archive knows of a program, which need not be in it."""
    runs = {run.name: run for run in archive.runs()}
    curves = {name: curve for name in runs if (curve := archive.points(name, program.hash))}
    looks = archive.ledger(program=program.hash)
    return Known(
        program,
        archive.listed_as(program.hash),
        {name: runs[name] for name in curves},
        curves,
        looks,
        {entry.environment: archive.ledger_count(entry.environment) for entry in looks},
    )


def exported_text(found: Known, form: Form, file: str) -> str:
    """A program as a file that says where it comes from and how it did.

    Args:
        found: the program, and what is known of it.
        form: see `Form`.
        file: its name, as the heading has it.

    Raises:
        InputError: it cannot be written as a class.
    """
    own = Program(found.program.source, found.program.id, found.program.class_name)
    lines = [*_about(found, file), *(_CLASS if form == "class" else ())]
    return with_heading(class_file(own) if form == "class" else own.source, lines)


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
