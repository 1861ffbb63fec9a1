"""Recording from a model: what is asked, what is kept, what a kill, a full disk or a changed option does."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from autotts import Connection, Recording
from autotts.agents.prices import Prices
from autotts.cli import _run
from autotts.errors import InputError, LimitReached, ServerError
from autotts.live.collect import Plan, Tally, collect, is_complete
from autotts.live.growth import Piece
from autotts.live.journal import Journal
from autotts.live.model import Asked
from autotts.live.purse import Purse, most_tokens, priced_name
from autotts.live.reading import Reader
from autotts.live.recording import build
from autotts.replay import Environment, Question, load_environment, load_environments, save_environment
from tests.conftest import SHARED
from tests.fake_live import FakeModel
from tests.small import small_environment
from tests.stub_servers import token_server

QUESTIONS = tuple(Question(f"q{k}", f"Question {k}?", "1", ()) for k in range(3))
PLAN = Plan(QUESTIONS, 4, 16, 5, 4, True, 1000, 8)
SETTINGS = {"--model": "fake", "--interval": 16, "--seed": 5}
HEADER = Environment("fake", "quiz", 16, ())


def purse(before: Any = (), ceiling: float | None = None, prices: str | None = None, tmp: Path = Path()) -> Purse:
    if prices:
        (tmp / "prices.json").write_text(prices)
    return Purse(Prices.read(tmp / "prices.json" if prices else None), "openai-compatible/fake", ceiling, before)


def record(model: Any, path: Path, plan: Plan = PLAN, watch: Any = lambda tally: None, **more: Any) -> Environment:
    with Journal(path, SETTINGS, {"recorded": "today"}) as journal, Reader("text") as reader:
        asyncio.run(collect(model, plan, journal, purse(journal.usage, **more), watch))
        assert is_complete(journal, plan)
        return build(journal, plan.questions, plan.branches, plan.probing, reader, HEADER, journal.about)


def bare(environment: Environment) -> Environment:
    """Without what was measured by the clock."""
    return replace(environment, provenance={})


def test_branches_and_probes_are_those_of_the_model(tmp_path: Path) -> None:
    model, tallies = FakeModel(), []
    environment = record(model, tmp_path / "e.texts.jsonl", watch=lambda tally: tallies.append(replace(tally)))
    assert Counter(model.asked) == Counter((q.text, 5 + b) for q in QUESTIONS for b in range(4))
    assert len(model.probed) == sum(len(b.probes) for q in environment.questions for b in q.branches)
    for question in environment.questions:
        for number, branch in enumerate(question.branches):
            draw = random.Random(f"{question.text}/{5 + number}")
            total = draw.randint(20, 90)
            assert (branch.tokens, len(branch.probes), branch.truncated) == (total, (total - 1) // 16, False)
            assert set(branch.signals) == {"logprob", "entropy"}
            assert all(len(values) == len(branch.probes) + 1 for values in branch.signals.values())
            for k, answer in enumerate(branch.probes, 1):
                prefix = "".join(f"{5 + number}.{j} " for j in range(1, 16 * k + 1))
                assert answer == str(random.Random(f"{question.text}/{prefix}").randrange(3))
    last = tallies[-1]
    assert (last.branches, last.all_branches, last.probes) == (12, 12, last.known_probes)
    assert last.tokens == sum(b.tokens for q in environment.questions for b in q.branches)
    assert environment.kappa_probe == 0 and float(environment.provenance["kappa_measured"]) > 0


class Failing(FakeModel):
    """Breaks off at a moment; `after` pieces and probes."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    async def branch(self, asked: Asked, seed: int, prefix: str = "", spent: int = 0) -> AsyncIterator[Piece]:
        async for piece in super().branch(asked, seed, prefix, spent):
            self.after -= 1
            if self.after < 0:
                raise ServerError("it broke off")
            yield piece

    async def probe(self, asked: Asked, prefix: str) -> Any:
        self.after -= 1
        if self.after < 0:
            raise ServerError("it broke off")
        return await super().probe(asked, prefix)


