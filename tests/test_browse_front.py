"""The front in the browser: the points of the archive, chosen by keys and by the mouse, in every view."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from autotts.archive import Archive, LedgerEntry, LedgerRow, Point, front, stretches
from autotts.ui.browser.cloud import MOST, cloud
from autotts.ui.browser.front import FrontView
from autotts.ui.browser.grid import Grid
from autotts.ui.browser.plot import CurvePlot, Series, legend
from autotts.ui.browser.program import ProgramView
from autotts.ui.browser.view import Status
from autotts.ui.plot import short_tokens
from tests.browsing import RUN, SIZES, browsing, settled
from tests.fake_runs import FakeRun

pytestmark = pytest.mark.asyncio

HELD = "model/held-out"


def view(app: Any) -> FrontView:
    assert isinstance(app.screen, FrontView)
    return app.screen


def text(app: Any, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


def status(app: Any) -> str:
    return str(app.screen.query_one(Status).render())


def curve_points(app: Any, name: str) -> list[tuple[Any, ...]]:
    return [tuple(row[1:]) for row in view(app).exported().rows if row[0] == name]


def figures(points: list[Point]) -> list[tuple[Any, ...]]:
    return [(p.id, p.beta, 100 * p.accuracy, p.tokens, p.sequential_tokens) for p in points]


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """A run of drawn figures, two programs of which were scored on held-out data, one of them twice."""
    path = tmp_path / "scored.db"
    with Archive(path) as archive:
        run = FakeRun(archive)
        best = run.add(1, 0, run.luck(0.2))
        for program, shift in ((run.baselines[0], 0.0), (best, 0.3), (best, 0.1)):
            rows = tuple(LedgerRow(b, 0.4 + 0.2 * b + shift, 1e4 * (1 + b), 5e3 * (1 + b)) for b in (0.0, 0.5, 1.0))
            archive.append_ledger(LedgerEntry(program, "e" * 64, HELD, rows, RUN))
    return path


async def test_shows_the_front_of_the_archive_and_who_holds_which_stretch(browsed: Path) -> None:
    with Archive(browsed) as archive:
        expected = archive.front(RUN)
        baselines = {row.hash for row in archive.listing(RUN) if row.agent == "baseline"}
    async with browsing(browsed, SIZES[1], RUN, "3") as (app, _):
        assert curve_points(app, "front") == figures(expected)
        assert not status(app)
        rows = app.screen.query_one(Grid).rows
        told = [rows.cells(k)[1] for k in range(len(rows)) if rows.cells(k)[1]]
        held = stretches(expected)
        assert [t.split(" … ")[0] for t in told] == [short_tokens(s.low) for s in held]
        assert told[-1].endswith("… ")
        assert {p for name in ("cmc", "sc") for p, *_ in curve_points(app, name)} <= baselines


async def test_left_and_right_go_along_the_front_and_tell_the_point(browsed: Path) -> None:
    with Archive(browsed) as archive:
        second = archive.front(RUN)[1]
        program = archive.program(second.id)
    assert program is not None
    for size in SIZES:
        async with browsing(browsed, size, RUN, "3", "right", "right", "left") as (app, _):
            assert view(app).chosen() == second
            told = text(app, "#detail")
            for figure in (f"β {second.beta:g}", f"{100 * second.accuracy:.2f} %", f"{second.tokens:,.0f} tokens"):
                assert figure in told
            assert f"{second.sequential_tokens:,.0f} sequential" in told
            assert program.idea in told


async def test_a_click_chooses_the_point_that_is_nearest_to_the_eye(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], RUN, "3") as (app, pilot):
        points = view(app).points()
        plot = app.screen.query_one(CurvePlot)
        for wanted in (points[-1], points[len(points) // 2], points[0]):
            cell = plot.get_pixel_from_coordinate(math.log10(wanted.tokens), 100 * wanted.accuracy)
            await pilot.click("#plot", offset=cell)
            await settled(pilot)
            found = view(app).chosen()
            assert found is not None
            assert plot.get_pixel_from_coordinate(math.log10(found.tokens), 100 * found.accuracy) == cell


async def test_enter_opens_the_program_and_escape_comes_back_to_the_point(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], RUN, "3", "right") as (app, pilot):
        chosen = view(app).chosen()
        assert chosen is not None
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, ProgramView)
        assert app.screen.hash == chosen.id
        await pilot.press("escape")
        await settled(pilot)
        assert view(app).chosen() == chosen


async def test_one_is_compared_with_the_reference_and_two_marked_ones_with_each_other(browsed: Path) -> None:
    with Archive(browsed) as archive:
        holders = list(dict.fromkeys(point.id for point in archive.front(RUN)))
    assert len(holders) > 1
    async with browsing(browsed, SIZES[1], RUN, "3", "c") as (app, pilot):
        assert app.compared == (holders[0],)
        await pilot.press("3", "home", "space")
        await settled(pilot)
        while view(app).chosen().id == holders[0]:  # type: ignore[union-attr]
            await pilot.press("right")
        await pilot.press("space", "c")
        await settled(pilot)
        assert app.compared == tuple(holders[:2])
        await pilot.press("3", "end", "o")
        await settled(pilot)
        assert app.played[:1] == (app.front[-1].id,)


async def test_sequential_tokens_have_a_front_of_their_own(browsed: Path) -> None:
    with Archive(browsed) as archive:
        turned = [Point(p.id, p.beta, p.sequential_tokens, p.accuracy, p.tokens) for p in archive.each_point(RUN)]
    async with browsing(browsed, SIZES[0], RUN, "3", "v") as (app, pilot):
        assert [(p.id, p.beta) for p in view(app).points()] == [(p.id, p.beta) for p in front(turned)]
        assert "sequential tokens" in text(app, "#legend-line")
        await pilot.press("v")
        await settled(pilot)
        assert any("nothing of this archive was scored" in str(n.message) for n in app._notifications)
        assert view(app).points() == app.front


async def test_held_out_points_are_of_the_last_look_and_looks_are_counted(scored: Path) -> None:
    with Archive(scored) as archive:
        last = {entry.program: entry for entry in archive.ledger()}
    points = [Point(id, r.beta, r.tokens, r.accuracy, r.sequential_tokens) for id, e in last.items() for r in e.rows]
    async with browsing(scored, SIZES[1], RUN, "3", "v", "v") as (app, pilot):
        assert view(app).points() == front(points)
        assert "looked at 3 times in this archive, 2 programs" in status(app)
        assert HELD in view(app).where()
        assert {row[0] for row in view(app).exported().rows} == {"cmc", view(app).points()[-1].id[:10], "front"}
        await pilot.press("v")
        await settled(pilot)
        assert view(app).points() == app.front


async def test_a_look_at_held_out_data_meanwhile_is_there_when_the_view_is_opened_again(scored: Path) -> None:
    async with browsing(scored, SIZES[1], RUN, "3") as (app, pilot):
        assert len(view(app).modes) == 3
        with Archive(scored) as archive:
            rows = (LedgerRow(0.0, 0.5, 1e4, 1e3),)
            archive.append_ledger(LedgerEntry(app.front[0].id, "f" * 64, "other/held-out", rows, RUN))
        await pilot.press("2", "3")
        await settled(pilot)
        assert view(app).modes[-1] == "other/held-out"


async def test_another_run_is_not_shown_the_points_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "two.db"
    with Archive(path) as archive:
        one, other = FakeRun(archive, "one"), FakeRun(archive, "other", seed=1)
        one.add(1, 0, one.luck())
    goes_on = threading.Event()
    read = Archive.each_point

    def slowly(self: Archive, run: str) -> Iterator[Point]:
        if run == "one":
            goes_on.wait(5)
        yield from read(self, run)

    monkeypatch.setattr(Archive, "each_point", slowly)
    async with browsing(path, SIZES[1], "one") as (app, pilot):
        await pilot.press("3")
        await pilot.pause(0.1)
        assert "reading all points" in status(app)
        app.look_at("other")
        await pilot.pause(0.1)
        goes_on.set()
        await settled(pilot)
        assert {p.id for p in app.front} <= set(other.baselines)
        assert "2 programs" in text(app, "#legend-line")
        await pilot.press("v")
        assert {p.id for p in view(app).points()} <= set(other.baselines)


async def test_news_that_come_before_a_view_has_its_widgets_wait_for_them(tmp_path: Path) -> None:
    path = tmp_path / "two.db"
    with Archive(path) as archive:
        FakeRun(archive, "one")
        FakeRun(archive, "other", seed=1)
    async with browsing(path, SIZES[1], "one") as (app, pilot):
        for name in ("front", "compare", "runs", "episodes"):
            app.switch_mode(name)
            app.look_at("other" if app.run_name == "one" else "one")
            await settled(pilot)
            assert app.is_running


async def test_the_cursor_stays_on_its_point_while_the_front_grows(tmp_path: Path) -> None:
    path = tmp_path / "growing.db"
    with Archive(path) as archive:
        run = FakeRun(archive)
        async with browsing(path, SIZES[1], RUN, "3", "end", "space") as (app, pilot):
            chosen = view(app).chosen()
            added = run.add(1, 0, 0.5 * run.chance, 0.01 * run.tokens)  # cheaper and worse than all others
            for _ in range(300):
                await pilot.pause(0.02)
                if added in {p.id for p in view(app).points()}:
                    break
            await settled(pilot)
            assert view(app).points()[0].id == added
            assert view(app).chosen() == chosen
            assert len(app.screen.query_one(Grid).marked) == 1
            assert "3 programs" in text(app, "#legend-line")


async def test_a_run_without_a_front_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with Archive(path) as archive:
        FakeRun(archive, "full")
        refs = archive.run("full").environments
        from autotts.archive import Run

        archive.add_run(Run("empty", 0, archive.run("full").config, refs))
    for size in SIZES:
        async with browsing(path, size, "empty", "3", "right", "enter", "c", "3", "o", "3", "v", "space") as (app, _):
            assert not view(app).points()
            assert "no program is confirmed yet" in text(app, "#detail")
            assert not view(app).exported().rows


async def test_what_could_not_be_read_is_said_and_read_later(browsed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autotts.archive import ArchiveError

    read, broken = Archive.each_point, [True]

    def failing(self: Archive, run: str) -> Iterator[Point]:
        if broken:
            raise ArchiveError("the disk is on holiday")
        return read(self, run)

    monkeypatch.setattr(Archive, "each_point", failing)
    async with browsing(browsed, SIZES[1], RUN, "3") as (app, pilot):
        assert "the disk is on holiday" in status(app)
        assert view(app).points() == app.front
        broken.clear()
        await pilot.press("2", "3")
        await settled(pilot)
        assert "holiday" not in status(app)
        assert "programs" in text(app, "#legend-line")


async def test_names_of_strangers_are_text(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    odd = "[bold]m\x1b[31m/漢字\x07" + "x" * 300
    with Archive(path) as archive:
        run = FakeRun(archive)
        program = run.add(1, 0, run.luck(0.3), 0.1 * run.tokens, idea=odd)
        archive.append_ledger(LedgerEntry(program, "e" * 64, odd, (LedgerRow(0.0, 0.5, 1e4, 1e3),), RUN))
    for size in SIZES:
        async with browsing(path, size, RUN, "3", "v", "v") as (app, pilot):
            await pilot.press("home")
            shown = app.export_screenshot().replace("&#160;", " ")
            assert "[bold]m" in shown
            assert "\x1b" not in shown and "\x07" not in shown


async def test_points_of_a_long_run_are_thinned_and_the_sequential_front_is_whole() -> None:
    rng = random.Random(0)
    points = [
        Point(f"p{k}", b, 10 ** rng.uniform(3, 6), rng.random(), 10 ** rng.uniform(3, 5))
        for k in range(15_000)
        for b in (0.0, 1.0)
    ]
    found = cloud(iter(points))
    turned = [Point(p.id, p.beta, p.sequential_tokens, p.accuracy, p.tokens) for p in points]
    assert found.programs == 15_000
    assert [(p.id, p.beta) for p in found.sequential_front] == [(p.id, p.beta) for p in front(turned)]
    for dots in (found.tokens, found.sequential):
        assert MOST / 4 < len(dots) <= MOST
    there = {(round(p.tokens, 3), round(100 * p.accuracy, 6)) for p in points}
    assert all((round(t, 3), round(a, 6)) in there for t, a in found.tokens)


async def test_a_legend_names_every_curve_within_the_width() -> None:
    series = [Series(name, [1.0], [1.0], "o") for name in ("one", "a" * 30, "b" * 30, "last")]
    lines = legend(series, {}, 40, "accuracy").plain.split("\n")
    assert len(lines) > 1
    assert all(len(line) <= 40 for line in lines)
    assert all(one.name in "".join(lines) for one in series)
