"""Agents that are models: single prompts and sessions, and what a slot ends in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autotts.agents.models import NoTools, Reply, Request, ToolCall
from tests.scripted import calls, edit, fenced, good, model_agent, proposals, says, small_search

# ---- single ------------------------------------------------------------------------------------------------------


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
        ("override", {"program": "cmc", "line": 66}),
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


def test_every_word_of_a_session_is_stored_with_its_templates(tmp_path: Path) -> None:
    agent, _ = model_agent([calls(("front", {})), says("hm"), calls(("submit", {"source": good(1)}))], tools=True)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
        made = search.archive.calls("run-1")
    assert [set(call.templates) for call in made] == [{"system", "session"}, {"left"}, {"nudge", "left"}]
    assert all(len(digest) == 64 for call in made for digest in call.templates.values())


def test_a_refusal_after_a_draft_was_measured_loses_nothing(tmp_path: Path) -> None:
    steps = [calls(("evaluate_draft", {"source": good(2)})), says("No.", stop="refusal")]
    agent, _ = model_agent(steps, tools=True)
    with small_search(tmp_path / "a.db", [agent]) as search:
        search.go()
    (made,) = proposals(tmp_path / "a.db")
    assert made.source == good(2) and "the model declined" in made.answer


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
