"""The browser as people run it: the command in a terminal (tmux), beside a real search that goes on and is killed."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from autotts.archive import Archive
from autotts.errors import AutoTTSError
from autotts.replay import save_environment
from tests.small import small_environment
from tests.test_docs import ROOT, commands

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here (Debian: apt-get install tmux)")

PATIENCE = 60.0


class Terminal:
    """A tmux session of its own: a command, keys, and what is on the screen."""

    def __init__(self, folder: Path, width: int, height: int, *command: str) -> None:
        socket = next(folder / f"tmux-{n}" for n in itertools.count() if not (folder / f"tmux-{n}").exists())
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(socket)]
        # The size is the terminal's, whatever the environment of the tests says.
        line = " ".join(["env -u COLUMNS -u LINES", *command, f"; echo ended $?; sleep {PATIENCE:.0f}"])
        size = ["-x", str(width), "-y", str(height)]
        subprocess.run([*self._tmux, "new-session", "-d", "-s", "t", *size, line], check=True, cwd=folder)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        subprocess.run([*self._tmux, "send-keys", "-t", "t", *keys], check=True)

    def screen(self) -> str:
        """What is on the screen."""
        told = subprocess.run([*self._tmux, "capture-pane", "-t", "t", "-p"], capture_output=True, text=True)
        return told.stdout

    def wait(self, holds: Callable[[str], object]) -> str:
        """The screen, as soon as something holds of it."""
        deadline = time.monotonic() + PATIENCE
        while not holds(screen := self.screen()):
            assert time.monotonic() < deadline, screen
            time.sleep(0.1)
        return screen

    def close(self) -> None:
        """End everything in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


AUTOTTS = (sys.executable, "-m", "autotts")


def search(folder: Path, archive: str, rounds: int) -> subprocess.Popen[bytes]:
    save_environment(small_environment(questions=12, branches=24), folder / "tiny.jsonl")
    settings = ["--env", str(folder / "tiny.jsonl"), "--rounds", str(rounds), "--workers", "1", "--betas", "5"]
    command = [*AUTOTTS, "search", "--archive", archive, "--display", "none", *settings]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def begun(target: str) -> None:
    """Wait until an archive has a run."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(AutoTTSError), Archive(target, create=False) as archive:
            if archive.runs():
                return
        time.sleep(0.2)
    raise AssertionError("the search did not begin")


def candidates(screen: str) -> int:
    found = re.search(r"run-1 +\S.*? (\d+)/\d+ +(\d+)", screen)
    return int(found[2]) if found else 0


def test_follows_a_search_that_is_killed(target: str, tmp_path: Path, terminals: list[Terminal]) -> None:
    """On SQLite, and on PostgreSQL; a killed search is told from one that runs."""
    job = search(tmp_path, target, 400)
    try:
        begun(target)
        terminal = Terminal(tmp_path, 160, 50, *AUTOTTS, "browse", f"'{target}'")
        terminals.append(terminal)
        running = re.compile(r"run-1 +running +\d")
        first = candidates(terminal.wait(lambda screen: candidates(screen) > 5 and running.search(screen)))
        terminal.wait(lambda screen: candidates(screen) > first)
        terminal.press("2")
        terminal.wait(lambda screen: "confirmed" in screen and "evolution" in screen)
        job.send_signal(signal.SIGKILL)
        job.wait()
        terminal.press("1")
        stopped = r"\((not running|running elsewhere, or killed)\)"
        assert "Traceback" not in terminal.wait(lambda screen: re.search(stopped, screen))
        terminal.press("q")
        terminal.wait(lambda screen: "ended 0" in screen)
    finally:
        job.kill()
        job.wait()


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_quits_and_leaves_the_terminal_as_it_was(
    browsed: Path, tmp_path: Path, terminals: list[Terminal], size: tuple[int, int]
) -> None:
    terminal = Terminal(tmp_path, *size, *AUTOTTS, "browse", str(browsed))
    terminals.append(terminal)
    terminal.wait(lambda screen: "run-1" in screen and "Quit" in screen)
    for key in "23451":
        terminal.press(key)
    terminal.wait(lambda screen: "candidates" in screen)
    terminal.press("C-c")
    screen = terminal.wait(lambda screen: "ended 0" in screen)
    assert "Traceback" not in screen


def test_the_page_runs_as_written(browsed: Path, tmp_path: Path, terminals: list[Terminal]) -> None:
    shutil.copy(browsed, tmp_path / "autotts.db")
    written = commands((ROOT / "docs" / "browse.md").read_text(), "terminal")
    assert len(written) == 2
    for command in written:
        terminal = Terminal(tmp_path, 100, 30, sys.executable, "-m", *command.split())
        terminals.append(terminal)
        terminal.wait(lambda screen: "run-1 (done)" in screen)
        terminal.press("q")
        assert "Traceback" not in terminal.wait(lambda screen: "ended 0" in screen)
        terminal.close()


def test_needs_a_terminal(browsed: Path) -> None:
    done = subprocess.run([*AUTOTTS, "browse", str(browsed)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr


def test_an_archive_that_is_not_there_is_said(tmp_path: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(tmp_path, 100, 24, *AUTOTTS, "browse", "gone.db")
    terminals.append(terminal)
    screen = terminal.wait(lambda screen: "ended 2" in screen)
    assert "there is no archive here" in screen
