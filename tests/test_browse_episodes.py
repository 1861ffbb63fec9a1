"""What programs did, in the browser: heat map, list and episode against the traces themselves, by keys."""

from __future__ import annotations

import csv
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autotts.archive import Archive
from autotts.archive import Program as Stored
from autotts.errors import SandboxError
from autotts.evaluation import EpisodeTrace, Evaluator, Program, shipped
from autotts.replay import Environment
from autotts.traces import KINDS, episode
from autotts.traces.frames import Played, played
from autotts.traces.heat import HeatMap, heat_map
from autotts.ui.browser import Desk
from autotts.ui.browser.branches import BranchGrid, cells_after, letter
from autotts.ui.browser.desk import Traced
from autotts.ui.browser.episode import EpisodeView
from autotts.ui.browser.episodes import EndingsView, EpisodesView
from autotts.ui.browser.heat import HeatGrid
from autotts.ui.browser.view import Bar, Status
from tests.browsing import RUN, SIZES, browsing, desk_of, settled
from tests.traced import MIXED, program, two_worlds

SMALL, LARGE = SIZES


def heat_view(app: Any) -> EpisodesView:
    assert isinstance(app.screen, EpisodesView)
    return app.screen


def episode_view(app: Any) -> EpisodeView:
    assert isinstance(app.screen, EpisodeView)
    return app.screen


def text(app: Any, selector: str) -> str:
    return str(app.screen.query_one(selector).render())


def status(app: Any) -> str:
    return str(app.screen.query_one(Status).render())


def screen(app: Any) -> str:
    picture: str = app.export_screenshot()
    return picture.replace("&#160;", " ")


async def waited(pilot: Any, holds: Any) -> None:
    for _ in range(300):
        await pilot.pause(0.02)
        if holds():
            return
    raise AssertionError("it did not come to pass")


def best_of(path: Path) -> str:
    with Archive(path) as archive:
        rows = [row for row in archive.listing(RUN) if row.agent != "baseline" and row.outcome == "ok"]
    confirmed = [row for row in rows if row.stage == "confirm"]
    return max(confirmed, key=lambda row: row.gain or 0.0).hash or ""


@pytest.fixture(scope="module")
def traced(browsed: Path) -> dict[str, tuple[list[EpisodeTrace], HeatMap, list[Environment]]]:
    """What the run's best program and its reference do, found without the browser."""
    desk = desk_of(browsed)
    try:
        environments = list(desk.evaluator(RUN).environments)
        programs = {"best": desk.program(best_of(browsed)), "cmc": shipped("cmc")}
    finally:
        desk.close()
    with Evaluator(environments, workers=1) as evaluator:
        found = {name: evaluator.trace(one) for name, one in programs.items()}
    return {name: (traces, heat_map(traces, environments), environments) for name, traces in found.items()}


def a_copy(browsed: Path, folder: Path, change: str = "") -> Path:
    """A copy of the archive, changed by SQL."""
    path = folder / "copy.db"
    with sqlite3.connect(browsed) as source, sqlite3.connect(path) as copy:
        source.backup(copy)
        copy.execute(change or "SELECT 1")
    return path


# ---- the heat map ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_best_program_is_shown_where_none_was_chosen(browsed: Path, traced: Any) -> None:
    _, heat, _ = traced["best"]
    async with browsing(browsed, LARGE, RUN, "4") as (app, _):
        assert best_of(browsed)[:10] in str(app.screen.query_one(Bar).render())
        exported = heat_view(app).exported()
        assert exported is not None
        assert exported.columns == ("program", "question", "environment", "accuracy", "tokens", *KINDS)
        expected = [
            (best_of(browsed), question, environment, cell.accuracy, cell.tokens, *cell.kinds.values())
            for question, row in zip(heat.questions, heat.cells, strict=True)
            for environment, cell in zip(heat.environments, row, strict=True)
            if cell
        ]
        assert list(exported.rows) == expected
        worst = heat.questions[heat.worst_first()[0]]
        assert f"{worst}, {heat.environments[0]}" in text(app, "#told")
        assert all(kind in text(app, "#signs") for kind in KINDS)


