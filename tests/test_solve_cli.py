"""`autotts solve` against a model server in a process of its own."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autotts.cli import _run
from autotts.live.source import Step
from autotts.replay import Environment, Question, Trajectory, save_environment
from autotts.ui.console import PlainConsole
from autotts.ui.solving import solving
from tests.leaks import descendants, soon
from tests.stub_servers import Stub, token_server

ROOT = Path(__file__).resolve().parents[1]
QUESTION = "What is 12 + 30 + 5?"


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with token_server("--least", "40", "--most", "200", "--right", "0.9", "--batch", "3") as server:
        yield server


def options(server: Stub, *more: str) -> list[str]:
    return ["solve", "--base-url", server.url, "--model", "stub", "--interval", "25", "--max-branches", "8", *more]


def test_an_answer_and_what_it_cost(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(options(stub, "--controller", "parallel_probe", "--answers", "text", QUESTION)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{QUESTION}   [parallel_probe at β = 0.5, stub]"
    assert any("opened" in line for line in lines) and any("probed" in line for line in lines)
    assert lines[-4] == "answer: 47"
    assert lines[-1].startswith("SC@64: about ")
    assert stub.state()["running"] == 0


def test_json_says_everything_and_nothing_else_is_printed(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    words = options(stub, "--controller", "cmc", "--beta", "0.3", "--answers", "text", "--json", "--display", "none")
    assert _run([*words, QUESTION]) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert printed.err == ""
    assert told["answer"] == "47" and told["text"].endswith("\\boxed{47}")
    assert told["beta"] == 0.3 and told["isolation"] == "strict" and told["knobs"]
    assert told["tokens"] <= told["generated"]
    mean = sum(told["finished_tokens"]) / len(told["finished_tokens"])
    assert told["sc64"]["tokens"] == pytest.approx(64 * mean)
    again = json.loads(_again(words, capsys))
    same = ("answer", "votes", "tokens", "sequential_tokens", "depths", "knobs", "probes")
    assert {name: told[name] for name in same} == {name: again[name] for name in same}


def _again(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert _run([*words, QUESTION]) == 0
    return capsys.readouterr().out


def test_the_question_on_standard_input(stub: Stub) -> None:
    words = [sys.executable, "-m", "autotts", *options(stub, "--controller", "sc", "--answers", "text", "-")]
    done = subprocess.run(words, input=QUESTION, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "answer: 47" in done.stdout


def recording(path: Path) -> str:
    rows = tuple(Trajectory(("47",) * 3, 100 + 10 * k, "47") for k in range(16))
    environment = Environment("stub", "sums", 30, (Question("q", QUESTION, "47", rows),), max_branches=10)
    save_environment(environment, path / "env.jsonl")
    return str(path / "env.jsonl")


def test_a_recording_gives_the_rules_and_beta_for_a_budget(
    stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["solve", "--base-url", stub.url, "--model", "stub", "--controller", "sc", "--answers", "text"]
    words += ["--env", recording(tmp_path), "--json", QUESTION]
    assert _run([*words, "--budget", "900"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["branches"] <= 10
    assert 0.0 < told["beta"] < 1.0
    assert told["sc64"]["from"] == "the mean branch of stub/sums"
    assert all(depth <= 1 + 200 // 30 for depth in told["depths"])
    assert _run([*words, "--budget", "900k"]) == 2
    assert "no β spends that" in capsys.readouterr().err
    assert _run([*words, "--env", "synthetic:search"]) == 2
    assert "5 recordings that differ in interval" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--controller", "sc", "--budget", "9k"], "--budget needs --env"),
        (["--controller", "sc", "--budget", "9k", "--beta", "0.5"], "leave one out"),
        (["--controller", "nobody"], "no such program"),
        (["--controller", "sc", "--answers", "nobody"], "not known"),
        (["--controller", "sc", "--equivalence", "nobody"], "not known"),
        (["--controller", "sc", "--model", "other"], "no such model"),
    ],
)
def test_bad_input_is_said_in_a_sentence(
    stub: Stub, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [] if "--answers" in more else ["--answers", "text"]
    assert _run(options(stub, *answers, *more, QUESTION)) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and message in printed.err
    assert "Traceback" not in printed.err and printed.err.count("\n") == 1


def test_no_question(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(options(stub, "--controller", "sc", " ")) == 2
    assert "there is no question" in capsys.readouterr().err


@contextmanager
def started(server: Stub) -> Iterator[subprocess.Popen[str]]:
    """A question that takes long, when all of its branches grow."""
    words = options(server, "--controller", "sc", "--beta", "1", "--answers", "text", "--deadline", "5")
    command = [sys.executable, "-m", "autotts", *words, "--display", "none", QUESTION]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert soon(lambda: server.state()["running"] == 8)
            yield process
        finally:
            process.kill()


SLOW = ("--least", "4000", "--most", "5000", "--delay", "0.01")


def test_an_interrupt_closes_the_streams() -> None:
    with token_server(*SLOW) as server, started(server) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.strip() == "interrupted"
        assert soon(lambda: server.state()["running"] == 0)
        assert server.state()["cancelled"] > 0


def test_a_killed_solve_leaves_no_stream_and_no_process() -> None:
    with token_server(*SLOW) as server, started(server) as process:
        children = descendants(process.pid)
        assert children
        process.kill()
        process.wait()
        assert soon(lambda: server.state()["running"] == 0)
        assert soon(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_a_server_that_dies_within_a_branch_is_told_in_a_sentence() -> None:
    with token_server(*SLOW) as server, started(server) as process:
        os.kill(server.process.pid, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert out == ""
        assert err.startswith("error: ") and err.count("\n") == 1 and "the branch had" in err


def test_the_page_runs_as_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "live.md").read_text()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with token_server("--least", "600", "--most", "900", "--batch", "50") as server:
        text = text.replace("http://localhost:8000/v1", server.url).replace("Qwen3-8B", "stub")
        (block,) = re.findall(r"<!-- run -->\n```bash\n(.*?)```", text, re.S)
        (code,) = re.findall(r"<!-- python -->\n```python\n(.*?)```", text, re.S)
        for command in block.splitlines():
            done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            assert "47" in done.stdout
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 4


# ---- what is shown ---------------------------------------------------------------------------------------------------


def step(what: Any, wave: int, branch: int, depth: int, tokens: int, answer: str | None = None) -> Step:
    return Step(what, wave, branch, depth, tokens, answer, 100 * wave)


STEPS = [
    *(step("opened", 1, b, 1, 120 + b) for b in range(3)),
    *(step("probed", 2, b, 1, 120 + b, a) for b, a in enumerate(["7", "ERR", "\x1b[31m7\n"])),
    step("pruned", 3, 1, 1, 121),
    step("finished", 4, 0, 3, 250),
    step("grown", 4, 2, 1, 500),
]


def test_the_terminal_shows_branches_votes_and_nothing_that_a_model_could_forge() -> None:
    out = Console(record=True, width=90, height=24, force_terminal=True, file=io.StringIO())
    with solving("rich", out, "a [b] title", 100) as watch:
        assert watch is not None
        for one in STEPS:
            watch(one)
    lines = [line.rstrip() for line in out.export_text().splitlines() if line.strip()]
    shown = "\n".join(lines[-6:])
    assert "a [b] title" in shown
    assert "0 ━━━" in shown and "finished 7" in shown
    assert "pruned" in shown and "2 ━╌╌╌╌" in shown
    assert "votes  7 × 1, �[31m7  × 1" in shown
    assert "400 tokens, 1 running, 1 finished, 1 pruned" in shown


def test_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with solving(None, PlainConsole(width=160), "title", 100) as watch:
        assert watch is not None
        for one in STEPS:
            watch(one)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "title",
        "3 opened 100 tokens votes: none yet",
        "3 probed 200 tokens votes: 7 × 1, �[31m7 × 1",
        "1 pruned 300 tokens votes: 7 × 1, �[31m7 × 1",
        "1 finished 400 tokens votes: 7 × 1, �[31m7 × 1",
    ]
