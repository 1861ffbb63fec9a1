"""Options of `autotts serve`, in three parts: the endpoint, its episodes, its log."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from autotts.cli._common import FiniteRange, equivalence_option, load_all, option
from autotts.cli._live import MOST_TOKENS
from autotts.errors import InputError
from autotts.replay import Environment

__all__ = ["KEY", "Endpoint", "Episodes", "endpoint_options", "episode_options", "read_key"]

F = TypeVar("F", bound=Callable[..., Any])

KEY = "AUTOTTS_SERVE_KEY"
"""The variable that may hold the key which clients have to give."""


@dataclass(frozen=True)
class Endpoint:
    """Where clients come, and what they may ask for; see `autotts.live.serve.Settings`."""

    host: str
    port: int
    served_model: str | None
    api_key_file: str | None
    running: int
    queue: int
    max_request_tokens: int | None
    timeout: float | None
    grace: float
    seed: int


@dataclass(frozen=True)
class Episodes:
    """How episodes are played, as the environments say or as was told; and the environments."""

    interval: int
    max_branches: int
    kappa: int
    equivalence: str | None
    answers: str
    environments: tuple[Environment, ...]
    window: int


def endpoint_options(command: F) -> F:
    """The command gets `endpoint`."""
    at = option("--port", type=click.IntRange(0, 65_535), default=8080, help="To listen at; 0: a free one.")
    running = option(
        "--concurrency", "running", type=click.IntRange(1, 4096), default=32, help="Requests that are worked on at a time."
    )
    waiting = option("--queue", type=click.IntRange(0, 100_000), default=1024, help="Requests that may wait.")
    options = (
        option("--host", default="127.0.0.1", metavar="ADDRESS", help="To listen at."),
        at,
        option("--served-model", default=None, metavar="NAME", help="Its id for clients.  [default: --model]"),
        option("--api-key-file", default=None, metavar="FILE", help=f"What clients have to give.  [default: ${KEY}]"),
        running,
        waiting,
        option("--max-request-tokens", type=click.IntRange(1, 10**12), default=None, help="Of all branches of one."),
        option("--timeout", type=FiniteRange(0, min_open=True), default=None, metavar="SECONDS", help="Of a request."),
        option("--grace", type=FiniteRange(0), default=30.0, help="Seconds that running requests have after SIGTERM."),
        option(
            "--seed", type=click.IntRange(0, MOST_TOKENS), default=0, help="Of branch 0, where a request says none."
        ),
    )
    return _gathered(command, Endpoint, "endpoint", options)


def episode_options(command: F) -> F:
    """The command gets `episodes`."""
    length, branches = click.IntRange(1, MOST_TOKENS), click.IntRange(1, MOST_TOKENS)
    options = (
        option("--answers", default="math", metavar="KIND", help="math, choice, text, or file.py:function."),
        equivalence_option,
        option("--interval", type=length, default=None, help="Of probes, in tokens.  [default: of --env, or 500]"),
        option("--max-branches", type=branches, default=None, help="Of a request.  [default: of --env, or 64]"),
        option("--env", "env_patterns", multiple=True, metavar="PATH", help="What β was calibrated on: tells drift."),
        option("--window", type=click.IntRange(20, 100_000), default=200, help="Requests between looks for drift."),
    )
    return _gathered(command, _episodes, "episodes", options)


def _gathered(command: F, make: Callable[..., Any], name: str, options: tuple[Callable[[Any], Any], ...]) -> F:
    """A command with these options that gets what is made of them by name."""
    names = tuple(signature(make).parameters)

    @functools.wraps(command)
    def gathering(*args: Any, **kwargs: Any) -> Any:
        made = make(**{key: kwargs.pop(key) for key in names})
        return command(*args, **{name: made}, **kwargs)

    wrapped: Any = gathering
    for decorate in reversed(options):
        wrapped = decorate(wrapped)
    return cast(F, wrapped)


def _episodes(
    answers: str,
    equivalence: str | None,
    interval: int | None,
    max_branches: int | None,
    env_patterns: tuple[str, ...],
    window: int,
) -> Episodes:
    environments = tuple(load_all(env_patterns, equivalence)) if env_patterns else ()
    found = {(e.interval, e.max_branches, e.kappa_probe, e.equivalence) for e in environments}
    if len(found) > 1:
        raise InputError("--env: the environments differ in interval, branches, κ or equivalence; give one of them")
    own = found.pop() if found else (500, 64, 0, None)
    most, same = max_branches or own[1], equivalence or own[3]
    return Episodes(interval or own[0], most, own[2], same, answers, environments, window)


def read_key(path: str | None) -> str | None:
    """The key that clients have to give, None for none.

    Raises:
        InputError: the file cannot be read, or what should be a key is none.
    """
    if path is None:
        where, text = KEY, os.environ.get(KEY)
        if text is None:
            return None
    else:
        where = f"--api-key-file {path}"
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise InputError(f"{where}: cannot be read ({why}); give a file with the key alone") from None
    key = text.strip()
    if not key or len(key.split()) > 1 or not key.isprintable():
        raise InputError(f"{where}: has to hold one key, without blanks in it")
    return key