def total(strip: str) -> list[float]:
    """The figures of a line of the map."""
    return [float(part) for part in strip.split() if part.lstrip("+-").replace(".", "").isdecimal()]


def line(app: Any, y: int, map: str = "#first") -> str:
    text: str = app.screen.query_one(map, HeatGrid).render_line(y).text
    return text


@pytest.mark.asyncio
async def test_totals_and_orders_of_the_questions(browsed: Path, traced: Any) -> None:
    _, heat, _ = traced["best"]
    async with browsing(browsed, LARGE, RUN, "4") as (app, pilot):
        shares = [heat.right(environment) for environment in range(2)]
        assert total(line(app, 1)) == [round(100 * share) for share in (*shares, sum(shares) / 2)]
        assert "worst first" in line(app, 0)
        for y, question in enumerate(heat.worst_first()[:4], 2):
            assert line(app, y).startswith(heat.questions[question])
            assert total(line(app, y))[-1] == round(100 * (1 - heat.wrong(question)))
        await pilot.press("s")
        assert "as recorded" in line(app, 0)
        assert [line(app, y)[:2] for y in range(2, 8)] == list(heat.questions)
        await pilot.press("s")
        assert "worst first" in line(app, 0)


@pytest.mark.asyncio
async def test_a_second_program_and_the_difference(browsed: Path, traced: Any) -> None:
    one, other = traced["best"][1], traced["cmc"][1]
    async with browsing(browsed, SMALL, RUN, "4", "v") as (app, pilot):
        assert len(app._notifications) == 1, "there is no second program yet"
        app.show_episodes([best_of(browsed), shipped("cmc").hash])
        heat_view(app).on_open()
        await settled(pilot)
        assert text(app, "#told").count("right,") == 2
        first = [line(app, y)[:2] for y in range(2, 8)]
        await pilot.press("v")
        assert heat_view(app).where() == "cmc"
        assert [line(app, y)[:2] for y in range(2, 8)] == first, "every map has the same order"
        assert total(line(app, 1))[-1] == round(50 * sum(other.right(k) for k in range(2)))
        await pilot.press("v", "s", "s")
        assert heat_view(app).where() == f"{best_of(browsed)[:10]} − cmc"
        assert "most changed" in line(app, 0)
        gains = {q: other.wrong(k) - one.wrong(k) for k, q in enumerate(one.questions)}
        shown = {line(app, y)[:2]: total(line(app, y))[-1] for y in range(2, 8)}
        assert shown == pytest.approx({q: round(100 * gain, 1) for q, gain in gains.items()})
        changes = [abs(change) for change in shown.values()]
        assert changes == sorted(changes, reverse=True)
        assert "right more often" in text(app, "#signs")
        await pilot.press("c")
        await settled(pilot)
        assert app.compared == (best_of(browsed), shipped("cmc").hash)


@pytest.mark.asyncio
async def test_two_maps_stand_side_by_side_where_there_is_room(browsed: Path) -> None:
    async with browsing(browsed, LARGE, RUN, "4") as (app, pilot):
        app.show_episodes([best_of(browsed), shipped("cmc").hash])
        heat_view(app).on_open()
        await settled(pilot)
        first, second = app.screen.query(HeatGrid)
        assert first.region.width > 70 and second.region.width > 70
        assert heat_view(app).where() == f"{best_of(browsed)[:10]} │ cmc"
        await pilot.press(*["down", "right", "down"])
        assert first.cursor == second.cursor == (2, 1)
        await pilot.click("#second", offset=(16, 5))
        assert first.cursor == second.cursor == (3, 0)
        await pilot.press("v")
        assert "▲" in "".join(line(app, y, "#second") for y in range(2, 8))
        assert "%" in line(app, 3)
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        assert first.display and not second.display
        await pilot.press("a", "home", "enter")
        await settled(pilot)
        assert not second.display


