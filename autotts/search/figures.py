"""Figures of a run from the archive alone: nothing is run again, and no recording is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Literal

import numpy as np
import numpy.typing as npt

from autotts.archive import Archive, Evaluation, Listed, Point, Run
from autotts.errors import InputError
from autotts.evaluation.curve import numbered, scores_of
from autotts.evaluation.statistics import Scores, mean_curve
from autotts.search.config import Config
from autotts.search.standing import REFERENCE

__all__ = ["Figures", "Source"]

Ints = npt.NDArray[np.int64]

Source = Literal["confirm", "screen"]
"""Which of a program's evaluations: on all episodes of the run, or on those that screening plays."""


@dataclass(frozen=True)
class Figures:
    """What the archive holds of a run's confirmed programs.

    Args:
        archive: where.
        run: which.
    """

    archive: Archive
    run: Run

    @cached_property
    def config(self) -> Config:
        """The run's configuration."""
        return Config.from_json(self.run.config)

    @cached_property
    def units(self) -> list[float]:
        """Tokens of SC@64 in each environment."""
        return [ref.sc64_tokens for ref in self.run.environments]

    @cached_property
    def questions(self) -> list[str]:
        """The name of each question (cluster), by its number."""
        return list(dict.fromkeys(name for ref in self.run.environments for name in ref.clusters))

    @cached_property
    def listed(self) -> list[Listed]:
        """Every proposal of the run, in the order of the slots."""
        return list(self.archive.listing(self.run.name))

    @cached_property
    def confirmed(self) -> dict[str, Listed]:
        """Every confirmed program by its hash, in the order of the slots."""
        return {row.hash: row for row in self.listed if row.hash and row.outcome == "ok" and row.stage == "confirm"}

    @property
    def written(self) -> list[Listed]:
        """The confirmed programs that agents wrote."""
        return [row for row in self.confirmed.values() if row.round]

    @cached_property
    def baselines(self) -> dict[str, str]:
        """Hash of each confirmed baseline by its name."""
        first = takewhile(lambda row: row.round == 0, self.archive.listing(self.run.name))  # not all of a long run
        confirmed = [row for row in first if row.agent == "baseline" and row.outcome == "ok" and row.stage == "confirm"]
        found = [program for row in confirmed if row.hash and (program := self.archive.program(row.hash))]
        return {program.name: program.hash for program in found}

    @cached_property
    def reference(self) -> Scores:
        """The reference's scores.

        Raises:
            InputError: the run has not come so far.
        """
        if REFERENCE not in self.baselines:
            raise InputError(
                f"{self.run.name}: its reference {REFERENCE} is not confirmed yet; "
                f"go on with it by `autotts resume {self.run.name}`"
            )
        return self.scores(self.baselines[REFERENCE])

    @cached_property
    def clusters(self) -> Ints:
        """The number of each question, shape (E, Q), −1 as padding."""
        return numbered([ref.clusters for ref in self.run.environments])

    def evaluations(self, program: str, source: Source) -> list[Evaluation]:
        """What a program did in each environment; empty where that is not known of every one.

        Args:
            program: hash.
            source: its confirming evaluation, or its screening one.
        """
        protocol = self.config.protocol if source == "confirm" else self.config.screen_protocol
        hashes = [ref.hash for ref in self.run.environments]
        kept = self.archive.get_evaluations(program, hashes, protocol.hash, source)
        return [kept[hash] for hash in hashes] if len(kept) == len(set(hashes)) else []

    def scores(self, program: str) -> Scores:
        """A confirmed program's scores, from its sums over seeds.

        Args:
            program: hash.

        Raises:
            InputError: it was not confirmed in this run.
        """
        kept = self.evaluations(program, "confirm")
        if not kept:
            raise InputError(
                f"{program[:10]}: not confirmed in {self.run.name}; `autotts list --run {self.run.name}` shows what is"
            )
        return self.scores_of(kept)

    def scores_of(self, evaluations: Sequence[Evaluation]) -> Scores:
        """Scores from sums over seeds, one an environment."""
        return scores_of(evaluations, self.clusters, np.asarray(self.units))

    def all_scores(self, programs: Sequence[str]) -> Iterator[Scores]:
        """Scores of many programs, one in memory at a time."""
        return (self.scores(program) for program in programs)

    def points(self, program: str, scores: Scores) -> list[Point]:
        """The mean curve in units of SC@64: each environment's tokens are divided first, as they differ in cost."""
        means = mean_curve(scores.accuracy, scores.tokens, scores.units)
        betas = self.config.protocol.betas
        return [Point(program, b, float(t), float(a)) for b, a, t in zip(betas, *means, strict=True)]

    @property
    def rectangle(self) -> dict[str, float]:
        """What hypervolumes of these points are measured in: floor pass@1, from one mean branch to SC@64's tokens."""
        refs = self.run.environments
        return {
            "floor": float(np.mean([ref.pass_at_1 for ref in refs])),
            "left": float(np.mean([ref.mean_branch_tokens / ref.sc64_tokens for ref in refs])),
            "right": 1.0,
        }
