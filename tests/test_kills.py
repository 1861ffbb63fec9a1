"""kill -9 at any moment: nothing is paid twice, and the run ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autotts.agents import MockAgent
from autotts.agents.models import NoTools, Reply, Request
from autotts.archive import Archive
from autotts.replay import save_environment
from tests.scripted import ScriptedModel, calls, fenced, good, model_agent, says, small_search
from tests.servers import Status as StatusStep
from tests.servers import WireServer
from tests.small import small_environment
from tests.wires import Say

APART = {"proposal": ("cost", "usage", "prompt")}
"""What a kill may change: open calls count at their most, and prompts tell of the time that is left."""


def held(path: Path) -> list[Any]:
    """Everything in an archive but its calls and what a kill may change."""
    with Archive(path, create=False) as archive:
        rows = [(table, row) for table, row in archive.dump() if table not in ("call", "run")]
    return [(table, {k: v for k, v in row.items() if k not in APART.get(table, ())}) for table, row in rows]


def answers(path: Path) -> list[Any]:
    """(place, text, tools called) of every answer that was kept."""
    with Archive(path, create=False) as archive:
        kept = [(c.round, c.slot, json.loads(c.reply)) for c in archive.calls("run-1") if c.outcome == "ok"]
    return [(r, s, reply["text"], [(c["name"], c["arguments"]) for c in reply["calls"]]) for r, s, reply in kept]


def number_of(text: str) -> int:
    """The same for the same prompt, whatever figures are in it."""
    return 1 + zlib.crc32(re.sub(r"[\d,.]+", "", text).encode()) % 8


# ---- at every write ------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """As kill -9, but here."""


WRITES = ("add_call", "end_call", "add_proposal", "commit_slot")


@contextmanager
def killing(archive: Archive, at: int, after: bool) -> Iterator[list[int]]:
    """The at-th write of the archive is not done, or is done and is the last one."""
    count = [0]

    def wrapped(write: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            if count[0] > at or (count[0] == at and not after):
                raise Killed
            done = write(*args, **kwargs)
            if count[0] == at:
                raise Killed
            return done

        return call

    for name in (*WRITES, "set_run_state", "add_seconds"):
        write = getattr(archive, name)
        silent = lambda *given, write=write: write(*given) if count[0] < at else 0.0  # noqa: E731
        setattr(archive, name, wrapped(write) if name in WRITES else silent)
    yield count


class Model(ScriptedModel):
    """Answers by what it is asked alone, single prompts and sessions."""

    def ask(self, request: Request, timeout: float) -> Reply:
        self.asked.append(request)
        if request.tools and not self.tools:
            raise NoTools("no tools here")
        turns, n = len(request.turns), number_of(request.turns[0].text)
        if not request.tools:
            return says("no program") if turns == 1 else says(fenced(good(n)))
        if turns == 1:
            return calls(("history", {}), ("credit", {"program": "cmc"}))
        return calls(("evaluate_draft", {"source": good(n)})) if turns == 2 else calls(("submit", {"draft": "draft-1"}))


def agents() -> tuple[list[Any], list[Model]]:
    made, models = [], []
    for name, tools in (("one", True), ("two", False)):
        agent, _ = model_agent([], tools=True, name=f"vllm/{name}")
        agent._model = model = Model([], tools, f"vllm/{name}")
        made.append(agent)
        models.append(model)
    return [*made, MockAgent([good(9), "nothing"])], models


POINTS = [(at, after) for at in range(1, 19) for after in (False, True)]
SOME = {(1, True), (2, False), (2, True), (7, True), (8, False), (10, True)}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An archive with its baselines, and the one that it becomes without interruptions."""
    folder = tmp_path_factory.mktemp("whole")
    made, _ = agents()
    with small_search(folder / "start.db", made, rounds=1, proposals_per_round=3) as search:
        search.begin()
        while search.place is not None and search.place[0] == 0:
            search.step()
    shutil.copy(folder / "start.db", folder / "whole.db")
    made, _ = agents()
    whole = small_search(folder / "whole.db", made, rounds=1, proposals_per_round=3)
    with whole as search, killing(search.archive, 10**6, False) as count:
        search.go()
    assert count[0] == POINTS[-1][0], "every write is a point"
    return folder / "start.db", folder / "whole.db"


