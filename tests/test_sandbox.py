"""The jail: every end is typed and comes in time, nothing leaks, nothing waits for ever."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotts.errors import (
    CpuLimit,
    Crashed,
    MemoryLimit,
    OutputLimit,
    PolicyViolation,
    ProgramError,
    SandboxError,
    WallTimeout,
)
from autotts.sandbox import Child, Limits, Sandbox
from autotts.sandbox.frames import Frames
from autotts.sandbox.seccomp import build_filter

LINUX = sys.platform == "linux"
TIGHT = Limits(cpu_seconds=0.5, wall_seconds=6.0, memory_mb=64, output_bytes=1 << 20)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(
        preload=("tests.jail_entries", "numpy", "re", "mmap", "_socket", "ctypes", "resource", "atexit")
    ) as made:
        yield made


def run(sandbox: Sandbox, source: str, entry: str = "raw", limits: Limits = TIGHT) -> bytes:
    with sandbox.spawn(f"tests.jail_entries:{entry}", limits) as child:
        child.send(source.encode())
        while (answer := child.recv()) != b"done" and entry == "raw":
            pass
        return answer


def test_layers_are_probed(sandbox: Sandbox) -> None:
    layers = sandbox.layers
    assert {"rlimits", "non-root", "nproc", "pdeathsig", "no_new_privs", "landlock", "seccomp"} == set(layers)
    assert all(state.startswith(("on", "missing: ")) for state in layers.values())
    if LINUX and build_filter() is not None:
        assert sandbox.isolation == "strict", layers


@pytest.mark.parametrize(
    ("source", "error", "line", "words"),
    [
        ("x = 1\n1 / 0", Crashed, 2, "ZeroDivisionError: division by zero"),
        ("\n\nwhile True: pass", CpuLimit, 3, "0.5 s of CPU time"),
        ("def f():\n    return f()\nf()", Crashed, 2, "RecursionError"),
        ("x = []\nwhile True: x.append(bytes(1 << 16))", MemoryLimit, 2, "memory"),
        ("import nowhere", PolicyViolation, 1, "nowhere"),
        ("raise SystemExit('bye')", Crashed, 1, "SystemExit: bye"),
        ("raise ValueError('\\ud800\\x1b[2J' + 'x' * 10000)", Crashed, 1, "�"),
    ],
)
def test_faults_name_line_and_cause(
    sandbox: Sandbox, source: str, error: type[ProgramError], line: int, words: str
) -> None:
    with pytest.raises(error) as caught:
        run(sandbox, source)
    assert caught.value.line == line
    assert words in caught.value.message
    assert caught.value.where == "the test"
    assert len(caught.value.message) <= 500
    caught.value.message.encode()
    assert "\x1b" not in caught.value.message


def test_a_crash_has_the_calls_within_the_program(sandbox: Sandbox) -> None:
    source = "def deep(n):\n    return deep(n - 1) if n else 1 // 0\n\n\ndef go():\n    deep({n})\n\n\ngo()\n"
    with pytest.raises(Crashed) as caught:
        run(sandbox, source.format(n=1))
    assert caught.value.frames == ((9, "<module>"), (6, "go"), (2, "deep"), (2, "deep"))
    with pytest.raises(Crashed) as caught:
        run(sandbox, source.format(n=50))
    assert caught.value.frames == ((2, "deep"),) * 8
    with pytest.raises(CpuLimit) as late:
        run(sandbox, "def spin():\n    while True: pass\nspin()\n")
    assert late.value.frames == ((3, "<module>"), (2, "spin"))


def test_program_errors_keep_their_class(sandbox: Sandbox) -> None:
    source = "from autotts.errors import InadmissibleAction\n\nraise InadmissibleAction('branch 3 is pruned')"
    with pytest.raises(ProgramError) as caught:
        run(sandbox, source)
    assert (caught.value.outcome, caught.value.line) == ("InadmissibleAction", 3)


@pytest.mark.parametrize(
    "fault",
    [
        b"",
        b"{",
        b"[" * 16000,
        b"9" * 16000,
        b'{"outcome": "ok", "message": "", "line": null, "where": "", "frames": []}',
        b'{"outcome": ["Crashed"], "message": "", "line": null, "where": "", "frames": []}',
        b'{"outcome": "Crashed", "message": 1, "line": null, "where": "", "frames": []}',
        b'{"outcome": "Crashed", "message": "", "line": true, "where": "", "frames": []}',
        b'{"outcome": "Crashed", "message": "", "line": -1, "where": "", "frames": []}',
        b'{"outcome": "Crashed", "message": "", "line": 1e400, "where": "", "frames": []}',
        b'{"outcome": "Crashed", "message": ""}',
        b"\xff\xfe",
        json.dumps({"outcome": "Crashed", "message": "x" * 20000, "line": None, "where": "", "frames": []}).encode(),
        *(
            json.dumps({"outcome": "Crashed", "message": "", "line": 1, "where": "", "frames": frames}).encode()
            for frames in (None, {}, [[0, "f"]], [[True, "f"]], [[1, 2]], [[1]], [[1, "f"]] * 9, [[10**9, "f"]], ["1f"])
        ),
    ],
)
def test_forged_faults_are_refused(sandbox: Sandbox, fault: bytes) -> None:
    with sandbox.spawn("tests.jail_entries:forged_fault", TIGHT) as child:
        child.send(fault)
        with pytest.raises(OutputLimit):
            child.recv()


@pytest.mark.parametrize(
    "data",
    [b"\x00\x00\x00\x00\x02", b"\x01\x00\x00\x00\x07x", b"\xff\xff\xff\xff\x00", b"GET / HTTP/1.1\r\n\r\n"],
)
def test_garbage_is_refused(sandbox: Sandbox, data: bytes) -> None:
    with sandbox.spawn("tests.jail_entries:garbage", TIGHT) as child:
        child.send(data)
        with pytest.raises(OutputLimit):
            child.recv()


def test_half_a_message(sandbox: Sandbox) -> None:
    with sandbox.spawn("tests.jail_entries:half_message", TIGHT) as child, pytest.raises(Crashed, match="exit code 0"):
        child.recv()


def test_ignored_timers_do_not_help(sandbox: Sandbox) -> None:
    with sandbox.spawn("tests.jail_entries:ignores_timers", TIGHT) as child, pytest.raises(CpuLimit):
        child.recv()
    assert 0.5 < child.cpu_seconds < 5


def test_a_child_that_closes_its_channel(sandbox: Sandbox) -> None:
    start = time.monotonic()
    with sandbox.spawn("tests.jail_entries:closes", TIGHT) as child, pytest.raises(Crashed, match="closed its channel"):
        child.recv()
    assert time.monotonic() - start < 10


def test_a_child_that_does_not_read(sandbox: Sandbox) -> None:
    limits = Limits(cpu_seconds=1, wall_seconds=0.5)
    with sandbox.spawn("tests.jail_entries:closes", limits) as child, pytest.raises((Crashed, WallTimeout)):
        child.send(bytes(64 << 20))


@pytest.mark.parametrize("first", [1, 5, 9])
def test_a_frame_that_trickles_ends_by_the_clock(first: int) -> None:
    """However much of it came at once."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = Frames(ours.fileno())
        frames.deadline = time.monotonic() + 0.3
        theirs.sendall((struct.pack("<IB", 1 << 20, 0) + b"abcd")[:first])
        done = threading.Event()

        def trickle() -> None:
            while not done.wait(0.02):
                theirs.send(b"\x01")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            with pytest.raises(BlockingIOError):
                frames.recv()
        finally:
            done.set()
            thread.join()


