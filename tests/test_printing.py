"""What programs, models and files write reaches terminals and JSON as text that can be read and does nothing."""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from autotts.agents import Context, Proposal
from autotts.archive import Archive
from autotts.archive import Program as StoredProgram
from autotts.cli import _run
from autotts.cli._common import console, print_json
from autotts.evaluation import Program, load_program, shipped
from autotts.replay import save_environment
from autotts.sandbox.text import printable
from autotts.search.events import RoundEnded, SearchStarted, SlotEnded, SlotStarted
from autotts.ui.progress import make_display
from tests.small import small_environment

ORDERS = ("\x1b]0;owned\x07", "\x1b[2J", "\x1b]52;c;aGk=\x07", "\x9b31m", "\x85", "\u2028", "\u202e", "\u2066", "\x7f")
"""What a terminal obeys, whoever says it."""

MARKUP = "[/nothing] [link=https://evil.example]a[/link] :bomb: [#é"
BODY = """

def schedule(beta):
    return {"n": 2 + 6 * beta}


def solve(episode, knobs):
    opened = episode.branches(int(knobs["n"]))
    episode.finish([i for i in opened if not episode.is_finished(i)])
    answers = episode.probe(opened)
    return max(answers, key=answers.count)
"""
PROGRAMS = {
    "markup": f'"""{MARKUP}"""{BODY}',
    "orders": f'"""Begin{"".join(ORDERS)}end"""\n# {" ".join(ORDERS)}{BODY.replace("2 +", "3 +")}',
}
CRASH = (
    f'"""{MARKUP}"""\n\n\ndef schedule(beta):\n    return {{}}\n\n\ndef solve(episode, knobs):\n    # \u2028 no line\n'
)
CRASH += (
    f'    raise ValueError("{MARKUP} \\x1b[2J \\x9b31m \\u202e\\n\\n\\nerror: faked line\\nok")  # {" ".join(ORDERS)}\n'
)
TINY = "--env tiny.jsonl --rounds 1 --proposals-per-round 1 --betas 2 --seeds 1 --workers 1".split()


def assert_harmless(text: str) -> None:
    raw = sorted({c for c in text if not c.isprintable() and c != "\n"})
    assert not raw, raw


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_environment(small_environment(questions=3), "tiny.jsonl")
    return tmp_path


