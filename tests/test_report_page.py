"""`autotts report`: what the page says, that it is the same for the same figures, and that nobody's text is markup."""

from __future__ import annotations

import csv
import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotts.archive import Archive, Call, LedgerEntry, LedgerRow, Proposal, Verdict, front, hypervolume
from autotts.evaluation.statistics import gain_at_matched_tokens
from autotts.search.ancestry import ancestry
from autotts.search.figures import Figures
from autotts.search.growth import growth
from autotts.search.report import report
from autotts.search.sampled import Sampled, sampled
from autotts.search.summary import summarise
from autotts.ui.report_page import charts, rendered
from tests.fake_runs import FakeRun
from tests.test_agent_calls import CLASS_STYLE
from tests.test_cli import call, world

__all__ = ["call", "world"]

HOSTILE = '<script>alert(1)</script><img src="https://evil.example/x"> $x_{1 \x1b[31m 漢字 --> ]]>'
SMALL = ("search", "--env", "tiny.jsonl", "--rounds", "2", "--proposals-per-round", "2", "--seeds", "2", "--betas", "3")
QUIET = ("--screen-seeds", "1", "--display", "none")
NAMES = {"curves", "gain", "environments", "carried", "front", "hypervolume"}


def fake(path: Path, **options: Any) -> FakeRun:
    """A run with a champion that is the child of two programs."""
    with Archive(path) as archive:
        run = FakeRun(archive, **options)
        first = run.add(1, 0, run.luck(0.02), source="X = 1\n")
        second = run.add(1, 1, run.luck(0.04), parents=(first,), source="X = 1 + 2\n")
        run.add(2, 0, run.luck(0.2), parents=(second, first), source=f"# {HOSTILE}\nX = 1\n", idea=HOSTILE)
        return run


def visible(page: str) -> str:
    """The words of a page, drawings left out."""
    text = re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text)))


def figures_in(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(f"csv/{name}.csv").read_text().splitlines()))


def written(call: Any, *options: str) -> str:
    call("report", "--archive", "fake.db", "--force", *options)
    return Path("report.html").read_text()


def test_a_page_says_what_the_run_came_to(call: Any, world: Path) -> None:
    call(*SMALL, *QUIET)
    call("score", "cmc", "--heldout", "synthetic:heldout", "--betas", "2", "--seeds", "1")
    assert "page → report.html" in call("report")
    said = visible(Path("report.html").read_text())
    with Archive("autotts.db", create=False) as archive:
        found = report(archive, "run-1")
        assert found is not None
        outcomes = archive.outcomes("run-1")
    assert found.champion.id in said and f"{100 * found.champion.gain:+.2f}" in said
    assert f"{100 * found.corrected:+.2f} points, corrected" in said
    for versus in found.versus:
        assert f"Over its {versus.role} {versus.id}:" in said
    for name in ("Accuracy against tokens", "How the front grew", "Hypervolume", "How its episodes end"):
        assert name in said
    assert all(outcome in said for outcome in outcomes)
    assert "looked at 1 time in this archive" in said and "scored" not in said
    assert "No dollars were spent" in said and "def solve" in said and "return " in said
    assert re.search(r"(action|return) \d+: ", said)  # credit beside a line


def test_the_command_on_the_page_has_the_run_again(call: Any, world: Path) -> None:
    call(*SMALL, *QUIET, "--seed", "7", "--run", "first", "--max-proposals", "9")
    call("report", "--no-evidence")
    (command,) = re.findall(r'<pre class="command">(.*?)</pre>', Path("report.html").read_text())
    words = shlex.split(html.unescape(command))
    assert words[:2] == ["autotts", "search"] and "--max-proposals" in words and "--lag" not in words
    call(*words[1:], "--archive", "again.db", "--display", "none")
    rows = [json.loads(call("front", "--archive", name, "--json")) for name in ("autotts.db", "again.db")]
    assert rows[0] == rows[1] != []


def test_pictures_and_figures_are_the_same_bytes_twice(call: Any, world: Path) -> None:
    fake(world / "fake.db")
    for folder in ("a", "b"):
        options = ("-o", f"{folder}/r.html", "--plots", f"{folder}/plots", "--csv", f"{folder}/csv", "--no-evidence")
        call("report", "--archive", "fake.db", *options)
    files = sorted(path.relative_to("a") for path in Path("a").rglob("*") if path.is_file())
    assert {path.stem for path in files if path.suffix == ".svg"} == {*NAMES, "lineage"}
    assert {path.stem for path in files if path.suffix == ".png"} == {*NAMES, "lineage"}
    for path in files:
        content = Path("a", path).read_bytes()
        assert content == Path("b", path).read_bytes(), path
        assert b"<!--" not in content and content.startswith((b"<!doctype", b"<?xml", b"\x89PNG", *HEADS))


