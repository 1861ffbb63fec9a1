"""Two programs side by side: curves, what changed by question at matched tokens, and their sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from autotts.errors import InputError
from autotts.search.curves import CurvePoint
from autotts.search.side_by_side import SideBySide, side_by_side
from autotts.search.standing import REFERENCE
from autotts.ui.browser.choosing import ChoiceDialog
from autotts.ui.browser.code import unified
from autotts.ui.browser.grid import Column, Grid, NoRows
from autotts.ui.browser.plot import CurvePlot, Series, legend
from autotts.ui.browser.view import Exported, View, plain
from autotts.ui.progress import gain_text
from autotts.ui.report import points

__all__ = ["CompareView"]

PAGES = ("curves", "questions", "code")
MOST = 200
"""Programs that a partner can be chosen from."""


class QuestionRows:
    """What each question has to do with the difference."""

    def __init__(self, found: SideBySide) -> None:
        self.found = found

    def __len__(self) -> int:
        return len(self.found.questions)

    def key(self, row: int) -> str:
        """Its name."""
        return self.found.questions[row].question

    def tone(self, row: int) -> str:
        """Which of the two it speaks for; the sign of the contribution says the same."""
        share = self.found.questions[row].contribution
        return "good" if share > 0 else "bad" if share < 0 else ""

    def cells(self, row: int) -> Sequence[str]:
        """One text a column."""
        changed = self.found.questions[row]
        gains = ["" if cell is None else signed(100 * cell.gain, 1) for cell in changed.cells]
        cells = [cell for cell in changed.cells if cell is not None]
        before = sum(cell.tokens[1] for cell in cells)
        more = 100 * sum(cell.more_tokens for cell in cells) / before if before else math.nan
        tokens = signed(more, 0) if math.isfinite(more) else "–"
        return (plain(changed.question).plain, signed(100 * changed.contribution, 2), *gains, tokens)


def signed(figure: float, digits: int) -> str:
    """A figure with its sign; nothing where it is none, so that what changed stands out."""
    return f"{figure:+.{digits}f}" if round(figure, digits) else "·"


@dataclass(frozen=True)
class _Both:
    """What is known of the two: hashes, names, sources, figures; and the run's baselines, hash → name."""

    hashes: tuple[str, ...]
    names: tuple[str, ...]
    sources: tuple[str, ...]
    sides: SideBySide
    baselines: dict[str, str]


