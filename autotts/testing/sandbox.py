"""What every sandbox has to stand, as tests to inherit; needs pytest.

class TestMine(SandboxConformance):
    factory = staticmethod(MySandbox)
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest

from autotts.errors import SandboxError
from autotts.evaluation import Evaluator
from autotts.sandbox import Limits, Sandbox, SandboxFactory
from autotts.testing.corpus import corpus_evaluator, judge
from autotts.testing.hostile import ATTACKS, Attack
from autotts.testing.hostile._attack import controller
from autotts.testing.hostile.others import CANARY

__all__ = ["SandboxConformance"]

IN_TIME = 30.0
"""Seconds within which every attack ends: twice the limits by the clock (outcomes by the clock are tried again)."""


class SandboxConformance:
    """Every program of the corpus, under the policy and without it, and how a sandbox behaves to its host.

    Attributes:
        factory: makes the sandbox; see `autotts.sandbox.SandboxFactory`.
        attacks: what to try it with.
    """

    factory: ClassVar[SandboxFactory]
    attacks: ClassVar[tuple[Attack, ...]] = ATTACKS

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def canary(cls) -> Iterator[None]:
        """A secret in the host's environment while the sandboxes start."""
        os.environ["AUTOTTS_CANARY"] = CANARY
        yield
        del os.environ["AUTOTTS_CANARY"]

    @pytest.fixture(scope="class")
    @classmethod
    def guarded(cls) -> Iterator[Evaluator]:
        """Runs programs as a search does."""
        with corpus_evaluator(cls.factory, policy=True) as evaluator:
            yield evaluator

    @pytest.fixture(scope="class")
    @classmethod
    def unguarded(cls) -> Iterator[Evaluator]:
        """The same with the policy off."""
        with corpus_evaluator(cls.factory, policy=False) as evaluator:
            yield evaluator

    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls) -> Iterator[Sandbox]:
        """A sandbox by itself."""
        with cls.factory(("autotts.testing.entries",)) as made:
            yield made

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test an attack, named after it."""
        if "attack" in metafunc.fixturenames:
            metafunc.parametrize("attack", self.attacks, ids=str)

    def test_the_honest_program_is_honest(self, guarded: Evaluator, unguarded: Evaluator) -> None:
        """Without which the others would mean nothing."""
        for evaluator in (guarded, unguarded):
            verdict = judge(evaluator, controller())
            assert (verdict.outcome, verdict.honest) == ("ok", True)

    def test_attack_under_the_policy(self, guarded: Evaluator, attack: Attack) -> None:
        """It ends as it must, in time, and wins nothing."""
        message = _try(guarded, attack, attack.policy)
        assert "ValueError: out" not in message, "it got out"

    def test_attack_on_the_jail_alone(self, unguarded: Evaluator, attack: Attack) -> None:
        """The same with full built-ins and imports; and it runs into the wall that is meant for it."""
        message = _try(unguarded, attack, attack.jail)
        assert re.search(attack.words, message), message

    def test_isolation_is_told(self, sandbox: Sandbox) -> None:
        """Which layers there are is probed; anything weaker than strict says so."""
        assert sandbox.isolation.partition(" ")[0] in ("strict", "docker", "reduced")
        assert all(state.startswith(("on", "missing: ")) for state in sandbox.layers.values())

    def test_threads_share_it(self, sandbox: Sandbox) -> None:
        """Children of several threads at once, each with its own stream."""
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for k in range(5):
                    with sandbox.spawn("autotts.testing.entries:echo") as child:
                        for size in (1, 70_000, 3):
                            data = f"{number} {k}".encode() * size
                            child.send(data)
                            assert child.recv() == data
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures

    @pytest.mark.parametrize("size", [0, 1, 65_531, 3 << 20])
    def test_messages_of_every_size(self, sandbox: Sandbox, size: int) -> None:
        """Whole, in order."""
        with sandbox.spawn("autotts.testing.entries:echo") as child:
            data = os.urandom(size)
            for _ in range(3):
                child.send(data)
                assert child.recv() == data

    def test_a_flood_stops_itself_and_no_other(self, sandbox: Sandbox) -> None:
        """A child whose words nobody reads is no burden to the others."""
        with (
            sandbox.spawn("autotts.testing.entries:flood") as flood,
            sandbox.spawn("autotts.testing.entries:echo") as other,
        ):
            flood.send(b"x")
            for k in range(20):
                other.send(str(k).encode())
                assert other.recv() == str(k).encode()

    def test_closing_ends_a_child_that_runs(self, sandbox: Sandbox) -> None:
        """Whatever it does."""
        start = time.monotonic()
        child = sandbox.spawn("autotts.testing.entries:busy", Limits(cpu_seconds=30))
        child.send(b"x")
        time.sleep(0.2)
        child.close()
        assert time.monotonic() - start < 5
        assert child.cpu_seconds < 5

    def test_unknown_entries_are_the_hosts_mistake(self, sandbox: Sandbox) -> None:
        """Not the program's."""
        with sandbox.spawn("autotts.testing.entries:nothing") as child, pytest.raises(SandboxError, match="nothing"):
            child.recv()

    def test_after_close_it_starts_again(self) -> None:
        """A closed sandbox has no process left, and the next child starts one."""
        made = self.factory(("autotts.testing.entries",))
        try:
            for _ in range(2):
                with made.spawn("autotts.testing.entries:echo") as child:
                    child.send(b"x")
                    assert child.recv() == b"x"
                made.close()
        finally:
            made.close()


def _try(evaluator: Evaluator, attack: Attack, allowed: tuple[str, ...]) -> str:
    start = time.monotonic()
    verdict = judge(evaluator, attack.source)
    assert verdict.outcome in allowed, verdict
    assert verdict.outcome != "ok" or verdict.honest, "it ended well with figures that are not its own"
    assert time.monotonic() - start < IN_TIME
    return verdict.message