@pytest.mark.asyncio
async def test_programs_are_chosen_by_keys(browsed: Path) -> None:
    async with browsing(browsed, SMALL, RUN, "4", "a", "home", "enter") as (app, pilot):
        assert app.played == (app.columns.baselines()[0],)
        first = app.played[0]
        await pilot.press("w", "home", "enter")
        await settled(pilot)
        assert app.played[0] == first and len(set(app.played)) == 2
        exported = heat_view(app).exported()
        assert exported is not None and {row[0] for row in exported.rows} == set(app.played)


@pytest.mark.asyncio
async def test_the_cursor_goes_everywhere_and_no_further(browsed: Path) -> None:
    async with browsing(browsed, SMALL, RUN, "4", "end", "right", "right", "right") as (app, pilot):
        grid = app.screen.query_one(HeatGrid)
        assert grid.cursor == (5, 1)
        await pilot.press("pageup", "left", "left", "up")
        assert grid.cursor == (0, 0)
        await pilot.press("j", "l")
        assert grid.cursor == (1, 1)
        await pilot.click(HeatGrid, offset=(14, 4))
        assert grid.cursor == (2, 0)


# ---- the list and the episode ----------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_cell_leads_to_its_episodes_and_to_one_of_them(browsed: Path, traced: Any) -> None:
    traces, heat, environments = traced["best"]
    question = heat.worst_first()[1]
    cell = heat.cells[question][1]
    async with browsing(browsed, LARGE, RUN, "4", "down", "right", "enter") as (app, pilot):
        assert isinstance(app.screen, EndingsView)
        rows = [row[1:] for row in app.screen.exported().rows]
        assert rows == [(e.beta, e.seed, e.right, e.kind, e.tokens, len(traces[e.trace].actions)) for e in cell.endings]
        await pilot.press("down", "enter")
        await settled(pilot)
        expected = played(traces[cell.endings[1].trace], environments)
        exported = episode_view(app).exported()
        assert exported is not None
        figures = [(row[0], row[1], row[2], row[5], row[6], row[7], row[8]) for row in exported.rows]
        assert figures == [
            (f.wave, f.action, f.line, f.cost, f.tokens, f.sequential_tokens, f.leader) for f in expected.frames
        ]
        told = text(app, "#own .told")
        assert f"returned {letter(expected.answer)}" in told and expected.kind in told
        assert f"pass@1 {100 * expected.solvable:.0f} %" in told
        assert f"wave {len(expected.frames)} of {len(expected.frames)}" in told
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, EpisodesView)


OPEN = ("4", "end", "enter", "end", "enter")
"""Keys to the episode at β = 1 of the question that is right most often."""


@pytest.mark.asyncio
@pytest.mark.parametrize("size", SIZES)
async def test_keys_step_through_the_waves(browsed: Path, size: tuple[int, int]) -> None:
    async with browsing(browsed, size, RUN, *OPEN) as (app, pilot):
        own = episode_view(app).own
        assert own.wave == own.waves > 2
        await pilot.press("left")
        assert f"wave {own.waves - 1} of {own.waves}" in text(app, "#own .told")
        assert "returned" not in text(app, "#own .told")
        await pilot.press("home", "left")
        assert own.wave == 0 and f"before the first of {own.waves}" in text(app, "#own .told")
        for wave in range(1, own.waves + 1):
            await pilot.press("right")
            assert own.played is not None
            frame = own.played.frames[wave - 1]
            told = text(app, "#own .told")
            assert f"tokens {frame.tokens:,}, sequential {frame.sequential_tokens:,}" in told
            assert f"line {frame.line}: " in told
            assert all(f"{v.votes:>2}, {v.finished:>2} finished" in told for v in frame.votes)
        await pilot.press("home", "end")
        assert own.wave == own.waves


