"""Difficulty and fixed rules, against episodes that are played."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autotts.errors import InputError
from autotts.evaluation import Evaluator, Protocol, clusters_of, shipped
from autotts.evaluation.statistics import cluster_resamples
from autotts.replay import UNPARSED, Environment, Trajectory
from autotts.toolkit import vote, weighted_majority
from autotts.traces import ceilings, difficulty
from autotts.traces._pool import LEAST, difficulty_bins
from tests.naive import ENVIRONMENTS, SEEDS, Play

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
        right = [np.mean([sc[e.name, q][0] for e, q in held]), np.mean([spent[e.name][0][q] for e, q in held])]
        for shown, share in zip((row[majority], row["right %"]), right, strict=True):
            assert shown == (pytest.approx(100 * share) if len(held) >= LEAST else None)
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


def test_the_majority_is_what_self_consistency_gets_and_spends() -> None:
    environments = ENVIRONMENTS[::2]
    with Evaluator(environments, workers=1) as evaluator:
        results = evaluator.run(shipped("sc"), Protocol((0.5,), SEEDS, {"max_samples": 4}))
    (row,) = [row for row in ceilings(environments, SEEDS).rows if row[0] == "majority@4"]
    episodes = [len(SEEDS) * len(environment.questions) for environment in environments]
    right = [100 * int(r.right.sum()) / n for r, n in zip(results, episodes, strict=True)]
    tokens = [int(r.tokens.sum()) / n for r, n in zip(results, episodes, strict=True)]
    assert row[4:] == pytest.approx(right)
    assert row[3] == pytest.approx(np.mean(tokens))
