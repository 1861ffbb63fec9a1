"""Options of `autotts serve` that are about its clients."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from autotts.cli._common import FiniteRange, option, with_options
from autotts.cli._live import MOST_TOKENS
from autotts.errors import InputError

__all__ = ["KEY", "Endpoint", "endpoint_options", "read_key"]

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
    window: int
    log_file: str | None
    log_questions: bool


def endpoint_options(command: F) -> F:
    """The command gets `endpoint`."""
    at = option("--port", type=click.IntRange(0, 65_535), default=8080, help="To listen at; 0: a free one.")
    running = option(
        "--concurrency",
        "running",
        type=click.IntRange(1, 4096),
        default=32,
        help="Requests that are worked on at a time.",
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
        option("--window", type=click.IntRange(20, 100_000), default=200, help="Requests between looks for drift."),
        option("--log", "log_file", default=None, metavar="FILE", help="Append a JSON object a request to it."),
        option("--log-questions", is_flag=True, help="Keep the text of questions in it."),
    )

    @functools.wraps(command)
    def gathering(*args: Any, **kwargs: Any) -> Any:
        endpoint = Endpoint(**{field.name: kwargs.pop(field.name) for field in fields(Endpoint)})
        return command(*args, endpoint=endpoint, **kwargs)

    return with_options(options, cast(F, gathering))


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
