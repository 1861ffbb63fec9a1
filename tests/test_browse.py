"""The browser: runs and programs, by keys, on a real archive."""

from __future__ import annotations

import csv
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autotts.archive import Archive, Proposal, Verdict
from autotts.ui.browser import Browser
from autotts.ui.browser.grid import Grid
from autotts.ui.browser.program import ProgramView
from autotts.ui.browser.programs import ProgramsView
from autotts.ui.browser.view import Bar, Status
from tests.browsing import SIZES, browsing, desk_of, settled
from tests.databases import Server, binaries
from tests.fake_runs import FakeRun

pytestmark = pytest.mark.asyncio


def programs(app: Any) -> ProgramsView:
    assert isinstance(app.screen, ProgramsView)
    return app.screen


def column(view: ProgramsView, name: str) -> list[Any]:
    exported = view.exported()
    k = exported.columns.index(name)
    return [row[k] for row in exported.rows]


def status(app: Any) -> str:
    return str(app.screen.query_one(Status).render())


async def test_opens_on_the_programs_of_a_run_sorted_by_gain(browsed: Path) -> None:
    with Archive(browsed) as archive:
        rows = list(archive.listing("run-1"))
    async with browsing(browsed) as (app, _):
        view = programs(app)
        gains = [g for g in column(view, "gain") if g is not None]
        assert gains == sorted(gains, reverse=True)
        assert sorted(column(view, "id")) == sorted(row.id or "" for row in rows)
        assert "run-1 (done)" in str(view.query_one(Bar).render())


async def test_the_front_is_marked_in_words_and_is_that_of_the_archive(browsed: Path) -> None:
    with Archive(browsed) as archive:
        holders = {point.id for point in archive.front("run-1")}
    async with browsing(browsed, SIZES[1], "run-1", "slash", *"front", "enter") as (app, _):
        assert {row[0] for row in programs(app).exported().rows} == holders


async def test_a_filter_that_cannot_be_read_says_why_and_changes_nothing(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], "run-1", "slash", *"gane>1") as (app, pilot):
        assert "no column gane" in status(app)
        await pilot.press("escape")
        await settled(pilot)
        assert "no column" not in status(app)


async def test_keys_sort_and_turn_the_order_round(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], "run-1", "s", *["down"] * 3, "enter") as (app, pilot):
        agents = column(programs(app), "agent")
        assert agents == sorted(agents, key=str.casefold)
        await pilot.press("r")
        await settled(pilot)
        assert column(programs(app), "agent") == sorted(agents, key=str.casefold, reverse=True)


async def test_marks_stay_with_their_programs_when_sorted(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], "run-1", "space", "space") as (app, pilot):
        view = programs(app)
        marked = view.marked()
        assert len(marked) == 2
        await pilot.press("s", "home", "enter")
        await settled(pilot)
        assert view.marked() == marked
        await pilot.press("u")
        assert not view.marked()


