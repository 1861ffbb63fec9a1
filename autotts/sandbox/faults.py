"""How a program ended, in words: written in the child, believed by the host only as far as its form goes."""

from __future__ import annotations

import json
from types import FrameType, TracebackType
from typing import Any

from autotts.errors import OUTCOMES, Crashed, MemoryLimit, PolicyViolation, ProgramError
from autotts.sandbox.policy import FILENAME
from autotts.sandbox.rules import plain_name
from autotts.sandbox.text import printable

__all__ = ["MAX_FAULT", "decode", "describe", "encode", "line_of_frame", "line_of_traceback"]

MAX_FAULT = 16384
"""Bytes of a fault."""

_MESSAGE, _WHERE, _LINE = 500, 200, 10**7


def line_of_traceback(traceback: TracebackType | None) -> int | None:
    """The innermost line of the program in a traceback."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILENAME:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def line_of_frame(frame: FrameType | None) -> int | None:
    """The innermost line of the program on a stack."""
    while frame is not None and frame.f_code.co_filename != FILENAME:
        frame = frame.f_back
    return None if frame is None else frame.f_lineno


def describe(error: BaseException, where: str) -> ProgramError:
    """Whatever ended a program, as a typed outcome with line and place."""
    line = line_of_traceback(error.__traceback__)
    if type(error) in OUTCOMES.values():  # not a class of the program's own that is derived from one
        assert isinstance(error, ProgramError)
        found: ProgramError = type(error)(error.message, error.line, error.where)
    elif isinstance(error, MemoryError):
        found = MemoryLimit("asked for more memory than it may have")
    elif isinstance(error, ImportError) and line is not None:
        found = PolicyViolation(_text(error))
    else:
        found = Crashed(f"{type(error).__name__}: {_text(error)}".rstrip(": "))
    found.line = line if found.line is None else found.line
    found.where = found.where or where
    return found


def _text(error: BaseException) -> str:
    try:
        return plain_name(str(error)[:_MESSAGE])
    except BaseException as inner:  # a program's own __str__ may do anything, leaving included
        return f"(its text cannot be read: {type(inner).__name__})"


def encode(error: ProgramError) -> bytes:
    """A fault's bytes."""
    message, where = str(error.message)[:_MESSAGE], str(error.where)[:_WHERE]
    fault = {"outcome": error.outcome, "message": message, "line": error.line, "where": where}
    return json.dumps(fault).encode()


def decode(payload: bytes) -> ProgramError:
    """The outcome behind a fault's bytes.

    Raises:
        ValueError: it is no fault. A program that forges one gains nothing but an outcome of its own.
    """
    if len(payload) > MAX_FAULT:
        raise ValueError(f"a fault of {len(payload)} bytes")
    try:
        fault: Any = json.loads(payload)
    except RecursionError:
        raise ValueError("a fault nested too deeply") from None
    if type(fault) is not dict or fault.keys() != {"outcome", "message", "line", "where"}:
        raise ValueError("a fault without its four fields")
    outcome, message, line, where = fault["outcome"], fault["message"], fault["line"], fault["where"]
    if type(outcome) is not str or outcome not in OUTCOMES or type(message) is not str or type(where) is not str:
        raise ValueError("a fault of unknown form")
    if line is not None and (type(line) is not int or not 0 < line < _LINE):
        raise ValueError("a fault with an impossible line")
    return OUTCOMES[outcome](printable(message[:_MESSAGE]), line, printable(where[:_WHERE]))
