"""Which screened programs are confirmed: all that full evaluation could put on the front, as far as a bound can tell.

A screen plays a share of the episodes, so its curve is off. By how much is known of every program that was confirmed.
The mean error at each β is luck that all programs of the run share (they are screened on the same episode seeds); it is
taken off, and what was not played at some β is read between its neighbours first, so that what this costs is taken off
as well. What is left decides by one figure, the *lead*: by how much a program's curve is above the front where it is
most so. A program holds a point of the front if its lead is more than nought, and the screen's lead is off too: the
errors of the confirmed programs give Student's prediction interval for the next one. What is cheaper than all of the
front leads nothing and is on it, so the least tokens have an interval of their own.

A run looks again and again, and each look may lose a program of the front. So the doubt of a whole run is spent over
its looks: the k-th has `spent(k)`, and all of them together no more than `DOUBT` (a union bound).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from autotts.archive import Point, front

__all__ = ["DOUBT", "Gate", "Look", "spent", "student"]

DOUBT = 0.05
"""Chance that a run loses a program to its screen that full evaluation would put on the front; at most."""

SETTLED = 5
"""Programs after which front and luck are known well enough for the errors to be like those that follow."""

_SERIES = 2.11
"""More than the sum over m ≥ 2 of 1 / (m ln² m), which is 2.1097."""


def spent(look: int) -> float:
    """The doubt that the look of this number (from 1 on) may spend; over all looks they sum to less than `DOUBT`.

    Of the series that converge this is among those that fall most slowly: the bound widens with the root of the
    logarithm of the number of looks.
    """
    m = look + 1
    return DOUBT / (_SERIES * m * math.log(m) ** 2)


def student(level: float, freedom: int) -> float:
    """What Student's t exceeds with a chance of at most `level`; Wallace (1959), which errs to the greater side."""
    z = -NormalDist().inv_cdf(level) * (8 * freedom + 3) / (8 * freedom + 1)
    return math.sqrt(freedom * math.expm1(min(z * z / freedom, 700.0)))


