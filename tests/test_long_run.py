"""Thousands of candidates, one in five hostile: nothing stays, nothing grows, and no healthy figure moves."""

from __future__ import annotations

import gc
import hashlib
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autotts.agents import Context
from autotts.agents.evolution import EvolutionAgent
from autotts.errors import ProgramError
from autotts.evaluation import Evaluator, Program
from autotts.testing.corpus import CONFIRM, LIMITS, SCREEN, world
from autotts.testing.hostile import ATTACKS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def candidates(n: int) -> Iterator[tuple[bool, str]]:
    """(hostile?, source), the same for the same n; one in five is hostile, each attack before any comes again."""
    agent, nothing = EvolutionAgent(random_only=True), Context(1, 0, (), ())
    attacks = [a for _ in range(1 + n // len(ATTACKS)) for a in random.Random("long run").sample(ATTACKS, len(ATTACKS))]
    for k in range(n):
        hostile = k % 5 == 4
        yield hostile, attacks[k // 5].source if hostile else agent.propose(nothing, random.Random(k)).source


def memory(pid: int | str) -> int:
    """Resident kilobytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def descriptors(pid: int | str = "self") -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def descendants(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.add(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found | {below for one in found for below in descendants(one)}


def orphans() -> set[int]:
    """Processes of the jail's user that have lost their parent."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if process.stat().st_uid == 65534 and parent == 1:
                found.add(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def files() -> set[str]:
    return {entry.name for folder in ("/tmp", "/dev/shm") for entry in os.scandir(folder) if "autotts" in entry.name}


def outcome(evaluator: Evaluator, source: str) -> tuple[str, str]:
    """How it ended, and a digest of all its figures: kept whole, they alone would make the memory grow."""
    program = Program.from_source(source)
    try:
        work = evaluator.begin(program, SCREEN)
        (r,) = evaluator.confirm(work, CONFIRM, evaluator.play(work))
    except ProgramError as error:
        return error.outcome, ""
    figures = (r.right, r.tokens, r.sequential_tokens, r.branches, r.digests)
    return "ok", hashlib.sha256(b"".join(values.tobytes() for values in figures)).hexdigest()


def soon(what: Callable[[], bool]) -> bool:
    """Whether it comes true in time; other tests at the same time may leave things for a moment."""
    deadline = time.monotonic() + 20
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)
    return what()


def evaluator_like_the_corpus() -> Evaluator:
    return Evaluator([world()], workers=2, smoke=LIMITS, memory_mb=64)


@pytest.mark.parametrize("n", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_long_run(n: int) -> None:
    files_before, orphans_before = files(), orphans()
    healthy: dict[int, str] = {}
    kinds: Counter[str] = Counter()
    marks: dict[int, dict[str, int]] = {}
    with evaluator_like_the_corpus() as evaluator:
        for k, (hostile, source) in enumerate(candidates(n), 1):
            ended, figures = outcome(evaluator, source)
            kinds[ended] += 1
            if not hostile:
                healthy[k] = figures
                assert ended == "ok", source
            if k in (n // 4, n):
                marks[k] = look(evaluator)
    early, late = marks[n // 4], marks[n]
    for name in ("descriptors", "server's descriptors", "processes"):
        assert late[name] == early[name], name
    for name in ("host", "server", "referees"):
        assert late[name] <= 1.1 * early[name] + 4096, (name, early, late)
    assert {"PolicyViolation", "CpuLimit", "Crashed", "ok"} <= set(kinds)
    assert not descendants(os.getpid())
    assert soon(lambda: orphans() <= orphans_before)
    assert soon(lambda: files() <= files_before)
    with evaluator_like_the_corpus() as evaluator:
        for k, (hostile, source) in enumerate(candidates(n), 1):
            if not hostile:
                assert outcome(evaluator, source) == ("ok", healthy[k])


def look(evaluator: Evaluator) -> dict[str, int]:
    """What the processes hold."""
    gc.collect()
    server = evaluator._sandbox(False)._process
    assert server is not None
    referees = [referee._process.pid for referee in evaluator._referees._all]
    return {
        "host": memory("self"),
        "server": memory(server.pid),
        "referees": sum(map(memory, referees)) // max(1, len(referees)),
        "descriptors": descriptors() - 2 * len(referees),
        "server's descriptors": descriptors(server.pid),
        "processes": len(descendants(os.getpid())) - len(referees),
    }
