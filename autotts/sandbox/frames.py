"""Frames between host and child: four bytes of length, one of kind, the payload. Length-limited, never unpickled.

Where a frame fits into one read, one read is all it takes; that is what makes a round trip cheap.
"""

from __future__ import annotations

import math
import os
import struct
import time

__all__ = ["DATA", "FAULT", "READY", "FrameError", "Frames"]

DATA, FAULT, READY = 0, 1, 2
"""Kinds: a message; how the program ended; lock-down is done (a child's first frame, its payload says what failed)."""

HEADER = 5
_HEAD = struct.Struct("<IB").pack
_CHUNK = 1 << 16


class FrameError(Exception):
    """The other side sent something that is not a frame, or a longer one than is allowed."""


class Frames:
    """Framed messages over the descriptor of a connected stream.

    Attributes:
        limit: bytes that a frame's payload may have.
        deadline: monotonic seconds after which reading and writing end with BlockingIOError, whatever trickles.
        partial: whether a frame is half sent, so that nothing else may be written.
    """

    __slots__ = ("_buffer", "deadline", "fd", "limit", "partial")

    def __init__(self, fd: int, limit: int = 1 << 30, ahead: bytes = b"") -> None:
        self.fd = fd
        self.limit = limit
        self.deadline = math.inf
        self.partial = False
        self._buffer = ahead

    def take(self) -> bytes:
        """What was read past the last frame, taken out."""
        ahead, self._buffer = self._buffer, b""
        return ahead

    def send(self, payload: bytes, kind: int = DATA) -> None:
        """Send one frame, whole."""
        data = _HEAD(len(payload), kind) + payload
        done = os.write(self.fd, data)
        if done < len(data):
            self.partial = True
            with memoryview(data) as view:
                while done < len(data):
                    self._hurry()
                    done += os.write(self.fd, view[done : done + (1 << 20)])
            self.partial = False

    def recv(self) -> tuple[int, bytes]:
        """The next frame's kind and payload.

        Raises:
            EOFError: the other side is gone.
            FrameError: a length past the limit.
            BlockingIOError: the descriptor's receive timeout or the deadline passed; call again to go on waiting.
        """
        chunk = self._buffer or self._read(_CHUNK)
        while len(chunk) < HEADER:
            self._buffer = chunk
            self._hurry()
            chunk += self._read(_CHUNK)
        size = int.from_bytes(chunk[:4], "little")
        if len(chunk) == HEADER + size:
            self._buffer = b""
            return chunk[4], chunk[HEADER:]
        if size > self.limit:
            raise FrameError(f"a frame of {size} bytes, at most {self.limit} are allowed")
        if len(chunk) < HEADER + size:
            chunk = self._rest(chunk, HEADER + size)
        self._buffer = chunk[HEADER + size :]
        return chunk[4], chunk[HEADER : HEADER + size]

    def _rest(self, start: bytes, size: int) -> bytes:
        """A long frame, collected in place: joining chunk by chunk would be quadratic."""
        collected = bytearray(start)
        try:
            while len(collected) < size:
                self._hurry()
                collected += self._read(min(1 << 20, size - len(collected)))
        finally:
            self._buffer = bytes(collected)  # a timeout in the middle loses nothing
        return self._buffer

    def _hurry(self) -> None:
        """In the middle of a frame: one that comes byte by byte would go on for hours."""
        if time.monotonic() > self.deadline:
            raise BlockingIOError

    def _read(self, size: int) -> bytes:
        chunk = os.read(self.fd, size)
        if not chunk:
            raise EOFError
        return chunk
