"""Fake coding agents for tests: programs that really run, and what an agent is given."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autotts.agents import Candidate, Context, Settings
from autotts.agents.command import make_command
from autotts.errors import (
    InputError,
    LimitReached,
    PolicyViolation,
)
from autotts.evaluation import Program, shipped
from autotts.traces import Evidence

GOOD = '''"""Read {n} branches to the end."""

from autotts.toolkit import majority


def schedule(beta):
    return {{"n": {n} + round(4 * beta)}}


def solve(episode, knobs):
    wave = episode.branches(knobs["n"])
    episode.finish(episode.active)
    return majority(episode.probe(wave), skip_unparsed=True)
'''

WRITE = f"open('controller.py', 'w').write({GOOD.format(n=3)!r})\n"


class Purse:
    """A purse of a test: what it was told."""

    def __init__(self, *answers: str, seconds: float = float("inf"), admits: int = 9) -> None:
        self.answers = list(answers)
        self.begun: list[tuple[str, dict[str, str], int, float | None]] = []
        self.ended: list[tuple[str, str, dict[str, int], int, float | None]] = []
        self.seconds, self.admits = seconds, admits

    def recorded(self) -> str | None:
        return self.answers.pop(0) if self.answers else None

    def templates(self) -> set[str]:
        return set()

    def begin(self, prompt: str, templates: Any, tokens: int, cost: float | None) -> int:
        if len(self.begun) >= self.admits:
            raise LimitReached("no room")
        self.begun.append((prompt, dict(templates), tokens, cost))
        return len(self.begun) - 1

    def end(self, number: int, outcome: str, reply: str, usage: Any, tokens: int, cost: float | None) -> None:
        assert number == len(self.ended)
        self.ended.append((outcome, reply, dict(usage), tokens, cost))

    def seconds_left(self) -> float:
        return self.seconds


class Bench:
    """Refuses programs that say so; has one instrument, another that fails, and no others."""

    def check(self, program: Program) -> None:
        if "BROKEN" in program.source:
            raise PolicyViolation("BROKEN is not allowed", 3)

    def findings(self, program: Program, other: Program) -> dict[str, Any]:
        def missing() -> Evidence:
            raise InputError("no branches here")

        return {"states": lambda: Evidence("The value of continuing"), "branches": missing}


def candidate(name: str, source: str, **more: Any) -> Candidate:
    fields: dict[str, Any] = {
        "id": name, "source": source, "idea": Program.from_source(source).idea, "agent": "person", "answer": "",
        "outcome": "ok", "gain": 0.01, "gain_se": 0.004, "front": False, "round": 1, "slot": 0, "parents": (),
        "points": ((0.0, 0.5, 1000.0),),
    }  # fmt: skip
    return Candidate(**{**fields, **more})


CMC = candidate("cmc", shipped("cmc").source, agent="baseline", round=0, gain=0.0)
PARENT = candidate("aaaaaaaaaa", GOOD.format(n=2))
FAILED = candidate(
    "bbbbbbbbbb", "x | y\n", outcome="Crashed", message="a|b", gain=None, gain_se=None, slot=1, points=()
)


def context(purse: Purse, parents: tuple[Candidate, ...] = (PARENT,)) -> Context:
    return Context(2, 0, (CMC, PARENT, FAILED), parents, 0, Bench(), purse)  # type: ignore[arg-type]


def left_in(place: Path) -> list[Path]:
    """What lies in a folder of temporary files, but for the lock of a killed search, which the next one takes."""
    return [path for path in place.iterdir() if path.suffix != ".lock"]


def scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary folders are made here, and none is left."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield place
    deadline = time.monotonic() + 10
    while left_in(place) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_in(place) == []


Fake = Callable[..., str]


def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Writes a program that stands for a coding agent and puts it on PATH; its path."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")

    def make(body: str, name: str = "agent") -> str:
        path = bin_ / name
        path.write_text(f"#!{sys.executable}\nimport json, os, sys, time, subprocess, signal\n{body}")
        path.chmod(0o755)
        return str(path)

    return make


def propose(name: str, purse: Purse, **settings: Any) -> Any:
    agent = make_command(name, Settings(**{"proposal_seconds": 30.0, **settings}))
    return agent.propose(context(purse), random.Random(0))


def alive(marker: str) -> list[str]:
    """Processes whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in words:
                found.append(words.decode(errors="replace"))
    return found


HANG = """
marker = sys.argv[1]
script = "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
subprocess.Popen([sys.executable, "-c", script, marker])
subprocess.Popen([sys.executable, "-c", script, marker], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", script, marker])
    os._exit(0)
"""
