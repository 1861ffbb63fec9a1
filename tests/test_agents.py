"""Agents that are models: what is asked, what is read from answers, what a slot ends in, and what is paid."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.agents import Candidate, Context, Proposal, Settings, make_agent
from autotts.agents.answers import apply_edits, read_program, source_in
from autotts.agents.briefing import bases, shown, tried
from autotts.agents.calling import Caller, reply_from_json, reply_to_json
from autotts.agents.mock import MockAgent
from autotts.agents.models import Busy, Lost, NoTools, Reply, Request, ToolCall, TooLong, Turn
from autotts.agents.prices import Prices, Rates
from autotts.agents.tools import Toolbox
from autotts.archive import Archive, Run, Verdict
from autotts.archive import Program as StoredProgram
from autotts.archive import Proposal as ArchivedProposal
from autotts.errors import (
    AgentDown,
    AgentUnavailable,
    AutoTTSError,
    EmptyAnswer,
    InputError,
    LimitReached,
    MalformedAnswer,
    NotSubmitted,
    Refused,
    SandboxError,
    Truncated,
    WallTimeout,
)
from autotts.evaluation import Program
from autotts.prompts import Prompts
from autotts.search import Budget, spending
from tests.scripted import calls, fenced, good, model_agent, says, small_search

# ---- answers -----------------------------------------------------------------------------------------------------


def test_the_last_block_that_defines_solve_is_the_program() -> None:
    text = f"First I thought:\n```python\nx = 1\n```\nthen\n{fenced(good(3))}"
    assert source_in(text) == good(3)
    assert source_in(good(2)) == good(2)
    assert source_in(f"````py\n{good(1)}````\n") == good(1)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(""), EmptyAnswer),
        (Reply("  \n"), EmptyAnswer),
        (Reply("I would open more branches."), MalformedAnswer),
        (Reply("```python\nprint(1)\n```"), MalformedAnswer),
        (Reply("No.", stop="refusal"), Refused),
        (Reply("", stop="length"), Truncated),
        (Reply("```python\ndef solve(episode, knobs):\n    retu", stop="length"), Truncated),
        (Reply("Let me think about", stop="length"), Truncated),
    ],
)
def test_an_answer_without_a_program_says_why(reply: Reply, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_program(reply)


def test_an_answer_that_was_cut_behind_its_program_is_one() -> None:
    assert read_program(Reply(fenced(good(1)).rstrip(), stop="length")) == good(1)


def edit(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def test_edits_are_made_in_order() -> None:
    text = edit("b", "B\nB2") + "and\n" + edit("B2", "x")
    assert apply_edits(text, "a\nb\nc\n") == "a\nB\nx\nc\n"
    assert apply_edits("<<<<<<< SEARCH\nb\n=======\n>>>>>>> REPLACE\n", "a\nb\nc\n") == "a\nc\n"
    assert read_program(Reply(f"Hypothesis.\n```\n{edit('    a', '    b')}```\n"), "x\n    a\n") == "x\n    b\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (edit("nowhere", "x"), "edit 1.*is not in the program"),
        (edit("a", "x"), "is in the program more than once"),
        (edit("c", "x") + edit("c", "y"), "edit 2.*is not in"),
        ("<<<<<<< SEARCH\na\n=======\nb\n", "1 edits begin and 0 are whole"),
        (edit("", "x"), "SEARCH is empty"),
    ],
)
def test_an_edit_that_does_not_fit_says_which(text: str, words: str) -> None:
    with pytest.raises(MalformedAnswer, match=words):
        apply_edits(text, "a\nb\na\nc\n")


def test_edits_need_a_program() -> None:
    with pytest.raises(MalformedAnswer, match="no program that they are against"):
        read_program(Reply(edit("a", "b")))


@given(st.text(max_size=300), st.text(max_size=100))
def test_no_text_breaks_the_reader(text: str, base: str) -> None:
    with contextlib.suppress(EmptyAnswer, MalformedAnswer):
        assert isinstance(read_program(Reply(text), base), str)


@given(st.lists(st.text(alphabet="abc xyz", min_size=1, max_size=8), min_size=1, max_size=12, unique_by=str.rstrip))
def test_an_edit_of_any_whole_line_replaces_just_that_line(lines: list[str]) -> None:
    kept = [line for line in lines if line.strip()]
    for k, line in enumerate(kept):
        made = apply_edits(edit(line, "NEW"), "\n".join(kept))
        assert [x.rstrip() for x in made.rstrip("\n").split("\n")] == [
            "NEW" if j == k else x.rstrip() for j, x in enumerate(kept)
        ]


# ---- single ------------------------------------------------------------------------------------------------------


def proposals(path: Path, run: str = "run-1") -> list[Any]:
    with Archive(path, create=False) as archive:
        return [p for p in archive.proposals(run) if p.round]


def test_one_prompt_gives_one_program(tmp_path: Path) -> None:
    agent, model = model_agent([says(fenced(good(2)))])
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
        (made,) = archived = proposals(tmp_path / "a.db")
        (call,) = search.archive.calls("run-1")
    assert made.verdict.outcome == "ok" and made.source == good(2) and len(archived) == 1
    assert made.usage == {"input": 100, "output": 10} and made.cost is None
    assert len(model.asked) == 1 and not model.asked[0].tools
    assert model.asked[0].system.startswith("You design controllers")
    assert "The reference to beat" in made.prompt and "Credit per source line" in made.prompt
    assert set(call.templates) == {"system", "propose"} and call.outcome == "ok" and call.tokens == 110
    assert made.prompt in call.prompt and json.loads(call.reply)["text"] == fenced(good(2))


def test_a_broken_program_is_repaired_once_with_its_exact_error(tmp_path: Path) -> None:
    broken = good(2).replace("return majority", "return majorty")
    agent, model = model_agent([says(fenced(broken)), says(edit(broken.split("\n")[-2], good(2).split("\n")[-2]))])
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    (made,) = proposals(tmp_path / "a.db")
    assert made.verdict.outcome == "ok" and made.source == good(2)
    repair = model.asked[1].turns[-1].text
    assert "Crashed at line 13: NameError" in repair and "majorty" in repair
    assert model.asked[1].turns[0].reply is not None


def test_what_a_repair_does_not_mend_is_judged_as_it_is(tmp_path: Path) -> None:
    agent, model = model_agent([says(fenced("import os\n" + good(2))), says("I cannot.")])
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    (made,) = proposals(tmp_path / "a.db")
    assert made.verdict.outcome == "PolicyViolation" and made.verdict.line == 1 and len(model.asked) == 2


@pytest.mark.parametrize(
    ("steps", "outcome", "asked"),
    [
        ([says("no", stop="refusal")], "Refused", 1),
        ([says(""), says(" ")], "EmptyAnswer", 2),
        ([says("words"), says("more words")], "MalformedAnswer", 2),
        ([says("```python\ndef so", stop="length"), says("", stop="length")], "Truncated", 2),
    ],
)
def test_an_answer_without_a_program_is_an_outcome_that_the_next_prompt_hears_of(
    tmp_path: Path, steps: list[Reply], outcome: str, asked: int
) -> None:
    agent, model = model_agent([*steps, says(fenced(good(1)))])
    with small_search(tmp_path / "a.db", [agent], rounds=2) as search:
        search.go()
        assert [c.outcome for c in search.candidates if c.round] == [outcome, "ok"]
    first, second = proposals(tmp_path / "a.db")
    assert first.source == "" and first.verdict.program is None and first.usage["input"] == 100 * asked
    assert len(model.asked) == asked + 1
    assert outcome in second.prompt and "no program" in second.prompt


def test_a_resumed_run_pays_for_no_answer_twice(tmp_path: Path) -> None:
    """Interrupted between the answer and its repair: the answer is taken from the archive."""
    broken = fenced(good(2).replace("majority(", "majorty("))
    agent, _ = model_agent([says(broken), KeyboardInterrupt()])
    with small_search(tmp_path / "a.db", [agent]) as search, pytest.raises(KeyboardInterrupt):
        search.go()
    agent, model = model_agent([says(fenced(good(3)))])
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
        outcomes = [(c.number, c.outcome) for c in search.archive.calls("run-1")]
        tokens, _, unknown = search.archive.spent("run-1")
    assert "majorty" in model.asked[0].turns[0].reply.text  # type: ignore[union-attr]
    assert outcomes == [(0, "ok"), (1, ""), (2, "ok")]
    assert tokens > 16_000 + 220 and unknown == 3, "a call that was under way counts as the most that it may have used"
    assert proposals(tmp_path / "a.db")[0].source == good(3)


# ---- sessions ----------------------------------------------------------------------------------------------------


def test_a_session_investigates_measures_and_submits(tmp_path: Path) -> None:
    agent, model = model_agent(
        [
            calls(("front", {}), ("history", {}), ("credit", {"program": "cmc"})),
            calls(("evaluate_draft", {"source": good(2)})),
            calls(("evaluate_draft", {"base": "draft-1", "edits": edit("    return {\"n\": round(2 + 4 * beta)}",
                                                                       "    return {\"n\": round(3 + 4 * beta)}")})),
            calls(("submit", {"draft": "draft-2"}), text="Hypothesis: three are better."),
        ],
        tools=True,
    )  # fmt: skip
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    (made,) = proposals(tmp_path / "a.db")
    assert made.verdict.outcome == "ok" and "round(3 + 4 * beta)" in made.source
    assert made.answer == "Hypothesis: three are better."
    front, history, credit = model.asked[1].turns[1].results
    assert "cmc" not in history.text or "Confidence" in history.text
    assert "Credit per source line" in credit.text and not credit.failed and "accuracy" in front.text
    measured = model.asked[2].turns[2].results[0].text
    assert measured.startswith("draft-1 (11 measurements left)") and "Gain over cmc at matched tokens" in measured
    assert measured.rstrip().endswith("seconds.") and "Left: 28 turns" in measured


def test_every_tool_answers_and_every_bad_call_is_told(tmp_path: Path) -> None:
    good_calls: list[tuple[str, dict[str, Any]]] = [
        ("read_program", {"program": "cmc"}),
        ("failures", {"program": "cmc"}),
        ("episode", {"program": "cmc", "environment": "tiny", "question": 1}),
        ("compare", {"a": "asc", "b": "cmc"}),
        ("states", {}),
        ("states", {"split_by": "state.n1"}),
        ("branches", {}),
        ("branches", {"feature": "len(branch.answers)"}),
        ("difficulty", {}),
        ("ceilings", {}),
        ("lineage", {"program": "CMC_ID"}),
    ]
    bad_calls: list[tuple[str, dict[str, Any], str]] = [
        ("nothing", {}, "no such tool"),
        ("credit", {}, "program is missing"),
        ("credit", {"program": 3}, "must be a string"),
        ("credit", {"program": "cmc", "more": 1}, "no argument 'more'"),
        ("credit", {"program": "zzz"}, "is no program of this search"),
        ("read_program", {"program": "draft-1"}, "no such draft; this session has none yet"),
        ("episode", {"program": "cmc", "environment": "tiny", "question": 99}, "no question 99"),
        ("episode", {"program": "cmc", "environment": "elsewhere", "question": 1}, "there are tiny/tiny"),
        ("states", {"split_by": "import os"}, "PolicyViolation|line 1"),
        ("branches", {"feature": "open('/etc/passwd')"}, "PolicyViolation"),
        ("evaluate_draft", {}, "give the whole program"),
        ("evaluate_draft", {"source": "x", "base": "cmc"}, "give either"),
        ("evaluate_draft", {"source": good(1).replace("majority(", "majorty(")}, r"Crashed\n  line 13: return majorty"),
        ("evaluate_draft", {"base": "cmc", "edits": edit("nowhere", "x")}, "is not in the program"),
        ("submit", {"source": "def solve(episode, knobs): return 1"}, "schedule"),
    ]

    def told(request: Request) -> Reply:
        """After the first turn, the id of the reference is known from the history."""
        listed = request.turns[1].results[0].text
        place = next(line.split()[1] for line in listed.split("\n") if line.startswith("0.0"))
        made = [(name, {k: place if v == "CMC_ID" else v for k, v in args.items()}) for name, args in good_calls]
        return calls(*made, *[(name, args) for name, args, _ in bad_calls])

    agent, model = model_agent([calls(("history", {})), told, calls(("submit", {"source": good(1)}))], tools=True)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    results = model.asked[2].turns[2].results
    for (name, _), result in zip(good_calls, results, strict=False):
        assert not result.failed and len(result.text) > 60, (name, result.text)
    import re

    for (name, _, words), result in zip(bad_calls, results[len(good_calls) :], strict=True):
        assert result.failed and re.search(words, result.text), (name, result.text)
    assert [p.verdict.outcome for p in proposals(tmp_path / "a.db")] == ["ok"]


def test_malformed_arguments_are_told(tmp_path: Path) -> None:
    bad = Reply("", (ToolCall("c0", "credit", None, '{"program": '),), "tools", {"input": 1, "output": 1})
    agent, model = model_agent([bad, calls(("submit", {"source": good(1)}))], tools=True)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    assert "no JSON object" in model.asked[1].turns[1].results[0].text


def test_a_program_in_the_text_counts_as_a_submission(tmp_path: Path) -> None:
    agent, model = model_agent([says("Let me see."), says(fenced(good(2)))], tools=True)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    assert proposals(tmp_path / "a.db")[0].verdict.outcome == "ok"
    assert "neither called a tool" in model.asked[1].turns[1].text


@pytest.mark.parametrize(
    ("steps", "settings", "words"),
    [
        ([says("hm"), says("hm"), says("hm")], {}, "called no tool in 3 turns"),
        ([calls(("front", {}))] * 3, {"session_turns": 3}, "its turns were used"),
        ([calls(("front", {}))] * 9, {"proposal_tokens": 40_000}, "tokens are left"),
    ],
)
def test_a_session_that_comes_to_a_limit_without_a_draft_is_an_outcome(
    tmp_path: Path, steps: list[Reply], settings: dict[str, Any], words: str
) -> None:
    agent, _ = model_agent(steps, tools=True, **settings)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    (made,) = proposals(tmp_path / "a.db")
    assert made.verdict.outcome == "NotSubmitted" and words in made.verdict.message


def test_a_session_that_comes_to_a_limit_hands_in_its_best_draft(tmp_path: Path) -> None:
    agent, _ = model_agent(
        [calls(("evaluate_draft", {"source": good(1)}), ("evaluate_draft", {"source": good(4)}))] * 2,
        tools=True,
        session_turns=2,
    )
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    (made,) = proposals(tmp_path / "a.db")
    assert made.verdict.outcome == "ok" and "the best measured draft was taken" in made.answer


def test_measurements_are_metered(tmp_path: Path) -> None:
    many = [("evaluate_draft", {"source": good(1)})] * 13
    agent, model = model_agent([calls(*many), calls(("submit", {"draft": "draft-12"}))], tools=True)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    results = model.asked[1].turns[1].results
    assert not results[11].failed and results[12].failed and "measurements of this session are used" in results[12].text


def test_a_refusal_in_a_session_is_an_outcome(tmp_path: Path) -> None:
    agent, _ = model_agent([says("No.", stop="refusal")], tools=True)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    assert proposals(tmp_path / "a.db")[0].verdict.outcome == "Refused"


def test_a_server_without_tools_is_asked_with_single_prompts(tmp_path: Path) -> None:
    agent, model = model_agent([NoTools("no tools here"), says(fenced(good(1))), says(fenced(good(2)))], tools=True)
    with small_search(tmp_path / "a.db", [agent], rounds=2) as search:
        search.go()
    assert [p.verdict.outcome for p in proposals(tmp_path / "a.db")] == ["ok", "ok"]
    assert [bool(request.tools) for request in model.asked] == [True, False, False]


def test_rounds_without_a_better_gain_bring_a_fresh_start(tmp_path: Path) -> None:
    steps = [says("no", stop="refusal")] * 12
    single, asked = model_agent(steps)
    with small_search(tmp_path / "a.db", [single], rounds=6, proposals_per_round=2) as search:
        search.go()
    prompts = [request.turns[0].text for request in asked.asked]
    assert [("plateau" in text) for text in prompts[:6]] == [False] * 6
    assert any("plateau" in text for text in prompts[6:]) and not all("plateau" in text for text in prompts[6:])
    session, asked = model_agent(steps, tools=True)
    with small_search(tmp_path / "b.db", [session], rounds=4) as search:
        search.go()
    assert [("plateau" in request.turns[0].text) for request in asked.asked] == [False, False, False, False]
    session, asked = model_agent(steps, tools=True)
    with small_search(tmp_path / "c.db", [session], rounds=5) as search:
        search.go()
    assert "Name the assumption" in asked.asked[4].turns[0].text


# ---- calls: retries, deadlines -----------------------------------------------------------------------------------


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
            patched.setattr(search.evaluator, "run", fails)
            search.step()
        search.step()
        assert search.candidates[-1].outcome == "ok" and search.place is None
    assert asked == [0] and proposals(tmp_path / "a.db")[0].source == good(1)


def test_a_baseline_that_all_is_measured_by_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        raise WallTimeout("not done in 8 s")

    with small_search(tmp_path / "a.db", [MockAgent([good(1)])]) as search:
        with monkeypatch.context() as patched, pytest.raises(AutoTTSError, match=r"the baseline cmc.*WallTimeout"):
            patched.setattr(search.evaluator, "run", slow)
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
    assert "in test_agents.py, line" in made[0].verdict.message
    assert "gave a str, not a Proposal" in made[3].verdict.message


# ---- several agents, scripts, replay -----------------------------------------------------------------------------


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
        (Budget(tokens=100), "--max-tokens 100: 0 are spent, and the next call may take", 0),
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