@pytest.mark.parametrize(
    ("at", "after"), [pytest.param(*point, marks=() if point in SOME else pytest.mark.slow) for point in POINTS]
)
def test_killed_at_any_write_a_run_ends_as_if_nothing_had_happened(
    tmp_path: Path, begun: tuple[Path, Path], at: int, after: bool
) -> None:
    start, whole = begun
    path = tmp_path / "a.db"
    shutil.copy(start, path)
    made, models = agents()
    killed = small_search(path, made, rounds=1, proposals_per_round=3)
    with killed as search, killing(search.archive, at, after), pytest.raises(Killed):
        search.go()
    asked = sum(len(model.asked) for model in models)
    with Archive(path, create=False) as archive:
        spent, begun_calls = archive.spent("run-1"), len(archive.calls("run-1"))
    assert begun_calls >= asked, "no request without its row"
    made, models = agents()
    with small_search(path, made, rounds=1, proposals_per_round=3) as search:
        search.go()
        again = search.archive.spent("run-1")
    assert held(path) == held(whole) and answers(path) == answers(whole)
    assert again[0] >= spent[0] and again[1] >= spent[1]
    with Archive(whole, create=False) as archive:
        everything = len(archive.calls("run-1"))
    # An answer that had come and was not written down yet is asked for again, and counts twice: no other is.
    assert everything <= asked + sum(len(model.asked) for model in models) <= everything + 1


# ---- by the clock --------------------------------------------------------------------------------------------------


class Server:
    """Answers by the request alone; counts what it was asked for, and what that cost."""

    def __init__(self, tools: bool) -> None:
        self.tools = tools

    def __call__(self, body: dict[str, Any]) -> Say | StatusStep:
        if body.get("tools") and not self.tools:
            return StatusStep(400, "this model does not support tools")
        messages = [m for m in body["messages"] if m["role"] != "system"]
        turns, n = (len(messages) + 1) // 2, number_of(json.dumps(messages[0]["content"]))
        if not body.get("tools"):
            return Say(fenced(good(n)))
        if turns == 1:
            return Say(calls=[("history", {}), ("credit", {"program": "cmc"})])
        return Say(calls=[("evaluate_draft", {"source": good(n)}) if turns == 2 else ("submit", {"draft": "draft-1"})])


SHAPE = ["--rounds", "2", "--proposals-per-round", "3", "--seeds", "1", "--betas", "2", "--display", "none"]


def run(world: Path, *words: str, seconds: float | None = None) -> int | None:
    """The exit code; None where it was killed after so many seconds."""
    process = subprocess.Popen([sys.executable, "-m", "autotts", *words], cwd=world, start_new_session=True)
    try:
        return process.wait(120 if seconds is None else seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 20))])
def test_killed_again_and_again_by_the_clock(tmp_path: Path, seed: int) -> None:
    rng, served = random.Random(seed), []
    with WireServer("anthropic", delay=0.1) as one, WireServer("chat", delay=0.1) as two:
        one.script([], always=Server(True))
        two.script([], always=Server(False))
        named = ["--agent", f"anthropic/a@{one.url}", "--agent", f"vllm/b@{two.url}", "--agent", "evolution"]
        search = ["search", "--run", "run-1", "--env", "tiny.jsonl", *named, *SHAPE]
        for world in (tmp_path / "whole", tmp_path / "killed"):
            world.mkdir()
            save_environment(small_environment(), world / "tiny.jsonl")
            before = len(one.requests) + len(two.requests)
            if world.name == "whole":
                began = time.monotonic()
                assert run(world, *search) == 0
                took = time.monotonic() - began
            kills, spent = 0, 0
            while world.name == "killed":
                code = run(world, *search, seconds=rng.uniform(0.3, 1.0) * took if kills < 5 else None)
                kills += code is None
                if (world / "autotts.db").exists():
                    with Archive(world / "autotts.db") as archive:
                        now = archive.spent("run-1")[0] if archive.runs() else 0
                    assert now >= spent, "what is spent stays spent"
                    spent = now
                if code is not None:
                    assert code == 0
                    break
            served.append(len(one.requests) + len(two.requests) - before)
    whole, killed = tmp_path / "whole" / "autotts.db", tmp_path / "killed" / "autotts.db"
    strip = str(tmp_path / "killed"), str(tmp_path / "whole")
    assert json.dumps(held(killed), default=str).replace(*strip) == json.dumps(held(whole), default=str)
    assert answers(killed) == answers(whole)
    with Archive(killed, create=False) as archive:
        rows = archive.calls("run-1")
    unanswered = sum(c.outcome == "" for c in rows)
    assert unanswered <= kills and served[0] <= served[1] <= len(rows)