HEADS = (b"environment,", b"role,", b"by,", b"round,", b"proposals,", b"program,")


def test_figures_are_what_the_archive_has(call: Any, world: Path) -> None:
    run = fake(world / "fake.db")
    call("report", "--archive", "fake.db", "--csv", "csv", "--no-evidence")
    assert not Path("report.html").exists()
    with Archive("fake.db") as archive:
        edge, found = archive.front(run="run-1"), report(archive, "run-1")
        assert found is not None
        points = archive.points("run-1", found.champion.hash)
    rows = figures_in("curves")
    own = [row for row in rows if row["role"] == "champion" and row["environment"] == "mean"]
    assert [(float(row["beta"]), float(row["tokens"])) for row in own] == [(p.beta, p.tokens) for p in points]
    assert [float(row["accuracy"]) for row in own] == pytest.approx([100 * p.accuracy for p in points])
    assert [row["program"] for row in rows if row["role"] == "front" and row["environment"] == "mean"] == [
        {**dict.fromkeys(run.baselines[:1], "cmc"), **dict.fromkeys(run.baselines[1:], "sc")}.get(p.id, p.id[:10])
        for p in edge
    ]
    assert all(float(r["ci95_low"]) < float(r["accuracy"]) < float(r["ci95_high"]) for r in own)
    gains = [float(row["gain"]) for row in figures_in("gain") if row["role"] == "champion"]
    assert np.mean(gains) == pytest.approx(100 * found.champion.gain)
    shares = [float(row["gain"]) for row in figures_in("carried") if row["by"] == "question"]
    assert sum(shares) == pytest.approx(100 * found.champion.gain)


def test_nobodys_text_is_markup(call: Any, world: Path) -> None:
    fake(world / "fake.db", model="<b>$m_{0")
    with Archive("fake.db") as archive:
        entry = LedgerEntry("0" * 64, "e" * 64, HOSTILE, (LedgerRow(0.0, 0.5, 100.0, 10.0),), "run-1")
        archive.append_ledger(entry)
        archive.add_proposal(Proposal("run-1", 3, 0, f"mock/{HOSTILE}", "no program"))
        archive.commit_slot("run-1", 3, 0, Verdict("<u>Odd</u>", message=HOSTILE))
    page = written(call, "--no-evidence")
    assert "<script" not in page and "<img" not in page and "<u>" not in page and "<b>$" not in page
    assert "\x1b" not in page and "&lt;script&gt;alert(1)" in page
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in page
    call("report", "--archive", "fake.db", "--plots", "plots", "--no-evidence")
    assert not any(b"evil" in path.read_bytes() for path in Path("plots").iterdir())


