"""An archive goes out as lines and comes in again: equal, whole, or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.archive import (
    SCHEMA,
    Archive,
    Call,
    EnvironmentRef,
    LedgerEntry,
    LedgerRow,
    Point,
    Program,
    Proposal,
    Run,
    Verdict,
)
from autotts.archive.records import content_hash
from autotts.cli import _run
from autotts.errors import InputError
from autotts.evaluation import Program as Written
from autotts.replay import save_environment
from tests.small import small_environment
from tests.test_archive import evaluation

SEARCH = (
    "search --env tiny.jsonl --rounds 1 --proposals-per-round 2 --seeds 2 --screen-seeds 1 --betas 3 --display none"
)


def written(n: int) -> Program:
    """A program whose hash is that of its source."""
    mine = Written.from_source(f'"""Idea {n}, ≥ {n} branches."""\n')
    return Program(mine.hash, mine.source, mine.idea, fingerprint=f"f{n}")


def filled(archive: Archive) -> None:
    """Two runs that share a program, and something in every table."""
    archive.add_program(written(7), agent="person")
    for name in ("r", "s"):
        archive.add_run(Run(name, 1 << 70, {"rounds": 8}, (EnvironmentRef("e1", "m/d"),), versions={"python": "3"}))
        for n, of in enumerate((written(0), written(1 if name == "r" else 2))):
            archive.add_proposal(Proposal(name, 0, n, "mock", of.source, (written(7).hash,), "β?", "{}", {"input": 3}))
            verdict = Verdict("ok", program=of.hash, stage="confirm", gain=0.1)
            points = [Point(of.hash, b, 10.0 + n + b, 0.1 + 0.7 * b, 1 / 3) for b in (0.0, 1.0)]
            scores = evaluation(of.hash, source="confirm", seed=n)
            archive.commit_slot(name, 0, n, verdict, program=of, curve="c", points=points, evaluations=[scores])
        archive.add_proposal(Proposal(name, 1, 0, "mock", "x", cost=None))
        archive.add_call(
            Call(name, 1, 0, 0, "mock", "asked", {"t": "1"}, "ok", '{"text":""}', {"input": 1}, 10, 0.1, 2)
        )
        archive.append_ledger(LedgerEntry(written(0).hash, "h", "m/d", (LedgerRow(0.5, 0.25, 1e5, 1e4),), name))


@pytest.fixture
def archive(target: str) -> Iterator[Archive]:
    with Archive(target) as opened:
        filled(opened)
        yield opened


def taken(lines: list[str], into: Archive, as_run: str | None = None) -> dict[str, int]:
    return into.import_lines([line.encode() for line in lines], "a.jsonl", as_run)


def test_export_and_import_give_an_equal_archive(archive: Archive, tmp_path: Path) -> None:
    """Also from one kind of database to the other."""
    lines = list(archive.export_lines())
    with Archive(tmp_path / "b.db") as other:
        assert taken(lines, other)["proposal"] == 6
        assert list(other.dump()) == list(archive.dump())
        assert list(other.export_lines()) == lines
    assert json.loads(lines[0]) == {"schema": f"autotts.archive/{SCHEMA}", "run": None}
    assert json.loads(lines[-1]) == {"end": len(lines) - 2}
    (kept,) = (json.loads(x) for x in lines if '"evaluation"' in x and written(2).hash in x)
    assert len(kept["right"]) == 2 and len(kept["right"][0]) == 3, "arrays are readable"


def test_lines_come_into_another_kind_of_database(target: str, tmp_path: Path) -> None:
    with Archive(tmp_path / "from.db") as one, Archive(target) as other:
        filled(one)
        taken(list(one.export_lines()), other)
        assert list(other.dump()) == list(one.dump())


def test_one_run_takes_what_it_needs_and_no_more(archive: Archive, tmp_path: Path) -> None:
    lines = list(archive.export_lines("s"))
    with Archive(tmp_path / "b.db") as other:
        added = taken(lines, other)
        assert (added["run"], added["program"], added["ledger"]) == (1, 2, 1)
        assert other.program(written(1).hash) is None and other.spent("s") == archive.spent("s")
        assert list(other.proposals("s")) == list(archive.proposals("s"))
        assert other.front("s") == archive.front("s")
        taken(lines, other, "t")
        assert [(run.name, run.seed) for run in other.runs()] == [("s", 1 << 70), ("t", 1 << 70)]
        assert other.front("t") == archive.front("s") and other.ledger_count("h") == 2
        assert [entry.run for entry in other.ledger()] == ["s", "t"]
        before = list(other.dump())
        for as_run in (None, "t"):
            with pytest.raises(InputError, match=r"a.jsonl, line \d+: .* already; give it another name with --as"):
                taken(lines, other, as_run)
        with pytest.raises(InputError, match="second run"):
            taken(list(archive.export_lines()), other, "u")
        assert list(other.dump()) == before


def changed(line: str, **values: Any) -> str:
    return json.dumps({**json.loads(line), **values})


def damages(lines: list[str]) -> Iterator[tuple[list[str], int, str]]:
    """Damaged files, the line that is at fault, and what is said of it."""
    at = {json.loads(line).get("table"): n for n, line in enumerate(lines)}
    yield [], 1, "ends too early"
    yield lines[:-1], len(lines), "ends too early"
    yield [*lines[:-2], lines[-1]], len(lines) - 1, "there should be"
    yield [*lines, lines[1]], len(lines) + 1, "after the end"
    yield lines[1:], 1, "header"
    for schema, told in (
        (f"autotts.archive/{SCHEMA + 1}", "newer"),
        ("autotts.archive/3", "export it again"),
        (3, "head"),
    ):
        yield [changed(lines[0], schema=schema), *lines[1:]], 1, told
    for table, values, told in (
        ("program", {"source": "another"}, "its hash is another"),
        ("program", {"fingerprint": None}, "fingerprint cannot be"),
        ("program", {"idea": "\ud800"}, "no database holds"),
        ("run", {"environments": [1]}, "is no run"),
        ("run", {"config": []}, "config cannot be"),
        ("run", {"spent_tokens": 1 << 63}, "too large"),
        ("proposal", {"more": 1}, "other columns: more"),
        ("proposal", {"run": "elsewhere"}, "not in the file"),
        ("proposal", {"program": "f" * 64}, "FOREIGN KEY"),
        ("proposal", {"slot": True}, "slot cannot be"),
        ("call", {"cost": float("nan")}, "not a finite number"),
        ("evaluation", {"right": [[1], [2, 3]]}, "line"),
        ("evaluation", {"right": [[0.5]]}, "whole numbers"),
        ("evaluation", {"right": [[1]]}, "one shape"),
        ("evaluation", {"digests": "00"}, "digests"),
        ("point", {"beta": "x"}, "beta cannot be"),
        ("ledger", {"rows": [{}]}, "is no ledger"),
        ("run", {"table": "secrets"}, "no table"),
    ):
        bad = changed(lines[at[table]], **values)
        yield [*lines[: at[table]], bad, *lines[at[table] + 1 :]], at[table] + 1, told
    for bad in ("{", "[1]", "[" * 100_000, "\x00"):
        yield [*lines[:3], bad, *lines[4:]], 4, "JSON"


def test_a_damaged_line_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive, Archive(tmp_path / "b.db") as other:
        filled(archive)
        empty = list(other.dump())
        for lines, number, told in damages(list(archive.export_lines())):
            with pytest.raises(InputError, match=rf"^a.jsonl, line {number}: .*; nothing was imported$") as refused:
                taken(lines, other)
            assert told in str(refused.value)
            assert list(other.dump()) == empty


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with Archive(tmp_path_factory.mktemp("exported") / "a.db") as archive:
        filled(archive)
        return "\n".join(archive.export_lines("s")).encode()


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0), byte=st.integers(0, 255))
def test_whatever_happens_to_a_byte_is_refused_in_words_or_is_no_damage(exported: bytes, place: int, byte: int) -> None:
    place %= len(exported)
    bad = (exported[:place] + bytes([byte]) + exported[place + 1 :]).split(b"\n")
    with tempfile.TemporaryDirectory() as folder, Archive(Path(folder) / "b.db") as other:
        empty = list(other.dump())
        try:
            added = other.import_lines(bad, "a.jsonl")
        except InputError:
            assert list(other.dump()) == empty
        else:
            assert sum(added.values()) == len(bad) - 2


@pytest.mark.parametrize("seed", [1, 5])
def test_figures_that_are_here_already_stay_or_are_refused_where_they_differ(seed: int, tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive, Archive(tmp_path / "b.db") as other:
        filled(archive)
        other.add_program(written(1))
        other.add_evaluation(evaluation(written(1).hash, source="confirm", seed=seed))
        lines = list(archive.export_lines("r"))
        if seed == 1:
            assert taken(lines, other)["evaluation"] == 1
        else:
            with pytest.raises(InputError, match="other figures of"):
                taken(lines, other)


def test_the_hash_of_a_program_is_that_of_the_evaluation() -> None:
    for class_name in (None, "Best"):
        mine = Written.from_source("x = 'β'\r\n", class_name=class_name)
        assert content_hash(mine.source, class_name) == mine.hash


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    monkeypatch.chdir(tmp_path)
    assert _run(SEARCH.split()) == 0
    capsys.readouterr()
    assert _run(["archive", "export", "-"]) == 0
    printed = capsys.readouterr().out
    assert _run(["archive", "export", "a.jsonl"]) == 0
    assert (tmp_path / "a.jsonl").read_text() == printed
    assert _run(["archive", "export", "a.jsonl"]) == 2 and "--force" in capsys.readouterr().err
    assert _run(["archive", "export", "a.jsonl", "--force", "--run", "run-1"]) == 0
    assert _run(["archive", "export", "b.jsonl", "--run", "run-9"]) == 2
    assert _run(["archive", "export", "no/b.jsonl"]) == 2 and "cannot be written" in capsys.readouterr().err
    assert _run(["archive", "import", "a.jsonl", "--archive", "b.db", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == 1
    with Archive("autotts.db") as one, Archive("b.db") as other:
        assert list(one.dump()) == list(other.dump())
    assert _run(["archive", "import", "a.jsonl", "--archive", "b.db"]) == 2
    assert "a.jsonl, line" in capsys.readouterr().err
    assert _run(["archive", "import", "a.jsonl", "--archive", "b.db", "--as", "a gain"]) == 2
    assert "--as 'a gain': a name has letters" in capsys.readouterr().err
    assert _run(["archive", "import", "a.jsonl", "--archive", "b.db", "--as", "again"]) == 0
    assert _run(["archive", "check", "--archive", "b.db", "--sample", "1"]) == 0
    assert _run(["resume", "again", "--archive", "b.db", "--display", "none"]) == 0, "a run that came in goes on"
    for name in ("none.jsonl", str(tmp_path)):
        assert _run(["archive", "import", name]) == 2 and "cannot be read" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} >= {"a.jsonl"} and not list(tmp_path.glob(".*.part"))


def test_a_refused_import_leaves_no_archive_that_was_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text("nothing of ours\n")
    assert _run(["archive", "import", str(tmp_path / "bad.jsonl"), "--archive", str(tmp_path / "new.db")]) == 2
    assert "bad.jsonl" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]
    with Archive(tmp_path / "old.db"):
        pass
    assert _run(["archive", "import", str(tmp_path / "bad.jsonl"), "--archive", str(tmp_path / "old.db")]) == 2
    assert (tmp_path / "old.db").exists()
