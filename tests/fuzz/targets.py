"""What either side of the protocol may hear: any bytes at all. A target returns, or it has found a defect.

Run by hypothesis in the tests (`tests/test_fuzz.py`), and by atheris, guided by coverage, in `scripts/fuzz`.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Callable
from typing import Any

from greenlet import greenlet

from autotts.errors import OutputLimit, ProgramError
from autotts.evaluation import asking, referee
from autotts.evaluation.shards import knobs_of
from autotts.evaluation.wire import TOGETHER, pack, unpack, unpack_tables
from autotts.replay.episode import Episode
from autotts.replay.source import Table
from autotts.sandbox import faults
from autotts.sandbox.docker.mux import Mux, MuxError
from autotts.sandbox.docker.outside import _Unwrap
from autotts.sandbox.frames import FrameError, Frames
from autotts.toolkit import majority

__all__ = ["SEEDS", "TARGETS"]

TABLE = Table([[3, 3, 4], [5], [3, 0, 3]], [1200, 300, 1500])
LIMIT = 1 << 12


def frames(data: bytes) -> None:
    """Host and child read frames: each is whole and within the limit, and then comes an end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        theirs.sendall(data[:100_000])
        theirs.shutdown(socket.SHUT_WR)
        reader = Frames(ours.fileno(), LIMIT)
        heard = 0
        with contextlib.suppress(EOFError, FrameError):
            while True:
                kind, payload = reader.recv()
                assert 0 <= kind <= 255
                assert len(payload) <= max(LIMIT, len(data))
                heard += 5 + len(payload)
        assert heard <= len(data)


def fault(data: bytes) -> None:
    """The host reads how a program ended: a typed outcome of bounded, printable text, or no fault at all."""
    try:
        error = faults.decode(data)
    except ValueError:
        return
    assert isinstance(error, ProgramError)
    assert len(error.message) <= 500
    assert len(error.where) <= 200
    assert all(c.isprintable() or c == "\n" for c in error.message + error.where)
    assert error.line is None or error.line > 0


def knobs(data: bytes) -> None:
    """The host reads a schedule: finite numbers under names, or none."""
    try:
        told = knobs_of(data, 2)
    except OutputLimit:
        return
    assert len(told) == 2
    assert all(name.isidentifier() and math.isfinite(value) for part in told for name, value in part.items())


def ask(data: bytes) -> None:
    """The referee hears a child: it replies, or ends the shard typed; its figures stay possible ones."""
    kappa = len(data) % 2
    world = referee._World([TABLE] * 2, referee.Rules(500, kappa, 64, ["x"], carried=not kappa))
    shard = referee.Shard(lambda number: world.play(number % 2, number % 2), 8)
    with contextlib.suppress(ProgramError):
        for k in range(0, len(data), 64):
            replies = shard.batch(unpack(data[k : k + 64]))
            assert unpack(pack(replies)) == list(replies)
    assert len(shard._plays) <= TOGETHER
    for record in filter(None, shard._records):
        answer, tokens, sequential, opened, _ = record
        assert answer in (-1, 0, 3, 4, 5)
        assert 0 <= sequential <= tokens <= 3000 + 7
        assert 0 <= opened <= 3


class _Host:
    """A channel whose host says what the fuzzer wants."""

    context = ""

    def __init__(self, data: bytes) -> None:
        self.data, self.turns = data, 0

    def send(self, _: bytes) -> None:
        self.turns += 1
        assert self.turns < 10_000, "the child goes on for ever"

    def recv(self) -> bytes:
        if not self.data:
            raise EOFError
        size = 4 * (1 + self.data[0] % 16)
        part, self.data = self.data[1 : 1 + size], self.data[1 + size :]
        return part[: len(part) & ~3]


def _solve(episode: Episode, _: Any) -> int:
    branches = episode.branches(2)
    episode.advance(branches)
    episode.finish([b for b in branches if not episode.is_finished(b)])
    return episode._answer_id(majority(episode.probe(branches)))


def reply(data: bytes) -> None:
    """The child hears a host that lies: its episodes end, one way or another, and so does it."""
    worlds = [{"kappa_probe": 0, "names": [], "interval": 500}]
    job = {"episodes": [(0, 8)] * 3, "worlds": worlds}
    task = greenlet(lambda: asking.host_episodes(_Host(data), job, {}, _solve))  # type: ignore[arg-type]
    # The child may fail in any way that Python has: what counts is that it ends.
    with contextlib.suppress(Exception):
        task.switch()


def relay(data: bytes) -> None:
    """Both relays of a container hear each other: frames, or an end."""
    trunk, other = socket.socketpair()
    stream, local = socket.socketpair()
    heard: list[tuple[int, int]] = []
    with trunk, other, local:
        mux = Mux(trunk.fileno(), trunk.fileno(), lambda n, kind, _: heard.append((n, kind)), _Unwrap())
        mux.add(1, stream.detach())
        other.sendall(_packed(data[:60_000]))
        other.shutdown(socket.SHUT_WR)
        local.shutdown(socket.SHUT_WR)
        with contextlib.suppress(MuxError):
            for _ in range(10_000):
                mux.turn()
            raise AssertionError("the relay goes on for ever")
        assert all(kind > 2 for _, kind in heard)
        for number in list(mux._streams):
            mux._drop(number)


def _packed(data: bytes) -> bytes:
    """As an engine packs a container's output; every seventh piece is one of standard error."""
    return b"".join(
        bytes([1 + (k % 7 == 6), 0, 0, 0]) + len(part).to_bytes(4, "big") + part
        for k, part in enumerate(data[j : j + 50] for j in range(0, len(data), 50))
    )


def tables(data: bytes) -> None:
    """The child reads tables; the host made them, so they may fail, but not run on."""
    with contextlib.suppress(IndexError, OutputLimit):
        for table in unpack_tables(data[:4096]):
            assert len(table.answers) == len(table.totals)


SEEDS: dict[str, list[bytes]] = {
    "frames": [b"\x03\0\0\0\0abc\0\0\0\0\x02", b"\xff\xff\xff\xff\0"],
    "fault": [b'{"outcome": "Crashed", "message": "x\\u001b", "line": 3, "where": "episode 3"}', b"[" * 500],
    "knobs": [b'[{"n": 1}, {"n": 2.5}]', b'[{"n": 1e999}, {"n": NaN}]'],
    "ask": [pack([0, 2, 1, 2, 1, 4, 2, 2, 0, 1]), pack([0, 3, 2, 1, 0, 0, 5, 5, 1, 0, 6, -1])],
    "reply": [pack([0, 5, 1000, 500, 0, 1, 2])],
    "relay": [b"\x01\0\0\0\0\x03\0\0\0abc\x01\0\0\0\x02\x04\0\0\0\xff\0\0\0\x01\0\0\0\x01\0\0\0\0"],
    "tables": [pack([1, 1200, 2, 3, 4]), pack([2, 5, 1, 1, 6, 0])],
}
"""What each target should hear when all is well, or nearly: where a fuzzer that looks at coverage begins."""

TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (frames, fault, knobs, ask, reply, relay, tables)
}
