"""Traces: what is recorded, and what a hostile program or child cannot make of it."""

from __future__ import annotations

import json
import marshal
from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.errors import CpuLimit, Crashed, InadmissibleAction, InputError, OutputLimit, PolicyViolation, ProgramError
from autotts.evaluation import EpisodeTrace, Evaluator, Program, Protocol, load_program, row_digest, shipped
from autotts.evaluation.shards import Prepared, Work
from autotts.evaluation.tracing import Scene, trace_block
from autotts.evaluation.wire import MAX_NOTE, MAX_NOTE_NAME, MAX_NOTES
from autotts.replay import Environment
from autotts.replay.episode import OP_ADVANCE, OP_OPEN, OP_PROBE, OP_PRUNE
from autotts.sandbox import Limits
from autotts.sandbox.policy import FILENAME
from autotts.testing.corpus import Unguarded
from autotts.traces import (
    episode,
    timeline,
)
from tests.small import small_environment
from tests.traced import LINES, MIXED, SHOWS, program

HERE = Path(__file__).parent


# ---- recording -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sc", "asc", "esc", "parallel_probe", "cmc", "class", "mixed"])
def test_tracing_changes_nothing(evaluator: Evaluator, name: str) -> None:
    own = {"class": load_program(str(HERE / "class_style.py")), "mixed": MIXED}
    overrides = {"sc": {"max_samples": 8}, "asc": {"max_samples": 8}, "esc": {"max_samples": 8}}.get(name, {})
    if name == "parallel_probe":
        overrides = {"num_chains": 8, "warm_up": 1, "prune_patience": 1}
    protocol = Protocol((0.0, 0.2), (0, 3), {} if name == "class" else overrides)
    what = own.get(name) or shipped(name)
    results = evaluator.run(what, protocol)
    traces = evaluator.trace(what, protocol)
    rows: dict[tuple[int, int, int], list[EpisodeTrace]] = defaultdict(list)
    for trace in traces:
        rows[trace.environment, protocol.betas.index(trace.beta), trace.seed // 3].append(trace)
        assert trace.line is not None
        assert all(action.line is not None for action in trace.actions)
    for e, result in enumerate(results):
        for b in range(2):
            spent = [t.tokens for t in traces if (t.environment, t.beta) == (e, protocol.betas[b])]
            assert sum(spent) == result.tokens[b].sum()
            for s in range(2):
                assert row_digest(rows[e, b, s]) == result.digests[b, s]


def test_actions_notes_and_the_return_have_their_lines(evaluator: Evaluator) -> None:
    trace = episode(evaluator, LINES, 0, 3, seed=SHOWS)
    assert [(a.op, a.branches, a.line) for a in trace.actions] == [
        (OP_OPEN, (0, 1), 9),
        (OP_ADVANCE, (0,), 7),
        (OP_PRUNE, (1,), 12),
    ]
    assert trace.line == 18
    assert [(n.after, n.line, n.name, n.value) for n in trace.notes] == [
        (1, 10, "opened", "[0, 1]"),
        (3, 16, "end", "{answer: a0, 1: <tuple>}"),
    ]
    bought = episode(evaluator, LINES, "two/tiny", 3)
    assert [a.op for a in bought.actions] == [OP_OPEN, OP_ADVANCE, OP_PRUNE, OP_PROBE]
    assert bought.actions[-1].line == 15


OBJECT = """def schedule(beta):
    return {}


class Solver:
    def __call__(self, episode, knobs):
        if episode.can_branch:
            return episode.probe(episode.branch())
        return None


solve = Solver()
"""

DECORATED = """def schedule(beta):
    return {}


def twice(function):
    def inner(episode, knobs):
        first = function(episode, knobs)
        return first if first else function(episode, knobs)
    return inner


@twice
def solve(episode, knobs):
    return None
"""

ITSELF = """def schedule(beta):
    return {}


def solve(episode, knobs, n=3):
    if n:
        answer = solve(episode, knobs, n - 1)
        return answer
    return episode.probe(episode.branch())
"""


@pytest.mark.parametrize(("source", "line"), [(OBJECT, 8), (ITSELF, 8), (DECORATED, 8)])
def test_the_return_is_found_however_solve_is_made(evaluator: Evaluator, source: str, line: int) -> None:
    assert episode(evaluator, Program.from_source(source), 0, 1).line == line


def test_class_style_programs_are_traced_too(evaluator: Evaluator) -> None:
    trace = episode(evaluator, load_program(str(HERE / "class_style.py")), 0, 2, beta=1.0)
    text = (HERE / "class_style.py").read_text().split("\n")
    assert trace.line is not None
    assert text[trace.line - 1].strip().startswith("return")
    assert all(a.line and "question." in text[a.line - 1] for a in trace.actions)


@pytest.mark.parametrize(
    ("environment", "question", "beta", "words"),
    [
        ("three", 1, 0.5, "no environment 'three'"),
        (2, 1, 0.5, "no environment 2"),
        (0, 9, 0.5, "question 9; one/tiny has 8"),
        (0, 1, 2, "β = 2"),
    ],
)
def test_what_is_not_there_is_said(
    evaluator: Evaluator, environment: Any, question: int, beta: float, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        episode(evaluator, MIXED, environment, question, 0, beta)


# ---- hostile programs and children ---------------------------------------------------------------------------------

ODD = program(
    """
class Odd:
    def __repr__(self):
        episode.branches(10 ** 6)
    def __str__(self):
        return 7
    def __hash__(self):
        return 1
    def __iter__(self):
        return iter(episode.branches(10 ** 6))
class Text(str):
    pass
nest = []
nest.append(nest)
deep = []
for _ in range(10000):
    deep = [deep]
for value in (10 ** 10000, "x" * 10 ** 6, Odd(), {Odd()}, {Odd(): 1}, nest, deep, list(range(10 ** 5)), Text("y"),
              float("nan"), -0.0, chr(0xd800) + chr(27) + "[2J", len, episode, Odd, {}, range(3), b"z"):
    episode.note(value, value)
for _ in range(1000):
    episode.note("n" * 1000, 1)
return None
"""
)


def test_notes_of_any_kind_are_bounded_plain_text_and_run_nothing(evaluator: Evaluator) -> None:
    trace = episode(evaluator, ODD, 0, 1)
    assert trace.actions == ()
    assert (len(trace.notes), trace.notes_left_out) == (MAX_NOTES, 18 + 1000 - MAX_NOTES)
    assert all(len(n.name) <= MAX_NOTE_NAME and len(n.value) <= MAX_NOTE for n in trace.notes)
    assert all((n.name + n.value).isprintable() for n in trace.notes)
    values = [n.value for n in trace.notes]
    assert values[2:6] == ["<Odd>", "{<Odd>}", "{<Odd>: 1}", "[<list>]"]
    assert "more notes are not shown" in timeline(trace, evaluator.environments[0]).text()


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("return episode.note.__closure__", PolicyViolation),
        ("return episode._note", PolicyViolation),
        ("import sys\nsys.settrace(None)", PolicyViolation),
        ("try:\n    1 / 0\nexcept Exception as e:\n    return e.__traceback__.tb_frame", PolicyViolation),
        ("return (x for x in [1]).gi_frame", PolicyViolation),
        ("def f():\n    return f()\nreturn f()", Crashed),
        ("def f(n):\n    episode.note('n', n)\n    return f(n + 1)\nreturn f(0)", Crashed),
        ("episode.note = print", Crashed),
        ("episode.note = 1", Crashed),
        ("while True:\n    episode.note('x', 1)", CpuLimit),
        ("return episode.note('x', 1, 2)", Crashed),
        ("episode.branches(3)\nepisode.advance([0, 0])", InadmissibleAction),
        ("return 'a0'", InadmissibleAction),
        ("raise SystemExit", Crashed),
    ],
)
def test_abuse_of_a_trace_ends_typed(worlds: list[Environment], body: str, outcome: type[ProgramError]) -> None:
    # Past the smoke episodes, which are not traced: only questions from the third on have so many branches.
    limits = Limits(cpu_seconds=0.5, wall_seconds=10)
    with Evaluator(worlds[:1], workers=1, smoke=limits) as evaluator, pytest.raises(outcome):
        evaluator.trace(program(body), Protocol((0.5,), (0,)))


