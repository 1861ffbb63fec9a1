"""The main job, through the command line: searches on small worlds, killed, resumed, attacked."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotts.agents import Context, Proposal, make_agent
from autotts.archive import Archive
from autotts.archive.selection import ParetoSelector
from autotts.evaluation import EnvironmentResult, Evaluator
from autotts.replay import save_environment
from autotts.search import Config, Event, RoundEnded, Search, SlotEnded, Standing, default_selector, start_run
from tests.small import small_environment

AUTOTTS = [sys.executable, "-m", "autotts"]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    for seed, model in enumerate(("tiny-a", "tiny-b")):
        save_environment(small_environment(model, seed=seed), tmp_path / f"{model}.jsonl")
    return tmp_path


def autotts(*args: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([*AUTOTTS, *args], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def search_args(*more: str) -> list[str]:
    return ["search", "--env", "tiny-*.jsonl", "--rounds", "2", "--proposals-per-round", "2", "--seeds", "3", *more]


def listed(cwd: Path, archive: str) -> Any:
    return json.loads(autotts("list", "--archive", archive, "--json", cwd=cwd))


def test_the_same_seed_gives_the_same_archive_with_one_worker_and_with_two(world: Path) -> None:
    autotts(*search_args("--workers", "1", "--archive", "one.db", "--seed", "5"), cwd=world)
    autotts(*search_args("--workers", "2", "--archive", "two.db", "--seed", "5"), cwd=world)
    rows = listed(world, "one.db")
    assert rows == listed(world, "two.db")
    assert [(r["round"], r["slot"]) for r in rows] == [(0, k) for k in range(5)] + [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert {r["agent"] for r in rows if r["round"]} == {"evolution"}
    fronts = [json.loads(autotts("front", "--archive", a, "--json", cwd=world)) for a in ("one.db", "two.db")]
    assert fronts[0] == fronts[1] != []
    tokens = [point["tokens"] for point in fronts[0]]
    assert tokens == sorted(tokens)


def test_a_search_that_is_told_to_stop_settles_what_it_began(tmp_path: Path) -> None:
    with Archive(str(tmp_path / "a.db")) as archive:
        config = Config(rounds=1, betas=2, seeds=1, screen_seeds=1)
        run = start_run(archive, None, config, [small_environment()])
        with Evaluator([small_environment()], 1) as evaluator:
            selector = default_selector([small_environment()])
            job = Search(archive, run, config, [small_environment()], [make_agent("evolution")], selector, evaluator)
            job.listen = lambda event: job.stop() if isinstance(event, SlotEnded) and event.slot == 1 else None
            with pytest.raises(KeyboardInterrupt):
                job.go()
            assert job.place is not None and job.place[0] == 0
        found = list(archive.proposals(run))
        assert 2 <= len(found) < 5 and all(p.verdict is not None for p in found[:2])
        assert archive.run(run).state == "interrupted"


def test_killed_and_resumed_equals_uninterrupted(world: Path) -> None:
    autotts(*search_args("--archive", "whole.db", "--seed", "9"), cwd=world)
    process = subprocess.Popen(
        [*AUTOTTS, *search_args("--archive", "killed.db", "--seed", "9")],
        cwd=world,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if (world / "killed.db").exists() and process.poll() is None:
            try:
                if len(listed(world, "killed.db")) >= 3:
                    break
            except AssertionError:
                continue  # the archive is being made at this moment
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = listed(world, "killed.db")
    autotts("resume", "run-1", "--archive", "killed.db", cwd=world)
    assert 0 < len(before) <= 9
    assert listed(world, "killed.db") == listed(world, "whole.db")


def test_export_is_the_program_and_evaluates(world: Path) -> None:
    autotts(*search_args("--archive", "a.db"), cwd=world)
    best = json.loads(autotts("front", "--archive", "a.db", "--json", cwd=world))[-1]["id"]
    autotts("export", best, "-o", "controller.py", "--archive", "a.db", cwd=world)
    shown = json.loads(autotts("show", best, "--archive", "a.db", "--json", cwd=world))
    assert (world / "controller.py").read_text().endswith(f"\n\n{shown['source']}")
    args = ("evaluate", "controller.py", "--env", "tiny-a.jsonl", "--betas", "0,1.0", "--seeds", "4", "--json")
    rows = json.loads(autotts(*args, cwd=world))
    assert [row["beta"] for row in rows] == [0.0, 1.0]
    assert {row["source_hash"] for row in rows} == {shown["hash"]}
    by_id = json.loads(autotts("evaluate", best, *args[2:], "--archive", "a.db", cwd=world))
    keep = ("accuracy", "tokens", "sequential_tokens", "branches")
    assert [[r[k] for k in keep] for r in by_id] == [[r[k] for k in keep] for r in rows]


def test_score_counts_its_looks_and_refuses_what_was_searched(world: Path) -> None:
    autotts(*search_args("--rounds", "0", "--archive", "a.db"), cwd=world)
    save_environment(small_environment("held", seed=7), world / "held.jsonl")
    args = ("score", "cmc", "--heldout", "held.jsonl", "--betas", "2", "--seeds", "2", "--archive", "a.db")
    assert "scored 1 time in" in autotts(*args, cwd=world)
    assert {row["looks"] for row in json.loads(autotts(*args, "--json", cwd=world))} == {2}
    error = autotts("score", "cmc", "--heldout", "tiny-a.jsonl", "--archive", "a.db", cwd=world, code=2)
    assert "not held out" in error


HEALTHY = '''"""Reads two branches."""


def schedule(beta):
    return {"n": 2 + round(4 * beta)}


def solve(episode, knobs):
    wave = episode.branches(knobs["n"])
    episode.finish([i for i in wave if not episode.is_finished(i)])
    answers = episode.probe(wave)
    return max(answers, key=answers.count)
'''

HOSTILE = {
    "def schedule(beta):\n    return {}\ndef solve(episode, knobs):\n    while True:\n        pass\n": "CpuLimit",
    "def schedule(beta):\n    return {}\ndef solve(episode, knobs):\n    return str(9**9**9)\n": "CpuLimit",
    "def schedule(beta):\n    return {}\ndef solve(episode, knobs):\n    x = []\n    while True:\n        "
    "x.append([0] * 1000000)\n": "MemoryLimit",
    "import sys\ndef schedule(beta):\n    return {}\ndef solve(episode, knobs):\n    sys.exit()\n": "PolicyViolation",
    "def schedule(beta):\n    return {}\ndef solve(episode, knobs):\n    return solve(episode, knobs)\n": "Crashed",
    "def schedule(beta):\n    return {'a': (beta - 0.5) ** 2}\ndef solve(episode, knobs):\n    return None\n": (
        "InvalidSchedule"
    ),
    "def schedule(beta):\n    return {}\ndef solve(episode, knobs):\n    episode.advance(3)\n": "InadmissibleAction",
    "def schedule(beta):\n    return {}\ndef solve(episode, knobs):\n    return 'a7'\n": "InadmissibleAction",
    # Would go by a branch that was not paid for.
    "def schedule(beta):\n    return {}\ndef solve(episode, knobs):\n    i = episode.branch()\n"
    "    rows = getattr(episode._source, '_totals', [0])\n    if rows[0] % 2:\n        episode.branch()\n"
    "    return episode.probe(i)\n": "PolicyViolation",
}


class Scripted:
    """Proposes what it was given."""

    name = "scripted"

    def __init__(self, sources: list[str]) -> None:
        self.sources = sources

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        assert all(candidate.round < context.round for candidate in context.candidates)
        return Proposal(self.sources[context.slot], (), "")


def test_hostile_programs_end_typed_and_leave_the_search_running(tmp_path: Path) -> None:
    environments = [small_environment()]
    sources = [*HOSTILE, HEALTHY, HEALTHY]
    config = Config(rounds=1, proposals_per_round=len(sources), seeds=2, screen_seeds=1, betas=3)
    events: list[Event] = []
    with Archive(str(tmp_path / "a.db")) as archive, Evaluator(environments, workers=2) as evaluator:
        name = start_run(archive, None, config, environments)
        search = Search(archive, name, config, environments, [Scripted(sources)], ParetoSelector(), evaluator)
        search.listen = events.append
        search.go()
        outcomes = [p.verdict.outcome for p in archive.proposals(name) if p.round == 1 and p.verdict]
    assert outcomes == [*HOSTILE.values(), "ok", "Duplicate"]
    assert sum(isinstance(event, SlotEnded) for event in events) == 5 + len(sources)
    last = [event for event in events if isinstance(event, RoundEnded)][-1]
    assert dict(last.rejects)["CpuLimit"] == 2


def test_a_run_that_is_gone_on_with_has_the_limits_that_are_given_now(world: Path) -> None:
    for limit in ("1", "2"):
        command = search_args("--run", "mine", "--max-proposals", limit, "--display", "none")
        assert f"--max-proposals {limit}:" in autotts(*command, cwd=world, code=3)
    assert [row["round"] for row in listed(world, "autotts.db")] == [0] * 5 + [1] * 2


def test_two_processes_are_not_at_one_run(world: Path) -> None:
    command = search_args("--run", "mine", "--rounds", "40", "--display", "plain")
    with subprocess.Popen([*AUTOTTS, *command], cwd=world, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert any("1.0" in line for line in first.stdout)
        with Archive(world / "autotts.db", create=False) as archive:
            assert archive.run("mine").state == "running"
        assert "another process is at this run" in autotts("resume", "mine", cwd=world, code=2)
        first.send_signal(signal.SIGINT)
        first.communicate()
    command = search_args("--run", "mine", "--rounds", "40", "--max-time", "0", "--display", "none")
    assert "--max-time 0" in autotts(*command, cwd=world, code=3)


def test_bad_input_is_one_sentence_and_exit_code_two(world: Path) -> None:
    for args, words in (
        (["evaluate", "nothing.py"], "no such program"),
        (["evaluate", "cmc", "--env", "nowhere.json"], "nowhere.json"),
        (["evaluate", "cmc", "--betas", "1"], "starts at 2"),
        (["evaluate", "cmc", "--set", "x"], "knob=value"),
        (["search", "--agent", "nobody", "--env", "tiny-a.jsonl"], "no such agent"),
        (["resume", "run-7", "--archive", "none.db"], "none.db"),
        (["search", "--env", "tiny-a.jsonl", "--seeds", "1", "--screen-seeds", "2"], "--screen-seeds"),
    ):
        error = autotts(*args, cwd=world, code=2)
        assert words in error
        assert "Traceback" not in error


def test_a_program_that_a_person_added_follows_the_baselines(world: Path) -> None:
    (world / "mine.py").write_text(HEALTHY)
    added = json.loads(autotts("add", "mine.py", "--archive", "a.db", "--json", cwd=world))
    autotts(*search_args("--rounds", "1", "--archive", "a.db", "--run", "r"), cwd=world)
    rows = [row for row in listed(world, "a.db") if row["round"] is not None]
    assert [(r["round"], r["slot"]) for r in rows] == [(0, k) for k in range(6)] + [(1, 0), (1, 1)]
    assert (rows[5]["hash"], rows[5]["agent"], rows[5]["outcome"]) == (added["hash"], "person", "ok")
    assert rows[5]["gain"] is not None
    # What is added later is for later runs; this one stays what it was.
    (world / "other.py").write_text(HEALTHY.replace("two", "three").replace("2 +", "3 +"))
    autotts("add", "other.py", "--archive", "a.db", cwd=world)
    autotts(*search_args("--rounds", "1", "--archive", "a.db", "--run", "r"), cwd=world)
    assert [row for row in listed(world, "a.db") if row["round"] is not None] == rows


def test_the_gate_holds_the_front_of_the_confirmed_programs() -> None:
    environment = small_environment()
    standing = Standing([environment], (0.0, 1.0), (0.0, 1.0))

    def curve(accuracy: tuple[int, int], tokens: tuple[int, int]) -> EnvironmentResult:
        right, spent = (np.tile(np.array([values]).T, (1, 6)) for values in (accuracy, tokens))
        return EnvironmentResult(right, spent, spent, spent, np.zeros((2, 1), np.uint64), ({}, {}), 1)

    held = curve((0, 1), (100, 200))
    standing.take("held", "cmc", (0.0, 0.0), [held], [held])
    assert list(standing.gate.edge) == standing.front()
    assert standing.gate.look(standing.points("new", [curve((1, 1), (50, 60))], screened=True), 1).passes
