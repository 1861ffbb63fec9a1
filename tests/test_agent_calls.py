"""Calls of models: retries, deadlines, what counts against a proposal; and agents' own errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.agents import Candidate, Context, Proposal
from autotts.agents.briefing import bases, shown, tried
from autotts.agents.calling import Caller, reply_from_json, reply_to_json
from autotts.agents.mock import MockAgent
from autotts.agents.models import Busy, Lost, NoTools, Reply, Request, ToolCall, TooLong, Turn
from autotts.agents.prices import Prices, Rates
from autotts.agents.tools import Toolbox
from autotts.archive import Archive
from autotts.archive import Program as StoredProgram
from autotts.errors import (
    AgentDown,
    AgentUnavailable,
    AutoTTSError,
    InputError,
    LimitReached,
    NotSubmitted,
    SandboxError,
    WallTimeout,
)
from autotts.evaluation import Program
from autotts.prompts import Prompts
from tests.scripted import calls, good, model_agent, proposals, says, small_search


class Till:
    """A purse that keeps what it is told."""

    def __init__(self, left: Any, recorded: list[str] | None = None) -> None:
        self.answers = iter(recorded or [])
        self.begun: list[tuple[int, float | None]] = []
        self.ended: list[tuple[str, int, float | None]] = []
        self.left = left

    def recorded(self) -> str | None:
        return next(self.answers, None)

    def templates(self) -> set[str]:
        return set()

    def begin(self, prompt: str, templates: Any, tokens: int, cost: float | None) -> int:
        self.begun.append((tokens, cost))
        return len(self.begun) - 1

    def end(self, number: int, outcome: str, reply: str, usage: Any, tokens: int, cost: float | None) -> None:
        self.ended.append((outcome, tokens, cost))

    def seconds_left(self) -> float:
        return float(self.left())


def caller(steps: list[Any], seconds: float = 100.0, left: float = float("inf")) -> tuple[Caller, Till, list[float]]:
    _, model = model_agent(steps)
    now, slept = [0.0], []

    def sleep(duration: float) -> None:
        slept.append(duration)
        now[0] += duration

    till, prices = Till(lambda: left - now[0]), Prices({model.name: Rates(1.0, 10.0)})
    return Caller(model, till, prices, seconds, 1_000_000, clock=lambda: now[0], sleep=sleep), till, slept


REQUEST = Request("rules", (Turn("go"),), max_tokens=1000)


def test_what_the_server_asks_to_wait_is_waited() -> None:
    ask, till, slept = caller([Busy("429", 7.0), Busy("529"), Lost("dropped"), says("ok")])
    assert ask.ask(REQUEST, "go", {}).text == "ok"
    assert slept == [7.0, 1.0, 2.0]
    assert [outcome.split(":")[0] for outcome, _, _ in till.ended] == ["Busy", "Busy", "Lost", "ok"]
    assert till.ended[0][1:] == (0, 0.0)
    most, worst = till.begun[2]
    assert till.ended[2][1:] == (most, worst), "a call that was sent and lost may have been charged"
    assert till.ended[3][1:] == (110, pytest.approx(200e-6))


def test_one_deadline_bounds_all_retries() -> None:
    ask, till, slept = caller([Busy("429", 30.0)] * 9)
    with pytest.raises(AgentUnavailable, match="the last of 4 tries: 429"):
        ask.ask(REQUEST, "go", {})
    assert slept == [30.0] * 3 and len(till.ended) == 4
    ask, _, slept = caller([Busy("429", 500.0)])
    with pytest.raises(AgentUnavailable):
        ask.ask(REQUEST, "go", {})
    assert slept == []
    ask, _, slept = caller([Busy("529")] * 99, left=3.0)
    with pytest.raises(LimitReached, match="--max-time: it is over before"):
        ask.ask(REQUEST, "go", {})
    assert sum(slept) <= 3.0, "the run's own time is a deadline as well"


def test_a_server_that_tells_no_usage_is_taken_to_have_used_the_most() -> None:
    ask, till, _ = caller([Reply("ok")])
    ask.ask(REQUEST, "go", {})
    assert till.ended[0][1:] == till.begun[0]


def test_an_answer_from_the_record_counts_as_it_did_when_it_came() -> None:
    live, _, _ = caller([Reply("ok")])
    live.ask(REQUEST, "go", {})
    again, till, _ = caller([])
    till.answers = iter([reply_to_json(Reply("ok"))])
    again.ask(REQUEST, "go", {})
    assert again.tokens == live.tokens > 1000 and till.begun == []


def test_a_proposal_cannot_use_more_tokens_than_it_may() -> None:
    ask, till, _ = caller([says("ok", input=500_000, output=490_000), says("ok")])
    ask.ask(REQUEST, "go", {})
    with pytest.raises(NotSubmitted, match="10,000 of the proposal's 1,000,000 tokens"):
        ask.ask(Request("rules", (Turn("go", reply=says("ok")), Turn("x" * 20_000))), "go", {})
    assert len(till.begun) == 1


def test_the_bound_of_a_later_call_builds_on_what_the_server_counted() -> None:
    ask, till, _ = caller([says("ok", input=1000, output=10), says("ok")])
    first = Turn("z" * 50_000)
    ask.ask(Request("rules", (first,), max_tokens=1000), "go", {})
    ask.ask(Request("rules", (Turn(first.text, reply=says("ok")), Turn("on")), max_tokens=1000), "on", {})
    assert till.begun[0][0] > 50_000 > 10_000 > till.begun[1][0] > 2000


@given(st.text(), st.text(max_size=20), st.dictionaries(st.sampled_from(["input", "output"]), st.integers(0, 10**9)))
def test_a_stored_answer_reads_back_as_it_was(text: str, name: str, usage: dict[str, int]) -> None:
    reply = Reply(text, (ToolCall("1", name, {"a": [1, None]}), ToolCall("2", name, None, text)), "tools", usage, [{}])
    assert reply_from_json(reply_to_json(reply)) == reply


def test_what_a_prompt_leaves_out_of_the_history_it_counts() -> None:
    told = Candidate("cmc", good(1), "", "baseline", "", "ok", 0.0, 0.0, True, 0, 0, ())
    many = [replace(told, agent="a", round=n, idea=f"idea {n}") for n in range(1, 71)]
    text = Prompts().restart(shown(told), tried([told, *many]), {}).text
    assert "(10 earlier ones are left out)" in text
    assert "idea 11" in text and "idea 70" in text and "idea 10\n" not in text


def test_a_step_that_failed_asks_nobody_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def script(context: Context) -> Any:
        asked.append(context.number)
        return good(len(asked))

    def fails(*_: Any, **__: Any) -> Any:
        raise SandboxError("no more processes")

    with small_search(tmp_path / "a.db", [MockAgent(script)]) as search:
        search.begin()
        while search.place != (1, 0):
            search.step()
        with monkeypatch.context() as patched, pytest.raises(SandboxError):
            patched.setattr(search.evaluator, "play", fails)
            search.step()
        search.step()
        assert search.candidates[-1].outcome == "ok" and search.place is None
    assert asked == [0] and proposals(tmp_path / "a.db")[0].source == good(1)


def test_a_baseline_that_all_is_measured_by_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        raise WallTimeout("not done in 8 s")

    with small_search(tmp_path / "a.db", [MockAgent([good(1)])]) as search:
        with monkeypatch.context() as patched, pytest.raises(AutoTTSError, match=r"the baseline cmc.*WallTimeout"):
            patched.setattr(search.evaluator, "play", slow)
            search.go()
        assert search.archive.run("run-1").state == "interrupted"
    with small_search(tmp_path / "a.db", [MockAgent([good(1)])]) as search:
        search.go()
        assert [candidate.outcome for candidate in search.candidates] == ["ok"] * 6


CLASS_STYLE = '''"""Read some branches."""


class OptimalController:
    def __init__(self, config):
        self.n = 1 + int(8 * config["beta"])

    def solve(self, question):
        answers = [question.get_new_branch_final_answer() for _ in range(self.n)]
        return max(set(answers), key=answers.count)
'''


def test_a_class_style_file_has_its_evidence_and_is_no_base(tmp_path: Path) -> None:
    added = Program.from_source(CLASS_STYLE, class_name="OptimalController")
    with Archive(tmp_path / "a.db") as archive:
        archive.add_program(StoredProgram(added.hash, added.source, added.idea, "OptimalController"), agent="person")
    with small_search(tmp_path / "a.db", [MockAgent([good(1)])], added=(added.hash,)) as search:
        search.begin()
        while search.place != (1, 0):
            search.step()
        context = search.ask()
        assert context.candidates[-1].outcome == "ok" and [c.id for c in context.parents] == [added.id]
        assert bases(context) == []
        assert "Credit per source line" in Toolbox(context, search.bench).call("credit", {"program": added.id})


def test_a_window_too_small_for_the_first_prompt_ends_the_search(tmp_path: Path) -> None:
    agent, _ = model_agent([TooLong("the window has 4,096 tokens")])
    with small_search(tmp_path / "a.db", [agent]) as search, pytest.raises(InputError, match="lower --answer-tokens"):
        search.go()
    assert proposals(tmp_path / "a.db") == []


def test_a_window_that_a_session_outgrows_ends_the_session(tmp_path: Path) -> None:
    agent, _ = model_agent([calls(("evaluate_draft", {"source": good(2)})), TooLong("4,096 tokens")], tools=True)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    assert proposals(tmp_path / "a.db")[0].source == good(2)


def test_a_session_needs_a_server_with_tools(tmp_path: Path) -> None:
    agent, _ = model_agent([NoTools("no --enable-auto-tool-choice")], tools=True, mode="session")
    with small_search(tmp_path / "a.db", [agent]) as search, pytest.raises(InputError, match="--mode auto or single"):
        search.go()


class Own:
    """An agent of somebody's own, with errors of its own."""

    name = "own"

    def propose(self, context: Context, rng: Any) -> Any:
        if context.number == 1:
            return Proposal(good(1), (), "")
        if context.number == 3:
            return good(2)
        raise KeyError("mine")


def test_an_agents_own_error_is_an_outcome_and_three_in_a_row_end_the_run(tmp_path: Path) -> None:
    ended = pytest.raises(AgentDown, match="KeyError: 'mine'")
    with small_search(tmp_path / "a.db", [Own()], rounds=9) as search, ended:
        search.go()
    made = proposals(tmp_path / "a.db")
    assert [p.verdict.outcome for p in made] == ["AgentFailed", "ok", *["AgentFailed"] * 3]
    assert "in test_agent_calls.py, line" in made[0].verdict.message
    assert "gave a str, not a Proposal" in made[3].verdict.message
