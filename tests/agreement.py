"""What a server says, recorded; and episodes on it, replayed and lived, told in the same words."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from autotts.evaluation import Program
from autotts.live.connect import Connection, Sampling, connect
from autotts.live.reading import Reader
from autotts.live.solver import Solver
from autotts.live.source import Step
from autotts.replay import UNPARSED, Environment, Question, get_equivalence
from autotts.replay.episode import Episode
from autotts.replay.source import Paid, TableSource, branch_order
from autotts.replay.tables import answer_ids, table_of

DELTA, MOST = 16, 64
BRANCHES, ALLOWED = 12, 10
TOTALS = (1, 5, DELTA - 1, DELTA, DELTA + 1, 2 * DELTA, 2 * DELTA + 1, 3 * DELTA, MOST - 1, MOST, MOST + 1, 90)
"""Shorter than an interval, as long as several, or cut off at MOST tokens."""

SPELLINGS = ("1/2", "0.5", "\\frac{1}{2}", "3", "3.0", "", "7", "x + 1")
"""Several are one answer, and one is none."""


def write_recording(folder: Path) -> None:
    """What the server says, and the questions as `env collect` takes them; the first has a branch of each length."""
    draw, rows = random.Random(1), []
    for q in range(4):
        totals = draw.sample(TOTALS, BRANCHES) if q == 0 else [draw.randint(1, 90) for _ in range(BRANCHES)]
        weights = [draw.choice((1, 2, 6)) for _ in SPELLINGS]
        branches = []
        for total in totals:
            *probes, final = draw.choices(SPELLINGS, weights, k=(total - 1) // DELTA + 1)
            branches.append([probes, total, final])
        rows.append({"question": f"Question number {q}: how much?", "branches": branches, "answer": "0.50"})
    (folder / "recording.json").write_text(json.dumps({"interval": DELTA, "questions": rows}))
    (folder / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def collecting(url: str, folder: Path, *more: str) -> list[str]:
    options = {
        "base-url": url,
        "model": "stub",
        "questions": folder / "quiz.jsonl",
        "branches": BRANCHES,
        "interval": DELTA,
        "max-tokens": MOST,
        "max-branches": ALLOWED,
        "display": "none",
        "deadline": 20,
        "output": folder / "env.jsonl.gz",
    }
    return ["env", "collect", *(word for name, value in options.items() for word in (f"--{name}", str(value))), *more]


@dataclass(frozen=True)
class Told:
    """All that can be told of an episode; answers in their canonical form.

    Attributes:
        steps: (wave, what, branch, its depth, answer, tokens so far) of every action, in order.
    """

    steps: list[tuple[int, str, int, int, str | None, int]]
    answer: str | None
    votes: dict[str, int]
    tokens: int
    sequential_tokens: int
    probes: int
    branches: int
    finished: int
    pruned: int
    depths: tuple[int, ...]
    finished_tokens: tuple[int, ...]
    knobs: dict[str, float]


class Telling:
    """A recorded source that tells what branches do in a live one's words."""

    def __init__(self, question: Question, environment: Environment, seed: int) -> None:
        table, _ = table_of(question)
        self._source = TableSource(table, seed, environment.interval, environment.max_branches)
        self._kappa = environment.kappa_probe
        self._written = {number: answer for answer, number in answer_ids(question).items()}
        self.limit, self.depths = self._source.limit, self._source.depths
        self.ended: set[int] = set()
        self.asked: set[tuple[int, int]] = set()
        self.last: dict[int, str] = {}
        self.spent = 0
        self.steps: list[tuple[int, str, int, int, str | None, int]] = []

    def open(self, first: int, n: int) -> Paid:
        return self._paid("opened", range(first, first + n), self._source.open(first, n))

    def advance(self, branches: Sequence[int]) -> Paid:
        return self._paid("advanced", branches, self._source.advance(branches))

    def finish(self, branches: Sequence[int]) -> Paid:
        return self._paid("finished", branches, self._source.finish(branches))

    def prune(self, branches: Sequence[int]) -> None:
        self._tell([("pruned", i, None) for i in branches])

    def probe(self, branches: Sequence[int]) -> Sequence[int]:
        ids = self._source.probe(branches)
        answers = [self._written[number] for number in ids]
        self.spent += self._kappa * len(branches)
        self.asked |= {(i, self.depths[i]) for i in branches if i not in self.ended}
        self.last |= dict(zip(branches, answers, strict=True))
        self._tell([("probed", i, answer) for i, answer in zip(branches, answers, strict=True)])
        return ids

    def signal(self, branch: int, name: str) -> float | None:
        return self._source.signal(branch, name)

    def _paid(self, what: str, wave: Sequence[int], paid: Paid) -> Paid:
        self.spent += paid[0]
        self.ended |= set(paid[2])
        self._tell([("finished" if i in paid[2] else what, i, None) for i in wave])
        return paid

    def _tell(self, told: Sequence[tuple[str, int, str | None]]) -> None:
        wave = self.steps[-1][0] + 1 if self.steps else 1
        self.steps += [(wave, what, i, self.depths[i], answer, self.spent) for what, i, answer in told]

    def written(self, number: int) -> str | None:
        return self._written[number] if number > 0 else None


