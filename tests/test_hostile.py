"""The corpus of hostile programs: in a process, and in a container where an engine answers."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from autotts.sandbox import Sandbox
from autotts.sandbox.docker import DockerSandbox
from autotts.testing.hostile import ATTACKS, Attack
from autotts.testing.hostile.others import CANARY
from autotts.testing.sandbox import SandboxConformance
from tests.engines import client_or_skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers of the jail are Linux's")


@pytest.mark.sample(3)
class TestProcess(SandboxConformance):
    factory = Sandbox


@pytest.fixture(scope="session")
def engine() -> None:
    """A container engine that answers; skips where there is none."""
    client_or_skip().close()


@pytest.mark.usefixtures("engine")
@pytest.mark.sample(6)
class TestDocker(SandboxConformance):
    factory = DockerSandbox


def test_the_corpus_is_large_and_each_is_named_once() -> None:
    names = Counter(str(attack) for attack in ATTACKS)
    assert len(ATTACKS) >= 120
    assert [name for name, count in names.items() if count > 1] == []
    assert len({attack.source for attack in ATTACKS}) == len(ATTACKS)


UNJAILED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
source = sys.stdin.read()
exec(compile(source, "attack", "exec"), {"__name__": "attack"})
print("reached the end")
"""


@pytest.mark.sample(2)
@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.works], ids=str)
def test_without_a_jail_it_would_have_worked(attack: Attack, tmp_path: Path) -> None:
    """An attack that fails by itself shows nothing. These are harmless, and are cleaned up after."""
    done = subprocess.run(
        [sys.executable, "-c", UNJAILED], input=attack.source, capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    for left in (Path("/tmp/autotts-jail-was-open"), Path("/dev/shm/autotts-jail-was-open")):
        left.unlink(missing_ok=True)
    if Path("/tmp/autotts-jail-was-open.d").exists():
        Path("/tmp/autotts-jail-was-open.d").rmdir()
    assert "reached the end" in done.stdout, done.stderr


SECRET = f"""
import os, sys
os.environ["AUTOTTS_CANARY"] = {CANARY!r}
import ctypes
ctypes.CDLL(None).setenv(b"AUTOTTS_CANARY", {CANARY!r}.encode(), 1)
import autotts.replay.episode
autotts.replay.episode.Episode.gold = {CANARY!r}
sys.argv.append({CANARY!r})
for fd in range(3, 8): os.dup2(0, fd)
os.dup2(1, 9)
source = sys.stdin.read()
os.lseek(0, 0, 0)
def harness(gold):
    exec(compile(source, "attack", "exec"), {{"__name__": "attack"}})
harness([{CANARY!r}])
"""


@pytest.mark.parametrize(
    "attack",
    [a for a in ATTACKS if a.group == "memory of others" and "ok" in a.jail and "episode" not in a.name],
    ids=str,
)
def test_where_there_is_a_secret_it_would_have_found_it(attack: Attack, tmp_path: Path) -> None:
    script = tmp_path / "attack.py"
    script.write_text(attack.source)
    with script.open() as stdin:
        done = subprocess.run(
            [sys.executable, "-c", SECRET], stdin=stdin, capture_output=True, text=True, cwd=tmp_path, timeout=60
        )
    assert "ValueError: found" in done.stderr, done.stderr
