"""Instruments over the recorded branches: every table against a naive recomputation, and hostile features."""

from __future__ import annotations

import itertools
import math
import random
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.errors import (
    CpuLimit,
    Crashed,
    InputError,
    MemoryLimit,
    OutputLimit,
    PolicyViolation,
    ProgramError,
    WallTimeout,
)
from autotts.evaluation import Evaluator, Program, Protocol, clusters_of, shipped
from autotts.evaluation.statistics import Scores, cluster_resamples, gain_at_matched_tokens
from autotts.replay import (
    UNPARSED,
    Environment,
    Episode,
    Question,
    TableSource,
    Trajectory,
    load_environment,
    synthetic_environments,
    table_of,
)
from autotts.replay.source import branch_order
from autotts.sandbox import Sandbox
from autotts.toolkit import entropy, vote, weighted_majority
from autotts.traces import (
    BRANCH_FEATURES,
    FEATURE_HELP,
    STATE_FEATURES,
    Evidence,
    branches,
    ceilings,
    compare,
    difficulty,
    measure,
    reference_results,
    reject_text,
    states,
)
from autotts.traces import _pool as pool_module
from autotts.traces import features as features_module
from autotts.traces._pool import difficulty_bins, votes
from autotts.traces._view import State, states_of
from autotts.traces.compare import matched
from autotts.traces.measure import scores_of
from tests.small import small_environment

SEEDS = (0, 3, 4)


def odd_environment() -> Environment:
    """Ragged: fewer branches here than there, branches without probes, totals below their probes, no parsed answer."""
    base = small_environment("odd", questions=4, branches=9, seed=5)
    rng = random.Random(1)
    questions = []
    for q, question in enumerate(base.questions):
        rows = list(question.branches[: 9 - 2 * q])
        rows[0] = Trajectory((), 120, "42")
        rows[1] = Trajectory(("ERR", "ERR"), 700, "ERR")
        rows[2] = replace(rows[2], tokens=rng.randint(100, 900))
        questions.append(replace(question, branches=tuple(rows)))
    return replace(base, questions=tuple(questions), max_branches=6)


ENVIRONMENTS = [small_environment(), odd_environment(), small_environment("other", questions=5, seed=2)]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(preload=("autotts.traces.features_child",)) as made:
        yield made


def columns(evidence: Evidence) -> dict[str, list[Any]]:
    """The table by column."""
    return {name: [row[k] for row in evidence.rows] for k, name in enumerate(evidence.columns)}


def close(found: Any, wanted: Any) -> bool:
    """Equal as far as floats are; None stands for nan."""
    if found is None or wanted is None or isinstance(found, str):
        return (found is None or found == wanted) and (found is not None or wanted is None)
    return bool(found == pytest.approx(wanted, abs=1e-9, nan_ok=True))


# ---- a naive play ----------------------------------------------------------------------------------------------


class Play:
    """One episode, played on the MDP itself, with the raw answers in sight."""

    def __init__(self, environment: Environment, q: int, seed: int) -> None:
        self.question = environment.questions[q]
        self.order = branch_order(seed, len(self.question.branches))
        table, _ = table_of(self.question)
        self.episode = Episode(
            TableSource(table, seed, environment.interval, environment.max_branches), environment.interval
        )
        self.ceiling = min(environment.max_branches, len(self.order))

    def finish(self, n: int) -> None:
        for _ in range(n):
            i = self.episode.branch()
            if not self.episode.is_finished(i):
                self.episode.finish(i)

    def finals(self) -> list[str]:
        """Of finished branches, in the order of opening."""
        return [self.question.branches[self.order[i]].final for i in sorted(self.episode.finished_branches)]

    def is_right(self, answer: str | None) -> bool:
        return answer == self.question.gold and answer != UNPARSED

    def end(self) -> tuple[bool, int]:
        """Finish all that may be: whether the majority is right, and the tokens that it took."""
        before = self.episode.tokens
        self.episode.finish(self.episode.active)
        self.finish(self.ceiling - len(self.episode.finished_branches))
        return self.is_right(vote(self.finals()).leader), self.episode.tokens - before


