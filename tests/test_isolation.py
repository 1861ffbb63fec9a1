"""Isolation is probed, stored, and never silently weaker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import autotts.cli._common
from autotts.archive import Archive
from autotts.cli import _run
from autotts.errors import InputError
from autotts.evaluation import Evaluator, Program, shipped
from autotts.replay import save_environment
from autotts.sandbox import Sandbox
from tests.small import small_environment


class Weak(Sandbox):
    """A sandbox on a system without seccomp and Landlock."""

    def __init__(self, preload: Sequence[str] = (), notice: Callable[[str], None] = print) -> None:
        super().__init__((*preload, "autotts.testing.weak"), notice)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a tiny environment, on a system whose isolation is weak."""
    save_environment(small_environment(questions=3), tmp_path / "tiny.jsonl")
    monkeypatch.setattr(autotts.cli._common, "find_sandbox", lambda _: Weak)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_missing_is_named() -> None:
    with Weak() as sandbox:
        assert sandbox.isolation == "reduced (missing: seccomp)"
        assert sandbox.layers["seccomp"].startswith("missing: ")
        assert sandbox.layers["landlock"].startswith("missing: ")


def test_strangers_are_refused_and_our_own_run_with_one_line() -> None:
    told: list[str] = []
    stranger = Program.from_source(shipped("cmc").source)
    with Evaluator([small_environment()], 1, sandbox=Weak, notice=told.append) as evaluator:
        with pytest.raises(InputError, match=r"seccomp missing.*--sandbox docker.*--isolation reduced"):
            evaluator.check(stranger)
        assert not told
        for _ in range(2):
            evaluator.check(shipped("cmc"))
        assert len(told) == 1
        assert "seccomp" in told[0]


def test_an_explicit_word_is_enough() -> None:
    told: list[str] = []
    stranger = Program.from_source(shipped("cmc").source)
    with Evaluator([small_environment()], 1, sandbox=Weak, reduced=True, notice=told.append) as evaluator:
        evaluator.check(stranger)
    assert len(told) == 1


def test_a_strict_system_says_nothing_and_takes_anybody() -> None:
    told: list[str] = []
    with Evaluator([small_environment()], 1, reduced=True, notice=told.append) as evaluator:
        evaluator.check(Program.from_source(shipped("cmc").source))
        assert evaluator.isolation == "strict"
    assert not told


def test_the_built_in_agent_searches_with_one_line_and_what_was_missing_is_stored(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = "search --env tiny.jsonl --rounds 1 --proposals-per-round 1 --betas 2 --seeds 1 --display plain --workers 1"
    assert _run(words.split()) == 0
    assert capfd.readouterr().err.count("isolation is reduced") == 1
    with Archive("autotts.db") as archive:
        kept = {p.verdict.isolation for p in archive.proposals("run-1") if p.verdict}
    assert kept == {"reduced (missing: seccomp)"}


def test_a_search_over_a_strangers_program_needs_the_word(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("own.py").write_text(shipped("cmc").source.replace("def schedule", "\n\ndef schedule"))
    assert _run(["add", "own.py"]) == 2
    assert "--isolation reduced" in capfd.readouterr().err
    assert _run(["add", "own.py", "--isolation", "reduced"]) == 0
    words = "search --env tiny.jsonl --rounds 0 --betas 2 --seeds 1 --display plain --workers 1".split()
    assert _run(words) == 2
    assert _run([*words, "--isolation", "reduced"]) == 0


def test_evaluate_and_score_take_shipped_programs_and_refuse_files(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("own.py").write_text(shipped("sc").source)
    assert _run("evaluate sc --env tiny.jsonl --seeds 1 --betas 2 --json".split()) == 0
    assert {row["isolation"] for row in json.loads(capfd.readouterr().out)} == {"reduced (missing: seccomp)"}
    assert _run("evaluate own.py --env tiny.jsonl --seeds 1 --betas 2".split()) == 2
    assert _run("check own.py --env tiny.jsonl".split()) == 2
    assert _run("check own.py --env tiny.jsonl --isolation reduced".split()) == 0


def test_doctor_tells_layers_and_keys_but_no_values(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert _run(["doctor", "--json"]) == 0
    out = capfd.readouterr().out
    found = json.loads(out)
    assert found["keys"]["ANTHROPIC_API_KEY"] is True
    assert "very-secret" not in out
    assert found["isolation"] == "strict"
    assert [engine["answers"] for engine in found["engines"]] == [False]
    assert _run(["doctor"]) == 0
    out = capfd.readouterr().out
    assert "ANTHROPIC_API_KEY set" in out
    assert "very-secret" not in out
    monkeypatch.setattr("autotts.cli.doctor.Sandbox", Weak)
    assert _run(["doctor"]) == 1
    assert "--isolation reduced" in capfd.readouterr().out


def test_no_engine_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert _run("check cmc --sandbox docker".split()) == 1
    assert "no container engine answers (unix:///nowhere.sock" in capfd.readouterr().err
    monkeypatch.setenv("DOCKER_HOST", "ssh://somewhere")
    assert _run("check cmc --sandbox docker".split()) == 1
    assert "forward its socket" in capfd.readouterr().err
    assert _run("check cmc --sandbox nix".split()) == 2
