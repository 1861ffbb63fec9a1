"""What a person sees while a search runs: a live panel on a terminal (panel.py), plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from rich.console import Console
from rich.text import Text

from autotts.sandbox.text import printable
from autotts.search.events import (
    CallEnded,
    Event,
    RoundEnded,
    SearchStarted,
    SearchStopping,
    SlotEnded,
)

__all__ = [
    "Display",
    "clip",
    "clock",
    "gain_text",
    "headline",
    "make_display",
    "one_line",
    "rejects_text",
    "stage_of",
    "stopping_text",
]

Mode = Literal["rich", "plain", "none"]


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
            tail = event.idea if event.outcome == "ok" else event.message
            what, gain = stage_of(event), gain_text(event.gain, event.gain_se)
            self._write(f"  {event.round}.{event.slot}  {event.program:<10}  {what:<16} {gain:>15}  {clip(tail, 300)}")
        elif isinstance(event, CallEnded) and event.outcome != "ok":
            self._write(f"  {event.round}.{event.slot}  {_tried(event)}")
        elif isinstance(event, SearchStopping):
            self._write(stopping_text(event))
        elif isinstance(event, RoundEnded):
            self._write(
                f"round {event.round}: {headline(event)}, rejects: {rejects_text(event.rejects)}{_asked(event)}"
            )


def clock(seconds: float | None) -> str:
    """A time as people read it: days, hours, minutes, seconds."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    days = f"{whole // 86_400} d " if whole >= 86_400 else ""
    return f"{days}{whole % 86_400 // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def clip(text: str, width: int) -> str:
    """A text of at most a width, cut with an ellipsis."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def _tried(event: CallEnded) -> str:
    """A call that brought no answer."""
    return f"{event.agent}, call {event.number + 1}: {event.outcome}"


def stopping_text(event: SearchStopping) -> str:
    """What a run that was told to stop is about."""
    slots = "1 slot" if event.begun == 1 else f"{event.begun} slots"
    return f"finishing what was begun ({slots}); Ctrl-C again ends at once, and loses nothing"


def one_line(text: str, style: str = "") -> Text:
    """One line of printable text, cut where there is no room: programs choose ideas and messages."""
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


def stage_of(event: SlotEnded) -> str:
    """How far a candidate came, or what became of it."""
    return "confirmed" if event.confirmed else "screened" if event.outcome == "ok" else event.outcome


def rejects_text(rejects: Sequence[tuple[str, int]]) -> str:
    """How many ended in what."""
    return ", ".join(f"{count} {name}" for name, count in rejects) or "none"


def headline(event: RoundEnded) -> str:
    """How a run stands."""
    saved = f"{100 * event.saved:.0f} %" if event.saved is not None else "–"
    return (
        f"{event.candidates} candidates, front {event.front} programs, hypervolume {event.hypervolume:.4f}, "
        f"best {event.best} gain {gain_text(event.best_gain, event.best_gain_se)} points, "
        f"tokens saved at SC@64's accuracy {saved}"
    )


def _asked(event: RoundEnded) -> str:
    unpriced = f" and {event.unpriced} calls of unknown price" if event.unpriced else ""
    return f", models {event.tokens:,} tokens, ${event.cost:,.2f}{unpriced}" if event.tokens else ""


def make_display(mode: Mode | None, console: Console) -> Display:
    """The display for a mode; None chooses rich on a terminal and plain elsewhere."""
    chosen = mode or ("rich" if console.is_terminal and not console.is_dumb_terminal else "plain")
    if chosen == "rich":
        from autotts.ui.panel import RichDisplay  # which draws with what is above

        return RichDisplay(console)
    return PlainDisplay(lambda line: console.print(Text(line), soft_wrap=True)) if chosen == "plain" else Display()
