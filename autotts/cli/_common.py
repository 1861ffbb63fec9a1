"""Options and output that several commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console

from autotts.replay import Environment, load_environments

__all__ = [
    "archive_option",
    "console",
    "env_option",
    "equivalence_option",
    "json_option",
    "load_all",
    "option",
    "print_json",
    "workers_option",
]

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_ARCHIVE = "./autotts.db"
EMBEDDED = "synthetic:search"


class _Option(click.Option):
    """An option that its environment variable AUTOTTS_<NAME> mirrors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.envvar is None and self.name:
            self.envvar = "AUTOTTS_" + self.name.upper()


def option(*names: str, **kwargs: Any) -> Callable[[F], F]:
    """`click.option` with an environment variable AUTOTTS_<NAME>."""
    kwargs.setdefault("show_default", True)
    return click.option(*names, cls=_Option, **kwargs)


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


json_option = option("--json", "as_json", is_flag=True, envvar="AUTOTTS_JSON", help="Print JSON instead of tables.")
archive_option = option("--archive", default=DEFAULT_ARCHIVE, metavar="PATH|URL", help="The archive.")
env_option = option(
    "--env",
    "env_patterns",
    multiple=True,
    envvar="AUTOTTS_ENV",
    metavar="PATH",
    help=f"A replay environment, a glob or a folder; repeatable.  [default: {EMBEDDED}]",
)
equivalence_option = option(
    "--equivalence",
    default=None,
    metavar="NAME",
    help="exact, latex, or module:function; applied to probes, finals and gold.  [default: as the file says]",
)
workers_option = option("--workers", type=click.IntRange(1), default=default_workers, help="Shards at a time.")


def load_all(patterns: Sequence[str], equivalence: str | None) -> list[Environment]:
    """The environments that `--env` names, the embedded synthetic ones when it names none."""
    return load_environments(list(patterns) or [EMBEDDED], equivalence=equivalence)


def console(stderr: bool = False) -> Console:
    """A rich console; not a TTY: plain text, wide enough not to fold tables."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def print_json(value: object) -> None:
    """JSON on standard output, one value."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
