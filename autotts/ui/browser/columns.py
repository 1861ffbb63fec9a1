"""The programs of a run as columns: a hundred thousand of them are sorted and filtered in an instant."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from autotts.archive import Listed, Point
from autotts.sandbox.text import printable

__all__ = ["FIELDS", "STAGES", "Field", "ProgramColumns"]

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

UNDECIDED = "undecided"
BASELINES = 100
"""Baselines are among so many first proposals."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column as people see it.

    Attributes:
        name: as it is typed in a filter and stands in exports.
        title: the head of the column.
        width: cells.
        figure: a number, set to the right.
        digits: after the point.
    """

    name: str
    title: str
    width: int
    figure: bool = False
    digits: int = 0


FIELDS = (
    Field("id", "id", 10),
    Field("front", "front", 5),
    Field("gain", "gain", 7, True, 2),
    Field("se", "± se", 6, True, 2),
    Field("idea", "idea, or what was wrong", 44),
    Field("agent", "agent", 12),
    Field("round", "round", 6, True),
    Field("slot", "slot", 4, True),
    Field("outcome", "outcome", 12),
    Field("stage", "stage", 9),
    Field("acc0", "acc β=0", 7, True, 2),
    Field("acc", "acc β=½", 7, True, 2),
    Field("acc1", "acc β=1", 7, True, 2),
    Field("tok0", "tok β=0", 9, True),
    Field("tok", "tok β=½", 9, True),
    Field("tok1", "tok β=1", 9, True),
    Field("seq0", "seq β=0", 9, True),
    Field("seq", "seq β=½", 9, True),
    Field("seq1", "seq β=1", 9, True),
)
"""Gains and accuracy in points and percent, tokens and sequential tokens of a question; at β = 0, the middle one, 1."""

_TEXTS = ("id", "idea", "agent", "outcome", "stage")
_POINTS = ("acc0", "acc", "acc1", "tok0", "tok", "tok1", "seq0", "seq", "seq1")
STAGES = {"confirm": "confirmed", "screen": "screened"}
"""How far a proposal came, in a word; any other stage is its own."""


def _numbers() -> array[float]:
    return array("d")


@dataclass
class ProgramColumns:
    """What is known of a run's proposals, in the order of the slots; it grows while the run does.

    Attributes:
        hashes: of the programs, "" where a source never became one.
    """

    hashes: list[bytes] = field(default_factory=list)
    _texts: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _TEXTS})
    _figures: dict[str, array[float]] = field(
        default_factory=lambda: {name: _numbers() for name in ("gain", "se", "round", "slot", *_POINTS)}
    )
    _holders: frozenset[bytes] = frozenset()

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def last(self) -> tuple[int, int]:
        """(round, slot) of the last proposal, (−1, −1) of none."""
        if not self.hashes:
            return -1, -1
        return int(self._figures["round"][-1]), int(self._figures["slot"][-1])

    def add(self, rows: Iterable[Listed], points: Iterable[Point]) -> None:
        """Take in proposals that follow those that are there.

        Args:
            rows: in order.
            points: of their programs, at the three β.
        """
        curves: dict[str, list[Point]] = {}
        for point in points:
            curves.setdefault(point.id, []).append(point)
        for row in rows:
            self.hashes.append(bytes.fromhex(row.hash) if row.hash else b"")
            ok = row.outcome in (None, "ok")
            told = row.idea if ok else (f"line {row.line}: " if row.line is not None else "") + row.message
            texts = (row.id or "", printable(told), sys.intern(row.agent), sys.intern(row.outcome or UNDECIDED))
            for name, text in zip(_TEXTS, (*texts, STAGES.get(row.stage, row.stage)), strict=True):
                self._texts[name].append(text)
            nan = math.nan
            gain = nan if row.gain is None else 100 * row.gain
            se = nan if row.gain_se is None else 100 * row.gain_se
            figures = [gain, se, float(row.round or 0), float(row.slot or 0)]
            curve = curves.get(row.hash or "", [])
            curve = [curve[0], curve[len(curve) // 2], curve[-1]] if curve else []
            figures += [100 * p.accuracy for p in curve] or [nan] * 3
            figures += [p.tokens for p in curve] or [nan] * 3
            figures += [p.sequential_tokens for p in curve] or [nan] * 3
            for column, figure in zip(self._figures.values(), figures, strict=True):
                column.append(figure)

    def forget_from(self, place: tuple[int, int]) -> None:
        """Drop the proposals from a (round, slot) on: they were undecided when they were read."""
        rounds, slots = self._figures["round"], self._figures["slot"]
        keep = len(self)
        while keep and (rounds[keep - 1], slots[keep - 1]) >= place:
            keep -= 1
        del self.hashes[keep:]
        for texts in self._texts.values():
            del texts[keep:]
        for figures in self._figures.values():
            del figures[keep:]

    def first_undecided(self) -> tuple[int, int] | None:
        """(round, slot) of the first proposal that was undecided when it was read."""
        outcomes = self._texts["outcome"]
        if UNDECIDED not in outcomes:
            return None
        k = outcomes.index(UNDECIDED)
        return int(self._figures["round"][k]), int(self._figures["slot"][k])

    def hold_front(self, holders: Iterable[str]) -> bool:
        """Say which programs (hashes) hold the front; whether that is another set than before."""
        before, self._holders = self._holders, frozenset(map(bytes.fromhex, holders))
        return before != self._holders

    def hash(self, index: int) -> str:
        """The full hash of a program, "" where there is none."""
        return self.hashes[index].hex()

    def on_front(self, index: int) -> bool:
        """Whether a program holds a point of the front, by an accepted proposal."""
        return self.hashes[index] in self._holders and self._texts["outcome"][index] == "ok"

    def idea_of(self, hash: str) -> str:
        """The idea of a program, "" where it is not among those that are read."""
        key = bytes.fromhex(hash)
        return self._texts["idea"][self.hashes.index(key)] if key in self.hashes else ""

    def ideas_of(self, hashes: Iterable[str]) -> dict[str, str]:
        """The ideas of many programs, by hash, of those that are read; one pass."""
        asked = set(map(bytes.fromhex, hashes))
        ideas = self._texts["idea"]
        return {key.hex(): ideas[k] for k, key in enumerate(self.hashes) if key in asked}

    def best(self) -> str:
        """Hash of the confirmed program of the greatest gain, of baselines only where there is no other; "" of none."""
        confirmed = [k for k, stage in enumerate(self._texts["stage"]) if stage == "confirmed" and self._is_ok(k)]
        gains, agents = self._figures["gain"], self._texts["agent"]
        by = [(agents[k] != "baseline", -math.inf if math.isnan(gains[k]) else gains[k]) for k in confirmed]
        return self.hash(confirmed[by.index(max(by))]) if confirmed else ""

    def baselines(self) -> list[str]:
        """Hashes of the confirmed baselines."""
        agents, stages = self._texts["agent"], self._texts["stage"]
        first = range(min(len(self), BASELINES))
        return [self.hash(k) for k in first if agents[k] == "baseline" and stages[k] == "confirmed" and self._is_ok(k)]

    def _is_ok(self, index: int) -> bool:
        return self._texts["outcome"][index] == "ok"

    def text(self, name: str, index: int) -> str:
        """A cell as it is shown."""
        if name == "front":
            return "●" if self.on_front(index) else ""
        if name in self._texts:
            return self._texts[name][index]
        return _shown(self._figures[name][index], _BY_NAME[name])

    def value(self, name: str, index: int) -> str | float | bool | None:
        """A cell as a value, None for a figure that there is not."""
        if name == "front":
            return self.on_front(index)
        if name in self._texts:
            return self._texts[name][index]
        figure = self._figures[name][index]
        whole = _BY_NAME[name].figure and name in ("round", "slot")
        return None if math.isnan(figure) else int(figure) if whole else figure

    def column(self, name: str) -> Sequence[str] | Floats:
        """A whole column: texts, or numbers with NaN where there is none."""
        if name == "front":
            return np.fromiter((self.on_front(k) for k in range(len(self))), float, len(self))
        # a copy: an array that is looked at cannot grow
        return self._texts[name] if name in self._texts else np.array(self._figures[name])

    def order(self, name: str, descending: bool, among: Indices) -> Indices:
        """Some proposals sorted by a column; equal ones stay in the order of the slots, missing figures come last."""
        column = self.column(name)
        if isinstance(column, np.ndarray):
            keys = column[among]
            ranks = np.argsort(np.where(np.isnan(keys), np.inf, -keys if descending else keys), kind="stable")
            return among[ranks]
        texts = column
        by: Callable[[int], str] = lambda k: texts[k].casefold()  # noqa: E731
        return np.array(sorted(among.tolist(), key=by, reverse=descending), dtype=np.int64)


_BY_NAME = {f.name: f for f in FIELDS}


def _shown(figure: float, field: Field) -> str:
    if math.isnan(figure):
        return "–"
    form = {"gain": "+.2f", "round": ".0f", "slot": ".0f"}.get(field.name, f",.{field.digits}f")
    return format(figure, form)
