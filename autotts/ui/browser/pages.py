"""Pages of one program: what every page has, and those of figures, its knobs and its curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from autotts.search.curves import CurvePoint, Curves
from autotts.ui.browser.facts import Facts
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.plot import CurvePlot, Series, legend
from autotts.ui.browser.runs import sparkline
from autotts.ui.browser.view import Exported, Value, plain

if TYPE_CHECKING:
    from autotts.ui.browser.view import View

__all__ = ["CurvePage", "Page", "SchedulePage", "TextRows"]

SPARK = 11

CURVE = (
    Column("beta", "β", 5, True),
    Column("accuracy", "accuracy %", 10, True),
    Column("ci", "95 % interval", 15, True),
    Column("tokens", "tokens", 9, True),
    Column("sequential", "sequential", 10, True),
    Column("branches", "branches", 8, True),
    Column("other", "reference %", 12, True),
    Column("other_ci", "95 % interval", 15, True),
    Column("other_tokens", "its tokens", 10, True),
    Column("other_sequential", "sequential", 10, True),
    Column("other_branches", "branches", 8, True),
)


class Page(Vertical):
    """A page of one program; it is drawn when it is first looked at, and anew when the archive has something new."""

    place: ClassVar[str]
    """Its name."""

    def __init__(self) -> None:
        super().__init__(id=self.place)

    @property
    def view(self) -> View:
        """The view that it is a page of."""
        return cast("View", self.screen)

    def show(self, found: Facts) -> None:
        """Show a program."""
        raise NotImplementedError

    @property
    def turns(self) -> bool:
        """Whether there is another view of the same."""
        return False

    def turn(self) -> None:
        """Another view of the same."""

    def exported(self) -> Exported | None:
        """What is on the page as a table, None where it is none."""
        return None

    def take_focus(self) -> None:
        """Let keys go to what can be moved in."""
        next(widget for widget in self.query(Widget) if widget.focusable).focus()


class TextRows:
    """Rows that are texts already."""

    def __init__(self, keys: Sequence[str], rows: Sequence[Sequence[str]], tones: Sequence[str]) -> None:
        self._keys = keys
        self._rows = rows
        self._tones = tones

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, row: int) -> str:
        """What tells it."""
        return self._keys[row]

    def cells(self, row: int) -> Sequence[str]:
        """One text a column."""
        return self._rows[row]

    def tone(self, row: int) -> str:
        """ "good", "bad" or ""."""
        return self._tones[row]


class _Figures(Grid):
    """A table whose rows lead nowhere."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is opened here."""
        return action != "choose" and super().check_action(action, parameters)


# ---- knobs ---------------------------------------------------------------------------------------------------------


class SchedulePage(Page):
    """What the schedule gave, knob by knob over β."""

    place = "schedule"

    DEFAULT_CSS = "SchedulePage > Static { height: auto; padding: 0 1; color: $text-muted; }"

    def __init__(self) -> None:
        super().__init__()
        self._found: Facts | None = None

    def compose(self) -> ComposeResult:
        """The knobs."""
        yield Static()
        yield _Figures(())

    def show(self, found: Facts) -> None:
        """Show a program's knobs."""
        self._found = found
        grid, rows = self.query_one(Grid), _knob_rows(found.curves)
        betas = [point.beta for point in found.curves.mean] if found.curves else []
        columns = [Column(f"b{k}", f"β {beta:g}", 8, True) for k, beta in enumerate(betas)]
        grid.set_columns([Column("knob", "knob", 20), Column("course", "over β", SPARK), *columns])
        grid.show(rows)
        told = self.query_one(Static)
        told.display = not len(rows)
        told.update("" if len(rows) else "the archive has no knobs of it: it was not evaluated, or has none")

    def exported(self) -> Exported | None:
        """A row a knob, its value at each β; not rounded."""
        curves = self._found.curves if self._found else None
        if curves is None:
            return None
        betas = [f"β {point.beta:g}" for point in curves.mean]
        return Exported("schedule", ("knob", *betas), [(name, *values) for name, values in _knobs(curves)])


def _knobs(found: Curves) -> list[tuple[str, list[float]]]:
    """Each knob, and its value at each β; NaN where a class-style file has none there."""
    names = dict.fromkeys(name for values in found.knobs for name in values)
    return [(name, [float(one.get(name, math.nan)) for one in found.knobs]) for name in names]


def _knob_rows(found: Curves | None) -> TextRows:
    knobs = _knobs(found) if found else []
    rows = []
    for name, values in knobs:
        course = sparkline(values, SPARK) if all(map(math.isfinite, values)) else ""
        rows.append((plain(name).plain, course, *(f"{value:.4g}" for value in values)))
    return TextRows([name for name, _ in knobs], rows, [""] * len(rows))


