"""The page of a program's lineage: ancestors above it, children below."""

from __future__ import annotations

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.widgets import Static

from autotts.archive import Listed
from autotts.ui.browser.facts import Facts, Relative
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.pages import Page, TextRows
from autotts.ui.browser.view import Exported, Value, plain
from autotts.ui.progress import gain_text

__all__ = ["LineagePage"]

COLUMNS = (
    Column("gain", "gain ± se", 14, True),
    Column("slot", "slot", 6, True),
    Column("agent", "agent", 12),
    Column("idea", "idea, or what was wrong", 84),
)


class LineagePage(Page):
    """Ancestors, the program itself and its children, each with its gain; the one under the cursor in full."""

    place = "lineage"

    DEFAULT_CSS = """
    LineagePage > Static { height: 3; padding: 0 1; border-top: solid $panel; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: Facts | None = None

    def compose(self) -> ComposeResult:
        """The tree, and who is under the cursor."""
        yield Grid(())
        yield Static()

    def show(self, found: Facts) -> None:
        """Show a lineage; the cursor is on the program, or stays on its relative."""
        grid, fresh = self.query_one(Grid), self._found is None
        before = grid.key
        self._found = found
        rows = _rows(found)
        keys = [rows.key(k) for k in range(len(rows))]
        width = max(cell_len(rows.cells(k)[0]) for k in range(len(rows)))
        grid.set_columns([Column("program", "program", width), *COLUMNS])
        grid.show(rows, keys.index(before) if not fresh and before in keys else len(found.older))
        if fresh:  # parents above it, children below
            self.call_after_refresh(lambda: grid.scroll_to(y=len(found.older) - grid.size.height // 2, animate=False))
        self.on_grid_moved()

    def on_grid_moved(self) -> None:
        """Tell of the one under the cursor, in full."""
        found, grid = self._found, self.query_one(Grid)
        if found is None:
            return
        relatives = _relatives(found)
        more = f"\nand {found.left_out:,} more children, none of them better" if found.left_out else ""
        row = relatives[grid.cursor].listed if grid.cursor < len(relatives) else None
        self.query_one(Static).update(plain(_told(row) + more))

    def place_of(self, key: str) -> tuple[str, tuple[int, int] | None]:
        """(Hash, slot) of a row, the slot where the hash is ""."""
        hash, _, place = key.partition(" ")
        round_, _, slot = place.partition(".")
        return hash, None if hash else (int(round_), int(slot))

    def exported(self) -> Exported | None:
        """Every relative, with its whole hash; gains in points."""
        found = self._found
        if found is None:
            return None
        names = ("relation", "hash", "round", "slot", "agent", "outcome", "gain", "se", "idea")
        rows: list[tuple[Value, ...]] = []
        for k, relative in enumerate(_relatives(found)):
            relation = ("ancestor", "itself", "child")[(k >= len(found.older)) + (k > len(found.older))]
            row = relative.listed
            if row is None:
                rows.append((relation, relative.hash, *(None,) * 7))
                continue
            gain, se = (None if figure is None else 100 * figure for figure in (row.gain, row.gain_se))
            rows.append((relation, relative.hash, row.round, row.slot, row.agent, row.outcome, gain, se, _told(row)))
        return Exported("lineage", names, rows)


def _relatives(found: Facts) -> list[Relative]:
    itself = Relative("● ", found.program.hash if found.program else "", found.listed)
    return [*found.older, itself, *found.younger]


def _rows(found: Facts) -> TextRows:
    """Ancestors hang above it, the furthest one furthest to the right; children below."""
    keys, rows, tones = [], [], []
    relatives = _relatives(found)
    for k, relative in enumerate(relatives):
        row, guide = relative.listed, relative.guide
        if k == len(relatives) - 1 and k > len(found.older) and not found.left_out:
            guide = "└ "
        name = found.names.get(relative.hash, relative.hash[:10] or "no program")
        keys.append(f"{relative.hash} {'' if row is None or row.round is None else f'{row.round}.{row.slot}'}")
        rows.append((guide + plain(name).plain + (" …" if relative.again else ""), *_cells(row)))
        bad = row is not None and row.outcome not in (None, "ok")
        tones.append("good" if k == len(found.older) else "bad" if bad else "")
    return TextRows(keys, rows, tones)


def _cells(row: Listed | None) -> tuple[str, ...]:
    if row is None:
        return "–", "–", "–", "of another run"
    place = "" if row.round is None else f"{row.round}.{row.slot}"
    return gain_text(row.gain, row.gain_se), place, plain(row.agent).plain, " ".join(plain(_told(row)).plain.split())


def _told(row: Listed | None) -> str:
    """Its idea, or what was wrong with it."""
    if row is None:
        return ""
    return row.idea if row.outcome in (None, "ok") else f"{row.outcome}: {row.message}"
