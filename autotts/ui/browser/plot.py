"""Curves of accuracy against tokens in the terminal: tokens on a log scale, accuracy in percent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.text import Text
from textual import events
from textual.message import Message
from textual_plot import HiResMode, PlotWidget
from textual_plot.axis_formatter import AxisFormatter

from autotts.sandbox.text import printable

__all__ = ["CurvePlot", "Series", "legend", "short"]

MARKS = "ox+#%&@"
"""Of named curves, in turn; colours come beside them."""

HUES = ("warning", "text-success", "text-error", "text-secondary", "text-primary", "foreground")


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


class _Tokens(AxisFormatter):
    """Ticks at 1, 2 and 5 times powers of ten, on an axis of decimal logarithms."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Positions of round numbers of tokens."""
        for steps in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
            powers = range(math.floor(min_), math.ceil(max_) + 1)
            ticks = [p + math.log10(step) for p in powers for step in steps]
            found = [tick for tick in ticks if min_ <= tick <= max_]
            if len(found) <= max_ticks:
                return found
        return found[:: math.ceil(len(found) / max_ticks)]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """In words."""
        return [short(10**tick) for tick in ticks]


def short(tokens: float) -> str:
    """Tokens with at most three digits."""
    for size, unit in ((1e6, "M"), (1e3, "K")):
        if tokens >= 0.9995 * size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.3g}"


def legend(series: Sequence[Series], colours: dict[str, str]) -> Text:
    """The named series in a line."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for one in series:
        if one.name:
            line.append(f"{one.mark or '·'} ", style=colours.get(one.hue, ""))
            line.append(f"{printable(one.name)}   ")
    return line


class CurvePlot(PlotWidget, can_focus=False):
    """Accuracy against tokens. The mouse wheel zooms, and a click tells which point is nearest."""

    DEFAULT_CSS = """
    CurvePlot { height: 1fr; min-height: 6; }
    CurvePlot #legend { display: none; }
    """

    class Picked(Message):
        """A point was clicked at."""

        def __init__(self, plot: CurvePlot, tokens: float, accuracy: float) -> None:
            super().__init__()
            self.plot = plot
            self.tokens = tokens
            self.accuracy = accuracy

        @property
        def control(self) -> CurvePlot:
            """The plot."""
            return self.plot

    def on_mount(self) -> None:
        """Axes."""
        super().on_mount()
        self.set_x_formatter(_Tokens())
        self.margin_top, self.margin_bottom = 0, 2
        self.margin_left = 6

    def draw(self, series: Sequence[Series], chosen: tuple[float, float] | None = None) -> None:
        """Draw these, and nothing else.

        Args:
            series: from the lowest to the one on top.
            chosen: (tokens, accuracy in percent) of a point that stands out.
        """
        colours = self.colours()
        self.clear()
        for marks in (False, True):  # no line hides a mark
            for one in series:
                points = [(t, a) for t, a in zip(one.tokens, one.accuracy, strict=True) if t > 0]
                if not points:
                    continue
                x, y = np.log10([t for t, _ in points]), np.array([a for _, a in points])
                style = colours.get(one.hue, "white")
                if marks and one.mark:
                    self.scatter(x, y, marker=one.mark, marker_style=style)
                elif one.joined and not marks:
                    self.plot(x, y, line_style=style, hires_mode=HiResMode.BRAILLE)
                elif not one.joined and not one.mark and not marks:
                    self.scatter(x, y, marker_style=style, hires_mode=HiResMode.BRAILLE)
        if chosen is not None and chosen[0] > 0:
            style = f"bold {colours.get('background', 'black')} on {colours.get('warning', 'yellow')}"
            self.scatter([math.log10(chosen[0])], [chosen[1]], marker="◆", marker_style=style)

    def colours(self) -> dict[str, str]:
        """The theme's colours by name, those that are plain colours."""
        # Without their transparency, which a style of text has not.
        return {name: value[:7] for name, value in self.app.get_css_variables().items() if value.startswith("#")}

    def on_click(self, event: events.Click) -> None:
        """Tell where it was, in tokens and percent."""
        canvas = self.query_one("#plot")
        x, y = event.screen_x - canvas.region.x, event.screen_y - canvas.region.y
        if 0 <= x < canvas.size.width and 0 <= y < canvas.size.height:
            at, accuracy = self.get_coordinate_from_pixel(x, y)
            self.post_message(self.Picked(self, 10**at, accuracy))
