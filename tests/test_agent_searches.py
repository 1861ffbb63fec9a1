"""Whole searches through the command line, with the real SDKs against servers that speak the real wire formats."""

from __future__ import annotations

import json
import os
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
from tests.scripted import fenced, good
from tests.servers import Drip, Drop, Garbage, Hang, Status, WireServer
from tests.small import small_environment
from tests.wires import Say

AUTOTTS = [sys.executable, "-m", "autotts"]
KEY = "sk-very-secret-0123456789"
FORMATS = ("anthropic", "responses", "chat")
SHAPE = ["--rounds", "2", "--proposals-per-round", "2", "--seeds", "2", "--screen-seeds", "1", "--betas", "2"]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    return tmp_path


@pytest.fixture(params=FORMATS)
def server(request: pytest.FixtureRequest) -> Iterator[WireServer]:
    with WireServer(request.param) as made:
        yield made


def command(server: WireServer, *more: str) -> list[str]:
    agent = f"{server.provider}/scripted"
    return ["search", "--env", "tiny.jsonl", "--agent", agent, "--base-url", server.url, "--askers", "1", *SHAPE, *more]


def autotts(*args: str, cwd: Path, code: int = 0, **env: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    done = subprocess.run([*AUTOTTS, *args], cwd=cwd, capture_output=True, text=True, timeout=300, env={**kept, **env})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def outcomes(world: Path, run: str = "run-1") -> list[str | None]:
    with Archive(world / "autotts.db", create=False) as archive:
        return [row.outcome for row in archive.listing(run) if row.round]


class Single:
    """A capable model behind a server: each time another program, in a code block."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, body: dict[str, Any]) -> Say:
        self.n += 1
        return Say(fenced(good(self.n)))


class Session(Single):
    """The same with tools: it looks, measures, and submits its draft."""

    def __call__(self, body: dict[str, Any]) -> Say:
        said = json.dumps(body)
        if "measurements left" in said:
            return Say("Submitting.", calls=[("submit", {"draft": "draft-1"})])
        if "what became of it" in said:
            self.n += 1
            return Say(calls=[("evaluate_draft", {"source": good(self.n)})])
        return Say("Looking.", calls=[("history", {}), ("credit", {"program": "cmc"})])


@pytest.mark.sample(2)
@pytest.mark.parametrize("mode", ["single", "session"])
def test_an_endpoint_with_a_capable_model_drives_a_whole_search(world: Path, server: WireServer, mode: str) -> None:
    server.script([], always=Single() if mode == "single" else Session())
    more = ["--mode", "single"] if mode == "single" else []
    told = autotts(*command(server, *more), cwd=world)
    assert not server.complaints and outcomes(world) == ["ok"] * 4
    assert f"{server.provider}/scripted" in told
    assert len(server.requests) == (4 if mode == "single" else 12)
    with Archive(world / "autotts.db", create=False) as archive:
        made = [p for p in archive.proposals("run-1") if p.round]
        assert all(p.usage["output"] > 0 and p.cost is None for p in made)
        assert archive.spent("run-1")[0] == sum(sum(p.usage.values()) for p in made) > 0
    autotts("search", "--env", "tiny.jsonl", "--agent", "replay/run-1", *SHAPE, cwd=world)
    rows = json.loads(autotts("list", "--json", cwd=world))
    kept = [[{**r, "run": "", "agent": ""} for r in rows if r["run"] == run] for run in ("run-1", "run-2")]
    assert kept[0] == kept[1] and len(kept[0]) == 9
    fronts = [autotts("front", "--run", run, "--json", cwd=world) for run in ("run-1", "run-2")]
    assert fronts[0] == fronts[1]
    shown = autotts("inspect", "conversation", "1.0", "--run", "run-1", cwd=world)
    assert "The reference to beat" in shown and ("evaluate_draft(" in shown) == (mode == "session")


WIRE_CASES: list[tuple[list[Any], list[str]]] = [
    ([Status(429, retry_after="0.3")], ["ok", "ok"]),
    ([Status(529), Status(500), Status(503)], ["ok", "ok"]),
    ([Drop(), Drop(40), Garbage()], ["ok", "ok"]),
    ([Say(fenced(good(9))[:60], stop="length"), Say("…", stop="length")], ["Truncated", "ok"]),
    ([Say("No.", stop="refusal")], ["Refused", "ok"]),
    ([Say("words"), Say("words")], ["MalformedAnswer", "ok"]),
    ([Hang()], ["AgentUnavailable", "ok"]),
    ([Drip()], ["AgentUnavailable", "ok"]),
    ([Status(429, retry_after="9999")], ["AgentUnavailable", "ok"]),
]


@pytest.mark.parametrize(
    ("case", "wire"),
    [
        pytest.param(case, wire, marks=() if case % 3 == n else pytest.mark.slow)
        for case in range(len(WIRE_CASES))
        for n, wire in enumerate(FORMATS)
    ],
)
def test_whatever_a_server_does_ends_in_its_outcome_and_the_search_goes_on(world: Path, case: int, wire: str) -> None:
    steps, expected = WIRE_CASES[case]
    with WireServer(wire) as server:
        server.script(steps, always=Single())
        began = time.monotonic()
        more = ["--mode", "single", "--rounds", "1", "--proposal-seconds", "6"]
        autotts(*command(server, *more), cwd=world)
        assert time.monotonic() - began < 60
        assert outcomes(world) == expected and not server.complaints and not server.left


def test_keys_are_in_no_file_and_on_no_screen(world: Path) -> None:
    with WireServer("anthropic") as server:
        server.script([Status(500, message=f"bad key {KEY}"), Status(401, message=f"who is {KEY}?")], always=Single())
        told = autotts(*command(server, "--mode", "single"), cwd=world, code=2, ANTHROPIC_API_KEY=KEY)
        assert server.keys[0] == KEY
        assert "ANTHROPIC_API_KEY" in told
        told += autotts("resume", "run-1", cwd=world, ANTHROPIC_API_KEY=KEY)
        told += autotts("inspect", "conversation", "1.0", "--json", cwd=world)
    assert outcomes(world) == ["ok"] * 4
    assert KEY not in told
    for path in world.iterdir():
        assert KEY.encode() not in path.read_bytes(), path


def test_a_missing_key_says_which_and_how(world: Path) -> None:
    for agent, variable in (("anthropic/x", "ANTHROPIC_API_KEY"), ("openai/x", "OPENAI_API_KEY")):
        told = autotts("search", "--env", "tiny.jsonl", "--agent", agent, cwd=world, code=2)
        assert variable in told and not (world / "autotts.db").exists()


def test_killed_in_the_middle_of_a_call_nothing_is_asked_or_paid_twice(world: Path) -> None:
    """kill -9 while the third call of a session is under way; then the run goes on with what it had."""
    with WireServer("anthropic", delay=0.2) as server:
        session, hang = Session(), Hang()
        server.script([session, session, hang])
        arguments = [*AUTOTTS, *command(server, "--display", "none")]
        process = subprocess.Popen(arguments, cwd=world, start_new_session=True)
        deadline = time.monotonic() + 120
        while len(server.requests) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        asked = len(server.requests)
        assert asked == 3
        with Archive(world / "autotts.db", create=False) as archive:
            assert [c.outcome for c in archive.calls("run-1")] == ["ok", "ok", ""]
        server.script([], always=session)
        autotts("resume", "run-1", "--display", "none", "--askers", "1", cwd=world)
        assert len(server.requests) == asked + 1 + 3 * 3, "one answer was missing of the first session"
    assert outcomes(world) == ["ok"] * 4


def test_a_ceiling_of_dollars_is_kept(world: Path) -> None:
    with WireServer("chat") as server:
        server.script([], always=Single())
        priced = {"vllm/scripted": {"input": 100, "output": 100}}
        (world / "prices.json").write_text(json.dumps(priced))
        told = autotts(*command(server, "--mode", "single", "--max-cost", "1"), cwd=world, code=2)
        assert "the price of vllm/scripted is unknown" in told and not (world / "autotts.db").exists()
        more = ["--mode", "single", "--prices", "prices.json", "--answer-tokens", "1000"]
        told = autotts(*command(server, *more, "--max-cost", "0.5"), cwd=world, code=3)
        assert "--max-cost 0.5" in told and "autotts resume run-1" in told and server.requests == []
        told = autotts("resume", "run-1", "--max-cost", "1000", cwd=world)
        assert outcomes(world) == ["ok"] * 4
        by_agent = json.loads(autotts("cost", "--json", cwd=world))[0]
        assert by_agent["cost"] > 0 and by_agent["proposals"] == 4 and by_agent["calls"] == 4
        for by in ("round", "program"):
            rows = json.loads(autotts("cost", "--by", by, "--json", cwd=world))
            assert sum(row["cost"] for row in rows) == pytest.approx(by_agent["cost"])


def test_a_search_in_which_no_model_gave_a_program_fails_and_says_why(world: Path) -> None:
    with WireServer("chat") as server:
        server.script([], always=Status(503, message="loading the model"))
        more = ["--rounds", "1", "--proposals-per-round", "1", "--proposal-seconds", "2", "--display", "plain"]
        told = autotts(*command(server, *more), cwd=world, code=1)
        assert "loading the model" in told.split("AgentUnavailable")[0], "the display says why it waits"
        assert "no agent gave a program in 1 proposals; the last: AgentUnavailable" in told
        rejected = json.loads(autotts("list", "--json", cwd=world))[-1]
        assert "loading the model" in rejected["message"] and rejected["outcome"] == "AgentUnavailable"


def test_a_server_that_moved_is_found_at_its_new_place(world: Path) -> None:
    with WireServer("chat") as old, WireServer("chat") as new:
        old.script([Say(fenced(good(1)))], always=Status(401))
        new.script([], always=Single())
        told = autotts(*command(old, "--mode", "single"), cwd=world, code=2)
        assert "autotts resume run-1" in told
        autotts("resume", "run-1", "--base-url", new.url, cwd=world)
        assert len(new.requests) == 3
    assert outcomes(world) == ["ok", "Duplicate", "ok", "ok"]


def test_a_dry_run_says_what_a_run_may_take_and_asks_nobody(world: Path) -> None:
    with WireServer("anthropic") as server:
        agent = "anthropic/claude-sonnet-4-5"
        args = ["search", "--agent", agent, "--agent", "evolution", "--base-url", server.url, *SHAPE, "--dry-run"]
        plan = json.loads(autotts(*args, "--max-proposals", "3", "--json", cwd=world))
        assert server.requests == [] and not (world / "autotts.db").exists()
        told = autotts(*args, cwd=world)
    assert [(row["agent"], row["proposals"]) for row in plan["agents"]] == [(agent, 2), ("evolution", 1)]
    assert plan["agents"][0]["calls"] == 60 and plan["all"]["dollars"] > 0 and plan["asking_seconds"] == 1800
    assert "all agents: 4 proposals" in told


def test_several_models_share_a_search(world: Path) -> None:
    with WireServer("anthropic") as one, WireServer("chat") as other:
        one.script([], always=Session())
        single = Single()
        single.n = 10
        other.script([], always=single)
        agents = ["--agent", f"anthropic/one@{one.url}", "--agent", f"vllm/other@{other.url}", "--agent", "evolution"]
        autotts("search", "--env", "tiny.jsonl", *agents, *SHAPE, "--proposals-per-round", "3", cwd=world)
        told = json.loads(autotts("cost", "--json", cwd=world))
    assert [row["proposals"] for row in told] == [2, 2, 2]
    assert [row["name"].partition("@")[0] for row in told] == ["anthropic/one", "vllm/other", "evolution"]
