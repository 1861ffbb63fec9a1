"""The programs of a run: sorted, filtered, marked to be compared. Rejects are there too, with their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.widgets import Input, Static

from autotts.errors import InputError
from autotts.ui.browser.choosing import ChoiceDialog
from autotts.ui.browser.columns import FIELDS, Indices, ProgramColumns
from autotts.ui.browser.filtering import HELP, matching
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.view import Exported, View, plain

__all__ = ["ProgramsView"]

_FIELDS = {f.name: f for f in FIELDS}
COLUMNS = tuple(Column(f.name, f.title, f.width, f.figure) for f in FIELDS)


class ProgramRows:
    """Some of a run's proposals, in some order."""

    def __init__(self, columns: ProgramColumns, order: Indices) -> None:
        self.columns = columns
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def key(self, row: int) -> str:
        """Round and slot: a source that is no program has no hash."""
        index = int(self.order[row])
        return f"{self.columns.text('round', index)}.{self.columns.text('slot', index)}"

    def cells(self, row: int) -> Sequence[str]:
        """One text a column."""
        index = int(self.order[row])
        return [self.columns.text(f.name, index) for f in FIELDS]

    def tone(self, row: int) -> str:
        """The front and the rejects; the columns front and outcome say the same."""
        index = int(self.order[row])
        if self.columns.on_front(index):
            return "good"
        return "" if self.columns.text("outcome", index) in ("ok", "undecided") else "bad"


