"""Every screen of the browser as a picture, small and large.

`pytest tests/test_browse_pictures.py --snapshot-update` draws them anew: look at them before they are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from autotts.archive import Archive, LedgerEntry, LedgerRow
from autotts.ui.browser import Browser
from tests.browsing import RUN, SIZES, desk_of, settled

SCREENS = {
    "runs": ["1"],
    "programs": [],
    "programs-light": ["t"],
    "programs-filtered": ["slash", *"gain>0 -agent:baseline", "enter", "space", "space"],
    "programs-sort": ["s"],
    "help": ["question_mark"],
    "export": ["e"],
    "program": ["enter"],
    "program-light": ["enter", "t"],
    "program-diff": ["slash", *"round=2 slot=0", "enter", "enter", "right_square_bracket"],
    "program-diff-light": ["t", "slash", *"round=2 slot=0", "enter", "enter", "right_square_bracket"],
    "program-schedule": ["enter", *["right_square_bracket"] * 2],
    "program-curve": ["enter", *["right_square_bracket"] * 3],
    "program-lineage": ["slash", *"round=2 slot=0", "enter", "enter", *["right_square_bracket"] * 4],
    "program-proposal": ["enter", *["right_square_bracket"] * 5],
    "program-records": ["enter", "left_square_bracket"],
    "program-write": ["enter", "w"],
    "front": ["3", "right"],
    "front-sequential": ["3", "v", "end"],
    "front-heldout": ["3", "v", "v"],
    "compare": ["c"],
    "compare-light": ["t", "c"],
    "compare-questions": ["c", "right_square_bracket", "v"],
    "compare-code": ["c", "left_square_bracket"],
    "compare-partner": ["c", "p"],
    "episodes": ["4"],
    "episodes-light": ["4", "t"],
    "episodes-difference": ["4", "w", "home", "enter", "v", "v"],
    "endings": ["4", "w", "home", "enter", "down", "down", "enter"],
    "episode": ["4", "down", "down", "enter", "end", "enter"],
    "episode-beside": ["4", "down", "down", "enter", "end", "enter", "w", "home", "enter", "left"],
}


@pytest.fixture(scope="module")
def looked(browsed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run with its reference and its best program scored on held-out data."""
    path = tmp_path_factory.mktemp("looked") / browsed.name
    with Archive(browsed) as whole, Archive(path) as archive:
        archive.import_lines((line.encode() + b"\n" for line in whole.export_lines(RUN)), "there")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("update run set seconds = 42.0")  # what a clock said is not taken along
        listed = [row for row in archive.listing(RUN) if row.hash and row.stage == "confirm" and row.gain is not None]
        for program in (listed[0], max(listed, key=lambda row: row.gain or 0.0)):
            rows = tuple(
                LedgerRow(p.beta, p.accuracy - 0.05, p.tokens, p.sequential_tokens)
                for p in archive.points(RUN, program.hash or "")
            )
            archive.append_ledger(LedgerEntry(program.hash or "", "e" * 64, "tiny-9/held-out", rows, RUN))
    return path


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", SCREENS)
def test_looks_as_it_did(screen: str, size: tuple[int, int], looked: Path, snap_compare: Callable[..., bool]) -> None:
    desk = desk_of(looked)

    async def drive(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        for key in SCREENS[screen]:
            await pilot.press(key)
            await settled(pilot)

    try:
        assert snap_compare(Browser(desk, RUN), terminal_size=size, run_before=drive)
    finally:
        desk.close()
