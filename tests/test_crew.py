"""Shards side by side: what the machine may have ended is tried again before it stands."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from autotts.errors import Crashed, ProgramError, SandboxError
from autotts.evaluation.crew import Crew


def killed(then: Callable[[], str]) -> Callable[[], str]:
    """The machine's fault the first time."""
    times = [0]

    def work() -> str:
        times[0] += 1
        if times[0] == 1:
            raise SandboxError("killed")
        return then()

    return work


def crashes() -> str:
    raise Crashed("it failed")


def done() -> str:
    return "done"


def waits() -> str:
    """Holds the only worker until what is behind it was cancelled."""
    threading.Event().wait(0.5)
    return "done"


def test_what_was_cancelled_behind_a_killed_shard_must_fail_twice_as_well() -> None:
    crew = Crew(1)
    try:
        assert crew.all([killed(done), waits, killed(done), killed(done)], lambda _: None) == ["done"] * 4
        with pytest.raises(ProgramError, match="it failed"):
            crew.all([killed(done), waits, killed(crashes), done], lambda _: None)
    finally:
        crew.close()