def plays() -> Iterator[tuple[int, Environment, int, int]]:
    """(cluster, environment, question, seed) of every episode."""
    clusters = clusters_of(ENVIRONMENTS)
    for e, environment in enumerate(ENVIRONMENTS):
        for q in range(len(environment.questions)):
            for seed in SEEDS:
                yield int(clusters[e, q]), environment, q, seed


Seen = dict[str, Any]


def seen_states(at: Callable[[int], Any], running: int = 0, advanced: int = 0) -> list[Seen]:
    """States with what became of them."""
    found = []
    for cluster, environment, q, seed in plays():
        ceiling = Play(environment, q, seed).ceiling
        for n in at(ceiling):
            if n + running > ceiling:
                continue
            play = Play(environment, q, seed)
            play.finish(n)
            if running:
                play.episode.branches(running)
                for _ in range(advanced - 1):
                    play.episode.advance(play.episode.active)
            tally = vote(play.finals())
            done = len(play.episode.finished_branches)
            one: Seen = {"n": done, "n1": tally.n1, "n2": tally.n2, "cluster": cluster, "left": ceiling - done}
            one |= {"now": play.is_right(tally.leader), "spent": play.episode.tokens, "votes": Counter(play.finals())}
            end, to_go = play.end()
            found.append({**one, "end": end, "to go": to_go})
    return found


def naive_error(held: list[Seen], of: Callable[[Seen], float]) -> float:
    """Bootstrap over questions, one resample at a time."""
    clusters = int(clusters_of(ENVIRONMENTS).max()) + 1
    if len({s["cluster"] for s in held}) < 2:
        return math.nan
    sums, counts = [0.0] * clusters, [0] * clusters
    for s in held:
        sums[s["cluster"]] += of(s)
        counts[s["cluster"]] += 1
    drawn = []
    for weights in cluster_resamples(clusters, 1000, 0).tolist():
        total = sum(w * c for w, c in zip(weights, counts, strict=True))
        if total:
            drawn.append(sum(w * s for w, s in zip(weights, sums, strict=True)) / total)
    return float(np.std(drawn, ddof=1))


def naive_row(held: list[Seen], least: int) -> list[Any]:
    about, n = len({s["cluster"] for s in held}), len(held)
    now, end = (100 * sum(s[k] for s in held) / n for k in ("now", "end"))
    right: list[Any] = [now, end, end - now, 100 * naive_error(held, lambda s: s["end"] - s["now"])]
    return [n, about, *(right if about >= least else [None] * 4), sum(s["to go"] for s in held) / n]


# ---- states ----------------------------------------------------------------------------------------------------


def band(value: int, bands: list[tuple[int, int]]) -> str:
    low, high = next(b for b in bands if b[0] <= value <= b[1])
    return f"{low}" if low == high else f"{low}–{high}"


def test_value_of_continuing_is_what_playing_on_gives() -> None:
    found = states(ENVIRONMENTS, SEEDS, least=3)
    groups: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for s in seen_states(lambda ceiling: range(1, ceiling + 1)):
        n = band(s["n"], [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16)])
        groups[n, band(s["n1"] - s["n2"], [(0, 0), (1, 1), (2, 3), (4, 7), (8, 15)])].append(s)
    assert len(found.rows) == len(groups)
    for row in found.rows:
        wanted = naive_row(groups[str(row[0]), str(row[1])], 3)
        assert all(map(close, row[2:], wanted)), (row, wanted)
    assert "majority@4–12 right %" in found.columns or "majority@3–12 right %" in found.columns


@pytest.mark.parametrize("n", [1, 3, 8])
def test_states_with_a_number_of_finished_branches_are_told_by_votes(n: int) -> None:
    found = states(ENVIRONMENTS, SEEDS, finished=n, least=1)
    groups: dict[tuple[int, int], list[Seen]] = defaultdict(list)
    for s in seen_states(lambda ceiling: [n] if n <= ceiling else []):
        groups[s["n1"], s["n2"]].append(s)
    assert [(row[0], row[1]) for row in found.rows] == sorted(groups)
    for row in found.rows:
        assert all(map(close, row[2:], naive_row(groups[row[0], row[1]], 1)))  # type: ignore[index]


