"""Two programs side by side: curves, what changed by question at matched tokens, and their sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from autotts.errors import InputError
from autotts.search.side_by_side import SideBySide, side_by_side
from autotts.search.standing import REFERENCE
from autotts.ui.browser.code import unified
from autotts.ui.browser.grid import Column, Grid, NoRows
from autotts.ui.browser.heat import short_names
from autotts.ui.browser.plot import CurvePlot, Series, legend
from autotts.ui.browser.view import Exported, View, plain
from autotts.ui.progress import gain_text
from autotts.ui.report import points

__all__ = ["CompareView"]

PAGES = ("curves", "questions", "code")
MARKS = "●o"
"""Of the two, on their curves and before their ideas."""

COLUMNS = (
    Column("question", "question", 16),
    Column("share", "of the gain", 11, True),
    Column("tokens", "tokens %", 8, True),
)


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
        return (plain(changed.question).plain, signed(100 * changed.contribution, 2), tokens, *gains)


def signed(figure: float, digits: int) -> str:
    """A figure with its sign; nothing where it is none, so that what changed stands out."""
    return f"{figure:+.{digits}f}" if round(figure, digits) else "·"


@dataclass(frozen=True)
class _Both:
    """What is known of the two.

    Attributes:
        hashes, names: of the two.
        code: the lines that differ.
        sides: the figures, None where one of them was not confirmed.
        excuse: why there are none.
        baselines: of the run, hash → name.
    """

    hashes: tuple[str, ...]
    names: tuple[str, ...]
    code: list[Text]
    sides: SideBySide | None
    excuse: str
    baselines: dict[str, str]


class CompareView(View):
    """The two programs that were chosen to be compared; one alone stands beside the run's reference."""

    place = "Compare"

    DEFAULT_CSS = """
    CompareView > #head { height: 3; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    CompareView > #pages { height: 1; padding: 0 1; }
    CompareView.wide > #pages { display: none; }
    CompareView > #parts { height: 1fr; }
    CompareView #curves, CompareView #questions, CompareView #code { display: none; }
    CompareView #parts.curves > #curves, CompareView #parts.questions > #questions, CompareView #parts.code > #code
        { display: block; }
    CompareView.wide > #parts { layout: grid; grid-size: 2 2; grid-rows: 1fr 1fr; grid-columns: 1fr 1fr; }
    CompareView.wide #curves, CompareView.wide #questions, CompareView.wide #code { display: block; }
    CompareView.wide #code { row-span: 2; }
    CompareView #legend-line { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    CompareView #code { padding: 0 1; overflow-x: auto; scrollbar-size-horizontal: 1; scrollbar-size-vertical: 1; }
    CompareView #source { width: auto; }
    CompareView.wide #code { border-left: solid $panel; }
    CompareView.wide #code:focus { border-left: solid $primary; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "page(-1)", "Previous page", key_display="[", show=False),
        Binding(
            "right_square_bracket", "page(1)", "Page", key_display="]", tooltip="Next page: curves, questions, code"
        ),
        Binding("v", "environment", "View", tooltip="The mean, and each environment in turn"),
        Binding("x", "swap", "Swap", tooltip="Exchange the two"),
        Binding("p", "partner", "Partner", tooltip="Compare the first one with another program"),
        Binding("o", "episodes", "Episodes", tooltip="Episodes of both"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[str, tuple[str, ...]] = ("", ())
        self._both: _Both | None = None
        self._environment = -1
        self._page = 0

    def compose_body(self) -> ComposeResult:
        """The three pages; side by side where there is room."""
        yield Static(id="head")
        yield Static(id="pages")
        with Container(id="parts", classes=PAGES[0]):
            with Vertical(id="curves"):
                yield CurvePlot()
                yield Static(id="legend-line")
            with VerticalScroll(id="code", can_focus=True):
                yield Static(id="source")
            yield Grid([Column("question", "question", 16)], id="questions")

    def on_mount(self) -> None:
        """Draw with the colours of another theme when it is chosen."""
        self.watch(self.app, "theme", self._compare, init=False)

    def on_resize(self) -> None:
        """All pages at a time where there is room."""
        self.set_class(self.size.width >= 130 and self.size.height >= 30, "wide")
        super().on_resize()

    def where(self) -> str:
        """Which two, and where."""
        return f"{' against '.join(self._both.names)} ▸ {self._place()}" if self._both else ""

    @property
    def _sides(self) -> SideBySide | None:
        return self._both.sides if self._both else None

    def _place(self) -> str:
        found = self._sides
        return "mean" if found is None or self._environment < 0 else found.environments[self._environment][0]

    # ---- what is read ------------------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Compare what was chosen."""
        asked = self.browser.run_name, self.browser.compared
        if asked != self._asked or self._sides is None:
            self._asked, self._both = asked, None
            self._compare()
        self._focus()
        self.redraw()

    def on_news(self) -> None:
        """What could not be compared may be there by now."""
        if self._both is None and not self.is_finding():
            self._compare()

    def _compare(self) -> None:
        run, programs = self._asked
        if programs:
            find = partial(self._find_both, run, programs, self.app.current_theme.dark)
            self.find(find, self._has_compared, "comparing, from the archive")

    def _find_both(self, run: str, programs: tuple[str, ...], dark: bool) -> _Both:
        desk = self.browser.desk
        figures = desk.figures(run)
        baselines = {hash: name for name, hash in figures.baselines.items()}
        if len(programs) == 1 and REFERENCE not in figures.baselines:
            raise InputError(f"{run} has no confirmed {REFERENCE} to compare with; mark two programs (2, space, c)")
        both = programs if len(programs) == 2 else (*programs, figures.baselines[REFERENCE])
        if not all(both):
            raise InputError("what was rejected before it was a program cannot be compared; choose another (2, c)")
        names = tuple(baselines.get(hash, hash[:10]) for hash in both)
        if both[0] == both[1]:
            raise InputError(f"{names[0]}: choose another program to compare it with (2, space on both, c)")
        ours, theirs = (desk.program(hash).source for hash in both)
        code = unified(theirs, ours, dark)
        try:
            sides, excuse = side_by_side(figures, *both), ""
        except InputError as error:
            sides, excuse = None, str(error)
        return _Both(both, names, code, sides, excuse, baselines)

    def _has_compared(self, both: _Both) -> None:
        self._both = both
        self._environment = min(self._environment, len(both.sides.environments) - 1 if both.sides else -1)
        self.redraw()

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw everything anew."""
        self.query_one("#head", Static).update(self._head())
        pages = (f"[reverse] {name} [/]" if k == self._page else f" {name} " for k, name in enumerate(PAGES))
        self.query_one("#pages", Static).update(Text.from_markup(" ".join(pages)))
        self.draw_bar()
        self._draw_curves(self._sides)
        self._draw_questions(self._sides)
        code = self._both.code if self._both else [Text()]
        self.query_one("#source", Static).update(Text("\n").join(code) if code else "the sources are the same")

    def _head(self) -> Text:
        """The gain, and what each of the two is; a line each."""
        both = self._both
        if both is None:
            none = "mark two programs (2, space) and compare them (c); one alone is compared with the reference"
            return plain("" if self.browser.compared else none)
        lines = [self._gain(both, both.sides) if both.sides else plain(both.excuse, "bold")]
        for mark, name, hash in zip(MARKS, both.names, both.hashes, strict=True):
            line = Text.assemble(f"{mark} ", plain(name, "bold"), "  ")
            lines.append(line.append_text(plain(self.browser.columns.idea_of(hash), "dim")))
        return Text("\n").join(lines)

    def _gain(self, both: _Both, sides: SideBySide) -> Text:
        gain = sides.gain if self._environment < 0 else sides.environments[self._environment][1]
        se = gain.se if math.isfinite(gain.se) else None
        interval = f", 95 % {points(gain.ci95[0])} … {points(gain.ci95[1])}" if se is not None else ""
        text = Text.assemble(plain(both.names[0], "bold"), " over ", plain(both.names[1], "bold"))
        text.append_text(plain(f" ({self._place()}): "))
        text.append(f"{gain_text(gain.gain, se)} points", style="bold")
        chance = f"p {gain.p:.3f}" if gain.p >= 0.0005 else "p<0.001"
        return text.append(f"{interval}, {chance}, at matched tokens")

    def _draw_curves(self, found: SideBySide | None) -> None:
        series = []
        if found and self._both:
            sides = (
                (found.b, self._both.names[1], MARKS[1], "warning"),
                (found.a, self._both.names[0], MARKS[0], "primary"),
            )
            for curves, name, mark, hue in sides:
                shown = curves.mean if self._environment < 0 else curves.environments[self._environment][1]
                tokens, accuracy = [p.tokens for p in shown], [100 * p.accuracy for p in shown]
                series.append(Series(name, tokens, accuracy, mark, hue, joined=True))
        plot = self.query_one(CurvePlot)
        plot.draw(series)
        title = f"accuracy % over tokens, {self._place()}" if series else ""
        self.query_one("#legend-line", Static).update(legend(series, plot.colours(), title=title))

    def _draw_questions(self, found: SideBySide | None) -> None:
        grid = self.query_one(Grid)
        if found is None:
            grid.show(NoRows())
            return
        names = [plain(name).plain for name in short_names([name for name, _ in found.environments])]
        wide = [Column(f"e{k}", name, max(6, min(len(name), 18)), True) for k, name in enumerate(names)]
        grid.set_columns([*COLUMNS, *wide])
        rows, key = QuestionRows(found), grid.key
        keys = [rows.key(k) for k in range(len(rows))]
        grid.show(rows, keys.index(key) if key in keys else None)

    # ---- what keys and the mouse do ----------------------------------------------------------------------------------

    def action_page(self, by: int) -> None:
        """Another page, or another part of the screen."""
        self._page = (self._page + by) % len(PAGES)
        self.query_one("#parts").set_classes(PAGES[self._page])
        self._focus()
        self.redraw()

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
        if self._both:
            self._compare_with(*self._both.hashes[::-1])

    def action_partner(self) -> None:
        """Choose whom the first one is compared with: a baseline, or a program of the front."""
        both = self._both
        if both is None:
            return
        compare = partial(self._compare_with, both.hashes[0])
        title = f"Compare {both.names[0]} with"
        self.choose_program(title, compare, named=both.baselines, without=both.hashes[0], at=both.hashes[1])

    def _compare_with(self, ours: str, theirs: str) -> None:
        self.browser.compare((ours, theirs))
        self.on_open()

    @on(Grid.Chosen)
    def action_episodes(self) -> None:
        """What both did, episode by episode."""
        if self._both:
            self.browser.show_episodes(self._both.hashes)

    def exported(self) -> Exported | None:
        """What changed by question: contributions in points, and in each environment accuracy and tokens of both."""
        both, found = self._both, self._sides
        if both is None or found is None:
            return None
        columns = ["question", "contribution"]
        for name, _ in found.environments:
            columns += [f"{name} {what} {which}" for what in ("accuracy", "tokens") for which in both.names]
        rows = []
        for changed in found.questions:
            row: list[str | float | None] = [changed.question, 100 * changed.contribution]
            for cell in changed.cells:
                row += [None] * 4 if cell is None else [*(100 * a for a in cell.accuracy), *cell.tokens]
            rows.append(row)
        return Exported("compare", tuple(columns), rows)
