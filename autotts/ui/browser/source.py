"""The page of a source: what is known of each line in its gutter, and a cursor on a line."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from autotts.errors import AutoTTSError
from autotts.traces import LineCredit
from autotts.ui.browser.code import highlighted
from autotts.ui.browser.desk import Desk
from autotts.ui.browser.facts import Facts
from autotts.ui.browser.grid import UP_AND_DOWN
from autotts.ui.browser.pages import Page
from autotts.ui.browser.view import Exported, Value, plain

__all__ = ["SourcePage", "SourceView"]

NARROW, WIDE = 25, 44
"""Cells of the gutter: the most of a line's credit, or all of it."""

ROOMY = 130
"""Cells of the screen from which on the gutter is wide."""

PLAYING = "credit per line: playing episodes in the sandbox"

AGAINST = {
    "return": "each against reading on",
    "action": "each against stopping there",
    "prune": "each against keeping the branch",
}
"""The alternative to each kind of decision."""

HARM = 0.05
"""Points of accuracy from which on a line is marked as one that loses, or wins."""


class SourceView(ScrollView, can_focus=True):
    """A source, line by line. In the gutter: kind and count of decisions, and what they change in points."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *UP_AND_DOWN,
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
        & > .source--number { color: $foreground 60%; }
        & > .source--gutter { color: $foreground 85%; }
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

    @property
    def gutter_width(self) -> int:
        """Cells of the gutter."""
        return WIDE if self.size.width >= ROOMY else NARROW

    def heads(self) -> str:
        """What the parts of the gutter are."""
        points = f"{'points ± se':>15} {'tokens':>9}" if self.gutter_width == WIDE else f"{'points':>6}"
        return f" {'decisions':<14} {points}   {'line':>4}"

    def show(self, lines: Sequence[Text], wrong: int = 0) -> None:
        """Show a source; the cursor stays where it is.

        Args:
            lines: with their colours.
            wrong: a line that is marked as the one that failed, from 1; 0 for none.
        """
        fresh = not self._lines
        self._lines, self._wrong = lines, wrong
        self._measure()
        self.cursor = self.validate_cursor(max(0, wrong - 1) if fresh else self.cursor)
        self.refresh()

    def on_resize(self) -> None:
        """The gutter takes what it needs."""
        self._measure()

    def _measure(self) -> None:
        longest = max((line.cell_len for line in self._lines), default=0)
        self.virtual_size = Size(self.gutter_width + 7 + longest, len(self._lines))

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
        sign, tone, told = self._beside(row + 1)
        style = {name: self.get_component_rich_style(f"source--{name}", partial=True) for name in (tone, "number")}
        gutter = self.gutter_width
        mark = Segment(f" {told:<{gutter - 4}} {sign} ", base + style[tone])
        number = Segment(f"{row + 1:>4} │ ", base + style["number"])
        console = self.app.console
        text = [Segment(s.text, base + s.style if s.style else base) for s in self._lines[row].render(console)]
        shown = Strip(text).crop(at, at + max(0, width - gutter - 7))
        return Strip([mark, number, *shown]).adjust_cell_length(width, base)

    def _beside(self, line: int) -> tuple[str, str, str]:
        """(Sign, tone, text) of a line's gutter: its most frequent kind of decision, "…" where there are others."""
        if line == self._wrong:
            return "✗", "loses", "failed here"
        own = self.credit.get(line, [])
        if not own:
            return " ", "gutter", ""
        harm = sum(c.harm for c in own)
        sign, tone = ("▼", "loses") if harm >= HARM else ("▲", "wins") if harm <= -HARM else (" ", "gutter")
        first, more = own[0], "…" if len(own) > 1 else " "
        points = f"{first.accuracy:+.1f}" if first.told else "–"
        text = f"{first.kind:<6} {first.decisions:>6,}{more}"
        if self.gutter_width == NARROW:
            return sign, tone, f"{text} {points:>6}"
        error = f" ± {first.accuracy_error:.1f}" if first.told and math.isfinite(first.accuracy_error) else ""
        return sign, tone, f"{text} {points + error:>15} {first.tokens / 1000:>+8,.1f}K"

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


