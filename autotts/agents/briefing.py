"""What a prompt shows of the search: candidates as the prompts' own records."""

from __future__ import annotations

from collections.abc import Sequence

from autotts.agents._base import Candidate, Context
from autotts.prompts import Shown, Tried

__all__ = ["bases", "best_of", "plateaued", "reference_of", "shown", "tried"]

PLATEAU = 2
"""Rounds without a better gain after which a fresh restart is asked for."""


def shown(candidate: Candidate) -> Shown:
    """A program as a prompt shows it: percent and points."""
    points = tuple((beta, 100 * accuracy, tokens) for beta, accuracy, tokens in candidate.points)
    gain = None if candidate.gain is None else 100 * candidate.gain
    error = None if candidate.gain_se is None else 100 * candidate.gain_se
    return Shown(candidate.id, candidate.idea, candidate.source, gain, error, points)


def tried(candidates: Sequence[Candidate]) -> list[Tried]:
    """The slots after the baselines, oldest first; a prompt lists the last of them, and says how many came before."""
    return [
        Tried(
            f"{c.round}.{c.slot}",
            c.id,
            c.agent,
            c.idea,
            c.outcome,
            c.message,
            None if c.gain is None else 100 * c.gain,
            None if c.gain_se is None else 100 * c.gain_se,
            c.parents,
        )
        for c in candidates
        if c.round > 0
    ]


def reference_of(context: Context) -> Candidate:
    """What gains are measured against: the first slot of all."""
    return context.candidates[0]


def bases(context: Context) -> list[Candidate]:
    """The chosen parents that a program can be made from: not a class-style file, which is driven another way."""
    return [c for c in context.parents if c.source and c.class_name is None]


def best_of(context: Context, n: int) -> list[Candidate]:
    """The n best confirmed programs that the search found, by gain; the chosen parents where there are too few."""
    confirmed = [c for c in context.candidates if c.confirmed and c.outcome == "ok" and c.agent != "baseline"]
    confirmed.sort(key=lambda c: -(c.gain or 0.0))
    unique = {c.id: c for c in [*confirmed[:n], *context.parents]}
    return list(unique.values())[:n]


def plateaued(context: Context) -> bool:
    """Whether the last full rounds brought no better gain than those before."""

    def best(candidates: Sequence[Candidate]) -> float:
        return max((c.gain or 0.0 for c in candidates if c.confirmed), default=float("-inf"))

    since = context.round - PLATEAU
    earlier = [c for c in context.candidates if c.round < since]
    if since <= 1 or not earlier:
        return False
    return best(context.candidates) <= best(earlier)
