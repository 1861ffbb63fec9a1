"""Several agents, scripts, replays, and budgets."""

from __future__ import annotations

import json
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from autotts.agents import Context, Proposal, Settings, make_agent
from autotts.agents.mock import MockAgent
from autotts.agents.models import Busy
from autotts.archive import Archive, Run, Verdict
from autotts.archive import Proposal as ArchivedProposal
from autotts.errors import (
    AgentDown,
    InputError,
    LimitReached,
    Refused,
)
from autotts.search import Budget, spending
from tests.scripted import fenced, good, model_agent, proposals, says, small_search

# ---- several agents, scripts, replays ----------------------------------------------------------------------------


def test_several_agents_share_the_slots_in_turn(tmp_path: Path) -> None:
    first = MockAgent([fenced(good(n)) for n in (1, 2, 3)], "a")
    second = MockAgent((fenced(good(n)) for n in (4, 5, 6)), "b")
    with small_search(tmp_path / "a.db", [first, second], rounds=2, proposals_per_round=3) as search:
        search.go()
        found = spending(search.archive, "run-1")
    made = proposals(tmp_path / "a.db")
    assert [p.agent for p in made] == ["mock/a", "mock/b"] * 3
    assert [p.source for p in made] == [good(n) for n in (1, 4, 2, 5, 3, 6)]
    assert [(s.name, s.proposals, s.accepted) for s in found] == [("mock/a", 3, 3), ("mock/b", 3, 3)]


def test_a_script_may_be_a_callable_and_may_fail(tmp_path: Path) -> None:
    def script(context: Context) -> Any:
        return [Refused("no"), Proposal(good(2), (), "mine"), "words", good(3)][context.number]

    with small_search(tmp_path / "a.db", [MockAgent(script)], rounds=2, proposals_per_round=2) as search:
        search.go()
    assert [p.verdict.outcome for p in proposals(tmp_path / "a.db")] == ["Refused", "ok", "MalformedAnswer", "ok"]


def test_a_generators_function_is_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        f"def answers():\n    for n in (1, 2):\n        yield {good(7)!r}.replace('7', str(n))\n"
    )
    with small_search(tmp_path / "a.db", [make_agent(f"mock/{tmp_path}/script.py:answers")], rounds=2) as search:
        search.go()
    assert [p.source for p in proposals(tmp_path / "a.db")] == [good(1), good(2)]


def test_a_script_that_is_at_its_end_says_so(tmp_path: Path) -> None:
    with small_search(tmp_path / "a.db", [MockAgent([good(1)])], rounds=2) as search:
        search.go()
    assert [p.verdict.outcome for p in proposals(tmp_path / "a.db")] == ["ok", "NotSubmitted"]


def test_a_recorded_run_replays_exactly(tmp_path: Path) -> None:
    broken = good(2).replace("majority(", "majorty(")
    agent, _ = model_agent(
        [says(fenced(good(2))), says("no", stop="refusal"), says(fenced(broken)), says("?"), says(fenced(good(4)))]
    )
    with small_search(tmp_path / "a.db", [agent], rounds=2, proposals_per_round=2) as search:
        search.go()
    with Archive(tmp_path / "a.db") as archive:
        again = make_agent("replay/run-1", archive=archive)
        with small_search(tmp_path / "a.db", [again], "run-2", rounds=2, proposals_per_round=2) as search:
            search.go()
        assert archive.spent("run-2") == (0, 0.0, 0)
        kept = attrgetter("hash", "outcome", "message", "gain", "parents", "round", "slot", "stage")
        rows = [[kept(row) for row in archive.listing(run)] for run in ("run-1", "run-2")]
        assert rows[0] == rows[1] and len(rows[0]) == 9
        assert {r[1] for r in rows[0]} == {"ok", "Refused", "Crashed"}
        fronts = [archive.front(run=n) for n in ("run-1", "run-2")]
    assert fronts[0] == fronts[1]


def test_a_run_of_another_archive_replays_too(tmp_path: Path) -> None:
    agent, _ = model_agent([says(fenced(good(2))), says(fenced(good(3)))])
    with small_search(tmp_path / "a.db", [agent], rounds=2) as search:
        search.go()
    again = make_agent(f"replay/{tmp_path / 'a.db'}:run-1")
    with small_search(tmp_path / "b.db", [again], rounds=2) as search:
        search.go()
    assert [p.source for p in proposals(tmp_path / "b.db")] == [good(2), good(3)]
    with pytest.raises(InputError, match="no such run"):
        make_agent(f"replay/{tmp_path / 'a.db'}:run-7")
    with pytest.raises(InputError, match="there is no archive"):
        make_agent(f"replay/{tmp_path / 'c.db'}:run-1")


def test_a_replay_of_a_run_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with Archive(tmp_path / "a.db") as archive, pytest.raises(InputError, match="no such run"):
        make_agent("replay/run-9", archive=archive)


