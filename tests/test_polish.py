"""Constants by CPU: what is found of them in the jail, what is tuned, and when there is nothing better."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.agents import Agent, Candidate, Context, MockAgent, make_agent
from autotts.agents.polish import PolishAgent, polished
from autotts.agents.polish.variants import FARTHEST, Variant, moved
from autotts.archive import Archive
from autotts.cli import _run
from autotts.errors import (
    Crashed,
    InputError,
    LimitReached,
    MemoryLimit,
    NothingBetter,
    OutputLimit,
    PolicyViolation,
)
from autotts.evaluation import Evaluator, Program, Protocol, even_betas, shipped
from autotts.evaluation.constants import Constant, constants_of, rewritten
from autotts.replay import Environment, Question, Trajectory, save_environment
from autotts.sandbox import Sandbox
from autotts.search import Config, Search, default_selector, start_run
from autotts.traces.bench import Bench
from tests.scripted import fenced

BAD = '''"""The vote of the branches that took long, and more of them with β."""

from autotts.toolkit import majority


def schedule(beta):
    return {"n": round(2 + 10 * beta), "long": 5}


def solve(episode, knobs):
    wave = episode.branches(knobs["n"])
    episode.finish(episode.active)
    long = [i for i in wave if episode.depth(i) >= knobs["long"]]
    return majority(episode.probe(long or wave))
'''


def long_world(questions: int = 12) -> Environment:
    """Right branches have eight intervals; wrong ones two or five, with another answer each."""
    rng = random.Random(5)
    made = []
    for q in range(questions):
        finals = rng.choices([("42", 7), ("7", 4), ("8", 1)], weights=[30, 25, 45], k=16)
        rows = tuple(Trajectory((final,) * depth, depth * 500 + rng.randint(1, 499), final) for final, depth in finals)
        made.append(Question(f"q{q}", f"Question {q}", "42", rows))
    return Environment("tiny", "long", 500, tuple(made), max_branches=12)


IDLE = BAD.replace('knobs["long"]', "5").replace('knobs["n"]', "3")
"""Its constants do nothing."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(preload=("autotts.evaluation.constants_child",)) as made:
        yield made


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Evaluator([long_world()], 2) as evaluator:
        yield Bench(evaluator, Protocol(even_betas(3), (0, 1)))


# ---- where constants are ---------------------------------------------------------------------------------------


def texts(source: str, sandbox: Sandbox) -> list[str]:
    return [constant.text for constant in constants_of(source, sandbox)]


def test_constants_are_the_positive_numbers_that_the_schedule_computes_with(sandbox: Sandbox) -> None:
    source = '''
LIMIT = 64
def schedule(beta):
    """Of 5 β."""
    table = [1, 2.5]
    return {"β": -3 * beta + .5e1, "x": 0 + 0.0, "y": round(4.25, 2), "z": table[1], "w": 0x10 + True, "v": f"{7}"}
def solve(episode, knobs):
    return 8
'''
    assert texts(source, sandbox) == ["1", "2.5", "3", ".5e1", "4.25"]


def test_constants_of_the_published_schedule(sandbox: Sandbox) -> None:
    found = texts(shipped("cmc").source, sandbox)
    assert found[:4] == ["2", "2", "6", "64"] and "0.85" in found and len(found) == 32


@given(st.lists(st.tuples(st.integers(1, 9999), st.booleans()), min_size=1, max_size=6), st.data())
def test_a_source_is_rewritten_at_its_constants_and_nowhere_else(numbers: list[tuple[int, bool]], data: Any) -> None:
    words = [str(number) if whole else repr(number / 7) for number, whole in numbers]
    source, constants = "β = ", []
    for word in words:
        constants.append(Constant(len(source), len(source) + len(word), word))
        source += f"{word} + é * "
    steps = [data.draw(st.floats(-FARTHEST, FARTHEST)) for _ in words]
    variant = Variant(source, tuple(constants), tuple(steps))
    written = rewritten(source, constants, variant.texts)
    assert written == "β = " + "".join(f"{text} + é * " for text in variant.texts)
    assert rewritten(source, constants, words) == source


@given(st.floats(1e-6, 1e6), st.integers(1, 10**6), st.floats(-FARTHEST, FARTHEST))
def test_a_moved_number_is_of_its_kind(value: float, count: int, step: float) -> None:
    share = moved(Constant(0, 1, repr(value)), step)
    assert float(share) > 0 and (value >= 1 or float(share) <= 1) and not share.isdecimal()
    whole = moved(Constant(0, 1, str(count)), step)
    assert whole.isdecimal() and int(whole) >= 1
    assert moved(Constant(0, 1, str(count)), 0.0) == str(count)


