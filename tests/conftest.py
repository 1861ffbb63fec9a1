"""Shared fixtures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from autotts.evaluation import Evaluator
from autotts.replay import Environment
from tests.browsing import make_archive
from tests.databases import Server, binaries
from tests.traced import two_worlds

SHARED = Path(os.environ.get("AUTOTTS_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"


MOST_OF_ID = 60


def pytest_configure() -> None:
    """Let interrupts through: a shell that runs tests in the background has them ignored, by their children too."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


SAMPLE = int(os.environ.get("AUTOTTS_TEST_SAMPLE", "0"))


def pytest_report_header() -> str:
    """Which sample of the long suites it is."""
    return f"AUTOTTS_TEST_SAMPLE={SAMPLE}"


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Draw samples; and start at once what takes minutes, that no process is left waiting for it at the end."""
    for item in items:
        sample = item.get_closest_marker("sample")
        if sample and hasattr(item, "callspec") and (crc32(item.nodeid.encode()) + SAMPLE) % sample.args[0]:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Of a long text its length: a test's name is printed, and told to every process that shares in a run."""
    if isinstance(val, str | bytes) and len(val) > MOST_OF_ID:
        return f"{argname}-of-{len(val)}"
    return None


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder with the recorded environments and the published figures; skips where it is absent."""
    if not (SHARED / "replay").is_dir():
        pytest.skip(f"no recorded environments at {SHARED} (set AUTOTTS_SHARED to the folder that holds data/)")
    return SHARED


@pytest.fixture(scope="session")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a small run that is done; only to be read."""
    return make_archive(tmp_path_factory.mktemp("browsed"))


@pytest.fixture(scope="session")
def worlds() -> list[Environment]:
    """Two small models on questions that they share in part."""
    return two_worlds()


@pytest.fixture(scope="module")
def evaluator(worlds: list[Environment]) -> Iterator[Evaluator]:
    """What runs programs on these."""
    with Evaluator(worlds, workers=1) as made:
        yield made


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server; skips where its programs are not installed."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server here (Debian: apt-get install postgresql)")
    made = Server(programs)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new archive may be made: a path, and a database of a real server."""
    if request.param == "sqlite":
        return str(tmp_path / "a.db")
    made: Server = request.getfixturevalue("server")
    return made.database()
