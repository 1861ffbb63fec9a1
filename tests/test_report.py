"""The report of a run, two runs side by side, and questions in reserve, through the public surface."""

from __future__ import annotations

import io
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotts.archive import Archive
from autotts.cli import _run
from autotts.errors import InputError
from autotts.evaluation.statistics import gain_at_matched_tokens
from autotts.replay import save_environment
from autotts.search.comparing import compare_runs
from autotts.search.figures import Figures
from autotts.search.report import report
from autotts.search.reserve import look_at_reserve
from autotts.ui.console import PlainConsole
from autotts.ui.report import print_report, short_report
from tests.fake_runs import FakeRun
from tests.nulls import TUNED
from tests.small import small_environment
from tests.test_cli import call, world

__all__ = ["call", "world"]

PARTED = (
    "search",
    "--rounds",
    "1",
    "--proposals-per-round",
    "3",
    "--seeds",
    "2",
    "--screen-seeds",
    "1",
    "--betas",
    "3",
)


def line_of_three(archive: Archive) -> tuple[str, str, str, FakeRun]:
    """A grandparent, a parent, and a champion that is really better than both; the simplest of all is the first."""
    run = FakeRun(archive)
    first = run.add(1, 0, run.luck(0.02), source="X = 1\n")
    second = run.add(2, 0, run.luck(0.04), parents=(first,), source="X = 1 + 2\n")
    third = run.add(3, 0, run.luck(0.2), parents=(second, first), source="X = 1 + 2 + 3\n")
    return first, second, third, run


