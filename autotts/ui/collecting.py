"""What a person sees while branches are recorded: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from autotts.live.collect import Tally
from autotts.ui.progress import Mode, clock

__all__ = ["collecting"]

PLAIN_SECONDS, RICH_SECONDS = 10.0, 0.2
"""Between two lines, and between two drawings."""

Show = Callable[[Tally], None]


@contextmanager
def collecting(mode: Mode | None, console: Console) -> Iterator[Show]:
    """A function to be told how far it is, which may be called often.

    Args:
        mode: None for bars on a terminal and lines elsewhere.
        console: to write on.
    """
    chosen = mode or ("rich" if console.is_terminal and not console.is_dumb_terminal else "plain")
    if chosen == "none":
        yield lambda tally: None
    elif chosen == "plain":
        last: list[Tally] = []
        shown = _seldom(lambda tally: console.print(Text(_line(tally)), soft_wrap=True), PLAIN_SECONDS, last)
        yield shown
        if last:
            console.print(Text(_line(last[0])), soft_wrap=True)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[more]}"),
        )
        with Progress(*columns, console=console, auto_refresh=False) as progress:
            branches = progress.add_task("branches", total=None, more="")
            probes = progress.add_task("probes", total=None, more="")
            last = []

            def draw(tally: Tally) -> None:
                progress.update(branches, completed=tally.branches, total=tally.all_branches, more=_pace(tally))
                progress.update(probes, completed=tally.probes, total=tally.known_probes, more="of finished branches")
                progress.refresh()

            yield _seldom(draw, RICH_SECONDS, last)
            if last:
                draw(last[0])


def _seldom(show: Show, seconds: float, last: list[Tally]) -> Show:
    """Shows at most every so many seconds; the last tally is kept."""
    due = time.monotonic()

    def told(tally: Tally) -> None:
        nonlocal due
        last[:] = [tally]
        if time.monotonic() >= due:
            show(tally)
            due = time.monotonic() + seconds

    return told


def _line(tally: Tally) -> str:
    return (
        f"branches {tally.branches:,} of {tally.all_branches:,}, probes {tally.probes:,} of {tally.known_probes:,}, "
        f"{_pace(tally)}"
    )


def _pace(tally: Tally) -> str:
    spent = time.monotonic() - tally.began
    cost = "" if tally.cost is None else f", at most ${tally.cost:,.4f}"
    left = tally.seconds_left
    return f"{tally.tokens / max(spent, 1e-9):,.0f} tokens/s{'' if left is None else f', {clock(left)} left'}{cost}"