class CompareView(View):
    """The two programs that were chosen to be compared; one alone stands beside the run's reference."""

    place = "Compare"

    DEFAULT_CSS = """
    CompareView > #head { height: auto; max-height: 4; padding: 0 1; }
    CompareView > #parts { height: 1fr; }
    CompareView #curves, CompareView #questions, CompareView #code { display: none; }
    CompareView #parts.curves > #curves, CompareView #parts.questions > #questions, CompareView #parts.code > #code
        { display: block; }
    CompareView.wide > #parts { layout: grid; grid-size: 2 2; grid-rows: 1fr 1fr; grid-columns: 1fr 1fr; }
    CompareView.wide #curves, CompareView.wide #questions, CompareView.wide #code { display: block; }
    CompareView.wide #code { row-span: 2; }
    CompareView #legend-line { height: 1; padding: 0 1; }
    CompareView #code { padding: 0 1; overflow-x: auto; }
    CompareView #source { width: auto; }
    CompareView.wide #code { border-left: solid $panel; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "page(-1)", "Previous page", key_display="[", show=False),
        Binding("right_square_bracket", "page(1)", "Next page", key_display="]"),
        Binding("v", "environment", "Environment"),
        Binding("x", "swap", "Exchange the two"),
        Binding("p", "partner", "Partner"),
        Binding("o", "episodes", "Episodes"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[str, tuple[str, ...]] = ("", ())
        self._pair: tuple[str, ...] = ()
        self._names: tuple[str, ...] = ()
        self._sources: tuple[str, ...] = ()
        self._sides: SideBySide | None = None
        self._baselines: dict[str, str] = {}
        self._environment = -1
        self._page = 0

    def compose_body(self) -> ComposeResult:
        """The three pages; side by side where there is room."""
        yield Static(id="head")
        with Container(id="parts", classes=PAGES[0]):
            with Vertical(id="curves"):
                yield CurvePlot()
                yield Static(id="legend-line")
            with VerticalScroll(id="code", can_focus=True):
                yield Static(id="source")
            yield Grid([Column("question", "question", 16)], id="questions")

    def on_mount(self) -> None:
        """Draw with the colours of another theme when it is chosen."""
        self.watch(self.app, "theme", self.redraw, init=False)

    def on_resize(self) -> None:
        """All pages at a time where there is room."""
        self.set_class(self.size.width >= 130 and self.size.height >= 30, "wide")
        super().on_resize()

    def where(self) -> str:
        """Which two, and where."""
        names = " against ".join(self._names)
        return f"{names} ▸ {self._place()}" if names else ""

    def _place(self) -> str:
        found = self._sides
        return "mean" if found is None or self._environment < 0 else found.environments[self._environment][0]

    # ---- what is read ------------------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Compare what was chosen."""
        asked = self.browser.run_name, self.browser.compared
        if asked != self._asked or self._sides is None:
            self._asked, self._sides = asked, None
            self._names = self._pair = ()
            if self.browser.compared:
                self._compare(self.browser.compared)
        self._focus()
        self.redraw()

    def _compare(self, programs: tuple[str, ...]) -> None:
        desk, run = self.browser.desk, self.browser.run_name

        def find() -> _Both:
            figures = desk.figures(run)
            names = {hash: name for name, hash in figures.baselines.items()}
            both = programs if len(programs) == 2 else (*programs, figures.baselines.get(REFERENCE, ""))
            if both[0] == both[1]:
                raise InputError(f"{names.get(both[0], both[0][:10])}: mark another program to compare it with")
            sources = tuple(desk.program(hash).source for hash in both)
            called = tuple(names.get(hash, hash[:10]) for hash in both)
            return _Both(both, called, sources, side_by_side(figures, *both), names)

        self.find(find, self._has_compared, "comparing, from the archive")

    def _has_compared(self, both: _Both) -> None:
        self._pair, self._names, self._sources, self._sides = both.hashes, both.names, both.sources, both.sides
        self._baselines = both.baselines
        self._environment = min(self._environment, len(both.sides.environments) - 1)
        self.redraw()

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw everything anew."""
        self.query_one("#head", Static).update(self._head())
        self.draw_bar()
        if self._sides is None:
            self.query_one(CurvePlot).draw([])
            self.query_one("#legend-line", Static).update("")
            self.query_one("#source", Static).update("")
            self.query_one(Grid).show(NoRows())
            return
        self._draw_curves(self._sides)
        self._draw_questions(self._sides)
        lines = unified(self._sources[1], self._sources[0], self.app.current_theme.dark)
        self.query_one("#source", Static).update(Text("\n").join(lines) if lines else "the sources are the same")

    def _head(self) -> Text:
        found = self._sides
        if found is None:
            return plain("" if self.browser.compared else "mark two programs (2, space) and compare them (c)")
        gain = found.gain if self._environment < 0 else found.environments[self._environment][1]
        interval = f", 95 % {points(gain.ci95[0])} … {points(gain.ci95[1])}" if math.isfinite(gain.se) else ""
        text = Text()
        text.append_text(plain(self._names[0], "bold")).append(" over ").append_text(plain(self._names[1], "bold"))
        text.append(f" at matched tokens ({plain(self._place()).plain}): ")
        se = gain.se if math.isfinite(gain.se) else None
        text.append(f"{gain_text(gain.gain, se)} points", style="bold").append(f"{interval}, p {gain.p:.3f}")
        for mark, hash in zip("ab", self._pair, strict=True):
            text.append("\n").append_text(plain(f"{mark}  {self.browser.columns.idea_of(hash)}", "dim"))
        return text

    def _draw_curves(self, found: SideBySide) -> None:
        series = []
        for curves, name, mark, hue in zip(
            (found.b, found.a), self._names[::-1], "o●", ("warning", "primary"), strict=True
        ):
            shown: Sequence[CurvePoint] = curves.mean
            if self._environment >= 0:
                shown = curves.environments[self._environment][1]
            tokens, accuracy = [p.tokens for p in shown], [100 * p.accuracy for p in shown]
            series.append(Series(name, tokens, accuracy, mark, hue, joined=True))
        plot = self.query_one(CurvePlot)
        plot.draw(series)
        self.query_one("#legend-line", Static).update(legend(series, plot.colours()))

    def _draw_questions(self, found: SideBySide) -> None:
        names = [plain(name).plain for name, _ in found.environments]
        wide = [Column(f"e{k}", name, max(6, min(len(name), 18)), True) for k, name in enumerate(names)]
        grid = self.query_one(Grid)
        columns = [Column("question", "question", 16), Column("share", "of the gain", 11, True)]
        grid.set_columns([*columns, *wide, Column("tokens", "tokens %", 8, True)])
        grid.show(QuestionRows(found))

    # ---- what keys and the mouse do ----------------------------------------------------------------------------------

    def action_page(self, by: int) -> None:
        """Another page, or another part of the screen."""
        self._page = (self._page + by) % len(PAGES)
        self.query_one("#parts").set_classes(PAGES[self._page])
        self._focus()

    def _focus(self) -> None:
        """The part of the page that is scrolled."""
        self.query_one("#code" if PAGES[self._page] == "code" else "#questions").focus()

    def action_environment(self) -> None:
        """The mean, and each environment in turn."""
        if self._sides is not None:
            self._environment += 1
            if self._environment == len(self._sides.environments):
                self._environment = -1
            self.query_one(CurvePlot).action_reset_scales()
            self.redraw()

    def action_swap(self) -> None:
        """Exchange the two."""
        if self._pair:
            self.browser.compare(self._pair[::-1])
            self.on_open()

    def action_partner(self) -> None:
        """Choose whom the first one is compared with: a baseline, or a program of the front."""
        if not self._pair:
            return
        columns, named = self.browser.columns, self._baselines
        front = dict.fromkeys(point.id for point in self.browser.front)
        choices = [
            (hash, f"{named.get(hash, hash[:10])}  {columns.idea_of(hash)}")
            for hash in [*named, *(h for h in front if h not in named)][:MOST]
            if hash != self._pair[0]
        ]
        self.app.push_screen(ChoiceDialog(f"Compare {self._names[0]} with", choices, self._pair[1]), self._with)

    def _with(self, hash: str | None) -> None:
        if hash is not None:
            self.browser.compare((self._pair[0], hash))
            self.on_open()

    @on(Grid.Chosen)
    def action_episodes(self) -> None:
        """What both did, episode by episode."""
        if self._pair:
            self.browser.show_episodes(self._pair)

    def exported(self) -> Exported | None:
        """What changed by question: contributions in points, and in each environment accuracy and tokens of both."""
        found = self._sides
        if found is None:
            return None
        columns = ["question", "contribution"]
        for name, _ in found.environments:
            columns += [f"{name} {what} {which}" for what in ("accuracy", "tokens") for which in self._names]
        rows = []
        for changed in found.questions:
            row: list[str | float | None] = [changed.question, 100 * changed.contribution]
            for cell in changed.cells:
                row += [None] * 4 if cell is None else [*(100 * a for a in cell.accuracy), *cell.tokens]
            rows.append(row)
        return Exported("compare", tuple(columns), rows)
