"""Whether the model's server is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from autotts.agents.models import Busy, Lost
from autotts.errors import InputError
from autotts.live.connect import Connection
from autotts.live.server import Server

__all__ = ["upstream_of"]

SECONDS = 5.0
"""Within which it has to say something."""


@asynccontextmanager
async def upstream_of(connection: Connection) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Asks the server for its models: why it cannot be used now, "" where it can."""
    server = Server(connection.base_url, connection.model, SECONDS)

    async def ready() -> str:
        try:
            await server.get("/models")
        except (Busy, Lost, InputError) as error:
            return str(error)
        return ""

    try:
        yield ready
    finally:
        await server.close()
