"""Answer equivalence: what counts as the same, what does not, and that nothing takes long."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.errors import InputError
from autotts.replay.answers import canonical_latex, get_equivalence

SAME = [
    [
        r"14+4\sqrt{37}",
        r"14 + 4\sqrt{37}",
        r"4\sqrt{37}+14",
        r"$14+4 \sqrt {37}$",
        r"\boxed{14+2\sqrt{148}}",
        "14+4√37",
    ],
    ["1/2", "0.5", ".5", r"\frac{1}{2}", r"\dfrac12", r"\tfrac 1 2", "2/4", r"\(\frac{1}{2}\)", r"2^{-1}"],
    ["73", "073", "73.0", "73.", " 73 ", r"73^\circ", r"73^{\circ}", "73°", r"73\text{ cm}", r"73 \text{ cm}^2", "+73"],
    ["73", "73 minutes", r"\text{73}", r"x = 73", r"\$73", r"73\%", r"\left(73\right)", r"{73}", r"\mathrm{73}"],
    ["1000", "1,000", r"1{,}000", r"1\,000", "1 000", "10^3"],
    [r"26,364 + 6,084\sqrt{3}", r"26364+6084\sqrt3"],
    [r"\frac{3+\sqrt{5}}{2}", r"\frac{3}{2}+\frac{\sqrt5}{2}", r"(3+\sqrt{5})/2"],
    [r"\frac{9\sqrt{23}}{23}", r"\frac{9}{\sqrt{23}}", r"9/\sqrt{23}"],
    [r"\sqrt{\frac{95}{24}}", r"\frac{\sqrt{570}}{12}", r"\sqrt{95/24}"],
    [r"\frac{1}{1+\sqrt2}", r"\sqrt{2}-1"],
    [r"1-\frac{2}{\pi}", r"\frac{\pi-2}{\pi}", r"1 - 2/\pi"],
    [r"\frac{-1\pm\sqrt{17}}{2}", r"\frac{-1-\sqrt{17}}{2}, \frac{-1+\sqrt{17}}{2}"],
    [r"2^{25} \cdot 26!", r"26!\times 2^{25}"],
    [r"\sqrt[3]{16}", r"2\sqrt[3]{2}", "16^{1/3}"],
    [r"(1,2)", r"\left( 1 , 2 \right)"],
    [r"\{1, 3\}", r"\{3,1\}"],
    ["5 or 6", r"6 \text{ or } 5", "5,6"],
    [r"2\frac{1}{2}", "5/2"],
    [r"x^2+y", "y + x*x", r"y+x \cdot x"],
    [r"\log_2 3", r"\log_{2}{3}"],
]
APART = [
    ["1", "2", "-1", "1/2", "12", "ERR", "No", "x", "", r"\pi", "3.14"],
    ["(1,2)", "(2,1)", "[1,2]", "1,2"],
    ["0.333", "1/3"],
    [r"\sqrt{2}", "1.41421356", r"\sqrt[3]{2}"],
    [r"2^{10}", "210", "20"],
    ["9^{9^{9}}", "9^{9^{8}}"],
    ["A", "a", "AB", "BA"],
]


@pytest.mark.parametrize("answers", SAME, ids=lambda answers: answers[0])
def test_the_same(answers: list[str]) -> None:
    assert len({canonical_latex(answer) for answer in answers}) == 1, [canonical_latex(a) for a in answers]


@pytest.mark.parametrize("answers", APART, ids=lambda answers: answers[0])
def test_apart(answers: list[str]) -> None:
    assert len({canonical_latex(answer) for answer in answers}) == len(answers)


def test_unparsed_stays_unparsed() -> None:
    assert canonical_latex("ERR") == "ERR"
    assert get_equivalence("exact")("ERR") == "ERR"


PIECES = [*"0123456789", *"+-*/^!,.()[]{}$%=_|<>", " ", "  ", "x", "e", "i", "ab", "\\", "\\\\", "\\{", "\\}", "\\pm"]
PIECES += ["\\frac", "\\sqrt", "\\sqrt[3]", "\\pi", "\\text{cm}", "\\left", "\\right", "\\cdot", "\\binom", "^\\circ"]
PIECES += [
    "\\log",
    "\\sin",
    "{2}",
    "\\frac{1}{2}",
    "\\sqrt{8}",
    "or",
    "minutes",
    "1,000",
    "\\boxed{",
    "√",
    "²",
    "٣",
    "½",
]
soup = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(soup, st.text(max_size=20)))
def test_idempotent(answer: str) -> None:
    form = canonical_latex(answer)
    assert canonical_latex(form) == form


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> list[str]:
    """Tokens of an expression between which blanks mean nothing."""
    if depth == 0 or draw(st.booleans()):
        number = str(draw(st.integers(0, 60)))
        return draw(st.sampled_from([[number], ["\\sqrt", "{", number, "}"], ["\\pi"], ["x"], ["(", "-", number, ")"]]))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    kind = draw(st.sampled_from(["sum", "difference", "product", "fraction", "group"]))
    if kind == "sum":
        return [*left, "+", *right]
    if kind == "difference":
        return [*left, "-", *right]
    if kind == "fraction":
        return ["\\frac", "{", *left, "}", "{", *right, "}"]
    if kind == "group":
        return ["\\left", "(", *left, "\\right", ")"]
    return [*left, "\\cdot", *right]


@settings(max_examples=200, deadline=None)
@given(expressions(), st.integers(0, 99))
def test_blanks_mean_nothing(tokens: list[str], seed: int) -> None:
    rng = random.Random(seed)
    spread = "".join(rng.choice([" ", "  ", "\\, ", " "]) + token for token in tokens)
    tight = "".join(token + (" " if token in ("\\pi", "\\cdot") else "") for token in tokens)
    assert canonical_latex(spread) == canonical_latex(tight)
    assert canonical_latex(canonical_latex(tight)) == canonical_latex(tight)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 9), st.integers(1, 50)), min_size=1, max_size=4))
def test_the_order_of_terms_means_nothing(terms: list[tuple[int, int, int]]) -> None:
    texts = [rf"({a}/{b})\sqrt{{{n}}}" for a, b, n in terms]
    assert canonical_latex("+".join(texts)) == canonical_latex(" + ".join(texts[::-1]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 9), st.integers(1, 50)), min_size=1, max_size=4))
def test_the_value_is_kept(terms: list[tuple[int, int, int]]) -> None:
    form = canonical_latex("+".join(rf"({a}/{b})\sqrt{{{n}}}" for a, b, n in terms))
    python = form.replace("\\frac", "f").replace("\\sqrt", "*r").replace("}{", ",").replace("{", "(").replace("}", ")")
    python = python.replace("+*", "+").replace("-*", "-").removeprefix("*")
    value = eval(python, {"f": lambda a, b: a / b, "r": lambda n: n**0.5})
    assert value == pytest.approx(sum(a / b * n**0.5 for a, b, n in terms), abs=1e-9)


BOMBS = [
    "9^{9^{9}}",
    "9**9**9",
    "1" * 100_000,
    "{" * 100_000,
    "\\frac" * 20_000,
    "+" * 300,
    "\\text{" * 600,
    "200!^{200}",
]
BOMBS += [
    "1,000" * 700,
    " " * 100_000,
    "\\sqrt" * 700,
    "((x+1)^12)^12",
    "(a+b+c+d)^{12}" * 20,
    "$" * 3_999,
    "1 " * 1_999,
]
BOMBS += [
    "a " * 1_999,
    "1" + " " * 3_990 + "x",
    "x=" * 1_000,
    "\\binom{500}{250}^{99}",
    "\\sqrt{" * 60 + "2" + "}" * 60,
]
BOMBS += ["1" + "\\text{a} " * 400, "\\frac{1}{" * 30 + "3" + "}" * 30, "\\sqrt{" + "9" * 250 + "}", "99999999!"]
BOMBS += [
    "(" + "".join(rf"(1+\sqrt{{{p}}})" for p in (2, 3, 5, 7, 11)) + ")^{12}",
    "0^{-1}",
    "\\frac{1}{0}",
    "1 a" * 1_300,
]


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb[:20])
def test_absurd_answers_take_no_time(bomb: str) -> None:
    start = time.process_time()
    form = canonical_latex(bomb)
    assert time.process_time() - start < 1.0
    assert canonical_latex(form) == form


def test_users_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def lower(answer):\n    return answer.lower()\n"
        "def broken(answer):\n    return 1 / 0\n"
        "def number(answer):\n    return 1\n"
    )
    lower = get_equivalence(f"{file}:lower")
    assert (lower("Yes"), lower("ERR")) == ("yes", "ERR")
    monkeypatch.syspath_prepend(tmp_path)
    assert get_equivalence("mine:lower")("A") == "a"
    with pytest.raises(InputError, match=r"fails on 'A' \(ZeroDivisionError"):
        get_equivalence(f"{file}:broken")("A")
    with pytest.raises(InputError, match="must give text"):
        get_equivalence(f"{file}:number")("A")
    for wrong in ("sympy", f"{file}:nothing", "no_such_module:f", f"{tmp_path}/none.py:f", ":", "a:b c"):
        with pytest.raises(InputError, match="equivalence"):
            get_equivalence(wrong)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("answer + '!'", r"gives 'a!' for 'a', but 'a!!' for that"),
        ("'ERR'", r"gives 'ERR' for 'a'; that marks what was not parsed"),
        ("None", r"gives NoneType for 'a'; it must give text"),
        ("str(1 / (answer != '1')) if answer == '1' else '1'", r"fails on '1' \(ZeroDivisionError"),
    ],
)
def test_a_users_function_must_give_a_canonical_form(tmp_path: Path, body: str, complaint: str) -> None:
    (tmp_path / "mine.py").write_text(f"def form(answer):\n    return {body}\n")
    canonical = get_equivalence(f"{tmp_path}/mine.py:form")
    assert canonical("ERR") == "ERR"
    with pytest.raises(InputError, match=complaint):
        canonical("a")
