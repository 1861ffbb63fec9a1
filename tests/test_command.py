"""Coding agents' command lines: fake ones, which really run as processes."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autotts.agents import Candidate, Context, Settings, most_of
from autotts.agents.command import make_command
from autotts.agents.command.process import MOST_OUTPUT, run
from autotts.agents.command.workspace import START
from autotts.errors import (
    AgentError,
    AgentTimeout,
    AgentUnavailable,
    EmptyAnswer,
    InputError,
    LimitReached,
    MalformedAnswer,
    PolicyViolation,
)
from autotts.evaluation import Program, shipped
from autotts.replay import save_environment
from tests.small import small_environment

AUTOTTS = [sys.executable, "-m", "autotts"]

GOOD = '''"""Read {n} branches to the end."""

from autotts.toolkit import majority


def schedule(beta):
    return {{"n": {n} + round(4 * beta)}}


def solve(episode, knobs):
    wave = episode.branches(knobs["n"])
    episode.finish(episode.active)
    return majority(episode.probe(wave), skip_unparsed=True)
'''

WRITE = f"open('controller.py', 'w').write({GOOD.format(n=3)!r})\n"


class Purse:
    """A purse of a test: what it was told."""

    def __init__(self, *answers: str, seconds: float = float("inf"), admits: int = 9) -> None:
        self.answers = list(answers)
        self.begun: list[tuple[str, dict[str, str], int, float | None]] = []
        self.ended: list[tuple[str, str, dict[str, int], int, float | None]] = []
        self.seconds, self.admits = seconds, admits

    def recorded(self) -> str | None:
        return self.answers.pop(0) if self.answers else None

    def begin(self, prompt: str, templates: Any, tokens: int, cost: float | None) -> int:
        if len(self.begun) >= self.admits:
            raise LimitReached("no room")
        self.begun.append((prompt, dict(templates), tokens, cost))
        return len(self.begun) - 1

    def end(self, number: int, outcome: str, reply: str, usage: Any, tokens: int, cost: float | None) -> None:
        assert number == len(self.ended)
        self.ended.append((outcome, reply, dict(usage), tokens, cost))

    def seconds_left(self) -> float:
        return self.seconds


class Bench:
    """Refuses programs that say so; has one instrument, another that fails, and no others."""

    def check(self, program: Program) -> None:
        if "BROKEN" in program.source:
            raise PolicyViolation("BROKEN is not allowed", 3)

    def states(self, split_by: str | None) -> Any:
        from autotts.traces._table import Evidence

        return Evidence("The value of continuing")

    def branches(self, feature: str | None) -> Any:
        raise InputError("no branches here")

    def __getattr__(self, name: str) -> Any:
        def missing(*_: Any) -> None:
            raise NotImplementedError

        return missing


def candidate(name: str, source: str, **more: Any) -> Candidate:
    fields: dict[str, Any] = {
        "id": name, "source": source, "idea": Program.from_source(source).idea, "agent": "person", "answer": "",
        "outcome": "ok", "gain": 0.01, "gain_se": 0.004, "front": False, "round": 1, "slot": 0, "parents": (),
        "points": ((0.0, 0.5, 1000.0),),
    }  # fmt: skip
    return Candidate(**{**fields, **more})


CMC = candidate("cmc", shipped("cmc").source, agent="baseline", round=0, gain=0.0)
PARENT = candidate("aaaaaaaaaa", GOOD.format(n=2))
FAILED = candidate(
    "bbbbbbbbbb", "x | y\n", outcome="Crashed", message="a|b", gain=None, gain_se=None, slot=1, points=()
)


def context(purse: Purse, parents: tuple[Candidate, ...] = (PARENT,)) -> Context:
    return Context(2, 0, (CMC, PARENT, FAILED), parents, 0, Bench(), purse)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary folders are made here, and none is left."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield place
    deadline = time.monotonic() + 10
    while list(place.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(place.iterdir()) == []


Fake = Callable[..., str]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Writes a program that stands for a coding agent and puts it on PATH; its path."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")

    def make(body: str, name: str = "agent") -> str:
        path = bin_ / name
        path.write_text(f"#!{sys.executable}\nimport json, os, sys, time, subprocess, signal\n{body}")
        path.chmod(0o755)
        return str(path)

    return make


def propose(name: str, purse: Purse, **settings: Any) -> Any:
    agent = make_command(name, Settings(**{"proposal_seconds": 30.0, **settings}))
    return agent.propose(context(purse), random.Random(0))


def alive(marker: str) -> list[str]:
    """Processes whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in words:
                found.append(words.decode(errors="replace"))
    return found


