"""The container around the fork server, against a real engine: its walls, its image, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotts.cli import _run
from autotts.errors import SandboxError
from autotts.evaluation import Evaluator, Protocol, shipped
from autotts.sandbox import Limits
from autotts.sandbox.docker import DockerSandbox
from autotts.sandbox.docker.container import LABEL
from autotts.sandbox.docker.image import ensure_image, image_name
from tests.engines import client_or_skip
from tests.small import small_environment

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    found = client_or_skip()
    yield found
    found.close()


@pytest.fixture(scope="module")
def bare(client: Any) -> Iterator[DockerSandbox]:
    """A container whose children have neither seccomp nor Landlock: its own walls stand alone."""
    with DockerSandbox(("autotts.testing.weak",)) as sandbox:
        yield sandbox


def inside(sandbox: DockerSandbox, source: str) -> str:
    with sandbox.spawn("autotts.testing.weak:run", Limits(cpu_seconds=5)) as child:
        child.send(source.encode())
        return child.recv().decode()


ATTEMPT = """
try:
    {lines}
except OSError as error:
    result = type(error).__name__ + ' ' + str(error.errno)
"""


@pytest.mark.parametrize(
    "lines",
    [
        "open('/tmp/x', 'w')",
        "open('/opt/autotts/autotts/errors.py', 'a')",
        "import os; os.mkdir('/dev/shm/x')",
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import os; os.setuid(0)",
        "import os; os.chroot('/')",
        "import os; os.mknod('/tmp/x', 0o60600, 8)",
        "import os; os.fork()",
    ],
)
def test_the_containers_own_walls(bare: DockerSandbox, lines: str) -> None:
    # By right, by the read-only root, or by the profile (whose answer depends on the engine's age).
    assert inside(bare, ATTEMPT.format(lines=lines)).rpartition(" ")[2] in ("1", "11", "13", "30", "38")


def test_children_of_one_container_are_of_one_user(bare: DockerSandbox) -> None:
    """Why each locks itself in all the same: seccomp keeps it from signalling the others."""
    assert inside(bare, "import os; os.kill(1, 0); result = 'allowed'") == "allowed"


def test_nothing_of_the_host_is_inside(bare: DockerSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = inside(bare, "import os\nresult = sorted(os.environ), os.getuid(), os.listdir('/proc')")
    assert "65534" in seen
    assert "API_KEY" not in seen
    processes = [entry for entry in seen.split("'") if entry.isdigit()]
    assert len(processes) <= 4
    assert inside(bare, "import os\nresult = os.path.exists('/root/.ssh') or os.path.exists('/work')") == "False"


def test_what_is_missing_inside_is_told(bare: DockerSandbox) -> None:
    assert bare.isolation == "docker (missing inside: seccomp)"


def test_it_is_started_as_it_should_be(client: Any, bare: DockerSandbox) -> None:
    assert bare.layers
    assert bare._process
    (one,) = client.containers.list(filters={"label": f"{LABEL}={bare._process.pid}"})
    host = one.attrs["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"]) == ("none", True)
    status = inside(bare, "result = open('/proc/self/status').read()")
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in status
    assert host["PidsLimit"] == 256
    assert host["Memory"] == host["MemorySwap"] == 4 << 30
    assert "no-new-privileges" in host["SecurityOpt"]
    assert any(option.startswith("seccomp=") for option in host["SecurityOpt"])
    assert host["AutoRemove"]
    assert not host["Binds"]
    assert one.attrs["Config"]["User"] == "65534:65534"


def test_the_image_is_built_once(client: Any) -> None:
    told: list[str] = []
    name = ensure_image(client, told.append)
    told.clear()
    assert ensure_image(client, told.append) == name == image_name()
    assert not told


def test_the_same_figures_as_in_a_process(client: Any) -> None:
    environments, protocol = [small_environment()], Protocol((0.0, 0.5, 1.0), (0, 1))
    kept = []
    for sandbox in (DockerSandbox, None):
        options = {"sandbox": sandbox} if sandbox else {}
        with Evaluator(environments, 2, **options) as evaluator:
            for source in ("screen", "confirm"):
                for name in ("cmc", "parallel_probe"):
                    (result,) = evaluator.run(shipped(name), protocol, source)  # type: ignore[arg-type]
                    kept.append((result.tokens.tolist(), result.right.tolist(), result.digests.tolist()))
    assert kept[:4] == kept[4:]


def test_search_on_the_command_line(client: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    archive = str(tmp_path / "a.db")
    words = "search --rounds 1 --proposals-per-round 1 --betas 2 --seeds 1 --display plain --sandbox docker --json"
    assert _run([*words.split(), "--archive", archive]) == 0
    assert json.loads(capfd.readouterr().out)["front"]


HOST = """
import sys, time
from autotts.sandbox.docker import DockerSandbox
sandbox = DockerSandbox(("autotts.testing.entries",))
child = sandbox.spawn("autotts.testing.entries:busy")
child.send(b"x")
print(sandbox._process.pid, flush=True)
time.sleep(60)
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ours(client: Any, relay: int) -> set[str]:
    label = {"label": f"{LABEL}={relay}"}
    return {c.id for c in client.containers.list(all=True, filters=label, ignore_removed=True)}


@pytest.mark.parametrize("who", ["host", "relay"])
def test_nothing_outlives_a_kill(client: Any, who: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, cwd=ROOT) as host:
        assert host.stdout is not None
        relay = int(host.stdout.readline())
        assert ours(client, relay)
        os.kill(relay if who == "relay" else host.pid, signal.SIGKILL)
        deadline = time.monotonic() + 15
        while ours(client, relay) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not ours(client, relay)
        host.kill()
    while runs(relay) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not runs(relay)


def test_a_container_that_is_gone_is_started_again(client: Any) -> None:
    with DockerSandbox(("autotts.testing.entries",)) as sandbox:
        with sandbox.spawn("autotts.testing.entries:echo") as child:
            child.send(b"x")
            assert child.recv() == b"x"
            assert sandbox._process
            for name in ours(client, sandbox._process.pid):
                client.api.kill(name)
            with pytest.raises(SandboxError):
                child.recv()
        deadline = time.monotonic() + 10
        while sandbox._process and sandbox._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        with sandbox.spawn("autotts.testing.entries:echo") as child:
            child.send(b"y")
            assert child.recv() == b"y"


def test_a_base_that_is_not_there(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTTS_DOCKER_BASE", "autotts-no-such-base:never")
    with DockerSandbox() as sandbox, pytest.raises(SandboxError, match="AUTOTTS_DOCKER_BASE"):
        sandbox.spawn("autotts.testing.entries:echo")
