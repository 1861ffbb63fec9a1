"""The journal of a recording: every branch and probe is a line when it has ended, and is never asked for again.

`NAME.texts.jsonl` beside the environment NAME (docs/formats.md). A line is there whole or cut off: what a process that
was killed left of its last one is taken away by the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from autotts.errors import InputError
from autotts.live.growth import Growth, Token, mean
from autotts.live.model import Said
from autotts.replay import Question
from autotts.replay.formats import TEXTS, encode_line

__all__ = ["Journal", "Probed", "Recorded", "journal_path"]

SCHEMA = "autotts.texts/1"

_BEGINNING = encode_line({"schema": SCHEMA}).rstrip(b"}\n")

PATIENCE = 5.0
"""Seconds in which a process that was killed must have let go of its journal."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A branch as it was recorded.

    Attributes:
        text: all of it.
        cuts: characters at each multiple of Δ, shape (d,).
        tokens: T.
        truncated: whether the limit of tokens ended it.
        signals: by name, shape (d + 1,); only those that the server told.
    """

    text: str
    cuts: tuple[int, ...]
    tokens: int
    truncated: bool
    signals: Mapping[str, tuple[float | None, ...]]

    @classmethod
    def of(cls, growth: Growth) -> Recorded:
        """A branch that has ended."""
        signals = {}
        for name in ("logprob", "entropy"):
            means = tuple(_mean(growth.scores(k), name) for k in range(1, growth.depth + 1))
            if any(value is not None for value in means):
                signals[name] = means
        cuts = tuple(len(growth.prefix(k)) for k in range(1, growth.probes + 1))
        return cls(growth.text, cuts, growth.total, growth.truncated, signals)


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe as it was answered: cue and text as they were, and the mean log-probability of the answer's tokens."""

    cue: str
    text: str
    logprob: float | None


def journal_path(output: Path) -> Path:
    """Where the journal of an environment lies."""
    return output.with_name(output.name.removesuffix(".gz").removesuffix(".jsonl") + TEXTS)


def _mean(tokens: Sequence[Token], name: str) -> float | None:
    return mean([getattr(token, name) for token in tokens])