# ---- the folder and the answer -----------------------------------------------------------------------------------


def test_the_agent_finds_its_files_and_its_edit_is_the_proposal(fake: Fake, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    fake(
        "files = {}\n"
        "for place, _, names in os.walk('.'):\n"
        "    files.update({os.path.join(place, n)[2:]: open(os.path.join(place, n)).read() for n in names})\n"
        f"open({str(report)!r}, 'w').write(json.dumps([os.stat('.').st_mode & 0o777, files, sys.stdin.read()]))\n"
        f"{WRITE}print('I widened it')\n"
    )
    purse = Purse()
    made = propose("agent", purse)
    assert made.source == GOOD.format(n=3)
    assert made.parents == ("aaaaaaaaaa",)
    assert made.answer == "I widened it"
    mode, files, said = json.loads(report.read_text())
    assert mode == 0o700
    assert set(files) == {
        "TASK.md", "controller.py", "evidence/states.md", "evidence/README.md",
        "history/README.md", "history/cmc.py", "history/aaaaaaaaaa.py", "history/bbbbbbbbbb.py",
    }  # fmt: skip
    assert files["controller.py"] == PARENT.source
    assert said == made.prompt
    assert files["TASK.md"].endswith(said)
    assert "evidence/states.md" in said
    assert "- branches: no branches here" in files["evidence/README.md"]
    assert "- credit: there is no such instrument" in files["evidence/README.md"]
    rows = [line for line in files["history/README.md"].splitlines() if line.startswith("| ")]
    assert "| 1.0 | aaaaaaaaaa | aaaaaaaaaa.py | ok | +1.00 ± 0.40 |" in rows[2]
    assert "(a\\|b)" in rows[3]
    ((prompt, templates, tokens, cost),) = purse.begun
    assert prompt == files["TASK.md"]
    assert set(templates) == {"system", "workspace"}
    assert (tokens, cost) == (750_000, None)
    ((outcome, reply, usage, used, paid),) = purse.ended
    assert (outcome, usage, used, paid) == ("ok", {}, 750_000, None)
    assert json.loads(reply)["text"] == made.source


def test_without_a_parent_there_is_a_program_to_begin_with(fake: Fake) -> None:
    fake(f"assert open('controller.py').read() == {START!r}\n{WRITE}")
    agent = make_command("agent", Settings())
    assert agent.propose(context(Purse(), ()), random.Random(0)).parents == ()


def test_placeholders_are_single_arguments_and_no_shell_reads_them(fake: Fake, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    fake(f"open({str(report)!r}, 'w').write(json.dumps([sys.argv[1:], sys.stdin.read(), os.getcwd()]))\n{WRITE}")
    made = propose("agent --x 'a  b; $HOME' {task} --f={task_file} {workspace} {other}", Purse())
    words, given, place = json.loads(report.read_text())
    assert words == ["--x", "a  b; $HOME", made.prompt, f"--f={place}/TASK.md", place, "{other}"]
    assert given == ""


BAD: dict[str, tuple[str, type[AgentError], str]] = {
    "leaves it": ("", MalformedAnswer, "left controller.py as it was"),
    "adds a blank": ("open('controller.py', 'a').write('  \\n')", MalformedAnswer, "as it was"),
    "removes it": ("os.remove('controller.py')", EmptyAnswer, "no controller.py"),
    "empties it": ("open('controller.py', 'w').write(' \\n')", EmptyAnswer, "is empty"),
    "a link": ("os.remove('controller.py'); os.symlink('/etc/passwd', 'controller.py')", MalformedAnswer, "plain file"),
    "a hard link": ("open('x', 'w').write('y'); os.replace('x', 'controller.py'); os.link('controller.py', 'z')",
                    MalformedAnswer, "plain file"),
    "a pipe": ("os.remove('controller.py'); os.mkfifo('controller.py')", MalformedAnswer, "plain file"),
    "a folder": ("os.remove('controller.py'); os.mkdir('controller.py')", MalformedAnswer, "plain file"),
    "no text": ("open('controller.py', 'wb').write(b'\\xff\\xfe')", MalformedAnswer, "UTF-8"),
    "too long": ("open('controller.py', 'w').write('#' * 3_000_000)", MalformedAnswer, "3,000,000 bytes"),
    "crashes": ("sys.exit('boom')", AgentUnavailable, "exit code 1.*boom"),
    "kills itself": ("os.kill(os.getpid(), 9)", AgentUnavailable, "exit code -9"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_answer_has_its_own_outcome(fake: Fake, what: str) -> None:
    body, outcome, words = BAD[what]
    fake(body)
    purse = Purse()
    with pytest.raises(outcome, match=words):
        propose("agent", purse)
    ((told, reply, _, tokens, _),) = purse.ended
    assert told.startswith(outcome.__name__)
    assert (reply, tokens) == ("", 750_000)


def test_a_program_is_taken_though_the_agent_failed_after_it(fake: Fake) -> None:
    fake(f"{WRITE}sys.exit('late boom')")
    made = propose("agent", Purse())
    assert made.source == GOOD.format(n=3)
    assert "exit code 1" in made.answer
    assert "late boom" in made.answer


def test_keys_are_not_repeated(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret-value")
    fake("print(os.environ['SOME_API_KEY'], file=sys.stderr); sys.exit(3)")
    purse = Purse()
    with pytest.raises(AgentUnavailable, match=r"\*\*\*") as caught:
        propose("agent", purse)
    assert "sk-very" not in str(caught.value) + str(purse.ended)
    fake("open('controller.py', 'w').write('# ' + os.environ['SOME_API_KEY'])")
    with pytest.raises(MalformedAnswer, match="SOME_API_KEY") as caught:
        propose("agent", purse)
    assert "sk-very" not in str(caught.value) + str(purse.ended)


def test_a_huge_output_is_kept_in_part(fake: Fake, tmp_path: Path) -> None:
    path = fake("for _ in range(300): sys.stdout.write('x' * 100_000)\nprint('the end')")
    ended = run([path], tmp_path, "", 30)
    assert ended.code == 0
    assert len(ended.out) <= MOST_OUTPUT
    assert ended.out.endswith("xxthe end\n")


def test_a_long_task_comes_by_its_file(fake: Fake, tmp_path: Path) -> None:
    from autotts.agents.command import command_line

    line = command_line(f"{fake('')} {{task}}")
    words, given = line.command("x" * 200_000, tmp_path / "TASK.md", tmp_path, None)
    assert words[1] == f"Read {tmp_path / 'TASK.md'}: it is your task, to the letter."
    assert given == ""


# ---- the end of a process ----------------------------------------------------------------------------------------

HANG = """
marker = sys.argv[1]
script = "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
subprocess.Popen([sys.executable, "-c", script, marker])
subprocess.Popen([sys.executable, "-c", script, marker], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", script, marker])
    os._exit(0)
"""


def test_at_the_deadline_nothing_is_left_and_a_changed_file_counts(fake: Fake) -> None:
    fake(f"{HANG}time.sleep(300)")
    with pytest.raises(AgentTimeout, match="left controller"):
        propose("agent mark-deadline", Purse(), proposal_seconds=2.5)
    assert alive("mark-deadline") == []
    fake(f"{HANG}{WRITE}time.sleep(300)")
    began = time.monotonic()
    made = propose("agent mark-changed", Purse(seconds=3.0))
    assert time.monotonic() - began < 15
    assert made.source == GOOD.format(n=3)
    assert "ended after 3 s" in made.answer
    assert alive("mark-changed") == []


def test_what_an_agent_leaves_running_ends_with_it(fake: Fake) -> None:
    fake(f"{HANG}{WRITE}")
    assert propose("agent mark-background", Purse()).source == GOOD.format(n=3)
    assert alive("mark-background") == []


def test_an_agent_that_kills_its_keeper_is_not_waited_for(fake: Fake) -> None:
    fake("os.kill(os.getppid(), 9); time.sleep(1)")
    with pytest.raises(AgentUnavailable, match="was killed"):
        propose("agent", Purse())


# ---- the repair --------------------------------------------------------------------------------------------------

MEND = f"""
text = sys.stdin.read()
if 'BROKEN is not allowed' in text:
    assert 'BROKEN' in open('controller.py').read() and open('REPAIR.md').read() == text
    {WRITE.strip()}
    print('mended')
else:
    open('controller.py', 'w').write('# BROKEN\\n')
    print('first')
"""


def test_a_broken_program_is_mended_in_the_same_folder(fake: Fake) -> None:
    fake(MEND)
    purse = Purse()
    made = propose("agent", purse)
    assert (made.source, made.answer) == (GOOD.format(n=3), "mended")
    assert [tokens for _, _, tokens, _ in purse.begun] == [750_000, 250_000]
    assert set(purse.begun[1][1]) == {"repair"}
    # Interrupted after the first answer: it is not asked for again. After both: nothing is.
    first, second = (reply for _, reply, *_ in purse.ended)
    half = Purse(first)
    assert propose("agent", half) == made
    assert [tokens for _, _, tokens, _ in half.begun] == [250_000]
    whole = Purse(first, second)
    assert propose("agent", whole) == made
    assert whole.begun == []


def test_a_repair_in_vain_leaves_the_program_to_the_search(fake: Fake) -> None:
    fake("open('controller.py', 'w').write('# BROKEN\\n')")
    for purse in (Purse(), Purse(admits=1)):
        made = propose("agent", purse)
        assert made.source == "# BROKEN\n"
        assert "in vain" in made.answer


# ---- the known command lines -------------------------------------------------------------------------------------

CLAUDE = {
    "type": "result", "subtype": "success", "is_error": False, "result": "Done.", "total_cost_usd": 0.25,
    "usage": {"input_tokens": 5, "output_tokens": 7},
    "modelUsage": {
        "big": {"inputTokens": 10, "outputTokens": 20, "cacheReadInputTokens": 30, "cacheCreationInputTokens": 40},
        "small": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 0, "cacheCreationInputTokens": 0},
    },
}  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda row: row, lambda row: [{"type": "system"}, row]])
def test_claude_is_told_its_ceiling_and_believed_in_its_figures(fake: Fake, tmp_path: Path, wrap: Any) -> None:
    report = tmp_path / "report.json"
    text = json.dumps(wrap(CLAUDE))
    fake(f"open({str(report)!r}, 'w').write(json.dumps(sys.argv[1:]))\n{WRITE}print({text!r})", "claude")
    purse = Purse()
    made = propose("claude:some-model", purse)
    assert made.answer == "Done."
    words = json.loads(report.read_text())
    assert words[0] == "-p"
    assert words[words.index("--model") + 1] == "some-model"
    assert words[words.index("--max-budget-usd") + 1] == "2.70"
    ((_, _, tokens, cost),) = purse.begun
    assert (tokens, cost) == (750_000, 4.5)
    ((_, _, usage, used, paid),) = purse.ended
    assert usage == {"input": 11, "output": 22, "cache_read": 30, "cache_write": 40}
    assert (used, paid) == (103, 0.25)


def test_claude_that_may_not_work_says_why(fake: Fake) -> None:
    row = {"type": "result", "subtype": "success", "is_error": True, "result": "Not logged in", "total_cost_usd": 0,
           "usage": {"input_tokens": 0, "output_tokens": 0}, "modelUsage": {}}  # fmt: skip
    fake(f"print({json.dumps(row)!r}); sys.exit(1)", "claude")
    purse = Purse()
    with pytest.raises(AgentUnavailable, match="Not logged in"):
        propose("claude", purse)
    assert purse.ended[0][3:] == (0, 0.0)


def test_codex_tells_tokens_and_prices_tell_the_rest(fake: Fake, tmp_path: Path) -> None:
    usage = {"input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 50}
    rows = [
        {"type": "error", "message": "Reconnecting"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "Hypothesis."}},
        {"type": "turn.completed", "usage": usage},
    ]
    lines = "\n".join(map(json.dumps, rows))
    fake(f"assert sys.argv[1] == 'exec' and sys.argv[-1] == '-'\n{WRITE}print({lines!r})", "codex")
    purse = Purse()
    assert propose("codex:m", purse).answer == "Hypothesis."
    assert purse.begun[0][3] is None
    ((_, _, counted, used, paid),) = purse.ended
    assert counted == {"input": 600, "cache_read": 400, "cache_write": 0, "output": 50}
    assert (used, paid) == (1050, None)
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"command/codex:m": {"input": 1, "output": 10}}))
    purse = Purse()
    propose("codex:m", purse, prices=str(prices))
    assert purse.begun[0][3] == pytest.approx(7.5)
    assert purse.ended[0][4] == pytest.approx((1000 + 500) / 1e6)


