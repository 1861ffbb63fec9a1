"""A search on a terminal: the whole screen while it runs, a few lines of it that stay when it has ended.

The other screen of the terminal is used, and every line of it drawn anew in its place: so nothing scrolls or flickers,
and a terminal that changes its size is filled anew at the next drawing.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.control import Control
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment
from rich.table import Table
from rich.text import Text

from autotts.sandbox.text import printable
from autotts.search.events import Event, RoundEnded, SlotEnded
from autotts.ui.plot import front_picture, short_tokens
from autotts.ui.progress import Display, clock, gain_text, headline, one_line, rejects_text, stage_of, stopping_text
from autotts.ui.watch import Watch, Work

__all__ = ["Panel", "RichDisplay"]

STAGES = {"propose": "asked", "wait": "waits", "screen": "screened", "confirm": "confirmed"}

WIDE = 120
"""Columns from which on the front stands beside what is under way."""

NARROW = 40
"""Columns below which there is no room for tables."""

LEAST = 8
"""Lines of a picture that still says something."""

PAUSE = 0.25
"""Seconds between two drawings."""

KEPT = 8
"""Candidates that stay on the terminal when the search has ended."""


class Panel:
    """Draws what a `Watch` has seen, into whatever room there is; one thread may draw while another tells of events.

    Args:
        watch: what to draw.

    Attributes:
        said: the last line that somebody wrote to standard error.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.said = ""
        self._lock = threading.RLock()
        self._picture: tuple[object, Text] = (None, Text())

    def __call__(self, event: Event) -> None:
        """Take an event; it is seen at the next drawing."""
        with self._lock:
            self.watch(event)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The whole screen."""
        with self._lock:
            screen = self._screen(options.max_width, options.height or console.height)
        yield screen

    def _screen(self, width: int, height: int) -> Group:
        parts = self._head(width)[:height]
        room = height - len(parts)
        if room < 2 or width < NARROW:
            return Group(*parts)
        middle = self._beside if width >= WIDE and room // 2 >= LEAST else self._beneath
        more, used = middle(width, room)
        recent = [self.recent(room - used - 1)] if room - used > 1 else []
        return Group(*parts, *more, *recent)

    def _beside(self, width: int, room: int) -> tuple[list[RenderableType], int]:
        """The front, and right of it what is under way; and the lines that they take."""
        high, half = min(26, room // 2), width // 2
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=half)
        grid.add_column(width=width - half - 4)
        grid.add_row(self._front(half, high), self._working(high))
        return [grid, Text()], high + 1

    def _beneath(self, width: int, room: int) -> tuple[list[RenderableType], int]:
        """What is under way, and beneath it the front where there is room."""
        lines = min(room, 7 if room >= 25 else 5 if room >= 19 else 4)
        high = min(18, room - lines - 6)
        if high < LEAST:
            return [self._working(lines)], lines
        return [self._working(lines), self._front(width, high)], lines + high

    def ending(self, width: int) -> Group:
        """What stays."""
        head = self._head(width)
        return Group(head[0], self.recent(KEPT), *head[1:])

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _head(self, width: int) -> list[RenderableType]:
        """The bar, how it stands, what was rejected, how fast it goes, what it has spent: five lines."""
        watch = self.watch
        run = one_line(f"run {watch.started.run}" if watch.started else "search", "bold")
        run.truncate(max(14, width // 3), overflow="ellipsis")
        left = "" if watch.ended else f", {clock(watch.left)} left" if watch.left is not None else ""
        bar = Table.grid(padding=(0, 1, 0, 0))
        for _ in range(3):
            bar.add_column(no_wrap=True)
        total = max(watch.total, watch.done)
        told = f"{watch.done}/{total}  {clock(watch.seconds)}{left}"
        bar.add_row(
            run, ProgressBar(max(total, 1), watch.done, width=max(4, width - run.cell_len - len(told) - 3)), told
        )
        standing = "baselines first"
        if watch.rounds:
            standing = headline(watch.rounds) if width >= WIDE else _standing(watch.rounds)
        pace, spent = self._pace(), _spent(watch)
        both = f"{pace} · {spent}" if spent else pace
        below = [one_line(both), Text()] if len(both) <= width else [one_line(pace), one_line(spent)]
        rejects = one_line(f"rejects: {rejects_text(sorted(watch.rejects.items()))}")
        return [bar, one_line(standing, "bold"), rejects, *below]

    def _pace(self) -> str:
        """Rates; or what the run is about to do, or somebody has to say."""
        watch = self.watch
        if watch.ended is not None:
            return "done" if watch.ended.finished else watch.ended.reason or "interrupted"
        if watch.stopping is not None:
            return stopping_text(watch.stopping)
        if self.said:
            return self.said
        parts = [f"{watch.per_minute:.1f} candidates a minute"] if watch.per_minute is not None else []
        parts += [f"{watch.cores:.1f} cores busy"] if watch.cores else []
        parts += [f"{short_tokens(watch.tokens_per_minute)} tokens a minute"] if watch.tokens_per_minute else []
        return ", ".join(parts) or f"isolation {watch.started.isolation if watch.started else '–'}"

    def _working(self, height: int) -> RenderableType:
        """What is under way, in exactly so many lines, so that what is below stays where it is."""
        rows = sorted(self.watch.working.items())
        table = _table(("slot", 6), ("stage", 9), ("for", 7), ("under way", None))
        room = height - 1
        shown = rows if len(rows) <= room else rows[: max(0, room - 1)]
        for (round_, slot), work in shown:
            since = clock(self.watch.clock() - work.since)
            table.add_row(f"{round_}.{slot}", STAGES.get(work.stage, one_line(work.stage)), since, one_line(_on(work)))
        if len(shown) < len(rows) and room:
            table.add_row("", "", "", f"and {len(rows) - len(shown)} more")
        for _ in range(room - min(len(rows), room)):
            table.add_row("", "", "", "")
        return table

    def _front(self, width: int, height: int) -> Text:
        """The picture, drawn again only where something in it has changed."""
        watch = self.watch
        key = (width, height, len(watch.curves), tuple(watch.front))
        if key != self._picture[0]:
            pairs = {name: [(p.tokens, 100 * p.accuracy) for p in curve] for name, curve in watch.curves.items()}
            shown = [(p.tokens, 100 * p.accuracy) for p in watch.front]
            text = front_picture(pairs, shown, width - 1, height, colour=False).rstrip("\n") if shown else ""
            lines = text.split("\n")[:height]
            blank = [""] * (height - len(lines))
            self._picture = key, Text("\n".join([*lines, *blank]), no_wrap=True, overflow="crop")
        return self._picture[1]

    def recent(self, most: int) -> Table:
        """The last candidates, at most so many."""
        table = _table(("slot", 6), ("program", 10), ("stage", 9), ("gain ± se", 13), ("idea", None))
        for row in list(self.watch.recent)[-most:] if most > 0 else ():
            table.add_row(one_line(f"{row.round}.{row.slot}"), one_line(row.program), *_verdict(row))
        return table


def _standing(event: RoundEnded) -> str:
    """As the headline, for eighty columns."""
    saved = f", saved {100 * event.saved:.0f} %" if event.saved is not None else ""
    gain = gain_text(event.best_gain, event.best_gain_se)
    return f"best {event.best} {gain}, front {event.front} programs, hypervolume {event.hypervolume:.4f}{saved}"


def _spent(watch: Watch) -> str:
    """What models and time have taken, of what they may."""
    limits = dict(watch.started.limits) if watch.started else {}
    parts = []
    if watch.cost or "cost" in limits:
        most = f" of ${limits['cost']:,.2f}" if "cost" in limits else ""
        unpriced = f" and {watch.unpriced} calls of unknown price" if watch.unpriced else ""
        parts.append(f"${watch.cost:,.2f}{most}{unpriced}")
    if watch.tokens or "tokens" in limits:
        most = f" of {short_tokens(limits['tokens'])}" if "tokens" in limits else ""
        parts.append(f"{short_tokens(watch.tokens)}{most} tokens")
    if "time" in limits and watch.started is not None:
        parts.append(f"{clock(watch.started.seconds + watch.seconds)} of {clock(limits['time'])}")
    return ", ".join(parts)


def _verdict(row: SlotEnded) -> tuple[Text, Text, Text]:
    ok = row.outcome == "ok"
    return (
        one_line(stage_of(row), "green" if row.confirmed else "" if ok else "red"),
        one_line(gain_text(row.gain, row.gain_se)),
        one_line(row.idea if ok else row.message),
    )


def _on(work: Work) -> str:
    """What is evaluated, what asking took, and who is asked: what is longest comes last, where it is cut."""
    calls = "1 call" if work.calls == 1 else f"{work.calls} calls"
    asked = f"{calls}, {short_tokens(work.tokens)} tokens" if work.calls else ""
    tried = f"the last: {work.tried}" if work.tried else ""
    return ", ".join(part for part in (work.program, asked, tried, work.agent) if part)


def _table(*columns: tuple[str, int | None]) -> Table:
    """Lines of columns; the last alone may give way, and is cut: of columns that may not wrap, rich narrows all."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for name, width in columns:
        right = name in ("gain ± se", "for")
        table.add_column(name, no_wrap=width is not None, min_width=width, justify="right" if right else "left")
    return table


