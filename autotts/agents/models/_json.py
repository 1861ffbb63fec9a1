"""Reading what servers send: JSON of the expected shape, or `WrongShape`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["WrongShape", "a_dict", "a_list", "a_text", "arguments_of", "count", "loads", "sendable"]


MOST_LEVELS = 100
"""Of lists and objects within each other that an answer may have: far beyond any real one, far below what overflows."""

MOST_TOKENS = 10**12
"""That a server may tell of one call; more is no count."""


class WrongShape(Exception):
    """An answer that is not what this wire format says; the message tells what was found where."""


def loads(body: bytes | str) -> Any:
    """JSON, strictly: what could not be sent back (NaN, infinity, lone surrogates, endless nesting) is none."""
    try:
        return sendable(json.loads(body, parse_constant=_refuse, parse_float=_finite), MOST_LEVELS)
    except (ValueError, RecursionError) as error:
        raise WrongShape(f"no JSON ({type(error).__name__})") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refuse(text)


def sendable(value: Any, levels: int = 2 * MOST_LEVELS) -> Any:
    """The same plain JSON value with lone surrogates replaced; no server can be sent those."""
    if levels < 0:
        raise ValueError("too many levels")
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(sendable(key)): sendable(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sendable(item, levels - 1) for item in value]
    return value


def a_dict(value: Any, what: str) -> dict[str, Any]:
    """`value`, an object, or WrongShape."""
    if not isinstance(value, dict):
        raise WrongShape(f"{what} is {_kind(value)}, not an object")
    return value


def a_list(value: Any, what: str) -> list[Any]:
    """`value`, a list, or WrongShape."""
    if not isinstance(value, list):
        raise WrongShape(f"{what} is {_kind(value)}, not a list")
    return value


def a_text(value: Any, what: str) -> str:
    """`value`, text, or WrongShape."""
    if not isinstance(value, str):
        raise WrongShape(f"{what} is {_kind(value)}, not text")
    return value


def _kind(value: Any) -> str:
    return "missing" if value is None else type(value).__name__


def count(value: Any) -> int | None:
    """A number of tokens; None where the server told none, or something that is none."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if fits else None


def arguments_of(written: str) -> dict[str, Any] | None:
    """The arguments of a tool call from the text that a model wrote; None where that is no JSON object.

    Nothing written means no arguments: servers send "" for tools that take none.
    """
    if not written.strip():
        return {}
    try:
        value = loads(written)
    except WrongShape:
        return None
    return value if isinstance(value, dict) else None
