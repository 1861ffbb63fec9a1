"""What a state shows, and features that an agent writes: run in the jail, hostile ones ending in typed outcomes."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.errors import CpuLimit, Crashed, MemoryLimit, OutputLimit, PolicyViolation, ProgramError, WallTimeout
from autotts.replay import UNPARSED, Question, Trajectory, table_of
from autotts.replay.source import branch_order
from autotts.sandbox import Sandbox
from autotts.toolkit import vote
from autotts.traces import FEATURE_HELP, STATE_FEATURES, branches, states
from autotts.traces import features as features_module
from autotts.traces._view import State, states_of
from tests.naive import ENVIRONMENTS, SEEDS, close
from tests.small import small_environment


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(preload=("autotts.traces.features_child",)) as made:
        yield made


# ---- what a state shows ----------------------------------------------------------------------------------------


def one_state(question: Question, finished: int, running: int = 0, advanced: int = 0, seed: int = 1) -> State:
    table, _ = table_of(question)
    order = branch_order(seed, len(question.branches))
    (state,) = states_of(table, order, 500, 12, [(finished, running, advanced)])
    return state


@given(st.integers(0, 5), st.integers(0, 6), st.integers(0, 4), st.integers(1, 12), st.integers(0, 3))
def test_a_state_shows_what_was_revealed_and_no_more(q: int, n: int, running: int, advanced: int, seed: int) -> None:
    question = small_environment().questions[q]
    state = one_state(question, n, running, advanced, seed)
    order = branch_order(seed, len(question.branches))
    labels: dict[str, str] = {}
    for k, branch in enumerate(state.branches):
        recorded = question.branches[order[k]]
        depth = len(recorded.answers) if k < n else min(advanced, len(recorded.answers))
        shown = recorded.answers[:depth]
        for answer in shown:
            parsed = len([label for label in labels.values() if label != UNPARSED])
            labels.setdefault(answer, UNPARSED if answer == UNPARSED else f"a{parsed}")
        assert branch.raw == tuple(labels[a] for a in shown)
        assert branch.finished == (depth == len(recorded.answers))
        assert branch.final == (branch.raw[-1] if branch.finished else None)
        carried = [next((a for a in reversed(branch.raw[: d + 1]) if a != UNPARSED), UNPARSED) for d in range(depth)]
        assert list(branch.answers) == carried and branch.depth == depth and branch.answer == carried[-1]
        assert branch.first == carried.index(carried[-1]) + 1
        assert branch.settled == min(d + 1 for d in range(depth) if set(carried[d:]) == {carried[-1]})
        parsed_steps = [a for a, _ in itertools.groupby(a for a in carried if a != UNPARSED)]
        assert branch.changes == max(0, len(parsed_steps) - 1)
    tally = vote([b.final for b in state.finished])
    assert (state.leader, state.n1, state.n2, state.lead) == (tally.leader, tally.n1, tally.n2, tally.n1 - tally.n2)
    assert state.left == 12 - state.n


def test_states_of_one_episode_do_not_know_of_each_other() -> None:
    question = small_environment().questions[2]
    table, _ = table_of(question)
    order = branch_order(0, 16)
    moments = [(5, 0, 0), (1, 3, 2), (3, 2, 9), (0, 4, 1), (8, 0, 0)]
    together = list(states_of(table, order, 500, 12, moments))
    for moment, state in zip(moments, together, strict=True):
        (alone,) = states_of(table, order, 500, 12, [moment])
        assert [b.raw for b in state.branches] == [b.raw for b in alone.branches]
        assert state.tokens == alone.tokens


def test_signals_are_shown_as_far_as_the_branch_goes() -> None:
    row = Trajectory(("1", "2"), 1400, "2", signals={"p": (0.1, 0.2, 0.3)})
    question = Question("q", "", "2", (row, row))
    state = one_state(question, 1, 1, 2)
    assert [dict(b.signals) for b in state.branches] == [{"p": (0.1, 0.2, 0.3)}, {"p": (0.1, 0.2)}]


def test_what_a_feature_may_use_is_told() -> None:
    state = one_state(small_environment().questions[0], 3)
    for shown in (state, state.branches[0]):
        public = {name for name in {*vars(shown), *dir(type(shown))} if not name.startswith("_")}
        assert [name for name in sorted(public) if not re.search(rf"\b{name}\b", FEATURE_HELP)] == []


# ---- features in the jail --------------------------------------------------------------------------------------

AS_EXPRESSIONS = {
    "leader share": "state.n1 / state.n if state.n else None",
    "lead": "state.lead",
    "lead of left": "state.lead / state.left if state.left else None",
    "entropy": "entropy(state.votes.values()) if state.n else None",
    "distinct": "len(state.votes)",
    "singletons": "list(state.votes.values()).count(1) / state.n if state.n else None",
    "unparsed": "statistics.fmean(b.final == UNPARSED for b in state.finished) if state.n else None",
    "mean length": "(statistics.fmean(b.tokens for b in state.finished)\n if state.n else None)  # over lines",
    "min length": "min((b.tokens for b in state.finished), default=None)",
    "max length": "max((b.tokens for b in state.finished), default=None)",
    "leader length": """
