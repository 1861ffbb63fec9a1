"""Answers out of what a model wrote. They are kept as written: what counts as the same is the equivalence's to say."""

from __future__ import annotations

import importlib.util
import json
import re
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import Self

from autotts.errors import InputError
from autotts.live.model import Said
from autotts.replay.answers import load_function
from autotts.replay.environment import UNPARSED

__all__ = ["EQUIVALENCES", "KINDS", "Reader", "last_box"]

EQUIVALENCES = {"math": "latex", "choice": "exact", "text": "exact"}
"""The kinds of answers, and how each compares where nothing else is said; a user's own compare as `exact`."""

KINDS = tuple(EQUIVALENCES)

TAIL = 400
"""Characters at the end of a text without a box in which an answer is looked for."""

MOST_BOXED = 4_000
"""Characters; what is longer is no answer."""

MOST_KEPT = 1 << 11
"""Texts of up to TAIL characters whose answers are kept: those of the questions that are being answered, a few MB."""

QUICK, SLOW = 0.1, 1.0
"""Seconds of CPU time within which math-verify reads a text.

Answers take it one to three milliseconds, so that one process is enough for many questions at a time: with answers that
are fractions it has a twelfth of the CPU time of `autotts serve` (docs/serving-load.md). But a text can be made to take
minutes. What is not read within QUICK goes to a second process, where it waits for nobody but its like.
"""

PATIENCE = 15.0
"""Seconds by the clock for one text, beyond which the process that reads it is ended; it limits itself to less."""

STARTING = 120.0

_BRACES = re.compile(r"(\\(?:boxed|fbox)\s*\{)|\\.|[{}]", re.DOTALL)
_STYLE = re.compile(r"\\(?:text|mbox|math|mathrm|mathbf|textbf)(?:rm|bf|it|normal)?\s*\{|[{}()\[\]\s$.:*]")
_CHOICE = re.compile(r"\banswer(?:\s+is)?\s*[:=]?\s*(?:option\s+)?[*$({\[\s]*([A-J])(?![A-Za-z'’])", re.IGNORECASE)
_CHOICE_LINE = re.compile(r"[*$({\[\s]*([A-Ja-j])[*$)}\]\s]*[.:]?[*\s]*")
_ANSWER_IS = re.compile(r"\banswer(?:\s+is\b\s*:?|\s*:)[ \t]*([^\n]*)", re.IGNORECASE)


class Reader:
    """Reads answers; a context manager that ends the processes which help it. May be called from several threads.

    Args:
        name: `math`, `choice`, `text`, or a function of the user's, `file.py:function` or `module:function`, from a
            text to its answer or None.

    Raises:
        InputError: there is no such kind, or what it needs is not installed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._math: tuple[_MathProcess, ...] = ()
        self._cut: Callable[[str], str] = str
        if name == "math":
            self._math = _MathProcess(QUICK), _MathProcess(SLOW)
            self._kept = lru_cache(MOST_KEPT)(self._read_mathematical)
            self._find: Callable[[str], str | None] = self._mathematical
            self._cut = _math_part
        elif name in KINDS:
            self._find = {"choice": _choice, "text": _text}[name]
        else:
            self._find = _own(name)

    @property
    def equivalence(self) -> str:
        """How its answers compare where nothing else is said."""
        return EQUIVALENCES.get(self.name, "exact")

    def read(self, text: str) -> str:
        """The answer that a text gives, as it is written there; UNPARSED where there is none."""
        part = self._cut(text)
        return (self._find(part) if part else None) or UNPARSED

    def probe(self, said: Said) -> str:
        """The answer to a probe: the cue belongs to it, for it mostly opens the box that the model fills."""
        return self.read(said.cue + said.text)

    def final(self, text: str) -> str:
        """The answer of a whole branch."""
        return self.read(text)

    def gold(self, text: str) -> str:
        """A right answer, written as this reader writes those that it finds: a choice is its letter."""
        return self.read(f"\\boxed{{{text}}}") if self.name == "choice" else text

    def _mathematical(self, part: str) -> str | None:
        return (self._kept if len(part) <= TAIL else self._read_mathematical)(part)

    def _read_mathematical(self, part: str) -> str | None:
        for process in self._math:
            try:
                found = process.read(part)
            except TimeoutError:
                continue
            # math-verify makes \\frac{1}{2} of 0.5: it says whether there is something; what is in the box is kept.
            return last_box(part) or found if found else None
        return None

    def close(self) -> None:
        """End the processes that help."""
        for process in self._math:
            process.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def last_box(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}` that is closed; "" where boxes are opened and none is, None without any.

    A box within a box belongs to the outer one. Takes time in proportion to the text, whatever it is.
    """
    opened: list[int] = []  # where what is in a brace begins, −1 for braces that are no box
    closed: tuple[int, int] | None = None
    any_box = False
    for mark in _BRACES.finditer(text):
        if mark[1]:
            opened.append(mark.end())
            any_box = True
        elif mark[0] == "{":
            opened.append(-1)
        elif mark[0] == "}" and opened and (start := opened.pop()) >= 0:
            closed = (start, mark.start())
    if closed is None:
        return "" if any_box else None
    return text[closed[0] : closed[1]].strip()


