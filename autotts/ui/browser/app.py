"""The browser of an archive: an application for the terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import get_current_worker

from autotts.archive import Point, RunCounts
from autotts.errors import AutoTTSError
from autotts.ui.browser.columns import ProgramColumns
from autotts.ui.browser.desk import Desk, News
from autotts.ui.browser.help import HelpDialog
from autotts.ui.browser.view import View, plain

__all__ = ["Browser"]

PAUSE = 1.0
"""Seconds between two looks at the archive, at the least."""

SHARE = 10.0
"""A look that takes long is followed by a pause that is so many times longer: looking must not slow a search down."""

VIEWS = {
    "runs": "RunsView",
    "programs": "ProgramsView",
    "front": "FrontView",
    "episodes": "EpisodesView",
    "compare": "CompareView",
}
"""The class of each view by its name, which is its module's; keys 1, 2, … show them."""


def _view(name: str) -> Screen[None]:
    """A new view; its module is imported now, so that the first screen does not wait for others."""
    made: Screen[None] = getattr(import_module(f"autotts.ui.browser.{name}"), VIEWS[name])()
    return made


OFTEN = 0.4
"""Seconds between two drawings while a long run is read."""


class Browser(App[None]):
    """Browse an archive; `desk` is what it reads from.

    Args:
        desk: open; the caller closes it.
        run: that is looked at first, None for the last one.
    """

    TITLE = "AutoTTS"
    ENABLE_COMMAND_PALETTE = True

    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {name: partial(_view, name) for name in VIEWS}

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(k), f"view('{name}')", name.capitalize(), show=False) for k, name in enumerate(VIEWS, 1)),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("t", "theme", "Light or dark", show=False),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, desk: Desk, run: str | None = None) -> None:
        super().__init__()
        self.desk = desk
        self.run_name = run or ""
        self.counts: list[RunCounts] = []
        self.columns = ProgramColumns()
        self.front: list[Point] = []
        self.compared: tuple[str, ...] = ()
        self.played: tuple[str, ...] = ()
        self.trouble = ""
        self.loading = False
        self._led_from: list[str] = []
        self._shown = 0.0
        self._wake = threading.Event()

    def on_mount(self) -> None:
        """Show the programs of a run where there is one, else the runs; and begin to follow the archive."""
        self.desk.notice = self._notice
        self.switch_mode("programs" if self.run_name else "runs")
        self.run_worker(self._follow, group="follow", thread=True, exclusive=True)

    def on_unmount(self) -> None:
        """Let the threads end: the one that follows the archive, and those that wait for programs."""
        self._wake.set()
        self.desk.stop()

    # ---- following the archive ---------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Read what is new, again and again; in a thread."""
        worker = get_current_worker()
        while not worker.is_cancelled and self.is_running:
            news, counts, trouble = None, None, ""
            began, columns = time.monotonic(), self.columns
            try:
                news = self._read(columns)
                if news is None or not news.more:
                    counts = self.desk.counts()
            except AutoTTSError as error:
                trouble = str(error)
            if worker.is_cancelled or not self.is_running:
                return
            self.call_from_thread(self._take, columns, news, counts, trouble)
            if news is None or not news.more:
                self._wake.wait(PAUSE if trouble else max(PAUSE, SHARE * (time.monotonic() - began)))
                self._wake.clear()

    def _read(self, columns: ProgramColumns) -> News | None:
        """What the run that is looked at has that was not read."""
        run = self.run_name
        if not run:
            return None
        return self.desk.news(run, columns.last, columns.first_undecided(), changed=not self.front)

    def _take(self, columns: ProgramColumns, news: News | None, counts: list[RunCounts] | None, trouble: str) -> None:
        """Show what was read; where widgets live. What is for other columns than those of now is of no use."""
        changed = trouble != self.trouble
        self.trouble = trouble
        if counts is not None and counts != self.counts:
            self.counts, changed = counts, True
            for one in counts:
                self.desk.forget(one.name)
            if not self.run_name and counts:
                self.look_at(counts[-1].name)
        if news is not None and columns is self.columns:
            changed |= self._take_in(news)
        # While a long run is read, sorting it anew for every page would take longer than reading it.
        view = self._open_view()
        if changed and view and not (self.loading and time.monotonic() < self._shown + OFTEN):
            self._shown = time.monotonic()
            view.draw_bar()
            view.show_status()
            view.on_news()

    def _open_view(self) -> View | None:
        """The view that is shown; one that has no widgets yet is told when it has."""
        return self.screen if isinstance(self.screen, View) and self.screen.is_mounted else None

    def _take_in(self, news: News) -> bool:
        before = self.loading
        if news.again is not None:
            self.columns.forget_from(news.again)
        self.columns.add(news.rows, news.points)
        self.loading = news.more
        if news.front is not None:
            self.front = list(news.front)
            self.columns.hold_front({point.id for point in self.front})
        return bool(news.rows) or before != self.loading

    def _notice(self, text: str) -> None:
        """Told by whatever waits, from any thread."""
        if self.is_running:
            self.call_later(partial(self.notify, plain(text).plain, title="waiting", markup=False))

    # ---- what is looked at -------------------------------------------------------------------------------------------

    def look_at(self, run: str) -> None:
        """Look at another run."""
        if run == self.run_name and self.columns.hashes:
            return
        self.run_name, self.columns, self.front = run, ProgramColumns(), []
        self.compared = self.played = ()
        self.loading = True
        self._shown = 0.0
        self._wake.set()
        if view := self._open_view():
            view.draw_bar()
            view.on_open()

    def run_counts(self) -> RunCounts | None:
        """Of the run that is looked at."""
        return next((one for one in self.counts if one.name == self.run_name), None)

    def open_program(self, hash: str, tab: str = "", place: tuple[int, int] | None = None) -> None:
        """Show one program of the run, or an answer that never became one.

        Args:
            hash: of the program, "" for an answer that is none.
            tab: which of its pages is shown first, "" for the source.
            place: (round, slot) of the proposal, None for the first one that came to the program.
        """
        from autotts.ui.browser.program import ProgramView

        self.push_screen(ProgramView(hash, tab, place))

    def compare(self, programs: Sequence[str]) -> None:
        """Compare two programs (hashes); one alone is compared with the run's reference."""
        self.compared = tuple(programs[:2])
        self._lead_to("compare")

    def show_episodes(self, programs: Sequence[str]) -> None:
        """Show the episodes of a program (hash), and of a second one beside it where one is given."""
        self.played = tuple(programs[:2])
        self._lead_to("episodes")

    def _lead_to(self, view: str) -> None:
        """Show a view to which something in another one led: Escape leads back."""
        if view != self.current_mode:
            self._led_from.append(self.current_mode)
        self.switch_mode(view)

    def bar(self, place: str, where: str, width: int) -> Text:
        """The line on top."""
        line = Text(no_wrap=True, overflow="ellipsis")
        for key, name in enumerate(VIEWS, 1):
            title = name.capitalize()
            line.append(f" {key} {title} ", style="reverse bold" if title == place else "")
        counts = self.run_counts()
        state = f" ({self.desk.state(counts)})" if counts else ""
        right = plain(f"{self.desk.name} ▸ {self.run_name or 'no run yet'}{state}{f' ▸ {where}' if where else ''}")
        right.truncate(max(0, width - line.cell_len - 2), overflow="ellipsis")
        line.append(" " * max(1, width - line.cell_len - right.cell_len))
        return line.append_text(right)

    # ---- actions -----------------------------------------------------------------------------------------------------

    def action_view(self, name: str) -> None:
        """Show one of the views."""
        self._led_from.clear()
        self.switch_mode(name)

    def back(self) -> None:
        """To the screen before."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self._led_from:
            self.switch_mode(self._led_from.pop())

    def action_help(self) -> None:
        """Every key of this view."""
        self.push_screen(HelpDialog(self.screen))

    def action_theme(self) -> None:
        """Light or dark."""
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: views, runs, and what every application has."""
        for key, name in enumerate(VIEWS, 1):
            yield SystemCommand(f"Show {name.capitalize()}", f"key {key}", partial(self.action_view, name))
        for counts in self.counts:
            title = f"Look at run {plain(counts.name).plain}"
            yield SystemCommand(title, self.desk.state(counts), partial(self.look_at, counts.name))
        yield SystemCommand("Light or dark", "key t", self.action_theme)
        yield SystemCommand("Keys", "key ?", self.action_help)
        yield SystemCommand("Quit", "key q", self.action_quit)
