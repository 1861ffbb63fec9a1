"""A fork server and its children, as the host sees them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from autotts.errors import SandboxError
from autotts.sandbox.client import Child, Limits
from autotts.sandbox.control import send_request, start
from autotts.sandbox.jail import STRICT

__all__ = ["Sandbox"]

_START = 60.0
"""Seconds within which the server has imported what it preloads."""


class Sandbox:
    """A fork server, started when first needed, and its children. Thread-safe; a context manager.

    The server is exec'ed, so that no child is a copy of the host; it ends, and every child with it, when the host ends.

    Args:
        preload: modules that the server imports before it forks; children then start in milliseconds.
        notice: told in a line what takes long.
    """

    def __init__(self, preload: Sequence[str] = (), notice: Callable[[str], None] = lambda _: None) -> None:
        self._preload = tuple(preload)
        self._notice = notice
        self._lock = threading.RLock()  # the probe is a child that is spawned and closed under it
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._layers: dict[str, str] | None = None
        self._count = 0

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def layers(self) -> dict[str, str]:
        """Each layer of the jail with "on (detail)" or "missing: why", probed by a real child.

        Raises:
            SandboxError: the fork server cannot be started.
        """
        with self._lock:
            return dict(self._started())

    @property
    def isolation(self) -> str:
        """`strict`, or `reduced (missing: …)`.

        Raises:
            SandboxError: the fork server cannot be started.
        """
        missing = self.missing
        return f"reduced (missing: {', '.join(missing)})" if missing else "strict"

    @property
    def missing(self) -> list[str]:
        """The layers of `STRICT` that this system cannot apply.

        Raises:
            SandboxError: the fork server cannot be started.
        """
        layers = self.layers
        return [name for name in STRICT if not layers[name].startswith("on")]

    def spawn(self, entry: str, limits: Limits | None = None) -> Child:
        """A new child that locks itself in and runs `module:function` with its channel.

        A child that cannot apply a layer that the probe could does not run: its first `recv` raises SandboxError.

        Raises:
            SandboxError: the fork server cannot be started.
        """
        with self._lock:
            layers = self._started()
            return self._spawn(entry, limits or Limits(), [n for n, state in layers.items() if state.startswith("on")])

    def close(self) -> None:
        """End the server and its children."""
        with self._lock:
            self._stop()

    # ---- with the lock held ------------------------------------------------------------------------------------

    def _started(self) -> dict[str, str]:
        """The layers of a server that runs; started, or started again, where none does."""
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None:
            self._start()
            try:
                with self._spawn("autotts.sandbox.jail:report", Limits(cpu_seconds=10), []) as child:
                    self._layers = json.loads(child.recv())
            except BaseException:
                self._stop()
                raise
        assert self._layers is not None
        return self._layers

    def _spawn(self, entry: str, limits: Limits, required: Sequence[str]) -> Child:
        ours, theirs = socket.socketpair()
        status, status_end = os.pipe()
        self._count += 1
        request = {"number": self._count, "entry": entry, "limits": asdict(limits), "required": list(required)}
        try:
            self._send(request, [theirs.fileno(), status_end])
        except BaseException:
            ours.close()
            os.close(status)
            raise
        finally:
            theirs.close()
            os.close(status_end)
        return Child(self, self._count, ours, status, limits)

    def _send(self, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        assert self._control is not None
        try:
            send_request(self._control, request, fds)
        except OSError as error:
            if isinstance(error, ConnectionError):
                self._stop()  # it may be dying, and not dead yet: the next child must not be asked of it
            raise SandboxError(f"the fork server is gone ({error})") from error

    def _kill(self, number: int) -> None:
        with self._lock:
            if self._control is None:
                return
            try:
                self._send({"kill": number})
            except SandboxError:
                return  # the server is gone, and its children with it

    def _server(self) -> tuple[str, str, Sequence[str]]:
        """What is started as the fork server: a module, the process's name, arguments."""
        return "autotts.sandbox.server", "autotts-fork-server", self._preload

    def _start(self) -> None:
        process, ours = start(*self._server())
        self._process, self._control = process, ours
        ours.settimeout(_START)
        try:
            ready = ours.recv(4096)
        except OSError as error:
            ready = str(error).encode()
        if ready != b"ready":
            self._stop()
            raise SandboxError(f"the fork server did not start: {ready.decode(errors='replace') or 'it ended at once'}")
        ours.settimeout(None)

    def _stop(self) -> None:
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