def test_what_happens_only_in_a_trace_ends_typed_and_with_its_place(evaluator: Evaluator) -> None:
    late = program("episode.branch()\nif episode.probe(0) == 'ERR':\n    def f(n):\n        return f(n + 1)\n    f(0)")
    with pytest.raises(Crashed, match=r"RecursionError.*question \d") as caught:
        evaluator.trace(late, Protocol((0.5,), (0, 1, 2)))
    assert caught.value.frames[-1] == (8, "f")


RECORDER = """import sys
def schedule(beta):
    return {}
def solve(episode, knobs):
    frame = sys._getframe()
    while "source" not in frame.f_locals or "notes" not in frame.f_locals:
        frame = frame.f_back
    recorder, source, notes = (frame.f_locals[name] for name in ("self", "source", "notes"))
    episode.branches(2)
    answer = episode.probe(0)
    BODY
    return answer
"""
"""A program without the policy, which has found its recorder."""


@pytest.mark.parametrize(
    "body",
    [
        "recorder._numbers.append(1)",
        "recorder._numbers.extend([-1, 0, 0, 0, 0, 0])",
        "del source.lines[:]",
        "source.lines[:] = [9] * 9",
        "source.lines[:] = [999]",
        "source.lines[:] = ['x']",
        "notes.append('x')",
        "notes.append([0, 0, 0, 'n', 'v'] * 2)",
        "notes += [[0, 0, 0, 'n', 'v']] * 201",
        "notes.append([7, 0, 0, 'n', 'v'])",
        "notes.append([0, 5, 0, 'n', 'v'])",
        "notes.append([0, 0, 0, 'n', 'v' * 10 ** 7])",
        "recorder._notes = [[0] * 10 ** 6]",
        "recorder._episodes = 5; episode.note('n', 1)",
        "episode._log[:] = [1, 2, 2, 1, 7]; source.lines.append(9)",
        "episode._log += [9, 1, 0]",
        "episode._log *= 10 ** 4",
        "episode._labels[5] = 'a9'; episode._ids['a9'] = 5; episode._labels[10 ** 6] = 'a8'",
        "episode._ids['a9'] = 10 ** 6; answer = 'a9'",
        "recorder.frames = lambda: (b'', b'')",
        "recorder.frames = lambda: (b'1', b'[]')",
        "recorder.frames = lambda: ()",
        "recorder.frames = lambda: (b' ' * (64 << 20), b'[]')",
        "sys.settrace(lambda *a: 1 / 0); solve.__code__",
    ],
)
def test_a_program_that_has_found_the_hook_ends_typed_or_with_honest_figures(
    worlds: list[Environment], body: str
) -> None:
    """The first question alone, for then its frame tells of this episode."""
    source = Program.from_source(RECORDER.replace("BODY", body))
    with Unguarded(worlds[:1], workers=1, reduced=True) as evaluator:
        evaluator._smoke = lambda *given: Work(*given, evaluator_code(source))  # type: ignore[method-assign]
        try:
            (trace,) = evaluator.trace(source, Protocol((0.5,), (0,)), (0, 0))
        except ProgramError:
            return
    assert trace.tokens == 1000
    assert [(a.op, a.branches) for a in trace.actions] == [(OP_OPEN, (0, 1))]
    assert trace.line in {None, *range(1, 13)}


