"""What a controller program may import: votes and the statistics of votes.

Everything here is pure, takes answers as opaque hashable labels, and keeps the order in which labels were first seen:
ties go to the label seen first, as in the published controllers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

__all__ = ["UNPARSED", "Tally", "entropy", "majority", "majority_confidence", "vote", "weighted_majority"]

UNPARSED = "ERR"
"""The label of an interval (or a final answer) in which no answer could be parsed."""

Label = TypeVar("Label", bound=Hashable)


class Tally(NamedTuple):
    """A counted vote.

    Attributes:
        leader: the most frequent label, the one seen first among equals; None for an empty vote.
        n1: votes for the leader.
        n2: votes for the runner-up, 0 if there is none.
        total: all votes counted.
    """

    leader: Any
    n1: int
    n2: int
    total: int


def vote(answers: Iterable[Any], *, skip_unparsed: bool = False) -> Tally:
    """Count a vote over answers; `skip_unparsed` treats unparsed ones as abstentions."""
    counts = Counter(answers)
    if skip_unparsed and UNPARSED in counts:
        del counts[UNPARSED]
    if not counts:
        return Tally(None, 0, 0, 0)
    # most_common(2) would heap-sort; one pass in insertion order keeps ties with the label seen first.
    leader, n1, n2, total = None, 0, 0, 0
    for label, count in counts.items():
        total += count
        if count > n1:
            leader, n1, n2 = label, count, n1
        elif count > n2:
            n2 = count
    return Tally(leader, n1, n2, total)


def majority(answers: Iterable[Label], *, skip_unparsed: bool = False) -> Label | None:
    """The most frequent answer, the one seen first among equals; None where there is none."""
    leader: Label | None = vote(answers, skip_unparsed=skip_unparsed).leader
    return leader


def weighted_majority(answers: Sequence[Label], weights: Sequence[float]) -> Label | None:
    """The answer with the greatest sum of weights, the one seen first among equals; None for an empty vote.

    Raises:
        ValueError: answers and weights differ in length.
    """
    totals: dict[Label, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        totals[answer] = totals.get(answer, 0.0) + weight
    return max(totals, key=lambda label: totals[label]) if totals else None


def _binomial_tails(n: int) -> tuple[float, ...]:
    """P(X ≤ k) for X ~ Binomial(n, ½), k = 0..n, each rounded once from the exact ratio."""
    cumulative, tails, power = 0, [], 1 << n
    for k in range(n + 1):
        cumulative += math.comb(n, k)
        tails.append(cumulative / power)
    return tuple(tails)


_TAILS: list[tuple[float, ...]] = [_binomial_tails(n) for n in range(258)]


def majority_confidence(n1: int, n2: int) -> float:
    """Posterior probability that the leader beats the runner-up, under a uniform prior.

    0 if n1 = 0, else 1 − I_½(n1 + 1, n2 + 1), with I the regularised incomplete beta function; for counts it is the
    binomial tail P(X ≤ n1), X ~ Binomial(n1 + n2 + 1, ½). Source: Aggarwal et al. 2023 (adaptive consistency).

    Raises:
        ValueError: a count is negative.
    """
    if n1 < 0 or n2 < 0:
        raise ValueError(f"counts of votes cannot be negative, got n1={n1}, n2={n2}")
    if n1 == 0:
        return 0.0
    n = n1 + n2 + 1
    return (_TAILS[n] if n < 258 else _binomial_tails(n))[n1]


def entropy(counts: Iterable[float]) -> float:
    """Shannon entropy in nats of non-negative counts; 0 for an empty or a unanimous vote."""
    positive = [c for c in counts if c > 0]
    total = sum(positive)
    return max(0.0, -sum(c / total * math.log(c / total) for c in positive)) if total else 0.0
