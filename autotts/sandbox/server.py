"""The fork server: an exec'ed, single-threaded process that only forks children and tells how they ended.

It is never the host: a child forked from the host itself could walk its memory. Its environment is clean, its modules
are imported once (and frozen for the garbage collector), and it ends when the host's end of the socket closes.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from autotts.sandbox.control import recv_request
from autotts.sandbox.jail import run_child

__all__ = ["main"]

_LAZY = (
    "_pylong",
    "encodings.latin_1",
    "encodings.utf_16",
    "encodings.utf_32",
    "encodings.unicode_escape",
    "linecache",
    "unicodedata",
)
"""Modules that Python itself imports when it first needs them, which after lock-down is too late."""

_PARTS = {"numpy": ("numpy._core._methods", "numpy.core._methods", "numpy.ma")}
"""The same for a module that is preloaded."""


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.children: dict[int, tuple[int, int]] = {}  # pid: number of the request, status pipe
        self.pid = os.getpid()

    def serve(self) -> None:
        """Fork, kill and reap until the host is gone."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if wake_read in ready:
                os.read(wake_read, 4096)
                self.reap()
            if self.control.fileno() in ready:
                received = recv_request(self.control)
                if received is None:
                    return
                self.answer(*received)

    def answer(self, request: dict[str, Any], fds: Sequence[int]) -> None:
        if "kill" in request:
            for pid, (number, _) in self.children.items():
                if number == request["kill"]:
                    os.kill(pid, signal.SIGKILL)
            return
        pipe, status = fds
        try:
            pid = os.fork()
        except OSError as error:
            _tell(status, {"error": f"the fork server cannot fork: {error}"})
            os.close(status)
            os.close(pipe)
            return
        if pid == 0:
            run_child(pipe, request["entry"], request["limits"], request["required"], self.pid)
        os.close(pipe)
        self.children[pid] = (request["number"], status)
        _tell(status, {"pid": pid})

    def reap(self) -> None:
        while self.children:
            pid, code, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            _, status = self.children.pop(pid)
            cpu = usage.ru_utime + usage.ru_stime
            _tell(status, {"code": os.waitstatus_to_exitcode(code), "cpu": cpu})
            os.close(status)


def _tell(status: int, what: dict[str, Any]) -> None:
    try:
        os.write(status, json.dumps(what).encode() + b"\n")
    except BrokenPipeError:
        return  # the host has stopped asking


def main(descriptor: int, preload: Sequence[str]) -> None:
    """Serve until the host is gone.

    Args:
        descriptor: the control socket's.
        preload: modules to import before the first fork.
    """
    control = socket.socket(fileno=descriptor)
    for module in preload:
        try:
            import_module(module)
        except Exception as error:  # the host raises it
            control.sendall(f"cannot import {module}: {type(error).__name__}: {error}".encode()[:4096])
            return
    for module in (*_LAZY, *(part for name in preload for part in _PARTS.get(name, ()))):
        with contextlib.suppress(ImportError):  # each exists in some versions only
            import_module(module)
    server = _Server(control)
    gc.collect()
    gc.freeze()
    control.sendall(b"ready")
    try:
        server.serve()
    finally:
        for pid in server.children:
            os.kill(pid, signal.SIGKILL)
