"""The host's side: start the fork server, spawn children, talk to them, and translate how they end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autotts.errors import (
    OUTCOMES,
    CpuLimit,
    Crashed,
    MemoryLimit,
    OutputLimit,
    ProgramError,
    SandboxError,
    WallTimeout,
)
from autotts.sandbox.frames import DATA, FAULT, FrameError, Frames
from autotts.sandbox.jail import STRICT

__all__ = ["Child", "Limits", "Sandbox"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 0.25
"""Seconds between looks at the clock while a child says nothing."""


@dataclass(frozen=True)
class Limits:
    """What one child may use.

    Attributes:
        cpu_seconds: CPU time.
        wall_seconds: time by the clock, the backstop; None for four times the CPU time and 10 s.
        memory_mb: address space beyond what the server has mapped, MiB.
    """

    cpu_seconds: float = 60.0
    wall_seconds: float | None = None
    memory_mb: int = 256

    @property
    def wall(self) -> float:
        """The clock's limit in seconds."""
        return 4 * self.cpu_seconds + 10 if self.wall_seconds is None else self.wall_seconds


class Child:
    """One jailed process. A context manager: leaving it ends the process."""

    def __init__(self, server: Sandbox, stream: socket.socket, status: int, limits: Limits) -> None:
        self._server = server
        self._stream = stream
        self._frames = Frames(stream.fileno())
        self._status = os.fdopen(status, "rb", buffering=0)
        self._told = b""
        self._limits = limits
        self._deadline = time.monotonic() + limits.wall
        self._ended: dict[str, Any] | None = None
        self._pid: int | None = None
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
        try:
            self._frames.send(data)
        except BlockingIOError:
            raise WallTimeout(f"it did not read within {self._limits.wall:g} s") from None
        except OSError:
            raise self._epitaph() from None

    def recv(self) -> bytes:
        """The child's next message.

        Raises:
            ProgramError: the fault that it told, how it died, or that it took too long.
        """
        while True:
            try:
                kind, payload = self._frames.recv()
            except BlockingIOError:
                if time.monotonic() > self._deadline:
                    raise WallTimeout(f"no end within {self._limits.wall:g} s") from None
                continue
            except FrameError as error:
                raise OutputLimit(str(error)) from None
            except (EOFError, ConnectionError):
                raise self._epitaph() from None
            if kind == DATA:
                return payload
            raise _fault(payload) if kind == FAULT else OutputLimit(f"a frame of unknown kind {kind}")

    def close(self) -> None:
        """End the process and wait until it is gone."""
        if self._closed:
            return
        self._closed = True
        self._stream.close()
        self._wait(0.0)
        if self._ended is None and self._pid is not None:
            self._server.kill(self._pid)
            self._wait(5.0)
        self._status.close()
        self.cpu_seconds = float((self._ended or {}).get("cpu", 0.0))

    def _wait(self, seconds: float) -> None:
        """Read what the server tells of this child, for so long at the most."""
        deadline = time.monotonic() + seconds
        while self._ended is None:
            left = max(0.0, deadline - time.monotonic())
            # Without its pid a child cannot be killed, and the server always tells that.
            if not select.select([self._status], [], [], left if self._pid is not None else 5.0)[0]:
                return
            data = self._status.read(4096)
            if not data:
                self._ended = {}  # the server is gone
                return
            self._told += data
            *lines, self._told = self._told.split(b"\n")
            for line in lines:
                told = json.loads(line)
                if "pid" in told:
                    self._pid = told["pid"]
                else:
                    self._ended = told

    def _epitaph(self) -> ProgramError:
        """How the child died, as an outcome."""
        self._wait(5.0)
        code = (self._ended or {}).get("code")
        if code is None:
            return Crashed("its process ended, and the fork server with it")
        if code in (-signal.SIGXCPU, -signal.SIGKILL) and self._ended is not None:
            if code == -signal.SIGXCPU or self._ended["cpu"] >= self._limits.cpu_seconds:
                return CpuLimit(f"more than {self._limits.cpu_seconds:g} s of CPU time")
            return MemoryLimit("its process was killed, most likely for want of memory")
        if code == -signal.SIGSYS:
            return Crashed("it made a system call that the jail forbids")
        if code < 0:
            return Crashed(f"its process died of signal {signal.Signals(-code).name}")
        return Crashed(f"its process left with exit code {code}")


