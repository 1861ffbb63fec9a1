"""Frames between host and child: length, kind, payload. Tiny, length-limited, never unpickled."""

from __future__ import annotations

import os

__all__ = ["DATA", "FAULT", "MAX_FRAME", "FrameError", "Frames"]

DATA, FAULT = 0, 1
MAX_FRAME = 64 * 1024 * 1024
_CHUNK = 1 << 16


class FrameError(Exception):
    """The other side sent something that is not a frame."""


class Frames:
    """Framed messages over a connected stream's file descriptor."""

    __slots__ = ("_buffer", "fd", "limit")

    def __init__(self, fd: int, limit: int = MAX_FRAME) -> None:
        self.fd = fd
        self.limit = limit
        self._buffer = b""

    def send(self, payload: bytes, kind: int = DATA) -> None:
        """Send one frame, whole."""
        data = (len(payload) + 1).to_bytes(4, "little") + bytes((kind,)) + payload
        sent = os.write(self.fd, data)
        while sent < len(data):
            sent += os.write(self.fd, memoryview(data)[sent:])

    def recv(self) -> tuple[int, bytes]:
        """The next frame's kind and payload.

        Raises:
            EOFError: the other side is gone.
            FrameError: a length of nothing, or past the limit.
            BlockingIOError: a receive timeout of the descriptor passed; call again to go on waiting.
        """
        buffer = self._buffer
        while True:
            have = len(buffer)
            need = 4
            if have >= 4:
                length = int.from_bytes(buffer[:4], "little")
                if not 1 <= length <= self.limit:
                    raise FrameError(f"a frame of {length} bytes; between 1 and {self.limit} are allowed")
                need = 4 + length
                if have >= need:
                    self._buffer = buffer[need:]
                    return buffer[4], buffer[5:need]
            self._buffer = buffer
            chunk = os.read(self.fd, max(_CHUNK, need - have))
            if not chunk:
                raise EOFError
            buffer = buffer + chunk if buffer else chunk