def test_waiting_for_the_host_is_not_the_programs_fault(sandbox: Sandbox) -> None:
    with sandbox.spawn("tests.jail_entries:echo", Limits(cpu_seconds=1, wall_seconds=0.6)) as child:
        for _ in range(3):
            time.sleep(0.4)
            child.send(b"x")
            assert child.recv() == b"x"


@pytest.mark.parametrize("size", [0, 1, 5, 65531, 65532, 70000, 3 << 20])
def test_frames_of_every_size(sandbox: Sandbox, size: int) -> None:
    with sandbox.spawn("tests.jail_entries:echo") as child:
        data = os.urandom(size)
        for _ in range(3):
            child.send(data)
            assert child.recv() == data


def test_output_is_counted_in_all(sandbox: Sandbox) -> None:
    with (
        sandbox.spawn("tests.jail_entries:echo", Limits(output_bytes=1000)) as child,
        pytest.raises(OutputLimit, match="1000 bytes"),
    ):
        for _ in range(11):
            child.send(bytes(100))
            child.recv()


def test_unknown_entry(sandbox: Sandbox) -> None:
    with sandbox.spawn("tests.jail_entries:nothing") as child, pytest.raises(SandboxError, match="nothing"):
        child.recv()


def test_preload_that_does_not_import() -> None:
    with Sandbox(preload=("autotts.nowhere",)) as made, pytest.raises(SandboxError, match=r"autotts\.nowhere"):
        made.spawn("tests.jail_entries:echo")


