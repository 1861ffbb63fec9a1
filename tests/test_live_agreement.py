"""Replay is faithful: what was recorded from a server, replayed, is what happens live on that server.

The server (tests/token_server.py) is a process that speaks tokens over HTTP out of a recording, and imports nothing of
ours. `autotts env collect` records an environment from it; every program is played on that, and live on the server: the
same actions, answers and counts.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.cli import _run
from autotts.evaluation import SHIPPED, Evaluator, Program, Protocol, shipped
from autotts.live import branch as branch_module
from autotts.live.connect import Connection, Sampling, connect
from autotts.live.reading import Reader
from autotts.live.source import SIGNALS, LiveSource
from autotts.replay import UNPARSED, Environment, get_equivalence, load_environment, save_environment
from autotts.replay.episode import Episode
from autotts.replay.source import TableSource, branch_order
from autotts.replay.tables import table_of
from tests.agreement import BRANCHES, DELTA, MOST, TOTALS, collecting, live, lived, replayed, write_recording
from tests.stub_servers import Stub, token_server
from tests.test_live import act

KAPPA = 5

WEIGHING = Program.from_source('''
from autotts.toolkit import weighted_majority


def schedule(beta):
    return {"n": 3 + 6 * beta}


def solve(episode, knobs):
    """Prunes what is unsure, and weighs answers by how sure the model was."""
    opened = episode.branches(int(knobs["n"]))
    for _ in range(2):
        for i in sorted(episode.active, key=lambda i: episode.signal(i, "entropy") or 0.0)[4:]:
            episode.prune(i)
        for i in episode.active[::2]:
            episode.probe(i)
        for i in episode.active:
            if (episode.signal(i, "probe_logprob") or -0.1) < -0.3:
                episode.prune(i)
        episode.advance(episode.active)
    shown = [i for i in opened if i in episode.active or i in episode.finished_branches]
    answers = episode.probe(shown)
    return weighted_majority(answers, [2.0 + (episode.signal(i, "logprob") or 0.0) for i in shown])
''')

PROGRAMS = {**{name: shipped(name) for name in SHIPPED}, "weighing": WEIGHING}
BETAS, SEEDS = (0.2, 0.7), (0, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("agreement")
    write_recording(made)
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Stub]:
    with token_server("--recording", str(folder / "recording.json"), "--batch", "3") as running:
        yield running


@pytest.fixture(scope="module")
def environment(server: Stub, folder: Path) -> Environment:
    command = [sys.executable, "-m", "autotts", *collecting(server.url, folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return load_environment(folder / "env.jsonl.gz")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader("math") as made:
        yield made


def test_what_is_recorded_is_what_the_server_says(environment: Environment, folder: Path) -> None:
    same, seen = get_equivalence("latex"), Counter[str]()

    def form(answer: str) -> str:
        return same(answer) if answer else UNPARSED

    for question, row in zip(
        environment.questions, json.loads((folder / "recording.json").read_text())["questions"], strict=True
    ):
        assert question.text == row["question"]
        for branch, (probes, total, final) in zip(question.branches, row["branches"], strict=True):
            assert (branch.tokens, branch.truncated) == (min(total, MOST), total > MOST)
            assert branch.probes == tuple(map(form, probes[: (branch.tokens - 1) // DELTA]))
            assert branch.truncated or branch.final == form(final)
            assert {"logprob", "entropy"} <= branch.signals.keys()
            seen.update([*branch.probes, "truncated" if branch.truncated else "whole"])
    assert {branch.tokens for branch in environment.questions[0].branches} == {min(n, MOST) for n in TOTALS}
    assert seen[UNPARSED] and seen["1/2"] and seen["truncated"] and not seen["0.5"]


@pytest.fixture(scope="module")
def evaluator(environment: Environment) -> Iterator[Evaluator]:
    with Evaluator([environment], workers=1) as made:
        yield made


@pytest.mark.parametrize("name", PROGRAMS)
def test_replay_and_live_are_the_same(
    name: str, server: Stub, environment: Environment, evaluator: Evaluator, reader: Reader
) -> None:
    program, numbers = PROGRAMS[name], range(len(environment.questions))
    cases = list(product(numbers, BETAS, SEEDS))
    found = live(server.url, program, environment, reader, cases)
    for case, told in zip(cases, found, strict=True):
        assert told == replayed(program, environment, *case), case
    # The jail's host episodes, which figures come from, have the same sums.
    (result,) = evaluator.run(program, Protocol(BETAS, SEEDS), "confirm")
    for b, q in product(range(len(BETAS)), numbers):
        each = [told for case, told in zip(cases, found, strict=True) if case[:2] == (q, BETAS[b])]
        assert sum(told.tokens for told in each) == result.tokens[b, q]
        assert sum(told.sequential_tokens for told in each) == result.sequential_tokens[b, q]
        assert sum(told.branches for told in each) == result.branches[b, q]
        assert sum(told.answer == environment.questions[q].gold for told in each) == result.right[b, q]
    assert server.state()["running"] == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_where_probes_cost_something(name: str, server: Stub, environment: Environment, reader: Reader) -> None:
    paid, cases = replace(environment, kappa_probe=KAPPA), [(q, 0.5, 7) for q in range(len(environment.questions))]
    for case, told in zip(cases, live(server.url, PROGRAMS[name], paid, reader, cases), strict=True):
        assert told == replayed(PROGRAMS[name], paid, *case), case
        assert told.tokens > replayed(PROGRAMS[name], environment, *case).tokens


DIALECTS = {
    "vllm": ("--template", "vllm", "--counts", "ids"),
    "chat": ("--template", "none"),
    "chat-that-echoes": ("--template", "none", "--echo", "--batch", "5"),
    "scores": ("--counts", "none"),
    "chunks": ("--counts", "none", "--no-logprobs"),
    "pieces": ("--batch", "7", "--no-logprobs"),
    "thinking": ("--thinking", "--batch", "20"),
    "strict": ("--strict",),
    "eos": ("--eos", "--batch", "4"),
    "busy": ("--fail-every", "9"),
}


@pytest.fixture(scope="module")
def as_text(environment: Environment, folder: Path) -> Environment:
    """The same recording, read in a simpler way; nobody is asked."""
    words = collecting("http://127.0.0.1:1/v1", folder, "--answers", "text", "--equivalence", "latex", "--force")
    assert _run(words) == 0
    return load_environment(folder / "env.jsonl.gz")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_replayed_as_it_is_lived(dialect: str, folder: Path, as_text: Environment) -> None:
    """Recorded and lived in it; and what it is does not matter, but where it counts a token that ends a branch."""
    recording, output = str(folder / "recording.json"), folder / f"{dialect}.jsonl"
    program, cases = PROGRAMS["parallel_probe"], [(q, 0.6, 2) for q in range(len(as_text.questions))]
    with token_server("--recording", recording, *DIALECTS[dialect]) as server, Reader("text") as reader:
        words = collecting(server.url, folder, "-o", str(output), "--answers", "text", "--equivalence", "latex")
        assert _run(words) == 0
        recorded = load_environment(output)
        found = live(server.url, program, recorded, reader, cases)
    assert found == [replayed(program, recorded, *case) for case in cases]
    same = [replayed(program, as_text, *case).steps for case in cases]
    assert ([told.steps for told in found] == same) == (dialect != "eos")


@pytest.mark.parametrize(("name", "beta"), [("cmc", 0.8), ("parallel_probe", 0.3)])
def test_the_command_does_what_the_recording_says(
    name: str, beta: float, server: Stub, environment: Environment, tmp_path: Path
) -> None:
    """`solve --seed 0` opens the server's branches from 0 on: the recording is put in an order in which replay does."""
    order = branch_order(4, BRANCHES)
    questions = [
        replace(q, branches=tuple(q.branches[order.index(k)] for k in range(BRANCHES))) for q in environment.questions
    ]
    arranged = replace(environment, questions=tuple(questions), kappa_probe=KAPPA)
    save_environment(arranged, tmp_path / "env.jsonl")
    words = ["solve", "--base-url", server.url, "--model", "stub", "--max-tokens", str(MOST), "--controller", name]
    words += ["--beta", str(beta), "--env", str(tmp_path / "env.jsonl"), "--display", "none", "--json"]
    words.append(questions[1].text)
    done = subprocess.run([sys.executable, "-m", "autotts", *words], capture_output=True, text=True, timeout=120)
    told = lived(json.loads(done.stdout), [], get_equivalence("latex"))
    assert told == replace(replayed(PROGRAMS[name], arranged, 1, beta, 4), steps=[])
    assert (done.returncode, done.stderr) == (0 if told.answer else 1, "")


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 3), st.integers(0, 999), st.sampled_from([0, 3]), st.sampled_from([None, 0, 4]), st.booleans())
def test_any_walk_and_all_that_it_sees_are_the_same(
    server: Stub,
    environment: Environment,
    reader: Reader,
    number: int,
    seed: int,
    kappa: int,
    ahead: int | None,
    closed: bool,
) -> None:
    """Random actions and signals, with streams that are held, or closed and begun again within an interval."""
    question = environment.questions[number]
    order = branch_order(seed, BRANCHES)

    def walk(source: Any) -> list[Any]:
        episode, choose, seen = Episode(source, DELTA, kappa), random.Random(seed), list[Any]()
        for _ in range(12):
            seen.append(act(episode, choose))
            shown = episode.active + episode.finished_branches
            if shown:
                i = choose.choice(shown)
                seen.append([episode.signal(i, name) for name in choose.sample(SIGNALS, 2)])
        return [*seen, episode._log]

    async def main() -> tuple[list[Any], int, int]:
        async with connect(Connection(server.url, "stub", Sampling(max_tokens=MOST), deadline=20.0)) as model:
            same = get_equivalence("latex")
            asked = await model.ask(question.text)
            seeds = order.__getitem__
            source = LiveSource(model, asked, reader, same, DELTA, BRANCHES, kappa=kappa, seeds=seeds, ahead=ahead)
            try:
                seen = await asyncio.to_thread(walk, source)
            finally:
                await source.close()
            return seen, source.meter.tokens, source.meter.sequential_tokens

    with patch.object(branch_module, "HELD", 0.0 if closed else 2.0):
        seen, tokens, sequential = asyncio.run(main())
    table, _ = table_of(question)
    recorded = TableSource(table, seed, DELTA, BRANCHES)
    assert seen == walk(recorded)
    episode = next(step for step in reversed(seen) if isinstance(step, tuple))
    assert (tokens, sequential) == episode[3:5]
