"""What a program did: how its episodes ended, by question and environment, and the episodes behind each of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from autotts.traces import KINDS
from autotts.traces.heat import Ending, HeatCell
from autotts.ui.browser.choosing import ChoiceDialog
from autotts.ui.browser.desk import Traced
from autotts.ui.browser.episode import EpisodeView
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.heat import SIGNS, HeatGrid, kinds_line
from autotts.ui.browser.stage import Role
from autotts.ui.browser.view import Exported, Value, View, plain

__all__ = ["EndingsView", "EpisodesView"]

MOST = 200
"""Programs that can be chosen from."""


@dataclass(frozen=True)
class _Sample:
    """What the chosen programs did; hash → it, in the order in which they were chosen."""

    traced: dict[str, Traced]
    names: dict[str, str]


class EpisodesView(View):
    """The heat map of a program, and of a second one beside it."""

    place = "Episodes"

    DEFAULT_CSS = """
    EpisodesView > #told { height: 2; padding: 0 1; }
    EpisodesView > #signs { height: auto; max-height: 2; padding: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Order"),
        Binding("v", "other", "The other program"),
        Binding("a", "ask", "Choose a program"),
        Binding("w", "beside", "Second program", show=False),
        Binding("c", "compare", "Compare"),
        Binding("r", "again", "Play again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[str, tuple[str, ...]] = ("", ())
        self._sample: _Sample | None = None
        self._shown = 0
        self._worst_first = True

    def compose_body(self) -> ComposeResult:
        """The map, and the cell that the cursor is on in full."""
        yield HeatGrid()
        yield Static(id="told")
        yield Static(kinds_line(), id="signs")

    def where(self) -> str:
        """Whose episodes."""
        return self._whose if self._sample else ""

    @property
    def _hash(self) -> str:
        return list(self._sample.traced)[self._shown] if self._sample else ""

    @property
    def _whose(self) -> str:
        return self._sample.names[self._hash] if self._sample else ""

    # ---- what is read ------------------------------------------------------------------------------------------------

    def on_open(self) -> None:
        """Play the episodes of what was chosen, or of the best program where nothing was."""
        self.query_one(HeatGrid).focus()
        asked = self.browser.run_name, self.browser.played
        if asked != self._asked or self._sample is None:
            self._asked, self._sample, self._shown = asked, None, 0
            self._play()
        self.redraw()

    def on_news(self) -> None:
        """The first program of a run may have come."""
        if self._sample is None and not self.browser.played and not self.is_finding("find"):
            self._play()

    def _play(self) -> None:
        best = self.browser.columns.best()
        programs = self.browser.played or ((best,) if best else ())
        if not programs:
            self.say("no program is confirmed yet")
            return
        desk, run = self.browser.desk, self.browser.run_name

        def find() -> _Sample:
            named = {hash: name for name, hash in desk.figures(run).baselines.items()}
            traced = {hash: desk.traced(run, hash) for hash in programs}
            return _Sample(traced, {hash: named.get(hash, hash[:10]) for hash in programs})

        self.find(find, self._has_played, "playing a sample of episodes in the sandbox")

    def _has_played(self, sample: _Sample) -> None:
        self._sample = sample
        self.redraw()

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw the map anew."""
        heat = self._sample.traced[self._hash].heat if self._sample else None
        order: Sequence[int] = ()
        if heat is not None:
            order = heat.worst_first() if self._worst_first else range(len(heat.questions))
        self.query_one(HeatGrid).show(heat, order)
        self._tell()
        self.draw_bar()

    @on(HeatGrid.Moved)
    def _tell(self) -> None:
        """The cell in full."""
        grid = self.query_one(HeatGrid)
        told = self.query_one("#told", Static)
        if self._sample is None or grid.question < 0:
            told.update("")
            return
        lines = []
        for hash, traced in self._sample.traced.items():
            heat = traced.heat
            cell = heat.cells[grid.question][grid.cursor[1]] if grid.question < len(heat.cells) else None
            place = f"{heat.questions[grid.question]}, {heat.environments[grid.cursor[1]]}"
            lines.append(f"{self._sample.names[hash]}: {place}: {_in_words(cell)}")
        told.update(plain("\n".join(lines[:2])))

    # ---- what keys do ------------------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        """The worst first, or as they are recorded."""
        self._worst_first = not self._worst_first
        self.redraw()

    def action_other(self) -> None:
        """The map of the other program."""
        if self._sample and len(self._sample.traced) > 1:
            self._shown = 1 - self._shown
            self.redraw()
        else:
            self.app.notify("there is no second program; w chooses one", markup=False)

    def action_again(self) -> None:
        """Play them again, where that failed."""
        if self._sample is None:
            self._play()

    def action_ask(self) -> None:
        """Choose whose episodes."""
        self._choose("Episodes of", lambda hash: (hash,))

    def action_beside(self) -> None:
        """Choose a second program, whose episodes are shown beside."""
        self._choose("And beside them those of", lambda hash: (self._hash, hash))

    def _choose(self, title: str, both: Callable[[str], tuple[str, ...]]) -> None:
        columns, front = self.browser.columns, self.browser.front
        hashes = list(dict.fromkeys([*columns.baselines(), *(p.id for p in front)]))[:MOST]
        choices = [(hash, f"{hash[:10]}  {columns.idea_of(hash)}") for hash in hashes]

        def chosen(hash: str | None) -> None:
            if hash is not None:
                self.browser.show_episodes(both(hash))
                self.on_open()

        self.app.push_screen(ChoiceDialog(title, choices, self._hash), chosen)

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
    Column("program", "program", 14),
    Column("beta", "β", 5, True),
    Column("seed", "seed", 5, True),
    Column("right", "right", 5),
    Column("kind", "how it ended", 22),
    Column("tokens", "tokens", 9, True),
    Column("waves", "waves", 6, True),
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
