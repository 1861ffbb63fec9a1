"""Every screen of the browser as a picture, small and large.

`pytest tests/test_browse_pictures.py --snapshot-update` draws them anew: look at them before they are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

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
    "program-curve": ["enter", *["right_square_bracket"] * 3],
    "program-lineage": ["enter", *["right_square_bracket"] * 4],
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", SCREENS)
def test_looks_as_it_did(screen: str, size: tuple[int, int], browsed: Path, snap_compare: Callable[..., bool]) -> None:
    desk = desk_of(browsed)

    async def drive(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        for key in SCREENS[screen]:
            await pilot.press(key)
            await settled(pilot)

    try:
        assert snap_compare(Browser(desk, RUN), terminal_size=size, run_before=drive)
    finally:
        desk.close()