@pytest.mark.asyncio
async def test_it_plays_by_itself_and_stops_at_the_end(browsed: Path) -> None:
    async with browsing(browsed, SMALL, RUN, *OPEN) as (app, pilot):
        view = episode_view(app)
        await pilot.press("minus", "minus", "space")
        assert view.own.wave < view.own.waves and "▶ 1 s a wave" in text(app, "#own .title")
        await pilot.press("plus", "plus", "plus", "plus")
        await waited(pilot, lambda: view.own.wave == view.own.waves and "▶" not in text(app, "#own .title"))
        await pilot.press("minus", "minus", "minus", "minus", "space", "space")
        wave = view.own.wave
        await pilot.pause(0.2)
        assert view.own.wave == wave < view.own.waves and "▶" not in text(app, "#own .title")


@pytest.mark.asyncio
async def test_the_next_episode_and_another_beta(browsed: Path, traced: Any) -> None:
    async with browsing(browsed, LARGE, RUN, *OPEN) as (app, pilot):
        view = episode_view(app)
        await pilot.press("n")
        assert view.role.trace.beta == 0.0, "the list begins again"
        await pilot.press("p")
        assert view.role.trace.beta == 1.0
        await pilot.press("b", "up", "enter")
        await settled(pilot)
        shown = view.own.played
        assert shown is not None and shown.beta == 0.95
        desk = app.desk
        evaluator, source = desk.evaluator(RUN), desk.program(best_of(browsed))
        trace = view.role.trace
        again = episode(evaluator, source, trace.environment, trace.question + 1, trace.seed, 0.95)
        assert shown == played(again, evaluator.environments)


@pytest.mark.asyncio
async def test_beside_the_same_episode_of_another_program(browsed: Path) -> None:
    async with browsing(browsed, LARGE, RUN, *OPEN, "w", "home", "enter") as (app, pilot):
        view = episode_view(app)
        own, other = view.own, view.other
        assert own.role and other.role and own.role.hash != other.role.hash
        place = lambda role: (role.trace.environment, role.trace.question, role.trace.seed, role.trace.beta)  # noqa: E731
        assert place(own.role) == place(other.role)
        assert own.region.width == other.region.width > 70
        assert (own.wave, other.wave) == (own.waves, other.waves), "both are shown at their ends"
        await pilot.press("home", "right")
        assert (own.wave, other.wave) == (1, 1)
        await pilot.press("m")
        assert "at the same tokens" in text(app, "#other .title")
        for _ in range(own.waves + other.waves):
            await pilot.press("right")
            if own.wave < own.waves:
                assert other.tokens_at(other.wave) <= own.tokens_at(own.wave)
        assert (own.wave, other.wave) == (own.waves, other.waves), "the longer one goes on"
        await pilot.press("n")
        await settled(pilot)
        assert place(own.role) == place(other.role) and own.role.trace.beta == 0.0
        await pilot.press("w")
        assert other.role is None and not other.display


@pytest.mark.asyncio
async def test_in_a_small_terminal_one_of_the_two_is_shown(browsed: Path) -> None:
    async with browsing(browsed, SMALL, RUN, *OPEN, "w", "home", "enter") as (app, pilot):
        view = episode_view(app)
        assert view.other.display and not view.own.display
        await pilot.press("v")
        assert view.own.display and not view.other.display
        assert "✗ pruned" in text(app, "#signs").replace("\n", " ")


