"""Traces: what is recorded, what the instruments make of it, and what a hostile program cannot make of either."""

from __future__ import annotations

import json
import marshal
import math
import random
import time
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.errors import CpuLimit, Crashed, InadmissibleAction, InputError, OutputLimit, PolicyViolation, ProgramError
from autotts.evaluation import SAMPLE, EpisodeTrace, Evaluator, Program, Protocol, load_program, row_digest, shipped
from autotts.evaluation.shards import Prepared, Work
from autotts.evaluation.tracing import Scene, trace_block
from autotts.evaluation.wire import MAX_NOTE, MAX_NOTE_NAME, MAX_NOTES
from autotts.replay import Environment, answer_ids, load_environments, synthetic_environments
from autotts.replay.episode import OP_ADVANCE, OP_FINISH, OP_OPEN, OP_PROBE, OP_PRUNE
from autotts.sandbox import Limits
from autotts.sandbox.policy import FILENAME
from autotts.testing.corpus import Unguarded
from autotts.traces import (
    KINDS,
    LineCredit,
    credit,
    credit_by_line,
    episode,
    failures,
    gutter,
    timeline,
    without_prunes,
)
from autotts.traces._failures import kind_of, may_be_told
from autotts.traces._walk import questions_of, walk
from tests.small import small_environment

HERE = Path(__file__).parent


def program(body: str, schedule: str = "{}") -> Program:
    """A program whose `solve` begins at line 5; the first line of the body is line 6."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    head = f"from autotts.toolkit import majority\ndef schedule(beta):\n    return {schedule}\n\n"
    return Program.from_source(f"{head}def solve(episode, knobs):\n{lines}\n")


MIXED = program(
    """
opened = episode.branches(2 + int(6 * knobs["b"]))
for step in range(4):
    live = episode.active
    if live:
        episode.advance(live)
    seen = episode.probe(episode.active)
    best = majority(seen, skip_unparsed=True)
    for i, answer in zip(episode.active, seen):
        if len(episode.active) > 2 and answer != best:
            episode.prune(i)
    if best is not None and seen.count(best) > 3:
        return best
episode.finish(episode.active[:3])
done = episode.finished_branches
if len(done) > 2:
    return majority(episode.probe(done))
return episode.probe(done)[-1] if done else None
""",
    '{"b": beta}',
)
"""Every action, three returns, and answers that are wrong in many ways."""


@pytest.fixture(scope="module")
def worlds() -> list[Environment]:
    first = small_environment("one", questions=8, branches=20)
    second = small_environment("two", questions=8, branches=16, seed=1)
    return [first, replace(second, kappa_probe=30)]


@pytest.fixture(scope="module")
def evaluator(worlds: list[Environment]) -> Iterator[Evaluator]:
    with Evaluator(worlds, workers=1) as made:
        yield made


@pytest.fixture(scope="module")
def mixed(evaluator: Evaluator) -> list[EpisodeTrace]:
    return evaluator.trace(MIXED, replace(SAMPLE, seeds=(0, 1, 2)))


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


LINES = program(
    """
def deeper(n):
    return deeper(n - 1) if n else list(map(episode.advance, episode.active[:1]))

first, second = episode.branches(2)
episode.note("opened", [first, second])
deeper(2)
episode.prune(
    second,
)
for answer in episode.probe([first]):
    episode.note("end", {"answer": answer, 1: (None, 2.5)})
    if answer:
        return (
            answer
        )
