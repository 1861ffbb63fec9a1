"""Accuracy against tokens: where all programs are, the baselines, and the front; who holds which stretch of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import Static

from autotts.archive import LedgerEntry, Point, front, stretches
from autotts.ui.browser.cloud import Cloud, cloud
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.plot import HUES, MARKS, CurvePlot, Series, legend, short
from autotts.ui.browser.view import Exported, View, plain

__all__ = ["FrontView"]

COLUMNS = (
    Column("program", "program", 14),
    Column("holds", "holds, tokens", 15),
    Column("beta", "β", 5, True),
    Column("accuracy", "acc %", 6, True),
    Column("tokens", "tokens", 9, True),
    Column("sequential", "sequential", 10, True),
)
SEARCH, SEQUENTIAL = "search", "sequential"
AGAIN = 1.05
"""All points are read again when a run has so many times the candidates that it had."""


class PointRows:
    """Points of curves, by rising tokens."""

    def __init__(self, points: Sequence[Point], names: dict[str, str], held: dict[int, str]) -> None:
        self.points = points
        self._names = names
        self._held = held

    def __len__(self) -> int:
        return len(self.points)

    def key(self, row: int) -> str:
        """Program and β."""
        return f"{self.points[row].id}@{self.points[row].beta:g}"

    def tone(self, row: int) -> str:
        """All are alike."""
        return ""

    def cells(self, row: int) -> Sequence[str]:
        """One text a column; a stretch is named in its first row."""
        p = self.points[row]
        name = self._names.get(p.id, p.id[:10])
        figures = f"{p.beta:g}", f"{100 * p.accuracy:.2f}", f"{p.tokens:,.0f}", f"{p.sequential_tokens:,.0f}"
        return (plain(name).plain, self._held.get(row, ""), *figures)


class FrontView(View):
    """The front of the run that is looked at."""

    place = "Front"

    DEFAULT_CSS = """
    FrontView > #parts { layout: vertical; height: 1fr; }
    FrontView.wide > #parts { layout: horizontal; }
    FrontView #picture { height: 1fr; width: 1fr; }
    FrontView #legend-line { height: 1; padding: 0 1; }
    FrontView #points { height: 7; }
    FrontView.wide #points { height: 1fr; width: 78; }
    FrontView > #detail { height: 1; padding: 0 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "along(-1)", "Point to the left", show=False, priority=True),
        Binding("right", "along(1)", "Point to the right", show=False, priority=True),
        Binding("v", "next_view", "Tokens, sequential tokens, held out"),
        Binding("space", "mark", "Mark", show=False),
        Binding("c", "compare", "Compare"),
        Binding("o", "episodes", "Episodes"),
        Binding("0", "whole", "The whole picture, after zooming", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._mode = SEARCH
        self._run = ""
        self._baselines: dict[str, list[Point]] = {}
        self._names: dict[str, str] = {}
        self._cloud: Cloud | None = None
        self._known = -1
        self._ledger: list[LedgerEntry] = []

    def compose_body(self) -> ComposeResult:
        """The picture, and the points of the front."""
        with Container(id="parts"):
            with Vertical(id="picture"):
                yield CurvePlot()
                yield Static(id="legend-line")
            yield Grid(COLUMNS, id="points")
        yield Static(id="detail")

    def where(self) -> str:
        """Which axis is shown."""
        return {SEARCH: "tokens", SEQUENTIAL: "sequential tokens"}.get(self._mode, f"held out: {self._mode}")

    def on_mount(self) -> None:
        """Draw with the colours of another theme when it is chosen."""
        self.watch(self.app, "theme", self.redraw, init=False)

    def on_resize(self) -> None:
        """Beside each other where there is room for it."""
        self.set_class(self.size.width >= 130, "wide")
        super().on_resize()

    # ---- what is read ------------------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Read the run's points."""
        if self._run != self.browser.run_name:
            self._run, self._mode, self._known = self.browser.run_name, SEARCH, -1
            self._baselines, self._names, self._cloud, self._ledger = {}, {}, None, []
            self.query_one(Grid).marked.clear()
            self.query_one(Grid).cursor = 0
        self.query_one(Grid).focus()
        self.on_news()

    def on_news(self) -> None:
        """Draw the front anew, and read the points of all programs again where there are many more."""
        counts = self.browser.run_counts()
        if (
            counts
            and not self.is_finding("points")
            and (self._known < 0 or counts.candidates > AGAIN * self._known + 1)
        ):
            self._known = counts.candidates
            self.find(self._read, self._has_read, "reading all points", group="points")
        self.redraw()

    def _read(self) -> tuple[dict[str, list[Point]], Cloud, list[LedgerEntry]]:
        desk, run = self.browser.desk, self._run
        baselines = desk.figures(run).baselines
        curves = {name: desk.archive.points(run, hash) for name, hash in baselines.items()}
        return curves, cloud(desk.archive.each_point(run)), desk.archive.ledger()

    def _has_read(self, found: tuple[dict[str, list[Point]], Cloud, list[LedgerEntry]]) -> None:
        self._baselines, self._cloud, self._ledger = found
        self._names = {points[0].id: name for name, points in self._baselines.items() if points}
        self.redraw()

    @property
    def modes(self) -> list[str]:
        """Search, sequential, and each held-out environment that a program of this archive was scored on."""
        return [SEARCH, SEQUENTIAL, *dict.fromkeys(entry.environment_name for entry in self._ledger)]

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def points(self) -> list[Point]:
        """The points that can be chosen: of the front, in this view."""
        if self._mode == SEARCH:
            return self.browser.front
        if self._mode == SEQUENTIAL:
            return list(self._cloud.sequential_front) if self._cloud else []
        return front(point for points in self._scored().values() for point in points)

    def _scored(self) -> dict[str, list[Point]]:
        """Program → its points at its last look at the held-out environment that is shown."""
        scored: dict[str, list[Point]] = {}
        for entry in self._ledger:
            if entry.environment_name == self._mode:
                scored[entry.program] = [
                    Point(entry.program, r.beta, r.tokens, r.accuracy, r.sequential_tokens) for r in entry.rows
                ]
        return scored

    def _spent(self, point: Point) -> float:
        return point.sequential_tokens if self._mode == SEQUENTIAL else point.tokens

    def _series(self) -> list[Series]:
        heldout = self._mode not in (SEARCH, SEQUENTIAL)
        series = []
        if self._cloud and not heldout:
            dots = self._cloud.sequential if self._mode == SEQUENTIAL else self._cloud.tokens
            name = f"{self._cloud.programs:,} programs"
            series.append(Series(name, [t for t, _ in dots], [a for _, a in dots], hue="foreground-darken-3"))
        named = self._baselines
        if heldout:
            named = {self._names.get(id, id[:10]): points for id, points in self._scored().items()}
        for k, (name, points) in enumerate(named.items()):
            mark, hue = MARKS[k % len(MARKS)], HUES[k % len(HUES)]
            series.append(self._curve(name, points, mark, hue, joined=True))
        return [*series, self._curve("front", self.points(), "●", "primary", joined=True)]

    def _curve(self, name: str, points: Sequence[Point], mark: str, hue: str, joined: bool) -> Series:
        return Series(name, [self._spent(p) for p in points], [100 * p.accuracy for p in points], mark, hue, joined)

    def redraw(self) -> None:
        """Draw everything anew, the cursor on the same point."""
        grid, points = self.query_one(Grid), self.points()
        held = {}
        at = {(p.id, p.beta): k for k, p in enumerate(points)}
        turned = [Point(p.id, p.beta, self._spent(p), p.accuracy) for p in points]
        for stretch in stretches(turned):
            high = "" if math.isinf(stretch.high) else short(stretch.high)
            held[at[stretch.id, stretch.betas[0]]] = f"{short(stretch.low)} … {high}"
        rows, key = PointRows(points, self._names, held), grid.key
        keys = [rows.key(k) for k in range(len(rows))]
        grid.show(rows, keys.index(key) if key in keys else None)
        self._draw_picture()
        self.draw_bar()

    def _draw_picture(self) -> None:
        point, plot, series = self.chosen(), self.query_one(CurvePlot), self._series()
        plot.draw(series, (self._spent(point), 100 * point.accuracy) if point else None)
        self.query_one("#legend-line", Static).update(legend(series, plot.colours()))
        self.query_one("#detail", Static).update(plain(self._told(point)))

    def _told(self, point: Point | None) -> str:
        if point is None:
            return "no program is confirmed yet"
        program = f"{self._names.get(point.id, point.id[:10])} at β {point.beta:g}"
        idea = self.browser.columns.idea_of(point.id)
        return f"{program}: {100 * point.accuracy:.2f} % at {point.tokens:,.0f} tokens. {idea}"

    def chosen(self) -> Point | None:
        """The point that the cursor is on."""
        rows, cursor = self.query_one(Grid).rows, self.query_one(Grid).cursor
        return rows.points[cursor] if isinstance(rows, PointRows) and len(rows) else None

    # ---- what keys and the mouse do ----------------------------------------------------------------------------------

    @on(Grid.Moved)
    def moved(self) -> None:
        """Another point."""
        self._draw_picture()

    @on(CurvePlot.Picked)
    def picked(self, event: CurvePlot.Picked) -> None:
        """The point of the front that is nearest to where was clicked."""
        points = self.points()
        if points:
            away = [
                math.hypot(math.log10(max(self._spent(p), 1) / event.tokens), p.accuracy - event.accuracy / 100)
                for p in points
            ]
            self.query_one(Grid).cursor = away.index(min(away))

    @on(Grid.Chosen)
    def open(self) -> None:
        """Show the program."""
        if point := self.chosen():
            self.browser.open_program(point.id)

    def action_along(self, by: int) -> None:
        """The next point of the front."""
        self.query_one(Grid).cursor += by

    def action_next_view(self) -> None:
        """Tokens, sequential tokens, each held-out environment."""
        modes = self.modes
        self._mode = modes[(modes.index(self._mode) + 1) % len(modes)] if self._mode in modes else SEARCH
        self.query_one(CurvePlot).action_reset_scales()
        self.redraw()
        if len(modes) == 2 and self._mode == SEARCH:
            self.app.notify("nothing of this archive was scored on held-out data: autotts score", markup=False)

    def action_whole(self) -> None:
        """Back to the whole picture."""
        self.query_one(CurvePlot).action_reset_scales()

    def action_mark(self) -> None:
        """Mark a point's program."""
        self.query_one(Grid).toggle_mark()

    def action_compare(self) -> None:
        """Compare the programs of two marked points, or of the one that is chosen with the reference."""
        grid = self.query_one(Grid)
        marked = [p.id for k, p in enumerate(self.points()) if grid.rows.key(k) in grid.marked]
        own = [point.id] if (point := self.chosen()) else []
        self.browser.compare(list(dict.fromkeys(marked)) or own)

    def action_episodes(self) -> None:
        """What the program did, episode by episode."""
        if point := self.chosen():
            self.browser.show_episodes([point.id])

    def exported(self) -> Exported:
        """The points of every named curve and of the front that are shown."""
        curves = self._scored() if self._mode not in (SEARCH, SEQUENTIAL) else self._baselines
        named = [(self._names.get(name, name[:10]), points) for name, points in curves.items()]
        rows = [
            (name, p.id, p.beta, p.accuracy, p.tokens, p.sequential_tokens)
            for name, points in [*named, ("front", self.points())]
            for p in points
        ]
        columns = ("curve", "program", "beta", "accuracy", "tokens", "sequential_tokens")
        return Exported("front", columns, rows)
