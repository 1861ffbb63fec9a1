"""The host's side: start the fork server, spawn children, talk to them, and translate how they end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autotts.errors import CpuLimit, Crashed, MemoryLimit, OutputLimit, ProgramError, SandboxError, WallTimeout
from autotts.sandbox import faults
from autotts.sandbox.faults import MAX_FAULT
from autotts.sandbox.frames import DATA, FAULT, READY, FrameError, Frames
from autotts.sandbox.jail import EXIT_CPU, EXIT_MEMORY

if TYPE_CHECKING:
    from autotts.sandbox.pool import Sandbox

__all__ = ["Child", "Limits"]

TICK = 0.25
"""Seconds between looks at the clock while a child says nothing."""

REAPING = 10.0
"""Seconds within which the server tells of a death; it needs milliseconds."""

DYING = 2.0
"""Seconds from the end of a child's channel to the end of its process, for one that does not dawdle."""


@dataclass(frozen=True)
class Limits:
    """What one child may use.

    Attributes:
        cpu_seconds: CPU time.
        wall_seconds: time by the clock that the host waits for the child, summed over its messages: the backstop for
            sleepers. None for four times the CPU time and 10 s; nearer the CPU time, the outcome would depend on load.
        memory_mb: address space beyond what the server has mapped, MiB.
        output_bytes: what the child may send in all.
    """

    cpu_seconds: float = 60.0
    wall_seconds: float | None = None
    memory_mb: int = 256
    output_bytes: int = 64 << 20

    @property
    def wall(self) -> float:
        """The clock's limit in seconds."""
        return 4 * self.cpu_seconds + 10 if self.wall_seconds is None else self.wall_seconds


