"""What every view of the browser has: where you are, what is wrong, work in the background, and an export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Static
from textual.worker import Worker, get_current_worker

from autotts.errors import AutoTTSError
from autotts.sandbox.text import printable

if TYPE_CHECKING:
    from autotts.ui.browser.app import Browser

__all__ = ["Exported", "Value", "View", "plain"]

T = TypeVar("T")

MOST = 200
"""Programs that can be chosen from."""

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Exported:
    """What is on the screen, as a table.

    Attributes:
        name: for the file: "programs", "front", ….
        columns: names, with units.
        rows: one value a column.
    """

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]


def plain(text: str, style: str = "") -> Text:
    """Text that nobody's words can turn into markup or control characters."""
    return Text(printable(text, newlines=True), style=style)


class Bar(Static):
    """The line on top: the views, and where you are."""

    DEFAULT_CSS = "Bar { height: 1; background: $panel; color: $text; padding: 0 1; }"


class Status(Static):
    """What is going on, or what is wrong; it takes no room where there is nothing to say."""

    DEFAULT_CSS = """
    Status { height: auto; max-height: 3; display: none; padding: 0 1; color: $text-muted; }
    Status.told { display: block; }
    Status.trouble { color: $text-error; text-style: bold; }
    """

    def say(self, text: str, trouble: bool = False) -> None:
        """Show a sentence; "" for none."""
        self.update(plain(("! " if trouble else "") + text))
        self.set_class(bool(text), "told")
        self.set_class(trouble and bool(text), "trouble")


class View(Screen[None]):
    """A view of the archive.

    A view says what it shows in `compose_body`, where it is in `place`, and how it is exported in `exported`.
    `on_news` is called when the run that is looked at, or the archive, has something new; `on_open` when the view is
    shown, and when another run is looked at.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False),
        Binding("e", "export", "Export"),
    ]

    place: ClassVar[str] = ""
    """The view's name on the bar."""

    @property
    def browser(self) -> Browser:
        """The application."""
        return cast("Browser", self.app)

    def compose(self) -> ComposeResult:
        """The bar, the body, the status and the keys."""
        yield Bar()
        yield from self.compose_body()
        yield Status()
        yield Footer(compact=True, show_command_palette=False)

    def compose_body(self) -> ComposeResult:
        """What the view shows."""
        yield Widget()

    def on_screen_resume(self) -> None:
        """The view is shown."""
        self.draw_bar()
        self.show_status()
        self.on_open()

    def on_open(self) -> None:
        """The view is shown, or another run is looked at."""

    def on_news(self) -> None:
        """The archive has something new."""

    def exported(self) -> Exported | None:
        """What is on the screen, None where it is no table."""
        return None

    def where(self) -> str:
        """What is looked at, beside the run."""
        return ""

    # ---- the bar and the status ------------------------------------------------------------------------------------

    def draw_bar(self) -> None:
        """Draw the line on top anew."""
        self.query_one(Bar).update(self.browser.bar(self.place, self.where(), self.size.width - 2))

    def on_resize(self) -> None:
        """The line on top uses the width."""
        self.draw_bar()

    # By group of work, so that what ends says nothing about what goes on.
    _doing: Mapping[str, str] = MappingProxyType({})
    _wrong: Mapping[str, str] = MappingProxyType({})

    def show_status(self) -> None:
        """What is wrong comes first: with the archive, then in this view; then what is being done."""
        wrong = self.browser.trouble or next(filter(None, self._wrong.values()), "")
        doing = next(filter(None, self._doing.values()), "")
        self.query_one(Status).say(wrong or doing, trouble=bool(wrong))

    def say(self, text: str) -> None:
        """What is being done, "" for nothing; whatever was said before is not said any more."""
        self._doing = {"": text}
        self.show_status()

    def wrong(self, text: str) -> None:
        """What is wrong in this view, "" for nothing; whatever was wrong before is not shown any more."""
        self._wrong = {"": text}
        self.show_status()

    def tell_of(self, group: str, doing: str = "", wrong: str = "") -> None:
        """What one group of work does, and what is wrong with it."""
        self._doing = {**self._doing, "": "", group: doing}
        self._wrong = {**self._wrong, "": "", group: wrong}
        self.show_status()

    # ---- work in the background ------------------------------------------------------------------------------------

    def find(self, what: Callable[[], T], then: Callable[[T], None], doing: str, group: str = "find") -> Worker[None]:
        """Do something in a thread, and show what came of it.

        What is asked for later in the same group takes its place: of the earlier one nothing is shown. An
        `AutoTTSError` is shown as a sentence.

        Args:
            what: done in the thread; touches no widget.
            then: called with the result, where widgets live.
            doing: what is said meanwhile.
            group: of things that replace each other.
        """
        self.tell_of(group, doing)
        work = partial(self._find, what, then, group)
        return self.run_worker(work, group=group, exclusive=True, thread=True, exit_on_error=True)

    def _find(self, what: Callable[[], T], then: Callable[[T], None], group: str) -> None:
        worker = get_current_worker()
        try:
            found = what()
        except AutoTTSError as error:
            self._unless_cancelled(worker, self._excuse, group, str(error))
            return
        self._unless_cancelled(worker, self._deliver, group, then, found)

    def is_finding(self, group: str = "find") -> bool:
        """Whether something of a group is being done."""
        return any(w.group == group and not w.is_finished and not w.is_cancelled for w in self.workers)

    def _unless_cancelled(self, worker: Worker[Any], show: Callable[..., None], *arguments: Any) -> None:
        """Show something, unless something else was asked for, or the browser is closing."""
        if not worker.is_cancelled and self.app.is_running:
            self.app.call_from_thread(show, *arguments)

    def _deliver(self, group: str, then: Callable[[T], None], found: T) -> None:
        if self.is_attached:
            self.tell_of(group)
            then(found)

    def _excuse(self, group: str, text: str) -> None:
        if self.is_attached:
            self.tell_of(group, wrong=text)

    # ---- what is asked -----------------------------------------------------------------------------------------------

    def choose_program(
        self,
        title: str,
        then: Callable[[str], None],
        *,
        named: Mapping[str, str] = MappingProxyType({}),
        without: str = "",
        at: str = "",
    ) -> None:
        """Ask for a program: one of these, a baseline, or one of the front.

        Args:
            title: what is asked.
            then: called with the hash, where one is chosen.
            named: hash → name of those that come first.
            without: hash of one that is not among them.
            at: hash of the one that the cursor is on at first.
        """
        from autotts.ui.browser.choosing import ChoiceDialog

        columns, front = self.browser.columns, self.browser.front
        all_ = dict.fromkeys([*named, *columns.baselines(), *(point.id for point in front)])
        hashes = [hash for hash in all_ if hash != without][:MOST]
        if not hashes:
            self.app.notify("there is no other program yet", markup=False)
            return
        ideas = columns.ideas_of(hashes)
        choices = [(hash, f"{named.get(hash, hash[:10])}  {ideas.get(hash, '')}") for hash in hashes]
        self.app.push_screen(ChoiceDialog(title, choices, at), lambda hash: None if hash is None else then(hash))

    # ---- actions -----------------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """To the view before."""
        self.browser.back()

    def action_export(self) -> None:
        """Write what is on the screen to a file."""
        from autotts.ui.browser.exporting import ExportDialog

        self.app.push_screen(ExportDialog(self))
