"""The live display: what it shows of made-up events in whatever room there is, and a real search on a terminal."""

from __future__ import annotations

import io
import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from autotts.replay import save_environment
from autotts.search import Event, SearchEnded, SearchStarted, SlotEnded, SlotStarted
from autotts.search.events import CallEnded, RoundEnded, SearchStopping
from autotts.ui.panel import Panel
from autotts.ui.progress import make_display
from autotts.ui.watch import Watch
from tests.small import small_environment

BASE = ("c26f1c8422", "3ebc65a0bd", "42d7d2cc5a", "37bac41546", "347246c4bb")
MODEL = "anthropic/claude-sonnet-4-5"
LIMITS = (("cost", 20.0), ("tokens", 5_000_000), ("time", 3600.0))
IDEA = "Opens a row of branches, lets agreeing ones run ahead, stops when no other answer could catch up."

Curve = tuple[tuple[float, float, float], ...]


class Night:
    """A run of eight rounds of six that is in its fourth round, told by a clock that stands still in between."""

    def __init__(self, done: int = 0, limits: tuple[tuple[str, float], ...] = LIMITS) -> None:
        self.now, self.rng = 0.0, random.Random(0)
        self.watch = Watch(lambda: self.now)
        self.panel = Panel(self.watch)
        self.tell(SearchStarted("night-3", 8, 6, 5, 0, done, "strict", 60.0, limits))

    def tell(self, *events: Event, after: float = 0.0) -> None:
        self.now += after
        for event in events:
            self.panel(event)

    def curve(self, lift: float = 0.0) -> Curve:
        betas = [k / 10 for k in range(11)]
        return tuple((b, 0.48 + 0.2 * b**0.5 + lift, 12_000 * 40**b * self.rng.uniform(0.8, 1.2)) for b in betas)

    def baselines(self) -> Night:
        for slot, id_ in enumerate(BASE):
            self.tell(SlotEnded("night-3", 0, slot, id_, "x", "ok", -0.01, 0.004, True, "", self.curve()), after=6)
        self.tell(RoundEnded("night-3", 0, 5, 4, 0.18, BASE[0], 0.0, 0.0, 0.81, ()))
        return self

    def rounds(self) -> Night:
        for k in range(18):
            place = "night-3", 1 + k // 6, k % 6
            self.tell(CallEnded(*place, 0, MODEL, "ok", 21_000, 0.11, 12.0), after=20)
            if k % 9 == 4:
                self.tell(SlotEnded(*place, "", "", "Crashed", None, None, False, "line 3: [x] no\x1b[2J"))
            else:
                confirmed = k % 3 > 0
                points = self.curve(0.04) if confirmed else ()
                self.tell(SlotEnded(*place, f"{k:010x}", IDEA, "ok", 0.02, 0.006, confirmed, "", points))
            if k % 6 == 5:
                figures = 6 + k, 6, 0.2153, "928094d9e5", 0.0186, 0.0081, 0.89
                spent = 21_000 * (k + 1), 0.11 * (k + 1), 0, 100.0 + 40 * k
                self.tell(RoundEnded("night-3", 1 + k // 6, *figures, (("Crashed", 2),), *spent))
        return self

    def working(self) -> Night:
        for slot in range(5):
            self.tell(SlotStarted("night-3", 4, slot, "propose", "", MODEL), after=3)
        self.tell(CallEnded("night-3", 4, 0, 0, MODEL, "ok", 21_000, 0.11, 12.0))
        self.tell(CallEnded("night-3", 4, 1, 0, MODEL, "RateLimit", 0, 0.0, 1.0))
        self.tell(SlotStarted("night-3", 4, 0, "wait", ""), SlotStarted("night-3", 4, 0, "screen", "ffeeddccbb"))
        self.tell(SlotStarted("night-3", 4, 2, "wait", ""), after=7)
        return self

    def screen(self, width: int, height: int) -> list[str]:
        out = Console(file=io.StringIO(), width=width, height=height, record=True, force_terminal=True)
        out.print(self.panel)
        lines = out.export_text().rstrip("\n").split("\n")
        assert len(lines) <= height and max(map(len, lines)) <= width
        assert all(line.isprintable() for line in lines)
        return lines


@pytest.fixture
def night() -> Night:
    return Night().baselines().rounds().working()


def test_eighty_columns_hold_what_matters(night: Night) -> None:
    lines = night.screen(80, 24)
    assert lines[0].startswith("run night-3 ") and " 23/53  0:06:52, " in lines[0] and lines[0].endswith(" left")
    assert lines[1].startswith("best 928094d9e5 +1.86 ± 0.81, front 6 programs, hypervolume 0.2153, saved 89 %")
    assert lines[2] == "rejects: 2 Crashed"
    assert re.fullmatch(r"\d\.\d candidates a minute, \d\.\d cores busy, \d+\.\dK tokens a minute", lines[3])
    assert lines[4] == "$2.09 of $20.00, 399K of 5M tokens, 0:07:52 of 1:00:00"
    text = "\n".join(lines)
    assert "4.0     screened   0:00:07  ffeeddccbb, 1 call, 21K tokens, anthropic/clau" in text
    assert "4.1     asked      0:00:16  1 call, 0 tokens, the last: RateLimit, anthrop" in text
    assert "4.2     waits      0:00:00  anthropic" in text and "and 2 more" in text
    assert "** front" in text and "oo cmc" in text and "xx sc" in text and "tokens a question" in text
    assert lines[-1].startswith("3.5     0000000011  confirmed   +2.00 ± 0.60  Opens a row")
    assert sum(bool(re.match(r"3\.\d  +", line)) for line in lines) == 5


def test_a_whole_screen_is_used(night: Night) -> None:
    lines = night.screen(160, 50)
    assert len(lines) == 50
    assert "23 candidates, front 6 programs" in lines[1]
    assert "$2.09 of $20.00, 399K of 5M tokens" in lines[3]
    beside = [line for line in lines if re.search(r"│ +4\.\d ", line)]
    assert [line.split("│")[-1].split()[0] for line in beside] == [f"4.{slot}" for slot in range(5)]
    assert "waits" in beside[2] and "asked" in beside[3] and "screened" in beside[0]
    rows = [line for line in lines if re.match(r"\d\.\d  +", line)]
    assert len(rows) > 20 and any(line.startswith("2.1 ") and IDEA in line for line in rows)
    assert any("Crashed" in line and "line 3: [x] no\ufffd[2J" in line for line in rows)


@pytest.mark.parametrize("size", [(80, 24), (160, 50), (120, 20), (60, 15), (40, 10), (20, 5), (8, 3), (300, 100)])
def test_any_room_will_do(night: Night, size: tuple[int, int]) -> None:
    assert night.screen(*size)
    assert Night().screen(*size)
    assert Night(limits=()).baselines().screen(*size)


def test_low_and_wide_shows_what_is_under_way_too(night: Night) -> None:
    assert any(line.startswith("4.0     screened ") for line in night.screen(140, 16))


def test_places_do_not_move_while_slots_come_and_go(night: Night) -> None:
    def heads(lines: list[str]) -> list[int]:
        return [n for n, line in enumerate(lines) if line.startswith("slot ") or "tokens a question" in line]

    before = heads(night.screen(80, 24))
    for slot in range(5):
        night.tell(SlotEnded("night-3", 4, slot, f"{slot}", IDEA, "ok", 0.01, 0.01, False, ""))
    assert heads(night.screen(80, 24)) == before and len(before) == 3


def test_what_the_archive_held_counts_for_the_bar_and_not_for_the_rate() -> None:
    night = Night(done=5).baselines()
    assert night.watch.done == 5 and night.watch.per_minute is None
    night.tell(SlotEnded("night-3", 1, 0, "aa", IDEA, "ok", 0.01, 0.01, False, ""), after=30)
    assert night.watch.per_minute == pytest.approx(2.0)
    assert night.watch.left == pytest.approx(47 * 30)
    night.tell(after=3420)
    assert night.watch.left == pytest.approx(60), "the limit of time comes first"


def test_a_limit_on_proposals_is_the_end_of_the_bar() -> None:
    assert Night(limits=(("proposals", 10.0),)).watch.total == 15


def test_the_state_of_a_long_run_does_not_grow() -> None:
    night = Night().baselines()
    for k in range(2000):
        night.tell(SlotStarted("night-3", 1, k, "propose", "", MODEL))
        night.tell(SlotEnded("night-3", 1, k, f"{k}", IDEA, "ok", 0.0, 0.01, True, "", night.curve(-0.1)), after=1)
    assert len(night.watch.recent) == 100 and len(night.watch.front) < 60 and not night.watch.working


def test_the_end_and_a_stop_are_told(night: Night) -> None:
    night.tell(SearchStopping("night-3", 2))
    assert "finishing what was begun (2 slots); Ctrl-C again ends at once" in "\n".join(night.screen(80, 24))
    night.tell(SearchEnded("night-3", False, 1.0, "--max-cost 20: $19.99 is spent"))
    out = Console(file=io.StringIO(), width=100, record=True)
    out.print(night.panel.ending(100))
    text = out.export_text()
    assert "--max-cost 20: $19.99 is spent" in text and "finishing" not in text and " left" not in text
    assert text.count(IDEA[:20]) == 7 and "front 6 programs" in text


def test_a_terminal_that_can_do_nothing_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = Console(file=io.StringIO(), force_terminal=True)
    assert type(make_display(None, out)).__name__ == "PlainDisplay"


def test_what_others_write_to_standard_error_is_shown_and_kept(capfd: pytest.CaptureFixture[str]) -> None:
    out = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    with make_display("rich", out) as shown:
        shown(SearchStarted("run-1", 1, 1, 5, 0, 0, "strict"))
        print("the sandbox started\x1b[2J anew", file=sys.stderr, flush=True)
        for _ in range(50):
            time.sleep(0.1)
            if "started\ufffd[2J anew" in out.file.getvalue():  # type: ignore[attr-defined]
                break
        else:
            pytest.fail("it is not on the screen")
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "the sandbox started\x1b[2J anew\n"
    assert sys.stderr is not None and "anew" not in getattr(sys.stderr, "text", "")


# ---- a real search on a terminal ---------------------------------------------------------------------------------

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


def command(folder: Path) -> list[str]:
    save_environment(small_environment(), folder / "tiny.jsonl")
    return [sys.executable, "-m", "autotts", "search", "--env", "tiny.jsonl", "--rounds", "500", "--betas", "3"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_the_terminal_is_given_back(tmp_path: Path, number: signal.Signals, code: int) -> None:
    own, theirs = pty.openpty()
    process = subprocess.Popen(
        command(tmp_path), cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""

    def read(until: Callable[[], bool]) -> None:
        nonlocal seen
        deadline = time.monotonic() + 60
        while not until() and time.monotonic() < deadline:
            if not select.select([own], [], [], 1.0)[0]:
                continue
            try:
                seen += os.read(own, 1 << 16)
            except OSError:  # the other end is closed
                return

    read(lambda: b"1.0 " in seen)
    process.send_signal(number)
    read(lambda: False)
    os.close(own)
    assert process.wait(timeout=60) == code
    before, _, after = seen.rpartition(LEAVE)
    assert before.count(ENTER) == 1 and LEAVE not in before.split(ENTER)[1]
    assert b"\n" not in before.split(ENTER)[1], "nothing ever scrolls"
    assert b"\x1b[?25h" in after, "the cursor is there again"
    if number == signal.SIGINT:
        assert b"autotts resume run-1" in after and b"interrupted" in after


@pytest.mark.slow
def test_a_search_in_tmux(tmp_path: Path) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux here (Debian: apt-get install tmux)")

    def tmux(*words: str) -> str:
        place = ["tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null"]
        return subprocess.run([*place, *words], capture_output=True, text=True, check=True).stdout

    def shows(text: str) -> str:
        deadline = time.monotonic() + 60
        while text not in (screen := tmux("capture-pane", "-p", "-t", "s")):
            assert time.monotonic() < deadline, screen
            time.sleep(0.2)
        return screen

    words = " ".join(command(tmp_path))
    tmux("new-session", "-d", "-s", "s", "-x", "80", "-y", "24", f"cd {tmp_path}; {words}; exec sh")
    try:
        screen = shows("1.1 ")
        assert "run run-1 " in screen and "candidates a minute" in screen and "oo cmc" in screen
        for width, height in ((160, 50), (60, 15), (90, 30)):
            tmux("resize-window", "-t", "s", "-x", str(width), "-y", str(height))
            time.sleep(1)
            lines = tmux("capture-pane", "-p", "-t", "s").rstrip("\n").split("\n")
            heads = [n for n, line in enumerate(lines) if line.startswith("run run-1 ")]
            assert heads == [0], "\n".join(lines)
        tmux("send-keys", "-t", "s", "C-c")
        shows("autotts resume run-1")
        whole = tmux("capture-pane", "-p", "-t", "s", "-S", "-")
        assert "candidates a minute" not in whole and "** front" not in whole, "nothing of it is left behind"
    finally:
        tmux("kill-server")
