"""A heat map with a cursor: how episodes ended, by question and environment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

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

from autotts.sandbox.text import printable
from autotts.traces import FailureKind
from autotts.traces.heat import HeatCell, HeatMap

__all__ = ["CHANGES_TOLD", "KINDS_TOLD", "SIGNS", "HeatGrid", "legend", "short_names", "worst_kind"]

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
    "overspent": "primary",
    "right": "success",
}

_COLOURS = {tone: f"[$text-{tone} on ${tone}-muted]" for tone in ("success", "primary", "warning", "error")}
_COLOURS["none"] = "[$foreground on $surface]"

BETTER, WORSE, SAME = "▲", "▼", "="
"""What stands for a difference."""

KINDS_TOLD = tuple((sign, _TONES[kind], str(kind)) for kind, sign in SIGNS.items())
CHANGES_TOLD = (
    (BETTER, "success", "right more often, in points"),
    (WORSE, "error", "right less often"),
    (SAME, "none", "as often"),
)
"""Signs, their colours, and what they mean."""


def legend(told: Sequence[tuple[str, str, str]], width: int) -> str:
    """Signs and what they mean, in the markup of a widget, in lines that end between two of them."""
    lines, room = [""], width
    for sign, tone, words in told:
        size = len(f" {sign}  {words}  ")
        if size > room:
            lines, room = [*lines, ""], width
        lines[-1] += f"{_COLOURS[tone]} {sign} [/] {words}  "
        room -= size
    return "\n".join(lines)


NAME, LEAST, MOST = 18, 11, 22
"""Cells of the longest name of a question, and of a column at the least and at the most."""

HEADS = 2
"""Lines that stay on top: the names of the environments, and how often each question was right."""


class Look(NamedTuple):
    """How a cell is drawn."""

    text: str
    tone: str


def worst_kind(cell: HeatCell) -> FailureKind:
    """The kind that most of a cell's wrong episodes ended in; of right ones where none was wrong."""
    wrong = {kind: n for kind, n in cell.kinds.items() if n and kind not in ("right", "overspent")}
    counts = wrong or {kind: n for kind, n in cell.kinds.items() if n}
    return max(counts, key=lambda kind: counts[kind])


def ending(cell: HeatCell | None) -> Look:
    """The sign of what went wrong, and the share right."""
    if cell is None:
        return Look("–", "none")
    kind = worst_kind(cell)
    return Look(f"{SIGNS[kind]} {100 * cell.accuracy:>4.0f} %", _TONES[kind])


def change(cell: HeatCell | None, other: HeatCell | None) -> Look:
    """How much more often a program was right than another one, in points."""
    if cell is None or other is None:
        return Look("–", "none")
    points = 100 * (cell.accuracy - other.accuracy)
    if not round(points):
        return Look(f"{SAME}      ", "none")
    return Look(f"{BETTER if points > 0 else WORSE} {points:>+4.0f}  ", "success" if points > 0 else "error")


