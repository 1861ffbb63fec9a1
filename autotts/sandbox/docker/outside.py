"""On the host: a process that stands in for the fork server, which runs in a container of its own.

It is started, asked and ended like the fork server itself (`control.start`); it makes the container, and removes it
when the host is gone. Should it be killed, the container's standard input ends, and the container with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Sequence

from autotts.errors import SandboxError
from autotts.sandbox.control import recv_request
from autotts.sandbox.docker.container import Container
from autotts.sandbox.docker.mux import ENDED, KILL, READY, SPAWN, STATUS, Mux, MuxError

__all__ = ["main"]


class _Unwrap:
    """Takes the engine's packing off: eight bytes in front of each piece, the first of which tells the stream."""

    def __init__(self) -> None:
        self._left, self._head, self._stream = 0, b"", 1

    def __call__(self, data: bytes) -> bytes:
        out, at = [], 0
        while at < len(data):
            if not self._left:
                part = data[at : at + 8 - len(self._head)]
                self._head += part
                at += len(part)
                if len(self._head) == 8:
                    self._stream, self._left = self._head[0], int.from_bytes(self._head[4:], "big")
                    self._head = b""
                continue
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if self._stream == 1:
                out.append(part)
        return b"".join(out)


class _Outside:
    def __init__(self, control: socket.socket, trunk: int) -> None:
        self.control = control
        self.status: dict[int, int] = {}
        self.mux = Mux(trunk, trunk, self.on_frame, _Unwrap())
        self.mux.watch(control.fileno(), self.on_request)
        self.host_is_gone = False

    def serve(self) -> None:
        """Until the host or the container is gone."""
        while not self.host_is_gone:
            self.mux.turn()

    def on_request(self) -> None:
        """A request of the host's, with the ends of a child's stream and status pipe."""
        received = recv_request(self.control)
        if received is None:
            self.host_is_gone = True
            return
        request, fds = received
        if "kill" in request:
            self.mux.send(request["kill"], KILL)
            return
        number = request["number"]
        stream, self.status[number] = fds
        self.mux.add(number, stream)
        self.mux.send(number, SPAWN, json.dumps(request).encode())

    def on_frame(self, number: int, kind: int, payload: bytes) -> None:
        """What the container's side tells."""
        if kind == READY:
            if not payload.startswith(b"ready"):
                raise MuxError(payload.decode(errors="replace"))
            self.control.sendall(payload)
        elif kind == STATUS and number in self.status:
            with contextlib.suppress(BrokenPipeError):  # the host has stopped asking
                os.write(self.status[number], payload)
        elif kind == ENDED and number in self.status:
            os.close(self.status.pop(number))


def main(descriptor: int, arguments: Sequence[str]) -> None:
    """Serve until the host is gone.

    Args:
        descriptor: the control socket's.
        arguments: the engine's address, the image, then modules to import before the first fork.
    """
    control = socket.socket(fileno=descriptor)
    address, image, *preload = arguments
    container = None
    try:
        container = Container(address, image, preload)
        _Outside(control, container.trunk).serve()
    except (SandboxError, MuxError) as error:
        with contextlib.suppress(OSError):
            control.sendall(str(error).encode()[:4096])
    finally:
        if container is not None:
            container.remove()