# ---- curves --------------------------------------------------------------------------------------------------------


class CurvePage(Page):
    """A program's curve beside the reference's, as a picture and a table; the mean, and each environment."""

    place = "curve"

    DEFAULT_CSS = """
    CurvePage > .legend { height: 1; padding: 0 1; }
    CurvePage > Grid { height: 13; max-height: 50%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: Facts | None = None
        self._environment = -1

    def compose(self) -> ComposeResult:
        """The picture over the table."""
        yield CurvePlot()
        yield Static(classes="legend")
        yield _Figures(CURVE)

    def show(self, found: Facts) -> None:
        """Show a program's curves."""
        self._found = found
        self._draw()

    @property
    def turns(self) -> bool:
        """There are environments."""
        return self._found is not None and self._found.curves is not None

    def turn(self) -> None:
        """The mean, then each environment."""
        found = self._found
        if found and found.curves:
            self._environment += 1
            if self._environment == len(found.curves.environments):
                self._environment = -1
            self.query_one(CurvePlot).action_reset_scales()
            self._draw()

    def _draw(self) -> None:
        found, plot, told = self._found, self.query_one(CurvePlot), self.query_one(".legend", Static)
        if found is None or found.curves is None:
            plot.draw([])
            told.update("the archive has no curve of it: it was not evaluated on every environment")
            self.query_one(Grid).show(TextRows((), (), ()))
            return
        own, other = self._of(found.curves), self._of(found.reference)
        name = found.names.get(found.curves.program, found.curves.program[:10])
        series = [_series(name, own, "●", "primary")]
        if found.reference is not None and found.reference.program != found.curves.program:
            series.insert(0, _series("reference", other, "o", "warning"))
        plot.draw(series)
        line = plain(f"{self._place(found.curves)}, {_kind(found.curves)}   ")
        told.update(line.append_text(legend(series, plot.colours())))
        at = {point.beta: point for point in other}
        rows = [(f"{point.beta:g}", *_cells(point), *_cells(at.get(point.beta))) for point in own]
        self.query_one(Grid).show(TextRows([row[0] for row in rows], rows, [""] * len(rows)))

    def _place(self, found: Curves) -> str:
        if self._environment < 0:
            many = len(found.environments)
            return f"mean of {many} environment{'' if many == 1 else 's'}"
        return f"{found.environments[self._environment][0]} ({self._environment + 1} of {len(found.environments)})"

    def _of(self, curves: Curves | None) -> Sequence[CurvePoint]:
        if curves is None:
            return ()
        return curves.mean if self._environment < 0 else curves.environments[self._environment][1]

    def exported(self) -> Exported | None:
        """The mean curve and that of each environment, beside the reference's; accuracy in percent."""
        found = self._found
        if found is None or found.curves is None:
            return None
        figures = ("accuracy", "low", "high", "tokens", "sequential_tokens", "branches")
        others = [("mean", found.reference.mean), *found.reference.environments] if found.reference else []
        at = {(name, point.beta): point for name, points in others for point in points}
        rows: list[Sequence[Value]] = []
        for name, points in (("mean", found.curves.mean), *found.curves.environments):
            rows += [(name, p.beta, *_values(p), *_values(at.get((name, p.beta)))) for p in points]
        return Exported("curve", ("environment", "beta", *figures, *(f"reference_{name}" for name in figures)), rows)


def _series(name: str, points: Sequence[CurvePoint], mark: str, hue: str) -> Series:
    return Series(name, [p.tokens for p in points], [100 * p.accuracy for p in points], mark, hue, joined=True)


def _kind(found: Curves) -> str:
    """How it was measured."""
    kind = "confirmed" if found.source == "confirm" else "screened only"
    return f"{kind}, {found.seeds} seed{'' if found.seeds == 1 else 's'}"


def _cells(point: CurvePoint | None) -> tuple[str, ...]:
    if point is None:
        return ("–",) * 5
    low, high = point.ci95
    return (
        f"{100 * point.accuracy:.2f}",
        f"{100 * low:.2f} … {100 * high:.2f}" if math.isfinite(low) else "–",
        f"{point.tokens:,.0f}",
        f"{point.sequential_tokens:,.0f}",
        f"{point.branches:.1f}",
    )


def _values(point: CurvePoint | None) -> tuple[Value, ...]:
    if point is None:
        return (None,) * 6
    percent = (100 * value for value in (point.accuracy, *point.ci95))
    return *percent, point.tokens, point.sequential_tokens, point.branches