def short_names(names: Sequence[str]) -> list[str]:
    """Names of environments without the data set, where all have the same."""
    shared = len({name.rpartition("/")[2] for name in names}) == 1 < len(names)
    return [name.rpartition("/")[0] or name if shared else name for name in names]


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
        "heat--primary",
        "heat--warning",
        "heat--error",
        "heat--cursor",
    }

    DEFAULT_CSS = """
    HeatGrid { height: 1fr; scrollbar-size-horizontal: 1; scrollbar-size-vertical: 1;
        & > .heat--head { text-style: bold; color: $foreground; }
        & > .heat--none { background: $surface; color: $foreground; }
        & > .heat--success { background: $success-muted; color: $text-success; }
        & > .heat--primary { background: $primary-muted; color: $text-primary; }
        & > .heat--warning { background: $warning-muted; color: $text-warning; }
        & > .heat--error { background: $error-muted; color: $text-error; }
        & > .heat--cursor { background: $primary; color: $text; text-style: bold; }
    }
    """

    cursor: reactive[tuple[int, int]] = reactive((0, 0))

    class Moved(Message):
        """The cursor is on another cell."""

        def __init__(self, grid: HeatGrid) -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> HeatGrid:
            """The map."""
            return self.grid

    class Chosen(Message):
        """A cell was chosen."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._heat: HeatMap | None = None
        self._other: HeatMap | None = None
        self._order: Sequence[int] = ()
        self._title = ""
        self._heads: list[str] = []
        self._left = self._wide = LEAST

    def show(self, heat: HeatMap | None, order: Sequence[int], title: str = "", other: HeatMap | None = None) -> None:
        """Show a heat map, its questions in some order; the cursor stays on its question.

        Args:
            heat: None for an empty one.
            order: places of the questions.
            title: of the order.
            other: what is taken away from it, of the same questions and environments; None for nothing.
        """
        question = self.question
        self._heat, self._other, self._order, self._title = heat, other, order, title
        self._heads = [printable(name) for name in short_names(heat.environments)] if heat else []
        self._measure()
        row = list(order).index(question) if question in order else 0
        self.cursor = (row, min(self.cursor[1], max(0, len(self._heads) - 1)))
        self.refresh()

    def _measure(self) -> None:
        """Columns as wide as the names where there is room for that."""
        names = [printable(name) for name in self._heat.questions] if self._heat else []
        self._left = min(NAME, max(map(cell_len, [*names, self._title]), default=LEAST))
        columns = len(self._heads) + 1
        room = (self.size.width - self._left - 2) // columns - 1
        self._wide = max(LEAST, min(MOST, room, max(map(cell_len, self._heads), default=LEAST)))
        width = self._left + 1 + (self._wide + 1) * columns
        self.virtual_size = Size(width, len(self._order) + HEADS)

    def on_resize(self) -> None:
        """Use the width."""
        self._measure()

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

    def follow(self, grid: HeatGrid) -> None:
        """Have the cursor where that of another map of the same questions is."""
        self._to(*grid.cursor)

    def watch_cursor(self) -> None:
        """Keep it in sight, and tell of it."""
        row, column = self.cursor
        left = 0 if not column else self._left + 1 + column * (self._wide + 1)
        self.scroll_to_region(Region(left, row, self._wide, HEADS + 1), animate=False, force=True)
        self.post_message(self.Moved(self))
        self.refresh()

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line of the screen: the heads stay on top, the names of the questions to the left."""
        row = y - HEADS + self.scroll_offset.y
        if self._heat is None or (y >= HEADS and row >= len(self._order)):
            return Strip.blank(self.size.width, self.rich_style)
        head = self.rich_style + self.get_component_rich_style("heat--head", partial=True)
        if y == 0:
            return self._line(self._title, [(_fit(name, self._wide), head) for name in [*self._heads, "all"]])
        if y == 1:
            shares = self._shares()
            return self._line("all", [(self._total(share), head) for share in shares])
        question = self._order[row]
        cells = [self._drawn(question, column, (row, column)) for column in range(len(self._heads))]
        return self._line(self._heat.questions[question], [*cells, (self._total(self._share(question)), head)])

    def _line(self, name: str, cells: Sequence[tuple[str, Style]]) -> Strip:
        head = self.rich_style + self.get_component_rich_style("heat--head", partial=True)
        gap = Segment(" ", self.rich_style)
        at, width = self.scroll_offset.x, self.size.width
        moving = Strip([part for text, style in cells for part in (Segment(text, style), gap)])
        shown = moving.crop(at, at + max(0, width - self._left - 1))
        still = Segment(f"{_fit(printable(name), self._left)} ", head)
        return Strip([still, *shown]).adjust_cell_length(width, self.rich_style)

    def _total(self, share: float) -> str:
        if math.isnan(share):
            return "–".center(self._wide)
        text = f"{100 * share:+.1f}" if self._other else f"{100 * share:.0f} %"
        return text.rjust((self._wide + 8) // 2).ljust(self._wide)

    def _share(self, question: int) -> float:
        """How often a question was right, environments weighing the same; the difference where one is shown."""
        assert self._heat is not None
        return (self._other.wrong(question) if self._other else 1.0) - self._heat.wrong(question)

    def _shares(self) -> list[float]:
        """The same of each environment, and of all of them, questions weighing the same."""
        assert self._heat is not None
        less = self._other
        shares = [
            self._heat.right(environment) - (less.right(environment) if less else 0.0)
            for environment in range(len(self._heads))
        ]
        return [*shares, sum(shares) / len(shares)]

    def _drawn(self, question: int, column: int, place: tuple[int, int]) -> tuple[str, Style]:
        assert self._heat is not None
        cell = self._heat.cells[question][column]
        look = change(cell, self._other.cells[question][column]) if self._other else ending(cell)
        style = self.rich_style + self.get_component_rich_style(f"heat--{look.tone}")
        text = look.text.center(self._wide)
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
        self._to(self.cursor[0] + by * max(1, self.size.height - HEADS - 1), self.cursor[1])

    def action_to_end(self, last: bool) -> None:
        """The first question, or the last."""
        self._to(len(self._order) if last else 0, self.cursor[1])

    def action_choose(self) -> None:
        """Choose the cell."""
        if self.cell is not None:
            self.post_message(self.Chosen())

    def on_click(self, event: events.Click) -> None:
        """The cell that is clicked at; a second click chooses it."""
        row, x = event.y - HEADS + self.scroll_offset.y, event.x - self._left - 1 + self.scroll_offset.x
        column = x // (self._wide + 1)
        if event.y >= HEADS and event.x > self._left and row < len(self._order) and column < len(self._heads):
            self._to(row, column)
            if event.chain == 2:
                self.action_choose()


def _fit(text: str, width: int) -> str:
    """A text of so many cells; of a longer one the middle is left out, for names differ at both ends."""
    size = cell_len(text)
    if size <= width:
        return text + " " * (width - size)
    keep = (width - 1) // 2
    tail = text[-keep:] if keep else ""
    return set_cell_size(text, width - 1 - cell_len(tail)) + "…" + tail if cell_len(tail) < width else "…" * width
