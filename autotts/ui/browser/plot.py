"""Curves of accuracy against tokens in the terminal: tokens on a log scale, accuracy in percent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.text import Text
from textual import events
from textual.color import Color
from textual.message import Message
from textual_plot import HiResMode, PlotWidget
from textual_plot.axis_formatter import AxisFormatter

from autotts.sandbox.text import printable
from autotts.ui.plot import short_tokens

__all__ = ["CurvePlot", "Series", "legend"]

Floats = npt.NDArray[np.float64]

TALL = 2
"""Times that a cell is as high as wide."""

ROOM = 0.02
"""Beyond the outermost points, as a share of an axis."""

GAP = "   "
"""Between the names of a legend."""

MARKS = "ox+#%&@"
"""Of named curves, in turn; colours come beside them."""

HUES = ("warning", "text-success", "text-error", "foreground", "text-secondary", "text-primary")


@dataclass(frozen=True)
class Series:
    """What is drawn together.

    Attributes:
        name: in the legend; "" for what is not named.
        tokens, accuracy: of the points; accuracy in percent.
        mark: a character, "" for faint dots.
        hue: a variable of the theme.
        joined: whether a line goes through the points.
    """

    name: str
    tokens: Sequence[float]
    accuracy: Sequence[float]
    mark: str = ""
    hue: str = "foreground"
    joined: bool = False


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, as many as fit; of what is almost one number the middle."""
    if high - low < 1e-3:
        return [(low + high) / 2]
    power = math.floor(math.log10((high - low) / most))
    for step in (base * 10.0**at for at in range(power, power + 3) for base in (1, 2, 5)):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first < most:
            return [k * step for k in range(first, last + 1)]
    return []