def test_hashes_are_the_same_in_every_server() -> None:
    seen = set()
    for _ in range(2):
        with Sandbox(preload=("tests.jail_entries", "numpy")) as made:
            seen.add(run(made, "result = list({'a', 'b', 'c', 'd', 'e', 'f'})", "jailed"))
    assert len(seen) == 1


def test_the_environment_is_clean(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "1")
    with Sandbox(preload=("tests.jail_entries",)) as made:
        run(made, "import os\nassert 'SECRET_KEY' not in os.environ")


UNDER_THE_POLICY = {
    "numpy": """
import numpy as np
from scipy.stats import beta
x = np.array([[0.1, 0.9, 0.5], [3.0, 2.0, 1.0]])
parts = [
    x.sum(), x.mean(axis=0), x.std(), np.median(x), np.percentile(x, 90), np.quantile(x, 0.1), np.average(x, weights=x),
    np.unique(x, return_counts=True), np.bincount([1, 2, 2]), np.argsort(x), np.sort(x), np.clip(x, 0, 1), x @ x.T,
    np.where(x > 1, x, 0), np.concatenate([x, x]), np.diff(x), np.cumsum(x), np.isnan(x).any(), np.round(x, 1),
    np.corrcoef(x), np.interp(0.5, [0, 1], [0, 1]), np.searchsorted([1, 2], 2), x.tolist(), np.nanmean(x), np.var(x),
    np.linspace(0, 1, 5), np.full((2, 2), np.inf), np.digitize([1], [0, 2]), np.array_equal(x, x), str(x),
    repr(x),
    np.max(x, axis=1), x.argmax(), np.dot([1, 2], [3, 4]), np.outer([1], [2]), np.exp(x), np.float64(1.5),
    x.astype(int), np.array(["a", "b"]) == "a", np.array([1, "a", None], dtype=object), beta.cdf(0.5, 3, 4),
    x[x > 1].size,
]
result = len(parts)
""",
    "statistics": """
import statistics, math, heapq, itertools, functools
from dataclasses import dataclass
from typing import NamedTuple
from collections import namedtuple, OrderedDict, Counter
P = namedtuple("P", "a b")
class Q(NamedTuple):
    a: int = 1
@dataclass
class R:
    a: int
    b: list
x = [1, 2, 3.5, 4]
parts = [
    statistics.mean(x), statistics.stdev(x), statistics.quantiles(x), statistics.mode(x), statistics.geometric_mean(x),
    statistics.NormalDist(0, 1).cdf(1), statistics.linear_regression(x, x).slope, statistics.correlation(x, x),
    math.comb(5, 2), heapq.nlargest(2, x), list(itertools.accumulate(x)), P(1, 2)._asdict(), repr(R(1, [])), Q(),
    R(1, [2]) == R(1, [2]), f"{1e10:,.2f}", "ä".encode("utf-16"), b"x".decode("latin-1"), "x".upper(), hash("a"),
    sorted("ßA", key=str.casefold), "%5.1f" % 2, Counter("abca").most_common(1), round(2.5), divmod(7, 2),
]
try:
    1 / 0
except ZeroDivisionError as e:
    parts.append(str(e))
result = len(parts)
""",
}


