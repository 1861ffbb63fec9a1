"""What is in an environment: the figures that tell a usable recording from a broken one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from autotts.replay.answers import get_equivalence
from autotts.replay.environment import UNPARSED, Environment, Question
from autotts.replay.source import branch_order
from autotts.toolkit import vote

__all__ = ["QUANTILES", "summarize"]

QUANTILES = (1, 10, 25, 50, 75, 90, 99)
"""Percents at which distributions are given."""

_SEEDS = range(20)  # of the published 100: enough for a figure that is looked at, not compared
_EXAMPLES = 10


def summarize(environment: Environment, recorded: Environment | None = None) -> dict[str, Any]:
    """Figures of an environment, with its answers compared as its equivalence says.

    Args:
        environment: what to look into.
        recorded: the same with its answers as they are written; needed where the equivalence is not "exact".

    Returns:
        JSON-ready: sizes; quantiles (percent → value) of depths, tokens and of the relative depth from which on a
        branch shows its final answer; shares of unparsed answers; `pass@1`, `majority@n` and `oracle@n` in percent, n
        the ceiling of branches (64), or what is recorded of a question where that is less, expected over 20 published
        seeds; after how many branches the pool's majority stays (quantiles); under `merged` what the environment's own
        equivalence has merged (None for "exact"), and under `latex` what the `latex` one does or would, with the
        scores that it changes.
    """
    recorded = recorded or environment
    equivalences = {"latex", environment.equivalence} - {"exact"}
    merges = {name: _merges(recorded, name) for name in sorted(equivalences)}
    branches = [branch for question in environment.questions for branch in question.branches]
    right = [branch.final == question.gold for question in environment.questions for branch in question.branches]
    tokens = [branch.tokens for branch in branches]
    probes = sum(len(branch.probes) for branch in branches)
    scores, settles = _scores(environment)
    return {
        "name": environment.name,
        "model": environment.model,
        "dataset": environment.dataset,
        "hash": environment.hash,
        "equivalence": environment.equivalence,
        "provenance": dict(environment.provenance),
        "interval": environment.interval,
        "kappa_probe": environment.kappa_probe,
        "max_branches": environment.max_branches,
        "questions": len(environment.questions),
        "branches": len(branches),
        "branches_per_question": _range(len(question.branches) for question in environment.questions),
        "depths": _quantiles([len(branch.answers) for branch in branches]),
        "tokens": _quantiles(tokens),
        "tokens_mean": float(np.mean(tokens)),
        "tokens_median_right": _median(t for t, good in zip(tokens, right, strict=True) if good),
        "tokens_median_wrong": _median(t for t, good in zip(tokens, right, strict=True) if not good),
        "share_shorter_than_probes": _share(b.tokens < environment.interval * len(b.probes) for b in branches),
        "share_truncated": _share(branch.truncated for branch in branches),
        "signals": sorted({name for branch in branches for name in branch.signals}),
        "unparsed_probes": sum(branch.probes.count(UNPARSED) for branch in branches) / max(1, probes),
        "unparsed_finals": _share(branch.final == UNPARSED for branch in branches),
        **scores,
        "gold_never_seen": [q.id for q in environment.questions if not _seen(q)],
        "majority_settles_after_branches": _quantiles(settles),
        "answer_settles_at_relative_depth": _quantiles([_settled(branch.answers) for branch in branches]),
        "merged": merges.get(environment.equivalence),
        "latex": merges["latex"],
        "per_question": list(map(_of_question, environment.questions)),
    }


def _of_question(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "branches": len(question.branches),
        "pass@1": 100 * _accuracy(question),
        "distinct_finals": len({branch.final for branch in question.branches}),
        "tokens_median": _median(branch.tokens for branch in question.branches),
    }


def _scores(environment: Environment) -> tuple[dict[str, float], list[int]]:
    """pass@1, majority and oracle in percent; the branches after which the majority stays, per question and seed."""
    one, majority, oracle = [], [], []
    settles = []
    for question in environment.questions:
        finals = [branch.final for branch in question.branches]
        one.append(finals.count(question.gold) / len(finals) if question.gold != UNPARSED else 0.0)
        for seed in _SEEDS:
            pool = [finals[b] for b in branch_order(seed, len(finals))[: environment.max_branches]]
            right = question.gold != UNPARSED
            majority.append(right and vote(pool).leader == question.gold)
            oracle.append(right and question.gold in pool)
            settles.append(_settled_after(pool))
    n = min(environment.max_branches, max(len(question.branches) for question in environment.questions))
    figures = {"pass@1": np.asarray(one), f"majority@{n}": np.asarray(majority), f"oracle@{n}": np.asarray(oracle)}
    return {name: 100 * float(values.mean()) for name, values in figures.items()}, settles


def _settled_after(pool: list[str]) -> int:
    """The number of branches from which on the majority of those read is that of all."""
    counts: Counter[str] = Counter()
    leaders = []
    for answer in pool:
        counts[answer] += 1
        # A Counter keeps the order of first sight, and so does max among equals.
        leaders.append(max(counts, key=counts.__getitem__))
    k = len(leaders)
    while k > 1 and leaders[k - 2] == leaders[-1]:
        k -= 1
    return k


def _settled(answers: tuple[str, ...]) -> float:
    """The relative depth from which on a branch shows its final answer."""
    k = len(answers) - 1
    while k > 0 and answers[k - 1] == answers[-1]:
        k -= 1
    return k / len(answers)


def _merges(environment: Environment, name: str) -> dict[str, Any]:
    """What an equivalence makes the same that this environment holds apart."""
    canonical = get_equivalence(name)
    merged = environment.with_equivalence(name, canonical)
    scores, _ = _scores(environment)
    classes = 0
    seen: Counter[tuple[str, ...]] = Counter()
    for question in environment.questions:
        counts: Counter[str] = Counter()
        for branch in question.branches:
            counts.update(branch.answers)
        counts.setdefault(question.gold, 0)
        forms: defaultdict[str, list[str]] = defaultdict(list)
        for answer in counts:
            forms[answer if answer == UNPARSED else canonical(answer)].append(answer)
        for answers in forms.values():
            if len(answers) > 1:
                classes += 1
                # What matters of a merge is the smaller part: so many votes change sides.
                seen[tuple(sorted(answers))] += sum(counts[a] for a in answers) - max(counts[a] for a in answers)
    changed = [
        {"id": before.id, "pass@1": [100 * old, 100 * new]}
        for before, after in zip(environment.questions, merged.questions, strict=True)
        if (old := _accuracy(before)) != (new := _accuracy(after))
    ]
    after_scores, _ = _scores(merged)
    return {
        "merged_classes": classes,
        "answers_that_move": sum(seen.values()),
        "examples": [{"answers": list(answers), "moved": n} for answers, n in seen.most_common(_EXAMPLES)],
        "changed_questions": changed,
        "scores": {name: [score, after_scores[name]] for name, score in scores.items()},
    }


def _accuracy(question: Question) -> float:
    return _share(branch.final == question.gold for branch in question.branches)


def _seen(question: Question) -> bool:
    return any(question.gold in branch.answers for branch in question.branches)


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)


def _range(values: Iterable[int]) -> list[int]:
    found = list(values)
    return [min(found), max(found)]


def _median(values: Iterable[int]) -> float | None:
    found = list(values)
    return float(np.median(found)) if found else None


def _quantiles(values: list[int] | list[float]) -> dict[str, float]:
    return {str(q): float(v) for q, v in zip(QUANTILES, np.percentile(values, QUANTILES), strict=True)}
