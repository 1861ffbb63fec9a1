"""The host's handles on its referees (referee.py): one for each shard that is being confirmed at a time."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from autotts.errors import SandboxError
from autotts.sandbox import Child
from autotts.sandbox.control import send_request, start
from autotts.sandbox.frames import FAULT, Frames

__all__ = ["Referee", "Referees", "World"]

CLOSING = 5.0
"""Seconds within which a referee ends once its socket is closed; it needs milliseconds."""


@dataclass(frozen=True)
class World:
    """An environment as a referee gets it.

    Attributes:
        header: what `Rules` has, and signals (per question, as in a `Table`).
        tables: its gold-free tables, packed.
    """

    header: dict[str, Any]
    tables: bytes


class Referee:
    """One referee process, used by one thread at a time."""

    def __init__(self, worlds: Sequence[World]) -> None:
        self._process: subprocess.Popen[bytes]
        self._control: socket.socket
        self._process, self._control = start("autotts.evaluation.referee", "autotts-referee")
        self._frames = Frames(self._control.fileno())
        try:
            self._frames.send(json.dumps([world.header for world in worlds]).encode())
            for world in worlds:
                self._frames.send(world.tables)
            self._answer()
        except BaseException:
            self.close()
            raise

    def serve(self, child: Child, episodes: Sequence[tuple[int, int, int]]) -> bytes:
        """Let it serve host episodes, (world, seed, question) each, in that order; their records.

        Raises:
            ProgramError: an inadmissible action, a malformed message, the child's end, or its time is up.
        """
        fd, ahead, room = child.lend()
        shard = {"episodes": episodes, "ahead": ahead.hex(), "room": room}
        self._ask(shard, [fd])
        if not self._comes(child.wall_left):
            child.close()  # which ends the referee's wait for it
            self._answer()
            raise child.late()
        kind, payload = self._answer()
        if kind == FAULT or not payload:
            raise child.ended(payload)
        return payload

    def close(self) -> None:
        """End the process."""
        self._control.close()
        try:
            self._process.wait(timeout=CLOSING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            send_request(self._control, request, fds)
        except OSError as error:
            raise SandboxError(f"a referee is gone ({error})") from error

    def _answer(self) -> tuple[int, bytes]:
        try:
            return self._frames.recv()
        except (OSError, EOFError) as error:
            raise SandboxError(f"a referee is gone ({error})") from error

    def _comes(self, seconds: float) -> bool:
        """Whether an answer begins to come within that time."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if poll.poll(min(left, 60.0) * 1000):
                return True
        return False


class Referees:
    """Referees for as many shards as are confirmed at a time; each is started when first needed. Thread-safe."""

    def __init__(self, worlds: Sequence[World]) -> None:
        self._worlds = worlds
        self._lock = threading.Lock()
        self._all: list[Referee] = []
        self._idle: list[Referee] = []

    @contextmanager
    def one(self) -> Iterator[Referee]:
        """A referee of one's own for the time being."""
        with self._lock:
            if not self._idle:
                self._idle.append(Referee(self._worlds))
                self._all.append(self._idle[-1])
            referee = self._idle.pop()
        try:
            yield referee
        except SandboxError:  # it may be gone, or not where it should be: never used again
            raise
        except BaseException:
            self._idle.append(referee)
            raise
        else:
            self._idle.append(referee)

    def close(self) -> None:
        """End all of them."""
        for referee in self._all:
            referee.close()