def replayed(program: Program, environment: Environment, number: int, beta: float, seed: int) -> Told:
    """An episode on a recording, told by the recording's side."""
    question = environment.questions[number]
    source = Telling(question, environment, seed)
    episode = Episode(source, environment.interval, environment.kappa_probe)
    module: dict[str, Any] = {}
    exec(program.source, module)
    knobs = module["schedule"](beta)
    answer = episode._answer_id(module["solve"](episode, knobs))
    order = branch_order(seed, len(question.branches))
    return Told(
        source.steps,
        source.written(answer),
        dict(Counter(answer for answer in source.last.values() if answer != UNPARSED)),
        episode.tokens,
        episode.sequential_tokens,
        len(source.asked),
        len(source.depths),
        len(episode.finished_branches),
        sum(step[1] == "pruned" for step in source.steps),
        tuple(source.depths),
        tuple(question.branches[order[i]].tokens for i in episode.finished_branches),
        pytest.approx(knobs),
    )


def lived(told: dict[str, Any], steps: Sequence[Step], same: Callable[[str], str]) -> Told:
    """An episode on a server, told by its solution and by its steps."""

    def form(answer: str | None) -> str | None:
        return answer if answer in (None, UNPARSED) else same(answer)

    done = [(s.wave, s.what, s.branch, s.depth, form(s.answer), s.spent) for s in steps if s.what != "grown"]
    figures = {field.name: told[field.name] for field in fields(Told) if field.name != "steps"}
    lists = {name: tuple(value) for name, value in figures.items() if isinstance(value, list)}  # JSON has no tuples
    votes = {same(answer): n for answer, n in told["votes"].items()}
    return Told(steps=done, **{**figures, **lists, "answer": form(told["answer"]), "votes": votes})


Case = tuple[int, float, int]
"""Question, β, seed."""


def live(url: str, program: Program, environment: Environment, reader: Reader, cases: Sequence[Case]) -> list[Told]:
    """Episodes on a server, at the same time; the streams are all closed after them."""
    same = get_equivalence(environment.equivalence)
    rules = environment.interval, environment.max_branches, environment.kappa_probe, environment.equivalence

    async def main() -> list[Told]:
        async with (
            connect(Connection(url, "stub", Sampling(max_tokens=MOST), deadline=20.0)) as model,
            Solver(program, model, reader, *rules) as solver,
        ):

            async def one(number: int, beta: float, seed: int) -> Told:
                question, steps = environment.questions[number], list[Step]()
                order = branch_order(seed, len(question.branches))
                solution = await solver.solve(question.text, beta, watch=steps.append, seeds=order.__getitem__)
                return lived(vars(solution), steps, same)

            return await asyncio.gather(*(one(*case) for case in cases))

    return asyncio.run(main())