async def test_exports_what_is_on_the_screen(browsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with browsing(browsed, SIZES[1], "run-1", "e", "enter", "e", *["backspace"] * 3, *"json", "enter") as (
        app,
        pilot,
    ):
        shown = column(programs(app), "id")
        await pilot.press("e", *["backspace"] * 3, *"svg", "enter")
        await settled(pilot)
    with (tmp_path / "run-1-programs.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == shown
    assert [row["id"] for row in json.loads((tmp_path / "run-1-programs-2.json").read_text())] == shown
    assert (tmp_path / "run-1-programs-2.svg").read_text().startswith("<svg")
    assert not list(tmp_path.glob(".*"))


async def test_runs_are_exported_as_figures(browsed: Path) -> None:
    with Archive(browsed) as archive:
        (one,) = archive.counts()
    async with browsing(browsed, SIZES[1]) as (app, pilot):
        await pilot.press("1")
        await waited(pilot, lambda: app.screen.exported().rows[0][9] is not None)
        exported = app.screen.exported()
        told = dict(zip(exported.columns, exported.rows[0], strict=True))
    assert told["run"] == one.name and told["state"] == "done" and told["agents"] == ", ".join(one.agents)
    assert told["candidates"] == one.candidates and told["rejects"] == one.candidates - one.outcomes["ok"]
    assert told["gain"] == 100 * one.best_gain and told["seconds"] == one.seconds and told["seconds_left"] is None


async def test_an_export_does_not_replace_a_file(
    browsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with browsing(browsed, SIZES[1], "run-1", "e") as (app, pilot):
        (tmp_path / "run-1-programs.csv").write_text("mine")
        await pilot.press("enter")
        await settled(pilot)
        assert "exists already" in str(app.screen.query_one("#wrong").render())
    assert (tmp_path / "run-1-programs.csv").read_text() == "mine"


async def test_follows_a_run_that_goes_on(browsed: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing.db"
    with Archive(browsed) as whole:
        lines = list(whole.export_lines("run-1"))
    with Archive(path) as growing:
        growing.import_lines((line.encode() + b"\n" for line in lines), "there")
        last = growing.last_slot("run-1")
        proposal = growing.proposal("run-1", *last)
        assert proposal is not None
        async with browsing(path) as (app, pilot):
            before = len(app.columns)
            verdict = proposal.verdict
            assert verdict is not None
            later = {"run": "run-1", "round": last[0] + 1, "slot": 0}
            growing.add_proposal(replace(proposal, **later, verdict=None))
            await waited(pilot, lambda: len(app.columns) == before + 1)
            assert app.columns.text("outcome", before) == "undecided"
            growing.commit_slot(*later.values(), verdict)
            await waited(pilot, lambda: app.columns.text("outcome", before) == verdict.outcome)
            assert len(app.columns) == before + 1


async def waited(pilot: Any, holds: Any) -> None:
    for _ in range(300):
        await pilot.pause(0.02)
        if holds():
            return
    raise AssertionError("it did not come to pass")


def copy_of(browsed: Path, folder: Path) -> Path:
    with sqlite3.connect(browsed) as source, sqlite3.connect(folder / "copy.db") as copy:
        source.backup(copy)
    return folder / "copy.db"


async def test_a_deleted_archive_is_said_and_what_was_read_stays(browsed: Path, tmp_path: Path) -> None:
    path = copy_of(browsed, tmp_path)
    async with browsing(path) as (app, pilot):
        known = len(app.columns)
        path.unlink()
        await waited(pilot, lambda: "the archive is gone" in status(app))
        assert len(app.columns) == known
        await pilot.press("1", "2", "down", "s", "escape")
        await settled(pilot)
        assert "the archive is gone" in status(app)


async def test_a_locked_archive_is_waited_for_and_said(browsed: Path, tmp_path: Path) -> None:
    path = copy_of(browsed, tmp_path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("PRAGMA journal_mode=DELETE")  # with a write-ahead log nobody can keep readers out
    async with browsing(path) as (app, pilot):
        known = len(app.columns)
        blocker.execute("BEGIN EXCLUSIVE")
        try:
            await waited(pilot, lambda: "another process has been writing" in status(app))
            assert len(app.columns) == known
            await pilot.press("1", "2", "down", "r")
            await settled(pilot)
        finally:
            blocker.execute("ROLLBACK")
            blocker.close()
        await waited(pilot, lambda: not app.trouble)
        assert "another process" not in status(app)


async def test_every_view_opens_at_every_size(browsed: Path) -> None:
    for size in SIZES:
        async with browsing(browsed, size, None, "1", "2", "3", "4", "5", "question_mark", "escape", "t") as (app, _):
            assert app.is_running
            assert isinstance(app.screen.query_one(Bar), Bar)


async def test_a_grid_of_any_length_draws_only_what_is_seen() -> None:
    from textual.app import App, ComposeResult

    from autotts.ui.browser.grid import Column

    drawn: list[int] = []

    class Many:
        def __len__(self) -> int:
            return 1_000_000

        def key(self, row: int) -> str:
            return str(row)

        def cells(self, row: int) -> list[str]:
            drawn.append(row)
            return [f"row {row}", "x" * 60]

        def tone(self, row: int) -> str:
            return ""

    class Host(App[None]):
        def compose(self) -> ComposeResult:
            yield Grid([Column("a", "a", 12), Column("b", "b", 40)])

    app = Host()
    async with app.run_test(size=(40, 10)) as pilot:
        grid = app.query_one(Grid)
        grid.show(Many())
        grid.focus()
        await pilot.press("end")
        await pilot.pause()
        assert grid.key == "999999"
        assert 999_999 in drawn
        assert len(drawn) < 200
        await pilot.press("home", "pagedown", "right")
        await pilot.pause()
        assert grid.cursor == 8


async def test_a_server_that_goes_is_said_and_comes_back(browsed: Path) -> None:
    programs_of_server = binaries()
    if programs_of_server is None:
        pytest.skip("no PostgreSQL server here (Debian: apt-get install postgresql)")
    server = Server(programs_of_server)
    try:
        url = server.database()
        with Archive(browsed) as whole, Archive(url) as copy:
            copy.import_lines((line.encode() + b"\n" for line in whole.export_lines("run-1")), "there")
        async with browsing(url) as (app, pilot):
            known = len(app.columns)
            server.end()
            await waited(pilot, lambda: "server does not answer" in status(app))
            assert len(app.columns) == known
            await pilot.press("1", "2", "down")
            server.start()
            await waited(pilot, lambda: not app.trouble)
    finally:
        server.close()


async def test_what_programs_say_is_text_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with Archive(path) as archive:
        run = FakeRun(archive)
        ideas = ("[bold red]not markup[/]", "\x1b[31mred\x1b[0m \x07bell", "漢字" * 60, "a" * 5000, "‮turned")
        for k, idea in enumerate(ideas):
            run.add(1, k, run.luck(), idea=idea)
        verdict = Verdict("PolicyViolation", "[link=x]line\x1b]0;title\x07", 3)
        archive.add_proposal(Proposal("run-1", 1, len(ideas), "[agent]", "no program"))
        archive.commit_slot("run-1", 1, len(ideas), verdict)
    for size in SIZES:
        async with browsing(path, size) as (app, pilot):
            shown = app.export_screenshot().replace("&#160;", " ")
            assert "not markup" in shown
            assert "\x1b" not in shown and "\x07" not in shown and "‮" not in shown
            await pilot.press("end", "enter")
            await settled(pilot)
            assert app.is_running


async def test_help_names_every_key_of_the_view(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], "run-1", "question_mark") as (app, _):
        shown = app.export_screenshot().replace("&#160;", " ")
        for key in ("Filter", "Sort", "Mark", "Compare", "Export", "Light or dark", "Quit"):
            assert key in shown


async def test_the_palette_looks_at_a_run(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], None) as (app, pilot):
        await pilot.press("ctrl+p", *"Look at run", "enter")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await settled(pilot)
        assert app.run_name == "run-1"


async def test_an_empty_archive_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    Archive(path).close()
    desk = desk_of(path)
    app = Browser(desk)
    try:
        async with app.run_test(size=SIZES[0]) as pilot:
            await waited(pilot, lambda: "no run yet" in str(app.screen.query_one(Bar).render()))
            await pilot.press("2", "3", "4", "5", "1", "enter")
            await pilot.pause()
            assert app.is_running
    finally:
        desk.close()


async def test_going_from_run_to_run_and_back_mixes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "two.db"
    with Archive(path) as archive:
        for name, programs in (("run-1", 3), ("run-2", 5)):
            run = FakeRun(archive, name, seed=programs)
            for k in range(programs):
                run.add(1, k, run.luck())
    async with browsing(path) as (app, pilot):
        for _ in range(10):
            app.look_at("run-2")
            app.look_at("run-1")
            await pilot.pause(0.01)
        await waited(pilot, lambda: not app.loading and len(app.columns) >= 5)
        assert len(app.columns) == 5  # two baselines and three programs
        app.look_at("run-2")
        await waited(pilot, lambda: not app.loading and len(app.columns) >= 7)
        assert len(app.columns) == 7


async def test_escape_leads_back_to_where_one_came_from(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], "run-1", "space", "space", "c") as (app, pilot):
        assert app.current_mode == "compare"
        await pilot.press("o")
        await settled(pilot)
        assert app.current_mode == "episodes"
        for expected in ("compare", "programs", "programs"):
            await pilot.press("escape")
            await settled(pilot)
            assert app.current_mode == expected
        await pilot.press("5", "escape")
        await settled(pilot)
        assert app.current_mode == "compare"  # a view that was chosen by its key led from nowhere


async def test_o_shows_the_episodes_of_what_is_marked(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], "run-1", "space", "space", "o") as (app, _):
        assert app.current_mode == "episodes"
        assert len(app.played) == 2


async def test_the_mouse_sorts_chooses_and_opens(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], "run-1") as (app, pilot):
        view = programs(app)
        before = column(view, "id")
        await pilot.click(Grid, offset=(6, 0))  # the head of the ids
        await settled(pilot)
        assert column(view, "id") == sorted(before) and column(view, "id") != before
        await pilot.click(Grid, offset=(6, 3))
        assert view.grid.cursor == 2
        wanted = view.selected()
        await pilot.click(Grid, offset=(6, 3), times=2)
        await settled(pilot)
        assert isinstance(app.screen, ProgramView) and app.screen.hash == wanted


async def test_every_archive_tells_those_who_look_the_same(browsed: Path, target: str) -> None:
    with Archive(browsed) as here, Archive(target) as there:
        there.import_lines((line.encode() + b"\n" for line in here.export_lines()), "there")
        rows = list(here.listing("run-1"))
        programs_of = [row.hash for row in rows if row.hash]
        for archive in (here, there):
            assert archive.page("run-1") == rows
            assert archive.page("run-1", (0, 2), 4) == rows[3:7]
        assert [replace(c, seconds=0.0) for c in here.counts()] == [replace(c, seconds=0.0) for c in there.counts()]
        assert here.points_of("run-1", programs_of, [0.0, 1.0]) == there.points_of("run-1", programs_of, [0.0, 1.0])
        parents = {parent for row in rows for parent in row.parents}
        assert parents
        for hash in programs_of:
            assert here.listed_as(hash) == there.listed_as(hash) == [row for row in rows if row.hash == hash]
            assert here.stored_evaluations(hash) == there.stored_evaluations(hash)
            assert here.made_from("run-1", hash) == there.made_from("run-1", hash)
            assert bool(here.made_from("run-1", hash)) == (hash in parents)
