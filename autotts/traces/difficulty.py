"""Where the tokens go: by a question's difficulty for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autotts.errors import InputError
from autotts.replay import Environment
from autotts.replay.source import UNPARSED_ID
from autotts.traces._pool import DIFFICULTY, LEAST, Pool, ceiling_of, difficulty_bins, probe_note, votes
from autotts.traces._table import Cell, Evidence

__all__ = ["Spent", "difficulty"]

Floats = NDArray[np.float64]

Spent = Mapping[str, tuple[Floats, Floats]]
"""A program's episodes: environment's name → (accuracy in [0, 1], tokens), means over seeds, each of shape (Q,)."""

SEEDS = tuple(range(20))


def difficulty(
    environments: Sequence[Environment], spent: Spent | None = None, *, seeds: Sequence[int] = SEEDS
) -> Evidence:
    """Questions, tokens and what the majority gets right, by environment and difficulty bin.

    Args:
        environments: the recordings.
        spent: what a program got and spent, for three columns more.
        seeds: over which majority@64 and its tokens are averaged.

    Raises:
        InputError: `spent` lacks an environment, or has figures of another shape.
    """
    pools = Pool.all_of(environments)
    tables = [_columns_of(pool, seeds, spent) for pool in pools]
    rows: list[tuple[Cell, ...]] = []
    for pool, table in zip(pools, tables, strict=True):
        rows += _rows(pool.environment.name, [difficulty_bins(pool.pass_at_1)], [table])
    if len(pools) > 1:
        rows += _rows("all", [difficulty_bins(pool.pass_at_1) for pool in pools], tables)
    ceiling = ceiling_of(pools)
    columns = ["environment", "pass@1 %", "questions", "tokens a branch", f"share of SC@{ceiling}'s tokens %"]
    columns.append(f"majority@{ceiling} right %")
    columns += ["program: tokens", "share of its tokens %", "right %"] if spent is not None else []
    notes = [
        "Difficulty: pass@1 over all recorded branches, for each model; a question on an edge is in the easier bin.",
        f"Right: means over {len(seeds)} seeds; shares are of an environment's tokens, and means of these under `all`.",
        f"Of fewer than {LEAST} questions it is not told what was right.",
    ]
    return Evidence("Where the tokens go, by difficulty", tuple(columns), tuple(rows), (*notes, *probe_note(pools)))


def _columns_of(pool: Pool, seeds: Sequence[int], spent: Spent | None) -> list[Floats]:
    """Figures of each question: tokens of a branch, SC's tokens, SC right; the program's tokens, and right."""
    orders = pool.orders(seeds)
    there = orders >= 0
    width = orders.shape[2]
    leader = votes(pool.along(pool.finals, orders).reshape(-1, width), there.reshape(-1, width)).leader
    leader = leader[:, -1].reshape(len(seeds), -1)
    right = ((leader == pool.prepared.gold) & (leader > UNPARSED_ID)).mean(axis=0)
    tokens = np.where(there, pool.along(pool.tokens, orders), 0).sum(axis=2).mean(axis=0)
    columns = [pool.mean_tokens, tokens, right]
    if spent is not None:
        name = pool.environment.name
        if name not in spent:
            raise InputError(f"no results on {name}; there are: {', '.join(spent) or 'none'}")
        accuracy, used = (np.asarray(values, dtype=np.float64) for values in spent[name])
        if accuracy.shape != right.shape or used.shape != right.shape:
            raise InputError(f"results on {name} of shape {accuracy.shape}; it has {len(right)} questions")
        columns += [used, accuracy]
    return columns


def _rows(name: str, bins: Sequence[NDArray[np.int64]], tables: Sequence[list[Floats]]) -> list[tuple[Cell, ...]]:
    """A row a bin that has questions."""
    rows: list[tuple[Cell, ...]] = []
    for b, label in enumerate(DIFFICULTY):
        held = [one == b for one in bins]
        questions = sum(int(h.sum()) for h in held)
        if not questions:
            continue

        def mean(k: int, held: Sequence[NDArray[np.bool_]] = held) -> float:
            return float(np.concatenate([t[k][h] for t, h in zip(tables, held, strict=True)]).mean())

        def share(k: int, held: Sequence[NDArray[np.bool_]] = held) -> float:
            return 100 * float(np.mean([t[k][h].sum() / t[k].sum() for t, h in zip(tables, held, strict=True)]))

        row: list[Cell] = [name, label, questions, mean(0), share(1), 100 * mean(2) if questions >= LEAST else None]
        row += [mean(3), share(3), 100 * mean(4) if questions >= LEAST else None] if len(tables[0]) > 3 else []
        rows.append(tuple(row))
    return rows
