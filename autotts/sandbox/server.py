"""The fork server: an exec'ed, single-threaded process that only forks children and tells how they ended.

It is never the host: a child forked from the host itself could walk its memory. Its environment is clean, its modules
are imported once (and frozen for the garbage collector), and it ends when the host's end of the socket closes.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from importlib import import_module
from typing import Any

__all__ = ["main"]


def main(argv: list[str]) -> None:
    """Serve until the host is gone. Arguments: the control socket's descriptor, modules to import."""
    control = socket.socket(fileno=int(argv[0]))
    from autotts.sandbox.jail import run_child

    for module in argv[1:]:
        import_module(module)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    gc.collect()
    gc.freeze()
    control.sendall(b"ready")
    children: dict[int, int] = {}
    parent = os.getpid()
    while True:
        readable, _, _ = select.select([control, wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
            _reap(children)
        if control not in readable:
            continue
        data, fds, _, _ = socket.recv_fds(control, 65536, 2)
        if not data:
            break
        request: dict[str, Any] = json.loads(data)
        if "kill" in request:
            if request["kill"] in children:
                os.kill(request["kill"], signal.SIGKILL)
            continue
        pipe, status = fds
        pid = os.fork()
        if pid == 0:
            run_child(pipe, request["entry"], request["limits"], request["required"], parent)
        os.close(pipe)
        children[pid] = status
        os.write(status, json.dumps({"pid": pid}).encode() + b"\n")
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _reap(children: dict[int, int]) -> None:
    while children:
        pid, code, usage = os.wait4(-1, os.WNOHANG)
        if pid == 0:
            return
        status = children.pop(pid)
        told = {"code": os.waitstatus_to_exitcode(code), "cpu": usage.ru_utime + usage.ru_stime}
        try:
            os.write(status, json.dumps(told).encode() + b"\n")
        except BrokenPipeError:
            pass  # the host asked no longer
        finally:
            os.close(status)


if __name__ == "__main__":
    # Started with -I -c by the host, which puts the package's folder on sys.path first.
    main(sys.argv[1:])
