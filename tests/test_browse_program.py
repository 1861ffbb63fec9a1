"""One program in the browser: every page against the archive, by keys."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Collapsible, Input, Static

from autotts.archive import Archive, Call, Listed, Proposal, Verdict
from autotts.cli import _run
from autotts.errors import InputError
from autotts.evaluation import load_program
from autotts.search.figures import Figures
from autotts.ui.browser.code import highlighted, unified
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
        assert knobs.columns == ("knob", *(f"β {p.beta:g}" for p in points))
        with Archive(browsed) as archive:
            kept = Figures(archive, archive.run(RUN)).evaluations(row.hash, "confirm")[0].knobs
        assert {r[0]: list(r[1:]) for r in knobs.rows} == {n: [values[n] for values in kept] for n in kept[0]}


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
        exported = shown(app).exported()
        assert exported is not None
        gains = {r[exported.columns.index("hash")]: r[exported.columns.index("gain")] for r in exported.rows}
        assert gains[child.hash] == (None if child.gain is None else pytest.approx(100 * child.gain))
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


# ---- what goes on while it is looked at ------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_children_appear_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Archive(path) as archive:
        run = FakeRun(archive)
        parent = run.add(1, 0, run.luck(0.1))
        async with browsing(path) as (app, pilot):
            app.open_program(parent, "lineage")
            await settled(pilot)
            grid = shown(app).query_one("#lineage Grid", Grid)
            assert [grid.rows.key(k).partition(" ")[0] for k in range(len(grid.rows))] == [parent]
            child = run.add(2, 0, run.luck(0.2), parents=[parent], idea="the [b]younger[/b] one")
            archive.add_proposal(Proposal(RUN, 2, 1, "mock", "import os", (parent,)))
            archive.commit_slot(RUN, 2, 1, Verdict("PolicyViolation", "not that", 1))
            for _ in range(200):
                await pilot.pause(0.02)
                if len(grid.rows) == 3:
                    break
            keys = [grid.rows.key(k) for k in range(len(grid.rows))]
            assert keys == [f"{parent} 1.0", f"{child} 2.0", " 2.1"] and grid.key == keys[0]
            assert "the [b]younger[/b] one" in str(grid.rows.cells(1))
            await pilot.press("down", "down", "enter")
            await settled(pilot)
            assert "no program" in text(app, "#head") and "not that" in text(app, "#idea")
            grid = shown(app).query_one("#lineage Grid", Grid)
            assert grid.rows.key(0) == f"{parent} 1.0" and grid.key == " 2.1"


@pytest.mark.asyncio
async def test_an_answer_becomes_a_program_while_it_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Archive(path) as archive:
        program = FakeRun(archive).baselines[0]
        archive.add_proposal(Proposal(RUN, 1, 0, "mock", "x = 1\n"))
        async with browsing(path) as (app, pilot):
            app.open_program("", "", (1, 0))
            await settled(pilot)
            assert "not decided yet" in text(app, "#head")
            archive.commit_slot(RUN, 1, 0, Verdict("Duplicate", "it is there already", program=program))
            for _ in range(200):
                await pilot.pause(0.02)
                if shown(app).hash:
                    break
            await settled(pilot)
            assert program[:10] in text(app, "#head") and "Duplicate" in text(app, "#head")
            assert {"o", "c", "w"} <= set(app.screen.active_bindings)


@pytest.mark.asyncio
async def test_news_keep_the_line_and_the_credit(browsed: Path) -> None:
    async with browsing(browsed, SIZES[1], RUN, "enter", "end", "up") as (app, pilot):
        source = shown(app).query_one(SourceView)
        line, credit = source.cursor, source.credit
        shown(app).on_news()
        await settled(pilot)
        assert (source.cursor, source.credit) == (line, credit) and credit


@pytest.mark.asyncio
async def test_a_program_is_left_with_its_run(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Archive(path) as archive:
        first, _ = FakeRun(archive, "run-1"), FakeRun(archive, "run-2", seed=1)
        hash = first.baselines[0]
    async with browsing(path) as (app, pilot):
        app.open_program(hash)
        await settled(pilot)
        app.look_at("run-2")
        await settled(pilot)
        assert not isinstance(app.screen, ProgramView)


# ---- what is read and compared ---------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_each_parent_has_its_difference(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Archive(path) as archive:
        run = FakeRun(archive)
        made = [run.add(1, k, run.luck(), source=f"x = {k}\ny = 0\n") for k in range(2)]
        child = run.add(2, 0, run.luck(), parents=made, source="x = 2\ny = 0\n")
    async with browsing(path) as (app, pilot):
        app.open_program(child, "diff")
        await settled(pilot)
        for parent, wanted in zip([*made, made[0]], ("x = 0", "x = 1", "x = 0"), strict=True):
            assert parent[:10] in text(app, "#from")
            assert f"- {wanted}" in text(app, "#diff-text") and "+ x = 2" in text(app, "#diff-text")
            await pilot.press("v")
            await settled(pilot)


def test_long_and_empty_sources_are_shown_and_compared() -> None:
    blank, other = "\n" * 4900, "\n" * 2000 + "x\n" + "\n" * 2800
    assert any("x" in line.plain for line in unified(blank, other))
    assert "too long" in unified("\n" * 200_000, other)[0].plain
    assert len(highlighted("\n" * 200_000)) == 200_000
    assert highlighted("") == highlighted("\n") and unified("", "") == [] and unified("x", "x\n") == []


@pytest.mark.asyncio
async def test_the_reference_stands_beside_the_curve(browsed: Path) -> None:
    with Archive(browsed) as archive:
        reference = next(row.hash for row in archive.listing(RUN) if row.hash)
        points = archive.points(RUN, reference or "")
    async with browsing(browsed, SIZES[0], RUN, "enter", *["right_square_bracket"] * 3) as (app, _):
        exported = shown(app).exported()
        assert exported is not None
        at = exported.columns.index("reference_accuracy")
        mean = [row for row in exported.rows if row[0] == "mean"]
        assert [row[at] for row in mean] == pytest.approx([100 * p.accuracy for p in points])
        assert "confirmed, 2 seeds" in text(app, ".legend") and "mean of 2 environments" in text(app, ".legend")


@pytest.mark.asyncio
async def test_texts_of_a_proposal_are_opened_by_keys_and_exported_whole(browsed: Path, tmp_path: Path) -> None:
    with sqlite3.connect(browsed) as source, sqlite3.connect(tmp_path / "c.db") as copy:
        source.backup(copy)
    row = best(browsed)
    assert row.round is not None and row.slot is not None
    prompt, odd = "p" * 300_000, "[bold]no[/] \\[JSON\x1b[0m"
    with Archive(tmp_path / "c.db") as archive:
        archive.add_call(Call(RUN, row.round, row.slot, 0, "[red]m[/", prompt, outcome="ok", reply=odd, cost=None))
    async with browsing(tmp_path / "c.db", SIZES[0]) as (app, pilot):
        app.open_program(row.hash or "", "proposal")
        await settled(pilot)
        boxes = list(app.screen.query(Collapsible))
        assert [box.collapsed for box in boxes] == [True, False]
        assert "[red]m[/" in texts(app) and "[bold]no[/] \\[JSON" in texts(app) and "price unknown" in texts(app)
        assert "\x1b" not in texts(app) and "200,000 characters more" in texts(app)
        await pilot.press("n", "n", "p", "enter")
        assert [box.collapsed for box in boxes] == [False, False]
        await pilot.press("v")
        assert all(box.collapsed for box in boxes)
        exported = shown(app).exported()
        assert exported is not None and exported.rows[0][exported.columns.index("told")] == prompt


# ---- what is written and copied --------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_program_is_written_as_the_command_writes_it(
    browsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    id = (best(browsed).hash or "")[:10]
    async with browsing(browsed, SIZES[0], RUN, "enter", "w") as (app, pilot):
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, ProgramView) and load_program(f"{id}.py").id == id
        for path, why in (
            (f"{id}.py", "exists already"),
            ("x.txt", "must end in .py"),
            ("no/x.py", "cannot be written"),
        ):
            await pilot.press("w")
            await settled(pilot)
            app.screen.query_one(Input).value = path
            await pilot.press("enter")
            assert why in text(app, "#wrong")
            await pilot.press("escape")
    written = Path(f"{id}.py").read_text()
    Path(f"{id}.py").unlink()
    assert _run(["export", id, "-o", f"{id}.py", "--archive", str(browsed)]) == 0
    assert Path(f"{id}.py").read_text() == written


@pytest.mark.asyncio
async def test_what_became_no_program_offers_nothing_that_needs_one(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Archive(path) as archive:
        FakeRun(archive)
        archive.add_proposal(Proposal(RUN, 1, 0, "mock", "import os\n"))
        archive.commit_slot(RUN, 1, 0, Verdict("PolicyViolation", "not that", 1))
    async with browsing(path) as (app, pilot):
        app.open_program("", "", (1, 0))
        await settled(pilot)
        keys = set(app.screen.active_bindings)
        assert keys.isdisjoint({"o", "c", "w", "y", "r"}) and "Y" in keys
        await pilot.press("Y", "o", "c", "w", "y", "r")
        assert isinstance(app.screen, ProgramView) and app.clipboard == "import os\n"


@pytest.mark.asyncio
async def test_credit_is_played_again_when_its_environments_are_back(tmp_path: Path) -> None:
    path = make_archive(tmp_path)
    gone = {recording: recording.read_bytes() for recording in tmp_path.glob("*.jsonl")}
    for recording in gone:
        recording.unlink()
    async with browsing(path, SIZES[1], RUN, "enter") as (app, pilot):
        assert "r: again" in text(app, "#credit") and not shown(app).query_one(SourceView).credit
        for recording, content in gone.items():
            recording.write_bytes(content)
        await pilot.press("r")
        await settled(pilot)
        assert shown(app).query_one(SourceView).credit and not str(app.screen.query_one(Status).render()).strip()


@pytest.mark.asyncio
async def test_a_wide_screen_has_all_of_the_credit_and_a_narrow_one_the_most(browsed: Path) -> None:
    for size, more in zip(SIZES, (False, True), strict=True):
        async with browsing(browsed, size, RUN, "enter") as (app, _):
            picture = app.export_screenshot().replace("&#160;", " ")
            assert ("points ± se" in picture and "tokens " in picture) == more and "decisions" in picture