"""
)


SHOWS = 1
"""A seed whose first branch shows an answer at the second interval."""


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
def solve(episode, knobs, again=True):
    if again:
        return solve(episode, knobs)
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


@pytest.mark.parametrize(
    ("source", "line"), [(OBJECT, 8), (ITSELF, 8), (DECORATED.replace("if again", "if not again"), 8)]
)
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
        evaluator._smoke = lambda *_: ((), evaluator_code(source))  # type: ignore[method-assign]
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
        self._frames = [b"code", b'[{"b": 0.5}]', *frames]

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


# ---- by another way of reckoning -----------------------------------------------------------------------------------


class Naive:
    """An episode reckoned from the recording itself, answers as they were written."""

    def __init__(self, trace: EpisodeTrace, environment: Environment) -> None:
        question = environment.questions[trace.question]
        branches = list(question.branches)
        random.Random(trace.seed).shuffle(branches)
        self.trace, self.environment = trace, environment
        self.gold, self.id = question.gold, question.id
        self.all = branches
        self.pool = branches[: environment.max_branches]

    def known(self, actions: int) -> tuple[int, dict[int, list[str]], dict[int, int], set[int], list[int]]:
        """After so many actions: tokens, what each branch revealed, depths, pruned, finished."""
        delta, kappa = self.environment.interval, self.environment.kappa_probe
        tokens, revealed, depth = 0, defaultdict(list), {}
        pruned: set[int] = set()
        done: list[int] = []
        for op, branches, _ in self.trace.actions[:actions]:
            for i in branches:
                recorded = self.pool[i]
                last = len(recorded.answers)
                if op == OP_PRUNE:
                    pruned.add(i)
                    continue
                if op == OP_PROBE:
                    tokens += kappa
                elif op == OP_FINISH:
                    tokens += max(0, recorded.tokens - delta * depth[i])
                    depth[i] = last
                else:
                    depth[i] = depth.get(i, 0) + 1
                    full = recorded.tokens if last == 1 else max(0, recorded.tokens - delta * (last - 1))
                    tokens += full if depth[i] == last else delta
                if depth[i] == last and i not in done:
                    done.append(i)
                if not kappa or op == OP_PROBE:
                    revealed[i].append(recorded.answers[depth[i] - 1])
        return tokens, revealed, depth, pruned, done

    def leader(self, actions: int) -> str | None:
        _, revealed, depth, _, _ = self.known(actions)
        return first_most([[a for a in revealed[i] if a != "ERR"][-1:] for i in sorted(depth)])

    @property
    def answer(self) -> str | None:
        """What was returned, as it was written."""
        if self.trace.answer < 0:
            return None
        ids = answer_ids(self.environment.questions[self.trace.question])
        return next(text for text, number in ids.items() if number == self.trace.answer)


def first_most(votes: list[list[str]]) -> str | None:
    flat = [vote for part in votes for vote in part]
    return max(flat, key=lambda a: (flat.count(a), -flat.index(a))) if flat else None


def naive_decisions(one: Naive) -> list[tuple[int | None, str, float, int, bool, bool]]:
    """(line, kind, Δ accuracy, Δ tokens, another answer, would have ended right) of each decision."""
    trace, gold, delta = one.trace, one.gold, one.environment.interval
    n = len(trace.actions)
    spent, revealed, depth, pruned, done = one.known(n)
    right = one.answer == gold
    kept = [b for i, b in enumerate(one.pool) if i not in pruned]
    majority = first_most([[b.final] for b in kept])
    more = 0
    for i, b in enumerate(one.pool):
        if i not in pruned and i not in done:
            unopened = i not in depth
            if unopened and len(b.answers) == 1:
                more += b.tokens
            else:
                more += (delta if unopened else 0) + max(0, b.tokens - delta * depth.get(i, 1))
    found = [(trace.line, "return", right - (majority == gold), -more, majority != one.answer, False)]
    finals = [[one.pool[i].final] for i in done]
    ballot = finals
    if not finals or first_most(finals) != one.answer:
        ballot = [[a for a in revealed[i] if a != "ERR"][-1:] for i in sorted(depth) if i not in pruned]
    for k, (op, branches, line) in enumerate(trace.actions):
        if op != OP_PRUNE:
            leader = one.leader(k)
            found.append(
                (line, "action", right - (leader == gold), spent - one.known(k)[0], leader != one.answer, False)
            )
            continue
        for i in branches:
            final = one.pool[i].final
            leader = first_most([*ballot, [final]])
            turned = one.answer if leader == first_most(ballot) else leader
            rest = -max(0, one.pool[i].tokens - delta * depth[i])
            found.append((line, "prune", right - (turned == gold), rest, turned != one.answer, final == gold))
    return found


def test_credit_is_what_a_reckoning_from_the_recording_gives(
    mixed: list[EpisodeTrace], worlds: list[Environment]
) -> None:
    groups: dict[tuple[int | None, str], list[tuple[str, tuple[Any, ...]]]] = defaultdict(list)
    for trace in mixed:
        one = Naive(trace, worlds[trace.environment])
        assert one.known(len(trace.actions))[0] == trace.tokens
        for line, kind, *rest in naive_decisions(one):
            groups[line, kind].append((one.id, tuple(rest)))
    found = {(c.line, c.kind): c for c in credit_by_line(mixed, worlds)}
    assert found.keys() == groups.keys()
    assert {kind for _, kind in found} == {"return", "action", "prune"}
    assert len([line for line, kind in found if kind == "return"]) == 3
    for place, decisions in groups.items():
        c, n = found[place], len(decisions)
        assert (c.decisions, c.turned) == (n, sum(d[2] for _, d in decisions))
        assert c.right_lost == sum(d[3] for _, d in decisions)
        for k, mean, error, unit in ((0, c.accuracy, c.accuracy_error, 100), (1, c.tokens, c.tokens_error, 1)):
            naive = unit * sum(d[k] for _, d in decisions) / n
            ids = sorted({q for q, _ in decisions})
            sums = [sum(unit * d[k] - naive for q, d in decisions if q == which) for which in ids]
            assert mean == pytest.approx(naive)
            if len(ids) > 1:
                assert error == pytest.approx(math.sqrt(len(ids) / (len(ids) - 1) * sum(s * s for s in sums)) / n)


def naive_harm(one: Naive) -> list[tuple[int | None, str, float]]:
    """Who loses or wins an episode, by the decisions and the definition alone."""
    trace, gold = one.trace, one.gold
    right = one.answer == gold
    spent, revealed, depth, pruned, done = one.known(len(trace.actions))
    finals = [[one.pool[i].final] for i in done]
    ballot = finals
    if not finals or first_most(finals) != one.answer:
        ballot = [[a for a in revealed[i] if a != "ERR"][-1:] for i in sorted(depth) if i not in pruned]
    prunes = {}
    for line in {a.line for a in trace.actions if a.op == OP_PRUNE}:
        lost = [[one.pool[i].final] for a in trace.actions if (a.op, a.line) == (OP_PRUNE, line) for i in a.branches]
        leader = first_most(ballot + lost)
        prunes[line] = (one.answer if leader == first_most(ballot) else leader) == gold
    on = first_most([[b.final] for i, b in enumerate(one.pool) if i not in pruned]) == gold
    left, read = spent, []
    for b in one.pool:
        left -= b.tokens if len(b.answers) == 1 else max(one.environment.interval, b.tokens)
        if read and left < 0:
            break
        read.append([b.final])
    plain = first_most(read) == gold
    before = [(a.line, one.leader(k) == gold) for k, a in enumerate(trace.actions) if a.op != OP_PRUNE]
    last = [line for line, led in before if led != right][-1:]
    if right:
        won = [(line, "prune", -1.0) for line in prunes if not prunes[line]]
        won += [] if on or plain else [(trace.line, "return", -1.0)]
        return won + [(line, "action", -1.0) for line in last]
    if any(prunes.values()):
        return [(line, "prune", 1 / sum(prunes.values())) for line in prunes if prunes[line]]
    return [(trace.line, "return", 1.0 if plain else 0.25)] if on else [(line, "action", 1.0) for line in last]


def test_harm_is_what_a_reckoning_from_the_recording_gives(
    mixed: list[EpisodeTrace], worlds: list[Environment]
) -> None:
    harm: dict[tuple[int | None, str], float] = defaultdict(float)
    for trace in mixed:
        for line, kind, weight in naive_harm(Naive(trace, worlds[trace.environment])):
            harm[line, kind] += 100 * weight / len(mixed)
    found = credit_by_line(mixed, worlds)
    assert all(c.harm == pytest.approx(harm[c.line, c.kind]) for c in found)
    assert [c.harm for c in found] == sorted((c.harm for c in found), reverse=True)
    assert len({kind for (_, kind), amount in harm.items() if amount}) == 3


def naive_kind(one: Naive) -> str:
    n, gold = len(one.trace.actions), one.gold
    spent, _, _, pruned, done = one.known(n)
    if one.answer != gold:
        if sum(b.final == gold for b in one.all) / len(one.all) < 0.05:
            return "hopeless"
        if first_most([[b.final] for b in one.pool]) == gold:
            return "premature"
        if any(one.pool[i].final == gold for i in pruned):
            return "gave up the right one"
        return "outvoted" if any(one.pool[i].final == gold for i in done) else "missed"
    for k in range(n + 1):
        if all(one.leader(j) == gold for j in range(k, n + 1)):
            return "overspent" if one.known(k)[0] < spent / 2 else "right"
    return "right"


def test_failure_kinds_are_what_a_reckoning_from_the_recording_gives(
    mixed: list[EpisodeTrace], worlds: list[Environment]
) -> None:
    counts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for trace in mixed:
        kind = naive_kind(Naive(trace, worlds[trace.environment]))
        for name in ("all", worlds[trace.environment].name):
            counts[name, kind].append(trace.tokens)
    evidence = failures(mixed, worlds)
    assert len(counts) > 8
    assert [row[:2] for row in evidence.rows] == [
        (name, kind) for name in ("all", *(w.name for w in worlds)) for kind in KINDS if (name, kind) in counts
    ]
    for name, kind, n, share, tokens, _ in evidence.rows:
        assert n == len(counts[str(name), str(kind)])
        assert share == pytest.approx(100 * n / (len(mixed) / (1 if name == "all" else 2)))
        assert tokens == pytest.approx(sum(counts[str(name), str(kind)]) / n)
    assert any("for example: " in note and "question" in note for note in evidence.notes)
    assert [row[0] for row in failures(mixed[:8], worlds).rows].count("all") == 0


# ---- what is read --------------------------------------------------------------------------------------------------


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


CMC, PROBE = shipped("cmc").source, shipped("parallel_probe").source
STEP = "        warm = step >= warm_up\n"
HASTY = f"{STEP}        if step == 4 and len(latest) > 3:\n            return majority(latest.values())  # bad\n"
LEADERS = replaced(CMC, "+ 1 if latest[i] != winner", "+ 1 if latest[i] == winner")
LEADERS = replaced(LEADERS, "episode.prune(stubborn[:excess])", "episode.prune(stubborn[:excess])  # bad")
TURNED = replaced(PROBE, "0 if latest[i] == winner else off_track[i] + 1", "off_track[i] + (latest[i] == winner)")
TURNED = replaced(TURNED, "episode.prune(pruned)", "episode.prune(pruned)  # bad")
UPSIDE_DOWN = """from autotts.toolkit import majority
def schedule(beta):
    return {"n": 8 + 24 * beta}