def evaluator_code(program: Program) -> bytes:
    """A program's code as its first child would give it."""
    return marshal.dumps(compile(program.source, FILENAME, "exec", dont_inherit=True))


class Said:
    """A child that says what it was made to say."""

    def __init__(self, *frames: bytes) -> None:
        self._frames = [b'[{"b": 0.5}]', *frames]

    def send(self, data: bytes) -> None:
        pass

    def recv(self, limit: int | None = None) -> bytes:
        payload = self._frames.pop(0)
        if limit is not None and len(payload) > limit:
            raise OutputLimit("too much")
        return payload


SCENE = Scene(0, Prepared.of(small_environment(questions=2)))


def heard(numbers: list[int], notes: Any = ()) -> list[EpisodeTrace]:
    """What the host makes of it, of a shard of two episodes."""
    told = notes if isinstance(notes, bytes) else json.dumps(notes).encode()
    child: Any = Said(array("i", numbers).tobytes(), told)
    return trace_block(Work(MIXED, Protocol((0.5,), (0,))), 0.5, SCENE, child)


NONE = [-1, 0, 0, 0, 0, 0]
GOOD = [-1, 6, 0, 6, 2, 0, OP_OPEN, 2, OP_ADVANCE, 2, 0, 1, 6, 8]


def test_an_honest_trace_is_believed() -> None:
    first, second = heard(GOOD + NONE, [[0, 1, 7, "name", "value"]])
    assert (len(first.actions), first.line, first.notes[0].value) == (2, 6, "value")
    assert (second.actions, second.line, second.tokens) == ((), None, 0)


