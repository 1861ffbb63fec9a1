"""Real searches on real databases: side by side in one archive, and killed and resumed on a server."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autotts.archive import Archive
from autotts.replay import save_environment
from tests.databases import Server
from tests.small import small_environment

pytestmark = pytest.mark.slow

SHAPE = "--rounds 2 --proposals-per-round 2 --seeds 2 --screen-seeds 1 --betas 3 --workers 1 --display none".split()


@pytest.fixture
def world(tmp_path: Path) -> Path:
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    return tmp_path


def begun(world: Path, archive: str, run: str, seed: int) -> subprocess.Popen[str]:
    words = ["search", "--env", "tiny.jsonl", *SHAPE, "--archive", archive, "--run", run, "--seed", str(seed)]
    said: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-m", "autotts", *words], cwd=world, **said)


def ended(process: subprocess.Popen[str]) -> int:
    out, _ = process.communicate(timeout=300)
    assert process.returncode in (0, -signal.SIGKILL), out
    return process.returncode


def rows(archive: str, run: str) -> list[str]:
    """What belongs to a run, without what the clock says and what is counted across runs."""
    with Archive(archive, create=False) as opened:
        assert list(opened.faults()) == []
        lines = [json.loads(line) for line in opened.export_lines(run)]
    return sorted(json.dumps({k: v for k, v in x.items() if k not in ("number", "created", "seconds")}) for x in lines)


def test_searches_that_share_an_archive_have_the_rows_that_each_has_alone(world: Path, target: str) -> None:
    together = [begun(world, target, run, seed) for run, seed in (("a", 1), ("b", 2))]
    for process in together:
        assert ended(process) == 0
    for run, seed in (("a", 1), ("b", 2)):
        assert ended(begun(world, f"{run}.db", run, seed)) == 0
        assert rows(target, run) == rows(str(world / f"{run}.db"), run)


def test_a_search_on_a_server_is_killed_and_resumed_and_equals_the_uninterrupted(world: Path, server: Server) -> None:
    """And equals, row for row, the same search in a file."""
    start = time.monotonic()
    assert ended(begun(world, "whole.db", "r", 3)) == 0
    took = time.monotonic() - start
    target, rng = server.database(), random.Random(0)
    codes: list[Any] = []
    for _ in range(3):
        process = begun(world, target, "r", 3)
        try:
            process.wait(rng.uniform(0.3, 0.9) * took)
        except subprocess.TimeoutExpired:
            process.kill()
        codes.append(ended(process))
    assert codes[0] == -signal.SIGKILL
    words = ["resume", "r", "--archive", target, "--workers", "1", "--display", "none"]
    done = subprocess.run([sys.executable, "-m", "autotts", *words], cwd=world, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Archive(target) as resumed, Archive(world / "whole.db") as whole:
        assert list(resumed.dump()) == list(whole.dump())
        assert list(resumed.faults()) == []
