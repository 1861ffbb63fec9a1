"""An evaluation's figures: a curve over β in every environment, and the mean curve."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from typing import Protocol as Typing

import numpy as np
from numpy.typing import NDArray

from autotts.errors import ProgramError
from autotts.evaluation.program import Program
from autotts.evaluation.protocol import Protocol
from autotts.evaluation.results import EnvironmentResult
from autotts.evaluation.statistics import Scores, ci95_accuracy
from autotts.replay import Environment

__all__ = [
    "ROW_SCHEMA",
    "Curve",
    "cluster_keys",
    "cluster_names",
    "clusters_of",
    "failed_rows",
    "falling_pairs",
    "numbered",
    "scores_of",
]

ROW_SCHEMA = "autotts.evaluation/1"

_FIGURES = ("beta", "knobs", "accuracy", "tokens", "sequential_tokens", "branches", "ci95")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A program's figures on E environments with Q questions each, at B values of β.

    Attributes:
        betas: the B values.
        accuracy: mean over seeds, in [0, 1], shape (E, B, Q).
        tokens: mean over seeds, shape (E, B, Q).
        sequential: mean sequential tokens over seeds, shape (E, B, Q).
        branches: mean opened branches over seeds, shape (E, B, Q).
        clusters: cluster of each question, shape (E, Q): a question seen by several models is one cluster.
        units: SC@64's tokens in each environment, shape (E,).

    Where environments differ in their number of questions, shorter ones are padded with NaN.
    """

    betas: tuple[float, ...]
    accuracy: Floats
    tokens: Floats
    sequential: Floats
    branches: Floats
    clusters: NDArray[np.int64]
    units: Floats

    @classmethod
    def of(
        cls, environments: Sequence[Environment], betas: Sequence[float], results: Sequence[EnvironmentResult]
    ) -> Curve:
        """From an evaluator's results."""

        def stacked(name: str) -> Floats:
            width = max(len(environment.questions) for environment in environments)
            out = np.full((len(results), len(betas), width), np.nan)
            for e, result in enumerate(results):
                sums = getattr(result, name)
                out[e, :, : sums.shape[1]] = sums / result.n_seeds
            return out

        units = np.array([environment.sc64_tokens for environment in environments])
        return cls(
            tuple(betas),
            stacked("right"),
            stacked("tokens"),
            stacked("sequential_tokens"),
            stacked("branches"),
            clusters_of(environments),
            units,
        )

    def mean(self) -> tuple[Floats, Floats, Floats]:
        """The mean curve: accuracy, tokens, sequential tokens at each β, environments weighing the same."""
        return (
            np.nanmean(self.accuracy, axis=2).mean(axis=0),
            np.nanmean(self.tokens, axis=2).mean(axis=0),
            np.nanmean(self.sequential, axis=2).mean(axis=0),
        )

    def rows(
        self,
        program: Program,
        environments: Sequence[Environment],
        protocol: Protocol,
        results: Sequence[EnvironmentResult],
        source: str,
        isolation: str,
    ) -> list[dict[str, Any]]:
        """One row an environment and β, as `autotts evaluate --json` prints them; figures unrounded."""
        rows = []
        for e, (environment, result) in enumerate(zip(environments, results, strict=True)):
            n = len(environment.questions)
            for b, beta in enumerate(protocol.betas):
                low, high = ci95_accuracy(self.accuracy[e, b, :n], self.clusters[e, :n])
                figures = {
                    "beta": beta,
                    "knobs": result.knobs[b],
                    "accuracy": _per_episode(result.right[b], result.n_seeds) * 100,
                    "tokens": _per_episode(result.tokens[b], result.n_seeds),
                    "sequential_tokens": _per_episode(result.sequential_tokens[b], result.n_seeds),
                    "branches": _per_episode(result.branches[b], result.n_seeds),
                    "ci95": [100 * low, 100 * high],
                }
                rows.append(_row(program, environment, protocol, source, isolation, figures))
        return rows


def failed_rows(
    program: Program,
    environments: Sequence[Environment],
    protocol: Protocol,
    source: str,
    isolation: str,
    error: ProgramError,
) -> list[dict[str, Any]]:
    """One row an environment for a program that failed: the keys of every other row, the figures None.

    There is none a β: the first failure ends an evaluation, and `error` tells at which β and where it was.
    """
    fault = {"message": error.message, "line": error.line, "where": error.where}
    figures: dict[str, Any] = {**dict.fromkeys(_FIGURES), "outcome": error.outcome, "error": fault}
    return [_row(program, environment, protocol, source, isolation, figures) for environment in environments]


