"""Entries that run in the jail for the corpus: the evaluation's own child with the policy off, and a plain echo."""

from __future__ import annotations

from types import CodeType
from typing import Any

from autotts.evaluation import child
from autotts.sandbox.fingerprint import FINGERPRINT
from autotts.sandbox.guards import PROGRAM
from autotts.sandbox.jail import Channel
from autotts.sandbox.policy import FILENAME

__all__ = ["busy", "echo", "flood", "unguarded"]


class _Anything:
    """Full built-ins, and every module that the server has imported."""

    def fresh_globals(self) -> dict[str, Any]:
        return {"__name__": PROGRAM}


def _compile(source: str, **_: Any) -> tuple[CodeType, bytes]:
    return compile(source, FILENAME, "exec", dont_inherit=True), bytes(FINGERPRINT)


def unguarded(channel: Channel) -> None:
    """An evaluation's shard in which a program may say anything: the system's layers stand alone."""
    vars(child).update(compile_with_fingerprint=_compile, _IMPORTER=_Anything())
    child.main(channel)


def echo(channel: Channel) -> None:
    """Say what is said."""
    while True:
        channel.send(channel.recv())


def flood(channel: Channel) -> None:
    """Once asked, say too much, for ever."""
    channel.recv()
    while True:
        channel.send(bytes(1 << 16))


def busy(channel: Channel) -> None:
    """Once asked, say nothing, for ever."""
    channel.recv()
    while True:
        pass