def solve(episode, knobs):
    episode.branches(int(knobs["n"]))
    while len(episode.active) > 2:
        episode.advance(episode.active)
        seen = episode.active
        best = majority(episode.probe(seen), skip_unparsed=True)
        weak = [i for i in seen if episode.probe(i) == best and episode.depth(i) > 8]
        episode.prune(weak[:len(seen) - 2])  # bad
    episode.finish(episode.active)
    return majority(episode.probe(episode.finished_branches), skip_unparsed=True)
"""

BROKEN = {
    "return at a fixed step": replaced(CMC, STEP, HASTY),
    "return the first finished": replaced(CMC, STEP, f"{STEP}        if pool:\n            return pool[0]  # bad\n"),
    "return the last finished": replaced(
        CMC, "if pool:\n        return winner", "if pool:\n        return pool[-1]  # bad"
    ),
    "prune the leaders at once": replaced(LEADERS, ">= patience", ">= 1"),
    "prune those on track": replaced(replaced(TURNED, ">= patience", ">= 1"), "step >= warm_up and", "step >= 2 and"),
    "stop when stable for four": replaced(
        PROBE,
        "        previous = winner\n",
        "        previous = winner\n        if stable >= 4:\n            return winner  # bad\n",
    ),
    "prune what most say": UPSIDE_DOWN,
}


def named_first(evaluator: Evaluator, source: str) -> tuple[str, str]:
    """The source of the line that credit names first, and of the next."""
    what = Program.from_source(source)
    traces = evaluator.trace(what)
    evidence = credit(traces, evaluator.environments, what)
    return str(evidence.rows[0][-1]), evidence.text()


@pytest.fixture(scope="module")
def synthetic() -> Iterator[Evaluator]:
    with Evaluator(synthetic_environments("search")[1:3], workers=1) as made:
        yield made


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_line_is_named_first(synthetic: Evaluator, name: str) -> None:
    first, text = named_first(synthetic, BROKEN[name])
    assert first.endswith("# bad"), text


def test_a_bad_line_is_named_first_on_recorded_branches_and_in_time(recorded: Path) -> None:
    environments = load_environments([str(recorded / "replay" / "*" / "aime24.json")])
    with Evaluator(environments, workers=2) as evaluator:
        start = time.monotonic()
        traces = evaluator.trace(shipped("cmc"))
        credit(traces, environments, shipped("cmc"))
        assert len(traces) == 5 * 30 * len(environments)
        assert time.monotonic() - start < 15  # 1.5 s where nothing else runs
        for name, source in BROKEN.items():
            first, text = named_first(evaluator, source)
            assert first.endswith("# bad"), f"{name}\n{text}"


def test_credit_reads_well_and_tells_no_share_of_few(mixed: list[EpisodeTrace], worlds: list[Environment]) -> None:
    evidence = credit(mixed, worlds, MIXED)
    assert evidence.text().count("episode.prune(i)") == 1
    assert {row["kind"] for row in evidence.as_json()["rows"]} == {"return", "action", "prune"}
    few = credit(mixed[:1], worlds, MIXED)
    assert all(row[4] is row[5] is row[6] is row[10] is None for row in few.rows)
    beside = gutter(credit_by_line(mixed, worlds), MIXED).split("\n")
    assert [line.partition("│ ")[2] for line in beside if "│ " in line] == [s for s in MIXED.source.split("\n") if s]
    (pruned,) = [line for line in beside if "episode.prune(i)" in line]
    assert pruned.strip().startswith("prune ")
    assert credit((), worlds, MIXED).rows == failures((), worlds).rows == ()


def test_harm_of_a_line_is_a_figure_of_its_own() -> None:
    some = LineCredit(1, "return", 5, 5, -1.0, 1.0, -2.0, 1.0, 1, 0, 0.5)
    assert "return 5: -1.0 pt, -0.0K" in gutter([some], MIXED)


def test_a_timeline_shows_what_the_program_saw(evaluator: Evaluator) -> None:
    evidence = timeline(episode(evaluator, LINES, 0, 3, seed=SHOWS), evaluator.environments[0])
    text = evidence.text()
    assert f"one/tiny, question 3, seed {SHOWS}, β=0.5: " in text
    assert "Returned a0 at line 18 after 3 waves, " in text
    wave, action, line, _, tokens, _, second = evidence.body.split("\n")[:7]
    assert wave.split() == ["wave", "1", "2", "3"]
    assert action.split() == ["action", "open", "step", "prune"]
    assert line.split() == ["line", "9", "7", "12"]
    assert tokens.split() == ["tokens", "1.0", "1.5", "1.5"]
    assert second.split()[-1] == "x"
    assert "noted after wave 1, line 10: opened = [0, 1]" in text
    blind = timeline(episode(evaluator, LINES, 1, 3), evaluator.environments[1]).body
    assert blind.split("\n")[5].split()[2:] == ["?", "=", "·", "a0"]


def test_a_long_episode_is_squeezed(evaluator: Evaluator) -> None:
    one_by_one = program(
        "n = 0\nwhile episode.can_branch:\n    i = episode.branch()\n    while not episode.is_finished(i):\n"
        "        episode.advance(i)\n        n += 1\n        episode.probe(i)\nreturn episode.probe(0)"
    )
    trace = episode(evaluator, one_by_one, 0, 1)
    body = timeline(trace, evaluator.environments[0]).body
    assert len(trace.actions) > 60
    assert max(map(len, body.split("\n"))) < 300


def test_no_timeline_says_which_answer_is_right(mixed: list[EpisodeTrace], worlds: list[Environment]) -> None:
    told = 0
    for trace in mixed:
        world = worlds[trace.environment]
        question = world.questions[trace.question]
        answers = sorted({a for b in question.branches for a in b.answers} - {"ERR"})
        seen: dict[str, set[str]] = defaultdict(set)
        for gold in answers:
            other = replace(
                world, questions=tuple(replace(q, gold=gold) if q is question else q for q in world.questions)
            )
            walked = walk(trace, questions_of([other])[0][trace.question])
            title = timeline(trace, other).title
            body = timeline(trace, other).body
            assert body == timeline(trace, world).body
            if not walked.right:
                seen[title].add(gold)
                assert (kind_of(walked) in title) == may_be_told(walked)
                told += may_be_told(walked)
        # Whatever is withheld is withheld whichever answer is right.
        if not any("wrong (" in title for title in seen):
            assert len(seen) <= 1
    assert told


def test_a_finding_gives_no_example_that_would_tell(mixed: list[EpisodeTrace], worlds: list[Environment]) -> None:
    questions = questions_of(worlds)
    untold = set()
    for trace in mixed:
        walked = walk(trace, questions[trace.environment][trace.question])
        if not walked.right and not may_be_told(walked):
            name = worlds[trace.environment].name
            untold.add(f"{name} question {trace.question + 1} seed {trace.seed} β={trace.beta:g}")
    assert untold
    named = {part.strip(" .") for note in failures(mixed, worlds).notes for part in note.split(": ")[-1].split("; ")}
    assert not untold & named


# ---- run again -----------------------------------------------------------------------------------------------------


def test_a_prune_can_be_ignored_and_what_it_did_is_the_difference(
    evaluator: Evaluator, worlds: list[Environment], mixed: list[EpisodeTrace]
) -> None:
    line = next(k for k, text in enumerate(MIXED.source.split("\n"), 1) if "episode.prune(i)" in text)
    kept = Program.from_source(MIXED.source.replace("episode.prune(i)", "pass"))
    protocol = replace(SAMPLE, seeds=(0, 1, 2))
    again = evaluator.trace(MIXED, protocol, ignored=line)
    plain = evaluator.trace(kept, protocol)
    assert [(t.actions, t.answer, t.line) for t in again] == [(t.actions, t.answer, t.line) for t in plain]
    assert any(a.op == OP_PRUNE for t in mixed for a in t.actions)
    evidence = without_prunes(evaluator, MIXED, line, mixed, protocol)
    (row,) = [r for r in evidence.as_json()["rows"] if r["environment"] == "all"]
    right = [sum(Naive(t, worlds[t.environment]).answer == "42" for t in some) for some in (mixed, again)]
    assert row["Δ accuracy, points"] == pytest.approx(100 * (right[0] - right[1]) / len(mixed))
    assert row["Δ tokens"] == round(sum(a.tokens - b.tokens for a, b in zip(mixed, again, strict=True)) / len(mixed))
    assert row["with prunes %"] == pytest.approx(
        100 * sum(any(a.op == OP_PRUNE for a in t.actions) for t in mixed) / len(mixed)
    )
    other = without_prunes(evaluator, MIXED, line + 1, None, protocol)
    assert [r[2] for r in other.rows] == [0.0] * 3
    with pytest.raises(InputError, match="other episodes"):
        without_prunes(evaluator, MIXED, line, mixed[1:], protocol)
