"""What a person sees while a search runs: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from autotts.sandbox.text import printable
from autotts.search.events import (
    CallEnded,
    Event,
    RoundEnded,
    SearchEnded,
    SearchStarted,
    SearchStopping,
    SlotEnded,
    SlotStarted,
)

__all__ = ["Display", "clip", "gain_text", "make_display", "one_line"]

Mode = Literal["rich", "plain", "none"]

RECENT = 8


def gain_text(gain: float | None, se: float | None) -> str:
    """A gain at matched tokens in points, with its standard error."""
    if gain is None:
        return "–"
    return f"{100 * gain:+.2f}" + (f" ± {100 * se:.2f}" if se is not None else "")


class Display:
    """Listens to a search; a context manager. The base shows nothing."""

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, event: Event) -> None:
        """Take one event."""


class PlainDisplay(Display):
    """One line an event that matters."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write: Callable[[str], None] = lambda line: write(printable(line))

    def __call__(self, event: Event) -> None:
        """Write a line."""
        if isinstance(event, SearchStarted):
            self._write(
                f"run {event.run}: {event.rounds} rounds × {event.per_round} proposals after {event.baselines} "
                f"baselines{f' and {event.added} added' if event.added else ''}, isolation {event.isolation}"
                + (f", {event.done} slots done before" if event.done else "")
            )
        elif isinstance(event, SlotEnded):
            what = "confirmed" if event.confirmed else "screened" if event.outcome == "ok" else event.outcome
            tail = event.idea if event.outcome == "ok" else event.message
            gain = gain_text(event.gain, event.gain_se)
            self._write(f"  {event.round}.{event.slot}  {event.program:<10}  {what:<16} {gain:>15}  {clip(tail, 300)}")
        elif isinstance(event, CallEnded) and event.outcome != "ok":
            self._write(f"  {event.round}.{event.slot}  {_tried(event)}")
        elif isinstance(event, SearchStopping):
            self._write(_stopping(event))
        elif isinstance(event, RoundEnded):
            self._write(f"round {event.round}: {_headline(event)}")


class RichDisplay(Display):
    """A live panel: progress, the last candidates, the standing."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("search", total=None)
        self._rows: list[SlotEnded] = []
        self._stage = self._note = ""
        self._round: RoundEnded | None = None
        self._live = Live(self._render(), console=console, refresh_per_second=4)
        self._started = time.monotonic()

    def __enter__(self) -> Display:
        self._live.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        self._live.update(self._render(), refresh=True)
        self._live.__exit__(None, None, None)

    def __call__(self, event: Event) -> None:
        """Update the panel."""
        if isinstance(event, SearchStarted):
            total = event.baselines + event.added + event.rounds * event.per_round
            self._bar.update(self._task, total=total, description=printable(f"run {event.run}"))
        elif isinstance(event, SlotStarted):
            self._stage = f"round {event.round}, slot {event.slot}: {event.stage} {event.program}"
        elif isinstance(event, CallEnded):
            where, spent = f"round {event.round}, slot {event.slot}: propose", f"{event.tokens:,} tokens"
            told = f"{event.agent}, call {event.number + 1}, {spent}" if event.outcome == "ok" else _tried(event)
            self._stage = f"{where}: {told}"
        elif isinstance(event, SlotEnded):
            self._rows = [*self._rows, event][-RECENT:]
            self._bar.advance(self._task)
        elif isinstance(event, RoundEnded):
            self._round = event
        elif isinstance(event, SearchStopping):
            self._note = _stopping(event)
        elif isinstance(event, SearchEnded):
            self._stage, self._note = "done" if event.finished else "interrupted", ""
        self._live.update(self._render())

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for name, width in (("slot", 4), ("program", 10), ("stage", 9), ("gain ± se", 13), ("idea", None)):
            # The idea alone may give way, and is cut there: of columns that may not wrap, rich narrows all.
            right = name == "gain ± se"
            table.add_column(name, no_wrap=width is not None, min_width=width, justify="right" if right else "left")
        for row in self._rows:
            ok = row.outcome == "ok"
            stage = "confirmed" if row.confirmed else "screened" if ok else row.outcome
            table.add_row(
                one_line(f"{row.round}.{row.slot}"),
                one_line(row.program),
                one_line(stage, "green" if row.confirmed else "" if ok else "red"),
                one_line(gain_text(row.gain, row.gain_se)),
                one_line(row.idea if ok else row.message),
            )
        standing = _headline(self._round) if self._round else "baselines first"
        now = Text(printable(self._note or self._stage), style="bold" if self._note else "dim")
        return Group(self._bar, now, table, Text(printable(standing), style="bold"))


def clip(text: str, width: int) -> str:
    """A text of at most a width, cut with an ellipsis."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def _tried(event: CallEnded) -> str:
    """A call that brought no answer."""
    return f"{event.agent}, call {event.number + 1}: {event.outcome}"


def _stopping(event: SearchStopping) -> str:
    slots = "1 slot" if event.begun == 1 else f"{event.begun} slots"
    return f"finishing what was begun ({slots}); Ctrl-C again ends at once, and loses nothing"


def one_line(text: str, style: str = "") -> Text:
    """One line of printable text, cut where there is no room: programs choose ideas and messages."""
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


def _headline(event: RoundEnded) -> str:
    rejects = ", ".join(f"{count} {name}" for name, count in event.rejects) or "none"
    saved = f"{100 * event.saved:.0f} %" if event.saved is not None else "–"
    unpriced = f" and {event.unpriced} calls of unknown price" if event.unpriced else ""
    asked = f", models {event.tokens:,} tokens, ${event.cost:,.2f}{unpriced}" if event.tokens else ""
    return (
        f"{event.candidates} candidates, front {event.front} programs, hypervolume {event.hypervolume:.4f}, "
        f"best {event.best} gain {gain_text(event.best_gain, event.best_gain_se)} points, "
        f"tokens saved at SC@64's accuracy {saved}, rejects: {rejects}{asked}"
    )


def make_display(mode: Mode | None, console: Console) -> Display:
    """The display for a mode; None chooses rich on a terminal and plain elsewhere."""
    chosen = mode or ("rich" if console.is_terminal else "plain")
    if chosen == "rich":
        return RichDisplay(console)
    return PlainDisplay(lambda line: console.print(Text(line), soft_wrap=True)) if chosen == "plain" else Display()