class Child:
    """One jailed process, used by one thread at a time. A context manager: leaving it ends the process.

    Attributes:
        cpu_seconds: CPU time that the process used, known after `close`.
    """

    def __init__(self, sandbox: Sandbox, number: int, stream: socket.socket, status: int, limits: Limits) -> None:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(TICK * 1e6)))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(limits.wall) + 1, 0))
        # A wait for room in the socket ends by that; one that goes on piece by piece, by the deadline of the frames.
        self._sandbox = sandbox
        self._number = number
        self._stream = stream
        self._frames = Frames(stream.fileno(), limits.output_bytes)
        self._status = status
        self._limits = limits
        self._left = limits.wall
        self._room = limits.output_bytes
        self._ready = False
        self._ended: dict[str, Any] | None = None
        self._closed = False
        self.cpu_seconds = 0.0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send one message.

        Raises:
            ProgramError: the child has ended, or does not read.
        """
        start = time.monotonic()
        self._frames.deadline = start + self._left
        try:
            self._frames.send(data)
        except BlockingIOError:
            raise self.late() from None
        except OSError:
            raise self._last_words() from None
        self._left -= time.monotonic() - start

    def recv(self, limit: int | None = None) -> bytes:
        """The child's next message.

        Args:
            limit: bytes that it may have, where that is less than what is left of the child's output.

        Raises:
            ProgramError: the fault that it told, how it died, that it took too long or sent too much.
            SandboxError: it could not lock itself in; the program did not run.
        """
        start = time.monotonic()
        self._frames.deadline = start + self._left
        self._frames.limit = max(MAX_FAULT, self._room if limit is None else min(limit, self._room))
        while True:
            try:
                kind, payload = self._frames.recv()
            except BlockingIOError:
                if time.monotonic() - start > self._left:
                    raise self.late() from None
                continue
            except FrameError as error:
                raise OutputLimit(f"sent {error}") from None
            except (EOFError, ConnectionError):
                raise self._epitaph() from None
            if kind == DATA and self._ready:
                break
            self._not_data(kind, payload)
        self._left -= time.monotonic() - start
        self._room -= len(payload)
        if self._left < 0:
            raise self.late()
        if self._room < 0 or (limit is not None and len(payload) > limit):
            raise OutputLimit(
                f"sent more than the {self._limits.output_bytes if limit is None else limit} bytes that it may"
            )
        return payload

    def lend(self) -> tuple[int, bytes, int]:
        """For another process to go on with: the stream's descriptor, what was read ahead, bytes still admitted."""
        return self._stream.fileno(), self._frames.take(), self._room

    @property
    def wall_left(self) -> float:
        """Seconds by the clock that are left of the limit."""
        return self._left

    def ended(self, fault: bytes) -> Exception:
        """What to raise for a child that ended while it was lent: by the fault that it told, or by how it died."""
        if not fault:
            return self._epitaph()
        try:
            return faults.decode(fault)
        except ValueError as error:
            return OutputLimit(f"sent {error}")

    def hang_up(self) -> None:
        """Say nothing more and listen no longer: whoever waits for the child's next message is told of its end.

        The one method that another thread may call, at any time.
        """
        with contextlib.suppress(OSError):  # it is closed, or the child is gone
            self._stream.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the process and wait until it is gone."""
        if self._closed:
            return
        self._closed = True
        self._stream.close()
        if self._read_status(0.0) is None:
            self._sandbox._kill(self._number)
            self._read_status(REAPING)
        os.close(self._status)
        self.cpu_seconds = float((self._ended or {}).get("cpu", 0.0))

    def _not_data(self, kind: int, payload: bytes) -> None:
        """A frame that is no message: lock-down is done, or the program has ended."""
        if kind == READY and not self._ready:
            if payload:
                raise SandboxError(f"the jail: {payload.decode(errors='replace')}")
            self._ready = True
        elif kind == FAULT and self._ready:
            raise self.ended(payload or b"{}")
        else:
            raise OutputLimit(f"sent a frame of unknown kind {kind}")

    def late(self) -> ProgramError:
        """What to raise when the clock's limit has passed."""
        return WallTimeout(f"was waited for longer than {self._limits.wall:g} s")

    def _last_words(self) -> ProgramError:
        """Why a child no longer reads: the fault that it left behind, or how it died."""
        try:
            while True:
                self.recv()
        except ProgramError as error:
            return error

    def _epitaph(self) -> Exception:
        """How a child died that told nothing."""
        ended = self._read_status(DYING)
        if ended is None:
            # It closed its end but goes on: nothing that it does can be of use.
            return Crashed("closed its channel to the host")
        if "code" not in ended:
            return SandboxError(ended.get("error", "the fork server has ended"))
        code, cpu = int(ended["code"]), float(ended["cpu"])
        if not self._ready:
            return SandboxError(f"a child ended before it was locked in (exit code {code})")
        if code in (-signal.SIGXCPU, EXIT_CPU) or (code == -signal.SIGKILL and cpu >= self._limits.cpu_seconds):
            return CpuLimit(f"used more than its {self._limits.cpu_seconds:g} s of CPU time, in one call of a built-in")
        if code == EXIT_MEMORY:
            return MemoryLimit("asked for more memory than it may have")
        if code == -signal.SIGKILL:
            killed = MemoryLimit("was killed by the system, most likely for want of memory")
            killed.machine = True
            return killed
        if code == -signal.SIGSYS:
            return Crashed("asked the system for something that the jail forbids (SIGSYS)")
        if code < 0:
            return Crashed(f"its process died of {signal.Signals(-code).name}; too deep a recursion can do that")
        return Crashed(f"left with exit code {code}")

    def _read_status(self, seconds: float) -> dict[str, Any] | None:
        """What the server tells of this child's end, waiting so long at the most; {} when the server is gone."""
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        deadline = time.monotonic() + seconds
        told = b""
        while self._ended is None:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            chunk = os.read(self._status, 4096)
            told += chunk
            for line in told.split(b"\n")[:-1]:
                news: dict[str, Any] = json.loads(line)
                if "pid" not in news:
                    self._ended = news
            told = told[told.rfind(b"\n") + 1 :]
            if not chunk and self._ended is None:
                self._ended = {}
        return self._ended
