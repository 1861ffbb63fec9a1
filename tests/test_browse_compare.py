"""Two programs side by side in the browser: the archive's figures, by keys, also where there is nothing to compare."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from autotts.archive import Archive, Program, Proposal, Run, Verdict
from autotts.search.figures import Figures
from autotts.search.side_by_side import SideBySide, side_by_side
from autotts.ui.browser import Browser
from autotts.ui.browser.compare import CompareView
from autotts.ui.browser.grid import Grid
from autotts.ui.browser.view import Status
from autotts.ui.progress import gain_text
from tests.browsing import RUN, SIZES, browsing, settled
from tests.fake_runs import FakeRun

pytestmark = pytest.mark.asyncio


def view(app: Any) -> CompareView:
    assert isinstance(app.screen, CompareView)
    return app.screen


def text(app: Any, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


def status(app: Any) -> str:
    return str(app.screen.query_one(Status).render())


async def compare(app: Browser, pilot: Pilot[Any], programs: Sequence[str]) -> None:
    app.compare(programs)
    await settled(pilot)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two programs, one that was screened only, and one that never became a program."""
    path = tmp_path_factory.mktemp("compared") / "compared.db"
    with Archive(path) as archive:
        run = FakeRun(archive, questions=8)
        run.add(1, 0, run.luck(0.1), idea="the first one")
        run.add(1, 1, run.luck(-0.1), 0.7 * run.tokens, idea="the second one")
        source = '"""Screened."""\nY = 3\n'
        archive.add_proposal(Proposal(RUN, 1, 2, "fake", source))
        verdict = Verdict("ok", program="5" * 64, stage="screen")
        archive.commit_slot(RUN, 1, 2, verdict, program=Program("5" * 64, source, "screened only"))
        archive.add_proposal(Proposal(RUN, 1, 3, "fake", "no program"))
        archive.commit_slot(RUN, 1, 3, Verdict("PolicyViolation", "no", 1))
    return path


def programs_of(path: Path, run: str = RUN) -> list[str]:
    """The confirmed ones, baselines first: cmc, sc, …"""
    with Archive(path) as archive:
        return list(Figures(archive, archive.run(run)).confirmed)


def sides_of(path: Path, a: str, b: str) -> SideBySide:
    with Archive(path) as archive:
        return side_by_side(Figures(archive, archive.run(RUN)), a, b)


def opened(path: Path, size: tuple[int, int] = SIZES[1]) -> AbstractAsyncContextManager[tuple[Browser, Pilot[Any]]]:
    return browsing(path, size, RUN)


async def test_shows_the_archives_figures_and_the_questions_that_made_them(path: Path) -> None:
    one, two = programs_of(path)[2:]
    expected = sides_of(path, one, two)
    for size in SIZES:
        async with opened(path, size) as (app, pilot):
            await compare(app, pilot, [one, two])
            head = text(app, "#head")
            assert (
                f"{one[:10]} over {two[:10]} (mean): {gain_text(expected.gain.gain, expected.gain.se)} points" in head
            )
            assert "the first one" in head
            assert "the second one" in head
            rows = app.screen.query_one(Grid).rows
            assert [rows.key(k) for k in range(len(rows))] == [c.question for c in expected.questions]
            shown = [float(rows.cells(k)[1].replace("·", "0")) for k in range(len(rows))]
            assert sum(shown) == pytest.approx(100 * expected.gain.gain, abs=0.01 * len(rows))


async def test_one_alone_stands_beside_the_reference(path: Path) -> None:
    cmc, _, one, _ = programs_of(path)
    async with opened(path) as (app, pilot):
        await compare(app, pilot, [one])
        gain = sides_of(path, one, cmc).gain
        assert f"{one[:10]} over cmc (mean): {gain_text(gain.gain, gain.se)} points" in text(app, "#head")


async def test_each_environment_in_turn_and_back_to_the_mean(path: Path) -> None:
    one, two = programs_of(path)[2:]
    expected = sides_of(path, one, two)
    async with opened(path) as (app, pilot):
        await compare(app, pilot, [one, two])
        for name, gain in [*expected.environments, ("mean", expected.gain)]:
            await pilot.press("v")
            await settled(pilot)
            assert f"{gain_text(gain.gain, gain.se)} points" in text(app, "#head")
            assert f" over {two[:10]} ({name}): " in text(app, "#head")
            assert f"tokens, {name}" in text(app, "#legend-line")


async def test_exchanged_every_gain_has_the_other_sign(path: Path) -> None:
    one, two = programs_of(path)[2:]
    async with opened(path) as (app, pilot):
        await compare(app, pilot, [one, two])
        before = view(app).exported()
        await pilot.press("x")
        await settled(pilot)
        after = view(app).exported()
        assert before is not None and after is not None
        shares = {row[0]: row[1] for row in before.rows}
        assert {row[0]: row[1] for row in after.rows} == pytest.approx({q: -float(s) for q, s in shares.items()})  # type: ignore[arg-type]
        assert app.compared == (two, one)
        assert f"{two[:10]} over {one[:10]}" in text(app, "#head")


async def test_exports_accuracy_and_tokens_of_both_by_question(path: Path) -> None:
    one, two = programs_of(path)[2:]
    expected = sides_of(path, one, two)
    async with opened(path) as (app, pilot):
        await compare(app, pilot, [one, two])
        table = view(app).exported()
        assert table is not None
        name = expected.environments[0][0]
        assert table.columns[2:6] == (
            f"{name} accuracy {one[:10]}",
            f"{name} accuracy {two[:10]}",
            f"{name} tokens {one[:10]}",
            f"{name} tokens {two[:10]}",
        )
        for row, changed in zip(table.rows, expected.questions, strict=True):
            cell = changed.cells[0]
            assert cell is not None
            assert list(row[:2]) == [changed.question, 100 * changed.contribution]
            assert list(row[2:6]) == [*(100 * a for a in cell.accuracy), *cell.tokens]


