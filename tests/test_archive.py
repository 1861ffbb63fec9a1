"""The archive's store: what goes in comes out, whole or not at all, and the same whenever it is done.

Everything that takes `archive` or `target` is run on a SQLite file and on a PostgreSQL server.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autotts.archive import (
    SCHEMA,
    Added,
    Archive,
    ArchiveError,
    Call,
    EnvironmentRef,
    Evaluation,
    LedgerEntry,
    LedgerRow,
    Point,
    Program,
    Proposal,
    Run,
    Verdict,
    front,
    schema,
)
from autotts.archive.codec import pack, unpack
from autotts.errors import InputError


@pytest.fixture
def archive(target: str) -> Iterator[Archive]:
    with Archive(target) as opened:
        yield opened


def program(n: int) -> Program:
    return Program(f"{n:064x}", f'"""Idea {n}."""\n', f"Idea {n}.")


def evaluation(of: str, environment: str = "e1", source: str = "screen", seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    right, tokens, sequential, branches = rng.integers(0, 1 << 40, size=(4, 2, 3))
    knobs: tuple[dict[str, float], ...] = ({"n": 1.0}, {"n": 2.5})
    digests = rng.bytes(8 * 2 * 2)
    return Evaluation(
        of, environment, "p", source, (0.0, 0.1), (0, 1), right, tokens, sequential, branches, digests, knobs, "strict"
    )


def slot(n: int, parents: tuple[str, ...] = (), round: int = 0) -> Proposal:
    return Proposal("r", round, n, "evolution", f"source {n}", parents, "asked", '{"genome": 1}', {"input": 3}, None)


def search(archive: Archive, slots: int = 12, begin: bool = True) -> None:
    """A deterministic search that continues from what the archive holds."""
    if begin and not archive.runs():
        archive.add_run(Run("r", 1))
    for n in range(slots):
        mine = program(n)
        parents = tuple(p.id for p in archive.front("r")[:2])
        done = archive.proposal("r", n // 4, n % 4)
        if done is None:
            done = Proposal("r", n // 4, n % 4, "evolution", mine.source, parents)
            archive.add_proposal(done)
        if done.verdict is None:
            rng = random.Random(n)
            points = [Point(mine.hash, b, rng.random() * (1 + b), rng.random() * (1 + b) / 2) for b in (0.0, 0.5, 1.0)]
            verdict = Verdict("ok", program=mine.hash, stage="confirm", gain=rng.random(), gain_se=0.01)
            evaluations = [evaluation(mine.hash, e, "confirm", n) for e in ("e1", "e2")]
            archive.commit_slot(
                "r", n // 4, n % 4, verdict, program=mine, evaluations=evaluations, curve="c", points=points
            )
    archive.set_run_state("r", "done")


@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, min_side=0)))
def test_arrays_come_back(array: np.ndarray) -> None:
    back = unpack(pack(array))
    assert back.dtype == np.int64 and back.shape == array.shape and np.array_equal(back, array)


@given(st.binary(max_size=60), st.integers(0, 30))
def test_damaged_arrays_are_refused(data: bytes, cut: int) -> None:
    good = pack(np.arange(6, dtype=np.int64).reshape(2, 3))
    for bad in (data, good[:cut], good[:4] + data):
        with pytest.raises(ValueError, match=r"stored array|start as"):
            unpack(bad)


def test_programs(archive: Archive) -> None:
    assert archive.add_program(program(1), agent="person") is Added.ADDED
    assert archive.add_program(program(1)) == "duplicate"
    assert archive.program(program(1).hash) == program(1)
    assert archive.program("f" * 64) is None
    assert [(x.id, x.agent, x.outcome) for x in archive.listing()] == [("0" * 10, "person", "ok")]


def test_resolve(archive: Archive) -> None:
    for text in ("ab" + "0" * 62, "ac" + "0" * 62, "d" * 64):
        archive.add_program(Program(text, text))
    archive.add_program(Program("1" * 64, "old", name="cmc"))
    archive.add_program(Program("2" * 64, "new", name="cmc"))
    assert archive.resolve("d").hash == "d" * 64
    assert archive.resolve("AB").hash.startswith("ab")
    assert archive.resolve("cmc").source == "new"
    with pytest.raises(InputError, match=r"several programs \(ab00000000, ac00000000\); give more digits"):
        archive.resolve("a")
    for unknown in ("e", "nobody", "", "%"):
        with pytest.raises(InputError, match="autotts list"):
            archive.resolve(unknown)


def test_runs(archive: Archive) -> None:
    environment = EnvironmentRef("h", "m/d", ("q1", "q2"), 1e6, 1.5e4, 0.3, ("c1", "c2"))
    run = Run("r", 1 << 70, {"rounds": 8, "betas": [0.0, 1.0]}, (environment,), "running", {"autotts": "0.1"})
    assert archive.next_run_name() == "run-1"
    archive.add_run(run)
    archive.add_run(Run("run-1", 2))
    assert archive.next_run_name() == "run-2"
    assert archive.run("r") == run
    archive.set_run_state("r", "done")
    assert archive.run("r").state == "done"
    assert [r.name for r in archive.runs()] == ["r", "run-1"]
    with pytest.raises(InputError, match="resume it"):
        archive.add_run(run)
    with pytest.raises(InputError, match="the last runs: r, run-1"):
        archive.run("nope")


def test_proposals_and_verdicts(archive: Archive) -> None:
    archive.add_run(Run("r", 1))
    parent = program(0)
    for n in (1, 0):  # answers may come in any order
        assert archive.add_proposal(slot(n, (parent.hash,))) is Added.ADDED
    assert archive.add_proposal(slot(0)) is Added.DUPLICATE
    assert list(archive.proposals("r")) == [slot(0, (parent.hash,)), slot(1, (parent.hash,))]
    reject = Verdict("CpuLimit", "too slow", 7, "β = 0.5", isolation="strict")
    with pytest.raises(ArchiveError, match="before slot 0 of round 0"):
        archive.commit_slot("r", 0, 1, reject)
    archive.commit_slot("r", 0, 0, reject)
    accepted = Verdict("ok", program=parent.hash, stage="screen", gain=0.1, gain_se=float("nan"))
    archive.commit_slot("r", 0, 1, accepted, program=parent, evaluations=[evaluation(parent.hash)])
    verdicts = [p.verdict for p in archive.proposals("r")]
    assert verdicts[0] == reject
    assert verdicts[1] == Verdict("ok", program=parent.hash, stage="screen", gain=0.1)
    assert archive.outcomes("r") == {"CpuLimit": 1, "ok": 1}
    assert archive.get_evaluations(parent.hash, ["e2", "e1"], "p", "screen") == {"e1": evaluation(parent.hash)}
    rows = list(archive.listing("r"))
    assert [(x.id, x.idea, x.outcome, x.slot) for x in rows] == [
        (None, "", "CpuLimit", 0),
        (parent.id, "Idea 0.", "ok", 1),
    ]
    assert rows[0].parents == (parent.hash,)
    for state in ("decided already", "has no proposal"):
        with pytest.raises(ArchiveError, match=state):
            archive.commit_slot("r", 0, 1 if state[0] == "d" else 9, reject)


def test_a_slot_is_decided_whole_or_not_at_all(archive: Archive) -> None:
    archive.add_run(Run("r", 1))
    archive.add_proposal(slot(0))
    before = list(archive.dump())
    stray = evaluation("f" * 64)  # of a program that is not there: refused by the database
    with pytest.raises(ArchiveError):
        archive.commit_slot("r", 0, 0, Verdict("ok", program=program(0).hash), program=program(0), evaluations=[stray])
    assert list(archive.dump()) == before
    with pytest.raises(KeyError), archive.transaction():
        archive.add_program(program(0))
        archive.append_ledger(LedgerEntry("p", "e", "m/d", ()))
        raise KeyError
    assert list(archive.dump()) == before


def test_evaluations(archive: Archive) -> None:
    archive.add_program(program(0))
    mine = evaluation(program(0).hash)
    assert archive.add_evaluation(mine) is Added.ADDED
    assert archive.add_evaluation(evaluation(program(0).hash, seed=1)) is Added.DUPLICATE
    assert archive.add_evaluation(evaluation(program(0).hash, source="confirm")) is Added.ADDED
    assert archive.get_evaluations(program(0).hash, ["e1"], "p", "screen") == {"e1": mine}
    assert mine != evaluation(program(0).hash, seed=1)


def test_the_front_is_kept_as_points_come(archive: Archive) -> None:
    rng = random.Random(0)
    for name in ("r", "s"):
        archive.add_run(Run(name, 1))
    everything: list[Point] = []
    for n in range(40):
        archive.add_program(program(n))
        points = [Point(program(n).hash, b, rng.randint(1, 9), rng.randint(0, 9) / 9, 1.0) for b in (0.0, 0.5, 1.0)]
        archive.add_points("rs"[n % 2], "c", points)
        archive.add_points("rs"[n % 2], "c", [Point(p.id, p.beta, 0.0, 1.0) for p in points])  # the first stays
        everything += points
        assert archive.front(curve="c") == front(everything)
    assert archive.front("r") == front(p for p in everything if int(p.id, 16) % 2 == 0)
    assert archive.points("s", program(1).hash) == everything[3:6]
    assert archive.front(curve="other") == []
    with pytest.raises(ValueError, match="either"):
        archive.front()


def test_ledger_counts(archive: Archive) -> None:
    entry = LedgerEntry("p", "e", "m/d", (LedgerRow(0.5, 0.25, 1e5, 1e4),), "r")
    assert [archive.append_ledger(entry).number for _ in range(3)] == [1, 2, 3]
    assert archive.append_ledger(LedgerEntry("p", "other", "m/d", ())).number == 1
    assert (archive.ledger_count("e"), archive.ledger_count("none")) == (3, 0)
    assert archive.ledger("e")[0].rows == entry.rows
    assert len(archive.ledger(program="p")) == 4


def test_any_text_can_be_stored(archive: Archive) -> None:
    archive.add_run(Run("r", 1))
    archive.add_proposal(Proposal("r", 0, 0, "mock", "a\0b", answer="half \ud800 pair", prompt="β → 数"))
    (stored,) = archive.proposals("r")
    assert (stored.source, stored.answer, stored.prompt) == ("a\ufffdb", "half ? pair", "β → 数")


def test_what_was_spent_is_one_row_and_figures_come_without_what_was_said(archive: Archive) -> None:
    archive.add_run(Run("r", 1))
    for n, cost in enumerate((0.5, None, 0.25)):
        archive.add_call(Call("r", 1, 0, n, "m", "asked", {"t": "1"}, "ok", "said", {"input": n}, 10, cost, 1.5))
    assert archive.spent("r") == (30, 0.75, 1)
    whole, figures = archive.calls("r"), archive.calls("r", 1, texts=False)
    assert [(call.prompt, call.reply) for call in (whole[0], figures[0])] == [("asked", "said"), ("", "")]
    assert [replace(call, prompt="", reply="") for call in whole] == figures


COSTS = st.one_of(st.none(), st.floats(0, 1000), st.just(float("nan")))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 40), COSTS, st.booleans(), st.integers(0, 1 << 40), COSTS), max_size=6))
def test_totals_are_the_sums_over_calls_in_whatever_order_they_end(
    made: list[tuple[int, float | None, bool, int, float | None]],
) -> None:
    """What was reserved goes when a call is settled, without a trace of rounding."""
    with tempfile.TemporaryDirectory() as folder, Archive(Path(folder) / "a.db") as archive:
        archive.add_run(Run("r", 1))
        for n, (tokens, cost, *_) in enumerate(made):
            archive.add_call(Call("r", 0, n, 0, "m", tokens=tokens, cost=cost))
        for n, (_, _, ended, tokens, cost) in reversed(list(enumerate(made))):
            if ended:
                archive.end_call(Call("r", 0, n, 0, "m", outcome="ok", tokens=tokens, cost=cost))
        calls = archive.calls("r")
        priced = [call.cost for call in calls if call.cost is not None]
        expected = sum(round(cost * 10**12) for cost in priced) / 10**12
        assert archive.spent("r") == (sum(c.tokens for c in calls), expected, len(calls) - len(priced))


def test_what_runs_once_a_slot_finds_its_rows_by_an_index(tmp_path: Path) -> None:
    """No query walks over a table that grows with the search, nor over all that a run has in it."""
    said: dict[str, Any] = {}

    def note(_c: Any, _cursor: Any, statement: str, given: Any, _context: Any, many: bool) -> None:
        said.setdefault(statement, given[0] if many else given)

    with Archive(tmp_path / "a.db") as archive:
        archive.add_program(program(99), agent="person")
        archive.add_run(Run("r", 1))
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        search(archive, 24, begin=False)
        archive.add_call(Call("r", 0, 0, 0, "m"))
        archive.end_call(Call("r", 0, 0, 0, "m", outcome="ok"))
        assert archive.front(curve="c") and archive.points("r", program(1).hash) and archive.calls("r", 0, 0)
        assert archive.spent("r") and archive.resolve(program(1).hash) and archive.added() and archive.outcomes("r")
        assert archive.get_evaluations(program(1).hash, ["e1", "e2"], "p", "confirm")
        assert archive.add_seconds("r", 1.0) and next(archive.listing()) and next(archive.proposals("r"))
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    with sqlite3.connect(archive.name) as database:
        plans = [
            (statement, [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", given)])
            for statement, given in said.items()
            if statement.startswith(("SELECT", "UPDATE", "INSERT"))
        ]
    database.close()
    assert len(plans) > 25 and any("point_by_run" in line for _, plan in plans for line in plan)
    for statement, plan in plans:
        assert not [x for x in plan if ("SCAN" in x and x.split()[1] != "run") or x.endswith("(run=?)")], statement


def test_long_lists_are_read_in_pages(archive: Archive) -> None:
    archive.add_run(Run("r", 1))
    with archive.transaction():
        for n in range(1203):
            archive.add_proposal(slot(n % 7, round=n // 7))
    keys = [(p.round, p.slot) for p in archive.proposals("r")]
    assert keys == [(n // 7, n % 7) for n in range(1203)]
    assert [(x.round, x.slot) for x in archive.listing()] == keys


def test_threads_share_an_archive(archive: Archive) -> None:
    def work(first: int) -> None:
        for n in range(first, first + 25):
            archive.add_program(program(n))
            archive.append_ledger(LedgerEntry("p", "e", "m/d", ()))
            assert archive.program(program(n).hash)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 25, 50, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dumped = list(archive.dump())
    assert sorted(r["number"] for name, r in dumped if name == "program") == list(range(1, 76))
    assert archive.ledger_count("e") == 100


def test_same_search_same_rows(archive: Archive, tmp_path: Path) -> None:
    with Archive(tmp_path / "b.db") as other:
        for one in (archive, other):
            search(one)
            for name in ("B", "a", "A", "_", "b-1", "b1"):  # in the order of bytes, not of an English dictionary
                one.add_run(Run(name, 1))
                one.add_call(Call(name, 0, 0, 0, "m", tokens=1 << 40, cost=0.1))
        assert list(archive.dump()) == list(other.dump())


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    with Archive(tmp_path / "whole.db") as whole:
        search(whole)
        expected = list(whole.dump())
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from tests.test_archive import Archive, search\n"
        "archive = Archive(sys.argv[1]); print(flush=True); search(archive)"
    )
    root = str(Path(__file__).resolve().parents[1])
    rng = random.Random(0)
    for attempt in range(8):
        path = tmp_path / f"killed{attempt}.db"
        child = subprocess.Popen([sys.executable, "-c", code, str(path), root], stdout=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()
        threading.Event().wait(rng.random() * 0.1)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with Archive(path) as archive:
            search(archive)
            assert list(archive.dump()) == expected


def test_opening_what_is_not_an_archive(tmp_path: Path) -> None:
    def opened(target: str | Path, create: bool = False) -> None:
        Archive(target, create=create).close()

    with pytest.raises(InputError, match="no archive here"):
        opened(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text").write_text("hello, this is some text")
    for create in (True, False):
        with pytest.raises(InputError, match="not an AutoTTS archive"):
            opened(tmp_path / "text", create)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(InputError, match="not an AutoTTS archive"):
        opened(tmp_path / "other.db", True)
    with pytest.raises(InputError, match="directory"):
        opened(tmp_path, True)
    with pytest.raises(InputError, match="no such directory"):
        opened(tmp_path / "no" / "a.db", True)
    for target, cause in (("sqlite://", "memory"), ("sqlite:///:memory:", "memory"), ("nodb://x", "driver")):
        with pytest.raises(InputError, match=cause):
            opened(target, True)
    (tmp_path / "empty.db").touch()
    with pytest.raises(InputError, match="empty"):
        opened(tmp_path / "empty.db")
    opened(tmp_path / "empty.db", True)
    opened(f"sqlite:///{tmp_path / 'empty.db'}")


def test_a_newer_archive_says_so(tmp_path: Path) -> None:
    Archive(tmp_path / "a.db").close()
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("INSERT INTO archive_schema VALUES (?)", (SCHEMA + 1,))
    database.close()
    with pytest.raises(InputError, match="newer AutoTTS"):
        Archive(tmp_path / "a.db")


def test_an_archive_of_version_3_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        database.executescript((Path(__file__).parent / "golden" / "archive-3.sql").read_text())
    database.close()
    with Archive(path, create=False) as archive, Archive(tmp_path / "new.db") as new:
        assert archive.spent("r") == (330, 0.3, 1)
        assert archive.run("r").environments == (EnvironmentRef("h", "m/d", ("q1",), 1e6, 1.5e4, 0.3, ("c1",)),)
        new.add_run(archive.run("r"))
        search(new, 3, begin=False)
        new.add_proposal(slot(3))
        for call in archive.calls("r"):
            new.add_call(call)
        new.append_ledger(archive.ledger()[0])
        new.add_program(program(9), agent="person")
        assert list(archive.dump()) == list(new.dump())
        made = [sa.inspect(sa.create_engine(f"sqlite:///{one.name}")) for one in (archive, new)]
        for table in schema.metadata.tables:
            old, today = ({column["name"] for column in one.get_columns(table)} for one in made)
            assert old == today
            old, today = ({index["name"] for index in one.get_indexes(table)} for one in made)
            assert old == today


def test_an_archive_without_content_keys_is_refused(tmp_path: Path) -> None:
    Archive(tmp_path / "a.db").close()
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("UPDATE archive_schema SET version = 1")
    database.close()
    with pytest.raises(InputError, match=r"earlier AutoTTS.*give --archive a new path"):
        Archive(tmp_path / "a.db")


def test_a_damaged_archive_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Archive(path) as archive:
        search(archive)
    data = bytearray(path.read_bytes())
    data[100:8192] = b"\xff" * (8192 - 100)
    path.write_bytes(data)
    with pytest.raises((ArchiveError, InputError)):
        Archive(path)


def test_a_lock_that_is_never_released_says_so(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Archive, "patience", 0.1)
    with Archive(target) as one, Archive(target) as two, one.transaction():
        one.add_program(program(0))
        assert two.program(program(0).hash) is None  # reading goes on meanwhile
        with pytest.raises(ArchiveError, match="another process"):
            two.add_program(program(1))