def feature(state):
    mine = [b.tokens for b in state.finished if b.final == state.leader]
    others = [b.tokens for b in state.finished if b.final != state.leader]
    return math.log(statistics.fmean(mine) / statistics.fmean(others)) if others else None
""",
    "leader settled": """
from statistics import fmean
def feature(state):
    mine = [b for b in state.finished if b.final == state.leader]
    return fmean([b.settled / b.depth for b in mine]) if mine else None
""",
    "leader steady": """
def feature(state):
    shares = [b.answers.count(b.answers[-1]) / len(b.answers) for b in state.finished if b.final == state.leader]
    return sum(shares) / len(shares) if shares else None
""",
    "changes": "statistics.fmean(b.changes for b in state.finished) if state.n else None",
    "running for leader": """
def feature(state):
    return statistics.fmean(b.answer == state.leader for b in state.running) if state.running else None
""",
    "running agreement": """
def feature(state):
    counts = Counter(b.answer for b in state.running)
    return max(counts.values()) / len(state.running) if state.running else None
""",
}


@pytest.mark.parametrize("name", STATE_FEATURES)
def test_every_shipped_feature_can_be_written_as_an_expression(name: str, sandbox: Sandbox) -> None:
    options: dict[str, Any] = {"running": 3, "advanced": 4, "sandbox": sandbox, "least": 1}
    shipped_one = states(ENVIRONMENTS, SEEDS, split_by=name, **options)
    written = states(ENVIRONMENTS, SEEDS, split_by=AS_EXPRESSIONS[name], **options)
    # Means may be rounded otherwise, so what is in a bin may differ by ties only: bounds and figures agree.
    for ours, theirs in zip(shipped_one.rows, written.rows, strict=True):
        assert ours[0] == theirs[0] and ours[1] == theirs[1]
        assert all(map(close, ours[2:], theirs[2:]))


HOSTILE: dict[str, tuple[str, tuple[type[ProgramError], ...], str]] = {
    "reads a file": ("open('/etc/passwd').read()", (PolicyViolation,), "open"),
    "imports": ("import os\ndef feature(state):\n    return 1\n", (PolicyViolation,), "os"),
    "climbs classes": ("state.__class__.__mro__", (PolicyViolation,), "underscore"),
    "reads what is private": ("state._State__x", (PolicyViolation,), "private"),
    "climbs frames": ("(x for x in ()).gi_frame.f_back", (PolicyViolation,), "gi_frame"),
    "climbs by format": ("'{0.__class__}'.format(state)", (PolicyViolation, Crashed), ""),
    "opens the brackets": ("1)\nimport os\n(2", (PolicyViolation,), "syntax"),
    "changes a state": ("def feature(state):\n    state.n = 7\n    return state.n\n", (Crashed,), ""),
    "loops": ("def feature(state):\n    while True:\n        pass\n", (CpuLimit, WallTimeout), "CPU"),
    "counts for ever": ("sum(itertools.count())", (CpuLimit, WallTimeout), "CPU"),
    "fills memory": ("len([0] * 10**10)", (MemoryLimit,), "memory"),
    "is too long a number": ("10**400", (Crashed,), "infinite"),
    "is not a number": ("float('nan')", (Crashed,), "nan"),
    "is infinite": ("-1e999", (Crashed,), "infinite"),
    "is a text": ("'x' * 10**6", (Crashed,), "a str"),
    "is a list": ("[1.0] * 10", (Crashed,), "a list"),
    "is a generator": ("x for x in range(3)", (Crashed,), "generator"),
    "yields": ("(yield 1)", (Crashed,), "generator"),
    "is a subclass": ("class F(float):\n    pass\ndef feature(state):\n    return F(1)\n", (Crashed,), "a F"),
    "divides by zero": ("def feature(state):\n    x = 1\n    return x / 0\n", (Crashed,), "ZeroDivisionError"),
    "knows no name": ("state.gold", (Crashed,), "gold"),
    "leaves": ("def feature(state):\n    raise SystemExit(0)\n", (Crashed, PolicyViolation), "SystemExit"),
    "recurses": ("def feature(state):\n    return feature(state)\n", (Crashed, MemoryLimit), ""),
    "is nested": ("(" * 5000 + "1" + ")" * 5000, (PolicyViolation, Crashed), ""),
    "is huge": ("1+" * 200_000 + "1", (PolicyViolation, CpuLimit), ""),
    "defines nothing": ("x = 1\n", (PolicyViolation,), "def feature"),
    "is no Python": ("def feature(state) return 1", (PolicyViolation,), "syntax error"),
    "says too much": ("def feature(state):\n    raise ValueError('x' * 10**7)\n", (Crashed,), "ValueError"),
    "takes nothing": ("def feature():\n    return 1\n", (Crashed,), "argument"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_feature_ends_in_a_typed_outcome(name: str, sandbox: Sandbox, monkeypatch: Any) -> None:
    source, kinds, words = HOSTILE[name]
    monkeypatch.setattr(features_module, "LIMITS", replace(features_module.LIMITS, cpu_seconds=1.0))
    for kind in ("state",) if CpuLimit in kinds else ("state", "branch"):
        written = source if kind == "state" else source.replace("state", "branch")
        with pytest.raises(ProgramError) as caught:
            if kind == "state":
                states(ENVIRONMENTS[:1], SEEDS, split_by=written, sandbox=sandbox)
            else:
                branches(ENVIRONMENTS[:1], written, sandbox=sandbox)
        assert isinstance(caught.value, kinds), caught.value
        assert words in str(caught.value)
        assert len(str(caught.value)) < 1500


def test_the_jails_side_imports_nothing_that_a_container_lacks() -> None:
    code = "import sys, autotts.traces.features_child; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"anthropic", "openai", "sqlalchemy", "pydantic", "jinja2", "rich", "click"}.isdisjoint(loaded)


def test_what_ends_a_feature_has_its_line(sandbox: Sandbox) -> None:
    with pytest.raises(Crashed) as caught:
        states(ENVIRONMENTS, split_by=HOSTILE["divides by zero"][0], sandbox=sandbox)
    assert caught.value.line == 3 and "finished" in caught.value.where
    with pytest.raises(Crashed) as caught:
        states(ENVIRONMENTS, split_by="(1 +\n 1 / 0)", sandbox=sandbox)
    assert caught.value.line == 2
    with pytest.raises(PolicyViolation) as violation:
        states(ENVIRONMENTS, split_by=HOSTILE["imports"][0] + "eval('1')\n", sandbox=sandbox)
    assert violation.value.line == 4 and "eval" in violation.value.message


class _Liar:
    """A sandbox whose child says what it likes."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply

    def spawn(self, *_: Any) -> _Liar:
        return self

    def __enter__(self) -> _Liar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, data: bytes) -> None:
        assert b"gold" not in data

    def recv(self, limit: int) -> bytes:
        return self.reply


@pytest.mark.parametrize("reply", [b"", b"x" * 7, np.full(10_000, np.inf).tobytes()])
def test_a_forged_reply_is_refused(reply: bytes) -> None:
    liar: Any = _Liar(reply)
    with pytest.raises(OutputLimit):
        branches(ENVIRONMENTS, "1", sandbox=liar)


def test_no_answer_as_it_was_written_enters_the_jail() -> None:
    sent: list[bytes] = []

    class Ear(_Liar):
        def send(self, data: bytes) -> None:
            sent.append(data)

    marked = [
        replace(
            e,
            questions=tuple(
                replace(q, gold="GOLD!", branches=tuple(replace(b, final="GOLD!") for b in q.branches))
                for q in e.questions
            ),
        )
        for e in ENVIRONMENTS
    ]
    ear: Any = Ear(b"")
    with pytest.raises(OutputLimit):
        states(marked, split_by="1", sandbox=ear)
    assert sent and all(b"GOLD!" not in data for data in sent)
