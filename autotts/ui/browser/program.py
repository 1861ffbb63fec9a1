"""One program: source with credit, difference, schedule, curve, lineage, proposal, records."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Click
from textual.widgets import ContentSwitcher, Static

from autotts.ui.browser.code import highlighted, unified
from autotts.ui.browser.facts import Facts, facts
from autotts.ui.browser.grid import Grid
from autotts.ui.browser.pages import LINEAGE as LINEAGE_COLUMNS
from autotts.ui.browser.pages import (
    CurvePage,
    curve_exported,
    knob_rows,
    lineage_rows,
    proposal_text,
    records_text,
    schedule_columns,
)
from autotts.ui.browser.source import SourceView, credit_text
from autotts.ui.browser.view import Exported, View, plain
from autotts.ui.progress import gain_text

__all__ = ["ProgramView"]

PAGES = ("source", "diff", "schedule", "curve", "lineage", "proposal", "records")


class ProgramView(View):
    """One program of a run, or an answer that never became one.

    Args:
        hash: of the program, "" for an answer that is none.
        tab: which page is shown first, "" for the source.
        place: (round, slot) of the proposal, None for the first one that came to the program.
    """

    place = "Programs"

    DEFAULT_CSS = """
    ProgramView > #head { height: auto; max-height: 3; padding: 0 1; }
    ProgramView > #pages { height: 1; padding: 0 1; background: $surface; }
    ProgramView > ContentSwitcher { height: 1fr; }
    ProgramView #credit { height: 3; padding: 0 1; color: $text-muted; border-top: solid $panel; }
    ProgramView #diff-text, ProgramView #proposal-text, ProgramView #records-text { width: auto; padding: 0 1; }
    ProgramView #proposal-text { width: 100%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "page(-1)", "Previous page", key_display="[", show=False),
        Binding("right_square_bracket", "page(1)", "Next page", key_display="]"),
        Binding("v", "next", "Parent, environment", show=False),
        Binding("o", "episodes", "Episodes"),
        Binding("c", "compare", "Compare"),
        Binding("y", "copy(False)", "Copy the id"),
        Binding("Y", "copy(True)", "Copy the source", show=False),
        Binding("r", "again", "Credit again", show=False),
    ]

    def __init__(self, hash: str, tab: str = "", place: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.hash = hash
        self._slot = place
        self._page = tab if tab in PAGES else PAGES[0]
        self._facts: Facts | None = None
        self._nth_parent = 0
        self._credited = False

    def compose_body(self) -> ComposeResult:
        """The head, the names of the pages, and the pages."""
        yield Static(id="head")
        yield Static(id="pages")
        with ContentSwitcher(initial=self._page):
            with VerticalScroll(id="source", can_focus=False):
                yield SourceView()
                yield Static(id="credit")
            with VerticalScroll(id="diff"):
                yield Static(id="diff-text")
            yield Grid((), id="schedule")
            yield CurvePage(id="curve")
            yield Grid(LINEAGE_COLUMNS, id="lineage")
            with VerticalScroll(id="proposal"):
                yield Static(id="proposal-text")
            with VerticalScroll(id="records"):
                yield Static(id="records-text")

    def on_mount(self) -> None:
        """Draw with the colours of another theme when it is chosen."""
        self.watch(self.app, "theme", self.redraw, init=False)

    def where(self) -> str:
        """Which program."""
        return self.hash[:10] or (f"{self._slot[0]}.{self._slot[1]}" if self._slot else "")

    # ---- what is read ------------------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Read what the archive knows; credit is played in the background."""
        if self._facts is None:
            desk, run = self.browser.desk, self.browser.run_name
            self.find(lambda: facts(desk, run, self.hash, self._slot), self._has_read, "reading")
        self._show_page()

    def _has_read(self, found: Facts) -> None:
        self._facts = found
        self.redraw()
        self.action_again()

    def action_again(self) -> None:
        """Play episodes for the credit of each line, where it is not there."""
        found = self._facts
        if found is None or found.program is None or self._credited or self.is_finding("credit"):
            return
        desk, run, hash = self.browser.desk, self.browser.run_name, self.hash
        self.find(
            lambda: desk.bench(run).lines(desk.program(hash)),
            self._has_credit,
            "credit per line: playing episodes in the sandbox",
            group="credit",
        )

    def _has_credit(self, found: object) -> None:
        assert isinstance(found, list)
        self._credited = True
        self.query_one(SourceView).show_credit(found)

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw everything anew."""
        found = self._facts
        if found is None:
            return
        dark = self.app.current_theme.dark
        self.query_one("#head", Static).update(self._head(found))
        listed = found.listed
        wrong = (listed.line or 0) if listed and listed.outcome not in (None, "ok") else 0
        self.query_one(SourceView).show(highlighted(found.source, dark), wrong)
        self.query_one("#diff-text", Static).update(self._diff(found, dark))
        schedule = self.query_one("#schedule", Grid)
        schedule.set_columns(schedule_columns(found))
        schedule.show(knob_rows(found))
        self.query_one(CurvePage).show(found)
        lineage = self.query_one("#lineage", Grid)
        rows = lineage_rows(found)
        lineage.show(rows, rows.own)
        self.query_one("#proposal-text", Static).update(proposal_text(found))
        self.query_one("#records-text", Static).update(records_text(found, self.browser.desk.name))
        self._tell()

    def _head(self, found: Facts) -> Text:
        listed, text = found.listed, Text()
        name = found.names.get(self.hash, self.hash[:10] or "no program")
        text.append_text(plain(name, "bold")).append("  ")
        if listed is not None:
            ok = listed.outcome == "ok"
            stage = {"confirm": "confirmed", "screen": "screened"}.get(listed.stage, listed.stage)
            what = stage if ok else listed.outcome or "undecided"
            text.append_text(plain(f"{listed.round}.{listed.slot}  {listed.agent}  {what}  "))
            text.append(f"gain {gain_text(listed.gain, listed.gain_se)}")
            if any(point.id == self.hash for point in self.browser.front):
                text.append("  ● on the front", style="bold")
            text.append("\n").append_text(plain(listed.idea if ok else listed.message))
        elif found.program is not None:
            text.append("added by a person\n").append_text(plain(found.program.idea))
        return text

    def _diff(self, found: Facts, dark: bool) -> Text:
        if not found.parents:
            return Text("it was made from no other program of this archive")
        parent = found.parents[self._nth_parent % len(found.parents)]
        more = f" (v: the other parent, {len(found.parents)} in all)" if len(found.parents) > 1 else ""
        lines = unified(parent.source, found.source, dark)
        head = plain(f"from {found.names.get(parent.hash, parent.id)} to {self.hash[:10] or 'this'}{more}", "bold")
        return Text("\n").join([head, *(lines or [Text("the sources are the same")])])

    @on(SourceView.Moved)
    def _tell(self) -> None:
        """All credit of the line that the cursor is on."""
        source = self.query_one(SourceView)
        own = source.credit.get(source.cursor + 1, [])
        self.query_one("#credit", Static).update(plain(credit_text(own)))

    def _show_page(self) -> None:
        """Show the page that is chosen, and what its name looks like."""
        self.query_one(ContentSwitcher).current = self._page
        line = Text(no_wrap=True)
        for name in PAGES:
            line.append(f" {name} ", style="reverse" if name == self._page else "").append(" ")
        self.query_one("#pages", Static).update(line)
        focus = {"source": "SourceView", "curve": "#curve Grid"}.get(self._page, f"#{self._page}")
        self.query_one(focus).focus()
        self.refresh_bindings()

    # ---- what keys and the mouse do ----------------------------------------------------------------------------------

    def action_page(self, by: int) -> None:
        """Another page."""
        self._page = PAGES[(PAGES.index(self._page) + by) % len(PAGES)]
        self._show_page()

    @on(Click, "#pages")
    def page_clicked(self, event: Click) -> None:
        """The page whose name was clicked at."""
        at = 1
        for name in PAGES:
            if at <= event.x < at + len(name) + 2:
                self._page = name
                self._show_page()
            at += len(name) + 3

    def action_next(self) -> None:
        """The other parent, or the next environment."""
        if self._page == "curve":
            self.query_one(CurvePage).next_environment()
        else:
            self._nth_parent += 1
            self.redraw()

    @on(Grid.Chosen, "#lineage")
    def relative(self, event: Grid.Chosen) -> None:
        """Show a relative."""
        hash = event.key.partition(" ")[0]
        if hash and hash != self.hash:
            self.browser.open_program(hash, "lineage")

    def action_episodes(self) -> None:
        """What it did, episode by episode."""
        if self._facts and self._facts.program:
            self.browser.show_episodes([self.hash])

    def action_compare(self) -> None:
        """Compare it with its first parent, or with the reference."""
        found = self._facts
        if found and found.program:
            parents = [p.hash for p in found.parents if p.hash != self.hash][:1]
            self.browser.compare([self.hash, *parents])

    def action_copy(self, source: bool) -> None:
        """Copy the id or the source to the clipboard, where the terminal allows it."""
        if self._facts:
            self.app.copy_to_clipboard(self._facts.source if source else self.hash[:10])
            self.app.notify(f"copied: {'the source' if source else self.hash[:10]}", markup=False)

    def exported(self) -> Exported | None:
        """What is on the page, where it is a table."""
        found = self._facts
        if found is None:
            return None
        if self._page == "source":
            names = ("line", "kind", "decisions", "accuracy", "accuracy_error", "tokens", "tokens_error", "harm")
            credit = [one for own in self.query_one(SourceView).credit.values() for one in own]
            return Exported("credit", names, [[getattr(one, name) for name in names] for one in credit])
        if self._page == "curve":
            return curve_exported(found)
        if self._page in ("schedule", "lineage"):
            grid = self.query_one(f"#{self._page}", Grid)
            rows = [grid.rows.cells(k) for k in range(len(grid.rows))]
            return Exported(self._page, tuple(column.title for column in grid.columns), rows)
        return None
