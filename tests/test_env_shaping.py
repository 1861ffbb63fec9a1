"""`autotts env validate`, `merge` and `split`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.cli import _run
from autotts.errors import InputError
from autotts.replay import Environment, Question, Trajectory, load_environment, load_environments, save_environment
from autotts.replay.shaping import merge, split, suspicions
from tests.small import small_environment


def kinds(environment: Environment) -> dict[str, tuple[str, ...]]:
    return {found.kind: found.questions for found in suspicions(environment)}


def good() -> Environment:
    """Nothing about it is strange."""
    branches = tuple(Trajectory(("1", "2", str(k)), 2000 + k, "42") for k in range(8))
    return Environment("m", "d", 500, tuple(Question(f"q{k}", f"Text {k}", "42", branches) for k in range(3)))


def changed(environment: Environment, **fields: Any) -> Environment:
    """With another first question."""
    first, *others = environment.questions
    return replace(environment, questions=(replace(first, **fields), *others))


def test_a_good_recording_is_not_suspicious() -> None:
    assert kinds(good()) == {}


@pytest.mark.parametrize(
    ("fields", "kind", "questions"),
    [
        ({"gold": "43"}, "gold never seen", ("q0",)),
        ({"text": "Text  1"}, "duplicate question", ("q0", "q1")),
        ({"branches": (Trajectory(("1", "2", "3"), 1600, "42"),) * 2}, "duplicate branches", ("q0",)),
        ({"branches": (Trajectory(("1", "2", "3"), 1499, "42"),)}, "shorter than its probes", ("q0",)),
        ({"branches": (Trajectory(("1",), 600, "42", True),) * 2}, "truncated", ()),
        ({"branches": (Trajectory(("ERR",) * 90, 50_000, "42"),)}, "unparsed probes", ()),
        ({"branches": (Trajectory((), 60, "ERR"), Trajectory((), 9, "42"))}, "unparsed finals", ()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_suspicious_is_named(fields: dict[str, Any], kind: str, questions: tuple[str, ...]) -> None:
    found = kinds(changed(good(), **fields))
    assert found == {kind: questions}


def test_short_branches_may_be_the_same_by_chance() -> None:
    assert kinds(changed(good(), branches=(Trajectory(("42",), 600, "42"),) * 2)) == {}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capfd: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capfd.readouterr()
    assert _run(["env", *words]) == code
    out, err = capfd.readouterr()
    return out if code == 0 else out + err


def test_validate_tells_good_from_bad(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_environment(good(), "all/good.jsonl")
    save_environment(changed(good(), gold="43"), "all/strange.jsonl")
    assert "good  all/good.jsonl: 3 questions, 24 branches\n" in run(capfd, "validate", "all")
    assert "gold never seen: no branch of 1 question" in run(capfd, "validate", "all")
    lines = Path("all/good.jsonl").read_text().splitlines()
    Path("all/bad.jsonl").write_text("\n".join([*lines[:2], lines[2].replace('"tokens":2000', '"tokens":-1')]))
    told = run(capfd, "validate", "all", code=2)
    assert (
        "bad   all/bad.jsonl, line 3, question q1, branch 0, field 'tokens'" in told and "good  all/good.jsonl" in told
    )
    rows = json.loads(run(capfd, "validate", "all", "synthetic:search", "--json", code=2))
    assert [row["path"] for row in rows] == ["all/bad.jsonl", "all/good.jsonl", "all/strange.jsonl", "synthetic:search"]
    assert [bool(row["error"]) for row in rows] == [True, False, False, False]
    assert rows[2]["suspicions"][0]["questions"] == ["q0"]
    assert (rows[1]["questions"], rows[1]["branches"], rows[1]["suspicions"]) == (3, 24, [])
    run(capfd, "validate", "nowhere", code=2)


@given(st.lists(st.integers(0, 2), min_size=16, max_size=16).filter(lambda of: 0 in of))
def test_parts_of_an_environment_merge_into_it(of: list[int]) -> None:
    """Whichever branches and questions are in which file."""
    whole = small_environment(questions=4, branches=4)
    parts = {}
    for number in sorted(set(of)):
        questions = []
        for q, question in enumerate(whole.questions):
            if branches := tuple(b for k, b in enumerate(question.branches) if of[4 * q + k] == number):
                questions.append(replace(question, branches=branches))
        parts[str(number)] = replace(whole, questions=tuple(questions))
    merged = merge(parts, duplicates="keep")
    assert {q.id: q.content for q in merged.questions} == {q.id: q.content for q in whole.questions}


def test_branches_that_are_there_twice(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = small_environment()
    save_environment(one, "a.jsonl")
    save_environment(small_environment(seed=1, questions=7), "b.jsonl")
    assert "7 questions, 208 branches" in run(capfd, "merge", "a.jsonl", "b.jsonl", "-o", "ab.jsonl")
    told = run(capfd, "merge", "ab.jsonl", "a.jsonl", "-o", "c.jsonl", code=2)
    assert "a.jsonl: question q0: branch 0 is in ab.jsonl, too" in told and not Path("c.jsonl").exists()
    run(capfd, "merge", "ab.jsonl", "a.jsonl", "-o", "c.jsonl", "--duplicates", "drop")
    assert load_environment("c.jsonl").content == load_environment("ab.jsonl").content
    run(capfd, "merge", "ab.jsonl", "a.jsonl", "-o", "c.jsonl", "--duplicates", "keep", "--force")
    assert [len(q.branches) for q in load_environment("c.jsonl").questions] == [48] * 6 + [16]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "other"}, "b: field 'model' is 'other', and 'm' in a; they cannot be merged"),
        ({"interval": 250}, "b: field 'interval' is 250, and 500 in a; they cannot be merged"),
        ({"dataset": "e"}, "b: field 'dataset' is 'e', and 'd' in a; give one with --dataset"),
        ({"kappa_probe": 3}, "b: field 'kappa_probe' is 3, and 0 in a; `autotts env import` changes"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_settings_that_contradict_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as found:
        merge({"a": good(), "b": replace(good(), **change)})
    assert message in str(found.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "Else"}, "b: question q0 has another text than in a"),
        ({"gold": "9"}, "b: question q0 has the right answer '9', and '42' in a"),
        ({"id": "x"}, "b: question x is question q0 of a; give them one id"),
    ],
    ids=["text", "gold", "id"],
)
def test_questions_that_contradict_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as found:
        merge({"a": good(), "b": changed(good(), **fields)}, duplicates="keep")
    assert message in str(found.value)


def test_where_they_come_from_stands_side_by_side() -> None:
    one = replace(good(), provenance={"server": "x", "seed": "0"})
    other = replace(good(), dataset="e", provenance={"server": "x", "seed": "8"})
    merged = merge({"a": one, "b": other}, "both", "drop")
    assert (merged.provenance, merged.dataset) == ({"server": "x", "seed": "0 | 8"}, "both")


def test_a_question_is_in_the_same_part_of_every_models_recording(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for model, questions in (("one", 40), ("two", 60)):
        made = small_environment(model, questions, branches=3)
        save_environment(replace(made, questions=made.questions[:: -1 if model == "two" else 1]), f"all/{model}.jsonl")
    run(capfd, "split", "all", "--parts", "search=0.6,heldout=0.4", "-o", "parts")
    parts = {name: load_environments([f"parts/{name}"]) for name in ("search", "heldout")}
    assert [made.model for made in parts["search"]] == ["one", "two"]
    where: dict[str, set[str]] = {}
    for name, environments in parts.items():
        for made in environments:
            for question in made.questions:
                where.setdefault(question.id, set()).add(name)
    assert len(where) == 60 and all(len(names) == 1 for names in where.values())
    count = Counter(name for names in where.values() for name in names)
    assert 24 <= count["search"] <= 48
    run(capfd, "split", "all", "--parts", "search=0.6,heldout=0.4", "-o", "again", "--seed", "1")
    assert {q.id for q in load_environments(["again/search"])[0].questions} != {
        q.id for q in parts["search"][0].questions
    }
    assert "exists already" in run(capfd, "split", "all", "--parts", "search=0.6,heldout=0.4", "-o", "parts", code=2)


@given(st.integers(0, 10**9), st.lists(st.integers(1, 9), min_size=2, max_size=4))
def test_parts_are_all_of_it_and_share_nothing(seed: int, weights: list[int]) -> None:
    whole = small_environment(questions=80, branches=1)
    shares = {f"p{k}": weight / sum(weights) for k, weight in enumerate(weights)}
    try:
        parts = split(whole, shares, seed)
    except InputError as error:
        assert "falls into p" in str(error)
        return
    assert sorted(q.id for part in parts.values() for q in part.questions) == sorted(q.id for q in whole.questions)
    assert all(q in whole.questions for part in parts.values() for q in part.questions)


@pytest.mark.parametrize("parts", ["a=0.5", "a=0.5,b=0.6", "a=0.5,a=0.5", "a=x,b=1", "../a=0.5,b=0.5", "", "a=nan,b=1"])
def test_shares_that_are_none_are_refused(parts: str, world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_environment(good(), "good.jsonl")
    assert "--parts" in run(capfd, "split", "good.jsonl", "--parts", parts, "-o", "out", code=2)
    assert not Path("out").exists()
