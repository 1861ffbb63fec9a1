"""Options of commands that ask a model server for branches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar, cast

import click

from autotts.cli._common import FiniteRange, option, prompts_option, with_options

__all__ = ["connection_options", "upstream_options", "wave_connection_options"]

F = TypeVar("F", bound=Callable[..., Any])

MOST_TOKENS = 2**31 - 1

_HOW = (
    option("--model", required=True, metavar="NAME", help="The model's name there."),
    option("--temperature", type=FiniteRange(0, 10), default=0.7, help="Of branches; probes are greedy."),
    option("--top-p", type=FiniteRange(0, 1, min_open=True), default=None, help="Of branches.  [default: server's]"),
    option("--max-tokens", type=click.IntRange(1, MOST_TOKENS), default=32_768, help="At which a branch is cut off."),
    option("--stop", multiple=True, metavar="TEXT", help="At which a branch ends; repeatable."),
    option(
        "--api",
        type=click.Choice(["auto", "completions", "chat", "raw"]),
        default="auto",
        help="Raw completions where the server tells its chat template, else chat; raw: no chat template.",
    ),
    option("--tokenizer", default=None, metavar="FILE", help="tokenizer.json, where the server tells no counts."),
    option("--full-read", is_flag=True, help="No probes, for servers that cannot: branches are read at their ends."),
    prompts_option,
)


def connection_options(command: F) -> F:
    """Where a model is and how it is asked; the command gets `connection`."""
    return _connecting(command, 16)


def wave_connection_options(command: F) -> F:
    """The same for commands that play episodes: a wave is one batch, so nothing waits unless that is asked for."""
    return _connecting(command, None)


def upstream_options(command: F) -> F:
    """The same for what has an address and requests of its own; nobody waits ten minutes for a server that is gone."""
    return _connecting(command, None, "--upstream", "--upstream-concurrency", 60.0)


def _connecting(
    command: F,
    most: int | None,
    address: str = "--base-url",
    at_a_time: str = "--concurrency",
    deadline_seconds: float = 600.0,
) -> F:
    @functools.wraps(command)
    def connecting(*args: Any, **kwargs: Any) -> Any:
        from autotts.live.connect import Connection, Sampling  # which an agent's models come with

        kwargs["prompts"] = kwargs.pop("prompts_folder")
        sampling = Sampling(**_taken(Sampling, kwargs))
        return command(*args, connection=Connection(sampling=sampling, **_taken(Connection, kwargs)), **kwargs)

    options = (
        option(address, "base_url", required=True, metavar="URL", help="Where the server is, mostly ending in /v1."),
        *_HOW,
        option(
            at_a_time,
            "concurrency",
            type=click.IntRange(1, 4096),
            default=most,
            help="Requests at a time." if most else "Requests at a time.  [default: as many as a wave has]",
        ),
        option(
            "--deadline",
            type=FiniteRange(1, 86_400),
            default=deadline_seconds,
            help="Seconds that a request is tried for.",
        ),
    )
    return with_options(options, cast(F, connecting))


def _taken(kind: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are fields of a dataclass, taken out of those that were given."""
    return {field.name: given.pop(field.name) for field in fields(kind) if field.name in given}