@pytest.mark.parametrize(
    ("source", "outcomes"),
    [
        ("def schedule(beta):\n    return {'x': " + "9" * 1_000_000 + "}\n", PolicyViolation),
        ("def schedule(beta):\n    return " + "(" * 50_000 + ")" * 50_000, PolicyViolation),
        ("def schedule(beta):\n    return " + "-" * 90_000 + "1\n", (Crashed, MemoryLimit, PolicyViolation)),
        ("def schedule(beta):\n    return " + "1+" * 60_000 + "1\n", (Crashed, MemoryLimit, PolicyViolation)),
        ("def schedule(beta):\n" + "".join(" " * n + "if 1:\n" for n in range(1, 150)), PolicyViolation),
        ("def schedule(beta:\n", PolicyViolation),
        ("def schedule(beta):\n    return '\0'\n", PolicyViolation),
    ],
)
def test_hostile_sources_end_in_typed_outcomes(source: str, outcomes: Any, sandbox: Sandbox) -> None:
    with pytest.raises(outcomes):
        constants_of(source, sandbox)


def test_many_constants_are_cut_off_and_long_ones_left_alone(sandbox: Sandbox) -> None:
    source = f"def schedule(beta):\n    return [{'9' * 400}, {', '.join(['5'] * 1000)}]\n"
    assert texts(source, sandbox) == ["5"] * 256


SOURCE = "def schedule(beta):\n    return {'x': 12 + x1 * 3.5}\n"
AT = SOURCE.index("12")


