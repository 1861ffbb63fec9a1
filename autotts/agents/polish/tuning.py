"""Tunes the constants of a program's schedule: CMA-ES, cross-validated over questions, by the one-standard-error rule.

Questions are parted into folds. For each fold the optimiser sees the others only, and what it finds there is scored on
the fold: so the gain that decides is one on questions that nothing was tuned on. What is then given is chosen, from all
that was measured, on all questions.

Source: Hansen and Ostermeier 2001, "Completely Derandomized Self-Adaptation in Evolution Strategies"; the rule is that
of Breiman et al. 1984, "Classification and Regression Trees".
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotts.agents.polish.variants import FARTHEST, Trials, Variant
from autotts.errors import InputError, NothingBetter
from autotts.evaluation import Program, Protocol
from autotts.evaluation.champion import champion, measured
from autotts.evaluation.constants import constants_of
from autotts.evaluation.statistics import Scores, Yardstick, cluster_index, cluster_resamples
from autotts.traces.bench import Bench

__all__ = ["GENERATIONS", "Polished", "optimiser", "polished"]

FOLDS = 3
POPULATION = 8
GENERATIONS = 3
"""Of the optimiser in each fold; benchmarks/polish.py compares. The first is the same in all, and measured once."""

MOST = 8
"""Constants that are tuned: those that move the figures most."""

LOOKED_AT = 48
"""Constants of which is tried how much they move, the first of the schedule."""

TRIAL_STEP = 1.5
"""By which each is moved for that: up, or down where up is not admissible or does nothing."""

RESAMPLES = 1000
WORST = -1.0
"""The gain of a variant that fails: all that there is to lose."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Polished:
    """A program with better constants, and what speaks for it.

    Attributes:
        program: the child.
        parent: id of the program that it was made from.
        changes: (line, number as it was, number as it is), in their order.
        considered: constants that were tuned.
        folds: of the cross-validation.
        measured: variants that were measured.
        gain: over the parent at matched tokens, cross-validated: on questions that were not tuned on; a fraction.
        gain_se: its paired standard error over questions.
        raw: the child's own gain over the parent on all questions, which flatters it.
    """

    program: Program
    parent: str
    changes: tuple[tuple[int, str, str], ...]
    considered: int
    folds: int
    measured: int
    gain: float
    gain_se: float
    raw: float

    def to_json(self) -> str:
        """One line of JSON; gains in points."""
        return json.dumps({"schema": 1, **self.facts()}, sort_keys=True)

    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        gains = {name: round(100 * getattr(self, name), 4) for name in ("gain", "gain_se", "raw")}
        changes = [{"line": line, "from": before, "to": after} for line, before, after in self.changes]
        counts = {"considered": self.considered, "folds": self.folds, "measured": self.measured}
        return {"parent": self.parent, "changes": changes, **counts, **gains}


def optimiser() -> Any:
    """The class of the optimiser.

    Raises:
        InputError: its package is not installed.
    """
    try:
        from cmaes import CMA
    except ModuleNotFoundError as error:
        if error.name != "cmaes":
            raise
        raise InputError("polish needs the package cmaes: pip install 'autotts[polish]'") from error
    return CMA


def polished(
    bench: Bench,
    program: Program,
    rng: random.Random,
    go_on: Callable[[], None] = lambda: None,
    *,
    generations: int = GENERATIONS,
) -> Polished:
    """A program with constants that are better than its own. Deterministic given (bench, program, rng).

    Args:
        bench: measures variants, in screening episodes of its protocol at every other β.
        program: whose constants are tuned.
        rng: the only source of chance.
        go_on: called before each measurement; it raises where there is no time for more.
        generations: of the optimiser, with eight variants each.

    Raises:
        NothingBetter: none are, beyond a standard error; or there are no constants, or too few questions.
        ProgramError: the program itself fails.
    """
    protocol = _every_other(bench.protocol)
    origin = bench.scores(program, protocol)
    constants = () if program.class_name else constants_of(program.source, bench.evaluator.jail())[:LOOKED_AT]
    parent = Variant(program.source, constants, (0.0,) * len(constants))
    trials = Trials(bench, protocol, go_on, {program.hash: (parent, origin)})
    job = _Tuning(trials, _reference(bench, protocol), origin, rng, generations)
    if len(job.folds) < FOLDS:
        raise NothingBetter(
            f"{job.clusters} questions are too few to tune the constants of {program.id} on; {2 * FOLDS} are enough"
        )
    parent = _that_matter(bench, program, parent, go_on)
    if not parent.constants:
        raise NothingBetter(f"the schedule of {program.id} has no constants that make a difference")
    return job.polish(program, parent)


