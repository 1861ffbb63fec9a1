"""The command line on small worlds: options, JSON, and errors that say what to do."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click
import pytest

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


def test_help_says_what_the_default_is(call: Any) -> None:
    assert "number of processors" in " ".join(call("evaluate", "--help").split())