def _fault(payload: bytes) -> ProgramError:
    """A fault frame, believed only as far as its form goes."""
    try:
        told = json.loads(payload)
        outcome, message, line, where = told["outcome"], told["message"], told["line"], told["where"]
    except (ValueError, TypeError, KeyError):
        return OutputLimit("a malformed fault frame")
    if outcome not in OUTCOMES or not isinstance(message, str) or not isinstance(where, str):
        return OutputLimit("a malformed fault frame")
    return OUTCOMES[outcome](message[:600], line if type(line) is int else None, where[:200])


class Sandbox:
    """A fork server and its children. Thread-safe; a context manager.

    Args:
        preload: modules that the server imports before it forks.
    """

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = tuple(preload)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._required: list[str] = []
        self._layers: dict[str, str] | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def layers(self) -> dict[str, str]:
        """Each layer with "on" or "missing: why", probed once in a real child."""
        if self._layers is None:
            with self.spawn("autotts.sandbox.jail:report", Limits(cpu_seconds=5, wall_seconds=20)) as child:
                self._layers = json.loads(child.recv())
            self._required = [name for name, state in self._layers.items() if state.startswith("on")]
        return dict(self._layers)

    @property
    def isolation(self) -> str:
        """ "strict", or "reduced" with what is missing."""
        layers = self.layers
        missing = [name for name in STRICT if not layers.get(name, "").startswith("on")]
        return "strict" if not missing else f"reduced (missing: {', '.join(missing)})"

    def spawn(self, entry: str, limits: Limits | None = None) -> Child:
        """A new child that locks itself in and then runs `module:function` with its channel.

        Raises:
            SandboxError: the fork server cannot be started, or is gone.
        """
        limits = limits or Limits()
        host_end, child_end = socket.socketpair()
        status_read, status_write = os.pipe()
        seconds = struct.pack("ll", 0, int(PATIENCE * 1e6))
        host_end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        host_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(limits.wall) + 1, 0))
        request = {"entry": entry, "limits": asdict(limits), "required": self._required}
        try:
            self._request(json.dumps(request).encode(), [child_end.fileno(), status_write])
        except BaseException:
            host_end.close()
            os.close(status_read)
            raise
        finally:
            child_end.close()
            os.close(status_write)
        return Child(self, host_end, status_read, limits)

    def kill(self, pid: int) -> None:
        """Have the server kill one of its children."""
        try:
            self._request(json.dumps({"kill": pid}).encode(), [])
        except SandboxError:
            return  # the server is gone, and its children with it

    def close(self) -> None:
        """End the server and its children."""
        with self._lock:
            if self._control is not None:
                self._control.close()
                self._control = None
            if self._process is not None:
                try:
                    self._process.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
                self._process = None

    def _request(self, data: bytes, fds: list[int]) -> None:
        with self._lock:
            if self._control is None:
                self._start()
            assert self._control is not None
            try:
                socket.send_fds(self._control, [data], fds)
            except OSError as error:
                raise SandboxError(f"the fork server is gone ({error})") from error

    def _start(self) -> None:
        if self._process is not None:
            raise SandboxError("the fork server has ended; make a new Sandbox")
        # SEQPACKET keeps one request one message; macOS has only DGRAM for that.
        kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        code = (
            f"import sys; sys.path[:0] = [{str(ROOT)!r}]; sys.argv[0] = 'autotts-fork-server'; "
            "from autotts.sandbox.server import main; main(sys.argv[1:])"
        )
        environment = {"PATH": os.defpath, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-c", code, str(theirs.fileno()), *self._preload],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            cwd="/",
        )
        theirs.close()
        ours.settimeout(60)
        try:
            ready = ours.recv(16)
        except OSError as error:
            ready = str(error).encode()
        if ready != b"ready":
            ours.close()
            self._process.kill()
            self._process.wait()
            raise SandboxError(f"the fork server did not start ({ready.decode() or 'it ended; see the error above'})")
        ours.settimeout(None)
        self._control = ours
