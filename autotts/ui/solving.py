"""What a person sees while a question is answered: branches that grow on a terminal, a line a wave elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autotts.live.source import Step, Watch
from autotts.replay import UNPARSED
from autotts.sandbox.text import printable
from autotts.ui.progress import Mode, clip, clock, one_line

__all__ = ["Board", "solving", "votes_text"]

BAR = 30
ANSWER = 40
OTHER_LINES = 6
"""Lines of the screen that are no branches."""

STYLES = {"running": "cyan", "finished": "green", "pruned": "dim"}


@dataclass
class Row:
    """One branch, see `Step`; its state is running, finished or pruned."""

    depth: int = 0
    tokens: int = 0
    answer: str | None = None
    state: str = "running"


@dataclass
class Board:
    """All branches of an episode, as its steps tell.

    Attributes:
        interval: Δ in tokens.
        spent: tokens of the episode.
        rows: the branches.
    """

    interval: int
    spent: int = 0
    rows: list[Row] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Take a step."""
        while len(self.rows) <= step.branch:
            self.rows.append(Row())
        row = self.rows[step.branch]
        row.depth, row.tokens = step.depth, step.tokens
        self.spent = max(self.spent, step.spent)
        if step.what in STYLES:
            row.state = step.what
        if step.answer is not None:
            row.answer = step.answer

    @property
    def votes(self) -> dict[str, int]:
        """Answer → branches that gave it last, the most first."""
        answers = [row.answer for row in list(self.rows) if row.answer not in (None, UNPARSED)]
        return dict(Counter(answer for answer in answers if answer is not None).most_common())

    def count(self, state: str) -> int:
        """Branches in a state."""
        return sum(row.state == state for row in list(self.rows))


def votes_text(votes: dict[str, int], most: int = 5) -> str:
    """The first answers of a vote in a line."""
    shown = [f"{clip(printable(answer), ANSWER)} × {count}" for answer, count in list(votes.items())[:most]]
    return ", ".join(shown + ["…"] * (len(votes) > most)) or "none yet"


@contextmanager
def solving(mode: Mode | None, console: Console, title: str, interval: int) -> Iterator[Watch | None]:
    """Something to be told the steps of an episode, None where nothing is shown.

    Args:
        mode: None for the branches on a terminal, and lines elsewhere.
        console: to write on.
        title: what is solved, and how.
        interval: Δ in tokens.
    """
    chosen = mode or ("rich" if console.is_terminal and not console.is_dumb_terminal else "plain")
    board = Board(interval)
    if chosen == "none":
        yield None
    elif chosen == "plain":
        console.print(Text(printable(title)), soft_wrap=True)
        lines = _Lines(board, lambda line: console.print(Text(line), soft_wrap=True))
        yield lines.told
        lines.flush()
    else:
        began = time.monotonic()

        def drawn() -> RenderableType:
            return _panel(board, title, time.monotonic() - began, max(3, console.height - OTHER_LINES))

        with Live(get_renderable=drawn, console=console, refresh_per_second=8):
            yield board.add


class _Lines:
    """A line a wave, written when the next one begins, and the last one at the end."""

    def __init__(self, board: Board, write: Callable[[str], None]) -> None:
        self._board, self._write = board, write
        self._wave = 0
        self._done: dict[str, int] = {}

    def told(self, step: Step) -> None:
        """Take a step."""
        if step.what == "grown":
            return
        if step.wave != self._wave:
            self.flush()
            self._wave = step.wave
        self._done[step.what] = self._done.get(step.what, 0) + 1
        self._board.add(step)

    def flush(self) -> None:
        """Write what was done in the wave."""
        if self._done:
            done = ", ".join(f"{count} {what}" for what, count in self._done.items())
            self._write(f"  {done:<24} {self._board.spent:>10,} tokens   votes: {votes_text(self._board.votes)}")
            self._done = {}


def _panel(board: Board, title: str, seconds: float, room: int) -> RenderableType:
    """The branches, those that run first where there is no room for all."""
    rows = list(enumerate(list(board.rows)))
    left_out = max(0, len(rows) - room)
    if left_out:
        kept = sorted(rows, key=lambda pair: list(STYLES).index(pair[1].state))[:room]
        rows = sorted(kept, key=lambda pair: pair[0])
    table = Table.grid(padding=(0, 1))
    for justify in ("right", "left", "right", "left", "left"):
        table.add_column(justify="right" if justify == "right" else "left", no_wrap=True)
    longest = max((row.tokens for _, row in rows), default=0)
    unit = max(1, -(-longest // (BAR * board.interval))) * board.interval  # tokens that a cell of a bar stands for
    for number, row in rows:
        style = STYLES[row.state]
        paid = min(row.tokens, row.depth * board.interval) if row.state != "finished" else row.tokens
        cells, ahead = -(-paid // unit), -(-row.tokens // unit)
        bar = Text("━" * cells, style=style) + Text("╌" * max(0, ahead - cells), style="dim")
        bar.append(" " * (BAR - len(bar)))
        mark = "" if row.state == "running" else row.state
        answer = "" if row.answer is None else clip(row.answer, ANSWER)
        table.add_row(Text(str(number), "dim"), bar, f"{row.tokens:,}", Text(mark, style), one_line(answer, "bold"))
    parts: list[RenderableType] = [one_line(title, "bold"), table]
    if left_out:
        parts.append(Text(f"… and {left_out} branches more", "dim"))
    parts += [one_line(f"votes  {votes_text(board.votes)}"), one_line(_figures(board, seconds))]
    return Group(*parts)


def _figures(board: Board, seconds: float) -> str:
    states = ", ".join(f"{board.count(state)} {state}" for state in STYLES)
    return f"{board.spent:,} tokens, {states}, {clock(seconds)}"