@pytest.mark.parametrize("after", [0, 1, 30, 200, 400, 520, 600, 650])
def test_after_a_failure_nothing_that_was_written_is_asked_again(after: int, tmp_path: Path) -> None:
    path = tmp_path / "e.texts.jsonl"
    whole = record(FakeModel(), tmp_path / "whole.texts.jsonl")
    with pytest.raises(ServerError):
        record(Failing(after), path)
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    branches = {(row["question"], row["branch"]) for row in rows if "cuts" in row}
    probes = {(row["question"], row["branch"], row["depth"]) for row in rows if "depth" in row}
    rest = FakeModel()
    assert bare(record(rest, path)) == bare(whole)
    texts = {q.text: q.id for q in QUESTIONS}
    assert not {(texts[text], seed - 5) for text, seed in rest.asked} & branches
    assert len(rest.asked) == 12 - len(branches)
    assert len(rest.probed) + len(probes) == sum(len(b.probes) for q in whole.questions for b in q.branches)


class Bursting(FakeModel):
    """A branch comes in one piece, so that the pace of its tokens cannot be told."""

    async def branch(self, asked: Asked, seed: int) -> AsyncIterator[Piece]:
        pieces = [piece async for piece in super().branch(asked, seed)]
        text = "".join(piece.text for piece in pieces)
        yield Piece(text, pieces[-1].total, tuple(token for piece in pieces for token in piece.tokens), ended=True)


@pytest.mark.parametrize("concurrency", [1, 2, 50])
def test_without_a_pace_nothing_waits_for_one(concurrency: int, tmp_path: Path) -> None:
    path, plan = tmp_path / "e.texts.jsonl", replace(PLAN, concurrency=concurrency)
    record(Bursting(), path, replace(plan, probing=False, branches=2))
    environment = record(Bursting(), path, plan)
    assert bare(environment) == bare(record(FakeModel(), tmp_path / "whole.texts.jsonl"))
    assert "kappa_measured" not in environment.provenance


class Shaky(FakeModel):
    """Every branch breaks off once, after some tokens."""

    async def branch(self, asked: Asked, seed: int, prefix: str = "", spent: int = 0) -> AsyncIterator[Piece]:
        again = (asked.question, seed) in self.asked
        async for piece in super().branch(asked, seed, prefix, spent):
            if piece.total == 10 and not again:
                raise ServerError("it broke off")
            yield piece


def test_a_branch_that_breaks_off_is_begun_anew_and_its_tokens_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "e.texts.jsonl"
    assert bare(record(Shaky(), path)) == bare(record(FakeModel(), tmp_path / "whole.texts.jsonl"))
    lost = [row["lost"] for row in map(json.loads, path.read_bytes().splitlines()) if "lost" in row]
    assert lost == [9] * 12


