"""Preloaded into a fork server, it takes seccomp and Landlock away: a system that does not have them, for tests."""

from __future__ import annotations

from autotts.sandbox import jail
from autotts.sandbox.jail import Channel

__all__ = ["run"]

jail._FILTER = None
jail._LANDLOCK = 0


def run(channel: Channel) -> None:
    """Run the source that comes in, with full built-ins; what it calls `result` goes back as text."""
    namespace: dict[str, object] = {}
    exec(channel.recv().decode(), namespace)
    channel.send(str(namespace.get("result")).encode())
