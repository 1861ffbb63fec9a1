"""`autotts env`: import and inspect replay environments; other commands are in collect.py and shaping.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from autotts.cli._common import console, equivalence_option, json_option, option, print_json
from autotts.cli.collect import collect
from autotts.cli.shaping import SUFFIXES, fetch, in_folder, merge, split, validate
from autotts.errors import InputError
from autotts.replay import (
    Environment,
    environment_files,
    get_equivalence,
    load_environments,
    read_environment,
    save_environment,
    summarize,
)
from autotts.replay.environment import KAPPA_MEASURED

__all__ = ["env"]

MOST_TOKENS = 2**31 - 1
"""What a file may say: more would be written, but not read again."""


@click.group()
def env() -> None:
    """Recorded reasoning branches: record, import and fetch them, look into them, put them together, part them."""


for _command in (collect, fetch, merge, split, validate):
    env.add_command(_command)


@env.command("import")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@option("--equivalence", default=None, metavar="NAME", help="Compare answers so, from now on.  [default: as SRC says]")
@option("--kappa-probe", type=click.IntRange(0, MOST_TOKENS), default=None, help="Tokens that one probe costs.")
@option("--max-branches", type=click.IntRange(1, MOST_TOKENS), default=None, help="Branches that an episode may open.")
@option("--force", is_flag=True, help="Replace files that exist.")
def import_(
    source: str,
    destination: str,
    equivalence: str | None,
    kappa_probe: int | None,
    max_branches: int | None,
    force: bool,
) -> None:
    """Write SRC (a file, folder or glob; the paper's JSON or our own) as our JSON Lines.

    DST is a file (.jsonl or .jsonl.gz), or a folder that takes MODEL/DATASET.jsonl.gz of each. Answers are kept as they
    are written; the equivalence goes into the header.
    """
    if destination in ("", "-"):
        raise InputError(f"DST {destination!r}: must be a file or a folder; there is no writing to standard output")
    if equivalence is not None:
        get_equivalence(equivalence)
    changes: dict[str, Any] = {"equivalence": equivalence, "kappa_probe": kappa_probe, "max_branches": max_branches}
    changes = {name: value for name, value in changes.items() if value is not None}
    if source.startswith("synthetic:"):
        environments = load_environments([source])
    else:
        environments = [read_environment(path) for path in environment_files(source)]
    targets = [_target(Path(destination), environment, len(environments)) for environment in environments]
    for target in targets:
        if targets.count(target) > 1:
            raise InputError(f"{source}: several of its environments would become {target}; import them one by one")
        if target.exists() and not force:
            raise InputError(f"{target}: exists already; choose another name, or replace it with --force")
    for environment, target in zip(environments, targets, strict=True):
        save_environment(replace(environment, **changes), target)
        n = sum(len(question.branches) for question in environment.questions)
        console().print(
            f"{target}: {environment.name}, {len(environment.questions)} questions, {n} branches", soft_wrap=True
        )


def _target(destination: Path, environment: Environment, n: int) -> Path:
    if destination.name.endswith(SUFFIXES):
        if n > 1:
            raise InputError(f"{destination}: is one file for {n} environments; give a folder")
        return destination
    if destination.suffix in (".json", ".gz", ".txt"):
        raise InputError(f"{destination}: must end in {' or '.join(SUFFIXES)}, or be a folder")
    return in_folder(destination, environment)


@env.command()
@click.argument("path")
@equivalence_option
@json_option
def inspect(path: str, equivalence: str | None, as_json: bool) -> None:
    """Show what PATH (a file, folder or glob, or synthetic:search) holds.

    With --json: one object for one environment, a list for several.
    """
    environments = load_environments([path], equivalence)
    recorded = environments
    if any(environment.equivalence != "exact" for environment in environments):
        recorded = load_environments([path], "exact")
    summaries = list(map(summarize, environments, recorded))
    if as_json:
        print_json(summaries[0] if len(summaries) == 1 else summaries)
        return
    for summary in summaries:
        _show(summary)


def _show(summary: Mapping[str, Any]) -> None:
    most = summary["max_branches"]
    table = Table(title=f"{summary['name']}  ({summary['hash'][:12]})", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    low, high = summary["branches_per_question"]
    each = str(low) if low == high else f"{low} to {high}"
    rows: list[tuple[str, str]] = [
        ("questions", f"{summary['questions']} with {each} branches each, {summary['branches']:,} in all"),
        ("interval", f"{summary['interval']} tokens, a probe costs {summary['kappa_probe']}, at most {most} branches"),
        *[("a probe was measured", f"{k} tokens") for k in [summary["provenance"].get(KAPPA_MEASURED)] if k],
        ("equivalence", summary["equivalence"]),
        ("depths (intervals)", _line(summary["depths"], "{:.0f}")),
        ("tokens", _line(summary["tokens"], "{:,.0f}")),
        ("  right, wrong (median)", " · ".join(_or_none(summary[f"tokens_median_{k}"]) for k in ("right", "wrong"))),
        ("  shorter than their probes", f"{summary['share_shorter_than_probes']:.1%}"),
        ("  cut off by the recording", f"{summary['share_truncated']:.1%}"),
        ("unparsed", f"{summary['unparsed_probes']:.1%} of probes, {summary['unparsed_finals']:.1%} of final answers"),
        ("signals", ", ".join(summary["signals"]) or "none"),
        *((name, f"{summary[name]:.1f} %") for name in summary if name.startswith(("pass@", "majority@", "oracle@"))),
        ("gold never seen", ", ".join(summary["gold_never_seen"]) or "on no question"),
        ("majority stays after", _line(summary["majority_settles_after_branches"], "{:.0f}") + " branches"),
        ("answer stays from", _line(summary["answer_settles_at_relative_depth"], "{:.2f}") + " of the depth"),
        *_merge_rows(summary),
    ]
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _merge_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the equivalence has merged; where it is exact, what latex would."""
    merges = summary["merged"] or summary["latex"]
    would = summary["merged"] is None
    changes = ", ".join(f"{name} {a:.1f} → {b:.1f}" for name, (a, b) in merges["scores"].items() if a != b)
    classes = f"{merges['merged_classes']} class{'' if merges['merged_classes'] == 1 else 'es'} of answers"
    rows = [
        (
            "latex would merge" if would else f"{summary['equivalence']} merged",
            f"{classes}, {merges['answers_that_move']} {'would move' if would else 'moved'}",
        ),
        ("  and change" if would else "  and changed", changes or "no score"),
    ]
    rows += [
        ("", f"{'  =  '.join(example['answers'][:4])}   ({example['moved']})") for example in merges["examples"][:5]
    ]
    return rows


def _line(quantiles: Mapping[str, float], form: str) -> str:
    shown = {q: quantiles[q] for q in ("1", "25", "50", "75", "99")}
    return "  ".join(f"{form.format(value)} ({q} %)" for q, value in shown.items())


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:,.0f}"
