"""The runs of an archive: how far each has come, and what it has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from textual import on
from textual.app import ComposeResult

from autotts.archive import RunCounts
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.view import Exported, Value, View, plain
from autotts.ui.progress import clock, gain_text

__all__ = ["RunsView"]

COLUMNS = (
    Column("run", "run", 14),
    Column("state", "state", 12),
    Column("rounds", "rounds", 7, True),
    Column("candidates", "candidates", 10, True),
    Column("rejects", "rejects", 7, True),
    Column("front", "front", 5, True),
    Column("best", "best gain ± se", 14, True),
    Column("hypervolume", "hypervolume", 11, True),
    Column("grew", "as it grew", 16),
    Column("cost", "cost", 9, True),
    Column("tokens", "model tokens", 12, True),
    Column("time", "time", 9, True),
    Column("left", "left", 9, True),
    Column("agents", "agents", 24),
)

EXPORTED = (
    "run", "state", "round", "rounds", "candidates", "rejects", "front", "gain", "se", "hypervolume", "cost",
    "unpriced_calls", "tokens", "seconds", "seconds_left", "agents",
)  # fmt: skip

GREW = 16
BARS = "▁▂▃▄▅▆▇█"
AGAIN = 1.05
"""Hypervolumes are computed again when a run has so many times the candidates that it had."""


class RunRows:
    """Runs as a grid shows them."""

    def __init__(
        self, counts: Sequence[RunCounts], states: Sequence[str], grown: Mapping[str, Sequence[float]]
    ) -> None:
        self._counts = counts
        self._states = states
        self._grown = grown

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
        grown = self._grown.get(one.name, ())
        cost = f"${one.cost:,.2f}" + ("+?" if one.unpriced else "") if one.tokens else "–"
        return (
            plain(one.name).plain,
            self._states[row],
            f"{max(0, one.last_round)}/{one.rounds if one.rounds is not None else '?'}",
            f"{one.candidates:,}",
            f"{rejects(one):,}",
            f"{one.front:,}",
            gain_text(one.best_gain, one.best_gain_se),
            f"{grown[-1]:.4f}" if grown else "–",
            sparkline(grown, GREW),
            cost,
            f"{one.tokens:,}" if one.tokens else "–",
            clock(one.seconds),
            clock(seconds_left(one)) if self._states[row] == "running" else "–",
            plain(", ".join(one.agents)).plain,
        )

    def values(self, row: int) -> Sequence[Value]:
        """One value a column of an export."""
        one, running = self._counts[row], self._states[row] == "running"
        grown = self._grown.get(one.name, ())
        gain, se = (None if figure is None else 100 * figure for figure in (one.best_gain, one.best_gain_se))
        return (
            *(one.name, self._states[row], max(0, one.last_round), one.rounds),
            *(one.candidates, rejects(one), one.front, gain, se, grown[-1] if grown else None),
            *(one.cost, one.unpriced, one.tokens, one.seconds, seconds_left(one) if running else None),
            ", ".join(one.agents),
        )


def rejects(counts: RunCounts) -> int:
    """Candidates that did not run to the end."""
    return counts.candidates - counts.outcomes.get("ok", 0)


def sparkline(values: Sequence[float], width: int) -> str:
    """Figures as a row of bars, from the least to the greatest of them; "" of fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    picked = [values[round(k * (len(values) - 1) / (width - 1))] for k in range(width)]
    return "".join(BARS[round((v - low) / (high - low) * (len(BARS) - 1)) if high > low else 0] for v in picked)


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

    def __init__(self) -> None:
        super().__init__()
        self._grown: dict[str, tuple[int, list[float]]] = {}

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
        grown = {name: values for name, (_, values) in self._grown.items()}
        grid.show(RunRows(counts, states, grown), names.index(key) if key in names else None)
        self._grow()

    def _grow(self) -> None:
        """Compute the hypervolumes of one run whose figures are old, the last run first; in the background."""
        old = [one for one in reversed(self.browser.counts) if self._is_old(one)]
        if not old or self.is_finding("grow"):
            return
        one, desk = old[0], self.browser.desk
        self.find(lambda: desk.hypervolumes(one.name, GREW), partial(self._has_grown, one), "", group="grow")

    def _is_old(self, one: RunCounts) -> bool:
        known = self._grown.get(one.name, (-1, []))[0]
        done = one.state == "done" and known != one.candidates
        return one.last_round > 0 and (known < 0 or done or one.candidates > AGAIN * known + 1)

    def _has_grown(self, one: RunCounts, values: list[float]) -> None:
        self._grown[one.name] = one.candidates, values
        self.on_news()

    @on(Grid.Chosen)
    def look(self, event: Grid.Chosen) -> None:
        """Look at a run's programs."""
        self.browser.look_at(event.key)
        self.app.switch_mode("programs")

    def exported(self) -> Exported:
        """The runs, figures not rounded; gains in points, times in seconds."""
        rows = self.query_one(Grid).rows
        return Exported(
            "runs", EXPORTED, [rows.values(k) for k in range(len(rows))] if isinstance(rows, RunRows) else []
        )
