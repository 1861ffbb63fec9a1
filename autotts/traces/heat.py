"""How a program's episodes ended, by question and environment: the cells of a heat map.

For people, on the host: a cell tells on which question a program was right. No agent is given that, so nothing that
agents or their bench import may import this (checked by import-linter).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from autotts.evaluation import EpisodeTrace, cluster_names
from autotts.replay import Environment
from autotts.traces._failures import KINDS, FailureKind, kind_of
from autotts.traces._walk import questions_of, walk

__all__ = ["Ending", "HeatCell", "HeatMap", "heat_map"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How one episode ended.

    Attributes:
        trace: the episode's place in the traces that were given, so that it can be opened.
        beta, seed: of the episode.
        right: whether its answer was right.
        kind: see `KINDS`.
        tokens: that it spent.
    """

    trace: int
    beta: float
    seed: int
    right: bool
    kind: FailureKind
    tokens: int


@dataclass(frozen=True)
class HeatCell:
    """The episodes of one question in one environment.

    Attributes:
        endings: at least one, in the order of the traces.
    """

    endings: tuple[Ending, ...]

    @cached_property
    def kinds(self) -> dict[FailureKind, int]:
        """How many episodes ended in each kind; every kind is there, in the order of `KINDS`."""
        counts = Counter(ending.kind for ending in self.endings)
        return {kind: counts[kind] for kind in KINDS}

    @property
    def accuracy(self) -> float:
        """Share of the episodes that were right, in [0, 1]."""
        return sum(ending.right for ending in self.endings) / len(self.endings)

    @property
    def tokens(self) -> float:
        """Mean tokens of an episode."""
        return sum(ending.tokens for ending in self.endings) / len(self.endings)


@dataclass(frozen=True)
class HeatMap:
    """How a program's episodes ended, by question and environment.

    Attributes:
        questions: Q names, see `cluster_names`; a question that several environments have is one.
        environments: E names.
        cells: Q rows of E cells; None where the environment does not have the question, or it was not played.
    """

    questions: tuple[str, ...]
    environments: tuple[str, ...]
    cells: tuple[tuple[HeatCell | None, ...], ...]

    def wrong(self, question: int) -> float:
        """Share of a question's episodes that went wrong, environments weighing the same; 0 where none was played."""
        played = [cell.accuracy for cell in self.cells[question] if cell]
        return 1 - sum(played) / len(played) if played else 0.0

    def right(self, environment: int) -> float:
        """Share of an environment's episodes that were right, questions weighing the same; NaN of none."""
        played = [cell.accuracy for row in self.cells if (cell := row[environment])]
        return sum(played) / len(played) if played else math.nan

    def worst_first(self) -> tuple[int, ...]:
        """Places of the questions, the one that went wrong most often first; among equals, as they are recorded."""
        return tuple(sorted(range(len(self.questions)), key=lambda q: -self.wrong(q)))


def heat_map(traces: Sequence[EpisodeTrace], environments: Sequence[Environment]) -> HeatMap:
    """How the episodes of a program ended, by question and environment.

    Args:
        traces: of one program.
        environments: those that the traces' evaluator has, in its order.
    """
    names, recorded = cluster_names(environments), questions_of(environments)
    found: defaultdict[tuple[str, int], list[Ending]] = defaultdict(list)
    for place, trace in enumerate(traces):
        walked = walk(trace, recorded[trace.environment][trace.question])
        ending = Ending(place, trace.beta, trace.seed, walked.right, kind_of(walked), trace.tokens)
        found[names[trace.environment][trace.question], trace.environment].append(ending)
    questions = tuple(dict.fromkeys(name for row in names for name in row))

    def cell(question: str, environment: int) -> HeatCell | None:
        endings = found.get((question, environment))
        return HeatCell(tuple(endings)) if endings else None

    return HeatMap(
        questions,
        tuple(environment.name for environment in environments),
        tuple(tuple(cell(question, e) for e in range(len(environments))) for question in questions),
    )