@pytest.mark.parametrize(
    "answer",
    [
        b"no json",
        b"[" * 9_000,
        b"{}",
        b"[[0, 3]]",
        b"[[true, 2]]",
        b"[[1, 2, 3]]",
        b"[[-5, 4]]",
        b"[[1e400, 4]]",
        json.dumps([[AT, AT + 1]]).encode(),
        json.dumps([[AT + 1, AT + 2]]).encode(),
        json.dumps([[AT + 6, AT + 7]]).encode(),
        json.dumps([[AT, AT + 2], [AT, AT + 2]]).encode(),
        json.dumps([[AT, 10**30]]).encode(),
        json.dumps([[AT, AT + 2]] * 1000).encode(),
    ],
)
def test_a_child_that_lies_is_not_believed(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Liar:
        def spawn(self, *_: Any) -> Any:
            return nullcontext(self)

        def send(self, _: bytes) -> None: ...

        def recv(self, _: int) -> bytes:
            return answer

    assert SOURCE[AT + 6 : AT + 7] == "1"
    with pytest.raises(OutputLimit):
        constants_of(SOURCE, Liar())  # type: ignore[arg-type]


# ---- tuning ----------------------------------------------------------------------------------------------------


def test_plainly_bad_constants_get_better(bench: Bench) -> None:
    parent = Program.from_source(BAD)
    found = polished(bench, parent, random.Random(1), generations=1)
    assert found.gain > found.gain_se > 0 and found.raw > 0.3 and found.measured <= 8 + found.considered
    assert found.parent == parent.id and found.program.idea == parent.idea
    (changed,) = [change for change in found.changes if change[1] == "5"]
    assert changed[0] == 7 and 6 <= int(changed[2]) <= 8
    facts = json.loads(found.to_json())
    assert facts["folds"] == 3 and facts["gain"] == pytest.approx(100 * found.gain, abs=1e-4)
    assert polished(bench, parent, random.Random(1), generations=1) == found


def test_constants_that_do_nothing_are_left_alone(bench: Bench) -> None:
    with pytest.raises(NothingBetter, match="no constants that make a difference"):
        polished(bench, Program.from_source(IDLE), random.Random(0))


def test_constants_at_their_optimum_are_left_alone(bench: Bench) -> None:
    best = Program.from_source(BAD.replace('"long": 5', '"long": 7').replace('knobs["n"]', "12"))
    with pytest.raises(NothingBetter, match=f"no constants of {best.id} are better than its own"):
        polished(bench, best, random.Random(0), generations=1)


def test_too_few_questions_are_said() -> None:
    with Evaluator([long_world(4)], 1) as evaluator:
        bench = Bench(evaluator, Protocol(even_betas(2), (0,)))
        with pytest.raises(NothingBetter, match="4 questions are too few"):
            polished(bench, Program.from_source(BAD), random.Random(0))


def test_time_that_is_over_ends_the_run(bench: Bench) -> None:
    class Purse:
        def seconds_left(self) -> float:
            return 0.0

    late = Context(1, 0, (candidate(BAD),), (), 0, bench, Purse())  # type: ignore[arg-type]
    with pytest.raises(LimitReached, match="--max-time"):
        PolishAgent().propose(late, random.Random(0))


# ---- in a search -----------------------------------------------------------------------------------------------


def searched(path: Path, rounds: int = 2, stop: tuple[int, int] | None = None) -> list[Candidate]:
    """A search in which a script writes a program and `polish` has every other slot, up to a place."""
    agents = [MockAgent([fenced(BAD)] * 9), PolishAgent(1)]
    with big_search(path, agents, rounds) as search:
        if stop is None:
            search.go()
        else:
            search.begin()
            while search.place != stop:
                search.step()
        return list(search.candidates)


@contextmanager
def big_search(path: Path, agents: Sequence[Agent], rounds: int) -> Iterator[Search]:
    """A search whose questions are enough for three folds."""
    config = Config(tuple(a.name for a in agents), rounds, 2, betas=3, seeds=2, screen_seeds=2)
    worlds = [long_world()]
    with Archive(path) as archive, Evaluator(worlds, 2) as evaluator:
        name = start_run(archive, "run-1", config, worlds)
        yield Search(archive, name, config, worlds, agents, default_selector(worlds), evaluator)


def test_a_search_confirms_the_polished_child_as_an_ordinary_program(tmp_path: Path) -> None:
    told = searched(tmp_path / "a.db")
    parent = next(c for c in told if c.source == BAD)
    made = [c for c in told if c.agent == "polish"]
    child = next(c for c in made if c.parents == (parent.id,))
    assert child.outcome == "ok" and child.points and child.idea == parent.idea
    assert child.gain is not None and parent.gain is not None and child.gain > parent.gain
    assert json.loads(child.answer)["parent"] == parent.id


@pytest.mark.slow
def test_a_search_that_was_stopped_before_a_polish_goes_on_row_for_row(tmp_path: Path) -> None:
    searched(tmp_path / "a.db")
    searched(tmp_path / "b.db", stop=(2, 1))
    searched(tmp_path / "b.db")
    whole, resumed = (Archive(tmp_path / name, create=False) for name in ("a.db", "b.db"))
    with whole, resumed:
        assert list(resumed.dump()) == list(whole.dump())


def candidate(source: str, agent: str = "mock/script", **options: Any) -> Candidate:
    program = Program.from_source(source)
    given = {"outcome": "ok", "gain": 0.1, "front": True, "parents": (), **options}
    return Candidate(program.id, source, "", agent, "", gain_se=0.0, round=1, slot=0, **given)


def test_each_program_of_the_front_is_polished_once_the_best_first() -> None:
    low, high = candidate(BAD), candidate(IDLE, gain=0.2)
    base, off = candidate("base\n", "baseline", gain=0.9), candidate("off\n", front=False, gain=0.8)
    class_style = candidate("class X: ...\n", class_name="X", gain=0.9)
    there = [low, high, base, off, class_style]

    def chosen(told: list[Candidate], number: int = 0, parents: tuple[Candidate, ...] = ()) -> str | None:
        found = PolishAgent()._parent(Context(1, 0, tuple(told), parents, number))
        return None if found is None else found.id

    assert [chosen(there, number) for number in range(4)] == [high.id, low.id, base.id, None]
    assert chosen(there, 0, (off,)) == off.id
    child = candidate("child\n", "polish", parents=(high.id,), gain=0.7)
    assert chosen([*there, child], 1) == low.id
    words = f"no constants of {low.id} are better than its own"
    declined = replace(candidate("", "polish", outcome="NothingBetter", message=words), id="")
    assert chosen([*there, child, declined], 2) == base.id


def test_without_a_program_left_the_slot_says_so(bench: Bench) -> None:
    with pytest.raises(NothingBetter, match="no program on the front that was not polished yet"):
        PolishAgent().propose(Context(1, 0, (), (), 0, bench), random.Random(0))


def test_a_parent_that_does_not_run_is_an_outcome(bench: Bench) -> None:
    broken = candidate(BAD.replace("wave = ", "wave = 1 / 0; "))
    with pytest.raises(NothingBetter, match=f"{broken.id} cannot be polished: Crashed"):
        PolishAgent().propose(Context(1, 0, (broken,), (), 0, bench), random.Random(0))


# ---- commands --------------------------------------------------------------------------------------------------


def test_a_person_polishes_a_program_into_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def polish(name: str, source: str, *args: str, code: int = 0) -> str:
        Path(name).write_text(source)
        assert _run(["polish", name, "--env", "tiny.jsonl", "--archive", "a.db", *args]) == code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return out or err

    monkeypatch.chdir(tmp_path)
    save_environment(long_world(), "tiny.jsonl")
    told = polish("bad.py", BAD)
    assert "added in a.db" in told and "line 7: 5 → " in told and "that it was not tuned on (3 folds" in told
    with Archive("a.db", create=False) as archive:
        (child,) = archive.added()
    assert told.startswith(child[:10])
    assert "no constants that make a difference" in polish("idle.py", IDLE, code=1)
    refused = json.loads(polish("wrong.py", "def schedule(beta):\n    import os\n", "--json", code=1))
    assert refused["outcome"] == "PolicyViolation"


def test_without_the_optimiser_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(InputError, match=re.escape("pip install 'autotts[polish]'")):
        make_agent("polish")