class SourcePage(Page):
    """A source, what its lines decide, and all credit of the line under the cursor."""

    place = "source"

    DEFAULT_CSS = """
    SourcePage > #heads { height: 1; color: $text-muted; text-wrap: nowrap; }
    SourcePage > #credit { height: 4; padding: 0 1; color: $text-muted; border-top: solid $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: Facts | None = None
        self._drawn: tuple[str, bool] | None = None
        self._credited = False
        self.why_not = ""

    def compose(self) -> ComposeResult:
        """What the gutter holds, the source, and the line under the cursor."""
        yield Static(id="heads")
        yield SourceView()
        yield Static(id="credit")

    @property
    def source(self) -> SourceView:
        """The lines."""
        return self.query_one(SourceView)

    def show(self, found: Facts) -> None:
        """Show a source; its credit is played in the sandbox."""
        self._found = found
        drawn = found.source, self.app.current_theme.dark
        if drawn != self._drawn:
            self._drawn = drawn
            show = partial(self._has_lines, found.wrong)
            self.view.find(partial(highlighted, *drawn), show, "", group="lines")
        self.on_source_view_moved()
        if not self.why_not:
            self.play()

    def _has_lines(self, wrong: int, lines: Sequence[Text]) -> None:
        self.source.show(lines, wrong)
        self.on_source_view_moved()

    def on_resize(self) -> None:
        """What the gutter holds depends on its width."""
        self.query_one("#heads", Static).update(self.source.heads())

    # ---- credit ------------------------------------------------------------------------------------------------------

    @property
    def doing(self) -> str:
        """What is going on, "" for nothing."""
        return PLAYING if self.view.is_finding("credit") else ""

    def play(self) -> None:
        """Play episodes for the credit of each line, where it is not there."""
        found, view = self._found, self.view
        if found is None or found.program is None or self._credited or view.is_finding("credit"):
            return
        self.why_not = ""
        credit = partial(_credit, view.browser.desk, found.run, found.program.hash)
        view.find(credit, self._has_credit, PLAYING, group="credit")
        self.on_source_view_moved()

    def _has_credit(self, found: list[LineCredit] | str) -> None:
        if isinstance(found, str):
            self.why_not = f"no credit per line (r: again): {found}"
            self.view.tell_of("credit", wrong=self.why_not)
        else:
            self._credited = True
            self.source.show_credit(found)
        self.on_source_view_moved()

    def on_source_view_moved(self) -> None:
        """Tell all credit of the line that the cursor is on, or why there is none."""
        found, source = self._found, self.source
        if found is None:
            return
        own = source.credit.get(source.cursor + 1, [])
        if found.wrong == source.cursor + 1 and found.listed is not None:
            told = f"{found.listed.outcome}: {found.listed.message}"
        elif self._credited:
            elsewhere = "".join(f"\nin no known line: {_words(c)}" for c in source.credit.get(0, []))
            told = "\n".join(map(_words, own)) or f"no decision is made in this line (n, p: next, previous){elsewhere}"
        else:
            told = self.why_not or self.doing
        self.query_one("#credit", Static).update(plain(told))

    def exported(self) -> Exported:
        """A row a line and kind of decision."""
        names = ("line", "kind", "decisions", "episodes", "accuracy", "accuracy_error", "tokens", "tokens_error",
                 "turned", "right_lost", "harm")  # fmt: skip
        credit = [one for line in sorted(self.source.credit) for one in self.source.credit[line]]
        return Exported("credit", names, [[_figure(one, name) for name in names] for one in credit])


def _credit(desk: Desk, run: str, program: str) -> list[LineCredit] | str:
    """Credit per line, or why there is none."""
    try:
        return desk.bench(run).lines(desk.program(program))
    except AutoTTSError as error:
        return str(error)


def _figure(one: LineCredit, name: str) -> Value:
    """A figure of a line; where there are too few episodes, none that would tell which answers were right."""
    value: Value = getattr(one, name)
    return value if one.told or name not in ("accuracy", "accuracy_error", "right_lost", "harm") else None


def _words(c: LineCredit) -> str:
    """A kind of decision of a line in words."""
    error = f" ± {c.accuracy_error:.1f}" if math.isfinite(c.accuracy_error) else ""
    points = f"{c.accuracy:+.1f}{error} points" if c.told else "too few episodes to tell points"
    spread = f" ± {c.tokens_error:,.0f}" if math.isfinite(c.tokens_error) else ""
    turned = f"; {c.turned:,} turned the answer" if c.turned else ""
    lost = f"; {c.right_lost:,} would have ended right" if c.right_lost and c.told else ""
    harm = f"; {abs(c.harm):.2f} points of accuracy {'lost' if c.harm > 0 else 'won'} here" if c.harm and c.told else ""
    return (
        f"{c.kind} × {c.decisions:,}: {points}, {c.tokens:+,.0f}{spread} tokens, {AGAINST[c.kind]}{turned}{lost}{harm}"
    )
