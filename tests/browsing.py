"""An archive to browse, and the browser driven by keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from textual.pilot import Pilot

from autotts.archive import Archive
from autotts.archive.schema import tables
from autotts.replay import save_environment
from autotts.search import Config, open_run, start_run
from autotts.ui.browser import Browser, Desk
from tests.small import small_environment

SIZES = ((80, 24), (160, 50))
RUN = "run-1"


def make_archive(folder: Path) -> Path:
    """A small run of the built-in agent, on two small models, to its end; the same whenever it is made."""
    environments = [small_environment(f"tiny-{k}", questions=6, branches=16, seed=k) for k in range(2)]
    paths = [str(folder / f"{e.model}.jsonl") for e in environments]
    for environment, place in zip(environments, paths, strict=True):
        save_environment(environment, place)
    path = folder / "browsed.db"
    with Archive(path) as archive:
        config = Config(rounds=2, proposals_per_round=4, betas=5, seeds=2, envs=tuple(paths))
        name = start_run(archive, RUN, config, environments)
        with open_run(archive, name, workers=2) as search:
            search.go()
        with archive._writing() as connection:  # what a clock said
            connection.execute(sa.update(tables.run).values(seconds=42.0))
    return path


def desk_of(path: Path | str) -> Desk:
    """A desk on an archive."""
    return Desk(str(path), 2, {}, lambda text: None)


@asynccontextmanager
async def browsing(
    path: Path | str, size: tuple[int, int] = SIZES[1], run: str | None = RUN, *keys: str
) -> AsyncIterator[tuple[Browser, Pilot[Any]]]:
    """The browser, when it has read the archive and these keys are pressed."""
    desk = desk_of(path)
    try:
        app = Browser(desk, run)
        async with app.run_test(size=size) as pilot:
            await settled(pilot)
            for key in keys:
                await pilot.press(key)
                await settled(pilot)
            yield app, pilot
    finally:
        desk.close()


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until everything is read and shown that was asked for."""
    app = pilot.app
    assert isinstance(app, Browser)
    for _ in range(400):
        await pilot.pause(0.02)
        busy = [w for w in app.workers if w.group != "follow" and not w.is_finished]
        if app.counts and not app.loading and not busy:
            return
    raise AssertionError("the browser did not come to rest")
