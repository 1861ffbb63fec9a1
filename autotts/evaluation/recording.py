"""What a trace needs, the child's side: which line asked for an action, at which the program returned, what it noted.

The episode is an ordinary `Episode` and acts as ever: its source, which it hides from the program, looks who asked.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FrameType
from typing import Any

from autotts.evaluation.wire import MAX_NOTE, MAX_NOTE_NAME, MAX_NOTES
from autotts.replay.episode import Episode
from autotts.replay.source import UNPARSED_ID, Paid, Table, TableSource
from autotts.sandbox.policy import FILENAME
from autotts.sandbox.rules import plain_name

__all__ = ["Recorder", "code_of"]

Note = Callable[[str, Any], None]

_UNKNOWN = 0
_MEMBERS = 16


class _RecordingSource(TableSource):
    """A table that writes down at which line of the program each wave was asked for."""

    __slots__ = ("lines",)

    def __init__(self, table: Table, seed: int, interval: int, max_branches: int) -> None:
        super().__init__(table, seed, interval, max_branches)
        self.lines: list[int] = []

    def open(self, first: int, n: int) -> Paid:
        self.lines.append(_asking_line())
        return super().open(first, n)

    def advance(self, branches: Sequence[int]) -> Paid:
        self.lines.append(_asking_line())
        return super().advance(branches)

    def finish(self, branches: Sequence[int]) -> Paid:
        self.lines.append(_asking_line())
        return super().finish(branches)

    def prune(self, branches: Sequence[int]) -> None:
        self.lines.append(_asking_line())


class _BuyingSource(_RecordingSource):
    """The same where looking costs, and so is an action."""

    __slots__ = ()

    def probe(self, branches: Sequence[int]) -> list[int]:
        self.lines.append(_asking_line())
        return super().probe(branches)


class _Overridden(Episode):
    """An episode in which the decisions of one line are overridden.

    Its prunes are admitted and then ignored; the branches of its waves go one interval further, as far as they have
    one, before the program sees anything of them.
    """

    __slots__ = ("_line",)

    def __init__(self, source: TableSource, interval: int, kappa_probe: int, note: Note, line: int) -> None:
        super().__init__(source, interval, kappa_probe, note)
        self._line = line

    def branches(self, n: int) -> list[int]:
        opened = super().branches(n)
        if _asking_line() == self._line:
            super().advance([i for i in opened if i in self._active])
        return opened

    def advance(self, branches: int | Iterable[int]) -> None:
        wave = [branches] if type(branches) is int else list(branches)  # type: ignore[arg-type]
        super().advance(wave)
        if _asking_line() == self._line:
            super().advance([i for i in wave if i in self._active])

    def prune(self, branches: int | Iterable[int]) -> None:
        if _asking_line() == self._line:
            self._wave("prune", branches, self._active)
        else:
            super().prune(branches)


def _asking_line() -> int:
    """The innermost line of the program on the stack above a source's method."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename != FILENAME:
        frame = frame.f_back
    return _UNKNOWN if frame is None else frame.f_lineno or _UNKNOWN


def code_of(function: Any) -> CodeType | None:
    """The program's code behind a function, a method, or an object that can be called."""
    # A function or method has its code itself, an object that can be called has it in its class.
    code = getattr(function, "__code__", None) or getattr(function.__call__, "__code__", None)
    return code if isinstance(code, CodeType) and code.co_filename == FILENAME else None


class Recorder:
    """Records episodes one after the other, and tells them as two frames: whole numbers, and notes.

    Args:
        interval, kappa_probe, max_branches: of the environment.
        overridden: a line whose decisions are overridden; None for what the program does by itself.
    """

    def __init__(self, interval: int, kappa_probe: int, max_branches: int, overridden: int | None = None) -> None:
        self._rules = interval, kappa_probe, max_branches
        self._overridden = overridden
        self._numbers = array("i")
        self._notes: list[list[Any]] = []
        self._episodes = 0

    def play(self, table: Table, seed: int, knobs: dict[str, float], solve: Callable[..., int]) -> None:
        """Record one episode; `solve` is called with it, the knobs, and whoever calls the program's function."""
        interval, kappa, ceiling = self._rules
        source = (_BuyingSource if kappa else _RecordingSource)(table, seed, interval, ceiling)
        notes: list[list[Any]] = []
        left_out = 0

        def note(name: Any, value: Any) -> None:
            nonlocal left_out
            if len(notes) < MAX_NOTES:
                told = _name(name), _shown(value)
                notes.append([self._episodes, len(source.lines), _asking_line(), *told])
            else:
                left_out += 1

        if self._overridden is None:
            episode = Episode(source, interval, kappa, note)
        else:
            episode = _Overridden(source, interval, kappa, note, self._overridden)
        watch = _ReturnWatch()
        answer = solve(episode, knobs, watch.call)
        seen = [number for number in episode._labels if number != UNPARSED_ID]
        log, lines = episode._log, source.lines
        self._numbers.extend((answer, watch.line, left_out, len(log), len(lines), len(seen)))
        for part in (log, lines, seen):
            self._numbers.extend(part)
        self._notes += notes
        self._episodes += 1

    def frames(self) -> tuple[bytes, bytes]:
        """Everything that was recorded."""
        return self._numbers.tobytes(), json.dumps(self._notes).encode()


class _ReturnWatch:
    """Follows one function of the program to see at which line it returns, and nothing else of what it does.

    Attributes:
        line: of the last return, 0 where the function is none of the program's own.
    """

    __slots__ = ("_code", "line")

    def __init__(self) -> None:
        self._code: CodeType | None = None
        self.line = _UNKNOWN

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function under watch."""
        self._code = code_of(function)
        if self._code is None:
            return function(*arguments)
        sys.settrace(self._entered)
        try:
            return function(*arguments)
        finally:
            sys.settrace(None)

    def _entered(self, frame: FrameType, _event: str, _: Any) -> Callable[..., Any] | None:
        """Every call comes by here; only the watched function is followed, and not line by line."""
        if frame.f_code is not self._code:
            return None
        frame.f_trace_lines = False
        return self._within

    def _within(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "return":  # of a function that calls itself, the outermost call returns last
            self.line = frame.f_lineno or _UNKNOWN
        return self._within


def _name(name: Any) -> str:
    return plain_name(str.__str__(name)[:MAX_NOTE_NAME]) if type(name) is str else _kind(name)


def _kind(value: Any) -> str:
    return f"<{plain_name(type(value).__name__)[:40]}>"


def _shown(value: Any, nested: bool = False) -> str:
    """A value in words. Nothing of the program's own is asked for its text, for that could act."""
    if value is None or type(value) in (bool, float):
        return repr(value)
    if type(value) is int:
        return repr(value) if value.bit_length() <= 128 else f"<int of {value.bit_length()} bits>"
    if type(value) is str:
        return value[:MAX_NOTE]
    if type(value) in (list, tuple, set, frozenset, dict) and not nested:
        # Copied first: nothing here runs code of the program's, but a set of members that are its own is left alone.
        members = list(value.items() if type(value) is dict else value)[:_MEMBERS]
        parts = [": ".join(_shown(p, True) for p in m) if type(value) is dict else _shown(m, True) for m in members]
        more = ", …" if len(value) > _MEMBERS else ""
        open_, close = ("(", ")") if type(value) is tuple else ("[", "]") if type(value) is list else ("{", "}")
        return (open_ + ", ".join(parts) + more + close)[:MAX_NOTE]
    return _kind(value)
