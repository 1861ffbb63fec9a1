"""A heat map with a cursor: how episodes ended, by question and environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from autotts.sandbox.text import printable
from autotts.traces import FailureKind
from autotts.traces.heat import HeatCell, HeatMap

__all__ = ["SIGNS", "HeatGrid", "kinds_line", "worst_kind"]

SIGNS: dict[FailureKind, str] = {
    "hopeless": "H",
    "premature": "P",
    "gave up the right one": "G",
    "outvoted": "O",
    "missed": "M",
    "overspent": ">",
    "right": "·",
}
"""What stands for each kind of ending; colours come beside it."""

_TONES: dict[FailureKind, str] = {
    "hopeless": "none",
    "premature": "warning",
    "gave up the right one": "error",
    "outvoted": "error",
    "missed": "error",
    "overspent": "accent",
    "right": "success",
}

NAME, CELL = 18, 12


def worst_kind(cell: HeatCell) -> FailureKind:
    """The kind that most of a cell's wrong episodes ended in; of right ones where none was wrong."""
    wrong = {kind: n for kind, n in cell.kinds.items() if n and kind not in ("right", "overspent")}
    counts = wrong or {kind: n for kind, n in cell.kinds.items() if n}
    return max(counts, key=lambda kind: counts[kind])


def kinds_line() -> Text:
    """What the signs mean."""
    return Text("  ".join(f"{sign} {kind}" for kind, sign in SIGNS.items()), style="dim")


class HeatGrid(ScrollView, can_focus=True):
    """Questions downwards, environments to the right; a cell has the sign of what went wrong and the share right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", "Question above", show=False),
        Binding("down,j", "move(1, 0)", "Question below", show=False),
        Binding("left,h", "move(0, -1)", "Environment to the left", show=False),
        Binding("right,l", "move(0, 1)", "Environment to the right", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "to_end(False)", "First question", show=False),
        Binding("end,G", "to_end(True)", "Last question", show=False),
        Binding("enter", "choose", "Open"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "heat--head",
        "heat--none",
        "heat--success",
        "heat--accent",
        "heat--warning",
        "heat--error",
        "heat--cursor",
    }

    DEFAULT_CSS = """
    HeatGrid { height: 1fr; scrollbar-size-horizontal: 1; scrollbar-size-vertical: 1;
        & > .heat--head { text-style: bold; color: $foreground; }
        & > .heat--none { background: $surface; color: $foreground; }
        & > .heat--success { background: $success-muted; color: $text-success; }
        & > .heat--accent { background: $accent-muted; color: $text-accent; }
        & > .heat--warning { background: $warning-muted; color: $text-warning; }
        & > .heat--error { background: $error-muted; color: $text-error; }
        & > .heat--cursor { background: $primary; color: $text; text-style: bold; }
    }
    """

    cursor: reactive[tuple[int, int]] = reactive((0, 0))

    class Moved(Message):
        """The cursor is on another cell."""

    class Chosen(Message):
        """A cell was chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._heat: HeatMap | None = None
        self._order: Sequence[int] = ()

    def show(self, heat: HeatMap | None, order: Sequence[int]) -> None:
        """Show a heat map, its questions in some order; the cursor stays on its question.

        Args:
            heat: None for an empty one.
            order: places of the questions.
        """
        question = self.question
        self._heat, self._order = heat, order
        width = NAME + 1 + (CELL + 1) * (len(heat.environments) + 1 if heat else 0)
        self.virtual_size = Size(width, len(order) + 1)
        row = list(order).index(question) if question in order else 0
        self.cursor = (row, min(self.cursor[1], max(0, len(heat.environments) - 1) if heat else 0))
        self.refresh()

    @property
    def question(self) -> int:
        """Place of the question that the cursor is on, −1 where there is none."""
        row = self.cursor[0]
        return self._order[row] if 0 <= row < len(self._order) else -1

    @property
    def cell(self) -> HeatCell | None:
        """The cell that the cursor is on."""
        if self._heat is None or self.question < 0:
            return None
        return self._heat.cells[self.question][self.cursor[1]]

    def watch_cursor(self) -> None:
        """Keep it in sight, and tell of it."""
        row, column = self.cursor
        self.scroll_to_region(Region(NAME + 1 + column * (CELL + 1), row, CELL, 2), animate=False, force=True)
        self.post_message(self.Moved())
        self.refresh()

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line of the screen: the names of the environments stay on top, those of the questions to the left."""
        width, heat = self.size.width, self._heat
        row = y - 1 + self.scroll_offset.y
        if heat is None or (y and row >= len(self._order)):
            return Strip.blank(width, self.rich_style)
        head = self.rich_style + self.get_component_rich_style("heat--head", partial=True)
        if y == 0:
            names = [*(printable(name) for name in heat.environments), "all"]
            left, cells = " " * NAME, [(_fit(name, CELL), head) for name in names]
        else:
            question = self._order[row]
            left = _fit(printable(heat.questions[question]), NAME)
            cells = [self._drawn(cell, (row, column)) for column, cell in enumerate(heat.cells[question])]
            cells.append((f"{100 * (1 - heat.wrong(question)):>{CELL - 2}.0f} %", head))
        at = self.scroll_offset.x
        gap = Segment(" ", self.rich_style)
        moving = Strip([part for text, style in cells for part in (Segment(text, style), gap)])
        shown = moving.crop(at, at + max(0, width - NAME - 1))
        return Strip([Segment(f"{left} ", head), *shown]).adjust_cell_length(width, self.rich_style)

    def _drawn(self, cell: HeatCell | None, place: tuple[int, int]) -> tuple[str, Style]:
        if cell is None:
            text, tone = "–".center(CELL), "none"
        else:
            kind = worst_kind(cell)
            text, tone = f"  {SIGNS[kind]} {100 * cell.accuracy:>5.0f} %".ljust(CELL), _TONES[kind]
        style = self.rich_style + self.get_component_rich_style(f"heat--{tone}")
        if place == self.cursor:
            text = f"›{text[1:]}"
            style += self.get_component_rich_style("heat--cursor")
        return text, style

    # ---- what keys and the mouse do ----------------------------------------------------------------------------------

    def _to(self, row: int, column: int) -> None:
        if self._heat is not None and self._order:
            last = len(self._heat.environments) - 1
            self.cursor = max(0, min(row, len(self._order) - 1)), max(0, min(column, last))

    def action_move(self, rows: int, columns: int) -> None:
        """To another cell."""
        self._to(self.cursor[0] + rows, self.cursor[1] + columns)

    def action_page(self, by: int) -> None:
        """A screen up or down."""
        self._to(self.cursor[0] + by * max(1, self.size.height - 2), self.cursor[1])

    def action_to_end(self, last: bool) -> None:
        """The first question, or the last."""
        self._to(len(self._order) if last else 0, self.cursor[1])

    def action_choose(self) -> None:
        """Choose the cell."""
        if self.cell is not None:
            self.post_message(self.Chosen())

    def on_click(self, event: events.Click) -> None:
        """The cell that is clicked at; a second click chooses it."""
        row, column = event.y - 1 + self.scroll_offset.y, (event.x - NAME - 1 + self.scroll_offset.x) // (CELL + 1)
        if event.y and event.x > NAME and row < len(self._order):
            self._to(row, column)
            if event.chain == 2:
                self.action_choose()


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
