"""A source with what is known of each line in its gutter, and a cursor on a line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from autotts.traces import LineCredit

__all__ = ["SourceView", "credit_text"]

GUTTER = 22
HARM = 0.05
"""Points of accuracy from which on a line is marked as one that loses, or wins."""


class SourceView(ScrollView, can_focus=True):
    """A source, line by line. In the gutter: kind and count of decisions, and what they change in points."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Line up", show=False),
        Binding("down,j", "move(1)", "Line down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "to_end(False)", "First line", show=False),
        Binding("end,G", "to_end(True)", "Last line", show=False),
        Binding("n", "next_credit(1)", "Next line with credit", show=False),
        Binding("p", "next_credit(-1)", "Previous line with credit", show=False),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "source--number",
        "source--gutter",
        "source--wins",
        "source--loses",
        "source--cursor",
    }

    DEFAULT_CSS = """
    SourceView { height: 1fr; scrollbar-size-horizontal: 1; scrollbar-size-vertical: 1;
        & > .source--number { color: $foreground-darken-3; }
        & > .source--gutter { color: $foreground-darken-1; }
        & > .source--wins { color: $text-success; text-style: bold; }
        & > .source--loses { color: $text-error; text-style: bold; }
        & > .source--cursor { background: $surface-lighten-2; }
        &:focus > .source--cursor { background: $primary-muted; }
    }
    """

    cursor: reactive[int] = reactive(0)

    class Moved(Message):
        """The cursor is on another line."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: Sequence[Text] = ()
        self._wrong = 0
        self.credit: dict[int, list[LineCredit]] = {}

    def show(self, lines: Sequence[Text], wrong: int = 0) -> None:
        """Show a source.

        Args:
            lines: with their colours.
            wrong: a line that is marked as the one that failed, from 1; 0 for none.
        """
        self._lines, self._wrong = lines, wrong
        self.virtual_size = Size(GUTTER + 8 + max((line.cell_len for line in lines), default=0), len(lines))
        self.cursor = max(0, wrong - 1)
        self.refresh()

    def show_credit(self, found: Sequence[LineCredit]) -> None:
        """Show credit in the gutter."""
        credit: defaultdict[int, list[LineCredit]] = defaultdict(list)
        for one in found:
            credit[one.line or 0].append(one)
        self.credit = {line: sorted(own, key=lambda c: -c.decisions) for line, own in credit.items()}
        self.refresh()
        if not self.cursor:  # nobody has moved it yet
            self.action_next_credit(1)
        self.post_message(self.Moved())

    def validate_cursor(self, cursor: int) -> int:
        """Within the lines."""
        return max(0, min(cursor, len(self._lines) - 1))

    def watch_cursor(self) -> None:
        """Keep it in sight, and tell of it."""
        self.scroll_to_region(Region(self.scroll_offset.x, self.cursor, 1, 1), animate=False, force=True)
        self.post_message(self.Moved())
        self.refresh()

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line of the screen: the gutter stays, the source scrolls sideways."""
        width, at = self.size.width, self.scroll_offset.x
        row = y + self.scroll_offset.y
        base = self.rich_style
        if row >= len(self._lines):
            return Strip.blank(width, base)
        if row == self.cursor:
            base += self.get_component_rich_style("source--cursor", partial=False)
        sign, tone, told = self._gutter(row + 1)
        style = {name: self.get_component_rich_style(f"source--{name}", partial=True) for name in (tone, "number")}
        mark = Segment(f"{told:>{GUTTER - 3}} {sign} ", base + style[tone])
        number = Segment(f"{row + 1:>4} │ ", base + style["number"])
        console = self.app.console
        text = [Segment(s.text, base + s.style if s.style else base) for s in self._lines[row].render(console)]
        shown = Strip(text).crop(at, at + max(0, width - GUTTER - 7))
        return Strip([mark, number, *shown]).adjust_cell_length(width, base)

    def _gutter(self, line: int) -> tuple[str, str, str]:
        """(Sign, tone, text) of a line's gutter."""
        if line == self._wrong:
            return "✗", "loses", "failed here"
        own = self.credit.get(line, [])
        if not own:
            return " ", "gutter", ""
        harm = sum(c.harm for c in own)
        sign, tone = ("▼", "loses") if harm >= HARM else ("▲", "wins") if harm <= -HARM else (" ", "gutter")
        first = own[0]
        change = f"{first.accuracy:+.1f}" if first.told else "–"
        more = "…" if len(own) > 1 else ""
        return sign, tone, f"{first.kind} {first.decisions:,} {change}{more}"

    # ---- what keys and the mouse do ----------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Up or down."""
        self.cursor += by

    def action_page(self, by: int) -> None:
        """A screen up or down."""
        self.cursor += by * max(1, self.size.height - 1)

    def action_to_end(self, last: bool) -> None:
        """The first line, or the last."""
        self.cursor = len(self._lines) if last else 0

    def action_next_credit(self, by: int) -> None:
        """The next line that has credit."""
        lines = sorted(line - 1 for line in self.credit if line)
        further = [line for line in lines if (line > self.cursor if by > 0 else line < self.cursor)]
        if further:
            self.cursor = further[0] if by > 0 else further[-1]

    def on_click(self, event: events.Click) -> None:
        """The line that is clicked at."""
        self.cursor = event.y + self.scroll_offset.y


def credit_text(found: Sequence[LineCredit]) -> str:
    """All credit of a line in words."""
    lines = []
    for c in found:
        change = f"{c.accuracy:+.1f} ± {c.accuracy_error:.1f} points" if c.told else "too few episodes to tell"
        harm = f", {abs(c.harm):.2f} points of accuracy {'lost' if c.harm > 0 else 'won'} here alone" if c.harm else ""
        tokens = f"{c.tokens:+,.0f} tokens"
        lost = f", {c.right_lost:,} of them would have been right" if c.kind == "prune" else ""
        lines.append(f"{c.kind} × {c.decisions:,}{lost}: {change}, {tokens} each against the alternative{harm}")
    return "\n".join(lines)