def _every_other(protocol: Protocol) -> Protocol:
    """Half of the β are enough for a curve that many variants are compared by, the first and the last among them."""
    betas = protocol.betas
    return protocol if len(betas) < 5 else replace(protocol, betas=tuple(dict.fromkeys([*betas[::2], betas[-1]])))


def _reference(bench: Bench, protocol: Protocol) -> Scores:
    reference = bench.baseline(bench.reference)
    assert reference is not None
    return bench.scores(reference, protocol)


def _that_matter(bench: Bench, program: Program, parent: Variant, go_on: Callable[[], None]) -> Variant:
    """The same with the constants that move tokens and accuracies most, either way: what is right plays no part."""
    betas = bench.protocol.betas
    few = Protocol(tuple(dict.fromkeys((betas[0], betas[len(betas) // 2], betas[-1]))), bench.protocol.seeds[:1])
    trials, before = Trials(bench, few, go_on), bench.scores(program, few)
    places = range(len(parent.constants))
    effects = []
    for place in places:
        both = (parent.stepping([step if k == place else 0.0 for k in places]) for step in (TRIAL_STEP, -TRIAL_STEP))
        moves = (_effect(trials.scores(variant), before) for variant in both)
        effects.append(next((effect for effect in moves if effect > 0), 0.0))
    order = sorted((k for k, effect in enumerate(effects) if effect > 0), key=lambda k: (-effects[k], k))
    kept = tuple(parent.constants[k] for k in sorted(order[:MOST]))
    return Variant(parent.source, kept, (0.0,) * len(kept))


def _effect(after: Scores | None, before: Scores) -> float:
    """How far tokens moved as a share of their mean, and accuracies; none where a variant failed."""
    if after is None:
        return 0.0
    tokens = np.nanmean(np.abs(after.tokens - before.tokens)) / max(float(np.nanmean(before.tokens)), 1.0)
    return float(tokens + np.nanmean(np.abs(after.accuracy - before.accuracy)))


class _Tuning:
    """One program's tuning."""

    def __init__(self, trials: Trials, reference: Scores, origin: Scores, rng: random.Random, generations: int) -> None:
        self._trials, self._reference, self._origin = trials, reference, origin
        self._generations = generations
        ids, self._index = cluster_index(reference)
        self.clusters = len(ids)
        order = rng.sample(range(self.clusters), self.clusters)
        self._seed = rng.randrange(1 << 31)
        folds = [sorted(order[k::FOLDS]) for k in range(FOLDS)]
        self.folds = [fold for fold in folds if len(fold) > 1]

    def polish(self, program: Program, parent: Variant) -> Polished:
        """The child.

        Raises:
            NothingBetter: see `polished`.
        """
        chosen = []
        for fold in self.folds:
            others = [k for k in range(self.clusters) if k not in fold]
            chosen.append(self._choose(parent, self._optimised(parent, others), others))
        gain, se = self._over_parent(self._patched([self._of(variant) for variant in chosen]))
        if not gain > se:
            raise NothingBetter(
                f"no constants of {program.id} are better than its own, beyond a standard error, on questions that "
                f"they were not tuned on: {100 * gain:+.2f} ± {100 * se:.2f} points"
            )
        everything = list(range(self.clusters))
        known = [variant for variant, scores in self._trials.known.values() if scores is not None]
        child = self._thrifty(self._choose(parent, known, everything), parent)
        if not child.changes:
            raise NothingBetter(f"no constants of {program.id} are better than its own, beyond a standard error")
        raw, _ = self._over_parent(self._of(child))
        changes = tuple((_line(parent.source, c.start), c.text, text) for c, text in child.changes)
        figures = gain, se, raw
        size = len(parent.constants), len(self.folds), len(self._trials.known) - 1
        return Polished(child.program, program.id, changes, *size, *figures)

    def _optimised(self, parent: Variant, members: Sequence[int]) -> list[Variant]:
        """What the optimiser tries to raise the gain on some questions."""
        n = len(parent.constants)
        bounds = np.array([[-FARTHEST, FARTHEST]] * n)
        cma = optimiser()(np.zeros(n), 1.0, bounds=bounds, seed=self._seed, population_size=POPULATION)
        weights = np.zeros((1, self.clusters))
        weights[0, list(members)] = 1.0
        yardstick = Yardstick(self._reference, weights)
        tried = []
        for _ in range(self._generations):
            solutions = []
            for _ in range(POPULATION):
                steps = cma.ask()
                variant = parent.stepping(steps.tolist())
                scores = self._trials.scores(variant)
                gain = WORST if scores is None else float(yardstick.gains(scores)[0])
                solutions.append((steps, -gain))
                tried += [] if scores is None else [variant]
            cma.tell(solutions)
        return tried

    def _choose(self, parent: Variant, variants: Sequence[Variant], members: Sequence[int]) -> Variant:
        """Of variants and parent the nearest to the parent within one standard error of the best on some questions."""
        there = [parent, *(variant for variant in variants if variant.changes)]
        scores = [self._only(self._of(variant), members) for variant in there]
        found = champion(
            measured(scores, self._only(self._reference, members)), [variant.distance for variant in there]
        )
        return there[found.index]

    def _thrifty(self, child: Variant, parent: Variant) -> Variant:
        """The child with those constants as they were that it can do without; the smallest changes first."""
        everything = list(range(self.clusters))
        for place in sorted(range(len(child.steps)), key=lambda k: abs(child.steps[k])):
            less = child.without(place)
            if less.changes != child.changes and self._trials.scores(less) is not None:
                child = self._choose(parent, [child, less], everything)
        return child

    def _of(self, variant: Variant) -> Scores:
        scores = self._trials.scores(variant)
        assert scores is not None
        return scores

    def _only(self, scores: Scores, members: Sequence[int]) -> Scores:
        """The scores on some questions."""
        inside = np.isin(self._index, list(members))[:, None, :]
        return replace(
            scores,
            accuracy=np.where(inside, scores.accuracy, np.nan),
            tokens=np.where(inside, scores.tokens, np.nan),
        )

    def _patched(self, by_fold: Sequence[Scores]) -> Scores:
        """Scores that are taken, question by question, from those of its fold."""
        accuracy, tokens = np.copy(self._origin.accuracy), np.copy(self._origin.tokens)
        for fold, scores in zip(self.folds, by_fold, strict=True):
            inside = np.isin(self._index, fold)[:, None, :]
            accuracy, tokens = np.where(inside, scores.accuracy, accuracy), np.where(inside, scores.tokens, tokens)
        return replace(self._origin, accuracy=accuracy, tokens=tokens)

    def _over_parent(self, scores: Scores) -> tuple[float, float]:
        """Gain over the parent, of two gains over the reference on the same questions; its paired standard error."""
        weights = np.concatenate([np.ones((1, self.clusters)), cluster_resamples(self.clusters, RESAMPLES, 0)])
        yardstick = Yardstick(self._reference, weights)
        difference: Floats = yardstick.gains(scores) - yardstick.gains(self._origin)
        return float(difference[0]), float(difference[1:].std(ddof=1))


def _line(source: str, place: int) -> int:
    return source.count("\n", 0, place) + 1
