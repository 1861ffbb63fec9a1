"""Every key of every view is pressed, and keys at random: the browser stays, and never shows a traceback."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from textual.screen import ModalScreen

from autotts.archive import Archive
from autotts.ui.browser import Browser
from tests.browsing import SIZES, browsing, settled

ENDING = {"q", "ctrl+c", "ctrl+q"}
"""Keys that end the browser, as they should."""

VIEWS = {
    "runs": ["1"],
    "programs": ["2"],
    "front": ["3"],
    "episodes": ["4"],
    "endings": ["4", "enter"],
    "episode": ["4", "enter", "enter"],
    "compare": ["2", "space", "space", "c"],
    "program": ["2", "enter"],
}


def keys_of(app: Browser) -> list[str]:
    """The keys that do something here."""
    return sorted(set(app.screen.active_bindings) - ENDING)


async def reach(app: Browser, pilot: Any, keys: list[str]) -> None:
    """Go to a view from wherever the browser is."""
    while isinstance(app.screen, ModalScreen):
        app.pop_screen()
        await pilot.pause()
    for key in (keys[0], "", *keys[1:]):
        if key:
            await pilot.press(key)
        while not key and len(app.screen_stack) > 1:
            app.pop_screen()
            await pilot.pause()
        await settled(pilot)


@pytest.mark.asyncio
@pytest.mark.sample(4)
@pytest.mark.parametrize("view", VIEWS)
async def test_every_key_does_something_and_nothing_breaks(
    view: str, browsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with browsing(browsed, SIZES[0]) as (app, pilot):
        await reach(app, pilot, VIEWS[view])
        there = type(app.screen)
        keys, depth = keys_of(app), len(app.screen_stack)
        assert {"e", "question_mark", "t"} <= set(keys) and len(keys) > 15
        for key in keys:
            await pilot.press(key)
            await settled(pilot)
            await pilot.press("enter")  # a dialog is answered, a row is opened
            await settled(pilot)
            assert app.is_running, key
            if type(app.screen) is not there or len(app.screen_stack) != depth:
                await reach(app, pilot, VIEWS[view])
            assert type(app.screen) is there, key


def stored(path: Path) -> list[object]:
    """All that an archive holds: looking at it changes nothing."""
    with Archive(path, create=False) as archive:
        return list(archive.dump())


async def walk(path: Path, seed: int, steps: int) -> None:
    """Press keys at random, of those that do something where the browser is."""
    rng, before = random.Random(seed), stored(path)
    async with browsing(path, SIZES[seed % 2]) as (app, pilot):
        for step in range(steps):
            key = rng.choice(keys_of(app))
            await pilot.press(key)
            if rng.random() < 0.5:
                await settled(pilot)
            assert app.is_running, (seed, step, key)
        await settled(pilot)
    assert stored(path) == before


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(2))
async def test_keys_at_random(seed: int, browsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await walk(browsed, seed, 40)


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(2, 22))
async def test_keys_at_random_for_long(
    seed: int, browsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await walk(browsed, seed, 300)
