"""A table of any length: only the lines that are on the screen are ever made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

__all__ = ["UP_AND_DOWN", "Column", "Grid", "NoRows", "Rows"]

GAP = 2
MARK = 2
"""Cells between columns, and of the mark in front of a row."""


UP_AND_DOWN = (
    Binding("up,k", "move(-1)", "Up", show=False),
    Binding("down,j", "move(1)", "Down", show=False),
    Binding("pageup", "page(-1)", "Page up", show=False),
    Binding("pagedown", "page(1)", "Page down", show=False),
    Binding("home,g", "to_end(False)", "First row", show=False),
    Binding("end,G", "to_end(True)", "Last row", show=False),
)
"""Keys of what has a cursor on a row: actions `move`, `page` and `to_end`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key, its head, its width in cells, and whether it holds figures, which are set to the right."""

    key: str
    title: str
    width: int
    figure: bool = False


class Rows(Protocol):
    """What a grid shows."""

    def __len__(self) -> int: ...

    def key(self, row: int) -> str:
        """What tells a row from others, however they are sorted."""
        ...

    def cells(self, row: int) -> Sequence[str]:
        """One text a column."""
        ...

    def tone(self, row: int) -> str:
        """ "good", "bad" or "" (said in words in a cell as well)."""
        ...


class NoRows:
    """An empty table."""

    def __len__(self) -> int:
        return 0

    def key(self, row: int) -> str:
        """There is none."""
        raise IndexError(row)

    def cells(self, row: int) -> Sequence[str]:
        """There are none."""
        raise IndexError(row)

    def tone(self, row: int) -> str:
        """There is none."""
        raise IndexError(row)


class Grid(ScrollView, can_focus=True):
    """A table with a cursor on a row, marked rows, and heads that sort.

    Args:
        columns: from left to right.
        frozen: how many of them stay when the others are scrolled sideways.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *UP_AND_DOWN,
        Binding("left", "sideways(-1)", "Scroll left", show=False),
        Binding("right", "sideways(1)", "Scroll right", show=False),
        Binding("enter", "choose", "Open"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--head",
        "grid--cursor",
        "grid--good",
        "grid--bad",
        "grid--marked",
    }

    DEFAULT_CSS = """
    Grid {
        height: 1fr; scrollbar-size-horizontal: 1; scrollbar-size-vertical: 1;
        & > .grid--head { text-style: bold; color: $foreground; }
        & > .grid--cursor { background: $surface-lighten-2; text-style: bold; }
        &:focus > .grid--cursor { background: $primary; color: $text; }
        & > .grid--good { color: $text-success; }
        & > .grid--bad { color: $text-error; }
        & > .grid--marked { text-style: bold; }
    }
    """

    cursor: reactive[int] = reactive(0)

    class Moved(Message):
        """The cursor is on another row; `key` is "" where there is none."""

        def __init__(self, grid: Grid, key: str) -> None:
            super().__init__()
            self.grid = grid
            self.key = key

        @property
        def control(self) -> Grid:
            """The grid."""
            return self.grid

    class Chosen(Moved):
        """A row was chosen: Enter, or a second click."""

    class HeadClicked(Message):
        """The head of a column was clicked."""

        def __init__(self, grid: Grid, column: str) -> None:
            super().__init__()
            self.grid = grid
            self.column = column

        @property
        def control(self) -> Grid:
            """The grid."""
            return self.grid

    def __init__(self, columns: Sequence[Column], *, frozen: int = 1, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.marked: set[str] = set()
        self.sorted_by: tuple[str, bool] = ("", False)
        self._frozen = frozen
        self._rows: Rows = NoRows()
        self._key = ""
        self._measure()

    # ---- what it shows -----------------------------------------------------------------------------------------

    @property
    def rows(self) -> Rows:
        """What is shown."""
        return self._rows

    def show(self, rows: Rows, keep: int | None = None) -> None:
        """Show other rows.

        Args:
            rows: in the order in which they are to be shown.
            keep: where the row is now that the cursor was on, None where it is gone or the cursor is to stay in place.
        """
        self._rows = rows
        self._measure()
        self.cursor = self.validate_cursor(self.cursor if keep is None else keep)
        self._tell()
        self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns."""
        self.columns = tuple(columns)
        self._measure()
        self.refresh()

    @property
    def key(self) -> str:
        """Of the row that the cursor is on, "" where there is none."""
        return self._rows.key(self.cursor) if 0 <= self.cursor < len(self._rows) else ""

    def toggle_mark(self) -> None:
        """Mark the row that the cursor is on, or take its mark away, and go down."""
        if self.key:
            self.marked ^= {self.key}
            self.action_move(1)
            self.refresh()

    def validate_cursor(self, cursor: int) -> int:
        """Within the rows."""
        return max(0, min(cursor, len(self._rows) - 1))

    def watch_cursor(self, before: int, after: int) -> None:
        """Keep it in sight, and tell of it."""
        # Two lines: the heads hide the first line that is scrolled to.
        self.scroll_to_region(Region(self.scroll_offset.x, after, 1, 2), animate=False, force=True)
        self._tell()
        self.refresh()

    def _tell(self) -> None:
        if self.key != self._key:
            self._key = self.key
            if self.is_mounted:
                self.post_message(self.Moved(self, self._key))

    def _measure(self) -> None:
        self.virtual_size = Size(MARK + sum(c.width + GAP for c in self.columns), len(self._rows) + 1)

    # ---- drawing -----------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line of the screen: the heads stay on top."""
        width, base = self.size.width, self.rich_style
        row = y - 1 + self.scroll_offset.y
        if y == 0:
            return self._joined(self._heads(), base + self.get_component_rich_style("grid--head", partial=True), width)
        if row >= len(self._rows):
            return Strip.blank(width, base)
        key = self._rows.key(row)
        style = base
        if tone := self._rows.tone(row):
            style += self.get_component_rich_style(f"grid--{tone}", partial=True)
        if key in self.marked:
            style += self.get_component_rich_style("grid--marked", partial=True)
        if row == self.cursor:
            style += self.get_component_rich_style("grid--cursor", partial=True)
        mark = ("✓" if key in self.marked else " ") + ("›" if row == self.cursor else " ")
        texts = [_fitted(t, c) for t, c in zip(self._rows.cells(row), self.columns, strict=True)]
        return self._joined((mark, texts), style, width)

    def _heads(self) -> tuple[str, list[str]]:
        by, descending = self.sorted_by
        arrow = "▼" if descending else "▲"
        return "  ", [_fitted(f"{arrow}{c.title}" if c.key == by else c.title, c) for c in self.columns]

    def _joined(self, parts: tuple[str, list[str]], style: Style, width: int) -> Strip:
        """The frozen columns, then the others from where they are scrolled to."""
        mark, texts = parts
        gap = " " * GAP
        still = mark + "".join(text + gap for text in texts[: self._frozen])
        rest = "".join(text + gap for text in texts[self._frozen :])
        still_width, at = cell_len(still), self.scroll_offset.x
        moving = Strip([Segment(rest, style)]).crop(at, at + max(0, width - still_width))
        strip = Strip([Segment(still, style), *moving])
        return strip.adjust_cell_length(width, style)

    # ---- what keys and the mouse do ----------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Up or down."""
        self.cursor += by

    def action_page(self, by: int) -> None:
        """A screen up or down."""
        self.cursor += by * max(1, self.size.height - 2)

    def action_to_end(self, last: bool) -> None:
        """The first row, or the last."""
        self.cursor = len(self._rows) - 1 if last else 0

    def action_sideways(self, by: int) -> None:
        """Scroll sideways by a column."""
        edges = [0]
        for column in self.columns[self._frozen :]:
            edges.append(edges[-1] + column.width + GAP)
        at = self.scroll_offset.x
        further = [e for e in edges if (e > at if by > 0 else e < at)]
        if further:
            self.scroll_to(x=min(further) if by > 0 else max(further), animate=False)

    def action_choose(self) -> None:
        """Choose the row that the cursor is on."""
        if self.key:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: events.Click) -> None:
        """A head sorts; a row gets the cursor, and is chosen by a second click."""
        if event.y == 0:
            if (column := self._column_at(event.x)) is not None:
                self.post_message(self.HeadClicked(self, column))
            return
        row = event.y - 1 + self.scroll_offset.y
        if row < len(self._rows):
            self.cursor = row
            if event.chain == 2:
                self.action_choose()

    def _column_at(self, x: int) -> str | None:
        still = MARK + sum(c.width + GAP for c in self.columns[: self._frozen])
        at = x - MARK if x < still else x - MARK + self.scroll_offset.x
        for column in self.columns:
            if 0 <= at < column.width + GAP:
                return column.key
            at -= column.width + GAP
        return None


def _fitted(text: str, column: Column) -> str:
    """A text of the column's width, cut with an ellipsis."""
    size = cell_len(text)
    if size > column.width:
        return set_cell_size(text, column.width - 1) + "…"
    return " " * (column.width - size) + text if column.figure else text + " " * (column.width - size)
