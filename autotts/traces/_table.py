"""What every instrument gives: a table as compact text for an agent or a terminal, and as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Evidence"]

Cell = str | int | float | None


@dataclass(frozen=True)
class Evidence:
    """A finding, made for reading: a title, a table, and notes on what it can bear.

    Nothing in it tells which raw answer is gold: "right" appears only as shares over many states.

    Attributes:
        title: what was measured, on which episodes.
        columns: names, with units where there are any.
        rows: one cell a column; None where there is no figure.
        notes: sentences below the table: definitions, errors, what cannot be told.
        body: text instead of, or after, a table (a timeline, a source with its gutter).
    """

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()
    body: str = ""

    def text(self) -> str:
        """Compact text: columns in line, figures to the right."""
        cells = [tuple(map(_cell, row)) for row in self.rows]
        widths = [max(len(row[k]) for row in [self.columns, *cells]) for k in range(len(self.columns))]
        figures = [all(not isinstance(row[k], str) for row in self.rows) for k in range(len(self.columns))]
        lines = [self.title]
        for row in [self.columns, *cells] if self.columns else []:
            padded = [c.rjust(w) if f else c.ljust(w) for c, w, f in zip(row, widths, figures, strict=True)]
            lines.append("  ".join(padded).rstrip())
        lines += [self.body.rstrip("\n")] if self.body else []
        return "\n".join([*lines, *self.notes]) + "\n"

    def as_json(self) -> dict[str, Any]:
        """The same as plain values: a row is an object by column."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes), "body": self.body}


def _cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else value