NAIVE_FEATURES: dict[str, Callable[[Seen], float]] = {
    "leader share": lambda s: s["n1"] / s["n"] if s["n"] else math.nan,
    "lead": lambda s: s["n1"] - s["n2"],
    "entropy": lambda s: entropy(s["votes"].values()) if s["n"] else math.nan,
    "distinct": lambda s: len(s["votes"]),
    "state.tokens / 7": lambda s: s["spent"] / 7,
}


@pytest.mark.parametrize("running, advanced", [(0, 1), (3, 4), (2, 30)])
@pytest.mark.parametrize("feature", NAIVE_FEATURES)
def test_a_split_of_undecided_states_is_what_playing_on_gives(
    feature: str, running: int, advanced: int, sandbox: Sandbox
) -> None:
    options: dict[str, Any] = {"running": running, "advanced": advanced, "sandbox": sandbox, "least": 1, "bins": 4}
    found = states(ENVIRONMENTS, SEEDS, split_by=feature, **options)
    seen = seen_states(lambda ceiling: [n for n in (1, 2, 3, 4, 6, 8, 11) if n <= ceiling], running, advanced)
    undecided = [s for s in seen if s["left"] > s["n1"] - s["n2"]]

    def of(s: Seen) -> float:
        return float(f"{NAIVE_FEATURES[feature](s):.12g}")

    values = sorted(of(s) for s in undecided)
    edges = sorted({values[math.ceil(k * len(values) / 4) - 1] for k in (1, 2, 3)})
    groups: dict[int, list[Seen]] = defaultdict(list)
    for s in undecided:
        groups[sum(edge < of(s) for edge in edges)].append(s)
    assert len(found.rows) == len(groups)
    for row, key in zip(found.rows, sorted(groups), strict=True):
        held = [of(s) for s in groups[key]]
        low, high = f"{min(held):.4g}", f"{max(held):.4g}"
        assert row[0] == (low if low == high else f"{low} – {high}")
        assert all(map(close, row[1:], naive_row(groups[key], 1)))


def test_rows_about_few_questions_do_not_say_what_was_right() -> None:
    shown = states(ENVIRONMENTS, SEEDS)
    for row in shown.rows:
        assert (row[4] is None) == (row[3] < 5)  # type: ignore[operator]
    one = [ENVIRONMENTS[0].select(["q3"])]
    for evidence in (states(one), states(one, split_by="lead"), branches(one)):
        table = columns(evidence)
        right = [
            cell for name, cells in table.items() if name in ("right now %", "change", "AUC %", "±") for cell in cells
        ]
        assert right and set(right) == {None}


def test_states_say_what_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="need a sandbox; shipped are: leader share"):
        states(ENVIRONMENTS, split_by="state.lead + 1")
    with pytest.raises(InputError, match="running"):
        states(ENVIRONMENTS, running=2)
    with pytest.raises(InputError, match="no episode finishes"):
        states(ENVIRONMENTS, finished=99)
    with pytest.raises(InputError, match="no state is undecided"):
        states(ENVIRONMENTS, split_by="lead", finished=12)
    with pytest.raises(InputError, match="bins"):
        states(ENVIRONMENTS, split_by="lead", bins=1)
    with pytest.raises(InputError, match="at least one"):
        states(ENVIRONMENTS, split_by="lead", finished=0)
    with pytest.raises(InputError, match="empty"):
        states(ENVIRONMENTS, split_by=" ")


@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=6, max_size=6), min_size=1, max_size=5))
def test_votes_are_those_of_the_toolkit(rows: list[list[tuple[int, bool]]]) -> None:
    found = votes(np.array([[a for a, _ in r] for r in rows]), np.array([[c for _, c in r] for r in rows]))
    for r, row in enumerate(rows):
        for k in range(len(row)):
            tally = vote([a for a, counted in row[: k + 1] if counted])
            leader = -1 if tally.leader is None else tally.leader
            assert (found.leader[r, k], found.n1[r, k], found.n2[r, k]) == (leader, tally.n1, tally.n2)


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


