"""The command line on small worlds: options, JSON, and errors that say what to do."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from autotts.archive import Archive
from autotts.cli import _COMMANDS, _run, cli
from autotts.cli._common import print_json
from autotts.replay import save_environment
from tests.small import small_environment

QUICK = ("--betas", "0,0.5", "--seeds", "2")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_environment(small_environment(), "tiny.jsonl")
    return tmp_path


@pytest.fixture
def call(world: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command in the world; its standard output, or what it complains when a code other than 0 is due."""

    def called(*args: str, code: int = 0) -> str:
        capfd.readouterr()
        found = _run(list(args), ".env")
        out, err = capfd.readouterr()
        assert found == code, out + err
        assert "Traceback" not in err
        return out if code == 0 else err

    return called


def options() -> list[click.Option]:
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in _COMMANDS]
    commands += [part for command in commands if isinstance(command, click.Group) for part in command.commands.values()]
    found = [p for command in commands if command for p in command.params if isinstance(p, click.Option)]
    assert len(found) > 40
    return found


def test_every_option_is_mirrored_by_a_variable_of_its_name() -> None:
    for option in options():
        name = max(option.opts, key=len).removeprefix("--").replace("-", "_").upper()
        assert option.envvar == f"AUTOTTS_{name}"


def test_variables_of_repeatable_options_are_parted_as_in_a_shell(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    save_environment(small_environment("with blank"), "a b.jsonl")
    monkeypatch.setenv("AUTOTTS_ENV", "tiny.jsonl 'a b.jsonl'")
    monkeypatch.setenv("AUTOTTS_SET", "max_samples=3")
    rows = json.loads(call("evaluate", "sc", *QUICK, "--json"))
    assert [row["model"] for row in rows] == ["tiny", "tiny", "with blank", "with blank"]
    assert {row["branches"] for row in rows} == {3}
    monkeypatch.setenv("AUTOTTS_ENV", "'tiny.jsonl")
    assert "pairs of quotes" in call("evaluate", "sc", code=2)


def test_json_has_no_nan(call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    save_environment(small_environment(questions=1), "one.jsonl")
    rows = json.loads(call("evaluate", "sc", "--env", "one.jsonl", *QUICK, "--json"), parse_constant=pytest.fail)
    assert rows[0]["ci95"] == [None, None]
    assert "–" in call("evaluate", "sc", "--env", "one.jsonl", *QUICK)
    print_json({"a": (math.inf, [math.nan, 1.5])})
    assert json.loads(capfd.readouterr().out) == {"a": [None, [None, 1.5]]}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["evaluate", "sc", "--seeds", "9" * 20], "--seeds"),
        (["evaluate", "sc", "--betas", "9" * 20], "at most 10001"),
        (["evaluate", "sc", "--betas", "99999"], "at most 10001"),
        (["evaluate", "sc", "--workers", "9" * 20], "--workers"),
        (["search", "--seeds", "9" * 20], "--seeds"),
        (["search", "--betas", "9" * 20], "--betas"),
        (["score", "sc", "--heldout", "tiny.jsonl", "--seeds", "9" * 20], "--seeds"),
        (["evaluate", "sc", "--env", "tiny.jsonl", "--set", "max_samples=nan"], "finite"),
        (["evaluate", "sc", "--env", "tiny.jsonl", "--set", "max_samples=inf"], "finite"),
        (["evaluate", "sc", "--env", "tiny.jsonl", "--set", "max_samples=1" + "0" * 400], "finite"),
        (["evaluate", "sc", "--env", "tiny.jsonl", "--set", "foo=1", "--json"], "no such knob"),
        (["env", "import", "tiny.jsonl", "x.jsonl", "--max-branches", "9" * 20], "--max-branches"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Any, args: list[str], words: str) -> None:
    assert words in call(*args, code=2)


def test_a_dotenv_that_is_not_text(call: Any, world: Path) -> None:
    (world / ".env").write_bytes(b"AUTOTTS_SEEDS=\xff\xfe")
    assert ".env: is not UTF-8 text" in call("list", code=2)
    (world / ".env").write_bytes(b"AUTOTTS_SEEDS='1\0'\n")
    assert ".env: cannot be" in call("list", code=2)


def test_help_says_what_the_default_is(call: Any) -> None:
    assert "number of processors" in " ".join(call("evaluate", "--help").split())


SEARCH = ("search", "--rounds", "0", "--seeds", "2", "--betas", "3", "--display", "none")
ONE = ("--seeds", "1", "--screen-seeds", "1")
FAILING = "def schedule(beta):\n    return {}\n\n\ndef solve(episode, knobs):\n    return 1 / 0\n"


def test_only_a_run_with_a_reserve_is_said_to_have_one(call: Any) -> None:
    call(*SEARCH, "--env", "tiny.jsonl", "--run", "whole")
    call(*SEARCH, "--env", "tiny.jsonl", "--reserve", "0.4", "--run", "kept")
    told = call("score", "cmc", "--heldout", "tiny.jsonl", code=2)
    assert "run whole searched on" in told and "what kept kept in reserve is for `autotts champion --run kept" in told


def test_what_was_searched_is_not_held_out_under_any_other_name(call: Any) -> None:
    call(*SEARCH, "--env", "tiny.jsonl")
    base = small_environment()
    renamed = replace(base, model="other", dataset="set", max_branches=9, kappa_probe=7)
    save_environment(renamed, "renamed.jsonl")
    most = replace(base, questions=(*base.questions[:4], *small_environment(seed=5).questions[4:]))
    save_environment(most, "most.jsonl")
    shuffled = replace(base.questions[0], id="x", branches=base.questions[0].branches[::-1])
    save_environment(replace(base, questions=(shuffled, *base.questions[:0:-1])), "shuffled.jsonl")
    for args in (["renamed.jsonl"], ["tiny.jsonl", "--equivalence", "latex"], ["most.jsonl"], ["shuffled.jsonl"]):
        assert "run run-1 searched on these branches" in call("score", "cmc", "--heldout", *args, code=2)
    few = replace(base, questions=(*base.questions[:2], *small_environment(seed=5).questions[2:]))
    save_environment(few, "few.jsonl")
    call("score", "cmc", "--heldout", "few.jsonl", *QUICK)


def test_looks_are_counted_by_the_recording_and_shown(call: Any) -> None:
    call(*SEARCH, "--env", "tiny.jsonl")
    save_environment(small_environment("held", seed=7), "held.jsonl")
    save_environment(small_environment("again", seed=7), "again.jsonl")
    assert "scored 1 time in" in call("score", "cmc", "--heldout", "held.jsonl", *QUICK)
    assert "scored 2 times in" in call("score", "cmc", "--heldout", "again.jsonl", *QUICK)
    rows = json.loads(call("score", "sc", "--heldout", "held.jsonl", "--equivalence", "latex", *QUICK, "--json"))
    assert {row["looks"] for row in rows} == {3}
    assert "scored 3 times in this archive" in call("front")
    shown = " ".join(call("show", "cmc").split())
    assert "scored 3 times in this archive, this program 2 times" in shown
    (look,) = json.loads(call("show", "sc", "--json"))["ledger"]
    assert [row["accuracy"] for row in look["rows"]] == [row["accuracy"] for row in rows]
    assert max(row["accuracy"] for row in look["rows"]) > 1


def test_a_held_out_score_at_two_costs_of_a_probe_is_one_look(call: Any) -> None:
    call(*SEARCH, "--env", "tiny.jsonl")
    held = small_environment("held", seed=7)
    save_environment(replace(held, provenance={"kappa_measured": "36.6"}), "held.jsonl")
    score = ("score", "parallel_probe", "--heldout", "held.jsonl", *QUICK)
    free, *_, paid = json.loads(call(*score, "--kappa-probe", "measured", "--json"))
    assert (free["kappa_probe"], paid["kappa_probe"]) == (0, 37)
    assert free["looks"] == paid["looks"] == 1
    assert paid["tokens"] > free["tokens"]
    told = call(*score, "--kappa-probe", "20")
    assert "scored 2 times in this archive" in told
    looks = json.loads(call("show", "parallel_probe", "--json"))["ledger"]
    assert [look["environment_name"] for look in looks] == [held.name, f"{held.name} (κ = 20)"]
    assert looks[1]["rows"][-1]["tokens"] > looks[0]["rows"][-1]["tokens"]


def test_the_front_shows_accuracies(call: Any) -> None:
    call(*SEARCH, "--env", "tiny.jsonl")
    points = json.loads(call("front", "--json"))
    assert f"{points[-1]['accuracy']:.2f}" in call("front")
    assert "accuracy %" in call("front")


def test_failures_as_json(world: Path, call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    call(*SEARCH, "--env", "tiny.jsonl")
    save_environment(small_environment("held", seed=7), "held.jsonl")
    (world / "bad.py").write_text(FAILING)
    good = json.loads(call("evaluate", "sc", "--env", "tiny.jsonl", *QUICK, "--json"))[0]
    for args in (["evaluate", "bad.py", "--env", "tiny.jsonl"], ["score", "bad.py", "--heldout", "held.jsonl"]):
        assert _run([*args, *QUICK, "--json"]) == 1
        (row,) = json.loads(capfd.readouterr().out)
        assert row.keys() == good.keys()
        assert (row["outcome"], row["error"]["line"], row["n_seeds"], row["n_questions"]) == ("Crashed", 6, 2, 6)
        assert row["accuracy"] is row["beta"] is row["ci95"] is None
    findings = []
    for command in ("check", "add"):
        assert _run([command, "bad.py", "--json"]) == 1
        findings.append(json.loads(capfd.readouterr().out))
    assert findings[0]["line"] == findings[1]["line"] == 6
    assert findings[0].keys() == findings[1].keys()


def test_a_run_is_resumed_from_anywhere(call: Any, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(*SEARCH, "--env", "t*.jsonl")
    (world / "else[1]").mkdir()
    save_environment(small_environment(), "else[1]/tiny.jsonl")
    monkeypatch.chdir(world / "else[1]")
    assert json.loads(call("resume", "run-1", "--archive", "../autotts.db", "--json", "--display", "none"))["front"]
    call(*SEARCH, "--env", "*.jsonl", "--env", "synthetic:search", "--run", "here", "--betas", "2", *ONE)
    with Archive("autotts.db") as archive:
        envs = archive.run("here").config["envs"]
    assert envs == [str(world / "else[[]1]" / "*.jsonl"), "synthetic:search"]
    monkeypatch.chdir(world)
    call("resume", "here", "--archive", "else[1]/autotts.db", "--display", "none")


def test_a_run_that_needs_a_function_says_where_it_is(call: Any, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / "eq.py").write_text("def same(answer):\n    return answer.strip()\n")
    call(*SEARCH, "--env", "tiny.jsonl", "--equivalence", "eq.py:same")
    call("resume", "run-1", "--display", "none")
    (world / "else").mkdir()
    monkeypatch.chdir(world / "else")
    assert "resume it from there" in call("resume", "run-1", "--archive", "../autotts.db", code=2)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "é", "a;b", "x" * 101])
def test_names_of_runs(call: Any, name: str) -> None:
    assert "--run" in call(*SEARCH, "--env", "tiny.jsonl", f"--run={name}", code=2)


def test_shipped_names_always_work_and_files_are_not_lost(call: Any, world: Path) -> None:
    assert json.loads(call("show", "cmc", "--json"))["proposals"] == []
    call("export", "cmc", "-o", "c.py")
    assert "exists already" in call("export", "sc", "-o", "c.py", code=2)
    before = (world / "c.py").read_text()
    call("export", "sc", "-o", "c.py", "--force")
    assert (world / "c.py").read_text() != before
    call("add", "c.py")
    assert "1 proposal" in call("list") and "1 proposals" not in call("list")
    assert json.loads(call("show", "cmc", "--json"))["idea"]  # an archive without a run
