"""Where an option's value comes from: flag, variable, `.env`, `autotts.toml`, default; the first that says it wins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.archive import Archive
from autotts.cli import _run, cli
from autotts.cli._file import ConfigFile, commands, masked, options
from autotts.errors import InputError
from autotts.replay import save_environment
from tests.small import small_environment

ORDER = ("flag", "environment", ".env", "table", "top", "default")
"""Of precedence."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AUTOTTS_")]:
        monkeypatch.delenv(name)
    save_environment(small_environment(), "tiny.jsonl")
    return tmp_path


@pytest.fixture
def call(world: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in the world; its standard output, or what it complains when a code other than 0 is due."""

    def called(*args: str, code: int = 0, **variables: str) -> str:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", os.environ.copy())
            os.environ.update(variables)
            found = _run(list(args), ".env")
        out, err = capfd.readouterr()
        assert found == code, out + err
        assert "Traceback" not in err
        return out if code == 0 else err

    return called


def shown(call: Any, *words: str, **variables: str) -> dict[str, dict[str, Any]]:
    """`config show`, by option."""
    found = json.loads(call(*words, "--json", **variables))
    return {row["name"]: row for row in found["options"]}


@settings(max_examples=30, deadline=None)
@given(given_by=st.sets(st.sampled_from(ORDER[:-1])), values=st.permutations([3, 4, 5, 6, 7]))
def test_the_first_source_that_says_it_wins_and_show_tells_which(
    given_by: set[str], values: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("world")
    value = dict(zip(ORDER, values, strict=False))
    (folder / ".env").write_text(f"AUTOTTS_SESSION_TURNS={value['.env']}\n" if ".env" in given_by else "")
    table = f"[search]\nsession_turns = {value['table']}\n" if "table" in given_by else ""
    top = f"session-turns = {value['top']}\n" if "top" in given_by else ""
    (folder / "autotts.toml").write_text(top + table)
    flags = ["--session-turns", str(value["flag"])] if "flag" in given_by else []
    winner = next(name for name in ORDER if name in given_by or name == "default")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(os, "environ", os.environ.copy())
        os.environ.pop("AUTOTTS_SESSION_TURNS", None)
        if "environment" in given_by:
            os.environ["AUTOTTS_SESSION_TURNS"] = str(value["environment"])
        if "flag" not in given_by:
            printed: list[Any] = []
            patch.setattr("autotts.cli.config.print_json", printed.append)
            assert _run(["config", "show", "--json"], ".env") == 0
            (row,) = (row for row in printed[0]["options"] if row["name"] == "session-turns")
            assert row["value"] == value.get(winner, 30)
            assert row["source"] == {"table": "file", "top": "file"}.get(winner, winner)
            assert row["table"] == ("search" if winner == "table" else None)
        heard: dict[str, Any] = {}
        patch.setattr(dict(commands(cli))[("search",)], "callback", lambda **given: heard.update(given))
        assert _run(["search", *flags], ".env") == 0
        assert heard["session_turns"] == value.get(winner, 30)


def test_show_tells_of_each_source(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_text('archive = "x.db"\n\n[search]\nagent = [\n  "evolution",\n]\nmax_cost = 20\n')
    (world / ".env").write_text("AUTOTTS_SEED=4\n")
    rows = shown(call, "config", "show", AUTOTTS_SEEDS="2")
    found = {name: (row["value"], row["source"], row["line"], row["table"]) for name, row in rows.items()}
    assert found["archive"] == ("x.db", "file", 1, None)
    assert found["agent"] == (["evolution"], "file", 4, "search")
    assert found["max-cost"] == (20.0, "file", 7, "search")
    assert found["seed"] == (4, ".env", None, None)
    assert found["seeds"] == (2, "environment", None, None)
    assert found["betas"] == (11, "default", None, None)
    text = call("config", "show", AUTOTTS_SEEDS="2")
    assert "autotts.toml line 7, [search]" in text and "AUTOTTS_SEED in .env" in text and "evolution" in text


def test_show_knows_every_command(call: Any) -> None:
    for words, command in commands(cli):
        if not isinstance(command, click.Group):
            assert set(shown(call, "config", "show", *words)) == set(options(command))
    assert "must be given" in call("config", "show", "score")
    assert "did you mean search?" in call("config", "show", "serch", code=2)
    assert "branches, ceilings" in call("config", "show", "inspect", code=2)


def test_variables_that_nothing_reads_are_told(call: Any) -> None:
    assert "did you mean AUTOTTS_ROUNDS?" in call("config", "show", AUTOTTS_ROUND="3")
    assert "note:" not in call("config", "show", AUTOTTS_ROUNDS="3")


def test_the_length_of_a_branch_is_no_ceiling_of_a_search(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_text("max-tokens = 80\n")
    assert shown(call, "config", "show", "env", "collect")["max-tokens"]["value"] == 80
    assert shown(call, "config", "show", "solve", AUTOTTS_MAX_TOKENS="90")["max-tokens"]["value"] == 90
    rows = shown(call, "config", "show", "search", AUTOTTS_MAX_TOKENS="90")
    assert "max-tokens" not in rows
    assert rows["max-agent-tokens"]["value"] is None


def test_what_a_variable_says_wrongly_is_called_by_its_name(call: Any) -> None:
    for words in (["config", "show"], ["search"]):
        assert "AUTOTTS_SEEDS: 'x'" in call(*words, code=2, AUTOTTS_SEEDS="x")


def test_no_secret_is_shown(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_text('archive = "postgresql://me:hidden@host/db?sslpassword=hidden"\n')
    given = {"ANTHROPIC_API_KEY": "hidden", "AUTOTTS_BASE_URL": "http://me:hidden@host/v1?key=hidden"}
    for words in (["config", "show"], ["config", "show", "--json"]):
        text = call(*words, **given)
        assert "hidden" not in text and "***@host" in text
    assert json.loads(call("config", "show", "--json", **given))["keys"]["ANTHROPIC_API_KEY"] is True
    (world / "autotts.toml").write_text('archive = ["postgresql://me:hidden@host/db"]\n')
    assert "hidden" not in call("list", code=2)
    assert masked("postgresql://me@host/db") == "postgresql://me@host/db"


def test_a_table_wins_over_its_group_and_both_over_the_top(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_text("workers = 1\n[inspect]\nworkers = 2\n[inspect.credit]\nworkers = 3\n")
    for words, workers in ((["search"], 1), (["inspect", "states"], 2), (["inspect", "credit"], 3)):
        assert shown(call, "config", "show", *words)["workers"]["value"] == workers


def test_an_option_and_a_command_of_one_name(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_text('env = "tiny.jsonl"\nprompts = "mine"\n')
    assert shown(call, "config", "show")["env"]["value"] == ["tiny.jsonl"]
    (world / "autotts.toml").write_text('[env]\nequivalence = "latex"\n')
    assert shown(call, "config", "show", "env", "import")["equivalence"]["value"] == "latex"
    assert shown(call, "config", "show")["equivalence"]["value"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = 1\nrond = 4\n", "line 2: rond: no command has an option --rond"),
        ("seed = 1\nround = 4\n", "did you mean rounds?"),
        ("[serch]\n", "line 1: [serch]: there is no command autotts serch; did you mean [search]?"),
        ("[inspect.credits]\n", "did you mean [inspect.credit]?"),
        ("[[search]]\n", "one pair of brackets"),
        ("[front]\nrounds = 4\n", "autotts front has no option --rounds; it belongs into [resume] or [search]"),
        ("search = 4\n", "go into the table [search]"),
        ("max.cost = 4\n", "no command autotts max"),
        ('[search]\nrounds = "4"\n', 'line 2: rounds = "4": --rounds takes a whole number'),
        ("[search]\nrounds = true\n", "takes a whole number"),
        ("[search]\nrounds = 2.5\n", "takes a whole number"),
        ("[search]\nrounds = -1\n", "-1 is not in the range"),
        ("[search]\nrounds = [1]\n", "takes a whole number"),
        (f"[search]\nmax-cost = 1{'0' * 400}\n", "too large"),
        ("[search]\nmax-cost = nan\n", "not a finite number"),
        ("[search]\nmax-cost = inf\n", "not a finite number"),
        ('[search]\nmode = "sesion"\n', "'sesion' is not one of 'auto', 'single', 'session'"),
        ('json = "yes"\n', "takes true or false"),
        ("agent = [4, true]\n", "takes a text, or a list of such"),
        ("archive = 2026-01-01\n", "takes a text"),
        ('archive = "a\\u0000b"\n', "NUL"),
        ('betas = "0,0.5,1"\n', "autotts mcp --betas takes a whole number"),
        ("max-cost = 1\nmax_cost = 2\n", "line 2: max-cost: is said on line 1 already"),
        ("seed = 1\nseed = 2\n", "line 2, column 9: is not valid TOML (Cannot overwrite a value)"),
        ("seed =\n", "line 1"),
        ("seed = [", "is not valid TOML"),
        (f"seed = {'[' * 3000}", "is not valid TOML"),
        (f"seed = {'1' * 5000}", "is not valid TOML"),
        ("[search]\n", ""),
        ('"seed" = 1\r\n# nothing\r\n[search]\r\n"rounds"=1 # two\r\n', ""),
        ("betas = 11\n", ""),
    ],
)
def test_what_a_file_says_wrongly_is_told_with_its_line(call: Any, world: Path, text: str, words: str) -> None:
    (world / "autotts.toml").write_bytes(text.encode())
    said = call("config", "show", code=2 if words else 0)
    assert words in said
    if words:
        assert said.startswith("error: autotts.toml, ") or "end of document" in said or "is not valid TOML" in said
        assert said.count("\n") == 1


def test_a_file_that_cannot_be_read(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_bytes(b"run = '\xff'")
    assert "autotts.toml: is not UTF-8 text" in call("list", code=2)
    (world / "autotts.toml").unlink()
    (world / "autotts.toml").mkdir()
    assert "autotts.toml: cannot be read (Is a directory)" in call("list", code=2)
    assert "--config no.toml: there is no such file" in call("--config", "no.toml", "list", code=2)
    assert "--config no.toml" in call("list", code=2, AUTOTTS_CONFIG="no.toml")
    (world / "autotts.toml").rmdir()
    assert "goes before the command" in call("list", "--config", "no.toml", code=2)


def test_help_works_whatever_a_file_says(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_text("broken")
    assert "Discover controllers" in call("search", "--help")
    (world / "autotts.toml").write_text("[search]\nrounds = 77\n")
    assert "[default: 77; " in " ".join(call("search", "--help").split())


def test_a_byte_order_mark_is_no_fault(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_bytes(b"\xef\xbb\xbfseed = 5\n")
    assert shown(call, "config", "show")["seed"]["value"] == 5


def test_paths_are_relative_to_the_file(call: Any, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        'archive = "x.db"',
        'log = "run.jsonl"',
        'env = ["t*.jsonl", "/abs.jsonl", "synthetic:search"]',
        'prompts = "mine"',
        'base-url = "http://host/v1"',
        'run = "mine"',
    ]
    (world / "autotts.toml").write_text("\n".join(lines))
    inner = world / "inner [1]"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert shown(call, "config", "show")["archive"]["source"] == "default"
    rows = shown(call, "--config", "../autotts.toml", "config", "show")
    found = {name: rows[name]["value"] for name in ("archive", "log", "env", "prompts", "base-url", "run")}
    assert found == {
        "archive": f"{world}/x.db",
        "log": f"{world}/run.jsonl",
        "env": [f"{world}/t*.jsonl", "/abs.jsonl", "synthetic:search"],
        "prompts": f"{world}/mine",
        "base-url": "http://host/v1",
        "run": "mine",
    }
    assert shown(call, "config", "show", AUTOTTS_CONFIG="../autotts.toml")["archive"]["value"] == f"{world}/x.db"
    rows = json.loads(call("--config", "../autotts.toml", "evaluate", "sc", "--seeds", "1", "--betas", "2", "--json",
                           "--env", "../tiny.jsonl"))  # fmt: skip
    assert len(rows) == 2
    (inner / "autotts.toml").write_text('archive = "here.db"\nenv = "t*.jsonl"\n')
    rows = shown(call, "config", "show")
    assert (rows["archive"]["value"], rows["env"]["value"]) == ("here.db", ["t*.jsonl"])
    monkeypatch.chdir(world)
    rows = shown(call, "--config", "inner [1]/autotts.toml", "config", "show")
    assert rows["env"]["value"] == [f"{world}/inner [[]1]/t*.jsonl"]


DECIDES_NOTHING = {"run", "dry-run", "askers", "workers", "sandbox", "isolation", "archive", "display", "log", "json"}
"""Options of `search` that leave its archive as it is, row for row; every other one is stored in the run."""


def test_a_run_keeps_what_decides_its_archive_and_shows_what_would_differ(call: Any, world: Path) -> None:
    (world / "autotts.toml").write_text('env = "tiny.jsonl"\n[search]\nrounds = 0\nbetas = 3\nmax-cost = 5\n')
    (world / ".env").write_text("AUTOTTS_SEEDS=1\n")
    call("search", "--run", "mine", "--log", "run.jsonl", "--display", "none")
    rows = shown(call, "config", "show", "--run", "mine")
    command = dict(commands(cli))[("search",)]
    assert set(options(command)) - set(rows) == DECIDES_NOTHING
    assert [row for row in rows.values() if row["differs"]] == []
    found = {name: rows[name]["value"] for name in ("rounds", "betas", "max-cost", "seeds", "screen-seeds", "env")}
    assert found == {
        "rounds": 0, "betas": 3, "max-cost": 5.0, "seeds": 1, "screen-seeds": 1, "env": [f"{world}/tiny.jsonl"],
    }  # fmt: skip
    (world / "autotts.toml").write_text("[search]\nrounds = 7\n")
    rows = shown(call, "config", "show", "--run", "mine", AUTOTTS_SEEDS="3")
    differing = {name: (row["now"], row["from"]) for name, row in rows.items() if row["differs"]}
    assert differing == {
        "env": (["synthetic:search"], "default"),
        "rounds": (7, "autotts.toml line 2, [search]"),
        "betas": (11, "default"),
        "seeds": (3, "AUTOTTS_SEEDS"),
        "screen-seeds": (2, "default"),
        "max-cost": (None, "default"),
    }
    assert "autotts.toml line 2, [search]" in call("config", "show", "--run", "mine")
    assert "no such run" in call("config", "show", "--run", "other", code=2)
    assert "name no other command" in call("config", "show", "list", "--run", "mine", code=2)
    assert "rounds" in call("config", "show", AUTOTTS_RUN="other")


def test_a_search_by_the_file_is_a_search_by_flags(call: Any, world: Path) -> None:
    flags = ["--env", "tiny.jsonl", "--rounds", "1", "--proposals-per-round", "1", "--seeds", "1", "--betas", "3"]
    call("search", *flags, "--archive", "flags.db", "--display", "none")
    (world / "autotts.toml").write_text(
        'display = "none"\narchive = "file.db"\nenv = ["tiny.jsonl"]\nbetas = 3\n'
        "[search]\nrounds = 1\nproposals-per-round = 1\nseeds = 1\n"
    )
    call("search")
    with Archive("flags.db", create=False) as one, Archive("file.db", create=False) as two:
        assert one.run("run-1").config == two.run("run-1").config
        assert list(one.listing(None)) == list(two.listing(None))


KEYS = st.sampled_from(["rounds", "max-cost", "env", "agent", "json", "seeds", "mode", "search", "nonsense", "run"])
SCALARS = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=5))


@settings(max_examples=60, deadline=None)
@given(values=st.dictionaries(KEYS, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=3), table=st.booleans())
def test_any_file_is_either_taken_or_refused_in_one_sentence(
    values: dict[str, Any], table: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "autotts.toml"
    lines = [f"{key} = {toml(value)}" for key, value in values.items()]
    path.write_text("\n".join(["# first", *(["[search]"] if table else []), *lines]), encoding="utf-8")
    try:
        file = ConfigFile.read(path, cli)
    except InputError as error:
        assert str(error).startswith(f"{path}, line ") and len(str(error)) < 600
        return
    assert file is not None
    assert [entry.line for entry in file.entries] == [n + 2 + table for n in range(len(values))]
    words = options(dict(commands(cli))[("search",)])
    for entry in file.entries:
        assert entry.key in words
    file.default_map(cli)


def toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return (
        json.dumps(value, ensure_ascii=False)
        .replace("NaN", "nan")
        .replace("Infinity", "inf")
        .replace("\x7f", "\\u007f")
    )