class ProgramsView(View):
    """The table of programs."""

    place = "Programs"

    DEFAULT_CSS = """
    ProgramsView > #filter { height: 1; border: none; padding: 0 1; display: none; }
    ProgramsView > #filter.shown { display: block; }
    ProgramsView > #detail { height: 2; padding: 0 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse the order", show=False),
        Binding("space", "mark", "Mark"),
        Binding("u", "unmark", "Take all marks away", show=False),
        Binding("c", "compare", "Compare"),
        Binding("o", "episodes", "Episodes"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._sorted_by, self._descending = "gain", True
        self._filter = ""
        self._shown_run = ""

    def compose_body(self) -> ComposeResult:
        """A filter, the table, and the row that the cursor is on in full."""
        yield Input(placeholder=HELP, id="filter", compact=True)
        yield Grid(COLUMNS, frozen=1, id="programs")
        yield Static(id="detail")

    @property
    def grid(self) -> Grid:
        """The table."""
        return self.query_one(Grid)

    def on_open(self) -> None:
        """Show what is known of the run; what was marked in another one is forgotten."""
        if self._shown_run != self.browser.run_name:
            self._shown_run = self.browser.run_name
            self.grid.marked.clear()
            self.grid.cursor = 0
        self.on_news()
        self.grid.focus()

    def on_news(self) -> None:
        """Sort and filter anew; the cursor stays on its program."""
        columns, grid = self.browser.columns, self.grid
        try:
            mask = matching(columns, self._filter)
        except InputError as error:
            self.wrong(str(error))
            return
        self.wrong("")
        key = grid.key
        order = columns.order(self._sorted_by, self._descending, np.flatnonzero(mask))
        rows = ProgramRows(columns, order)
        grid.sorted_by = self._sorted_by, self._descending
        grid.show(rows, self._place_of(rows, key) if key and grid.cursor else None)
        self.say(self._told(len(rows), len(columns)))
        self._describe()

    def _place_of(self, rows: ProgramRows, key: str) -> int | None:
        """Where a proposal is now."""
        round_, slot = (int(part) for part in key.split("."))
        columns = rows.columns
        rounds, slots = np.asarray(columns.column("round")), np.asarray(columns.column("slot"))
        there = (rounds == round_) & (slots == slot)
        places = np.flatnonzero(there[rows.order])
        return int(places[0]) if len(places) else None

    def _told(self, shown: int, known: int) -> str:
        if self.browser.loading:
            counts = self.browser.run_counts()
            total = f" of {counts.candidates:,}" if counts else ""
            return f"reading: {known:,}{total} proposals"
        marked = f" · {len(self.grid.marked)} marked" if self.grid.marked else ""
        part = f"{shown:,} of {known:,} proposals" if self._filter else f"{known:,} proposals"
        return f"{part}{f' · {self._filter}' if self._filter else ''}{marked}"

    def _describe(self) -> None:
        """The row that the cursor is on, with all of its text."""
        rows, cursor = self.grid.rows, self.grid.cursor
        if not isinstance(rows, ProgramRows) or not len(rows):
            self.query_one("#detail", Static).update("")
            return
        index = int(rows.order[cursor])
        columns = rows.columns
        place = f"{columns.text('round', index)}.{columns.text('slot', index)}"
        ok = columns.text("outcome", index) == "ok"
        head = columns.text("stage", index) if ok else columns.text("outcome", index)
        self.query_one("#detail", Static).update(plain(f"{place} {head}: {columns.text('idea', index)}"))

    # ---- what keys and the mouse do --------------------------------------------------------------------------------

    @on(Grid.Moved)
    def moved(self) -> None:
        """Another row."""
        self._describe()

    @on(Grid.Chosen)
    def open(self) -> None:
        """Show the program."""
        round_, slot = (int(part) for part in self.grid.key.split("."))
        self.browser.open_program(self.selected(), place=(round_, slot))

    def selected(self) -> str:
        """Hash of the program that the cursor is on, "" where there is none."""
        rows = self.grid.rows
        if not isinstance(rows, ProgramRows) or not len(rows):
            return ""
        return rows.columns.hash(int(rows.order[self.grid.cursor]))

    @on(Grid.HeadClicked)
    def sort_by_head(self, event: Grid.HeadClicked) -> None:
        """Sort by this column, or the other way round."""
        self.sort_by(event.column)

    def sort_by(self, name: str | None) -> None:
        """Sort by a column, figures from the greatest down; by the same one again, the other way round."""
        if name is None:
            return
        if name == self._sorted_by:
            self._descending = not self._descending
        else:
            self._sorted_by = name
            self._descending = _FIELDS[name].figure or name == "front"
        self.on_news()

    def action_sort(self) -> None:
        """Choose a column to sort by."""
        choices = [(f.name, f.title) for f in FIELDS]
        self.app.push_screen(ChoiceDialog("Sort by", choices, self._sorted_by), self.sort_by)

    def action_reverse(self) -> None:
        """The other way round."""
        self.sort_by(self._sorted_by)

    def action_filter(self) -> None:
        """Type a filter."""
        box = self.query_one("#filter", Input)
        box.add_class("shown")
        box.focus()

    @on(Input.Changed, "#filter")
    def filtered(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.set_filter(event.value)

    def set_filter(self, text: str) -> None:
        """Show the programs that a filter lets through; see `matching`."""
        self._filter = text.strip()
        self.on_news()

    @on(Input.Submitted, "#filter")
    def back_to_table(self) -> None:
        """Enter keeps the filter."""
        self.query_one("#filter", Input).set_class(bool(self._filter), "shown")
        self.grid.focus()

    def on_key(self, event: Key) -> None:
        """Escape in the filter takes it away; Down goes to the table."""
        box = self.query_one("#filter", Input)
        if not box.has_focus or event.key not in ("escape", "down"):
            return
        event.stop()
        event.prevent_default()
        if event.key == "escape":
            box.value = ""
        self.back_to_table()

    def action_back(self) -> None:
        """Take the filter away, or go back to where this view was opened from."""
        if self._filter:
            self.query_one("#filter", Input).value = ""
            self.query_one("#filter", Input).remove_class("shown")
        else:
            super().action_back()

    def action_mark(self) -> None:
        """Mark a program."""
        self.grid.toggle_mark()
        self.on_news()

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.grid.marked.clear()
        self.on_news()

    def marked(self) -> list[str]:
        """Hashes of the marked programs, in the order of their slots."""
        columns = self.browser.columns
        rows = ProgramRows(columns, np.arange(len(columns)))
        return [columns.hash(k) for k in range(len(rows)) if rows.key(k) in self.grid.marked and columns.hash(k)]

    def action_compare(self) -> None:
        """Compare the two that are marked, or the one under the cursor with the reference."""
        self.browser.compare(self.marked() or [self.selected()])

    def action_episodes(self) -> None:
        """Episodes of the one or two that are marked, or of the one under the cursor."""
        if programs := self.marked() or [own for own in (self.selected(),) if own]:
            self.browser.show_episodes(programs)

    def exported(self) -> Exported:
        """The rows that the filter lets through, in this order, with whole hashes and figures not rounded."""
        rows, columns = self.grid.rows, self.browser.columns
        order = rows.order.tolist() if isinstance(rows, ProgramRows) else []
        names = tuple(f.name for f in FIELDS)
        values = [[columns.hash(k), *(columns.value(name, k) for name in names)] for k in order]
        return Exported("programs", ("hash", *names), values)
