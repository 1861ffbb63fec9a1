"""One program in the browser: every page against the archive, by keys."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from autotts.archive import Archive, Call, Listed, Proposal, Verdict
from autotts.errors import InputError
from autotts.ui.browser.compare import CompareView
from autotts.ui.browser.episodes import EpisodesView
from autotts.ui.browser.facts import facts
from autotts.ui.browser.grid import Grid
from autotts.ui.browser.program import PAGES, ProgramView
from autotts.ui.browser.source import SourceView
from autotts.ui.browser.texts import ProposalPage
from autotts.ui.browser.view import Status
from tests.browsing import RUN, SIZES, browsing, desk_of, make_archive, settled
from tests.fake_runs import FakeRun


def shown(app: Any) -> ProgramView:
    assert isinstance(app.screen, ProgramView)
    return app.screen


def text(app: Any, selector: str) -> str:
    return str(app.screen.query_one(selector).render())


def texts(app: Any) -> str:
    """What the page of the proposal holds, opened or not."""
    page = app.screen.query_one(ProposalPage)
    return "\n".join(str(one.render()) for one in page.query(Static))


def best(path: Path) -> Listed:
    with Archive(path) as archive:
        rows = [row for row in archive.listing(RUN) if row.round and row.outcome == "ok" and row.stage == "confirm"]
    return max(rows, key=lambda row: row.gain or 0.0)


@pytest.mark.asyncio
async def test_the_head_says_who_and_how_good(browsed: Path) -> None:
    row = best(browsed)
    async with browsing(browsed, SIZES[1], RUN, "enter") as (app, _):
        assert shown(app).hash == row.hash
        head = text(app, "#head")
        assert f"{row.round}.{row.slot}" in head and "confirmed" in head and row.idea in text(app, "#idea")
        assert f"{100 * (row.gain or 0):+.2f}" in head


@pytest.mark.asyncio
async def test_credit_stands_beside_the_lines_that_decide(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], RUN, "enter") as (app, _):
        source = shown(app).query_one(SourceView)
        desk = app.desk
        credit = desk.bench(RUN).lines(desk.program(shown(app).hash))
        assert credit and {line for line in source.credit if line} == {c.line for c in credit if c.line}
        first = min(c.line for c in credit if c.line)
        assert source.cursor + 1 == first
        assert "each against" in text(app, "#credit")
        exported = shown(app).exported()
        assert exported is not None and len(exported.rows) == len(credit)


@pytest.mark.asyncio
async def test_every_page_is_reached_by_keys_at_every_size(browsed: Path) -> None:
    for size in SIZES:
        async with browsing(browsed, size, RUN, "enter") as (app, pilot):
            for page in [*PAGES[1:], PAGES[0]]:
                await pilot.press("right_square_bracket")
                await settled(pilot)
                assert app.screen.query_one("ContentSwitcher").current == page
            await pilot.press("left_square_bracket", "t", "t")
            assert app.screen.query_one("ContentSwitcher").current == PAGES[-1]


@pytest.mark.asyncio
async def test_the_curve_and_the_knobs_are_those_of_the_archive(browsed: Path) -> None:
    row = best(browsed)
    assert row.hash
    with Archive(browsed) as archive:
        points = archive.points(RUN, row.hash)
    async with browsing(browsed, SIZES[1], RUN, "enter", *["right_square_bracket"] * 3) as (app, pilot):
        exported = shown(app).exported()
        assert exported is not None
        mean = [r for r in exported.rows if r[0] == "mean"]
        assert [r[1] for r in mean] == [p.beta for p in points]
        assert [r[2] for r in mean] == pytest.approx([100 * p.accuracy for p in points])
        grid = shown(app).query_one("#curve Grid", Grid)
        before = grid.rows.cells(0)
        await pilot.press("v")
        assert grid.rows.cells(0) != before
        await pilot.press("left_square_bracket")
        knobs = shown(app).exported()
        assert knobs is not None and len(knobs.rows) > 0
        assert [name for name in knobs.columns if name.startswith("β")] == [f"β {p.beta:g}" for p in points]


@pytest.mark.asyncio
async def test_lineage_leads_to_relatives_and_back(browsed: Path) -> None:
    with Archive(browsed) as archive:
        rows = list(archive.listing(RUN))
    child = next(row for row in rows if row.parents and row.hash and row.outcome == "ok")
    async with browsing(browsed, SIZES[1]) as (app, pilot):
        app.open_program(child.hash or "", "lineage")
        await settled(pilot)
        lineage = shown(app).query_one("#lineage Grid", Grid)
        keys = [lineage.rows.key(k).partition(" ")[0] for k in range(len(lineage.rows))]
        assert set(child.parents) <= set(keys)
        lineage.cursor = keys.index(child.parents[0])
        await pilot.press("enter")
        await settled(pilot)
        assert shown(app).hash == child.parents[0]
        await pilot.press("escape")
        await settled(pilot)
        assert shown(app).hash == child.hash
        await pilot.press("left_square_bracket", "left_square_bracket", "left_square_bracket")
        assert "@@ lines" in text(app, "#diff-text") or "the same" in text(app, "#diff-text")


@pytest.mark.asyncio
async def test_episodes_and_compare_are_a_key_away(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], RUN, "enter", "o") as (app, _):
        assert isinstance(app.screen, EpisodesView) and app.played == (best(browsed).hash,)
    async with browsing(browsed, SIZES[1], RUN, "enter", "c") as (app, _):
        assert isinstance(app.screen, CompareView) and app.compared[0] == best(browsed).hash


@pytest.mark.asyncio
async def test_a_reject_shows_its_source_with_the_line_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    source = "import os\n\ndef solve(episode, knobs):\n    return os.getcwd()\n"
    with Archive(path) as archive:
        FakeRun(archive)
        archive.add_proposal(Proposal(RUN, 1, 0, "mock", source, prompt="write one", answer="here: [b]it[/b] \x1b[31m"))
        archive.commit_slot(RUN, 1, 0, Verdict("PolicyViolation", "import os is not allowed", 1, "import"))
    async with browsing(path, SIZES[1], RUN, "slash", *"outcome:Policy", "enter", "enter") as (app, pilot):
        assert "PolicyViolation" in text(app, "#head") and "import os is not allowed" in text(app, "#idea")
        picture = app.export_screenshot().replace("&#160;", " ")
        assert "failed here" in picture
        await pilot.press(*["right_square_bracket"] * 5)
        proposal = texts(app)
        assert "write one" in proposal and "[b]it[/b]" in proposal and "\x1b" not in proposal


@pytest.mark.asyncio
async def test_calls_of_models_are_told_in_full(browsed: Path, tmp_path: Path) -> None:
    with sqlite3.connect(browsed) as source, sqlite3.connect(tmp_path / "c.db") as copy:
        source.backup(copy)
    row = best(browsed)
    assert row.round is not None and row.slot is not None
    reply = {"text": "I will look.", "calls": [{"name": "credit", "arguments": {"program": "cmc"}, "written": ""}]}
    call = Call(RUN, row.round, row.slot, 0, "mock/m", "Find a better one.", outcome="ok", reply=json.dumps(reply))
    with Archive(tmp_path / "c.db") as archive:
        archive.add_call(call)
    async with browsing(tmp_path / "c.db", SIZES[1]) as (app, pilot):
        app.open_program(row.hash or "", "proposal")
        await settled(pilot)
        told = texts(app)
        assert "Find a better one." in told and '→ credit({"program": "cmc"})' in told and "mock/m" in told


@pytest.mark.asyncio
async def test_without_its_environments_there_is_everything_but_credit(tmp_path: Path) -> None:
    path = make_archive(tmp_path)
    for recording in tmp_path.glob("*.jsonl"):
        recording.unlink()
    async with browsing(path, SIZES[1], RUN, "enter") as (app, pilot):
        assert "tiny-0" in str(app.screen.query_one(Status).render())
        assert "schedule" in app.export_screenshot()
        await pilot.press("right_square_bracket", "right_square_bracket", "right_square_bracket")
        assert len(shown(app).query_one("#curve Grid", Grid).rows) == 5


@pytest.mark.asyncio
async def test_records_name_what_is_stored_and_how_often_was_looked(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], RUN, "enter", *["left_square_bracket"]) as (app, _):
        records = text(app, "#records-text")
        hash = shown(app).hash
    with Archive(browsed) as archive:
        stored = archive.stored_evaluations(hash)
        run = archive.run(RUN)
    assert hash in records and "never scored" in records
    assert {one.source for one in stored} == {"screen", "confirm"}
    assert all(ref.hash[:10] in records for ref in run.environments)


def test_facts_refuse_what_is_not_there(browsed: Path) -> None:
    desk = desk_of(browsed)
    try:
        with pytest.raises(InputError, match="no such program"):
            facts(desk, RUN, "f" * 64, None)
        with pytest.raises(InputError, match="no such program"):
            facts(desk, RUN, "", (99, 0))
    finally:
        desk.close()
