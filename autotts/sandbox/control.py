"""Processes of ours that serve one host over a socket: how they are started, and how requests travel.

Such a process is exec'ed, never forked, so that it is no copy of the host; its environment is clean, and it ends when
the host's end of the socket closes, however the host ended.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["recv_request", "send_request", "start"]

_BOOT = (
    "import json, sys; sys.argv[0] = sys.argv[4]; sys.path += json.loads(sys.argv[2]); "
    "from importlib import import_module; import_module(sys.argv[3]).main(int(sys.argv[1]), sys.argv[5:])"
)


def start(module: str, name: str, arguments: Sequence[str] = ()) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start `module.main(descriptor of its socket, arguments)` under a name; the process and our end of the socket."""
    ours, theirs = socket.socketpair()
    # What the host can import, it can; behind its own path, so that nothing shadows the standard library.
    path = json.dumps([str(Path(p).resolve()) for p in sys.path])
    environment = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
    # Some Pythons start with it only.
    environment |= {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
    with theirs:
        process = subprocess.Popen(
            # Not -I: it would ignore PYTHONHASHSEED. In a clean environment -P and -s come to the same.
            [sys.executable, "-P", "-s", "-c", _BOOT, str(theirs.fileno()), path, module, name, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C in the terminal is the host's affair
            cwd="/",
        )
    return process, ours


def send_request(control: socket.socket, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send a request with descriptors.

    Raises:
        OSError: the other side is gone.
    """
    data = json.dumps(request).encode()
    socket.send_fds(control, [len(data).to_bytes(4, "little"), data], fds)


def recv_request(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next request and its descriptors; None when the host is gone."""
    size, fds, _, _ = socket.recv_fds(control, 4, 2)
    if not size:
        return None
    data = control.recv(int.from_bytes(size, "little"), socket.MSG_WAITALL)
    request: dict[str, Any] = json.loads(data)
    return request, fds
