"""How charts look, and how they become bytes: the same ones for the same figures, whoever's machine draws them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from autotts.errors import InputError
from autotts.sandbox.text import printable
from autotts.ui.plot import short_tokens
from autotts.ui.progress import clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "Cell", "Chart", "Look", "as_csv", "label", "rendered", "themed", "tokens_axis"]

Cell = str | int | float | None

COLOURS: Mapping[str, tuple[str, str]] = {
    "ink": ("#1b1f24", "#e6e8eb"),
    "muted": ("#69717a", "#9aa4af"),
    "grid": ("#e2e5e9", "#30363e"),
    "paper": ("#fefefe", "#14171b"),
    "blue": ("#0072b2", "#5ab4ea"),
    "red": ("#d55e00", "#ff8f4a"),
    "green": ("#009e73", "#35c79c"),
    "pink": ("#cc79a7", "#e79cc4"),
    "gold": ("#b07d00", "#e8b53c"),
}
"""On light and on dark ground. Told apart by the colour-blind (Okabe and Ito 2008), and in grey by marks and dashes."""

INK, MUTED, GRID, PAPER = (COLOURS[name][0] for name in ("ink", "muted", "grid", "paper"))

_RC: Mapping[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so it is there on every machine
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.8,
    "legend.edgecolor": GRID,
    "legend.facecolor": PAPER,
    "legend.fontsize": 8,
    "legend.framealpha": 0.9,
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "savefig.dpi": 300,
    "savefig.facecolor": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "autotts",
    "text.color": INK,
    "text.parse_math": False,  # names that strangers chose hold dollars
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True)
class Look:
    """How one thing is drawn everywhere: colour, dashes and mark all differ from those of any other."""

    colour: str
    dashes: Any = "-"
    mark: str = ""


@dataclass(frozen=True)
class Chart:
    """A picture, and the figures behind it.

    Attributes:
        name: of its files.
        title, caption: what is seen, and how it was computed.
        columns, rows: the figures; accuracies and gains in percent and points.
        size: inches.
        draw: onto an empty figure.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    size: tuple[float, float]
    draw: Callable[[Figure], None]


def rendered(chart: Chart, format: Literal["svg", "png"], ground: bool = True) -> bytes:
    """A chart as a file.

    Args:
        chart: to draw.
        format: "svg", in which letters are paths, or "png".
        ground: on white; else on nothing, for a page that has a ground of its own.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("pictures are drawn by matplotlib; install it with `pip install 'autotts[report]'`") from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # nobody's matplotlibrc changes what a report looks like
        matplotlib.rcParams.update(dict(_RC))
        figure = Figure(figsize=chart.size, layout="constrained", facecolor="white" if ground else "none")
        FigureCanvasAgg(figure)
        chart.draw(figure)
        out = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if format == "svg" else {"Software": None}
        figure.savefig(out, format=format, metadata=metadata, facecolor=figure.get_facecolor())
    if format == "png":
        return out.getvalue()
    return re.sub(rb"<!--.*?-->\n?", b"", out.getvalue(), flags=re.S)  # the text of every label once more


def themed(svg: bytes, name: str) -> str:
    """A drawing to be put into a page: its colours are the page's variables, its ids no other drawing's.

    Args:
        svg: without a ground.
        name: of the drawing.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, (light, _) in COLOURS.items():
        text = text.replace(light, f"var(--{colour})")
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt" ', "", text, count=1)


def as_csv(chart: Chart) -> bytes:
    """The figures behind a chart; what is not known is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(chart.columns)
    writer.writerows([_field(cell) for cell in row] for row in chart.rows)
    return out.getvalue().encode()


def _field(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return ""
    return printable(cell) if isinstance(cell, str) else f"{cell:.10g}" if isinstance(cell, float) else str(cell)


@cache
def _letters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=["DejaVu Sans"]))).get_charmap())


def label(text: str, width: int) -> str:
    """A name that a stranger chose, fit for a drawing: printable, short, and of letters that the font has."""
    return "".join(c if ord(c) in _letters() else "?" for c in clip(printable(text), width))


def tokens_axis(axes: Axes, text: str = "tokens a question") -> None:
    """Tokens on a log scale, marked at 1, 2 and 5 times powers of ten."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    every = [step * 10.0**power for power in range(-3, 13) for step in (1, 2, 5)]
    shown = [tick for tick in every if low <= tick <= high]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [short_tokens(tick) for tick in shown])
    axes.set_xlim(low, high)
    axes.set_xlabel(text)