def test_many_votes_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    answers, counted = rng.integers(0, 5, (40, 9)), rng.random((40, 9)) < 0.8
    whole = votes(answers, counted)
    monkeypatch.setattr(pool_module, "_MOST_COUNTS", 17)
    parts = votes(answers, counted)
    assert all(np.array_equal(vars(whole)[name], vars(parts)[name]) for name in ("leader", "n1", "n2"))


def test_what_probes_cost_is_said_to_be_left_out() -> None:
    priced = [replace(environment, kappa_probe=40) for environment in ENVIRONMENTS]
    for instrument in (states, ceilings, difficulty):
        assert "κ" in instrument(priced).text() and "κ" not in instrument(ENVIRONMENTS).text()


# ---- branches --------------------------------------------------------------------------------------------------


def naive_auc(values: dict[tuple[int, int], list[float | None]]) -> tuple[float, float, int]:
    """AUC, error and pairs by counting every pair."""
    clusters = clusters_of(ENVIRONMENTS)
    good, pairs = [0.0] * (int(clusters.max()) + 1), [0] * (int(clusters.max()) + 1)
    for (e, q), row in values.items():
        question = ENVIRONMENTS[e].questions[q]
        right = [b.final == question.gold for b in question.branches]
        for x, yes in zip(row, right, strict=True):
            for y, also in zip(row, right, strict=True):
                if yes and not also and x is not None and y is not None:
                    good[clusters[e, q]] += 1.0 if x > y else 0.5 if x == y else 0.0
                    pairs[clusters[e, q]] += 1
    drawn = []
    for weights in cluster_resamples(len(good), 1000, 0).tolist():
        total = sum(w * p for w, p in zip(weights, pairs, strict=True))
        if total:
            drawn.append(sum(w * g for w, g in zip(weights, good, strict=True)) / total)
    return 100 * sum(good) / sum(pairs), 100 * float(np.std(drawn, ddof=1)), sum(pairs)


def by_branch(of: Callable[[Trajectory, Question], float | None]) -> dict[tuple[int, int], list[float | None]]:
    return {
        (e, q): [of(branch, question) for branch in question.branches]
        for e, environment in enumerate(ENVIRONMENTS)
        for q, question in enumerate(environment.questions)
    }


def alike(branch: Trajectory, question: Question) -> float:
    finals = [b.final for b in question.branches]
    return (finals.count(branch.final) - 1) / (len(finals) - 1)


NAIVE_BRANCHES: dict[str, Callable[[Trajectory, Question], float | None]] = {
    "tokens": lambda b, _: max(b.tokens, 500 if b.probes else 0),
    "intervals": lambda b, _: len(b.answers),
    "unparsed": lambda b, _: b.answers.count("ERR") / len(b.answers),
    "votes": alike,
    "len(branch.raw) - branch.raw.count('ERR')": lambda b, _: len([a for a in b.answers if a != "ERR"]),
    "def feature(b):\n    return None if b.depth > 6 else b.tokens % 97\n": lambda b, _: (
        None if len(b.answers) > 6 else max(b.tokens, 500 if b.probes else 0) % 97
    ),
    "def feature(b, s):\n    return sum(o.final == b.final for o in s.finished)\n": lambda b, q: [
        o.final for o in q.branches
    ].count(b.final),
}


@pytest.mark.parametrize("feature", NAIVE_BRANCHES)
def test_auc_is_the_share_of_pairs(feature: str, sandbox: Sandbox) -> None:
    (row,) = branches(ENVIRONMENTS, feature, sandbox=sandbox, least=1).rows
    assert row[1:4] == pytest.approx(naive_auc(by_branch(NAIVE_BRANCHES[feature])))


def truncated(branch: Trajectory) -> Trajectory:
    return replace(branch, truncated=branch.tokens > 2000)