class _Percent(AxisFormatter):
    """Ticks at round numbers, no more than the height has room for: crowded ones seem to stand unevenly."""

    most = 8

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Positions of round numbers."""
        return _round_numbers(min_, max_, self.most)

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """With at most four digits."""
        return [f"{tick:.4g}" for tick in ticks]


class _Tokens(AxisFormatter):
    """Ticks at round numbers of tokens, on an axis of decimal logarithms."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Positions of round numbers of tokens, evenly spaced ones where the axis is short."""
        for steps in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
            powers = range(math.floor(min_), math.ceil(max_) + 1)
            ticks = [p + math.log10(step) for p in powers for step in steps]
            found = [tick for tick in ticks if min_ <= tick <= max_]
            if len(found) < 3:
                return [math.log10(tick) for tick in _round_numbers(10**min_, 10**max_, max_ticks // 2)]
            if len(found) <= max_ticks:
                return found
        return found[:: math.ceil(len(found) / max_ticks)]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """In words."""
        return [short_tokens(10**tick) for tick in ticks]


def legend(series: Sequence[Series], colours: dict[str, str], width: int | None = None, title: str = "") -> Text:
    """The named series, in as many lines as they need.

    Args:
        series: see `CurvePlot.draw`.
        colours: see `CurvePlot.colours`.
        width: cells of a line, None for one line.
        title: in front of them.
    """
    lines = [Text(title and f"{printable(title)}:")]
    for one in series:
        if not one.name:
            continue
        entry = Text.assemble((one.mark or "·", colours.get(one.hue, "")), " ", printable(one.name))
        gap = GAP if lines[-1].cell_len else ""
        if gap and width is not None and lines[-1].cell_len + len(gap) + entry.cell_len > width:
            lines.append(entry)
        else:
            lines[-1].append(gap).append_text(entry)
    return Text("\n").join(lines)


class CurvePlot(PlotWidget, can_focus=False):
    """Accuracy against tokens. The mouse wheel zooms, and a click tells which point is nearest."""

    DEFAULT_CSS = """
    CurvePlot { height: 1fr; min-height: 6; }
    CurvePlot #legend { display: none; }
    CurvePlot > .plot--axis { color: $foreground 40%; }
    CurvePlot > .plot--tick { color: $foreground 70%; text-style: none; }
    """

    class Picked(Message):
        """A cell was clicked at."""

        def __init__(self, plot: CurvePlot, cell: tuple[int, int]) -> None:
            super().__init__()
            self.plot = plot
            self.cell = cell

        @property
        def control(self) -> CurvePlot:
            """The plot."""
            return self.plot

        def nearest(self, points: Sequence[tuple[float, float]]) -> int | None:
            """Which of these points, (tokens, accuracy in percent), is nearest to the eye; None where none is drawn."""
            away: dict[float, int] = {}
            for k, (tokens, accuracy) in enumerate(points):
                if tokens > 0:
                    x, y = self.plot.get_pixel_from_coordinate(math.log10(tokens), accuracy)
                    away.setdefault(math.hypot(x - self.cell[0], TALL * (y - self.cell[1])), k)
            return away[min(away)] if away else None

    def on_mount(self) -> None:
        """Axes."""
        super().on_mount()
        self._percent = _Percent()
        self.set_x_formatter(_Tokens())
        self.set_y_formatter(self._percent)
        self.margin_top = 0
        self.margin_bottom = 1
        self.margin_left = 6

    def on_resize(self) -> None:
        """Ticks as there is room for them."""
        self._percent.most = max(2, self.size.height // 3)

    def draw(self, series: Sequence[Series], chosen: tuple[float, float] | None = None) -> None:
        """Draw these, and nothing else.

        Args:
            series: from the lowest to the one on top; points that took no tokens have no place.
            chosen: (tokens, accuracy in percent) of a point that stands out.
        """
        colours = self.colours()
        self.clear()
        drawn = [(one, colours.get(one.hue, "white"), *_places(one)) for one in series]
        self._leave_room([(x, y) for _, _, x, y in drawn if len(x)])
        # Lines first: none of them may hide the mark of a point.
        for one, style, x, y in drawn:
            if one.joined and len(x):
                self.plot(x, y, line_style=style, hires_mode=HiResMode.BRAILLE)
            elif not one.mark and len(x):
                self.scatter(x, y, marker_style=style, hires_mode=HiResMode.BRAILLE)
        for one, style, x, y in drawn:
            if one.mark and len(x):
                self.scatter(x, y, marker=one.mark, marker_style=style)
        if chosen is not None and chosen[0] > 0:
            style = f"bold {colours.get('background', 'black')} on {colours.get('warning', 'yellow')}"
            self.scatter([math.log10(chosen[0])], [chosen[1]], marker="◆", marker_style=style)

    def _leave_room(self, places: Sequence[tuple[Floats, Floats]]) -> None:
        """Widen the axes a little: what is at the very end of one would not be drawn."""
        if not places:
            return
        ends = []
        for axis, least in ((0, math.log10(1.01)), (1, 0.1)):
            low, high = min(p[axis].min() for p in places), max(p[axis].max() for p in places)
            room = max(ROOM * (high - low), least)
            ends.append((float(low - room), float(high + room)))
        self.scatter(ends[0], ends[1], marker=" ")

    def colours(self) -> dict[str, str]:
        """The theme's colours by name, those that are plain colours."""
        variables = self.app.get_css_variables()
        ground = Color.parse(variables["background"])
        # A style of text has no transparency: what there is of it is mixed here.
        found = {name: Color.parse(value) for name, value in variables.items() if value.startswith("#")}
        return {name: ground.blend(colour, colour.a, 1.0).hex for name, colour in found.items()}

    def on_click(self, event: events.Click) -> None:
        """Tell which cell it was."""
        canvas = self.query_one("#plot")
        x, y = event.screen_x - canvas.region.x, event.screen_y - canvas.region.y
        if 0 <= x < canvas.size.width and 0 <= y < canvas.size.height:
            self.post_message(self.Picked(self, (int(x), int(y))))


def _places(one: Series) -> tuple[Floats, Floats]:
    """Where the points of a series are on the axes."""
    tokens, accuracy = np.asarray(one.tokens, dtype=float), np.asarray(one.accuracy, dtype=float)
    there = tokens > 0
    return np.log10(tokens[there]), accuracy[there]