@pytest.mark.asyncio
async def test_a_partner_that_fails_is_a_sentence_and_the_episode_stays(
    browsed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with browsing(browsed, LARGE, RUN, *OPEN) as (app, pilot):
        view = episode_view(app)
        waves = view.own.waves

        def fails(desk: Desk, run: str, hash: str) -> Traced:
            raise SandboxError("no strict isolation here")

        monkeypatch.setattr(Desk, "traced", fails)
        await pilot.press("w", "home", "enter")
        await settled(pilot)
        assert "no strict isolation here" in status(app)
        assert view.own.waves == waves and "not played yet" in text(app, "#other .title")
        await pilot.press("home", "right", "m", "end", "space", "space", "v", "w")
        assert view.own.wave <= waves and not view.other.display


# ---- what an answer is called ----------------------------------------------------------------------------------------


def test_every_answer_has_a_letter_of_its_own() -> None:
    worlds = two_worlds()
    blind = program("episode.branches(6)\nepisode.finish(episode.active)\nreturn None")
    with Evaluator(worlds, workers=1) as evaluator:
        found = played(episode(evaluator, blind, 0, 2), worlds)
    labels = {label for frame in found.frames for label in frame.shown if label}
    assert len(labels) > 2 and found.gold in labels
    assert len({letter(label) for label in labels}) == len(labels)
    shown = {label for row in cells_after(found, len(found.frames)) for label in row.values()}
    assert {label for label in shown if found.is_right(label)} == {found.gold}
    assert letter("a0") + letter("a10") + letter("unseen 1") + letter("ERR") + letter(None) == "0aA?·"


def test_cells_are_what_each_branch_showed_where_it_was() -> None:
    worlds = two_worlds()
    with Evaluator(worlds, workers=1) as evaluator:
        for world in range(2):
            found: Played = played(episode(evaluator, MIXED, world, 3, 0, 0.5), worlds)
            for wave in range(len(found.frames) + 1):
                cells = cells_after(found, wave)
                branches = found.frames[wave - 1].branches if wave else ()
                for i, branch in enumerate(branches):
                    assert sorted(cells[i]) == list(range(1, branch.depth + 1))
                    assert not branch.looked or cells[i][branch.looked] == branch.label
                assert not any(cells[len(branches) :])


# ---- what goes wrong -------------------------------------------------------------------------------------------------

CRASH = """def schedule(beta):
    return {}


def solve(episode, knobs):
    raise ValueError("[bold]oh[/] \\x1b[31m")
"""


@pytest.mark.asyncio
async def test_environments_that_are_gone_are_a_sentence(browsed: Path, tmp_path: Path) -> None:
    where = str(browsed.parent)
    path = a_copy(browsed, tmp_path, f"UPDATE run SET config = replace(config, '{where}', '/nowhere')")
    async with browsing(path, SMALL, RUN, "4") as (app, pilot):
        assert "/nowhere" in status(app)
        assert heat_view(app).exported() is None
        await pilot.press("enter", "v", "s", "c", "down", "r")
        await settled(pilot)
        assert "/nowhere" in status(app)


@pytest.mark.asyncio
async def test_a_program_that_fails_is_a_sentence_and_the_next_one_is_shown(browsed: Path, tmp_path: Path) -> None:
    path = a_copy(browsed, tmp_path)
    crash = Program.from_source(CRASH)
    with Archive(path) as archive:
        archive.add_program(Stored(crash.hash, crash.source, "fails"), agent="person")
    async with browsing(path, SMALL, RUN, "4") as (app, pilot):
        app.show_episodes([crash.hash])
        heat_view(app).on_open()
        await settled(pilot)
        assert "ValueError" in status(app) and "\x1b" not in screen(app)
        assert heat_view(app).exported() is None
        app.show_episodes(["0" * 64])
        heat_view(app).on_open()
        await settled(pilot)
        assert "no such program" in status(app)
        await pilot.press("a", "home", "enter")
        await settled(pilot)
        assert heat_view(app).exported() is not None and "no such program" not in status(app)


@pytest.mark.asyncio
async def test_isolation_that_cannot_be_had_is_said_once(browsed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fails(desk: Desk, run: str, hash: str) -> Traced:
        asked.append(hash)
        raise SandboxError("no strict isolation here")

    monkeypatch.setattr(Desk, "traced", fails)
    async with browsing(browsed, SMALL, RUN, "4") as (app, pilot):
        assert "no strict isolation here" in status(app)
        heat_view(app).on_news()
        await settled(pilot)
        assert len(asked) == 1, "it is not tried again by itself"
        await pilot.press("r")
        await settled(pilot)
        assert len(asked) == 2


@pytest.mark.asyncio
async def test_escape_stops_waiting_and_r_begins_again(browsed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, real = threading.Event(), Desk.traced

    def slow(desk: Desk, run: str, hash: str) -> Traced:
        go.wait(20)
        return real(desk, run, hash)

    monkeypatch.setattr(Desk, "traced", slow)
    async with browsing(browsed, SMALL, RUN) as (app, pilot):
        await pilot.press("4")
        await waited(pilot, lambda: "playing a sample" in status(app))
        await pilot.press("escape")
        assert "r plays them" in status(app)
        go.set()
        await pilot.pause(0.3)
        assert heat_view(app).exported() is None, "what was given up is not shown"
        await pilot.press("r")
        await settled(pilot)
        assert heat_view(app).exported() is not None


@pytest.mark.asyncio
async def test_what_was_asked_for_last_is_shown(browsed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, real = threading.Event(), Desk.traced

    def slow(desk: Desk, run: str, hash: str) -> Traced:
        if hash == best_of(browsed):
            go.wait(20)
        return real(desk, run, hash)

    monkeypatch.setattr(Desk, "traced", slow)
    async with browsing(browsed, SMALL, RUN) as (app, pilot):
        await pilot.press("4")
        await waited(pilot, lambda: "playing a sample" in status(app))
        app.show_episodes([shipped("cmc").hash])
        heat_view(app).on_open()
        await waited(pilot, lambda: heat_view(app).exported() is not None)
        go.set()
        await pilot.pause(0.3)
        exported = heat_view(app).exported()
        assert exported is not None and {row[0] for row in exported.rows} == {shipped("cmc").hash}


@pytest.mark.asyncio
@pytest.mark.parametrize("size", SIZES)
async def test_nobodys_words_are_markup_or_control_characters(
    browsed: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = [
        replace(
            world,
            model=f"\x1b[31m[red]漢字{k}",
            questions=tuple(replace(q, id=f"[bold]{q.id}[/]\x07{'漢' * 40}") for q in world.questions),
        )
        for k, world in enumerate(two_worlds())
    ]
    noisy = program(
        'episode.note("[b]x[/]", "\\x1b]0;title\\x07" + "漢" * 300)\nreturn episode.probe(episode.branch())'
    )
    with Evaluator(worlds, workers=1) as evaluator:
        traces = evaluator.trace(noisy)
        made = Traced(noisy, tuple(traces), heat_map(traces, worlds), evaluator)
        monkeypatch.setattr(Desk, "traced", lambda desk, run, hash: made)
        async with browsing(browsed, size, RUN, "4", "down", "enter", "enter", "home") as (app, pilot):
            assert "noted: [b]x[/]" in screen(app)
            await pilot.press("w", "home", "enter", "right", "end")
            await settled(pilot)
            for _ in range(3):
                assert not set("\x1b\x07") & set(screen(app))
                await pilot.press("escape")


@pytest.mark.asyncio
async def test_the_map_is_exported_as_it_is(browsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with browsing(browsed, SMALL, RUN, "4", "e", "enter") as (app, _):
        exported = heat_view(app).exported()
    assert exported is not None
    with (tmp_path / "run-1-episodes.csv").open() as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == exported.columns and len(rows) == len(exported.rows) + 1


@pytest.mark.asyncio
async def test_what_a_wave_did_is_in_sight(browsed: Path) -> None:
    async with browsing(browsed, (80, 24), RUN, "4", "a", "home", "enter", "end", "enter", "end", "enter") as (
        app,
        pilot,
    ):
        grid = app.screen.query_one(BranchGrid)
        await pilot.press("home")
        for _ in range(episode_view(app).own.waves):
            await pilot.press("right")
            top, rows = grid.scroll_offset.y, grid.scrollable_content_region.height - 1
            assert grid.frame is not None and any(top <= i < top + rows for i in grid.frame.members)
