"""From a model's answer to a program."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.agents.answers import apply_edits, read_program, source_in
from autotts.agents.models import Reply
from autotts.errors import (
    EmptyAnswer,
    MalformedAnswer,
    Refused,
    Truncated,
)
from tests.scripted import edit, fenced, good


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