# ---- money -------------------------------------------------------------------------------------------------------


def priced(tmp_path: Path, rate: float = 10.0) -> str:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"openai-compatible/scripted": {"input": rate, "output": rate}}))
    return str(path)


def test_a_budget_is_a_ceiling_that_counts_on_when_a_run_goes_on(tmp_path: Path) -> None:
    steps = [says(fenced(good(n)), input=10_000, output=1000) for n in range(1, 9)]
    settings: dict[str, Any] = {"prices": priced(tmp_path), "answer_tokens": 1000}
    agent, model = model_agent(steps, **settings)
    options: dict[str, Any] = {"rounds": 8, "budget": Budget(cost=0.5)}
    with small_search(tmp_path / "a.db", [agent], **options) as search:
        with pytest.raises(LimitReached, match=r"--max-cost 0.5: \$0\.\d+ is spent, and the next call may cost"):
            search.go()
        _, spent, _ = search.archive.spent("run-1")
        assert search.archive.run("run-1").state == "limit"
    done = len(model.asked)
    assert 0 < done < 8 and spent == pytest.approx(done * 0.11) and spent <= 0.5
    agent, model = model_agent(steps[done:], **settings)
    with small_search(tmp_path / "a.db", [agent], **options) as search, pytest.raises(LimitReached):
        search.go()
    assert model.asked == []
    agent, model = model_agent(steps[done:], **settings)
    with small_search(tmp_path / "a.db", [agent], rounds=8, budget=Budget(cost=50)) as search:
        search.go()
    assert len(model.asked) == 8 - done


@pytest.mark.parametrize(
    ("budget", "words", "asked"),
    [
        (Budget(tokens=100), "--max-agent-tokens 100: 0 are spent, and the next call may take", 0),
        (Budget(proposals=1), "--max-proposals 1", 1),
        (Budget(time=0.0), "--max-time 0", 0),
        (Budget(cost=5.0), "the price of a call is unknown", 0),
    ],
)
def test_a_limit_ends_a_search_and_says_which(tmp_path: Path, budget: Budget, words: str, asked: int) -> None:
    agent, model = model_agent([says(fenced(good(n))) for n in (1, 2, 3)])
    found = pytest.raises(LimitReached, match=words)
    with small_search(tmp_path / "a.db", [agent], rounds=3, budget=budget) as search, found:
        search.go()
    assert len(model.asked) == asked


def test_a_server_that_is_down_ends_the_run_before_all_slots_are_used_up(tmp_path: Path) -> None:
    agent, model = model_agent([Busy("connection refused", 99.0)] * 9, proposal_seconds=1.0)
    with small_search(tmp_path / "a.db", [agent], rounds=9) as search, pytest.raises(AgentDown, match="3 proposals"):
        search.go()
    assert len(model.asked) == 3
    assert [p.verdict.outcome for p in proposals(tmp_path / "a.db")] == ["AgentUnavailable"] * 3


def test_progress_begins_at_the_best_baseline(tmp_path: Path) -> None:
    gains = {(0, 0): 0.0, (0, 1): 0.02, (1, 0): 0.01, (1, 1): 0.05}
    with Archive(tmp_path / "a.db") as archive:
        archive.add_run(Run("r", 0))
        for (round_, slot), gain in gains.items():
            archive.add_proposal(ArchivedProposal("r", round_, slot, "a", ""))
            archive.commit_slot("r", round_, slot, Verdict("ok", stage="confirm", gain=gain))
        (found,) = spending(archive, "r")
    assert found.progress == pytest.approx(0.03)


def test_what_an_agent_of_ones_own_paid_counts(tmp_path: Path) -> None:
    paid = Proposal(good(1), (), "", usage={"input": 5, "output": 7}, cost=0.25)
    with small_search(tmp_path / "a.db", [MockAgent([paid])]) as search:
        search.go()
        assert search.archive.spent("run-1") == (12, 0.25, 0)
    (made,) = proposals(tmp_path / "a.db")
    assert made.cost == 0.25 and made.usage == {"input": 5, "output": 7}


def test_settings_are_a_part_of_the_run(tmp_path: Path) -> None:
    agent, _ = model_agent([says(fenced(good(1)))])
    with small_search(tmp_path / "a.db", [agent], settings=Settings(mode="single", session_turns=3)) as search:
        search.go()
    with pytest.raises(InputError, match="other settings"), small_search(tmp_path / "a.db", [agent]):
        pass


def test_an_agent_that_leaves_the_interpreter_ends_no_search(tmp_path: Path) -> None:
    """`sys.exit(0)` in somebody's code would otherwise end the command as if all were done."""

    def script(context: Context) -> str:
        if context.slot == 0:
            sys.exit(0)
        return good()

    with small_search(tmp_path / "a.db", [MockAgent(script)], proposals_per_round=2) as search:
        search.go()
        assert [c.outcome for c in search.candidates][-2:] == ["AgentFailed", "ok"]
