"""HTTP on a connection, as uvicorn speaks it, and no longer than a request may take to come."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["REQUEST_SECONDS", "Protocol"]

REQUEST_SECONDS = 75.0
"""From a connection, or the first byte of its next request, to a request's last byte.

More than the endpoint gives a body, so that it can say so. uvicorn would wait for headers, and for the rest of a body
that was refused, for ever: whoever sends a byte now and then would hold a socket each, without a key.
"""


class Protocol(H11Protocol):
    """Breaks a connection off on which a request is not whole in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._wait(True)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        self._wait(self.conn.their_state in (h11.IDLE, h11.SEND_BODY))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        self._wait(False)

    def _wait(self, for_more: bool) -> None:
        if not for_more and self._late is not None:
            self._late.cancel()
            self._late = None
        elif for_more and self._late is None:
            self._late = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)