@pytest.mark.parametrize("cut", [1, 40, 200, 5_000])
def test_a_journal_that_ends_within_a_line_goes_on(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "e.texts.jsonl"
    whole = record(FakeModel(), path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert bare(record(FakeModel(), path)) == bare(whole)
    data = path.read_bytes()
    path.write_bytes(data[:7])
    assert bare(record(FakeModel(), path)) == bare(whole)


def test_more_branches_and_questions_go_on_from_what_is_there(tmp_path: Path) -> None:
    path, model = tmp_path / "e.texts.jsonl", FakeModel()
    record(FakeModel(), path, replace(PLAN, branches=2, questions=QUESTIONS[:2]))
    more = record(model, path)
    assert len(model.asked) == 12 - 4
    assert bare(more) == bare(record(FakeModel(), tmp_path / "whole.texts.jsonl"))


def test_a_full_read_has_no_probes_and_can_be_probed_later(tmp_path: Path) -> None:
    path, model = tmp_path / "e.texts.jsonl", FakeModel()
    full = record(model, path, replace(PLAN, probing=False))
    assert not model.probed and all(b.probes == () for q in full.questions for b in q.branches)
    assert bare(record(FakeModel(), path)) == bare(record(FakeModel(), tmp_path / "whole.texts.jsonl"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"some": "thing"}\n', "holds something else"),
        ("my notes", "holds something else"),
        (
            '{"schema":"autotts.texts/1","settings":{"--model":"fake","--interval":16,"--seed":6},"about":{}}\n'
            '{"lost":3,"prompt_tokens":5}\n',
            "--seed 6",
        ),
        (
            '{"schema":"autotts.texts/1","settings":{"--model":"fake","--interval":16,"--seed":5},"about":{}}\n{"x"}\n',
            "line 2",
        ),
        (
            '{"schema":"autotts.texts/1","settings":{"--model":"fake","--interval":16,"--seed":5},"about":{}}\n{}\n',
            "line 2",
        ),
    ],
    ids=range(5),
)
def test_a_file_that_is_no_journal_of_this_recording_is_left_alone(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "e.texts.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        Journal(path, SETTINGS, {})
    assert path.read_text() == content


def test_an_id_stands_for_one_text_also_where_all_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "e.texts.jsonl"
    record(FakeModel(), path)
    with Journal(path, SETTINGS, {}) as journal:
        other = replace(PLAN, questions=(QUESTIONS[1], replace(QUESTIONS[0], text="Another?")))
        for look in (lambda: is_complete(journal, other), lambda: journal.add_question(other.questions[1])):
            with pytest.raises(InputError, match="question q0 was recorded with another text"):
                look()


def test_what_is_not_recorded_yet_is_no_environment(tmp_path: Path) -> None:
    connection = Connection("http://127.0.0.1:9/v1", "stub")
    with Recording(tmp_path / "e.jsonl", connection, QUESTIONS, 2, 16) as recording:
        assert not recording.is_complete
        with pytest.raises(InputError, match="not all of it is recorded yet"):
            recording.environment()


def test_two_cannot_record_into_one_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotts.live.journal.PATIENCE", 0.1)
    with Journal(tmp_path / "e.texts.jsonl", SETTINGS, {}), pytest.raises(InputError, match="another process"):
        Journal(tmp_path / "e.texts.jsonl", SETTINGS, {})
    with Journal(tmp_path / "e.texts.jsonl", SETTINGS, {}):
        pass


PRICE = '{"openai-compatible/fake": {"input": 1, "output": 1000}}'


def test_a_ceiling_of_cost_is_never_passed(tmp_path: Path) -> None:
    path = tmp_path / "e.texts.jsonl"
    costs: list[float | None] = []

    def watch(tally: Tally) -> None:
        costs.append(tally.cost)

    with pytest.raises(LimitReached, match=r"--max-cost 1\.2"):
        record(FakeModel(), path, watch=watch, ceiling=1.2, prices=PRICE, tmp=tmp_path)
    paid = max(cost for cost in costs if cost is not None)
    assert 0.15 < paid <= 1.2  # a branch is reserved at a dollar
    model = FakeModel()
    assert bare(record(model, path, ceiling=100.0, prices=PRICE, tmp=tmp_path)) == bare(
        record(FakeModel(), tmp_path / "whole.texts.jsonl")
    )


def test_what_a_journal_cost_is_known_from_it(tmp_path: Path) -> None:
    path = tmp_path / "e.texts.jsonl"
    record(FakeModel(), path)
    with Journal(path, SETTINGS, {}) as journal:
        found = purse(journal.usage, prices=PRICE, tmp=tmp_path).spent
        tokens = sum(out for _, out in journal.usage)
    assert found is not None and found >= tokens * 1000 / 1e6


def test_an_unknown_price_is_unknown() -> None:
    assert purse().spent is None
    with pytest.raises(InputError, match="--max-cost: the price of openai-compatible/fake is not known"):
        purse(ceiling=1.0)
    assert priced_name("https://api.openai.com/v1", "gpt-4o") == "openai/gpt-4o"
    assert priced_name("http://localhost:8000/v1", "m") == "openai-compatible/m"
    assert most_tokens("é") >= 2


def test_a_measured_probe_costs_its_seconds_in_tokens(tmp_path: Path) -> None:
    environment = record(FakeModel(seconds=0.002), tmp_path / "e.texts.jsonl", replace(PLAN, branches=1))
    kappa = float(environment.provenance["kappa_measured"])
    assert 0.05 < kappa < 1.0  # the fake says that a probe took 0.001 s, and takes 0.002 s or more a token
    assert "asked alone" in environment.provenance["kappa_measured_how"]


# ---- the command, and real processes ---------------------------------------------------------------------------------


def questions_file(folder: Path, n: int) -> Path:
    path = folder / "quiz.jsonl"
    rows = [{"question": f"What is {k} + {k + 1} + 7?", "answer": str(2 * k + 8)} for k in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words(url: str, folder: Path, branches: int, name: str = "e.jsonl", *more: str) -> list[str]:
    fixed = ["env", "collect", "--base-url", url, "--model", "stub", "--interval", "16", "--concurrency", "8"]
    return [
        *fixed,
        "--questions",
        str(folder / "quiz.jsonl"),
        "--branches",
        str(branches),
        "-o",
        str(folder / name),
        *more,
    ]


def killed_again_and_again(tmp_path: Path, n: int, branches: int, lines: tuple[int, int], *flags: str) -> None:
    """Kill a collector whenever it has written some lines: it ends with the environment of an undisturbed one."""
    questions_file(tmp_path, n)
    log, journal, draw = tmp_path / "log.jsonl", tmp_path / "e.texts.jsonl", random.Random(0)
    log.touch()
    with token_server("--least", "30", "--most", "120") as server:
        assert _run(words(server.url, tmp_path, branches, "whole.jsonl.gz", "--display", "none")) == 0
    kills = 0
    with token_server("--least", "30", "--most", "120", "--delay", "0.0005", "--log", str(log), *flags) as server:
        command = [sys.executable, "-m", "autotts", *words(server.url, tmp_path, branches, "e.jsonl")]
        while not (tmp_path / "e.jsonl").exists():
            done, asked = written(journal), len(log.read_bytes().splitlines())
            due = sum(done.values()) + draw.randint(*lines)
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > due):
                    time.sleep(0.01)
                kills += process.poll() is None
                process.kill()
                out, err = process.communicate(timeout=60)
            assert process.returncode in (0, -signal.SIGKILL), out + err
            assert not again(done, [json.loads(line) for line in log.read_bytes().splitlines()[asked:]])
    assert kills >= 3
    assert unmeasured(tmp_path / "e.jsonl") == unmeasured(tmp_path / "whole.jsonl.gz")


def unmeasured(path: Path) -> tuple[dict[str, Any], bytes]:
    """An environment's header, without address, day and what the clock measured, and all else byte by byte."""
    data = path.read_bytes()
    first, _, rest = (gzip.decompress(data) if path.suffix == ".gz" else data).partition(b"\n")
    header = json.loads(first)
    for name in ("server", "recorded", "kappa_measured", "kappa_measured_how"):
        header["provenance"].pop(name, None)
    return header, rest


def written(journal: Path) -> Counter[tuple[str, int, int]]:
    """What a journal has: (question, seed, tokens of the prefix), 0 for a branch."""
    if not journal.exists():
        return Counter()
    rows = [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]
    texts = {row["question"]: row["is"] for row in rows if "is" in row}
    kept = [row for row in rows if "text" in row]
    return Counter((texts[row["question"]], row["branch"], 16 * row.get("depth", 0)) for row in kept)


def again(done: Counter[tuple[str, int, int]], log: list[dict[str, Any]]) -> list[Any]:
    """What was asked although it had been written."""
    asked = {(row["question"], row["seed"], row["spent"]) for row in log}
    return [key for key in asked for text, *rest in done if text in key[0] and tuple(rest) == key[1:]]


def test_a_collector_that_is_killed_again_and_again_ends_as_if_it_were_not(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, 3, 8, (10, 40))


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--fail-every", "7"), ("--drop-every", "11")], ids=["well", "busy", "dropping"])
def test_thirty_questions_with_kills_all_along(flags: tuple[str, ...], tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, 30, 16, (100, 400), *flags)


@pytest.fixture(scope="module")
def stub() -> Any:
    with token_server("--least", "30", "--most", "90") as server:
        yield server


def test_the_command_writes_an_environment_and_reads_it_anew_without_a_server(
    stub: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    questions_file(tmp_path, 2)
    assert _run(words(stub.url, tmp_path, 4)) == 0
    out = capfd.readouterr().out
    assert "branches 8 of 8" in out and "stub/quiz, 2 questions, 8 branches" in out
    first = load_environment(tmp_path / "e.jsonl")
    assert (first.equivalence, first.dataset, first.provenance["answers"]) == ("latex", "quiz", "math")
    assert first.provenance["server"] == stub.url and "tokens by" in first.provenance["asked"]
    requests = stub.state()["requests"]
    assert _run(words(stub.url, tmp_path, 4)) == 2
    assert "exists already" in capfd.readouterr().err
    (tmp_path / "mine.py").write_text("def read(text):\n    return '5'\n")
    assert _run(words(stub.url, tmp_path, 4, "e.jsonl", "--force", "--answers", f"{tmp_path}/mine.py:read")) == 0
    anew = load_environment(tmp_path / "e.jsonl")
    assert {a for q in anew.questions for b in q.branches for a in b.answers} == {"5"} and anew.equivalence == "exact"
    assert stub.state()["requests"] == requests
    # The texts lie beside the environment, and a folder of environments is loaded without them.
    assert (tmp_path / "e.texts.jsonl").exists()
    (tmp_path / "quiz.jsonl").unlink()
    assert len(load_environments([tmp_path])) == len(load_environments([f"{tmp_path}/*.jsonl"])) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--interval", "32"), ("--temperature", "0.1"), ("--seed", "3"), ("--stop", "x"), ("--max-tokens", "99")],
)
def test_a_changed_setting_is_named(
    option: str, value: str, stub: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    questions_file(tmp_path, 1)
    assert _run(words(stub.url, tmp_path, 2)) == 0
    assert _run(words(stub.url, tmp_path, 2, "e.jsonl", "--force", option, value)) == 2
    assert f"was recorded with {option}" in capfd.readouterr().err


def test_a_recording_that_nobody_answered_is_begun_anew_with_other_settings(
    stub: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    questions_file(tmp_path, 1)
    assert _run([*words(stub.url, tmp_path, 2), "--model", "no-such"]) == 2
    assert "there is no such model" in capfd.readouterr().err
    assert _run(words(stub.url, tmp_path, 2)) == 0
    assert load_environment(tmp_path / "e.jsonl").model == "stub"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "a"}', "line 2, field 'answer'"),
        ('{"question": "What is 0 + 1 + 7?", "answer": "8"}', "line 2, field 'question': was given on line 1"),
        ('{"question": "a", "answer": "ERR"}', "line 2, field 'answer'"),
        ('{"question": ', "line 2"),
        ("[]", "line 2"),
    ],
    ids=range(5),
)
def test_bad_questions_are_refused_before_anything_is_made(
    line: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = questions_file(tmp_path, 1)
    path.write_text(path.read_text() + line + "\n")
    assert _run(words("http://127.0.0.1:1/v1", tmp_path, 2)) == 2
    assert message in capfd.readouterr().err and [found.name for found in tmp_path.iterdir()] == ["quiz.jsonl"]


def test_an_answer_that_is_no_choice_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    questions_file(tmp_path, 1)
    assert _run(words("http://127.0.0.1:1/v1", tmp_path, 2, "e.jsonl", "--answers", "choice")) == 2
    assert "is no letter A–J" in capfd.readouterr().err


def start(url: str, folder: Path, *more: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "autotts", *words(url, folder, 8, "e.jsonl", *more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def until_written(journal: Path, lines: int) -> None:
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= lines):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_interrupt_keeps_what_has_ended(tmp_path: Path) -> None:
    questions_file(tmp_path, 3)
    with token_server("--least", "60", "--most", "90", "--delay", "0.003") as server:
        with start(server.url, tmp_path) as process:
            until_written(tmp_path / "e.texts.jsonl", 8)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130 and "the same command goes on" in err and "Traceback" not in err
        assert not (tmp_path / "e.jsonl").exists()
        deadline = time.monotonic() + 60
        while server.state()["running"]:  # streams were closed
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with start(server.url, tmp_path) as process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err


def test_a_full_disk_is_one_sentence_and_loses_nothing(stub: Any, tmp_path: Path) -> None:
    questions_file(tmp_path, 3)

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    with start(stub.url, tmp_path, preexec_fn=limit) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "e.texts.jsonl: cannot be written (File too large)" in err
    assert err.count("\n") == 1 and (tmp_path / "e.texts.jsonl").read_bytes().endswith(b"\n")
    kept = written(tmp_path / "e.texts.jsonl")
    assert kept
    with start(stub.url, tmp_path) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert written(tmp_path / "e.texts.jsonl") >= kept


# ---- what a probe costs, and the page --------------------------------------------------------------------------------


def test_a_probe_that_costs_something_is_shown_beside_a_free_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = small_environment()
    save_environment(replace(made, provenance={"kappa_measured": "36.6"}), "e.jsonl")
    save_environment(made, "unmeasured.jsonl")
    save_environment(replace(made, provenance={"kappa_measured": "nan"}), "strange.jsonl")

    def rows(*words: str) -> list[dict[str, Any]]:
        capfd.readouterr()
        command = ["evaluate", "parallel_probe", "--betas", "0,1", "--seeds", "2", "--env", "e.jsonl", "--json"]
        assert _run([*command, *words]) == 0
        found: list[dict[str, Any]] = json.loads(capfd.readouterr().out)
        return found

    both, free, paid = rows("--kappa-probe", "measured"), rows(), rows("--kappa-probe", "37")
    assert both == free + paid
    assert [row["kappa_probe"] for row in both] == [0, 0, 37, 37]
    assert all(other["tokens"] > row["tokens"] for row, other in zip(free, paid, strict=True))
    words = ["evaluate", "cmc", "--betas", "0,1", "--seeds", "2", "--kappa-probe"]
    assert _run([*words, "measured", "--env", "e.jsonl"]) == 0
    assert "tokens, κ measured" in capfd.readouterr().out
    for env in ("unmeasured", "strange"):
        assert _run([*words, "measured", "--env", f"{env}.jsonl"]) == 2
        assert "says nothing that can be used" in capfd.readouterr().err
    for wrong in ("-1", "1.5", "x", str(2**31)):
        assert _run([*words, wrong, "--env", "e.jsonl"]) == 2
        assert "must be a whole number of tokens, or measured" in capfd.readouterr().err


def test_the_collecting_page_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub: Any, httpserver: HTTPServer
) -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "collecting.md").read_text()
    questions_file(tmp_path, 6).rename(tmp_path / "questions.jsonl")
    published = SHARED / "replay"
    for path in published.rglob("*.json"):
        httpserver.expect_request(f"/{path.relative_to(published)}").respond_with_data(path.read_bytes())
    bin_ = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "AUTOTTS_FROM": httpserver.url_for("/")}
    blocks = [
        line for block in re.findall(r"<!-- run -->\n```bash\n(.*?)```", text, re.S) for line in block.splitlines()
    ]
    assert len(blocks) == 10
    for line in blocks:
        if "fetch" in line and not published.is_dir():
            continue
        line = line.replace("http://localhost:8000/v1", stub.url).replace("Qwen/Qwen3-8B", "stub")
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0 and done.stdout, f"{line}\n{done.stdout}\n{done.stderr}"
