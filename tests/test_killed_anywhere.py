"""kill -9 of any process at any moment, in the middle of a commit too: the run ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotts.archive import Archive
from autotts.replay import save_environment
from tests.small import small_environment
from tests.test_long_run import descendants

ROOT = Path(__file__).parent.parent
BATCHES = 20
POINTS = 10
"""Statements at which a run is killed, a batch; the first batches are what every change must pass."""


class Zygote:
    """Runs searches, each in a process of its own."""

    def __init__(self) -> None:
        words = [sys.executable, "-m", "tests.killed_search"]
        self._process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, path: Path, at: int = 0, after: bool = False) -> tuple[int, int]:
        """(wait status, SQL statements) of a search."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{path} {at} {int(after)}\n")
        self._process.stdin.flush()
        status, count = self._process.stdout.readline().split()
        return int(status), int(count)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.close()


def held(path: Path) -> list[Any]:
    """All rows but calls that were interrupted, and what counts them: those are asked again under another number."""
    with Archive(path, create=False) as archive:
        rows = list(archive.dump())
    kept = []
    for table, row in rows:
        if table == "call" and row["outcome"] == "":
            continue
        left_out = {"call": ("number",), "run": ("spent_tokens", "spent_picodollars"), "proposal": ("cost",)}.get(
            table, ()
        )
        kept.append((table, {k: v for k, v in row.items() if k not in left_out}))
    return kept


@pytest.fixture(scope="module")
def whole(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An archive that nobody killed, and the number of its statements."""
    path = tmp_path_factory.mktemp("whole") / "a.db"
    status, statements = zygote.run(path)
    assert status == 0 and statements > 100
    return path, statements


@pytest.mark.parametrize("batch", [pytest.param(n, marks=() if n < 1 else pytest.mark.slow) for n in range(BATCHES)])
def test_killed_at_any_statement(zygote: Zygote, whole: tuple[Path, int], tmp_path: Path, batch: int) -> None:
    rng = random.Random(batch)
    for k in range(POINTS):
        path = tmp_path / f"{k}.db"
        kills = 0
        while True:
            again = rng.random() < 0.3 if kills else True
            status, _ = zygote.run(path, rng.randint(1, whole[1]) if again else 0, rng.random() < 0.5)
            if status == 0:
                break
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            kills += 1
        assert held(path) == held(whole[0])
        asked = path.with_suffix(".asked").read_text().split()
        # An answer that had come and was not written down yet is asked for again; at most one an asker and kill is.
        assert len(asked) - len(set(asked)) <= 3 * kills


def search(world: Path, name: str) -> subprocess.Popen[bytes]:
    words = ["search", "--archive", name, "--env", "tiny.jsonl", "--rounds", "3", "--seeds", "2", "--betas", "3"]
    shape = ["--run", "run-1", "--proposals-per-round", "3", "--lag", "1", "--display", "none", "--workers", "2"]
    return subprocess.Popen([sys.executable, "-m", "autotts", *words, *shape], cwd=world, start_new_session=True)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 10))])
def test_any_process_of_a_search_is_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    """Children, the fork server, referees, the host: what is not the host's end, it gets over."""
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    began = time.monotonic()
    assert search(tmp_path, "whole.db").wait(300) == 0
    took, rng, kills = time.monotonic() - began, random.Random(seed), 0
    while True:
        with search(tmp_path, "killed.db") as process:
            while process.poll() is None:
                time.sleep(rng.uniform(0.05, 0.5) * took / 5)
                family = sorted(descendants(process.pid) | ({process.pid} if rng.random() < 0.3 else set()))
                if kills < 12 and family:
                    kills += 1
                    try:
                        os.kill(rng.choice(family), signal.SIGKILL)
                    except ProcessLookupError:
                        kills -= 1
        # What is not the host's end it gets over, unless what is started in its place is killed again at once.
        assert process.returncode in (0, 1, -signal.SIGKILL)
        if process.returncode == 0:
            break
    with Archive(tmp_path / "killed.db", create=False) as killed, Archive(tmp_path / "whole.db", create=False) as whole:
        assert list(killed.dump()) == list(whole.dump())