def _math_part(text: str) -> str:
    """The part of a text that has its answer: the last box, else its end; "" where a box was opened and not closed."""
    box = last_box(text)
    if box is None:
        return text[-TAIL:]
    return f"\\boxed{{{box}}}" if box and len(box) <= MOST_BOXED else ""


def _choice(text: str) -> str | None:
    """A letter from A to J: in the last box; after the last "answer is" or "answer:"; or alone on the last line."""
    box = last_box(text)
    if box is not None:
        letters = _STYLE.sub("", box) if len(box) <= MOST_BOXED else ""
        return letters.upper() if re.fullmatch("[A-Ja-j]", letters) else None
    tail = text[-TAIL:]
    if found := _CHOICE.findall(tail):
        return str(found[-1]).upper()
    lines = tail.strip().splitlines()
    line = _CHOICE_LINE.fullmatch(lines[-1]) if lines else None
    return line[1].upper() if line else None


def _text(text: str) -> str | None:
    """The last box; what follows the last "answer is" or "answer:" on its line; or the last line."""
    box = last_box(text)
    if box is not None:
        return box if len(box) <= MOST_BOXED else None
    tail = text[-TAIL:].strip()
    found = _ANSWER_IS.findall(tail)
    line = found[-1] if found else (tail.splitlines() or [""])[-1]
    return str(line).strip().removesuffix(".").rstrip() or None


def _own(name: str) -> Callable[[str], str | None]:
    function = load_function("answers", name, KINDS)

    def read(text: str) -> str | None:
        try:
            answer = function(text)
        except Exception as error:
            raise InputError(
                f"answers {name!r} fails on a text that ends in {text[-60:]!r} ({type(error).__name__}: {error}); "
                "let it return None where it finds no answer"
            ) from error
        if answer is not None and not isinstance(answer, str):
            raise InputError(f"answers {name!r} gives {type(answer).__name__}; it must give text, or None for none")
        return answer

    return read


class _MathProcess:
    """A process with math-verify in it, begun when it is needed, ended when it hangs, and begun again.

    Args:
        seconds: of CPU time for one text.
    """

    def __init__(self, seconds: float) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise InputError('--answers math needs math-verify: pip install "autotts[live]", or choose another kind')
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def read(self, text: str) -> str | None:
        """The answer, None where there is none.

        Raises:
            TimeoutError: it takes longer.
        """
        with self._turn:
            if self._process is None or self._process.poll() is not None:
                self._begin()
            return self._asked(text, PATIENCE)

    def end(self) -> None:
        """End it."""
        with self._turn:
            self._stop()

    def _begin(self) -> None:
        self._stop()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "autotts.live._math", str(self._seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the collector, which ends this one itself
        )
        try:
            works = self._asked("\\boxed{1}", STARTING) == "1"
        except TimeoutError:
            works = False
        if not works:
            self._stop()
            raise InputError('math-verify does not work here; repair it: pip install --force-reinstall "autotts[live]"')

    def _asked(self, text: str, seconds: float) -> str | None:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(text).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._stop()
            return None
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            in_time = bool(waiting.select(seconds))
        line = process.stdout.readline() if in_time else b""
        answer = json.loads(line) if line else None
        if not line:
            self._stop()
        if not in_time or answer is False:
            raise TimeoutError
        return answer if isinstance(answer, str) else None

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                try:
                    if pipe is not None:
                        pipe.close()
                except BrokenPipeError:  # what was still to be sent
                    pass
            self._process = None
