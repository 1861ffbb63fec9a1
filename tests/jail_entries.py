"""What children run in the sandbox's tests."""

from __future__ import annotations

from autotts.sandbox import Channel


def echo(channel: Channel) -> None:
    """Send back what comes."""
    while True:
        channel.send(channel.recv())


def raw(channel: Channel) -> None:
    """Run Python without any policy: the jail alone."""
    source = channel.recv().decode()
    exec(compile(source, "<program>", "exec"), {"channel": channel})
    channel.send(b"came to its end")