def test_the_table_of_branch_features_is_sorted_and_has_signals() -> None:
    signalled = [
        replace(
            environment,
            questions=tuple(
                replace(
                    q, branches=tuple(replace(b, signals={"p": (None, *(0.5,) * len(b.probes))}) for b in q.branches)
                )
                for q in environment.questions
            ),
        )
        for environment in ENVIRONMENTS
    ]
    table = columns(branches(signalled, least=1))
    assert set(table["feature"]) == {*BRANCH_FEATURES, "p at the end", "p on average"}
    distances = [abs((50.0 if auc is None else auc) - 50) for auc in table["AUC %"]]
    assert distances == sorted(distances, reverse=True)
    cut = [
        replace(e, questions=tuple(replace(q, branches=tuple(map(truncated, q.branches))) for q in e.questions))
        for e in ENVIRONMENTS
    ]
    (row,) = [row for row in branches(cut, least=1).rows if row[0] == "truncated"]
    assert row[1:4] == pytest.approx(naive_auc(by_branch(lambda b, _: float(truncated(b).truncated))))
    assert "truncated" not in columns(branches(ENVIRONMENTS))["feature"]


# ---- difficulty and ceilings -----------------------------------------------------------------------------------


def naive_sc(environment: Environment, q: int, n: int) -> tuple[float, float, float]:
    """(majority right, oracle, tokens), means over seeds."""
    right, oracle, tokens = [], [], []
    for seed in SEEDS:
        play = Play(environment, q, seed)
        play.finish(min(n, play.ceiling))
        right.append(play.is_right(vote(play.finals()).leader))
        oracle.append(any(map(play.is_right, play.finals())))
        tokens.append(play.episode.tokens)
    return float(np.mean(right)), float(np.mean(oracle)), float(np.mean(tokens))


def shares(environment: Environment) -> list[float]:
    return [[b.final for b in q.branches].count(q.gold) / len(q.branches) for q in environment.questions]


