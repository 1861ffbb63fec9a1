"""Accuracy against tokens: where all programs are, the baselines, and the front; who holds which stretch of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import Static
from textual.worker import get_current_worker

from autotts.archive import LedgerEntry, Point, RunCounts, front, stretches
from autotts.ui.browser.cloud import Cloud, cloud
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.plot import HUES, MARKS, CurvePlot, Series, legend
from autotts.ui.browser.view import Exported, View, plain
from autotts.ui.plot import short_tokens
from autotts.ui.report import look_lines

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
SPENT = {SEARCH: "tokens", SEQUENTIAL: "sequential tokens"}
AGAIN = 1.05
"""All points of a run that goes on are read again when it has so many times the candidates that it had."""


@dataclass(frozen=True)
class _Beside:
    """What stands beside the front.

    Attributes:
        baselines: their points, by name.
        names: of baselines, by hash.
        ledger: every look at held-out data.
        looks: what is said of them, by environment.
    """

    baselines: dict[str, list[Point]]
    names: dict[str, str]
    ledger: list[LedgerEntry]
    looks: dict[str, str]


NOTHING = _Beside({}, {}, [], {})


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
    FrontView #legend-line { height: auto; max-height: 3; padding: 0 1; }
    FrontView #points { height: 7; }
    FrontView.wide #points { height: 1fr; width: 78; }
    FrontView > #detail { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    FrontView.wide > #detail { height: 2; text-wrap: wrap; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "along(-1)", "Point to the left", show=False, priority=True),
        Binding("right", "along(1)", "Point to the right", show=False, priority=True),
        Binding("v", "next_view", "View", tooltip="Tokens, sequential tokens, each held-out environment"),
        Binding("space", "mark", "Mark", tooltip="Mark a point's program, to compare two"),
        Binding("u", "unmark", "Take all marks away", show=False),
        Binding("c", "compare", "Compare", tooltip="Compare the two marked programs, or this one with the reference"),
        Binding("o", "episodes", "Episodes", tooltip="Episodes of the program"),
        Binding("0", "whole", "The whole picture, after zooming", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._mode = SEARCH
        self._run = ""
        self._asked = ""
        self._beside = NOTHING
        self._cloud: Cloud | None = None
        self._candidates = -1
        self._series: list[Series] = []

    def compose_body(self) -> ComposeResult:
        """The picture, and the points of the front."""
        with Container(id="parts"):
            with Vertical(id="picture"):
                yield CurvePlot()
                yield Static(id="legend-line")
            yield Grid(COLUMNS, id="points")
        yield Static(id="detail")

    @property
    def _heldout(self) -> bool:
        return self._mode not in SPENT

    def where(self) -> str:
        """Which axis is shown."""
        return f"held out: {self._mode}" if self._heldout else SPENT[self._mode]

    def on_mount(self) -> None:
        """Draw with the colours of another theme when it is chosen."""
        self.watch(self.app, "theme", self.redraw, init=False)

    def on_resize(self) -> None:
        """Beside each other where there is room for it."""
        self.set_class(self.size.width >= 130, "wide")
        super().on_resize()
        self.call_after_refresh(self._draw_legend)

    # ---- what is read ------------------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Read what stands beside the front; somebody may have looked at held-out data meanwhile."""
        if self._run != self.browser.run_name:
            self._run, self._mode = self.browser.run_name, SEARCH
            self._beside, self._cloud, self._candidates = NOTHING, None, -1
            grid = self.query_one(Grid)
            grid.marked.clear()
            grid.cursor = 0
        if self._run:
            self.find(self._read_beside, self._has_read_beside, "reading the baselines", group="beside")
        self.query_one(Grid).focus()
        self.on_news()

    def on_news(self) -> None:
        """Draw the front anew, and read the points of all programs again where there are many more."""
        counts = self.browser.run_counts()
        # What is read of another run is not waited for.
        if counts and (self._asked != self._run or (self._is_behind(counts) and not self.is_finding("points"))):
            self._asked = self._run
            read = partial(self._read_points, self._run, counts.candidates)
            self.find(read, self._has_read_points, "reading all points", group="points")
        self.redraw()

    def _is_behind(self, counts: RunCounts) -> bool:
        """Whether all points are to be read again: that takes seconds on a long run."""
        if self._cloud is None or counts.state != "running":
            return counts.candidates != self._candidates
        return counts.candidates > AGAIN * self._candidates

    def _is_reading(self) -> bool:
        # What was just found may be shown before its thread has ended.
        counts = self.browser.run_counts()
        return counts is not None and self._is_behind(counts) and self.is_finding("points")

    def _read_beside(self) -> _Beside:
        from autotts.search.report import looks_at

        archive, run = self.browser.desk.archive, self._run
        baselines = self.browser.desk.figures(run).baselines
        curves = {name: archive.points(run, hash) for name, hash in baselines.items()}
        looks = looks_at(archive)
        told = {look.environment: line for look, line in zip(looks, look_lines(looks), strict=True)}
        return _Beside(curves, {hash: name for name, hash in baselines.items()}, archive.ledger(), told)

    def _has_read_beside(self, beside: _Beside) -> None:
        self._beside = beside
        self.redraw()

    def _read_points(self, run: str, candidates: int) -> tuple[int, Cloud]:
        worker = get_current_worker()
        points = self.browser.desk.archive.each_point(run)
        return candidates, cloud(takewhile(lambda _: not worker.is_cancelled, points))

    def _has_read_points(self, found: tuple[int, Cloud]) -> None:
        self._candidates, self._cloud = found
        self.redraw()

    @property
    def modes(self) -> list[str]:
        """Search, sequential, and each held-out environment that a program of this archive was scored on."""
        return [*SPENT, *self._beside.looks]

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def points(self) -> list[Point]:
        """The points that can be chosen: of the front, in this view."""
        if self._mode == SEARCH:
            return self.browser.front
        if self._mode == SEQUENTIAL:
            return list(self._cloud.sequential_front) if self._cloud else []
        return front(point for points in self._scored().values() for point in points)

    def _scored(self) -> dict[str, list[Point]]:
        """Program → its points at its last look at the held-out environment that is shown; baselines first."""
        scored: dict[str, list[Point]] = {}
        for entry in self._beside.ledger:
            if entry.environment_name == self._mode:
                scored[entry.program] = [
                    Point(entry.program, r.beta, r.tokens, r.accuracy, r.sequential_tokens) for r in entry.rows
                ]
        return dict(sorted(scored.items(), key=lambda item: item[0] not in self._beside.names))

    def _curves(self) -> dict[str, list[Point]]:
        """The curves that have names."""
        if not self._heldout:
            return self._beside.baselines
        return {self._called(hash): points for hash, points in self._scored().items()}

    def _called(self, hash: str) -> str:
        return self._beside.names.get(hash, hash[:10])

    def _spent(self, point: Point) -> float:
        return point.sequential_tokens if self._mode == SEQUENTIAL else point.tokens

    def _all_series(self) -> list[Series]:
        """Dots, curves, and the front on top."""
        curves = list(self._curves().items())
        named, others = curves[: len(MARKS)], [point for _, points in curves[len(MARKS) :] for point in points]
        dots = [(self._spent(p), 100 * p.accuracy) for p in others]
        told = f"{len(curves) - len(named)} more"
        if self._cloud and not self._heldout:
            dots += self._cloud.sequential if self._mode == SEQUENTIAL else self._cloud.tokens
            told = f"{self._cloud.programs:,} program{'' if self._cloud.programs == 1 else 's'}"
        series = [Series(told, [t for t, _ in dots], [a for _, a in dots], hue="foreground-disabled")] if dots else []
        for k, (name, points) in enumerate(named):
            series.append(self._curve(name, points, MARKS[k], HUES[k % len(HUES)]))
        return [*series, self._curve("front", self.points(), "●", "primary")]

    def _curve(self, name: str, points: Sequence[Point], mark: str, hue: str) -> Series:
        tokens, accuracy = [self._spent(p) for p in points], [100 * p.accuracy for p in points]
        return Series(name, tokens, accuracy, mark, hue, joined=True)

    def redraw(self) -> None:
        """Draw everything anew, the cursor on the same point."""
        grid, points = self.query_one(Grid), self.points()
        held = {}
        at = {(p.id, p.beta): k for k, p in enumerate(points)}
        turned = [Point(p.id, p.beta, self._spent(p), p.accuracy) for p in points]
        for stretch in stretches(turned):
            high = "" if math.isinf(stretch.high) else short_tokens(stretch.high)
            held[at[stretch.id, stretch.betas[0]]] = f"{short_tokens(stretch.low)} … {high}"
        rows, key = PointRows(points, self._beside.names, held), grid.key
        keys = [rows.key(k) for k in range(len(rows))]
        self._series = self._all_series()
        grid.show(rows, keys.index(key) if key in keys else None)
        self._draw_picture()
        self._draw_legend()
        self.draw_bar()
        reading = "reading the run" if self.browser.loading else "reading all points" if self._is_reading() else ""
        self.say(reading or self._beside.looks.get(self._mode, ""))

    def _draw_picture(self) -> None:
        point, plot = self.chosen(), self.query_one(CurvePlot)
        plot.draw(self._series, (self._spent(point), 100 * point.accuracy) if point else None)
        self.query_one("#detail", Static).update(plain(self._told(point)), layout=False)

    def _draw_legend(self) -> None:
        title = f"accuracy % over {'held-out tokens' if self._heldout else SPENT[self._mode]}"
        line, colours = self.query_one("#legend-line", Static), self.query_one(CurvePlot).colours()
        line.update(legend(self._series, colours, max(line.content_size.width, 40), title))

    def _told(self, point: Point | None) -> str:
        if point is None:
            return "" if self.browser.loading or self._is_reading() else "no program is confirmed yet"
        idea = self.browser.columns.idea_of(point.id)
        return (
            f"{self._called(point.id)} at β {point.beta:g}: {100 * point.accuracy:.2f} %, {point.tokens:,.0f} tokens, "
            f"{point.sequential_tokens:,.0f} sequential. {idea}"
        )

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
        nearest = event.nearest([(self._spent(p), 100 * p.accuracy) for p in self.points()])
        if nearest is not None:
            self.query_one(Grid).cursor = nearest

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
        if modes == [*SPENT] and self._mode == SEARCH:
            self.app.notify("nothing of this archive was scored on held-out data: autotts score", markup=False)

    def action_whole(self) -> None:
        """Back to the whole picture."""
        self.query_one(CurvePlot).action_reset_scales()

    def action_mark(self) -> None:
        """Mark a point's program."""
        self.query_one(Grid).toggle_mark()

    def action_unmark(self) -> None:
        """Take all marks away."""
        grid = self.query_one(Grid)
        grid.marked.clear()
        grid.refresh()

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
        """The points of every named curve and of the front that are shown, accuracy in percent."""
        rows = [
            (name, p.id, p.beta, 100 * p.accuracy, p.tokens, p.sequential_tokens)
            for name, points in [*self._curves().items(), ("front", self.points())]
            for p in points
        ]
        columns = ("curve", "program", "beta", "accuracy", "tokens", "sequential_tokens")
        return Exported("front", columns, rows)