class Targets(HTMLParser):
    """Whatever a page's attributes and styles point at, and its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.styles = ""
        self.feed(page)
        self.targets += re.findall(r"""url\(\s*["']?([^"')]*)|@import\s*([^;]*)""", self.styles)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "srcset", "data", "poster"):
                self.targets.append(value or "")
            elif name == "id":
                self.ids.append(value or "")
            elif not name.startswith("xmlns"):
                self.targets += re.findall(r"""url\(\s*["']?([^"')]*)""", value or "")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style":
            self.styles += data


def test_nothing_on_the_page_is_somewhere_else(call: Any, world: Path) -> None:
    fake(world / "fake.db")
    found = Targets(written(call, "--no-evidence"))
    assert len(found.targets) > 100 and all(target.startswith(("#", "data:,")) for target in found.targets)
    assert len(found.ids) == len(set(found.ids))
    assert {target[1:] for target in found.targets if target.startswith("#")} <= set(found.ids)


def test_a_run_that_goes_on_or_has_no_champion(call: Any, world: Path) -> None:
    with Archive("fake.db") as archive:
        FakeRun(archive)
        archive.set_run_state("run-1", "running")
        archive.add_proposal(Proposal("run-1", 1, 0, "fake", "X = 1\n"))
    said = visible(written(call))
    assert "there is no champion" in said and "1 proposal (1 undecided)" in said
    assert "The run is not done (running)" in said and "no proposal yet" in said


def test_environments_that_are_gone_are_said_to_be(call: Any, world: Path) -> None:
    call(*SMALL, *QUIET)
    Path("tiny.jsonl").unlink()
    call("report")
    said = visible(Path("report.html").read_text())
    assert "Failure kinds and credit per line are not shown: " in said and "tiny.jsonl" in said and "def solve" in said


def test_a_run_without_a_reference_is_refused(call: Any, world: Path) -> None:
    call(*SMALL, *QUIET)
    with Archive("autotts.db") as archive, Archive("fake.db") as other:
        other.add_run(replace(archive.run("run-1"), name="new"))
    assert "its reference cmc is not confirmed yet" in call("report", "--archive", "fake.db", code=2)
    assert "no such run" in call("report", "absent", code=2)


def test_files_are_whole_or_not_there(call: Any, world: Path) -> None:
    fake(world / "fake.db")
    arguments = ("report", "--archive", "fake.db", "--no-evidence")
    Path("report.html").write_text("mine")
    assert "exists already" in call(*arguments, code=2)
    Path("plots").write_text("no folder")
    assert "cannot be written" in call(*arguments, "-o", "new.html", "--plots", "plots", code=2)
    Path("csv").mkdir()
    Path("csv/front.csv").write_text("mine")
    assert "front.csv: exists already" in call(*arguments, "-o", "new.html", "--csv", "csv", code=2)
    assert Path("report.html").read_text() == Path("csv/front.csv").read_text() == "mine"
    assert {path.name for path in Path("csv").iterdir()} == {"front.csv"}
    assert not Path("new.html").exists() and not list(world.glob(".*.part"))


def test_without_matplotlib_figures_are_written_all_the_same(
    call: Any, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(world / "fake.db")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ("report", "--archive", "fake.db", "--no-evidence")
    assert "pip install 'autotts[report]'" in call(*arguments, code=2)
    assert not Path("report.html").exists()
    call(*arguments, "--csv", "csv")
    assert {path.stem for path in Path("csv").iterdir()} >= NAMES


def test_dollars_are_an_axis_where_they_are_known(call: Any, world: Path) -> None:
    fake(world / "fake.db")
    with Archive("fake.db") as archive:
        archive.add_call(Call("run-1", 1, 0, 0, "fake", outcome="ok", tokens=10, cost=0.25))
        archive.add_call(Call("run-1", 2, 0, 0, "fake", outcome="ok", tokens=10, cost=0.5))
        found = summarise(archive, "run-1")
        assert found.growth.dollars == 0.75 and found.growth.steps[0].dollars == 0
        assert "dollars" not in charts(found, None)["hypervolume"].caption
        archive.add_call(Call("run-1", 2, 0, 1, "fake", outcome="ok", tokens=10, cost=None))
        assert growth(Figures(archive, archive.run("run-1"))).dollars is None
    assert "calls of unknown price: 1" in visible(written(call, "--no-evidence"))


def test_shares_are_drawn_where_several_agents_were_asked(tmp_path: Path) -> None:
    run = fake(tmp_path / "fake.db")
    with Archive(tmp_path / "fake.db") as archive:
        assert "agents" not in charts(summarise(archive, run.name), None)
        archive.add_proposal(Proposal("run-1", 3, 0, "mock/other", "no program"))
        archive.commit_slot("run-1", 3, 0, Verdict("Refused"))
        chart = charts(summarise(archive, run.name), None)["agents"]
    assert [row[:3] for row in chart.rows] == [("fake", 3, 3), ("mock/other", 1, 0)]
    assert rendered(chart, "svg")


def test_the_front_grows_as_it_would_if_everything_were_read(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run = FakeRun(archive, environments=3)
        run.climb(6, 4)
        figures = Figures(archive, archive.run("run-1"))
        found = growth(Figures(archive, archive.run("run-1")))
        naive, edge = {}, []
        for place, hash in enumerate(figures.confirmed):
            edge = front([*edge, *figures.points(hash, figures.scores(hash))])
            naive[max(0, place - 1)] = hypervolume(
                [p.tokens for p in edge], [p.accuracy for p in edge], **figures.rectangle
            )
        last = archive.front(run="run-1")
    for step in found.steps:
        assert step.hypervolume == pytest.approx(naive[step.proposals])
    assert [step.hypervolume for step in found.steps] == sorted(step.hypervolume for step in found.steps)
    assert [snapshot.round for snapshot in found.snapshots] == [0, 2, 3, 4, 6]
    assert [(p.id, p.beta) for p in found.snapshots[-1].points] == [(p.id, p.beta) for p in last]


def test_scores_behind_the_front_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run = FakeRun(archive)
        best = run.add(0, 2, np.ones(run.shape), tokens=np.full(run.shape, 1.0))
        run.climb(2, 10)
        asked: list[str] = []
        whole = Figures.scores
        monkeypatch.setattr(Figures, "scores", lambda self, hash: asked.append(hash) or whole(self, hash))
        growth(Figures(archive, archive.run("run-1")))
    assert asked == [*run.baselines, best]


def test_ancestors_are_laid_out_without_crossing_a_dot(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run = FakeRun(archive)
        a = run.add(1, 0, run.luck())
        b = run.add(1, 1, run.luck())
        c = run.add(2, 0, run.luck(), parents=(a, b))
        d = run.add(2, 1, run.luck(), parents=(b,))
        e = run.add(3, 0, run.luck(), parents=(c, d, "f" * 64))
        run.add(3, 1, run.luck(), parents=(e,))
        found = ancestry(Figures(archive, archive.run("run-1")).confirmed, e)
    assert [node.program.hash for node in found.nodes] == [e, d, c, b, a]
    assert [node.parents for node in found.nodes] == [(2, 1), (3,), (4, 3), (), ()]
    places = {(node.lane, node.row) for node in found.nodes}
    for node in found.nodes:
        for row in node.parents:
            lane = found.nodes[row].lane
            assert not any((lane, between) in places for between in range(node.row + 1, row))


def test_a_long_line_shows_its_near_end(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run, last = FakeRun(archive, questions=4, environments=1), ()
        for round_ in range(1, 31):
            last = (run.add(round_, 0, run.luck(), parents=last),)
        found = ancestry(Figures(archive, archive.run("run-1")).confirmed, last[0])
    assert len(found.nodes) == 25 and found.more == 5
    assert [node.program.round for node in found.nodes] == list(range(30, 5, -1))


def test_the_gain_at_each_level_has_an_interval(tmp_path: Path) -> None:
    run = fake(tmp_path / "a.db")
    with Archive(tmp_path / "a.db") as archive:
        figures = Figures(archive, archive.run("run-1"))
        gain = gain_at_matched_tokens(figures.scores(run.best(1)[0]), figures.reference)
    assert gain.vector_ci95.shape == (12, 2)
    assert (gain.vector_ci95[:, 0] <= gain.vector).all() and (gain.vector <= gain.vector_ci95[:, 1]).all()


def test_a_class_style_program_is_played_again_too(call: Any, world: Path) -> None:
    Path("mine.py").write_text(CLASS_STYLE)
    call("add", "mine.py:OptimalController")
    call(*SMALL, *QUIET)
    with Archive("autotts.db") as archive:
        found = report(archive, "run-1")
        assert found is not None
        (added,) = archive.added()
        seen = sampled(archive, replace(found, champion=replace(found.champion, hash=added)), 1)
    assert isinstance(seen, Sampled) and {each.program for each in seen.ended} == {added[:10], "cmc"}
    assert any(credit.kind == "return" for credit in seen.credit)
    assert sum(each.share for each in seen.ended) == pytest.approx(2)


def opened(browser: str, page: Path, folder: Path) -> tuple[str, str, list[str]]:
    """A page in a browser that has no network: its document, what it complained of, and what the page asked for."""
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    cut_off = ("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}/profile")
    log = folder / f"{page.name}.json"
    words = [browser, *quiet, *cut_off, f"--log-net-log={log}", "--enable-logging=stderr", "--dump-dom", page.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    events = [event["params"] for event in json.loads(log.read_text())["events"] if "params" in event]
    # what the browser itself asks for is of no page's origin
    asked = [params["url"] for params in events if params.get("initiator", "not an origin") != "not an origin"]
    return done.stdout, "\n".join(told), [url for url in asked if not url.startswith("data:")]


def test_a_browser_shows_it_and_asks_nobody(call: Any, world: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("there is no Chromium here")
    Path("leaks.html").write_text('<img src="https://evil.example/x"><script>console.log("told")</script>')
    _, told, asked = opened(browser, world / "leaks.html", world)
    assert "told" in told and asked == ["https://evil.example/x"]  # this would be seen
    fake(world / "fake.db")
    written(call, "--no-evidence")
    document, told, asked = opened(browser, world / "report.html", world)
    assert (told, asked) == ("", [])
    assert document.count("<svg") == len({*NAMES, "lineage"}) and "Accuracy against tokens" in document