def test_difficulty_bins_hold_what_they_say() -> None:
    assert difficulty_bins(np.array([0, 0.049, 0.05, 0.25, 0.5, 0.75, 0.949, 0.95, 1])).tolist() == [
        0, 0, 1, 2, 2, 3, 3, 4, 4,
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    spent = {e.name: (rng.random(len(e.questions)), 1000 * rng.random(len(e.questions))) for e in ENVIRONMENTS}
    table = [dict(zip(difficulty(ENVIRONMENTS, spent, seeds=SEEDS).columns, row, strict=True))
             for row in difficulty(ENVIRONMENTS, spent, seeds=SEEDS).rows]  # fmt: skip
    assert sum(row["questions"] for row in table) == 2 * sum(len(e.questions) for e in ENVIRONMENTS)
    bounds = {"0–5 hopeless": (0, 0.05), "5–25": (0.05, 0.25), "25–75": (0.25, 0.75), "75–95": (0.75, 0.95)}
    for row in table:
        low, high = bounds.get(row["pass@1 %"], (0.95, 2))
        used = [e for e in ENVIRONMENTS if row["environment"] in (e.name, "all")]
        held = [(e, q) for e in used for q, share in enumerate(shares(e)) if low <= share < high]
        assert row["questions"] == len(held)
        mean = [np.mean([max(b.tokens, 500 if b.probes else 0) for b in e.questions[q].branches]) for e, q in held]
        assert row["tokens a branch"] == pytest.approx(np.mean(mean))
        sc = {(e.name, q): naive_sc(e, q, 99) for e in used for q in range(len(e.questions))}
        parts = []
        for e in used:
            total = sum(sc[e.name, q][2] for q in range(len(e.questions)))
            parts.append(sum(sc[e.name, q][2] for other, q in held if other is e) / total)
        name = next(name for name in row if name.startswith("share of SC@"))
        assert row[name] == pytest.approx(100 * np.mean(parts))
        majority = next(name for name in row if name.startswith("majority@"))
        assert row[majority] == pytest.approx(100 * np.mean([sc[e.name, q][0] for e, q in held]))
        assert row["right %"] == pytest.approx(100 * np.mean([spent[e.name][0][q] for e, q in held]))
        assert row["program: tokens"] == pytest.approx(np.mean([spent[e.name][1][q] for e, q in held]))
    with pytest.raises(InputError, match="no results on odd"):
        difficulty(ENVIRONMENTS, {ENVIRONMENTS[0].name: spent[ENVIRONMENTS[0].name]})
    with pytest.raises(InputError, match="questions"):
        difficulty(ENVIRONMENTS, {e.name: (np.ones(2), np.ones(2)) for e in ENVIRONMENTS})


def naive_weighted(environment: Environment, q: int, n: int, weight: Callable[[Trajectory], float]) -> float:
    right = []
    for seed in SEEDS:
        play = Play(environment, q, seed)
        rows = [play.question.branches[b] for b in play.order[: min(n, play.ceiling)]]
        parsed = [b for b in rows if b.final != UNPARSED]
        right.append(play.is_right(weighted_majority([b.final for b in parsed], [weight(b) for b in parsed])))
    return float(np.mean(right))


def settled_early(branch: Trajectory) -> float:
    carried = [
        next((a for a in reversed(branch.answers[: d + 1]) if a != UNPARSED), UNPARSED)
        for d in range(len(branch.answers))
    ]
    stood = min(d for d in range(len(carried)) if set(carried[d:]) == {carried[-1]})
    return 1 - stood / len(carried)


def naive_cut(environment: Environment, q: int, steps: int) -> tuple[float, float]:
    right, tokens = [], []
    for seed in SEEDS:
        play = Play(environment, q, seed)
        play.episode.branches(play.ceiling)
        for _ in range(steps - 1):
            play.episode.advance(play.episode.active)
        shown = []
        for b in play.order[: play.ceiling]:
            revealed = [a for a in play.question.branches[b].answers[:steps] if a != UNPARSED]
            shown += revealed[-1:]
        right.append(play.is_right(vote(shown).leader))
        tokens.append(play.episode.tokens)
    return float(np.mean(right)), float(np.mean(tokens))


def naive_rule(name: str, environment: Environment, q: int) -> tuple[float, float]:
    word, _, size = name.rpartition("@")
    n = int(size)
    if name == "pass@1":
        paid = [max(b.tokens, 500 if b.probes else 0) for b in environment.questions[q].branches]
        return shares(environment)[q], float(np.mean(paid))
    if word.startswith("cut"):
        return naive_cut(environment, q, max(1, int(word.split()[2].replace(",", "")) // 500))
    majority, oracle, tokens = naive_sc(environment, q, n)
    if word in ("majority", "oracle"):
        return (majority if word == "majority" else oracle), tokens
    weight: Callable[[Trajectory], float] = {
        "one vote, unparsed abstain ": lambda b: 1.0,
        "1 / length ": lambda b: 1 / max(b.tokens, 500 if b.probes else 0),
        "settled early ": settled_early,
    }[word]
    return naive_weighted(environment, q, n, weight), tokens


def test_ceilings_are_what_playing_gives() -> None:
    found = ceilings(ENVIRONMENTS, SEEDS, cuts=(300, 1000, 2500))
    assert len({row[0] for row in found.rows}) == len(found.rows) == 1 + 5 + 6 + 3 + 5
    clusters = clusters_of(ENVIRONMENTS)
    for row in found.rows:
        figures = [[naive_rule(str(row[0]), e, q) for q in range(len(e.questions))] for e in ENVIRONMENTS]
        means = [np.mean([right for right, _ in one]) for one in figures]
        assert row[1] == pytest.approx(100 * np.mean(means)), row[0]
        assert row[3] == pytest.approx(np.mean([np.mean([t for _, t in one]) for one in figures])), row[0]
        assert row[4:] == pytest.approx([100 * m for m in means])
    drawn = []
    for weights in cluster_resamples(int(clusters.max()) + 1, 1000, 0):
        each = []
        for e, one in enumerate(figures):
            w = weights[clusters[e, : len(one)]]
            if w.sum():
                each.append(float(w @ [right for right, _ in one]) / w.sum())
        drawn.append(np.mean(each))
    assert row[2] == pytest.approx(100 * np.std(drawn, ddof=1))


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


# ---- programs --------------------------------------------------------------------------------------------------

PROTOCOL = Protocol((0.0, 0.3, 0.6, 1.0), (0, 1, 2))


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    with Evaluator(ENVIRONMENTS, workers=1) as made:
        yield made


def test_a_draft_is_measured_as_every_program_is(evaluator: Evaluator) -> None:
    reference = reference_results(evaluator, PROTOCOL)
    found = measure(evaluator, shipped("asc"), reference, PROTOCOL)
    results = evaluator.run(shipped("asc"), PROTOCOL)
    gain = gain_at_matched_tokens(
        scores_of(ENVIRONMENTS, PROTOCOL.betas, results), scores_of(ENVIRONMENTS, PROTOCOL.betas, reference)
    )
    for b, row in enumerate(found.rows):
        accuracy = np.mean([100 * r.right[b].sum() / (3 * r.right.shape[1]) for r in results])
        tokens = np.mean([r.tokens[b].sum() / (3 * r.right.shape[1]) for r in results])
        waited = np.mean([r.sequential_tokens[b].sum() / (3 * r.right.shape[1]) for r in results])
        assert row[1:4] == pytest.approx((accuracy, tokens, waited))
    text = found.text()
    assert f"{100 * gain.value:+.2f} ± {100 * gain.se:.2f} points" in text
    assert f"can resolve ± {100 * gain.resolution:.1f} points at 95 %" in text
    assert f"p = {gain.sign_flip_p:.3f}" in text and "q" in text and "By environment: tiny/tiny" in text
    assert "Spending falls" not in text
    same = measure(evaluator, shipped("cmc"), reference, PROTOCOL).text()
    assert "Gain over cmc at matched tokens: +0.00 ± 0.00" in same


FALLING = """def schedule(beta):
    return {"n": 3 - 2 * beta}


def solve(episode, knobs):
    i = episode.branches(int(knobs["n"]))
    return episode.probe(i)[0]
"""


def test_falling_spending_and_rejects_are_told(evaluator: Evaluator) -> None:
    reference = reference_results(evaluator, PROTOCOL, "sc")
    found = measure(evaluator, Program.from_source(FALLING, "falling"), reference, PROTOCOL, name="sc").text()
    assert "Spending falls although β rises between β = 0 and 0.3" in found
    bad = FALLING.replace("[0]", "[9]")
    with pytest.raises(Crashed) as caught:
        measure(evaluator, Program.from_source(bad), reference, PROTOCOL)
    assert reject_text(caught.value, bad).splitlines() == [
        "Crashed",
        "  line 7: return episode.probe(i)[9]",
        "  IndexError: list index out of range",
        "  in β=0, tiny/tiny, question 1, seed 0",
    ]
    assert reject_text(CpuLimit("slow", 99), "x\n") == "CpuLimit\n  line 99\n  slow\n"
    assert "\x1b" not in reject_text(Crashed("odd", 1), "x = '\x1b[31m'\n")


def test_a_comparison_tells_what_changed(evaluator: Evaluator) -> None:
    a, b = evaluator.run(shipped("asc"), PROTOCOL), evaluator.run(shipped("sc"), PROTOCOL)
    found = compare(a, b, ENVIRONMENTS, PROTOCOL.betas, names=("asc", "sc"))
    ours, theirs = (scores_of(ENVIRONMENTS, PROTOCOL.betas, results) for results in (a, b))
    gain = gain_at_matched_tokens(ours, theirs)
    (accuracy, tokens), (before, spent) = naive_matched(ours, gain.levels), naive_matched(theirs, gain.levels)
    clusters = clusters_of(ENVIRONMENTS)
    ids = {int(c): q.id for e, row in zip(ENVIRONMENTS, clusters, strict=True)
           for c, q in zip(row, e.questions, strict=False)}  # fmt: skip
    changed = [(c, share) for c, share in gain.by_question if abs(share) >= 0.0005]
    assert changed and len(changed) == len(found.rows)
    for (cluster, share), row in zip(changed, found.rows, strict=True):
        assert row[:2] == (ids[cluster], pytest.approx(100 * share))
        places = [(e, q) for e in range(3) for q in range(clusters.shape[1]) if clusters[e, q] == cluster]
        wanted = [None] * 3
        for e, q in places:
            wanted[e] = 100 * (accuracy[e][q] - before[e][q])  # type: ignore[call-overload]
        assert all(map(close, row[2:5], wanted))
        ratio = sum(tokens[e][q] for e, q in places) / sum(spent[e][q] for e, q in places)
        assert row[5] == pytest.approx(100 * (ratio - 1))
    up = sum(share >= 0.0005 for _, share in gain.by_question)
    assert f"How broad: {up} questions gain" in found.text()
    top = sorted((s for _, s in gain.by_question), reverse=gain.value > 0)[:3]
    assert f"carry {100 * sum(top) / gain.value:.0f} % of the gain" in found.text()
    same = compare(a, a, ENVIRONMENTS, PROTOCOL.betas)
    assert same.rows == () and "0 questions gain, 0 lose" in same.text()
    assert len(compare(a, b, ENVIRONMENTS, PROTOCOL.betas, most=2).rows) == 2
    with pytest.raises((InputError, ValueError)):
        compare(a[:2], b, ENVIRONMENTS, PROTOCOL.betas)


def naive_matched(scores: Scores, levels: Any) -> tuple[Any, Any]:
    """Level by level, question by question."""
    x = np.nanmean(np.nanmean(scores.tokens / scores.units[:, None, None], axis=2), axis=0)
    order = sorted(range(len(x)), key=lambda b: (x[b], b))
    accuracy, tokens = [], []
    for level in levels:
        below = [b for b in order if x[b] <= level]
        above = [b for b in order if x[b] > level]
        mix = {}
        if not below:
            mix = {above[0]: level / x[above[0]]}
        elif not above:
            mix = {below[-1]: 1.0}
        else:
            share = (level - x[below[-1]]) / (x[above[0]] - x[below[-1]])
            mix = {below[-1]: 1 - share, above[0]: share}
        accuracy.append(sum(w * scores.accuracy[:, b, :] for b, w in mix.items()))
        tokens.append(sum(w * scores.tokens[:, b, :] for b, w in mix.items()))
    return np.mean(accuracy, axis=0), np.mean(tokens, axis=0)


@given(st.integers(0, 10_000))
def test_matched_tokens_add_up_to_the_gain_where_curves_rise(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def one() -> Scores:
        accuracy = np.sort(rng.random((2, 4, 5)), axis=1)
        tokens = np.cumsum(rng.random((2, 4, 5)) + 0.01, axis=1)
        return Scores(accuracy, tokens, np.tile(np.arange(5), (2, 1)), np.array([2.0, 3.0]))

    ours, theirs = one(), one()
    gain = gain_at_matched_tokens(ours, theirs, resamples=2)
    difference = matched(ours, gain.levels)[0] - matched(theirs, gain.levels)[0]
    assert float(difference.mean()) == pytest.approx(gain.value, abs=1e-9)


# ---- recorded and synthetic data -------------------------------------------------------------------------------


def test_synthetic_environments_have_every_table() -> None:
    made = list(synthetic_environments("search"))[:2]
    for evidence in (states(made), states(made, split_by="entropy"), branches(made), difficulty(made), ceilings(made)):
        assert evidence.rows and evidence.as_json()["rows"]
        assert evidence.text() == evidence.text()


def test_recorded_environments_take_less_than_five_seconds(recorded: Path, sandbox: Sandbox) -> None:
    environments = [load_environment(path) for path in sorted((recorded / "replay").glob("*/aime24.json"))]
    expression = "max(len(b.answers) for b in state.branches) / state.n"
    works: list[Callable[[], Evidence]] = [
        lambda: states(environments),
        *(lambda name=name: states(environments, split_by=name) for name in ("entropy", "leader steady")),  # type: ignore[misc]
        lambda: states(environments, split_by="running agreement", running=8, advanced=20),
        lambda: states(environments, split_by=expression, sandbox=sandbox),
        lambda: branches(environments),
        lambda: branches(environments, "len(set(branch.answers[-5:]))", sandbox=sandbox),
        lambda: difficulty(environments),
        lambda: ceilings(environments),
    ]
    for work in works:
        start = time.process_time()
        evidence = work()
        assert time.process_time() - start < 5
        assert len(evidence.text()) < 6000
    sc = {row[0]: row for row in ceilings(environments).rows}
    assert sc["pass@1"][1] == pytest.approx(51.09, abs=0.01)
