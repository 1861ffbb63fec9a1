"""`archive check` finds what is off, names it, and finds nothing in what is sound."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotts.archive import Archive
from autotts.archive.codec import pack, unpack
from autotts.cli import _run
from autotts.replay import save_environment
from tests.small import small_environment
from tests.test_archive_transfer import SEARCH, filled


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archive of a small search, and a call in it."""
    folder = tmp_path_factory.mktemp("searched")
    save_environment(small_environment(), folder / "tiny.jsonl")
    words = [str(folder / word) if word == "tiny.jsonl" else word for word in SEARCH.split()]
    assert _run([*words, "--archive", str(folder / "a.db")]) == 0
    return folder


def checked(path: Path, capsys: pytest.CaptureFixture[str], code: int, *more: str) -> Any:
    capsys.readouterr()
    assert _run(["archive", "check", "--archive", str(path), "--json", *more]) == code
    return json.loads(capsys.readouterr().out)


def test_what_is_sound_has_no_faults_on_either_database(target: str) -> None:
    with Archive(target) as archive:
        assert list(archive.faults()) == []
        filled(archive)
        assert list(archive.faults()) == list(archive.faults("r")) == []


def test_a_sample_of_a_search_gives_the_same_figures(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(searched / "a.db", capsys, 0, "--sample", "3", "--seed", "1")
    assert found["ok"] and len({one["program"] for one in found["rerun"]}) == 3
    assert {one["source"] for one in found["rerun"]} == {"screen", "confirm"}
    again = checked(searched / "a.db", capsys, 0, "--sample", "3", "--seed", "1")
    assert again == found
    capsys.readouterr()
    assert _run(["archive", "check", "--archive", str(searched / "a.db"), "--sample", "1"]) == 0
    assert "everything is as it must be; 1 run, 1 program run again" in capsys.readouterr().out


FAULTS = {
    "UPDATE program SET source = source || '#' WHERE number = 3": "its source is not what its hash was taken of",
    "UPDATE program SET number = 99 WHERE number = 3": "the last one's number is 99",
    "DELETE FROM evaluation WHERE source = 'confirm' AND program = (SELECT hash FROM program WHERE number = 1)": (
        "has no confirm figures"
    ),
    "DELETE FROM point WHERE program = (SELECT hash FROM program WHERE number = 1)": "has no points",
    "UPDATE point SET on_front = NOT on_front WHERE rowid = 1": "as on the front",
    "UPDATE proposal SET outcome = NULL WHERE round = 0 AND slot = 2": "0.2 before it is not",
    "DELETE FROM proposal WHERE round = 0 AND slot = 2": "0.2 before it is not there",
    "UPDATE run SET spent_tokens = 7": "spent_tokens says 7, and its calls come to 0",
    "UPDATE evaluation SET tokens = x'00' WHERE rowid = 1": "stored array",
    "UPDATE evaluation SET betas = '[0.0]' WHERE rowid = 1": "one shape",
    "UPDATE proposal SET program = 'nobody' WHERE round = 1 AND slot = 0": "belongs to no program",
    "UPDATE proposal SET gain = gain + 0.01 WHERE round = 1 AND slot = 0": "by its own sums",
    "UPDATE proposal SET gain = NULL WHERE round = 0 AND slot = 1": "its gain is None",
    "UPDATE point SET accuracy = accuracy / 2 WHERE rowid = (SELECT max(rowid) FROM point WHERE NOT on_front)": (
        "is not what its sums give"
    ),
    "DELETE FROM point WHERE rowid = (SELECT max(rowid) FROM point WHERE NOT on_front)": "is not there",
    "DELETE FROM proposal WHERE round = 1 AND slot = (SELECT max(slot) FROM proposal WHERE round = 1)": (
        "is over, with"
    ),
}


@pytest.mark.parametrize("change", FAULTS)
def test_what_is_off_is_named(change: str, searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(searched / "a.db", tmp_path / "a.db")
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute(change)
    database.close()
    found = checked(tmp_path / "a.db", capsys, 1, "--sample", "0")
    assert FAULTS[change] in json.dumps(found["faults"])
    assert _run(["archive", "check", "--archive", str(tmp_path / "a.db"), "--sample", "0"]) == 1
    assert "fault" in capsys.readouterr().out


def test_figures_that_cannot_be_had_again_are_named(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(searched / "a.db", tmp_path / "a.db")
    with sqlite3.connect(tmp_path / "a.db") as database:
        query = "SELECT rowid, tokens, digests FROM evaluation WHERE source = 'confirm' ORDER BY rowid"
        rows = database.execute(query).fetchall()
        sums = np.array(unpack(rows[0][1]))
        sums[1, 2] += 1
        database.execute("UPDATE evaluation SET tokens = ? WHERE rowid = ?", (pack(sums), rows[0][0]))
        swapped = bytes(rows[1][2][8:] + rows[1][2][:8])
        database.execute("UPDATE evaluation SET digests = ? WHERE rowid = ?", (swapped, rows[1][0]))
    database.close()
    found = checked(tmp_path / "a.db", capsys, 1, "--sample", "99")
    what = [fault["what"] for fault in found["faults"]]
    assert "its point at β = 0.5 is not what its sums give" in what
    assert all(text.endswith(("is not what its sums give", "by its own sums")) for text in what)
    told = [text for one in found["rerun"] for text in one["differences"]]
    assert len(told) == 2
    assert f"tokens at β = 0.5, question q2 is {sums[1, 2]} in the archive, and {sums[1, 2] - 1} now" in told[0]
    assert "other actions" in told[1]


def test_where_the_environments_are_gone_the_rest_is_done(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = searched / "hidden"
    (searched / "tiny.jsonl").rename(hidden)
    try:
        found = checked(searched / "a.db", capsys, 0)
        assert found["rerun"] == [] and "tiny.jsonl" in found["not_rerun"][0]["why"]
        save_environment(small_environment(seed=9), searched / "tiny.jsonl")
        found = checked(searched / "a.db", capsys, 0)
        assert "are not those that it started with" in found["not_rerun"][0]["why"]
        assert _run(["archive", "check", "--archive", str(searched / "a.db")]) == 0
        assert "were not run again" in capsys.readouterr().out
    finally:
        hidden.rename(searched / "tiny.jsonl")
