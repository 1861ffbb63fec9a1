"""What goes wrong with disks, locks and servers ends clearly, leaves nothing half-written, and can be gone on with."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autotts.archive import Archive, ArchiveError, Run, engine
from autotts.cli import _run
from autotts.replay import save_environment
from tests.databases import Server
from tests.small import small_environment
from tests.test_archive_transfer import SEARCH

GO_ON = ["resume", "run-1", "--display", "none", "--archive"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_environment(small_environment(), tmp_path / "tiny.jsonl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small disk of its own, and a way to mount it with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        return shutil.which("mount") is not None and subprocess.run(words, capture_output=True).returncode == 0

    if os.geteuid() != 0 or not mount("size=8m"):
        pytest.skip("no small disk can be mounted here, which takes root")

    def again(options: str) -> Path:
        assert mount("remount", options)
        return place

    yield again
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The rows of the search that nothing happens to, with its environment where `world` has it not."""
    folder = tmp_path_factory.mktemp("whole")
    save_environment(small_environment(), folder / "tiny.jsonl")
    words = [str(folder / word) if word == "tiny.jsonl" else word for word in SEARCH.split()]
    assert _run([*words, "--archive", str(folder / "a.db")]) == 0
    return rows(str(folder / "a.db"))


def rows(archive: str) -> list[Any]:
    """Everything but the run's own row, which knows where its environments are."""
    with Archive(archive, create=False) as opened:
        assert list(opened.faults()) == []
        return [row for row in opened.dump() if row[0] != "run"]


def searched(archive: str) -> int:
    return _run([*SEARCH.split(), "--archive", archive])


def at_commit(number: int, act: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something before the slot of this number is committed, once."""
    commit, count = Archive.commit_slot, [0]

    def counted(*args: Any, **kwargs: Any) -> None:
        count[0] += 1
        if count[0] == number:
            act()
        commit(*args, **kwargs)

    monkeypatch.setattr(Archive, "commit_slot", counted)


def one_sentence(capsys: pytest.CaptureFixture[str], *said: str) -> None:
    """This is said, and nothing else but the command that goes on."""
    lines = capsys.readouterr().err.strip().splitlines()
    told = [line for line in lines if not line.startswith("  autotts resume run-1")]
    assert len(told) == len(said), told
    for line, part in zip(told, said, strict=True):
        assert part in line


def test_a_full_disk(
    world: Path, disk: Callable[[str], Path], whole: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    archive = disk("size=208k") / "a.db"
    assert searched(str(archive)) == 1
    one_sentence(capsys, "the disk is full")
    disk("size=8m")
    assert len(rows(str(archive))) < len(whole)
    assert _run([*GO_ON, str(archive)]) == 0
    assert rows(str(archive)) == whole


def test_an_archive_that_cannot_be_written(
    world: Path, disk: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    archive = disk("rw") / "a.db"
    assert searched(str(archive)) == 0
    before = archive.read_bytes()
    disk("ro")
    capsys.readouterr()
    for words in ([*SEARCH.split(), "--archive"], [*GO_ON], ["archive", "import", "tiny.jsonl", "--archive"]):
        assert _run([*words, str(archive)]) == 1
        one_sentence(capsys, "make the file and its folder writable")
    assert archive.read_bytes() == before


def test_a_lock_is_waited_for_and_then_the_search_ends(
    world: Path, target: str, whole: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Archive, "patience", 1.0)
    monkeypatch.setattr(engine, "TELL_AFTER", 0.3)
    with Archive(target) as other, monkeypatch.context() as during:
        held = other.transaction()
        at_commit(4, held.__enter__, during)
        assert searched(target) == 1
        held.__exit__(None, None, None)
    waiting = "waiting for the archive, for 1 s at most: another process is writing to it"
    one_sentence(capsys, waiting, "another process has been writing to the archive for too long")
    assert _run([*GO_ON, target]) == 0
    assert rows(target) == whole


@pytest.mark.slow
def test_a_server_that_goes_away_ends_the_search_and_one_that_comes_back_does_not(
    world: Path, server: Server, whole: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "TELL_AFTER", 0.3)
    gone, back = server.database(), server.database()
    with monkeypatch.context() as during:
        during.setattr(Archive, "patience", 1.0)
        at_commit(4, server.end, during)
        assert searched(gone) == 1
    one_sentence(capsys, "waiting for the archive, for 1 s at most", "the archive's server does not answer")
    server.start()
    assert len(rows(gone)) < len(whole)
    assert _run([*GO_ON, gone]) == 0
    assert rows(gone) == whole

    def restart() -> None:
        server.end()
        threading.Thread(target=lambda: (time.sleep(1.0), server.start())).start()

    capsys.readouterr()
    with monkeypatch.context() as during:
        at_commit(4, restart, during)
        assert searched(back) == 0
    one_sentence(capsys, "waiting for the archive, for 60 s at most: its server does not answer")
    assert rows(back) == whole


def test_a_server_that_goes_in_the_middle_of_a_transaction_leaves_nothing_of_it(server: Server) -> None:
    with Archive(server.database()) as archive:
        archive.add_run(Run("r", 1))
        before = list(archive.dump())
        with pytest.raises(ArchiveError, match="server does not answer"), archive.transaction():
            archive.add_run(Run("s", 1))
            server.end()
            archive.add_run(Run("t", 1))
        server.start()
        assert list(archive.dump()) == before


def test_a_server_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    for command in ("list", "archive check", "front"):
        assert _run([*command.split(), "--archive", f"postgresql://nobody@/none?host={tmp_path}"]) == 1
        one_sentence(capsys, "the archive's server does not answer")
    assert time.monotonic() - start < 5, "nothing is waited for that may never have been there"