class _Said(io.TextIOBase):
    """Stands for standard error: what is written is kept for the end, and its last line shown."""

    def __init__(self, panel: Panel, real: object) -> None:
        self.rich_proxied_file = real  # where rich writes all the same
        self.text = ""
        self._panel = panel

    def write(self, text: str, /) -> int:
        """Keep it."""
        self.text += text
        lines = self.text.split("\n")
        self._panel.said = printable(next((line for line in reversed(lines) if line.strip()), ""))
        return len(text)


def _on_termination(leave: Callable[[], None]) -> signal.Handlers | None:
    """Call this before a SIGTERM does what it did; what that was, None where nothing can be done about it."""
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before != signal.SIG_DFL:
        return None

    def end(number: int, _: FrameType | None) -> None:
        leave()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, end)
    return signal.SIG_DFL


def _size(console: Console) -> tuple[int, int]:
    """Columns and lines as they are now; a shell may have put those of the start into the environment."""
    try:
        width, height = os.get_terminal_size(console.file.fileno())
    except (OSError, ValueError):  # no file of the system, or no terminal
        width = height = 0
    return width or console.width, height or console.height  # a terminal may not know either


class _Frame:
    """Every line of the terminal, drawn in its place: nothing scrolls, and what is not changed does not flicker.

    The last column stays empty, and no line is filled up with blanks: a terminal that is made narrower would wrap them.
    """

    def __init__(self, shown: RenderableType) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        width, height = _size(console)
        lines = console.render_lines(self._shown, options.update(width=max(1, width - 1), height=height), pad=False)
        for row in range(height):
            yield Control.move_to(0, row).segment
            yield from lines[row] if row < len(lines) else ()
            yield Control((ControlType.ERASE_IN_LINE, 0)).segment