def test_codex_that_failed_says_why(fake: Fake) -> None:
    rows = [{"type": "turn.failed", "error": {"message": "no credit"}}]
    fake(f"print({json.dumps(rows[0])!r})", "codex")
    with pytest.raises(AgentUnavailable, match="no credit"):
        propose("codex", Purse())


def test_a_bad_name_is_one_sentence(fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, words in (
        ("claude", "npm install -g @anthropic-ai/claude-code"),
        ("codex:gpt", "npm install -g @openai/codex"),
        ("nowhere --x", "'nowhere'"),
        ("agent 'x", "quotes"),
        ("  ", "give claude"),
    ):
        with pytest.raises(InputError, match=words):
            make_command(name, Settings())


def test_the_most_is_known_where_somebody_keeps_it(fake: Fake) -> None:
    for name in ("claude", "codex", "agent"):
        fake("", name)
    found = [most_of(make_command(name, Settings(proposal_tokens=10))) for name in ("claude", "codex", "agent")]
    assert found == [(10, 6.0), (10, None), (10, None)]


# ---- a whole search ----------------------------------------------------------------------------------------------

COUNTING = f"""
place = os.environ['COUNT_FILE']
with open(place, 'a') as file:
    file.write('x')
n = len(open(place).read())
if n == 2 and os.environ.get('HANG'):
{HANG.replace("sys.argv[1]", "'mark-search'").replace(chr(10), chr(10) + "    ")}
    time.sleep(300)
open('controller.py', 'w').write({GOOD!r}.format(n=n))
"""


def autotts(*args: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([*AUTOTTS, *args], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def search_args(*more: str) -> list[str]:
    small = ["--rounds", "1", "--proposals-per-round", "3", "--seeds", "2", "--screen-seeds", "1", "--betas", "3"]
    return ["search", "--env", "tiny.jsonl", *small, "--workers", "1", *more]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_environment(small_environment(questions=4), tmp_path / "tiny.jsonl")
    monkeypatch.setenv("COUNT_FILE", str(tmp_path / "count"))
    return tmp_path


def proposed(world: Path) -> list[Any]:
    rows = json.loads(autotts("list", "--archive", "a.db", "--json", cwd=world))
    return [row for row in rows if row["round"]]


def test_a_small_search_with_a_command(fake: Fake, world: Path) -> None:
    path = fake(COUNTING)
    name = f"command/{path} --flag"
    plan = autotts(*search_args("--agent", name, "--dry-run"), cwd=world)
    assert "price unknown" in plan
    refused = autotts(*search_args("--agent", name, "--max-cost", "5", "--archive", "a.db"), cwd=world, code=2)
    assert "price" in refused
    out = autotts(*search_args("--agent", name, "--archive", "a.db"), cwd=world)
    assert str(world / "scratch") not in out
    rows = proposed(world)
    assert [(row["agent"], row["outcome"], row["idea"]) for row in rows] == [
        (name, "ok", f"Read {n} branches to the end.") for n in (1, 2, 3)
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_is_killed_leaves_nothing_and_goes_on(
    fake: Fake, world: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = fake(COUNTING)
    args = search_args("--agent", f"command/{path}", "--archive", "a.db")
    monkeypatch.setenv("HANG", "1")
    process = subprocess.Popen([*AUTOTTS, *args], cwd=world, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(alive("mark-search")) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    assert len(alive("mark-search")) >= 3
    assert any(stat.S_ISDIR(entry.lstat().st_mode) for entry in (world / "scratch").iterdir())
    process.send_signal(number)
    process.wait(timeout=60)
    deadline = time.monotonic() + 10
    while (alive("mark-search") or list((world / "scratch").iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive("mark-search") == []
    assert list((world / "scratch").iterdir()) == []
    monkeypatch.delenv("HANG")
    autotts("resume", "run-1", "--archive", "a.db", cwd=world)
    # The first slot was not asked for again, the second was, and counts both times.
    assert [row["idea"] for row in proposed(world)] == [f"Read {n} branches to the end." for n in (1, 3, 4)]