def test_a_report_says_who_and_over_whom(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        first, second, third, _ = line_of_three(archive)
        found = report(archive, "run-1")
        assert found is not None
        figures = Figures(archive, archive.run("run-1"))
        gain = gain_at_matched_tokens(figures.scores(third), figures.reference)
    assert (found.champion.hash, found.champion.constants, found.candidates, found.cut) == (third, 3, 3, 0)
    assert [(v.role, v.hash) for v in found.versus[:2]] == [("parent", second), ("parent", first)]
    assert [v.role for v in found.versus[2:]] == ["ancestor", "reference"]
    reference = found.over("reference")
    assert reference is not None and reference.id == "cmc"
    assert reference.difference.gain == pytest.approx(gain.value) == pytest.approx(found.champion.gain)
    assert reference.difference.se == pytest.approx(gain.se)
    assert reference.difference.p == gain.sign_flip_p
    assert dict(reference.difference.questions)["q3"] == pytest.approx(dict(gain.by_question)[3])
    assert sum(value for _, value in reference.difference.questions) == pytest.approx(gain.value)
    assert all(versus.better for versus in found.versus)
    assert found.saved.reference_tokens == pytest.approx(1.0)
    assert [name for name, _, _ in found.by_environment] == ["model-0/fake", "model-1/fake"]


def test_gains_over_others_are_differences_of_gains(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run = line_of_three(archive)[-1]
        found = report(archive, "run-1")
    assert found is not None
    for versus in found.versus:
        assert versus.difference.gain == pytest.approx(found.champion.gain - run.gains[versus.hash])


def test_the_words_are_no_bolder_than_the_figures(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run = FakeRun(archive, seed=3)
        run.climb(2, 5)
        equal = report(archive, "run-1")
        line = Archive(tmp_path / "b.db")
        line_of_three(line)
        better = report(line, "run-1")
    assert equal is not None and better is not None
    texts = []
    for found in (equal, better):
        out = io.StringIO()
        print_report(PlainConsole(file=out, width=160), found)
        texts.append(out.getvalue())
    assert "cannot be told from its" in texts[0] and "better than its" not in texts[0]
    assert "this data resolves ±" in texts[0]
    assert "better than its parent" in texts[1] and "the questions that carry it: q" in texts[1]
    assert any("cannot be told from its" in line for line in short_report(equal))
    assert any("better than its parent" in line for line in short_report(better))


def test_a_gain_beyond_what_is_resolved_that_is_not_better_says_why(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        line_of_three(archive)
        found = report(archive, "run-1")
    assert found is not None
    parent = found.over("parent")
    assert parent is not None and parent.better
    for changed, why in (
        (replace(parent, chosen_p=0.04), "parent: p, chosen is 0.040, and would have to be below 0.025"),
        (replace(parent, corrected=-0.01), "parent: corrected, nothing of it is left"),
    ):
        told = "\n".join(short_report(replace(found, versus=(changed,))))
        assert f"cannot be told from its {why}" in told and "resolves" not in told


def test_there_is_nothing_to_look_at_without_a_reserve(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run = FakeRun(archive)
        run.add(1, 0, run.luck())
        found = report(archive, "run-1")
        assert found is not None
        with pytest.raises(InputError, match="keeps no questions in reserve"):
            look_at_reserve(archive, found, 1)


def test_a_run_without_programs_of_agents_has_no_report(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        FakeRun(archive)
        assert report(archive, "run-1") is None
        with pytest.raises(InputError, match="no such run"):
            report(archive, "run-9")


def test_those_far_below_are_left_out_and_change_nothing(tmp_path: Path) -> None:
    reports = []
    for hopeless in (0, 5):
        with Archive(tmp_path / f"{hopeless}.db") as archive:
            run = FakeRun(archive)
            for slot in range(4):
                run.add(1, slot, run.luck(0.1))
            for slot in range(4, 4 + hopeless):
                run.add(1, slot, np.zeros(run.shape))
            reports.append(report(archive, "run-1"))
    few, many = reports
    assert few is not None and many is not None
    assert (few.cut, many.cut) == (0, 5)
    assert asdict(replace(few, cut=5)) == asdict(many)


@pytest.mark.slow
def test_thousands_are_reported_within_a_minute(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive:
        run = FakeRun(archive)
        with archive.transaction():
            for slot in range(2000):
                run.add(1, slot, run.luck())
        begin = time.perf_counter()
        found = report(archive, "run-1")
        assert found is not None and found.candidates + found.cut == 2000
        assert time.perf_counter() - begin < 60


# ---- two runs --------------------------------------------------------------------------------------------------


def test_two_runs_are_opposites_of_each_other(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive, Archive(tmp_path / "b.db") as other:
        for place, lift in ((archive, 0.3), (other, 0.0)):
            run = FakeRun(place)
            run.add(1, 0, np.clip(run.chance + lift, 0, 1))
        there = compare_runs((archive, "run-1"), (other, "run-1"))
        back = compare_runs((other, "run-1"), (archive, "run-1"))
        itself = compare_runs((archive, "run-1"), (archive, "run-1"))
    assert there.champions is not None and back.champions is not None and itself.champions is not None
    assert there.champions.gain == pytest.approx(-back.champions.gain) and there.champions.gain > 0.1
    assert there.fronts.gain == pytest.approx(-back.fronts.gain) and there.fronts.p < 0.05
    assert there.left.hypervolume > there.right.hypervolume == back.left.hypervolume
    assert (itself.fronts.gain, itself.fronts.p, itself.fronts.questions) == (0.0, 1.0, ())


def test_runs_that_cannot_be_compared(tmp_path: Path, call: Any) -> None:
    search = ("search", "--rounds", "0", "--seeds", "1", "--screen-seeds", "1", "--display", "none")
    save_environment(small_environment("other", seed=4), "other.jsonl")
    call(*search, "--env", "tiny.jsonl", "--env", "other.jsonl", "--betas", "2")
    call(*search, "--env", "other.jsonl", "--env", "tiny.jsonl", "--betas", "2", "--archive", "b.db")
    call(*search, "--env", "tiny.jsonl", "--betas", "2")
    call(*search, "--env", "tiny.jsonl", "--env", "other.jsonl", "--betas", "3")
    assert "not the same recordings" in call("compare", "run-1", "run-2", code=2)
    assert "2 β and 1 seeds and run-3 with 3 β" in call("compare", "run-1", "run-3", code=2)
    assert "no such run" in call("compare", "run-1", "run-7", code=2)
    assert "c.db" in call("compare", "run-1", "run-1@c.db", code=2)
    turned = json.loads(call("compare", "run-1", "run-1@b.db", "--json"))
    assert turned["fronts"]["gain"] == 0 and turned["champions"] is None
    assert turned["left"]["hypervolume"] == turned["right"]["hypervolume"]
    assert "has no champion" in call("compare", "run-1", "run-1@b.db")


# ---- questions in reserve --------------------------------------------------------------------------------------


def test_what_is_in_reserve_is_seen_by_a_look_alone(call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    save_environment(small_environment(questions=12), "twelve.jsonl")
    call(*PARTED, "--env", "twelve.jsonl", "--reserve", "0.3", "--display", "none")
    with Archive("autotts.db") as archive:
        (ref,) = archive.run("run-1").environments
        assert len(ref.clusters) == len(ref.content) == 8 and archive.ledger() == []
        figures = Figures(archive, archive.run("run-1"))
        assert {figures.scores(hash).accuracy.shape for hash in figures.confirmed} == {(1, 3, 8)}
    call("resume", "run-1", "--display", "none")
    call("inspect", "states")
    plain = json.loads(call("champion", "--json"))
    assert plain["reserve"] == 0.3 and plain["questions"] == 8 and plain["reserved"] is None and plain["looks"] == []
    assert "In reserve: 30 %" in call("champion")
    first = json.loads(call("champion", "--look", "--json"))["reserved"]
    assert (first["questions"], first["times"], first["programs"], first["searched_by"]) == (4, 1, 1, [])
    assert [v["role"] for v in first["versus"]] == [v["role"] for v in plain["versus"]]
    assert [row["beta"] for row in first["curve"]] == [0, 0.5, 1]
    assert "looked at 2 times, 1 program" in call("champion", "--look")
    assert "tiny/tiny (in reserve), looked at 2 times" in call("champion")
    assert "in reserve" in call("list") and "in reserve" in call("front")
    with Archive("autotts.db") as archive:
        assert {entry.run for entry in archive.ledger()} == {"run-1"}
    assert "champion --run run-1 --look" in call("score", "cmc", "--heldout", "twelve.jsonl", code=2)
    call(*PARTED, "--env", "twelve.jsonl", "--display", "none", "--rounds", "0")
    assert "note: run-2 searched on some" in call("champion", "--run", "run-1", "--look")
    save_environment(small_environment(questions=11), "twelve.jsonl")
    assert "are not those that it started with" in call("champion", "--run", "run-1", "--look", code=2)


def test_shares_are_checked_before_anything_is_written(call: Any, world: Path) -> None:
    assert "of the 6 questions of tiny it would reserve 1" in call(
        *PARTED, "--env", "tiny.jsonl", "--reserve", "0.2", code=2
    )
    for wrong in ("1", "-0.1", "nan", "half"):
        assert "--reserve" in call(*PARTED, "--env", "tiny.jsonl", "--reserve", wrong, code=2)


def test_a_run_that_made_nothing_has_no_champion(call: Any) -> None:
    call("search", "--rounds", "0", "--seeds", "1", "--screen-seeds", "1", "--env", "tiny.jsonl", "--display", "none")
    assert "has no champion" in call("champion", code=1)
    assert _run(["champion", "--run", "nothing"]) == 2


def test_a_score_says_which_run_the_program_came_from(call: Any, world: Path) -> None:
    """It is the cheapest of all, so it is on the front."""
    (world / "cheap.py").write_text(TUNED.format(n=1.0, more=0.0, depth=0.0, deeper=0.0))
    id = json.loads(call("add", "cheap.py", "--json"))["id"]
    call("search", "--rounds", "0", "--seeds", "1", "--screen-seeds", "1", "--env", "tiny.jsonl", "--display", "none")
    save_environment(small_environment("held", seed=7), "held.jsonl")
    quick = ("--heldout", "held.jsonl", "--betas", "0,1", "--seeds", "1")
    assert f"{id} comes from run-1" in call("score", id, *quick)
    assert {row["run"] for row in json.loads(call("score", "sc", *quick, "--json"))} == {None}
    assert "held/tiny, looked at 2 times in this archive, 2 programs" in call("list")
    assert "autotts champion --run run-1" in call("show", id)
