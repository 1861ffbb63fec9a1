"""One stream of events, several listeners: none of them stops a search, and `--log` keeps every event."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import autotts
from autotts.agents import MockAgent
from autotts.replay import save_environment
from autotts.search import (
    Budget,
    Event,
    Listeners,
    RoundEnded,
    SearchEnded,
    SearchStarted,
    SlotEnded,
    SlotStarted,
    as_json,
)
from autotts.ui.log import SCHEMA, EventLog, make_log
from tests.scripted import good, small_search
from tests.small import small_environment

END = SearchEnded("run-1", True, 1.5)


def rows(path: Path) -> list[dict[str, Any]]:
    """Every line of a log, but for the first, which is checked."""
    text = path.read_text()
    assert text.endswith("\n")
    first, *rest = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert first["event"] == "log_started" and first["schema"] == SCHEMA
    return rest


def bare(row: dict[str, Any]) -> dict[str, Any]:
    """A line without its time."""
    assert len(row["time"]) == len("2026-01-01T00:00:00.000+00:00")
    return {key: value for key, value in row.items() if key != "time"}


def log_of(path: Path, notice: list[str]) -> EventLog:
    return EventLog(str(path), notice.append)


def test_the_log_of_a_search_holds_every_event_as_it_was(tmp_path: Path) -> None:
    heard: list[Event] = []
    said: list[str] = []
    with small_search(tmp_path / "a.db", [MockAgent([good(2)])]) as search, log_of(tmp_path / "run.jsonl", said) as log:
        search.listen = Listeners(heard.append, log)
        search.go()
    assert [bare(row) for row in rows(tmp_path / "run.jsonl")] == [as_json(event) for event in heard]
    assert {type(event) for event in heard} >= {SearchStarted, RoundEnded, SearchEnded}
    assert said == []


def test_events_have_what_a_display_draws(tmp_path: Path) -> None:
    heard: list[Event] = []
    budget = Budget(time=500.0, proposals=9)
    with small_search(tmp_path / "a.db", [MockAgent([good(2)])], budget=budget) as search:
        search.listen = heard.append
        search.go()
        ended = [event for event in heard if isinstance(event, SlotEnded)]
        for event, candidate in zip(ended, search.candidates, strict=True):
            assert event.points == candidate.points and bool(event.points) == event.confirmed
    (started,) = (event for event in heard if isinstance(event, SearchStarted))
    assert started.limits == (("time", 500.0), ("proposals", 9)) and started.seconds >= 0
    stages = [(e.stage, e.agent) for e in heard if isinstance(e, SlotStarted) and e.round == 1]
    assert stages[:3] == [("propose", search.agents[0].name), ("wait", ""), ("screen", "")]
    assert [event.cpu_seconds for event in heard if isinstance(event, RoundEnded)][-1] > 0


def test_a_listener_that_fails_is_reported_once_and_stops_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    heard: list[Event] = []

    def broken(event: Event) -> None:
        heard.append(event)
        raise ValueError("no\nsuch colour")

    after: list[Event] = []
    with small_search(tmp_path / "a.db", [MockAgent([good(2)])]) as search:
        listeners = Listeners(broken, notice=told.append)
        listeners.add(after.append)
        search.listen = listeners
        search.go()
        assert search.candidates[-1].outcome == "ok"
    assert heard == after and len(heard) > 10
    (text,) = told
    assert "broken failed on SearchStarted with ValueError: no such colour (test_events.py, line " in text
    assert "\n" not in text


def test_what_cannot_be_told_stops_nothing_either() -> None:
    heard: list[Any] = []

    def broken(told: Any) -> None:
        heard.append(told)
        raise OSError("gone")

    listeners = Listeners(broken, heard.append, notice=broken)
    listeners(END)
    assert heard[0] == heard[2] == END and "broken failed on SearchEnded with OSError: gone" in heard[1]
    listeners(END)
    assert heard[3:] == [END, END], "told of it once"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_process_passes_through(kind: type[BaseException]) -> None:
    def ending(_: Event) -> None:
        raise kind

    with pytest.raises(kind):
        Listeners(ending)(END)


def test_several_failing_listeners_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    def one(_: Event) -> None:
        raise ValueError

    def two(_: Event) -> None:
        raise KeyError("x")

    listeners = Listeners(one, two, one)
    for _ in range(3):
        listeners(END)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" failed")[0].rpartition(".")[2] for line in lines] == ["one", "two", "one"]


def test_json_of_an_event_has_its_fields_and_no_nan() -> None:
    event = RoundEnded("r", 1, 2, 3, float("nan"), "x", float("inf"), None, -0.5, (("Crashed", 2),))
    row = as_json(event)
    assert row["event"] == "round_ended"
    assert [*row] == ["event", *(field.name for field in fields(event))]
    assert row["hypervolume"] is None and row["best_gain"] is None and row["saved"] == -0.5
    assert row["rejects"] == [["Crashed", 2]]
    assert json.loads(json.dumps(row, allow_nan=False)) == row


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_half_a_last_line_is_taken_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "run.jsonl"
    said: list[str] = []
    for _ in range(2):
        with log_of(path, said) as log:
            log(END)
    path.write_bytes(path.read_bytes()[:-cut])
    with log_of(path, said) as log:
        log(END)
    assert [bare(row) for row in rows(path)] == [as_json(END)] * 2
    path.write_bytes(path.read_bytes()[:20])
    with log_of(path, said) as log:
        log(END)
    assert [bare(row) for row in rows(path)] == [as_json(END)]
    assert said == []


@pytest.mark.parametrize(
    "text", ["notes\n", "notes", '{"event": "log_started", "schema": 99}\n', "[1]\n", "\n", "\0\n"]
)
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes"
    path.write_text(text)
    said: list[str] = []
    with log_of(path, said) as log:
        log(END)
    assert path.read_text() == text
    assert len(said) == 1 and "the search goes on without a log" in said[0]


def test_a_log_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    said: list[str] = []
    for path in (tmp_path, tmp_path / "no" / "folder", Path("/dev/full")):
        with log_of(path, said) as log:
            log(END)
            log(END)
    assert len(said) == 3
    assert "Is a directory" in said[0] and "No such file" in said[1] and "No space left" in said[2]


def test_no_log_is_a_listener_too() -> None:
    with make_log(None) as log:
        log(END)


def test_the_surface_has_what_a_listener_needs() -> None:
    assert autotts.Listeners is Listeners and autotts.Event is Event


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "autotts", *words, "--display", "none", "--log", "run.jsonl"]


def small(tmp_path: Path, *more: str) -> list[str]:
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    return command("search", "--env", "tiny.jsonl", "--betas", "3", "--seeds", "1", *more)


def test_a_directory_as_the_log_does_not_stop_a_search(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").mkdir()
    words = small(tmp_path, "--rounds", "0")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0
    assert done.stderr.count("--log run.jsonl: Is a directory") == 1


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_the_log_of_a_killed_and_resumed_search_is_whole_line_by_line(tmp_path: Path, seed: int) -> None:
    with subprocess.Popen(small(tmp_path, "--rounds", "200"), cwd=tmp_path, start_new_session=True) as process:
        log = tmp_path / "run.jsonl"
        while not log.exists() or log.read_bytes().count(b"\n") < 12:
            time.sleep(0.02)
            assert process.poll() is None
        time.sleep(random.Random(seed).uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
    before = log.read_bytes()
    again = command("resume", "run-1", "--max-time", "0.01")
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 3, done.stderr
    assert log.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    found = rows(log)
    assert [row["event"] for row in found].count("search_started") == 2
    assert found[-1]["event"] == "search_ended" and found[-1]["reason"].startswith("--max-time")
