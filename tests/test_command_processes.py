"""Coding agents as processes: what they start ends with them, and with the search."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotts.errors import (
    AgentTimeout,
    AgentUnavailable,
)
from autotts.replay import save_environment
from tests.commands import GOOD, HANG, WRITE, Fake, Purse, alive, fakes, left_in, propose, scratch_folder
from tests.small import small_environment

AUTOTTS = [sys.executable, "-m", "autotts"]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from scratch_folder(tmp_path, monkeypatch)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return fakes(tmp_path, monkeypatch)


def test_at_the_deadline_nothing_is_left_and_a_changed_file_counts(fake: Fake) -> None:
    fake(f"{HANG}time.sleep(300)")
    with pytest.raises(AgentTimeout, match="left controller"):
        propose("agent mark-deadline", Purse(), proposal_seconds=2.5)
    assert alive("mark-deadline") == []
    fake(f"{HANG}{WRITE}time.sleep(300)")
    began = time.monotonic()
    made = propose("agent mark-changed", Purse(seconds=3.0))
    assert time.monotonic() - began < 15
    assert made.source == GOOD.format(n=3)
    assert "ended after 3 s" in made.answer
    assert alive("mark-changed") == []


def test_what_an_agent_leaves_running_ends_with_it(fake: Fake) -> None:
    fake(f"{HANG}{WRITE}")
    assert propose("agent mark-background", Purse()).source == GOOD.format(n=3)
    assert alive("mark-background") == []


def test_an_agent_that_kills_its_keeper_is_not_waited_for(fake: Fake) -> None:
    fake("os.kill(os.getppid(), 9); time.sleep(1)")
    with pytest.raises(AgentUnavailable, match="was killed"):
        propose("agent", Purse())


COUNTING = f"""
place = os.environ['COUNT_FILE']
with open(place, 'a') as file:
    file.write('x')
n = len(open(place).read())
if n == 2 and os.environ.get('HANG'):
{HANG.replace("sys.argv[1]", "'mark-search'").replace(chr(10), chr(10) + "    ")}
    time.sleep(300)
open('controller.py', 'w').write({GOOD!r}.format(n=n))
"""


def autotts(*args: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([*AUTOTTS, *args], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def search_args(*more: str) -> list[str]:
    small = ["--rounds", "1", "--proposals-per-round", "3", "--seeds", "2", "--screen-seeds", "1", "--betas", "3"]
    return ["search", "--env", "tiny.jsonl", *small, "--workers", "1", *more]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_environment(small_environment(questions=4), tmp_path / "tiny.jsonl")
    monkeypatch.setenv("COUNT_FILE", str(tmp_path / "count"))
    return tmp_path


def proposed(world: Path) -> list[Any]:
    rows = json.loads(autotts("list", "--archive", "a.db", "--json", cwd=world))
    return [row for row in rows if row["round"]]


def test_a_small_search_with_a_command(fake: Fake, world: Path) -> None:
    path = fake(COUNTING)
    name = f"command/{path} --flag"
    plan = autotts(*search_args("--agent", name, "--dry-run"), cwd=world)
    assert "price unknown" in plan
    refused = autotts(*search_args("--agent", name, "--max-cost", "5", "--archive", "a.db"), cwd=world, code=2)
    assert "price" in refused
    out = autotts(*search_args("--agent", name, "--archive", "a.db"), cwd=world)
    assert str(world / "scratch") not in out
    rows = proposed(world)
    assert sorted((row["agent"], row["outcome"], row["idea"]) for row in rows) == [
        (name, "ok", f"Read {n} branches to the end.") for n in (1, 2, 3)
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_is_killed_leaves_nothing_and_goes_on(
    fake: Fake, world: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = fake(COUNTING)
    args = search_args("--agent", f"command/{path}", "--archive", "a.db", "--askers", "1")
    monkeypatch.setenv("HANG", "1")
    process = subprocess.Popen([*AUTOTTS, *args], cwd=world, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(alive("mark-search")) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    assert len(alive("mark-search")) >= 3
    assert any(stat.S_ISDIR(entry.lstat().st_mode) for entry in (world / "scratch").iterdir())
    process.send_signal(number)
    if number == signal.SIGINT:
        time.sleep(0.5)
        process.send_signal(number)  # the first one would wait for what hangs
    process.wait(timeout=60)
    deadline = time.monotonic() + 10
    while (alive("mark-search") or left_in(world / "scratch")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive("mark-search") == []
    assert left_in(world / "scratch") == []
    monkeypatch.delenv("HANG")
    autotts("resume", "run-1", "--archive", "a.db", "--askers", "1", cwd=world)
    # The first slot was not asked for again, the second was, and counts both times.
    assert [row["idea"] for row in proposed(world)] == [f"Read {n} branches to the end." for n in (1, 3, 4)]
