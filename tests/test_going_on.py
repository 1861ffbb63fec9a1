"""How a run goes on and when it ends, through the command line: the same command again, more rounds, limits, Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autotts.archive import Archive
from autotts.replay import save_environment
from tests.scripted import good
from tests.small import small_environment

AUTOTTS = [sys.executable, "-m", "autotts"]
SHAPE = ["--env", "tiny.jsonl", "--seeds", "1", "--betas", "2", "--proposals-per-round", "2", "--display", "plain"]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    return tmp_path


def autotts(world: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run([*AUTOTTS, *words], cwd=world, capture_output=True, text=True, timeout=200)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def runs(world: Path) -> dict[str, tuple[str, int]]:
    """State and number of proposals of every run."""
    with Archive(world / "autotts.db", create=False) as archive:
        return {run.name: (run.state, len(list(archive.proposals(run.name)))) for run in archive.runs()}


def rows(world: Path, name: str) -> list[Any]:
    with Archive(world / name, create=False) as archive:
        return list(archive.dump())


def test_the_same_command_goes_on_with_what_was_stopped_and_begins_anew_what_is_done(world: Path) -> None:
    command = ["search", "--rounds", "3", *SHAPE]
    autotts(world, *command, "--max-proposals", "3", code=3)
    assert runs(world) == {"run-1": ("limit", 5 + 3)}
    told = autotts(world, *command, "--max-proposals", "9")
    assert "8 slots done before" in told and runs(world) == {"run-1": ("done", 5 + 6)}
    autotts(world, *command, "--seed", "4", "--max-proposals", "1", code=3)
    autotts(world, *command)
    assert runs(world) == {"run-1": ("done", 11), "run-2": ("limit", 6), "run-3": ("done", 11)}


def test_a_run_that_is_done_gets_more_rounds(world: Path) -> None:
    """And is then what it would have been with so many from the beginning."""
    autotts(world, "search", "--rounds", "1", *SHAPE)
    autotts(world, "resume", "run-1", "--rounds", "2")
    autotts(world, "search", "--run", "run-1", "--rounds", "3", *SHAPE)
    autotts(world, "search", "--rounds", "3", "--archive", "whole.db", *SHAPE)
    assert rows(world, "autotts.db") == rows(world, "whole.db")


def test_limits_say_what_they_did_and_how_to_go_on(world: Path) -> None:
    (world / "script.json").write_text(json.dumps([good(1)] * 20))
    command = ["search", "--rounds", "9", "--agent", "mock/script.json", *SHAPE]
    told = autotts(world, *command, "--plateau", "2", code=3)
    assert "--plateau 2: no greater gain in the last 2 rounds" in told and "autotts resume run-1" in told
    told = autotts(world, *command, "--plateau", "1", "--archive", "one.db", code=3)
    assert "--plateau 1: no greater gain in the last round. " in told
    told = autotts(world, *command, "--target", "0", "--archive", "other.db")
    assert "--target 0: reached in round 0, with " in told
    state = runs(world)["run-1"]
    assert state[0] == "limit" and state[1] < 5 + 9 * 2
    assert "Duplicate" in told or "Duplicate" in autotts(world, "list")


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_settles_what_was_begun_and_twice_ends_at_once(world: Path, times: int) -> None:
    (world / "slow.py").write_text(
        "import time\nfrom tests.scripted import good\n\n\ndef script(context):\n"
        "    print('asked', context.round, flush=True)\n    time.sleep(2 if context.round == 2 else 0)\n"
        "    return good(1 + context.number)\n"
    )
    command = [*AUTOTTS, "search", "--rounds", "4", "--agent", "mock/slow.py:script", *SHAPE]
    root = str(Path(__file__).parent.parent)
    with subprocess.Popen(
        command, cwd=world, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"PYTHONPATH": root}
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("asked 2"):
                break
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 130
    assert "finishing what was begun" in rest and "autotts resume run-1" in rest
    state, count = runs(world)["run-1"]
    assert state == "interrupted" and count == (5 + 2 + (1 if times == 1 else 0))


def test_settings_that_do_not_fit_say_so(world: Path) -> None:
    assert "no such selection strategy" in autotts(world, "search", "--selector", "islands", *SHAPE, code=2)
    assert not (world / "autotts.db").exists()
    autotts(world, "search", "--rounds", "0", "--lag", "1", *SHAPE)
    told = autotts(world, "search", "--rounds", "0", "--run", "run-1", "--lag", "0", *SHAPE, code=2)
    assert "with other settings (lag)" in told
