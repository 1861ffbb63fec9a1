"""One program: source with credit, difference, schedule, curve, lineage, proposal, records."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.widgets import ContentSwitcher, Static

from autotts.search.known import Known, known
from autotts.ui.browser.columns import STAGES
from autotts.ui.browser.exporting import WriteDialog
from autotts.ui.browser.facts import Facts, facts
from autotts.ui.browser.grid import Grid
from autotts.ui.browser.kin import LineagePage
from autotts.ui.browser.pages import CurvePage, Page, SchedulePage
from autotts.ui.browser.source import SourcePage
from autotts.ui.browser.texts import DiffPage, ProposalPage, RecordsPage
from autotts.ui.browser.view import Exported, View, plain
from autotts.ui.progress import gain_text

__all__ = ["ProgramView"]

MADE = (SourcePage, DiffPage, SchedulePage, CurvePage, LineagePage, ProposalPage, RecordsPage)
PAGES = tuple(page.place for page in MADE)

OF_PROGRAMS = ("episodes", "compare", "write", "again")
"""What can be done with a program only."""

LOW = 30
"""Lines below which a terminal is low."""


class ProgramView(View):
    """One program of a run, or an answer that never became one.

    Args:
        hash: of the program, "" for an answer that is none.
        tab: which page is shown first, "" for the source.
        place: (round, slot) of the proposal, None for the first one that came to the program.
    """

    place = "Programs"

    DEFAULT_CSS = """
    ProgramView > #head { height: auto; max-height: 2; padding: 0 1; }
    ProgramView > #idea { height: auto; max-height: 2; padding: 0 1; }
    ProgramView.small > #idea { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ProgramView.small #credit { height: 3; }
    ProgramView > #pages { height: 1; padding: 0 1; background: $surface; }
    ProgramView > ContentSwitcher { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "page(-1)", "Previous page", key_display="[", show=False),
        Binding("right_square_bracket", "page(1)", "Next page", key_display="]"),
        Binding("v", "turn", "Other view", tooltip="The next parent or environment; opens or closes all texts"),
        Binding("o", "episodes", "Episodes"),
        Binding("c", "compare", "Compare"),
        Binding("w", "write", "Write", tooltip="Write the program to a file, as autotts export does"),
        Binding("y", "copy(False)", "Copy the id", show=False),
        Binding("Y", "copy(True)", "Copy the source", show=False),
        Binding("r", "again", "Play again for the credit of each line", show=False),
    ]

    def __init__(self, hash: str, tab: str = "", place: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.hash = hash
        self._slot = place
        self._page = tab if tab in PAGES else PAGES[0]
        self._facts: Facts | None = None
        self._run = ""
        self._drawn: set[str] = set()

    def compose_body(self) -> ComposeResult:
        """The head, the names of the pages, and the pages."""
        yield Static(id="head")
        yield Static(id="idea")
        yield Static(id="pages")
        with ContentSwitcher(initial=self._page):
            for made in MADE:
                yield made()

    def on_mount(self) -> None:
        """Draw with the colours of another theme when it is chosen."""
        self.watch(self.app, "theme", self.redraw, init=False)

    def where(self) -> str:
        """Which program."""
        return self.hash[:10] or (f"{self._slot[0]}.{self._slot[1]}" if self._slot else "")

    # ---- what is read ------------------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Read what the archive knows; a program of another run than the one that is looked at is left."""
        self._run = self._run or self.browser.run_name
        if self._run != self.browser.run_name:
            self.call_later(self.browser.back)
            return
        if self._facts is None:
            self._read("reading")
        self._show_page()

    def on_news(self) -> None:
        """Read it again: it may be decided now, or have children."""
        if self._facts is not None and self._run == self.browser.run_name:
            self._read("")

    def _read(self, doing: str) -> None:
        desk, run = self.browser.desk, self._run
        self.find(lambda: facts(desk, run, self.hash, self._slot), self._has_read, doing)

    def _has_read(self, found: Facts) -> None:
        self._facts = found
        if found.program is not None and not self.hash:  # it was undecided before
            self.hash = found.program.hash
            self.draw_bar()
        self.redraw()

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw everything anew; pages that are not shown, when they are."""
        self._drawn.clear()
        if self._facts is not None:
            self.refresh_bindings()
            self.query_one("#head", Static).update(self._head(self._facts))
            self.query_one("#idea", Static).update(plain(" ".join(self._facts.told.split())))
            self._draw_page()

    def _draw_page(self) -> None:
        if self._facts is not None and self._page not in self._drawn:
            self._drawn.add(self._page)
            self.page.show(self._facts)
            self.refresh_bindings()

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return self.query_one(f"#{self._page}", Page)

    def _head(self, found: Facts) -> Text:
        listed, own = found.listed, found.program
        text = Text().append_text(plain(own.id if own else "no program", "bold"))
        text.append_text(plain(f"  {found.names[self.hash]}" if self.hash in found.names else ""))
        if listed is None or listed.round is None:
            return text.append("  added by a person")
        stage = STAGES.get(listed.stage, listed.stage)
        what = stage if listed.outcome == "ok" else listed.outcome or "not decided yet"
        text.append_text(plain(f"  {found.run} {listed.round}.{listed.slot}  {listed.agent}  {what}"))
        if listed.gain is not None:
            text.append(f"  gain {gain_text(listed.gain, listed.gain_se)}")
        if any(point.id == self.hash for point in self.browser.front):
            text.append("  ● on the front", style="bold")
        return text

    def on_resize(self) -> None:
        """In a low terminal the idea has one line."""
        super().on_resize()
        self.set_class(self.size.height < LOW, "small")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Some pages have one view only, and an answer that became no program cannot be played."""
        if action == "turn":
            return self.page.turns
        own = self._facts is not None and self._facts.program is not None
        return not (action in OF_PROGRAMS or (action, *parameters) == ("copy", False)) or own

    def _show_page(self) -> None:
        """Show the page that is chosen, and its name among the others."""
        self.query_one(ContentSwitcher).current = self._page
        line = Text(no_wrap=True)
        for name in PAGES:
            line.append(f" {name} ", style="reverse" if name == self._page else "").append(" ")
        self.query_one("#pages", Static).update(line)
        self._draw_page()
        self.page.take_focus()
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

    def action_turn(self) -> None:
        """Another view of what the page shows: the next parent or environment, texts open or closed."""
        self.page.turn()

    def action_again(self) -> None:
        """Play episodes for the credit of each line, where it is not there."""
        self.query_one(SourcePage).play()

    @on(Grid.Chosen, "LineagePage Grid")
    def relative(self, event: Grid.Chosen) -> None:
        """Show a relative."""
        hash, place = self.query_one(LineagePage).place_of(event.key)
        if hash != self.hash or (not hash and place != self._slot):
            self.browser.open_program(hash, "lineage", place)

    def action_episodes(self) -> None:
        """What it did, episode by episode."""
        self.browser.show_episodes([self.hash])

    def action_compare(self) -> None:
        """Compare it with its first parent, or with the reference."""
        parents = self._facts.parents if self._facts else ()
        self.browser.compare([self.hash, *(p.hash for p in parents if p.hash != self.hash)])

    def action_copy(self, source: bool) -> None:
        """Copy the id or the source to the clipboard, where the terminal allows it."""
        if self._facts:
            self.app.copy_to_clipboard(self._facts.source if source else self.hash[:10])
            self.app.notify(f"copied: {'the source' if source else self.hash[:10]}", markup=False)

    def action_write(self) -> None:
        """Write the program to a file."""
        own, archive = self._facts and self._facts.program, self.browser.desk.archive
        if own:
            self.find(lambda: known(archive, own), self._ask_where, "reading", group="write")

    def _ask_where(self, about: Known) -> None:
        self.app.push_screen(WriteDialog(about))

    def exported(self) -> Exported | None:
        """What is on the page, where it is a table."""
        return self.page.exported() if self._facts is not None else None
