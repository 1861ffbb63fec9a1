"""Within-question AUC: which features of a branch tell right ones from wrong ones of the same question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autotts.replay import Environment
from autotts.sandbox import Sandbox
from autotts.traces._pool import LEAST, Pool, clustered
from autotts.traces._table import Cell, Evidence
from autotts.traces.features import BRANCH_FEATURES, branch_values, words_of

__all__ = ["branches"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def branches(
    environments: Sequence[Environment],
    feature: str | None = None,
    *,
    sandbox: Sandbox | None = None,
    least: int = LEAST,
) -> Evidence:
    """Within-question AUC of branch features, over all recorded branches, finished.

    Args:
        environments: the recordings.
        feature: a name of `BRANCH_FEATURES`, an expression of `branch` and `state` (in which all branches of the
            question have finished), or a text with `def feature(branch)` or `def feature(branch, state)`; None for a
            table of all that are shipped and of the recorded signals.
        sandbox: where an expression runs.
        least: questions with pairs that a feature must tell apart for its AUC to be shown.

    Raises:
        InputError: an expression without a sandbox.
        ProgramError: how the expression ended.
    """
    pools = Pool.all_of(environments)
    values, signals = branch_values(pools, list(BRANCH_FEATURES) if feature is None else [feature], sandbox)
    meanings = {name: meaning for name, (meaning, _) in BRANCH_FEATURES.items()}
    if feature is None:
        values |= signals
        values["truncated"] = _truncated(pools)
        meanings["truncated"] = "the recording hit its token limit"
    if feature is not None and feature not in BRANCH_FEATURES:
        values = {"an expression": values[feature]}
        meanings["an expression"] = words_of(feature)
    rows = [_row(pools, name, column, meanings, least) for name, column in values.items()]
    rows = [row for row in rows if feature is not None or row[3]]
    rows.sort(key=lambda row: -abs((50.0 if row[1] is None else float(row[1])) - 50.0))
    notes = (
        "AUC: how often a feature is greater in the right branch of a right and a wrong one of the same question (ties "
        "count half), weighted by pairs; 50 tells nothing, below 50 the right branches have less of it.",
        "±: standard error over questions. Pairs in which a branch has no such figure are left out; a feature that "
        f"differs within fewer than {least} questions has no AUC here.",
    )
    columns = ("feature", "AUC %", "±", "pairs", "questions", "meaning")
    return Evidence("Within-question AUC of branch features", columns, tuple(rows), notes)


def _row(pools: Sequence[Pool], name: str, values: Floats, meanings: dict[str, str], least: int) -> tuple[Cell, ...]:
    clusters = max(int(pool.clusters.max()) for pool in pools) + 1
    good, pairs, differs = np.zeros(clusters), np.zeros(clusters), np.zeros(clusters, dtype=np.bool_)
    start = 0
    for pool in pools:
        for q, count in enumerate(pool.counts.tolist()):
            mine, right = values[start : start + count], pool.right[q, :count]
            start += count
            ordered, n = concordance(mine[right], mine[~right])
            good[pool.clusters[q]] += ordered
            pairs[pool.clusters[q]] += n
            differs[pool.clusters[q]] |= n > 0 and len(np.unique(mine[~np.isnan(mine)])) > 1
    auc, se = clustered(good[None], pairs[None])
    shown = int(differs.sum()) >= least
    figures: list[Cell] = [100 * float(auc[0]), 100 * float(se[0])] if shown else [None, None]
    return (name, *figures, int(pairs.sum()), int(differs.sum()), meanings.get(name, ""))


def concordance(right: Floats, wrong: Floats) -> tuple[float, int]:
    """(pairs in which the right one has more, ties counting half; all pairs) of what has a figure."""
    right, wrong = right[~np.isnan(right)], np.sort(wrong[~np.isnan(wrong)])
    below, upto = np.searchsorted(wrong, right, side="left"), np.searchsorted(wrong, right, side="right")
    return float((below + upto).sum()) / 2, len(right) * len(wrong)


def _truncated(pools: Sequence[Pool]) -> Floats:
    """Whether each branch hit the recording's limit; no figure at all where none did."""
    flags = [float(b.truncated) for pool in pools for q in pool.environment.questions for b in q.branches]
    return np.array(flags if any(flags) else [np.nan] * len(flags))
