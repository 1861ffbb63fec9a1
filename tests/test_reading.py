"""Answers out of texts: the kinds, boxes that are not closed, and texts that mean harm."""

from __future__ import annotations

import os
import re
import signal
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.errors import InputError
from autotts.live.model import Said
from autotts.live.reading import Reader, last_box
from autotts.replay import UNPARSED, get_equivalence
from autotts.replay.answers import canonical_latex


@pytest.fixture(scope="module")
def math() -> Iterator[Reader]:
    with Reader("math") as reader:
        yield reader


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So it is \\boxed{41}. No: \\boxed{\\frac{1}{2}}, done", "\\frac{1}{2}"),
        ("\\boxed{3} or \\boxed{4", "3"),
        ("\\boxed{\\frac{1}{2", UNPARSED),
        ("we had 12, so the answer is 17", "17"),
        ("\\boxed{" + "1" * 5000 + "}", UNPARSED),
        ("no answer at all", UNPARSED),
        ("", UNPARSED),
        ("\ud800 \\boxed{5}", "5"),
        ("{" * 50_000 + "\\boxed{6}", "6"),
    ],
)
def test_math(math: Reader, text: str, answer: str) -> None:
    assert math.final(text) == answer


def test_what_is_kept_as_written_compares_by_the_kinds_equivalence(math: Reader) -> None:
    written = [math.final(f"\\boxed{{{answer}}}") for answer in ("1/2", "0.5", "\\frac{1}{2}", "\\dfrac12")]
    assert written == ["1/2", "0.5", "\\frac{1}{2}", "\\dfrac12"]
    assert len(set(map(get_equivalence(math.equivalence), written))) == 1
    assert Reader("choice").equivalence == Reader("text").equivalence == "exact"


def test_a_probe_is_read_with_its_cue(math: Reader) -> None:
    assert math.probe(Said("\n\nThe answer is \\boxed{", "42}. And", 4)) == "42"
    assert math.probe(Said("\n\nThe answer is \\boxed{", "\\frac{1}{2", 4)) == UNPARSED
    assert Reader("text").probe(Said("\n\nThe answer is \\boxed{", "Par", 4)) == UNPARSED
    assert Reader("choice").probe(Said("The answer is (", "b) since", 4)) == "B"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{C}", "C"),
        ("\\boxed{\\text{(d)}}", "D"),
        ("\\boxed{12}", UNPARSED),
        ("Answer: b", "B"),
        ("I think that the answer is (B).", "B"),
        ("The answer is A or so. The answer is **J**.", "J"),
        ("It must be\n(E)", "E"),
        ("It must be\nK", UNPARSED),
        ("The answer is Because", UNPARSED),
        ("A man walks.", UNPARSED),
    ],
)
def test_choice(text: str, answer: str) -> None:
    assert Reader("choice").final(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{ New York }", "New York"),
        ("The answer is Paris.\nReally.", "Paris"),
        ("Final answer: x y", "x y"),
        ("first\nlast line.\n\n", "last line"),
        ("\n", UNPARSED),
    ],
)
def test_text(text: str, answer: str) -> None:
    assert Reader("text").final(text) == answer


def test_a_choice_may_be_written_in_any_way_in_the_questions() -> None:
    assert Reader("choice").gold("(b)") == "B" and Reader("text").gold("(b)") == "(b)"


def test_a_function_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def read(text):\n    return text[3:] or None\n\ndef bad(text):\n    return 1 / len(text)\n")
    reader = Reader(f"{file}:read")
    assert (reader.final("is 42"), reader.final("is ")) == ("42", UNPARSED)
    with pytest.raises(InputError, match="must give text"):
        Reader(f"{file}:bad").final("abc")
    with pytest.raises(InputError, match="has no function none"):
        Reader(f"{file}:none")
    with pytest.raises(InputError, match="answers 'maths': not known; use math, choice, text"):
        Reader("maths")