class RichDisplay(Display):
    """The panel on a console: live where that is a terminal, its end alone elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._panel = Panel(Watch())
        self._frame = _Frame(self._panel)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._before: signal.Handlers | None = None
        self._real = sys.stderr
        self._said = _Said(self._panel, self._real)

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._real = self._said.rich_proxied_file = sys.stderr
            sys.stderr = self._said
            self._before = _on_termination(self._leave)
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)
            self._thread = threading.Thread(target=self._draw, name="autotts-display", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            # A terminal that was resized may move to its history what is on this screen.
            self._console.print(_Frame(Group()), end="", crop=False)
            self._console.set_alt_screen(False)
            self._console.show_cursor(True)
            sys.stderr = self._real
            if self._before is not None:
                signal.signal(signal.SIGTERM, self._before)
        self._console.print(self._panel.ending(self._console.width))
        if self._said.text:
            self._real.write(self._said.text)

    def __call__(self, event: Event) -> None:
        """Take an event; it is seen at the next drawing."""
        self._panel(event)

    def _leave(self) -> None:
        """Give the terminal back at once, whatever holds the console."""
        os.write(self._console.file.fileno(), b"\x1b[?1049l\x1b[?25h")

    def _draw(self) -> None:
        while not self._over.wait(PAUSE):
            self._console.print(self._frame, end="", crop=False)
