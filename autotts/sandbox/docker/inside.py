"""In the container: starts the fork server, and stands in for the host towards it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence

from autotts.sandbox.control import send_request, start
from autotts.sandbox.docker.mux import ENDED, KILL, READY, SPAWN, STATUS, Mux, MuxError

__all__ = ["main"]


class _Inside:
    def __init__(self, preload: Sequence[str]) -> None:
        # What it prints by accident must not come between the frames.
        trunk = os.dup(1)
        os.dup2(2, 1)
        self.mux = Mux(0, trunk, self.on_frame)
        self.process, self.control = start("autotts.sandbox.server", "autotts-fork-server", preload)
        self.mux.watch(self.control.fileno(), self.on_server)

    def on_server(self) -> None:
        """The server's first word, or its end."""
        word = self.control.recv(4096)
        self.mux.send(0, READY, word or b"the fork server has ended")
        if not word:
            self.mux.unwatch(self.control.fileno())

    def on_frame(self, number: int, kind: int, payload: bytes) -> None:
        """A request of the host's."""
        with contextlib.suppress(OSError):  # the server is gone, which `on_server` tells
            if kind == SPAWN:
                self.spawn(number, json.loads(payload))
            elif kind == KILL:
                send_request(self.control, {"kill": number})

    def spawn(self, number: int, request: dict[str, object]) -> None:
        ours, theirs = socket.socketpair()
        status, status_end = os.pipe()
        try:
            send_request(self.control, request, [theirs.fileno(), status_end])
        finally:
            theirs.close()
            os.close(status_end)
            self.mux.add(number, ours.detach())
            self.mux.watch(status, lambda: self.on_status(number, status))

    def on_status(self, number: int, status: int) -> None:
        """News of a child."""
        told = os.read(status, 4096)
        if told:
            self.mux.send(number, STATUS, told)
            return
        self.mux.send(number, ENDED)
        self.mux.unwatch(status)
        os.close(status)


def main(preload: Sequence[str]) -> None:
    """Serve until the host is gone."""
    inside = _Inside(preload)
    with contextlib.suppress(MuxError):
        while True:
            inside.mux.turn()


if __name__ == "__main__":
    main(sys.argv[1:])
