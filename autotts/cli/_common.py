"""Options and output that several commands share."""

from __future__ import annotations

import functools
import json
import math
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from autotts.cli._file import Sources, place, typed
from autotts.errors import InputError
from autotts.replay import Environment, load_environments
from autotts.sandbox import find_sandbox
from autotts.ui.console import PlainConsole

__all__ = [
    "MOST_SEEDS",
    "FiniteRange",
    "absolute",
    "archive_exists",
    "archive_option",
    "check_run_name",
    "console",
    "env_option",
    "equivalence_option",
    "json_option",
    "load_all",
    "log_option",
    "option",
    "print_json",
    "prompts_option",
    "sandbox_options",
    "with_options",
    "workers_option",
]

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_ARCHIVE = "./autotts.db"
EMBEDDED = "synthetic:search"
MOST_SEEDS = 100_000
"""Far beyond any use; a typing error must not become a list that fills the memory."""

RUN_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,99}")
"""A run's name is typed in commands, so it needs no quotes and is no option."""


class _Option(click.Option):
    """An option that its environment variable AUTOTTS_<NAME> mirrors, NAME as it is typed and not as Python has it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.envvar = "AUTOTTS_" + typed(self).replace("-", "_").upper()

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """The value from the command line, the environment, `autotts.toml` or the default, and from which."""
        sources = ctx.find_root().obj
        if isinstance(sources, Sources) and sources.fault:
            raise sources.fault
        return super().consume_value(ctx, opts)

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Take the value; one that is refused is called by the name that it was given by."""
        try:
            return super().handle_parse_result(ctx, opts, args)
        except click.BadParameter as error:
            if self.name and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
                error.param_hint = str(self.envvar)
            raise

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The variable's value; several, of a repeatable option, as a shell would part them."""
        text = self.resolve_envvar_value(ctx)
        if not self.multiple or text is None:
            return super().value_from_envvar(ctx)
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            raise InputError(f"{self.envvar}={text}: {error}; put paths with blanks into pairs of quotes") from error


class FiniteRange(click.FloatRange):
    """A number within bounds; "nan" is within none, and no limit can be "inf"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value} is not a finite number.", param, ctx)


def option(*names: str, **kwargs: Any) -> Callable[[F], F]:
    """`click.option` with an environment variable AUTOTTS_<NAME>."""
    kwargs.setdefault("show_default", True)
    return click.option(*names, cls=_Option, **kwargs)


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def with_options(options: Sequence[Callable[[Any], Any]], command: F) -> F:
    """A command with these options, in this order."""
    for decorate in reversed(options):
        command = decorate(command)
    return command


json_option = option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
archive_option = option("--archive", default=DEFAULT_ARCHIVE, metavar="PATH|URL", help="The archive.")
env_option = option(
    "--env",
    "env_patterns",
    multiple=True,
    metavar="PATH",
    help=f"A replay environment, a glob or a folder; repeatable.  [default: {EMBEDDED}]",
)
equivalence_option = option(
    "--equivalence",
    default=None,
    metavar="NAME",
    help="exact, latex, or module:function; applied to probes, finals and gold.  [default: as the file says]",
)
prompts_option = option(
    "--prompts",
    "prompts_folder",
    default=None,
    metavar="DIR",
    help="Prompt templates of your own (NAME.md.jinja), each in place of the shipped one.",
)
workers_option = option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=default_workers,
    show_default="number of processors",
    help="Shards at a time.",
)


log_option = option(
    "--log", "log_file", default=None, metavar="FILE", help="Append every event of the run, a JSON object a line."
)


def sandbox_options(command: F) -> F:
    """`--sandbox` and `--isolation`; the command gets `isolating`, what these come to for an `Evaluator`."""

    @functools.wraps(command)
    def isolating(*args: Any, sandbox: str, isolation: str, **kwargs: Any) -> Any:
        chosen = {"sandbox": find_sandbox(sandbox), "reduced": isolation == "reduced"}
        return command(*args, isolating=chosen, **kwargs)

    where = option("--sandbox", default="process", metavar="NAME", help="Where programs run: process, or docker.")
    how = option(
        "--isolation",
        type=click.Choice(["strict", "reduced"]),
        default="strict",
        help="reduced: run anybody's program where this system cannot isolate it strictly.",
    )
    return where(how(cast(F, isolating)))


def archive_exists(archive: str) -> bool:
    """Whether there is one at this path; at a URL the database itself says so."""
    return "://" in archive or Path(archive).expanduser().exists()


def absolute(pattern: str) -> str:
    """The same files or glob, wherever it is read from; names of embedded environments stay as they are."""
    return place(pattern, Path.cwd())


def check_run_name(name: str | None, option: str = "--run") -> None:
    """Refuse a name that a command could not be given as it is.

    Args:
        name: of a run; None is no name.
        option: that gave it.

    Raises:
        InputError: with what a name may have.
    """
    if name is not None and not RUN_NAME.fullmatch(name):
        raise InputError(f"{option} {name!r}: a name has letters, digits, '.', '_' and '-', and no '-' in front")


def load_all(patterns: Sequence[str], equivalence: str | None) -> list[Environment]:
    """The environments that `--env` names, the embedded synthetic ones when it names none."""
    return load_environments(list(patterns) or [EMBEDDED], equivalence=equivalence)


def console(stderr: bool = False) -> PlainConsole:
    """A rich console; not a TTY: plain text, wide enough not to fold tables."""
    made = PlainConsole(stderr=stderr)
    return made if made.is_terminal else PlainConsole(stderr=stderr, width=160)


def print_json(value: object) -> None:
    """JSON on standard output, one value; what is not a number (or not finite) is null, as JSON has no NaN."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    click.echo("\n".join(map(_escaped, text.split("\n"))))


def _escaped(line: str) -> str:
    """A line of JSON that means the same, with escapes for what a terminal would obey or not show."""
    return line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