def _row(
    program: Program,
    environment: Environment,
    protocol: Protocol,
    source: str,
    isolation: str,
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    row = {
        "schema": ROW_SCHEMA,
        "program": program.name or program.id,
        "source_hash": program.hash,
        "environment": environment.name,
        "env_hash": environment.hash,
        "model": environment.model,
        "dataset": environment.dataset,
        "equivalence": environment.equivalence,
        "kappa_probe": environment.kappa_probe,
        **dict.fromkeys(_FIGURES[:2]),
        "n_seeds": len(protocol.seeds),
        "n_questions": len(environment.questions),
        **dict.fromkeys(_FIGURES[2:]),
        "source": source,
        "isolation": isolation,
        "outcome": "ok",
        "error": None,
    }
    return {**row, **figures}


def _per_episode(sums: NDArray[np.int64], n_seeds: int) -> float:
    """Mean over questions and seeds from whole numbers: one division, one rounding."""
    return int(sums.sum()) / (len(sums) * n_seeds)


def clusters_of(environments: Sequence[Environment]) -> NDArray[np.int64]:
    """Cluster numbers of shape (E, Q), −1 as padding: the same question of the same dataset is one cluster."""
    return numbered([cluster_keys(environment) for environment in environments])


def cluster_keys(environment: Environment) -> tuple[str, ...]:
    """What tells each question of an environment, SHA-256 (hex): the same question has one key in every environment."""
    # The text decides: ids may be positions, and positions may differ between recordings.
    texts = (f"{environment.dataset}\0{question.text or question.id}" for question in environment.questions)
    return tuple(hashlib.sha256(text.encode()).hexdigest() for text in texts)


def cluster_names(environments: Sequence[Environment]) -> list[tuple[str, ...]]:
    """A name for each question that people can read: its id, with a number where two questions have the same id.

    The same question has one name in every environment.
    """
    names: dict[str, str] = {}
    for environment in environments:
        for key, question in zip(cluster_keys(environment), environment.questions, strict=True):
            if key not in names:
                taken = set(names.values())
                ways = itertools.chain([question.id], (f"{question.id} ({n})" for n in itertools.count(2)))
                names[key] = next(way for way in ways if way not in taken)
    return [tuple(names[key] for key in cluster_keys(environment)) for environment in environments]


def numbered(keys: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Numbers in the order of first appearance, of shape (E, Q), −1 as padding, of E lists of keys or names."""
    numbers: dict[str, int] = {}
    out = np.full((len(keys), max(map(len, keys))), -1, dtype=np.int64)
    for e, row in enumerate(keys):
        out[e, : len(row)] = [numbers.setdefault(key, len(numbers)) for key in row]
    return out


class Sums(Typing):
    """What an evaluator's result and an archive's record have in common: sums over seeds, shape (B, Q)."""

    @property
    def right(self) -> NDArray[np.int64]: ...
    @property
    def tokens(self) -> NDArray[np.int64]: ...
    @property
    def n_seeds(self) -> int: ...


def scores_of(results: Sequence[Sums], clusters: NDArray[np.int64], units: Floats) -> Scores:
    """Means over seeds of E results, padded with NaN where environments differ in questions.

    Args:
        results: one an environment.
        clusters: shape (E, Q), see `clusters_of`.
        units: shape (E,), tokens of SC@64.
    """
    shape = (len(results), results[0].right.shape[0], clusters.shape[1])
    accuracy, tokens = np.full(shape, np.nan), np.full(shape, np.nan)
    for e, result in enumerate(results):
        width = result.right.shape[1]
        accuracy[e, :, :width] = result.right / result.n_seeds
        tokens[e, :, :width] = result.tokens / result.n_seeds
    return Scores(accuracy, tokens, clusters, units)


def falling_pairs(betas: Sequence[float], tokens: Sequence[float]) -> list[tuple[float, float]]:
    """Neighbouring β between which mean spending falls although β rises."""
    order = sorted(range(len(betas)), key=lambda k: betas[k])
    return [(betas[a], betas[b]) for a, b in pairwise(order) if tokens[b] < tokens[a] * (1 - 1e-9)]
