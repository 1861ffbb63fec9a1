"""Entries that run in the jail for its tests; `raw` knows no policy, so that the system's layers stand alone."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from autotts.sandbox import Channel, Importer, compile_program
from autotts.sandbox.frames import FAULT


def raw(channel: Channel) -> None:
    """Run the source that comes in with full builtins; its line numbers are the program's."""
    source = channel.recv().decode()
    channel.context = "the test"
    exec(compile(source, "<program>", "exec", dont_inherit=True), {"__name__": "raw", "channel": channel})
    channel.send(b"done")


def jailed(channel: Channel) -> None:
    """Run the source that comes in under the policy; `result` goes back as text."""
    importer = Importer(compat=True)
    namespace: dict[str, Any] = importer.fresh_globals()
    exec(compile_program(channel.recv().decode()), namespace)
    channel.send(str(namespace.get("result")).encode())


def echo(channel: Channel) -> None:
    while True:
        channel.send(channel.recv())


def pid(channel: Channel) -> None:
    channel.send(str(os.getpid()).encode())
    channel.recv()


def garbage(channel: Channel) -> None:
    os.write(3, channel.recv())
    time.sleep(30)


def forged_fault(channel: Channel) -> None:
    channel._frames.send(channel.recv(), FAULT)
    time.sleep(30)


def half_message(channel: Channel) -> None:
    os.write(3, b"\xff\x00\x00\x00\x00abc")


def ignores_timers(channel: Channel) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while True:
        pass


def closes(channel: Channel) -> None:
    os.close(3)
    while True:
        time.sleep(1)
