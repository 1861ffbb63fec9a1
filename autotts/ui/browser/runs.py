"""The runs of an archive: how far each has come, and what it has found."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult

from autotts.archive import RunCounts
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.view import Exported, View, plain
from autotts.ui.progress import gain_text

__all__ = ["RunsView"]

COLUMNS = (
    Column("run", "run", 14),
    Column("state", "state", 12),
    Column("rounds", "rounds", 7, True),
    Column("candidates", "candidates", 10, True),
    Column("rejects", "rejects", 7, True),
    Column("front", "front", 5, True),
    Column("best", "best gain ± se", 14, True),
    Column("cost", "cost", 9, True),
    Column("tokens", "model tokens", 12, True),
    Column("time", "time", 9, True),
    Column("left", "left", 9, True),
    Column("agents", "agents", 24),
)


class RunRows:
    """Runs as a grid shows them."""

    def __init__(self, counts: Sequence[RunCounts], states: Sequence[str]) -> None:
        self._counts = counts
        self._states = states

    def __len__(self) -> int:
        return len(self._counts)

    def key(self, row: int) -> str:
        """Its name."""
        return self._counts[row].name

    def tone(self, row: int) -> str:
        """A run that somebody is at stands out."""
        return "good" if self._states[row] == "running" else ""

    def cells(self, row: int) -> Sequence[str]:
        """One text a column."""
        one = self._counts[row]
        rejects = one.candidates - one.outcomes.get("ok", 0)
        cost = f"${one.cost:,.2f}" + ("+?" if one.unpriced else "") if one.tokens else "–"
        return (
            plain(one.name).plain,
            self._states[row],
            f"{max(0, one.last_round)}/{one.rounds if one.rounds is not None else '?'}",
            f"{one.candidates:,}",
            f"{rejects:,}",
            f"{one.front:,}",
            gain_text(one.best_gain, one.best_gain_se),
            cost,
            f"{one.tokens:,}" if one.tokens else "–",
            clock(one.seconds),
            clock(seconds_left(one)) if self._states[row] == "running" else "–",
            plain(", ".join(one.agents)).plain,
        )


def clock(seconds: float | None) -> str:
    """A time as people read it."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def seconds_left(counts: RunCounts) -> float | None:
    """The time that the rounds to come take, if they take as long as those before; None before the first."""
    done = max(0, counts.last_round)
    if not done or counts.rounds is None or not counts.seconds:
        return None
    return max(0.0, counts.seconds / done * (counts.rounds - done))


class RunsView(View):
    """Every run; Enter looks at one."""

    place = "Runs"

    def compose_body(self) -> ComposeResult:
        """The table."""
        yield Grid(COLUMNS, id="runs")

    def on_open(self) -> None:
        """Show what is known."""
        self.on_news()
        self.query_one(Grid).focus()

    def on_news(self) -> None:
        """Show the runs anew, the cursor on the same one."""
        grid = self.query_one(Grid)
        counts = self.browser.counts
        states = [self.browser.desk.state(one) for one in counts]
        names = [one.name for one in counts]
        key = grid.key or self.browser.run_name
        grid.show(RunRows(counts, states), names.index(key) if key in names else None)

    @on(Grid.Chosen)
    def look(self, event: Grid.Chosen) -> None:
        """Look at a run's programs."""
        self.browser.look_at(event.key)
        self.app.switch_mode("programs")

    def exported(self) -> Exported:
        """The runs."""
        rows = self.query_one(Grid).rows
        return Exported("runs", tuple(c.title for c in COLUMNS), [rows.cells(k) for k in range(len(rows))])
