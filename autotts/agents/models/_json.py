"""Reading what servers send: JSON of the expected shape, or `WrongShape`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["WrongShape", "a_dict", "a_list", "a_text", "arguments_of", "count", "loads", "sendable"]


class WrongShape(Exception):
    """An answer that is not what this wire format says; the message tells what was found where."""


def loads(body: bytes | str) -> Any:
    """JSON, strictly: no NaN, because it could not be sent back, and no lone surrogates, for the same reason."""
    try:
        return sendable(json.loads(body, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise WrongShape(f"no JSON ({type(error).__name__})") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def sendable(value: Any) -> Any:
    """The same plain JSON value with lone surrogates replaced; no server can be sent those."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(sendable(key)): sendable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sendable(item) for item in value]
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
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


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