def test_a_reader_whose_process_is_killed_or_hangs_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with Reader("math") as reader:
        quick, slow = reader._math
        assert reader.final("\\boxed{1}") == "1"
        assert quick._process is not None and slow._process is None
        process = quick._process
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert reader.final("\\boxed{2}") == "2"
        with monkeypatch.context() as hurry:
            hurry.setattr("autotts.live.reading.PATIENCE", 0.2)
            hurry.setattr(slow, "read", lambda text: None)
            assert quick._process is not None
            os.kill(quick._process.pid, signal.SIGSTOP)
            assert reader.final("\\boxed{3}") == UNPARSED
        assert reader.final("\\boxed{4}") == "4"


def test_texts_that_take_long_hold_up_nobody_but_their_like(math: Reader) -> None:
    hard = [f"\\boxed{{{k}{'(' * 3000}}}" for k in range(6)]
    with ThreadPoolExecutor() as threads:
        slow = [threads.submit(math.final, text) for text in hard]
        while not math._math[1]._turn.locked():  # one of them is found to be slow
            assert not slow[0].done()
        assert [math.final(f"\\boxed{{\\frac{{{k}}}{{7}}}}") for k in range(30)]
        assert sum(not reading.done() for reading in slow) >= 2
        assert {reading.result() for reading in slow} == {UNPARSED}


def test_many_long_texts_leave_the_memory_as_it_is(math: Reader) -> None:
    math.final("\\boxed{1}")
    tracemalloc.start()
    for k in range(300):
        assert math.final(f"\\boxed{{{k}\\text{{{'a' * 3000}}}}}") != UNPARSED
        canonical_latex(f"{k}\\text{{{'a' * 3000}}}")
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 300_000  # a tenth of the texts, and a twentieth of what keeping answers with them takes


HARMFUL = [
    "9^{9^{9^{9}}}",
    "10^{10^{10}}!",
    "((((1",
    "\\int_0^1 x dx" * 50,
    "(" * 3000,
    "\\frac{1}{" * 300 + "1" + "}" * 300,
    "1" * 3990,
    "1" * 10**6,
    "\\sqrt{" * 10_000 + "2" + "}" * 10_000,
    "\\lim_{x\\to 0}\\frac{\\sin(x^{x^x})}{x}",
]


@pytest.mark.parametrize("power", HARMFUL)
def test_texts_that_mean_harm_end(math: Reader, power: str) -> None:
    assert isinstance(math.final(f"\\boxed{{{power}}}"), str)
    assert math.final("\\boxed{8}") == "8"


def test_without_math_verify_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(InputError, match=r'pip install "autotts\[live\]"'):
        Reader("math")


def naive_box(text: str) -> str | None:
    """The box that closes last: from every opening one, braces are counted."""
    closed: dict[int, str] = {}
    marks = list(re.finditer(r"\\boxed\{|\\.|[{}]", text))
    for k, mark in enumerate(marks):
        depth = 1
        for other in marks[k + 1 :] if mark[0].startswith("\\boxed") else ():
            depth += other[0].endswith("{") and other[0] != "\\{"
            depth -= other[0] == "}"
            if depth == 0:
                closed[other.start()] = text[mark.end() : other.start()].strip()
                break
    if not closed:
        return "" if any(mark[0].startswith("\\boxed") for mark in marks) else None
    return closed[max(closed)]


@given(st.lists(st.sampled_from(["\\boxed{", "{", "}", "\\{", "\\", "1", " "]), max_size=40).map("".join))
def test_the_last_box_is_found_as_by_counting_braces(text: str) -> None:
    assert last_box(text) == naive_box(text)


def test_boxes_are_found_in_time_in_proportion_to_the_text() -> None:
    assert last_box("\\boxed{" * 300_000) == ""
    assert last_box("\\boxed{" * 100_000 + "1" + "}" * 100_000) is not None
