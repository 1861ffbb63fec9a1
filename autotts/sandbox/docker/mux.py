"""Many children's streams over one: what host and container say to each other through the container's stdio.

Descriptors cannot be handed into a container (its engine may run on another kernel), so a relay on each side stands in
for the other: what comes in by a local descriptor leaves as a frame, and the other way round. Each stream has a window,
so that one which nobody reads stops itself and no other.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
from collections import deque
from collections.abc import Callable

__all__ = ["CLOSED", "ENDED", "KILL", "READY", "SPAWN", "STATUS", "Mux", "MuxError"]

DATA, CLOSED, CREDIT, SPAWN, KILL, STATUS, ENDED, READY = range(8)
"""Kinds of frames: a stream's bytes; its end; bytes of it that were delivered; a request for a child, to kill one; what
the server tells of one, and that it has told all; the server's first word."""

_HEAD = struct.Struct("<IBI")
WINDOW = 1 << 20
"""Bytes of a stream under way at a time."""

_LONGEST = WINDOW
_CHUNK = 1 << 16


class MuxError(Exception):
    """The other relay is gone, or says what is no frame."""


class _Stream:
    """A local descriptor and what waits for it."""

    __slots__ = ("closing", "fd", "granted", "owed", "waiting")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.granted = WINDOW  # bytes that may still be sent to the other side
        self.owed = 0  # bytes delivered here and not yet credited
        self.waiting: deque[bytes] = deque()  # to be written here
        self.closing = False  # the other side has ended: close when all is written


def _written(fd: int, data: bytes) -> int:
    """Bytes that a descriptor took now.

    Raises:
        OSError: it takes no more, ever.
    """
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0


class Mux:
    """Pumps frames over a trunk and bytes over local streams; single-threaded.

    Args:
        read, write: descriptors of the trunk, which may be one and the same.
        on_frame: called with (stream's number, kind, payload) for kinds that are not about a stream's bytes.
        unwrap: takes the trunk's own packing off what was read.
    """

    def __init__(
        self,
        read: int,
        write: int,
        on_frame: Callable[[int, int, bytes], None],
        unwrap: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._read, self._write = read, write
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        self._on_frame = on_frame
        self._unwrap = unwrap
        self._inbox = bytearray()
        self._outbox: deque[bytes] = deque()
        self._streams: dict[int, _Stream] = {}
        self._by_fd: dict[int, int] = {}
        self._watched: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Call when a descriptor of the caller's can be read."""
        self._watched[fd] = call

    def unwatch(self, fd: int) -> None:
        """No longer."""
        del self._watched[fd]

    def send(self, number: int, kind: int, payload: bytes = b"") -> None:
        """Queue a frame."""
        self._outbox.append(_HEAD.pack(number, kind, len(payload)) + payload)

    def add(self, number: int, fd: int) -> None:
        """Take a stream's local descriptor over."""
        os.set_blocking(fd, False)
        self._streams[number] = _Stream(fd)
        self._by_fd[fd] = number

    def turn(self) -> None:
        """Wait for something to do, and do it.

        Raises:
            MuxError: the trunk has ended.
        """
        poll = select.poll()
        for fd in {self._read, *self._watched}:
            poll.register(fd, select.POLLIN)
        if self._outbox:
            poll.register(self._write, select.POLLOUT | (select.POLLIN if self._write == self._read else 0))
        for stream in self._streams.values():
            wanted = (select.POLLIN if stream.granted > 0 else 0) | (select.POLLOUT if stream.waiting else 0)
            if wanted:
                poll.register(stream.fd, wanted)
        for fd, event in poll.poll():
            if fd == self._write and event & select.POLLOUT:
                self._flush()
            if fd == self._read and event & ~select.POLLOUT:
                self._pull()
            elif fd in self._watched:
                self._watched[fd]()
            elif fd in self._by_fd:
                self._stream_ready(self._by_fd[fd], event)

    # ---- the parts of a turn -----------------------------------------------------------------------------------

    def _pull(self) -> None:
        try:
            data = os.read(self._read, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            raise MuxError(str(error)) from error
        if not data:
            raise MuxError("the other side is gone")
        self._inbox += self._unwrap(data)
        at = 0
        while len(self._inbox) - at >= _HEAD.size:
            number, kind, size = _HEAD.unpack_from(self._inbox, at)
            if size > _LONGEST:
                raise MuxError(f"a frame of {size} bytes")
            start = at + _HEAD.size
            if len(self._inbox) < start + size:
                break
            at = start + size
            self._frame(number, kind, bytes(self._inbox[start:at]))
        del self._inbox[:at]

    def _flush(self) -> None:
        while self._outbox:
            data = self._outbox.popleft()
            try:
                done = _written(self._write, data)
            except OSError as error:
                raise MuxError(str(error)) from error
            if done < len(data):
                self._outbox.appendleft(data[done:])
                return

    def _stream_ready(self, number: int, event: int) -> None:
        stream = self._streams[number]
        if event & select.POLLOUT:
            self._deliver(number, stream)
        if number in self._streams and event & ~select.POLLOUT and stream.granted > 0:
            try:
                data = os.read(stream.fd, min(_CHUNK, stream.granted))
            except BlockingIOError:
                return
            except OSError:  # reset: it ended with bytes unread
                data = b""
            if data:
                stream.granted -= len(data)
                self.send(number, DATA, data)
            else:
                self._drop(number)
                self.send(number, CLOSED)

    def _deliver(self, number: int, stream: _Stream) -> None:
        while stream.waiting:
            data = stream.waiting.popleft()
            try:
                done = _written(stream.fd, data)
            except OSError:  # nobody reads any more; that its end was closed is told when it is read
                done = len(data)
            stream.owed += done
            if done < len(data):
                stream.waiting.appendleft(data[done:])
                break
        if stream.owed >= WINDOW // 2:
            self.send(number, CREDIT, stream.owed.to_bytes(4, "little"))
            stream.owed = 0
        if stream.closing and not stream.waiting:
            self._drop(number)

    def _frame(self, number: int, kind: int, payload: bytes) -> None:
        if kind > CREDIT:
            self._on_frame(number, kind, payload)
            return
        stream = self._streams.get(number)
        if stream is None:
            return  # its local side has ended already
        if kind == DATA:
            stream.waiting.append(payload)
            self._deliver(number, stream)
        elif kind == CREDIT:
            stream.granted += int.from_bytes(payload, "little")
        else:
            stream.closing = True
            self._deliver(number, stream)

    def _drop(self, number: int) -> None:
        stream = self._streams.pop(number)
        del self._by_fd[stream.fd]
        with contextlib.suppress(OSError):
            os.close(stream.fd)