async def test_pages_follow_each_other_on_a_small_screen_and_stand_together_on_a_large_one(path: Path) -> None:
    one, two = programs_of(path)[2:]
    parts = ("#curves", "#questions", "#code")
    async with opened(path, SIZES[0]) as (app, pilot):
        await compare(app, pilot, [one, two])
        for key, page in (("", 0), ("]", 1), ("]", 2), ("]", 0), ("[", 2)):
            if key:
                await pilot.press({"]": "right_square_bracket", "[": "left_square_bracket"}[key])
                await settled(pilot)
            assert [app.screen.query_one(part).display for part in parts] == [k == page for k in range(3)]
    async with opened(path) as (app, pilot):
        await compare(app, pilot, [one, two])
        assert all(app.screen.query_one(part).display for part in parts)
        assert not app.screen.query_one("#pages").display


async def test_code_that_was_taken_away_and_added_has_signs(path: Path) -> None:
    one, two = programs_of(path)[2:]
    async with opened(path) as (app, pilot):
        await compare(app, pilot, [one, two])
        lines = text(app, "#source").split("\n")
        assert any(" - X = 1, 1" in line for line in lines)
        assert any(" + X = 1, 0" in line for line in lines)
        await pilot.press("t")
        await settled(pilot)
        assert text(app, "#source").split("\n") == lines


async def test_a_partner_is_chosen_from_baselines_and_the_front(path: Path) -> None:
    _, sc, one, two = programs_of(path)
    async with opened(path) as (app, pilot):
        await compare(app, pilot, [one, two])
        await pilot.press("p")
        await pilot.pause()
        options = app.screen.query_one(OptionList)
        assert str(options.border_title) == f"Compare {one[:10]} with"
        told = [str(options.get_option_at_index(k).prompt) for k in range(options.option_count)]
        assert told[:2] == ["cmc  Program 0.0", "sc  Program 0.1"]
        assert not any(line.startswith(one[:10]) for line in told)
        await pilot.press("home", "down", "enter")
        await settled(pilot)
        assert app.compared == (one, sc)
        assert f"{one[:10]} over sc" in text(app, "#head")
        await pilot.press("p", "escape")
        await settled(pilot)
        assert app.compared == (one, sc)


async def test_a_question_leads_to_the_episodes_of_both(path: Path) -> None:
    one, two = programs_of(path)[2:]
    async with opened(path) as (app, pilot):
        await compare(app, pilot, [one, two])
        await pilot.press("down", "enter")
        await pilot.pause(0.1)
        assert app.played == (one, two)


async def test_of_a_program_that_was_screened_only_the_code_is_shown_and_why_nothing_else(path: Path) -> None:
    one = programs_of(path)[2]
    async with opened(path) as (app, pilot):
        await compare(app, pilot, ["5" * 64, one])
        assert "5555555555: not confirmed in run-1" in text(app, "#head")
        assert "screened only" in text(app, "#head")
        assert " + Y = 3" in text(app, "#source")
        assert view(app).exported() is None
        await pilot.press("v", "x")
        await settled(pilot)
        assert " - Y = 3" in text(app, "#source")


@pytest.mark.parametrize(
    ("programs", "sentence"),
    [
        ([""], "cannot be compared"),
        (["cmc"], "cmc: choose another program"),
        (["nobody", "cmc"], "no such program"),
    ],
)
async def test_what_cannot_be_compared_is_said(path: Path, programs: list[str], sentence: str) -> None:
    known = {"cmc": programs_of(path)[0], "nobody": "9" * 64}
    for size in SIZES:
        async with opened(path, size) as (app, pilot):
            await compare(app, pilot, [known.get(program, program) for program in programs])
            assert sentence in status(app)
            await pilot.press("x", "v", "p", "o", "5", "right_square_bracket", "enter")
            await settled(pilot)
            assert view(app).exported() is None


async def test_without_a_choice_it_says_how_to_choose(path: Path) -> None:
    async with browsing(path, SIZES[0], RUN, "5") as (app, pilot):
        assert "mark two programs" in text(app, "#head")
        await pilot.press("x", "v", "p", "o", "5", "enter", "e", "escape")
        await settled(pilot)
        assert app.is_running


async def test_a_run_without_a_reference_says_so(path: Path, tmp_path: Path) -> None:
    with Archive(tmp_path / "new.db") as archive:
        FakeRun(archive, "full")
        full = archive.run("full")
        archive.add_run(Run(RUN, 0, full.config, full.environments))
        one = next(iter(Figures(archive, full).confirmed))
    async with opened(tmp_path / "new.db") as (app, pilot):
        await compare(app, pilot, [one])
        assert "has no confirmed cmc to compare with" in status(app)


async def test_what_programs_say_is_text(tmp_path: Path) -> None:
    odd = "[bold red]idea[/]\x1b[31m\x07" + "漢字" * 200
    with Archive(tmp_path / "odd.db") as archive:
        run = FakeRun(archive, questions=4, model="[bold]m\x1b[0m")
        one = run.add(1, 0, run.luck(), idea=odd, source=f'"""{odd}"""\nX = "[red]"\n\x0c\r\nY = 1\n' + "z = 1 " * 500)
    for size in SIZES:
        async with opened(tmp_path / "odd.db", size) as (app, pilot):
            await compare(app, pilot, [one])
            for _ in range(3):
                await pilot.press("v", "right_square_bracket")
                await pilot.pause()
                shown = app.export_screenshot().replace("&#160;", " ")
                assert "[bold red]idea[/]" in shown
                assert "\x1b" not in shown and "\x07" not in shown
