"""Filters that people type: words, and conditions on columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autotts.errors import InputError
from autotts.ui.browser.columns import FIELDS, ProgramColumns

__all__ = ["HELP", "matching"]

Mask = npt.NDArray[np.bool_]

HELP = (
    "words of an idea, id, agent or outcome · agent:evolution · outcome:ok · front · gain>0.5 · acc>=60 · tok<200K · "
    "round=3 · a minus in front means not"
)

_CONDITION = re.compile(r"(?P<name>\w+)(?P<op>>=|<=|>|<|=|:)(?P<value>.+)")
_NUMBER = re.compile(r"(?P<digits>[+-]?(\d+(\.\d*)?|\.\d+))(?P<unit>[kKmM]?)")
_SCALE = {"": 1.0, "k": 1e3, "m": 1e6}
_SEARCHED = ("id", "idea", "agent", "outcome")
_TEXTS = tuple(f.name for f in FIELDS if not f.figure and f.name != "front")
_FIGURES = tuple(f.name for f in FIELDS if f.figure)


def matching(columns: ProgramColumns, text: str) -> Mask:
    """Which proposals a filter lets through, shape (number of proposals,).

    Every part, between blanks, must hold: a word that is in the idea, id, agent or outcome; `front`; `field:word`;
    `figure>number` and the like (K and M for thousands and millions). A minus in front turns a part round.

    Raises:
        InputError: a part names no column, or compares with what is no number.
    """
    mask = np.ones(len(columns), dtype=bool)
    for part in text.split():
        negated = part[0] == "-" and len(part) > 1
        found = _part(columns, part[1:] if negated else part)
        mask &= ~found if negated else found
    return mask


def _part(columns: ProgramColumns, part: str) -> Mask:
    if part == "front":
        return np.asarray(columns.column("front"), dtype=bool)
    match = _CONDITION.fullmatch(part)
    if match is None:
        word = part.casefold()
        # One pass a column: a string method on each is faster than joining them first.
        mask = np.zeros(len(columns), dtype=bool)
        for name in _SEARCHED:
            mask |= _holding(columns.column(name), word)
        return mask
    name, op, value = match["name"], match["op"], match["value"]
    if name in _TEXTS and op in (":", "="):
        return _holding(columns.column(name), value.casefold(), whole=op == "=")
    if name in _FIGURES:
        return _compared(np.asarray(columns.column(name), dtype=float), op, value, part)
    if name in _TEXTS:
        raise InputError(f"{part}: {name} is text; write {name}:word")
    raise InputError(f"{part}: no column {name}; there are {', '.join((*_TEXTS, *_FIGURES, 'front'))}")


def _holding(texts: Sequence[str] | npt.NDArray[np.float64], word: str, whole: bool = False) -> Mask:
    """Which texts hold a word, or are it."""
    found = (t.casefold() == word if whole else word in t.casefold() for t in map(str, texts))
    return np.fromiter(found, bool, len(texts))


def _compared(figures: npt.NDArray[np.float64], op: str, value: str, part: str) -> Mask:
    number = _NUMBER.fullmatch(value)
    if number is None:
        raise InputError(f"{part}: {value} is no number; write such as 0.5, 300K or 1.2M")
    limit = float(number["digits"]) * _SCALE[number["unit"].lower()]
    compare = {">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal}.get(op, np.equal)
    result: Mask = compare(figures, limit)
    return result