class Journal:
    """What has been recorded so far, and where more is written; one process at a time has it. A context manager.

    Args:
        path: the file, made where there is none.
        settings: everything that the recording depends on, by the name of its option; they must be those of the file.
        about: what is noted besides when the file is made.

    Attributes:
        about: what was noted when it was made.
        servers: addresses that were asked, and how, in their order.
        probes: by question, branch and depth.
        pace: seconds a token of a branch that was generated alone, None where it was not measured.
        alone: seconds of probes that were asked alone.
        probe_tokens: of all answers to probes.
        usage: (tokens in at most, tokens out) of every request.

    Raises:
        InputError: the file cannot be read or written, is another recording's, or another process has it.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], about: Mapping[str, str]) -> None:
        self.path = path
        self.about: dict[str, str] = dict(about)
        self.servers: list[tuple[str, str]] = []
        self.probes: dict[tuple[str, int, int], Probed] = {}
        self.pace: float | None = None
        self.alone: list[float] = []
        self.probe_tokens = 0
        self.usage: list[tuple[int, int]] = []
        self._texts: dict[str, str] = {}
        self._places: dict[tuple[str, int], tuple[int, int]] = {}
        self._depths: dict[tuple[str, int], int] = {}
        self._shared: dict[str, str] = {}
        self._size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); give another path with -o") from error
        try:
            self._lock()
            self._read(settings)
            if not self._size:
                self._append({"schema": SCHEMA, "settings": dict(settings), "about": self.about})
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)

    # ---- what is there -----------------------------------------------------------------------------------------------

    def knows(self, question: Question) -> bool:
        """Whether a question's text is noted.

        Raises:
            InputError: its id stands for another text here.
        """
        known = self._texts.get(question.id, question.text)
        if known != question.text:
            raise InputError(
                f"{self.path}: question {question.id} was recorded with another text; give the questions as they were, "
                "or record into another file with -o"
            )
        return question.id in self._texts

    def has(self, question: str, branch: int) -> bool:
        """Whether a branch was recorded."""
        return (question, branch) in self._places

    def depth(self, question: str, branch: int) -> int:
        """The probes that a recorded branch has room for, d."""
        return self._depths[question, branch]

    def branch(self, question: str, branch: int) -> Recorded:
        """A recorded branch; texts stay in the file until they are asked for."""
        start, length = self._places[question, branch]
        row = json.loads(os.pread(self._file, length, start))
        signals = {name: tuple(values) for name, values in row["signals"].items()}
        return Recorded(row["text"], tuple(row["cuts"]), row["tokens"], row["truncated"], signals)

    # ---- what is added -----------------------------------------------------------------------------------------------

    def add_server(self, address: str, how: str) -> None:
        """Note who is asked from now on, and how questions are put there and tokens counted."""
        if (address, how) not in self.servers:
            self._append({"server": address, "how": how})
            self.servers.append((address, how))

    def add_question(self, question: Question) -> None:
        """Note a question's text, which must stay what it is.

        Raises:
            InputError: see `knows`.
        """
        if not self.knows(question):
            self._append({"question": question.id, "is": question.text})
            self._texts[question.id] = question.text

    def add_branch(self, question: str, branch: int, recorded: Recorded, prompt_tokens: int) -> None:
        """A branch that has ended; it is on the disk when this returns.

        Args:
            question: its id.
            branch: its number.
            recorded: itself.
            prompt_tokens: tokens of the request, at most.
        """
        row = {
            "question": question,
            "branch": branch,
            "text": recorded.text,
            "cuts": recorded.cuts,
            "tokens": recorded.tokens,
            "truncated": recorded.truncated,
            "signals": dict(recorded.signals),
            "prompt_tokens": prompt_tokens,
        }
        self._keep(row, *self._append(row))
        os.fsync(self._file)

    def add_probe(self, question: str, branch: int, depth: int, said: Said, prompt_tokens: int, alone: bool) -> None:
        """A probe that was answered.

        Args:
            question, branch, depth: where.
            said: what was.
            prompt_tokens: tokens of the request, at most.
            alone: whether nothing else was asked meanwhile, so that its seconds tell what a probe costs.
        """
        row = {
            "question": question,
            "branch": branch,
            "depth": depth,
            "cue": said.cue,
            "text": said.text,
            "tokens": said.tokens,
            "logprob": _mean(said.scores, "logprob"),
            "prompt_tokens": prompt_tokens if said.prompt_tokens is None else said.prompt_tokens,
            "seconds": round(said.seconds, 6),
            "alone": alone,
        }
        self._keep(row, *self._append(row))

    def add_lost(self, tokens: int, prompt_tokens: int) -> None:
        """A branch that broke off: nothing of it is used, and it may have to be paid for."""
        row = {"lost": tokens, "prompt_tokens": prompt_tokens}
        self._keep(row, *self._append(row))

    def add_pace(self, seconds: float) -> None:
        """What a token of a branch takes that is generated alone."""
        self._append({"pace": seconds})
        self.pace = seconds

    def _append(self, row: Row) -> tuple[int, int]:
        """Write a line; where it begins and how long it is."""
        line = encode_line(row)
        start, left = self._size, line
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            os.ftruncate(self._file, start)
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); make room, and the same command goes on: "
                "what is there is kept"
            ) from error
        self._size += len(line)
        return start, len(line)

    # ---- reading it --------------------------------------------------------------------------------------------------

    def _lock(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InputError(
                        f"{self.path}: another process is recording into it; let it end, or give another path with -o"
                    ) from None
                time.sleep(0.1)

    def _read(self, settings: Mapping[str, Any]) -> None:
        other: InputError | None = None
        with open(self._file, "rb", closefd=False) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    if number == 1 and not (_BEGINNING.startswith(line) or line.startswith(_BEGINNING)):
                        raise self._strange()
                    break
                try:
                    row = json.loads(line)
                    if number == 1:
                        other = self._other(row, settings)
                    else:
                        self._keep(row, self._size, len(line))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise InputError(
                        f"{self.path}, line {number}: is no line of a recording's texts ({type(error).__name__}: "
                        f"{error}); take the line out, or record into another file with -o"
                    ) from error
                self._size += len(line)
        if other is not None:
            if self.usage:
                raise other
            self._size, self.servers, self._texts = 0, [], {}  # nobody answered yet, so nothing is lost
        os.ftruncate(self._file, self._size)

    def _other(self, header: Any, settings: Mapping[str, Any]) -> InputError | None:
        """What is wrong where the file is a recording with other settings; else its notes are taken."""
        if not isinstance(header, dict) or header.get("schema") != SCHEMA:
            raise self._strange()
        about = {str(name): str(value) for name, value in header["about"].items()}
        there = header["settings"]
        given = json.loads(json.dumps(dict(settings)))
        for name in {**there, **given}:
            if there.get(name) != given.get(name):
                return InputError(
                    f"{self.path}: was recorded with {name} {_shown(there.get(name))}, and now it is "
                    f"{_shown(given.get(name))}; give it as it was, or record into another file with -o"
                )
        self.about = about
        return None

    def _strange(self) -> InputError:
        return InputError(f"{self.path}: holds something else than a recording's texts; give another path with -o")

    def _keep(self, row: Row, start: int, length: int) -> None:
        """Take a line in; it begins at a place in the file and has a length."""
        if "text" in row:
            where = (str(row["question"]), int(row["branch"]))
            if "depth" in row:
                cue = self._shared.setdefault(row["cue"], row["cue"])
                self.probes[(*where, row["depth"])] = Probed(cue, row["text"], row["logprob"])
                self.probe_tokens += row["tokens"]
                self.alone += [row["seconds"]] * row["alone"]
            else:
                self._places[where] = (start, length)
                self._depths[where] = len(row["cuts"])
            self.usage.append((int(row["prompt_tokens"]), int(row["tokens"])))
        elif "is" in row:
            self._texts[row["question"]] = row["is"]
        elif "server" in row:
            self.servers.append((row["server"], row["how"]))
        elif "lost" in row:
            self.usage.append((int(row["prompt_tokens"]), int(row["lost"])))
        else:
            self.pace = float(row["pace"])


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
