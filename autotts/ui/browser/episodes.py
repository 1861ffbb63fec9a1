"""What a program did: how its episodes ended, by question and environment, and the episodes behind each of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from autotts.traces import KINDS
from autotts.traces.heat import Ending, HeatCell, HeatMap
from autotts.ui.browser.desk import Traced
from autotts.ui.browser.episode import EpisodeView
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.heat import CHANGES_TOLD, KINDS_TOLD, SIGNS, HeatGrid, legend
from autotts.ui.browser.stage import Role
from autotts.ui.browser.view import Exported, Value, View, plain

__all__ = ["EndingsView", "EpisodesView"]

TWO = 120
"""Columns for two maps side by side."""

WORST, RECORDED, CHANGED = "worst first", "as recorded", "most changed"
"""Orders of the questions; the last one where there are two programs."""


@dataclass(frozen=True)
class _Sample:
    """What the chosen programs did; hash → it, in the order in which they were chosen."""

    traced: dict[str, Traced]
    names: dict[str, str]


class EpisodesView(View):
    """The heat map of a program, and of a second one beside it."""

    place = "Episodes"

    DEFAULT_CSS = """
    EpisodesView > #maps { height: 1fr; }
    EpisodesView #second { display: none; border-left: solid $panel; padding-left: 1; }
    EpisodesView.two #second { display: block; }
    EpisodesView > #told { height: auto; max-height: 5; padding: 0 1; }
    EpisodesView > #signs { height: auto; max-height: 2; padding: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Order", tooltip="Order of the questions"),
        Binding("v", "other", "Other, difference", tooltip="The first program, the second one, the difference"),
        Binding("a", "ask", "Program", tooltip="Choose a program"),
        Binding("w", "beside", "Beside another", tooltip="Choose a second program"),
        Binding("c", "compare", "Compare"),
        Binding("r", "again", "Play again, after a failure", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[str, tuple[str, ...]] = ("", ())
        self._sample: _Sample | None = None
        self._tried = False
        self._shown = 0
        self._order = WORST

    def compose_body(self) -> ComposeResult:
        """The map, and the cell that the cursor is on in full."""
        with Horizontal(id="maps"):
            yield HeatGrid("first")
            yield HeatGrid("second")
        yield Static(id="told")
        yield Static(id="signs")

    def where(self) -> str:
        """Whose episodes."""
        if self._sample is None:
            return ""
        names = list(self._sample.names.values())
        shown = " − ".join(names) if self._shown == len(names) else names[self._shown]
        return f"{names[0]} │ {shown}" if self._two else shown

    @property
    def _hash(self) -> str:
        """The program whose map is shown, the first one where it is the difference."""
        hashes = list(self._sample.traced) if self._sample else [""]
        return hashes[self._shown % len(hashes)]

    @property
    def _both(self) -> bool:
        return self._sample is not None and len(self._sample.traced) > 1

    @property
    def _two(self) -> bool:
        """Whether two maps are side by side: the first program's, and the second one's or the difference."""
        return self._both and self.size.width >= TWO

    def on_resize(self) -> None:
        """Everything uses the width."""
        self.redraw()

    # ---- what is read ------------------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Play the episodes of what was chosen, or of the best program where nothing was."""
        self.query_one(HeatGrid).focus()
        asked = self.browser.run_name, self.browser.played
        if asked != self._asked:
            self._asked, self._sample, self._shown, self._tried = asked, None, 0, False
            self.workers.cancel_group(self, "find")
            self.say("")
            self.wrong("")
        self.on_news()
        self.redraw()

    def on_news(self) -> None:
        """The first program of a run may have come; what failed is not tried again unless a person says so."""
        if self._sample is None and not self._tried and not self.is_finding():
            self._play()

    def _play(self) -> None:
        if self.browser.loading and not self.browser.played:
            self.say("waiting for the run's programs to be read")
            return
        best = self.browser.columns.best()
        programs = self.browser.played or ((best,) if best else ())
        if not programs:
            self.say("no program is confirmed yet")
            return
        desk, run = self.browser.desk, self.browser.run_name
        self._tried = True

        def find() -> _Sample:
            traced = {hash: desk.traced(run, hash) for hash in programs}
            return _Sample(traced, {hash: desk.called(run, hash) for hash in programs})

        self.find(find, self._has_played, "playing a sample of episodes in the sandbox; escape stops waiting for it")

    def _has_played(self, sample: _Sample) -> None:
        self._sample = sample
        self.redraw()

    def action_back(self) -> None:
        """Stop waiting for what is played, or go back."""
        if self.is_finding():
            self.workers.cancel_group(self, "find")
            self.say("not played; r plays them")
        else:
            super().action_back()

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw the map anew, or both."""
        maps = [traced.heat for traced in self._sample.traced.values()] if self._sample else []
        if self._two:
            self._shown = max(1, self._shown)
        self.set_class(self._two, "two")
        order, differ = self._ordered(maps), 0 < len(maps) == self._shown
        shown = (maps[self._shown % len(maps)] if maps else None, order, self._order, maps[1] if differ else None)
        first, second = self.query(HeatGrid)
        if self._two:
            first.show(maps[0], order, self._order)
            second.show(*shown)
        else:
            first.show(*shown)
        signs, width = self.query_one("#signs", Static), self.size.width - 2
        told = [CHANGES_TOLD] if differ and not self._two else [KINDS_TOLD, CHANGES_TOLD] if differ else [KINDS_TOLD]
        signs.update("\n".join(legend(one, width) for one in told))
        self._tell()
        self.draw_bar()

    def _ordered(self, maps: Sequence[HeatMap]) -> Sequence[int]:
        """Places of the questions, as they are to be shown; the same for every map."""
        if not maps:
            return ()
        questions = range(len(maps[0].questions))
        if self._order == CHANGED and self._both:
            return sorted(questions, key=lambda q: -abs(maps[0].wrong(q) - maps[1].wrong(q)))
        return questions if self._order == RECORDED else maps[0].worst_first()

    @on(HeatGrid.Moved)
    def moved(self, event: HeatGrid.Moved) -> None:
        """The cursor of the other map follows the one that a person moves, and never the other way round."""
        if self._two and event.grid.has_focus:
            for grid in self.query(HeatGrid):
                grid.follow(event.grid)
        self._tell()

    def _tell(self) -> None:
        """The cell in full."""
        grid, text = self.query(HeatGrid).first(), ""
        if self._sample is not None and grid.question >= 0:
            question, environment = grid.question, grid.cursor[1]
            heat = next(iter(self._sample.traced.values())).heat
            lines = [f"{heat.questions[question]}, {heat.environments[environment]}"]
            for hash, traced in self._sample.traced.items():
                cell = traced.heat.cells[question][environment]
                lines.append(f"{self._sample.names[hash]}: {_in_words(cell)}")
            text = "\n".join(lines)
        self.query_one("#told", Static).update(plain(text))

    # ---- what keys do ------------------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        """The worst first, as they are recorded, or what two programs differ in most first."""
        orders = [WORST, RECORDED, *([CHANGED] if self._both else [])]
        self._order = orders[(orders.index(self._order) + 1) % len(orders)] if self._order in orders else WORST
        self.redraw()

    def action_other(self) -> None:
        """The map of the first program, of the other one, and what the first does better."""
        if self._both:
            self._shown = (self._shown + 1) % 3
            self.redraw()
        else:
            self.app.notify("there is no second program; w chooses one", markup=False)

    def action_again(self) -> None:
        """Play them again, where that failed."""
        if self._sample is None:
            self._play()

    def action_ask(self) -> None:
        """Choose whose episodes."""
        self.choose_program("Episodes of", self._show, at=self._hash)

    def action_beside(self) -> None:
        """Choose a second program, whose episodes are shown beside."""
        first = next(iter(self._sample.traced)) if self._sample else ""
        if first:
            show = partial(self._show, first)
            self.choose_program("And beside them those of", show, without=first, at=self._hash)

    def _show(self, *programs: str) -> None:
        self.browser.show_episodes(programs)
        self.on_open()

    def action_compare(self) -> None:
        """Compare the two, or the one with the reference."""
        if self._sample:
            self.browser.compare(list(self._sample.traced))

    @on(HeatGrid.Chosen)
    def open(self) -> None:
        """The episodes of a cell."""
        grid = self.query_one(HeatGrid)
        if self._sample is not None and grid.cell is not None:
            self.app.push_screen(EndingsView(self._sample, grid.question, grid.cursor[1]))

    def exported(self) -> Exported | None:
        """One row a question and environment, of every program that is shown."""
        if self._sample is None:
            return None
        columns = ("program", "question", "environment", "accuracy", "tokens", *KINDS)
        rows: list[tuple[Value, ...]] = [
            (hash, traced.heat.questions[q], name, cell.accuracy, cell.tokens, *cell.kinds.values())
            for hash, traced in self._sample.traced.items()
            for q, row in enumerate(traced.heat.cells)
            for name, cell in zip(traced.heat.environments, row, strict=True)
            if cell is not None
        ]
        return Exported("episodes", columns, rows)


def _in_words(cell: HeatCell | None) -> str:
    if cell is None:
        return "not asked there"
    kinds = ", ".join(f"{n} {kind}" for kind, n in cell.kinds.items() if n)
    return f"{100 * cell.accuracy:.0f} % right, {cell.tokens:,.0f} tokens on average: {kinds}"


_COLUMNS = (
    Column("program", "program", 12),
    Column("beta", "β", 5, True),
    Column("seed", "seed", 4, True),
    Column("right", "right", 5),
    Column("kind", "how it ended", 23),
    Column("tokens", "tokens", 9, True),
    Column("waves", "waves", 5, True),
)


class EndingRows:
    """The episodes of one question in one environment, of one or two programs."""

    def __init__(self, sample: _Sample, question: int, environment: int) -> None:
        self.endings: list[tuple[str, Ending]] = []
        self._sample = sample
        for hash, traced in sample.traced.items():
            cell = traced.heat.cells[question][environment]
            self.endings += [(hash, ending) for ending in (cell.endings if cell else ())]
        self.endings.sort(key=lambda entry: (entry[1].beta, entry[1].seed))

    def __len__(self) -> int:
        return len(self.endings)

    def key(self, row: int) -> str:
        """Program, β and seed."""
        hash, ending = self.endings[row]
        return f"{hash} {ending.beta:g} {ending.seed}"

    def tone(self, row: int) -> str:
        """Right or wrong, as the column says."""
        return "good" if self.endings[row][1].right else "bad"

    def cells(self, row: int) -> Sequence[str]:
        """One text a column."""
        hash, ending = self.endings[row]
        waves = len(self._sample.traced[hash].traces[ending.trace].actions)
        kind = f"{SIGNS[ending.kind]} {ending.kind}"
        name = plain(self._sample.names[hash]).plain
        right = "yes" if ending.right else "no"
        return (name, f"{ending.beta:g}", str(ending.seed), right, kind, f"{ending.tokens:,}", f"{waves:,}")


class EndingsView(View):
    """The episodes of one question in one environment.

    Args:
        sample: what the programs did.
        question, environment: places in the heat map.
    """

    place = "Episodes"

    def __init__(self, sample: _Sample, question: int, environment: int) -> None:
        super().__init__()
        self._sample = sample
        self._rows = EndingRows(sample, question, environment)
        heat = next(iter(sample.traced.values())).heat
        self._where = f"{heat.questions[question]} ▸ {heat.environments[environment]}"

    def where(self) -> str:
        """Which question, asked whom."""
        return self._where

    def compose_body(self) -> ComposeResult:
        """The list."""
        yield Grid(_COLUMNS)

    def on_open(self) -> None:
        """Show them."""
        grid = self.query_one(Grid)
        grid.show(self._rows)
        grid.focus()

    @on(Grid.Chosen)
    def open(self) -> None:
        """One episode, step by step."""
        roles = []
        for hash, ending in self._rows.endings:
            traced = self._sample.traced[hash]
            roles.append(Role(hash, self._sample.names[hash], traced, traced.traces[ending.trace]))
        self.app.push_screen(EpisodeView(roles, self.query_one(Grid).cursor))

    def exported(self) -> Exported:
        """The list."""
        rows = [
            (hash, e.beta, e.seed, e.right, e.kind, e.tokens, len(self._sample.traced[hash].traces[e.trace].actions))
            for hash, e in self._rows.endings
        ]
        return Exported("endings", ("program", "beta", "seed", "right", "kind", "tokens", "waves"), rows)