@pytest.fixture
def call(world: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Run a command in the world; what it wrote, which can be read and does nothing."""

    def called(*args: str, code: int = 0) -> tuple[str, str]:
        capfd.readouterr()
        found = _run(list(args))
        out, err = capfd.readouterr()
        assert found == code, out + err
        assert_harmless(out + err)
        assert "Traceback" not in err
        return out, err

    return called


@dataclass
class Liar:
    """An agent of a package that proposes what a model might."""

    sources: list[str]
    name: str = f"{MARKUP}\x1b[2J"

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        return Proposal(self.sources[context.round - 1], (), "half \ud800 an answer\0", f"prompt {ORDERS[0]}")


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Installs an agent `liar` that proposes these sources, one a round."""

    def install(sources: list[str]) -> None:
        point = SimpleNamespace(name="agent.liar", load=lambda: lambda: Liar(sources))
        monkeypatch.setattr("autotts.agents.entry_points", lambda group: [point])

    return install


# ---- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("display", ["plain", "rich"])
def test_every_command_prints_any_program(call: Any, world: Path, display: str) -> None:
    ids = {}
    for name, source in PROGRAMS.items():
        (world / f"{name}.py").write_text(source)
        assert Program.from_source(source).idea in call("check", f"{name}.py", "--env", "tiny.jsonl")[0]
        assert json.loads(call("check", f"{name}.py", "--env", "tiny.jsonl", "--json")[0])["outcome"] == "ok"
        assert " added in " in call("add", f"{name}.py")[0]
        ids[name] = json.loads(call("add", f"{name}.py", "--json")[0])["id"]
    assert MARKUP in call("list")[0]
    call("search", *TINY, "--display", display)
    rows = {row["id"]: row for row in json.loads(call("list", "--json")[0]) if row["round"] is not None}
    assert all(rows[digest]["outcome"] == "ok" for digest in ids.values())
    assert MARKUP in call("list", "--run", "run-1")[0]
    for command in ("front", "resume run-1 --display none"):
        call(*command.split())
    for name, digest in ids.items():
        assert "def solve(episode" in call("show", digest)[0]
        source = Program.from_source(PROGRAMS[name]).source
        assert json.loads(call("show", digest, "--json")[0])["source"] == source
        call("export", digest, "-o", f"{name}.out.py")
        assert (world / f"{name}.out.py").read_bytes().endswith(b"\n\n" + source.encode())
        assert load_program(f"{name}.out.py").source == source


def test_an_archive_of_somebody_else_may_hold_anything(call: Any) -> None:
    source = PROGRAMS["orders"].replace("Begin", "\x1b]8;;https://evil.example\x07")
    idea = f"{MARKUP}{''.join(ORDERS)}\nforged"
    with Archive("autotts.db") as store:
        store.add_program(StoredProgram(Program(source).hash, source, idea, None), agent=f"{MARKUP}\x1b[2J")
    call("search", *TINY, "--display", "plain")
    for words in ("list", "front", f"show {Program(source).id}", f"check {Program(source).id}"):
        out, _ = call(*words.split())
        assert not any(line.startswith("forged") for line in out.splitlines())


def test_a_message_stays_one_line_and_says_what_it_said(call: Any, world: Path) -> None:
    (world / "crash.py").write_text(CRASH)
    _, err = call("check", "crash.py", "--env", "tiny.jsonl", code=1)
    echo, complaint = err.splitlines()
    assert echo.startswith("  10 | raise ValueError(")
    assert complaint.startswith(f"error: Crashed at line 10: ValueError: {MARKUP}")
    assert "   error: faked line ok (" in complaint
    assert len(call("add", "crash.py", code=1)[1].splitlines()) == 1
    (world / "long.py").write_text(PROGRAMS["markup"].replace("opened = ", "opened = 1 / 0; " + "x = 1; " * 900))
    assert max(map(len, call("check", "long.py", "--env", "tiny.jsonl", code=1)[1].splitlines())) < 300


@pytest.mark.parametrize("display", ["plain", "rich", "none"])
def test_a_search_takes_whatever_is_proposed(call: Any, liar: Any, display: str) -> None:
    half, nul = f'"""half \ud800 a pair"""{BODY.replace("2 +", "4 +")}', f'"""nothing"""{BODY}x = 1 \0\n'
    cheap = PROGRAMS["orders"].replace("    opened =", "    return episode.probe(episode.branch())\n    opened =")
    liar([cheap, CRASH, half, nul, "\ud83d\0" * 9, "", PROGRAMS["markup"]])
    words = ["search", "--agent", "liar", *TINY, "--rounds", "7"]
    out = "".join(call(*words, "--display", display))
    assert display != "plain" or "Crashed" in out
    rows = [row for row in json.loads(call("list", "--json")[0]) if row["round"]]
    violation = "PolicyViolation"
    assert [row["outcome"] for row in rows] == ["ok", "Crashed", "ok", violation, violation, "Crashed", "ok"]
    assert rows[2]["idea"] == "half ? a pair"
    for row in rows:
        call("show", row["id"])
    call("list")
    assert "Begin\ufffd]0;owned" in call("front")[0]
    with Archive("autotts.db", create=False) as store:
        for kept in store.proposals("run-1"):
            # A run that was stopped between proposal and verdict judges what is stored, so it must be the same program.
            assert kept.verdict is not None
            assert Program.from_source(kept.source).hash == kept.verdict.program
            assert "\n" not in kept.verdict.message


def test_a_file_with_a_nul_ends_in_a_typed_outcome(call: Any, world: Path) -> None:
    (world / "nul.py").write_text(f'"""nothing"""{BODY}x = 1 \0\n')
    for command in ("check", "add"):
        assert "PolicyViolation" in call(command, "nul.py", code=1)[1]
        assert json.loads(call(command, "nul.py", "--json", code=1)[0])["outcome"] == "PolicyViolation"
    (world / "bytes.py").write_bytes(f'"""\udcff"""{BODY}'.encode("utf-8", "surrogatepass"))
    assert "UTF-8" in call("check", "bytes.py", code=2)[1]


def test_names_of_environments_and_files(call: Any, world: Path) -> None:
    for name, seed in (("here", 0), ("held", 1)):
        evil = small_environment(f"{MARKUP}\x1b[2J\x9b31m\u202e\ud800\n{name}", questions=3, seed=seed)
        save_environment(evil, f"{name}.jsonl")
    call("search", *TINY, "--env", "here.jsonl", "--display", "plain")
    assert MARKUP in call("env", "inspect", "here.jsonl")[0]
    call("evaluate", "sc", "--env", "here.jsonl", "--seeds", "1", "--betas", "2")
    call("score", "sc", "--heldout", "held.jsonl", "--seeds", "1", "--betas", "2")
    (ledger,) = json.loads(call("show", "sc", "--json")[0])["ledger"]
    assert MARKUP in ledger["environment_name"]
    assert MARKUP in call("front")[0]
    call("show", "sc")
    call("score", "sc", "--heldout", "here.jsonl", code=2)
    (world / "half \udcff [x].py").write_text(PROGRAMS["markup"])
    call("check", "half \udcff [x].py", "--env", "tiny.jsonl")
    call("check", "half \udcff [x].py", "--env", "tiny.jsonl", "--json")
    call("check", "markup.py:\udcff", code=2)


def test_on_a_terminal_only_our_own_styles_are_there(
    world: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    (world / "orders.py").write_text(PROGRAMS["orders"])
    assert _run(["add", "orders.py"]) == 0
    assert _run(["search", *TINY, "--display", "rich"]) == 0
    digest = Program.from_source(PROGRAMS["orders"]).id
    for words in ("list", "front", f"show {digest}", "check orders.py --env tiny.jsonl"):
        assert _run(words.split()) == 0
    out, err = capfd.readouterr()
    assert "\x1b[1" in out
    assert not [order for order in ORDERS if order in out + err]


# ---- parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["plain", "rich"])
@pytest.mark.parametrize("terminal", [False, True])
def test_displays_on_any_console(mode: Any, terminal: bool) -> None:
    file = io.StringIO()
    text = f"{MARKUP}{''.join(ORDERS)}\nround 9: forged"
    with make_display(mode, Console(file=file, width=400, force_terminal=terminal)) as shown:
        shown(SearchStarted(text, 1, 1, 1, 0, 0, text))
        shown(SlotStarted(text, 1, 1, "screen", text))
        shown(SlotEnded(text, 1, 1, text, text, "ok", None, None, True, ""))
        shown(SlotEnded(text, 1, 2, text, "", text, None, None, False, text))
        shown(RoundEnded(text, 1, 1, 1, 0.0, text, None, None, None, ((text, 1),)))
    out = file.getvalue()
    assert "[/nothing] [link=https://evil.example]" in out
    assert not [order for order in ORDERS if order in out]
    assert not [line for line in out.splitlines() if line.startswith("round 9")]


def test_a_console_takes_strings_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    console().print(f"{MARKUP}\n\x1b[2J")
    assert capfd.readouterr().out == f"{MARKUP} \ufffd[2J\n"


def test_printable_text() -> None:
    assert printable("Größe β ≥ ½ 数 👍") == "Größe β ≥ ½ 数 👍"
    assert printable("a\n\tb\r\x85\u2028\u00a0c") == "a  b    c"
    assert printable("a\n\tb\r\x1b", newlines=True) == "a\n\tb \ufffd"
    assert printable("\x00\x7f\x9b\u202e\ud800\ufeff") == "\ufffd" * 6


def test_json_means_the_same_and_shows_everything(capfd: pytest.CaptureFixture[str]) -> None:
    everything = {
        name: f"{name} é β 数 👍" for name in (*ORDERS, "\0", "\ud800", "\udfff", "\U000e0001", "\u00a0", "\n")
    }
    print_json(everything)
    out = capfd.readouterr().out
    assert_harmless(out)
    assert json.loads(out) == everything
    assert "é β 数 👍" in out
    assert "\\u202e" in out


# ---- the idea ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "idea"),
    [
        ('"""One line."""', "One line."),
        ("'''One line.'''", "One line."),
        ('"One line."', "One line."),
        ("'One line.'", "One line."),
        ('r"""One \\line."""', "One \\line."),
        ("R'One line.'", "One line."),
        ('#!/usr/bin/python\n# a licence\n\n  # more\n\t\n"""One line."""', "One line."),
        ('"""One line.\n\nAnd more.\n"""', "One line."),
        ('"""\n   One line.\n\nAnd more.\n"""', "One line."),
        ('"""  One line.  """\nx = "other"', "One line."),
        ('"""It\'s the "majority" of all."""', 'It\'s the "majority" of all.'),
        ('"""' + "x" * 300 + '"""', "x" * 200),
        ('"""One\tline\x1b."""', "One line\ufffd."),
        ('"""never closed', "never closed"),
        ('""""""', ""),
        ('""\nx = "no"', ""),
        ('x = 1\n"""no"""', ""),
        (' """no"""', ""),
        ("# only a comment", ""),
        ("", ""),
        ("import math", ""),
    ],
)
def test_the_idea_is_the_first_line_of_the_docstring(source: str, idea: str) -> None:
    assert Program.from_source(source).idea == idea


def test_shipped_ideas_are_whole_sentences() -> None:
    assert all(shipped(name).idea.endswith(".") for name in ("sc", "asc", "esc", "parallel_probe", "cmc"))


@pytest.mark.parametrize("unit", [" ", '"', "\n", "#\n", "\n ", "'\"", "\t#"])
@pytest.mark.parametrize("head", ['"""x', "", "'"])
def test_the_idea_costs_no_more_for_a_longer_source(head: str, unit: str) -> None:
    def seconds(length: int) -> float:
        source = (head + unit * length)[:length] + 'y"""\n'
        best = float("inf")
        for _ in range(3):
            program = Program(source)  # as it is: normalising would shorten it
            began = time.process_time()
            assert len(program.idea) <= 200
            best = min(best, time.process_time() - began)
        return best

    # Twice in 16,000 characters, then never again: what grew with the square would take 4,000 times as long.
    assert seconds(1 << 20) < 40 * seconds(1 << 14) + 0.01


# ---- sources -----------------------------------------------------------------------------------------------------


def test_a_source_can_be_hashed_and_stored_whatever_it_is() -> None:
    program = Program.from_source("x = '\ud800\udc00é\0\u202e\x1b'\r\n")
    assert program.source == "x = '??é\0\u202e\x1b'\n"
    assert len(program.hash) == 64
    assert Program.from_source(program.source).source == program.source
