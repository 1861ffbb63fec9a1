"""States and branches: every table against a naive recomputation."""

from __future__ import annotations

import math
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

from autotts.errors import InputError
from autotts.evaluation import clusters_of
from autotts.evaluation.statistics import cluster_resamples
from autotts.replay import Question, Trajectory, load_environment, synthetic_environments
from autotts.sandbox import Sandbox
from autotts.toolkit import entropy, vote
from autotts.traces import BRANCH_FEATURES, Evidence, branches, ceilings, difficulty, states
from autotts.traces import _pool as pool_module
from autotts.traces._pool import votes
from tests.naive import ENVIRONMENTS, SEEDS, Play, Seen, close, columns, plays


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(preload=("autotts.traces.features_child",)) as made:
        yield made


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
