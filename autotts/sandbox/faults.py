"""How a program ended, in words: written in the child, believed by the host only as far as its form goes."""

from __future__ import annotations

import json
from collections import deque
from types import FrameType, TracebackType
from typing import Any

from autotts.errors import OUTCOMES, Crashed, MemoryLimit, PolicyViolation, ProgramError
from autotts.sandbox.policy import FILENAME
from autotts.sandbox.rules import plain_name
from autotts.sandbox.text import printable

__all__ = ["MAX_FAULT", "decode", "describe", "encode", "frames_of_stack", "line_of_traceback"]

MAX_FAULT = 16384
"""Bytes of a fault."""

_MESSAGE, _WHERE, _LINE = 500, 200, 10**7

_FRAMES, _NAME = 8, 80
"""Frames that are told of a program's own traceback, the innermost ones, and characters of a function's name."""

ProgramFrames = tuple[tuple[int, str], ...]


def line_of_traceback(traceback: TracebackType | None) -> int | None:
    """The innermost line of the program in a traceback."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILENAME:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def frames_of_traceback(traceback: TracebackType | None) -> ProgramFrames:
    """Line and function of the program's own frames in a traceback, innermost last."""
    found: deque[tuple[int, str]] = deque(maxlen=_FRAMES)
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == FILENAME:
            found.append((traceback.tb_lineno, plain_name(code.co_name)[:_NAME]))
        traceback = traceback.tb_next
    return tuple(found)


def frames_of_stack(frame: FrameType | None) -> ProgramFrames:
    """Line and function of the program's own frames on a stack, innermost last."""
    found: list[tuple[int, str]] = []
    while frame is not None and len(found) < _FRAMES:
        if frame.f_code.co_filename == FILENAME:
            found.append((frame.f_lineno, plain_name(frame.f_code.co_name)[:_NAME]))
        frame = frame.f_back
    return tuple(reversed(found))


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
    found.frames = frames_of_traceback(error.__traceback__)
    return found


def _text(error: BaseException) -> str:
    try:
        return plain_name(str(error)[:_MESSAGE])
    except BaseException as inner:  # a program's own __str__ may do anything, leaving included
        return f"(its text cannot be read: {type(inner).__name__})"


def encode(error: ProgramError) -> bytes:
    """A fault's bytes."""
    message, where = str(error.message)[:_MESSAGE], str(error.where)[:_WHERE]
    frames = [[line, name[:_NAME]] for line, name in error.frames[-_FRAMES:]]
    fault = {"outcome": error.outcome, "message": message, "line": error.line, "where": where, "frames": frames}
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
    if type(fault) is not dict or fault.keys() != {"outcome", "message", "line", "where", "frames"}:
        raise ValueError("a fault without its five fields")
    outcome, message, line, where = fault["outcome"], fault["message"], fault["line"], fault["where"]
    if type(outcome) is not str or outcome not in OUTCOMES or type(message) is not str or type(where) is not str:
        raise ValueError("a fault of unknown form")
    if line is not None and not _is_line(line):
        raise ValueError("a fault with an impossible line")
    found = OUTCOMES[outcome](printable(message[:_MESSAGE]), line, printable(where[:_WHERE]))
    found.frames = _decoded_frames(fault["frames"])
    return found


def _is_line(line: Any) -> bool:
    return type(line) is int and 0 < line < _LINE


def _decoded_frames(frames: Any) -> ProgramFrames:
    if type(frames) is not list or len(frames) > _FRAMES:
        raise ValueError("a fault with impossible frames")
    for frame in frames:
        if type(frame) is not list or len(frame) != 2 or not _is_line(frame[0]) or type(frame[1]) is not str:
            raise ValueError("a fault with an impossible frame")
    return tuple((line, printable(name[:_NAME])) for line, name in frames)