@dataclass(frozen=True, slots=True)
class _Harm:
    """Errors to the side that can lose a program: how many there were, and the sum of their squares.

    Those to the other side are larger now and then (a curve that just reaches a step of the front seems far above it)
    and say nothing of the size of these, unless there are hardly any: then all of them are what is known. Mirrored
    about nought, they are taken to be normal, so that half of all are to this side, and half of all is how much is
    known at least.
    """

    seen: int = 0
    count: int = 0
    squares: float = 0.0
    both: float = 0.0

    def add(self, error: float) -> _Harm:
        square = error * error
        harmful = error > 0
        return _Harm(self.seen + 1, self.count + harmful, self.squares + harmful * square, self.both + square)

    def bound(self, level: float) -> float:
        """What the next error exceeds with a chance of at most `level`; infinite while too little is known."""
        freedom = max(self.count, self.seen // 2)
        if freedom < 2:
            return math.inf
        mean = self.squares / self.count if self.count >= 2 else self.both / self.seen
        return student(level, freedom) * math.sqrt(mean)


@dataclass(frozen=True, slots=True)
class _Curve:
    """Accuracy and log tokens at each β of the confirming protocol."""

    accuracy: tuple[float, ...]
    tokens: tuple[float, ...]

    def less(self, other: _Curve) -> _Curve:
        """The difference to another curve."""
        accuracy = (a - b for a, b in zip(self.accuracy, other.accuracy, strict=True))
        return _Curve(tuple(accuracy), tuple(a - b for a, b in zip(self.tokens, other.tokens, strict=True)))

    def towards(self, other: _Curve, share: float) -> _Curve:
        """A share of the way to another curve."""
        accuracy = (a + share * (b - a) for a, b in zip(self.accuracy, other.accuracy, strict=True))
        return _Curve(
            tuple(accuracy), tuple(a + share * (b - a) for a, b in zip(self.tokens, other.tokens, strict=True))
        )


@dataclass(frozen=True, slots=True)
class Look:
    """What a gate says of a screened program.

    Attributes:
        passes: it could be on the front, and is to be confirmed.
        reason: why, in numbers.
        lead: by how much its accuracy exceeds the front's where it does most, luck taken off; infinite where it may be
            cheaper than all of the front.
        bound: the lead from which on it passes, not above 0.
    """

    passes: bool
    reason: str
    lead: float = math.inf
    bound: float = -math.inf


@dataclass(frozen=True)
class Gate:
    """What screened programs are held against; a snapshot, which `add` leaves as it is.

    Its size is that of the front and of the β, whatever the number of programs.

    Attributes:
        edge: the front of the confirmed programs, by rising tokens.
        betas: the β that confirming plays.
    """

    edge: tuple[Point, ...] = ()
    betas: tuple[float, ...] = ()
    _count: int = field(default=0, repr=False)
    _luck: _Curve = field(default=_Curve((), ()), repr=False)
    _leads: _Harm = field(default=_Harm(), repr=False)
    _least: _Harm = field(default=_Harm(), repr=False)

    def add(self, screened: Sequence[Point], confirmed: Sequence[Point]) -> Gate:
        """With one more confirmed program.

        Args:
            screened: its mean curve on the screen's episodes; its β are some of those of `confirmed`.
            confirmed: its mean curve on all episodes; the same β for every program.

        Raises:
            ValueError: other β than those of the programs before it.
        """
        betas = tuple(sorted(point.beta for point in confirmed))
        if self.betas not in ((), betas):
            raise ValueError(f"confirmed at β = {betas}, where the programs before were at {self.betas}")
        read, found = _read(screened, betas), _read(confirmed, betas)
        luck = read.less(found)
        leads, least = self._leads, self._least
        if self._count >= SETTLED:
            fair = read.less(self._luck)
            told, true = self._lead(fair)[0], self._lead(found)[0]
            if math.isfinite(told) and math.isfinite(true):
                leads = leads.add(true - told)
            least = least.add(min(fair.tokens) - min(found.tokens))
        mean = self._luck.towards(luck, 1 / (self._count + 1)) if self._count else luck
        return Gate(tuple(front([*self.edge, *confirmed])), betas, self._count + 1, mean, leads, least)

    def look(self, screened: Sequence[Point], number: int, spend: Callable[[int], float] = spent) -> Look:
        """Whether a screened program could hold a point of the front.

        Args:
            screened: its mean curve on the screen's episodes.
            number: of the look, from 1 on: how many proposals the run had before this one, and one.
            spend: the doubt that each look may spend.
        """
        level = spend(number) / 2  # half for the lead, half for the least tokens
        below, cheaper = self._leads.bound(level), self._least.bound(level)
        if not self.edge or math.isinf(below + cheaper):
            return Look(True, "too few programs are confirmed to tell")
        fair = _read(screened, self.betas).less(self._luck)
        cheapest = min(fair.tokens) - cheaper
        if cheapest < _log(self.edge[0].tokens):
            return Look(True, f"it may need no more than {_thousands(math.exp(cheapest))} tokens, as none of the front")
        lead, place = self._lead(fair)
        side, tokens = "above" if lead > 0 else "below", _thousands(math.exp(fair.tokens[place]))
        where = f"{100 * abs(lead):.1f} points {side} the front at {tokens} tokens"
        return Look(lead > -below, f"{where}; the bound is {100 * below:.1f} below at look {number}", lead, -below)

    def _lead(self, curve: _Curve) -> tuple[float, int]:
        """The greatest accuracy over the front's at the same tokens, and at which β; infinite where there is none."""
        leads = []
        for accuracy, tokens in zip(curve.accuracy, curve.tokens, strict=True):
            place = bisect_right(self.edge, tokens, key=lambda point: _log(point.tokens))
            leads.append(accuracy - self.edge[place - 1].accuracy if place else math.inf)
        best = max(range(len(leads)), key=leads.__getitem__)
        return leads[best], best


def _read(points: Sequence[Point], betas: Sequence[float]) -> _Curve:
    """A mean curve at each of these β: as it is, or on a straight line between the neighbours that it has."""
    known = sorted(points, key=lambda point: point.beta)
    grid = [point.beta for point in known]
    accuracy, tokens = [], []
    for beta in betas:
        high = min(bisect_left(grid, beta), len(grid) - 1)
        low = high if grid[high] <= beta else max(high - 1, 0)
        first, second = known[low], known[high]
        share = (beta - first.beta) / (second.beta - first.beta) if high > low else 0.0
        accuracy.append(first.accuracy + share * (second.accuracy - first.accuracy))
        tokens.append(_log(first.tokens) + share * (_log(second.tokens) - _log(first.tokens)))
    return _Curve(tuple(accuracy), tuple(tokens))


def _log(tokens: float) -> float:
    """Of at least one token: a program may answer without spending any."""
    return math.log(max(tokens, 1.0))


def _thousands(tokens: float) -> str:
    return f"{tokens / 1000:,.0f}K" if tokens >= 1000 else f"{tokens:.0f}"