def changed(at: int, value: int) -> list[int]:
    return [*GOOD[:at], value, *GOOD[at + 1 :], *NONE]


@pytest.mark.parametrize(
    ("numbers", "notes"),
    [
        (GOOD, ()),  # an episode is missing
        (GOOD + NONE + NONE, ()),
        (GOOD + NONE + [1], ()),
        (changed(0, 10**6), ()),  # an answer that was not shown
        (changed(0, -2), ()),
        (changed(1, 10**6), ()),  # a line that there is not
        (changed(1, -1), ()),
        (changed(2, -1), ()),
        (changed(3, 5), ()),
        (changed(3, 2**31 - 1), ()),
        (changed(3, -1), ()),
        (changed(4, 1), ()),
        (changed(6, 9), ()),  # an action that there is not
        (changed(7, 2**31 - 1), ()),
        (changed(7, 0), ()),
        (changed(8, OP_PROBE), ()),  # which is free here and not logged
        (changed(10, 1), ()),  # twice in a wave
        (changed(11, 5), ()),  # not open
        (changed(13, 10**6), ()),
        ([-1, 0, 0, 0, 0, 1, 10**6, *NONE], ()),
        ([-1, 0, 0, 0, 0, 1, 0, *NONE], ()),
        ([-1, 6, 0, 2, 1, 2, OP_OPEN, 1, 6, 3, 3, *NONE], ()),
        (GOOD + NONE, {}),
        (GOOD + NONE, b"[" * 5000),
        (GOOD + NONE, b"\xff"),
        (GOOD + NONE, [[0, 1, 7, "name"]]),
        (GOOD + NONE, [[0, 1, 7, "name", 5]]),
        (GOOD + NONE, [[2, 1, 7, "name", ""]]),
        (GOOD + NONE, [[0, 3, 7, "name", ""]]),
        (GOOD + NONE, [[0, True, 7, "name", ""]]),
        (GOOD + NONE, [[0, 1, 1e9, "name", ""]]),
        (GOOD + NONE, [[0, 1, 10**6, "name", ""]]),
        (GOOD + NONE, [[0, 0, 1, "", ""]] * (MAX_NOTES + 1)),
        (GOOD + NONE, b" " * 10**7),
        ([0] * 10**6, ()),
    ],
)
def test_a_trace_that_cannot_be_is_refused(numbers: list[int], notes: Any) -> None:
    with pytest.raises(OutputLimit):
        heard(numbers, notes)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(-2, 12)), max_size=4), st.integers(0, 25))
def test_whatever_is_said_is_a_possible_trace_or_a_typed_outcome(changes: list[tuple[int, int]], cut: int) -> None:
    numbers = GOOD + NONE
    for at, value in changes:
        numbers[at] = value
    try:
        traces = heard(numbers[: len(numbers) - max(0, cut - 15)])
    except OutputLimit:
        return
    most = SCENE.prepared.most_tokens
    assert all(0 <= t.sequential_tokens <= t.tokens <= most[t.question] for t in traces)
