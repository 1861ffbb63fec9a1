"""The account of a run, with several slots at it: nobody waits for ever, nor for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autotts.agents import MockAgent, Proposal
from autotts.archive import Archive, Call, Run
from autotts.errors import LimitReached
from autotts.search.account import Account, Budget, SlotPurse
from tests.scripted import good, small_search


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Archive(tmp_path / "a.db") as archive:
        archive.add_run(Run("mine", 0, {}, (), "running", {}))
        yield Account(archive, "mine", Budget(tokens=100))


def test_a_slot_that_waits_for_room_hears_of_calls_that_nobody_will_settle(account: Account) -> None:
    """An agent whose code failed between a call and its end must not stop the others for ever."""
    failed, waits = SlotPurse(account, (1, 0), "a"), SlotPurse(account, (1, 1), "a")
    failed.begin("", {}, 80, 0.0)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(waits.begin, "", {}, 80, 0.0)
        time.sleep(0.2)
        assert not asked.done(), "the other one may use less than it reserved"
        failed.release()
        with pytest.raises(LimitReached, match="80 are spent"):
            asked.result(timeout=20)


def test_a_slot_does_not_wait_for_its_own_calls(account: Account) -> None:
    purse = SlotPurse(account, (1, 0), "a")
    purse.begin("", {}, 80, 0.0)
    with ThreadPoolExecutor(1) as threads, pytest.raises(LimitReached):
        threads.submit(purse.begin, "", {}, 80, 0.0).result(timeout=20)


def test_an_answer_is_kept_while_another_slot_reserves(tmp_path: Path) -> None:
    """Both need the account and the archive's lock, and take them in the same order."""
    with small_search(tmp_path / "a.db", [MockAgent([good()])], proposals_per_round=2) as search:
        search.begin()
        while search.place is not None and search.place[0] == 0:
            search.step()
        write, reserving, kept = search.archive.add_call, threading.Event(), threading.Event()
        search.archive.patience = 2.0
        main = threading.current_thread()

        def add_call(call: Call) -> None:
            if threading.current_thread() is not main:
                reserving.set()
                kept.wait(1.0)
            write(call)

        search.archive.add_call = add_call  # type: ignore[method-assign]
        other: Any = SlotPurse(search.account, (1, 1), "script")
        with ThreadPoolExecutor(1) as threads:
            begun = threads.submit(other.begin, "", {}, 1, 0.0)
            assert reserving.wait(20)
            search.keep((1, 0), Proposal(good(), (), "", usage={"input": 5}))
            kept.set()
            assert begun.result(timeout=20) == 0
        assert search.archive.spent("run-1")[0] == 6
