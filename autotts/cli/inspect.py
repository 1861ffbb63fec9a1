"""`autotts inspect …`: the evidence that agents get, for people."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar, cast

import click

from autotts.archive import Archive
from autotts.cli._common import (
    FiniteRange,
    archive_exists,
    archive_option,
    env_option,
    equivalence_option,
    json_option,
    load_all,
    option,
    print_json,
    sandbox_options,
    workers_option,
)
from autotts.cli.archive import pick_run, run_option
from autotts.cli.programs import find_program
from autotts.errors import InputError
from autotts.evaluation import Evaluator
from autotts.sandbox.text import printable
from autotts.search import Config
from autotts.traces import Evidence, lineage
from autotts.traces.bench import Bench
from autotts.ui.conversation import call_head, call_reply, call_tail

__all__ = ["inspect"]

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def inspect() -> None:
    """Evidence about programs and recordings, as agents get it: each in seconds.

    Without --env, the environments of the archive's last run are taken, or the embedded ones where there is no run.
    """


def _evidence(*, program: bool = False) -> Callable[[F], F]:
    """A command that finds something on a bench; the function gets it, and the archive's name where it asks for one."""

    def decorate(find: F) -> F:
        @functools.wraps(find)
        def command(
            env_patterns: tuple[str, ...],
            equivalence: str | None,
            workers: int,
            isolating: dict[str, Any],
            archive: str,
            as_json: bool,
            **arguments: Any,
        ) -> int:
            if program:
                names = [name for name in ("program", "other") if name in arguments]
                arguments.update({name: find_program(arguments[name], archive) for name in names})
            with _bench(env_patterns, equivalence, workers, isolating, archive) as bench:
                _print(find(bench, **arguments), as_json)
            return 0

        decorators = (env_option, equivalence_option, workers_option, sandbox_options, archive_option, json_option)
        made: Any = command
        for decorator in reversed(decorators):
            made = decorator(made)
        return cast(F, made)

    return decorate


@contextmanager
def _bench(
    env_patterns: tuple[str, ...], equivalence: str | None, workers: int, isolating: dict[str, Any], archive: str
) -> Iterator[Bench]:
    """A bench on these environments, or on the last run's."""
    config = Config()
    protocol = config.bench_protocol
    if not env_patterns and archive_exists(archive):
        with Archive(archive, create=False) as store:
            if runs := store.runs():
                config = Config.from_json(runs[-1].config)
                env_patterns, equivalence = config.envs, equivalence or config.equivalence
                protocol = config.bench_protocol
                click.echo(printable(f"on the environments of {runs[-1].name}: {', '.join(config.envs)}"), err=True)
    searched, _ = config.parted(load_all(env_patterns, equivalence))
    with Evaluator(searched, workers, **isolating) as evaluator:
        yield Bench(evaluator, protocol)


def _print(found: Evidence, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(printable(found.text(), newlines=True), nl=False)


@inspect.command()
@click.argument("program")
@option("--source", is_flag=True, help="The whole source, with each line's credit beside it.")
@option(
    "--override",
    "overridden",
    type=click.IntRange(1),
    default=None,
    metavar="LINE",
    help="Run again, this line's prunes ignored and its waves longer.",
)
@_evidence(program=True)
def credit(bench: Bench, program: Any, source: bool, overridden: int | None) -> Evidence:
    """Which line of PROGRAM wins, which loses, which only spends."""
    if overridden is not None and source:
        raise InputError("--source and --override give different tables; ask for one at a time")
    if overridden is not None:
        return bench.overridden(program, overridden)
    if not source:
        return bench.credit(program)
    return Evidence(f"{program.name or program.id}: credit beside each line", body=bench.gutter(program))


@inspect.command()
@click.argument("program")
@_evidence(program=True)
def failures(bench: Bench, program: Any) -> Evidence:
    """Why PROGRAM's episodes went wrong, or cost too much."""
    return bench.failures(program)


@inspect.command()
@click.argument("program")
@click.argument("environment")
@click.argument("question")
@option("--seed", type=int, default=0, help="Of the episode.")
@option("--beta", type=FiniteRange(0, 1), default=0.5, help="Of the episode.")
@_evidence(program=True)
def episode(bench: Bench, program: Any, environment: str, question: str, seed: int, beta: float) -> Evidence:
    """One episode of PROGRAM as a timeline: ENVIRONMENT by a part of its name, QUESTION by its number or id."""
    return bench.episode(program, environment, question, seed, beta)


@inspect.command()
@click.argument("program")
@click.argument("other")
@_evidence(program=True)
def compare(bench: Bench, program: Any, other: Any) -> Evidence:
    """PROGRAM against OTHER at matched tokens, by question and model: what changed, and how broadly."""
    return bench.compare(program, other)


@inspect.command()
@option("--split-by", default=None, metavar="FEATURE", help="A shipped feature, or an expression of `state`.")
@option("--finished", type=click.IntRange(1), default=None, help="Only states with so many finished branches.")
@_evidence()
def states(bench: Bench, split_by: str | None, finished: int | None) -> Evidence:
    """What reading on is worth, by the votes so far, or for undecided states by a feature."""
    return bench.states(split_by, finished)


@inspect.command()
@option("--feature", default=None, help="A shipped feature, or an expression of `branch` and `state`.")
@_evidence()
def branches(bench: Bench, feature: str | None) -> Evidence:
    """Which features of a branch tell right from wrong within a question."""
    return bench.branches(feature)


@inspect.command()
@_evidence()
def difficulty(bench: Bench) -> Evidence:
    """Where the tokens go."""
    return bench.difficulty()


@inspect.command()
@_evidence()
def ceilings(bench: Bench) -> Evidence:
    """What votes can attain, at which tokens."""
    return bench.ceilings()


@inspect.command()
@click.argument("place", metavar="ROUND.SLOT")
@run_option
@archive_option
@json_option
def conversation(place: str, run_name: str | None, archive: str, as_json: bool) -> int:
    """What a model was told in a slot, and what it answered: every call, retries included."""
    round_, _, slot = place.partition(".")
    if not all(re.fullmatch("[0-9]{1,9}", number) for number in (round_, slot)):
        raise InputError(f"{place}: a slot is written ROUND.SLOT, as `autotts list` shows it, such as 3.1")
    with Archive(archive, create=False) as store:
        run = pick_run(store, run_name)
        calls = store.calls(run.name, int(round_), int(slot))
    if not calls:
        raise InputError(f"{place}: no model was asked in this slot of {run.name}")
    if as_json:
        print_json([{**asdict(call), "reply": json.loads(call.reply or "null")} for call in calls])
        return 0
    for call in calls:
        click.echo(f"---- {call_head(call)}: told")
        click.echo(printable(call.prompt, newlines=True))
        click.echo(f"---- {call_tail(call)}")
        if reply := call_reply(call):
            click.echo(reply)
    return 0


@inspect.command("lineage")
@click.argument("program")
@archive_option
@json_option
def lineage_(program: str, archive: str, as_json: bool) -> int:
    """PROGRAM's ancestors and children in the archive, and what became of them."""
    with Archive(archive, create=False) as store:
        found = store.resolve(program)
        _print(lineage(list(store.listing()), found.id), as_json)
    return 0
