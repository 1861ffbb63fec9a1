"""Proposals and evaluations side by side: the same archive whatever the timing, and an end that loses nothing."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from autotts.agents import Context, MockAgent, Proposal
from autotts.archive import Archive
from autotts.errors import AgentDown, LimitReached
from autotts.evaluation import Evaluator, Program
from autotts.search import Budget, Config, Search, SlotEnded, SlotStarted, default_selector, start_run
from tests.scripted import good, small_search
from tests.small import small_environment


class Dawdling:
    """Proposes by what it is told alone, and takes any time over it."""

    name = "dawdling"

    def __init__(self, seed: int, concurrent: bool = True) -> None:
        self.concurrent = concurrent
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.now = self.most = 0
        self.lengths: dict[tuple[int, int], int] = {}

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.lengths[context.round, context.slot] = len(context.candidates)
            delay = self._chance.choice([0, 0, 0.02, 0.1])
        time.sleep(delay)
        with self._lock:
            self.now -= 1
        told = sum(c.gain or 0.0 for c in context.candidates if c.front)
        number = 1 + (rng.randrange(4) + len(context.candidates) + int(1e6 * told)) % 9
        parents = tuple(c.id for c in context.parents)
        if rng.random() < 0.2:
            return Proposal("not a program\n", parents, "")
        comment = "# again\n" * rng.randrange(2)
        return Proposal(comment + good(number), parents, f"{number}")


def searched(path: Path, agent: Any, askers: int, workers: int, **options: Any) -> list[Any]:
    config = Config(agents=(agent.name,), betas=2, seeds=2, screen_seeds=1, **{"rounds": 3, **options})
    environments = [small_environment(), small_environment("other", seed=1)]
    with Archive(path) as archive, Evaluator(environments, workers) as evaluator:
        run = start_run(archive, None, config, environments)
        selector = default_selector(environments, config.selector)
        Search(archive, run, config, environments, [agent], selector, evaluator, askers=askers).go()
        return list(archive.dump())


@pytest.mark.parametrize("lag", [0, 1])
def test_any_number_of_askers_and_workers_gives_the_same_archive(tmp_path: Path, lag: int) -> None:
    whole = searched(tmp_path / "0.db", Dawdling(0), 1, 1, lag=lag)
    outcomes = {row["outcome"] for table, row in whole if table == "proposal"}
    assert {"ok", "PolicyViolation", "Duplicate"} <= outcomes
    for n, (askers, workers) in enumerate([(4, 2), (2, 3)], 1):
        assert searched(tmp_path / f"{n}.db", Dawdling(n), askers, workers, lag=lag) == whole


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_a_round_is_told_of_all_rounds_before_it_but_the_lag(tmp_path: Path, lag: int) -> None:
    agent = Dawdling(0)
    searched(tmp_path / "a.db", agent, 4, 2, lag=lag, proposals_per_round=2)
    assert agent.lengths == {(r, s): 5 + 2 * max(0, r - 1 - lag) for r in (1, 2, 3) for s in (0, 1)}


def test_askers_are_a_ceiling_and_an_agent_that_does_not_say_so_is_asked_one_by_one(tmp_path: Path) -> None:
    together, alone = Dawdling(1), Dawdling(1, concurrent=False)
    searched(tmp_path / "a.db", together, 3, 1, proposals_per_round=9, rounds=1)
    searched(tmp_path / "b.db", alone, 3, 1, proposals_per_round=4, rounds=1)
    assert 1 < together.most <= 3 and alone.most == 1


def test_the_next_one_is_asked_for_while_the_last_one_is_evaluated(tmp_path: Path) -> None:
    asked, screened = threading.Event(), threading.Event()

    def script(context: Context) -> str:
        if context.slot == 1:
            asked.set()
            assert screened.wait(20), "slot 0 is evaluated while slot 1 is asked for"
        return good(1 + context.slot)

    with small_search(tmp_path / "a.db", [MockAgent(script)], proposals_per_round=2) as search:
        plays = search.evaluator.play

        def play(work: Any, *args: Any, **options: Any) -> Any:
            if "Read 1 branches" in work.program.source:
                assert asked.wait(20)
                screened.set()
            return plays(work, *args, **options)

        search.evaluator.play = play  # type: ignore[method-assign]
        search.go()
        assert [c.outcome for c in search.candidates][-2:] == ["ok", "ok"]


def test_events_come_in_the_order_of_the_slots_and_from_one_thread(tmp_path: Path) -> None:
    heard: list[Any] = []
    threads = set()

    def listen(event: Any) -> None:
        heard.append(event)
        threads.add(threading.current_thread())

    agent = Dawdling(3)
    with small_search(tmp_path / "a.db", [agent], proposals_per_round=4, rounds=2) as search:
        search.listen, search.askers = listen, 3
        search.go()
    ended = [(e.round, e.slot) for e in heard if isinstance(e, SlotEnded)]
    assert ended == sorted(ended) and len(ended) == 5 + 8 and threads == {threading.current_thread()}
    for place in ended[5:]:
        stages = [e.stage for e in heard if isinstance(e, SlotStarted) and (e.round, e.slot) == place]
        assert stages[0] == "propose"


def test_a_limit_in_one_slot_lets_the_others_finish(tmp_path: Path) -> None:
    def script(context: Context) -> str:
        if context.slot == 1:
            raise LimitReached("--max-agent-tokens 5: no room")
        time.sleep(0.1)
        return good(1 + context.slot)

    agent = MockAgent(script)
    agent.concurrent = True  # type: ignore[attr-defined]
    with small_search(tmp_path / "a.db", [agent], proposals_per_round=3) as search:
        search.askers = 3
        with pytest.raises(LimitReached, match="--max-agent-tokens"):
            search.go()
        states = {p.slot: p.verdict is not None for p in search.archive.proposals("run-1") if p.round}
        assert states == {0: True, 2: False}
        assert search.archive.run("run-1").state == "limit"
    asked = []
    again = MockAgent(lambda context: asked.append(context.slot) or good(1 + context.slot))
    with small_search(tmp_path / "a.db", [again], proposals_per_round=3) as search:
        search.go()
        assert [c.outcome for c in search.candidates][-3:] == ["ok"] * 3
    assert asked == [1], "what was answered is not asked for again"


@pytest.mark.parametrize("times", [1, 2])
def test_stopped_once_it_settles_what_it_began_and_twice_it_ends_at_once(tmp_path: Path, times: int) -> None:
    """Either way it goes on as if nothing had happened."""
    begun = threading.Event()

    class Slow(Dawdling):
        def propose(self, context: Context, rng: random.Random) -> Proposal:
            if context.round == 2 and context.slot == 1 and not begun.is_set():
                begun.set()
                time.sleep(0.5 if times == 1 else 5)
            return super().propose(context, rng)

    options: dict[str, Any] = {"rounds": 3, "proposals_per_round": 3}
    with small_search(tmp_path / "a.db", [Slow(0)], **options) as search:
        search.askers = 2

        def stop() -> None:
            begun.wait(60)
            for _ in range(times):
                search.stop()

        threading.Thread(target=stop).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            search.go()
        assert search.archive.run("run-1").state == "interrupted"
        found = {(p.round, p.slot): p.verdict is not None for p in search.archive.proposals("run-1")}
        assert ((2, 1) in found) is (times == 1) and not any(place[0] == 3 for place in found)
        assert times == 2 or all(found[place] for place in found if place < (2, 0))
        assert times == 1 or time.monotonic() - began < 60
    with small_search(tmp_path / "a.db", [Dawdling(5)], **options) as search:
        search.go()
    with small_search(tmp_path / "b.db", [Dawdling(6)], **options) as search:
        search.go()
    with Archive(tmp_path / "a.db") as one, Archive(tmp_path / "b.db") as two:
        assert list(one.dump()) == list(two.dump())


def test_an_agent_that_falls_silent_ends_the_run_when_its_turn_comes(tmp_path: Path) -> None:
    def script(context: Context) -> str:
        raise ValueError("no")

    with small_search(tmp_path / "a.db", [MockAgent(script)], proposals_per_round=5) as search:
        with pytest.raises(AgentDown, match="script failed"):
            search.go()
        decided = [(p.round, p.slot) for p in search.archive.proposals("run-1") if p.round and p.verdict]
        assert decided[:3] == [(1, 0), (1, 1), (1, 2)]


def test_what_others_are_asked_for_is_kept_when_an_agent_is_down(tmp_path: Path) -> None:
    """It may have been paid for."""

    class Late(Dawdling):
        name = "late"

        def propose(self, context: Context, rng: random.Random) -> Proposal:
            time.sleep(2)
            return Proposal(good(2), (), "paid")

    def script(context: Context) -> str:
        raise ValueError("no")

    agents: list[Any] = [MockAgent(script), MockAgent(script, "two"), MockAgent(script, "three"), Late(0)]
    agents[1].name = agents[2].name = agents[0].name
    with small_search(tmp_path / "a.db", agents, proposals_per_round=4) as search:
        search.askers = 4
        with pytest.raises(AgentDown):
            search.go()
        kept = {p.slot: p.answer for p in search.archive.proposals("run-1") if p.round}
    assert kept[3] == "paid"


def test_a_candidate_has_its_texts_and_points_whenever_somebody_reads_them(tmp_path: Path) -> None:
    with small_search(tmp_path / "a.db", [MockAgent([good(2)])]) as search:
        search.go()
        for candidate in search.candidates:
            assert candidate.confirmed and len(candidate.points) == 2
            assert [(p.beta, p.accuracy, p.tokens) for p in search.archive.points("run-1", candidate.hash)] == list(
                candidate.points
            )
        last = search.candidates[-1]
        assert last.source == good(2) and good(2).strip() in last.answer


def test_a_copy_of_a_program_that_crashed_is_a_duplicate(tmp_path: Path) -> None:
    crash = good(1).replace("    wave", "    1 / 0\n    wave")
    copy = "# another layout\n" + crash
    with small_search(tmp_path / "a.db", [MockAgent([crash, copy])], rounds=2) as search:
        search.go()
        assert [c.outcome for c in search.candidates][-2:] == ["Crashed", "Duplicate"]


def test_plateau_and_target_end_a_run_after_the_lag(tmp_path: Path) -> None:
    same = MockAgent([good(1)] * 99)
    for lag in (0, 1):
        path = tmp_path / f"{lag}.db"
        options: dict[str, Any] = {"rounds": 9, "budget": Budget(plateau=2), "lag": lag}
        with small_search(path, [same], **options) as search, pytest.raises(LimitReached, match="--plateau 2"):
            search.go()
        with Archive(path) as archive:
            last = max(p.round for p in archive.proposals("run-1"))
            assert archive.run("run-1").state == "limit"
        assert last in (2 + lag, 3 + lag)
    with small_search(tmp_path / "t.db", [same], rounds=9, budget=Budget(target=0.0)) as search:
        search.go()
        assert search.ended.startswith("--target 0: reached in round 0") and search.archive.run("run-1").state == "done"
        assert len(search.candidates) == 5


def test_parents_that_a_round_was_not_told_of_are_left_out_whatever_the_timing(tmp_path: Path) -> None:
    def script(context: Context) -> Proposal:
        if context.round == 2:
            time.sleep(1.0)  # meanwhile round 1 is settled, of which this one knows nothing
        return Proposal(good(context.round), (Program.from_source(good(1)).id,), "")

    with small_search(tmp_path / "a.db", [MockAgent(script)], rounds=2, lag=1) as search:
        search.go()
        assert [p.parents for p in search.archive.proposals("run-1") if p.round] == [(), ()]