@pytest.mark.parametrize("name", UNDER_THE_POLICY)
def test_everyday_programs_run_after_lock_down(sandbox: Sandbox, name: str) -> None:
    assert int(run(sandbox, UNDER_THE_POLICY[name], "jailed", Limits(cpu_seconds=5))) > 20


def test_a_refused_program_is_told_with_its_line(sandbox: Sandbox) -> None:
    with pytest.raises(PolicyViolation) as caught:
        run(sandbox, "x = 1\nopen('x')", "jailed")
    assert caught.value.line == 2
    with pytest.raises(PolicyViolation, match="`os` cannot be imported") as caught:
        run(sandbox, "x = 1\n\nimport os", "jailed")
    assert caught.value.line == 3


@pytest.mark.parametrize(
    "source", ["x = " + "-" * 150_000 + "1", "(" * 5000, "x = " + "+1" * 90_000, "[" * 90 + "]" * 90]
)
def test_bombs_for_the_compiler(sandbox: Sandbox, source: str) -> None:
    with contextlib.suppress(PolicyViolation, MemoryLimit, CpuLimit):
        assert run(sandbox, source, "jailed") == b"None"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if LINUX else 0


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.skipif(not LINUX, reason="looks into /proc")
def test_two_hundred_spawns_leak_nothing(sandbox: Sandbox) -> None:
    assert sandbox.layers
    assert sandbox._process is not None
    before, of_server = descriptors(), len(list(Path(f"/proc/{sandbox._process.pid}/fd").iterdir()))
    for k in range(200):
        with sandbox.spawn("tests.jail_entries:echo", TIGHT) as child:
            if k % 2:
                child.send(b"x")
                child.recv()
    assert descriptors() == before
    deadline = time.monotonic() + 5  # the server closes a child's pipe just after it has told of its end
    while len(list(Path(f"/proc/{sandbox._process.pid}/fd").iterdir())) > of_server:
        assert time.monotonic() < deadline
    assert children_of(sandbox._process.pid) == []


def test_threads_spawn_at_once(sandbox: Sandbox) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for k in range(10):
                with sandbox.spawn("tests.jail_entries:echo", TIGHT) as child:
                    for _ in range(20):
                        data = f"{number} {k}".encode()
                        child.send(data)
                        assert child.recv() == data
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_a_killed_server_is_started_again() -> None:
    with Sandbox(preload=("tests.jail_entries",)) as made:
        with made.spawn("tests.jail_entries:echo") as child:
            child.send(b"x")
            child.recv()
            assert made._process is not None
            made._process.kill()
            made._process.wait()
            with pytest.raises((SandboxError, ProgramError)):
                child.recv()
        assert run(made, "pass") == b"done"


HOST = """
import sys, time
from autotts.sandbox import Sandbox
sandbox = Sandbox(preload=("tests.jail_entries",))
child: object = sandbox.spawn("tests.jail_entries:pid")
print(child.recv().decode(), sandbox._process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not LINUX, reason="looks into /proc")
def test_nothing_outlives_a_killed_host() -> None:
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, cwd=root) as host:
        assert host.stdout is not None
        pids = [int(pid) for pid in host.stdout.readline().split()]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        host.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_cpu_time_is_told(sandbox: Sandbox) -> None:
    child: Child = sandbox.spawn("tests.jail_entries:raw", TIGHT)
    child.send(b"sum(range(5_000_000))")
    child.recv()
    child.close()
    child.close()
    assert 0.01 < child.cpu_seconds < 0.5
