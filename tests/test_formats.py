"""Environment files: both formats, their errors, the gold-free tables, and `autotts env`."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.cli import _run
from autotts.errors import InputError
from autotts.replay import (
    Environment,
    Question,
    Trajectory,
    answer_ids,
    load_environment,
    load_environments,
    save_environment,
    summarize,
    table_of,
)

PAPER: list[dict[str, Any]] = [
    {
        "question": "What is 6 · 7?",
        "gold_answer": "42",
        "probe_freq": 500,
        "final_answers_trace": ["ignored"],
        "each_branch": [[["41", "42"], 1200, "42"], [["ERR"], 480, "41"], [[], 90, "42"]],
    },
    {"question": "And 1/2?", "gold_answer": "0.5", "probe_freq": 500, "each_branch": [[["1/2"], 700, "\\frac{1}{2}"]]},
]


def write_paper(folder: Path, content: object = PAPER, name: str = "Model-1B/quiz.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def rich_environment() -> Environment:
    signals = {"logprob": (-0.5, None, -0.25)}
    return Environment(
        "m/1",
        "d",
        250,
        (
            Question("q1", "Zwölf?\u2028 😀", "12", (Trajectory(("ERR", "12"), 600, "12", True, signals),)),
            Question("q2", "\ud800", "a b", (Trajectory((), 7, "a b"), Trajectory(("x",), 0, "ERR"))),
        ),
        kappa_probe=3,
        max_branches=5,
        provenance={"server": "vllm 1.2"},
    )


def test_the_papers_json(tmp_path: Path) -> None:
    environment = load_environment(write_paper(tmp_path))
    assert (environment.name, environment.interval, environment.equivalence) == ("Model-1B/quiz", 500, "exact")
    first = environment.questions[0]
    assert (first.text, first.gold) == ("What is 6 · 7?", "42")
    assert first.branches[0] == Trajectory(("41", "42"), 1200, "42")
    assert first.branches[2].answers == ("42",)
    # The same question has the same id in another model's file, whatever comes before it.
    other = load_environment(write_paper(tmp_path, PAPER[::-1], "Model-2B/quiz.json"))
    assert other.questions[1].id == first.id


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz"])
def test_own_format_round_trip(tmp_path: Path, name: str) -> None:
    environment, path = rich_environment(), tmp_path / "new" / name
    save_environment(environment, path)
    loaded = load_environment(path)
    assert loaded == environment
    assert loaded.hash == environment.hash
    before = path.read_bytes()
    save_environment(loaded, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [name]


answers = st.text(max_size=8)


@given(st.lists(st.tuples(st.lists(answers, max_size=4), st.integers(0, 10**6), answers), min_size=1, max_size=4))
def test_any_answers_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    branches = tuple(Trajectory(tuple(probes), tokens, final) for probes, tokens, final in rows)
    environment = Environment("m", "d", 500, (Question("q", "text", "gold", branches),))
    path = tmp_path_factory.mktemp("any") / "e.jsonl"
    save_environment(environment, path)
    assert load_environment(path) == environment


def test_appended_questions_are_read(tmp_path: Path) -> None:
    line = json.dumps(
        {"id": "q9", "question": "?", "gold": "1", "branches": [{"probes": [], "tokens": 5, "final": "1"}]}
    )
    plain, packed = tmp_path / "e.jsonl", tmp_path / "e.jsonl.gz"
    save_environment(rich_environment(), plain)
    save_environment(rich_environment(), packed)
    with plain.open("a") as stream:
        stream.write(line + "\n\n")
    with gzip.open(packed, "at") as stream:
        stream.write(line + "\n")
    assert load_environment(plain) == load_environment(packed)
    assert load_environment(plain).questions[-1].id == "q9"


HEADER = {"schema": "autotts.environment/1", "model": "m", "dataset": "d", "interval": 500}
QUESTION = {"id": "q1", "question": "?", "gold": "1", "branches": [{"probes": ["1"], "tokens": 5, "final": "1"}]}


def branch(**changes: Any) -> dict[str, Any]:
    return {**QUESTION, "branches": [QUESTION["branches"][0], {**QUESTION["branches"][0], **changes}]}  # type: ignore[index,dict-item]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "is empty"),
        ([{"model": "m"}, QUESTION], r"line 1, field 'schema': is missing"),
        ([{**HEADER, "schema": "autotts.environment/2"}, QUESTION], r"version 2, newer than 1.*upgrade autotts"),
        ([{**HEADER, "schema": "other/1"}, QUESTION], r"line 1, field 'schema'"),
        ([{**HEADER, "interval": 0}, QUESTION], r"line 1, field 'interval': must be a whole number of at least 1"),
        ([{**HEADER, "kapa_probe": 1}, QUESTION], r"field 'kapa_probe': is not known; known are .*kappa_probe"),
        ([HEADER], "has a header but no questions"),
        ([HEADER, QUESTION, "{"], r"line 3, column \d+: not valid JSON.*; a line that was cut off .* can be deleted"),
        ([HEADER, {**QUESTION, "gold": "ERR"}], r"line 2, question q1, field 'gold': is 'ERR', which is never right"),
        ([HEADER, '{"id": ' + "9" * 6000 + "}"], r"line 2: holds a number of thousands of digits; write .* as text$"),
        ([HEADER, QUESTION, QUESTION], r"line 3, question q1, field 'id': was given on line 2 already"),
        ([HEADER, {"id": "q1"}], r"line 2, field 'question': is missing"),
        (
            [HEADER, {**QUESTION, "branches": []}],
            r"line 2, question q1, field 'branches': must be a list with at least",
        ),
        ([HEADER, branch(tokens=-1)], r"line 2, question q1, branch 1, field 'tokens': must be a whole number"),
        ([HEADER, branch(tokens=True)], r"branch 1, field 'tokens'"),
        ([HEADER, branch(final=None)], r"branch 1, field 'final': must be text; found null; write 'ERR'"),
        ([HEADER, branch(probes=["1", 0.5])], r"branch 1, field 'probes\[1\]': must be text; found 0.5"),
        ([HEADER, branch(probes="1")], r"branch 1, field 'probes': must be a list of answers"),
        ([HEADER, branch(trunkated=True)], r"branch 1, field 'trunkated': is not known"),
        ([HEADER, branch(truncated=1)], r"branch 1, field 'truncated': must be true or false"),
        ([HEADER, branch(signals={"p": [1]})], r"branch 1, field 'signals.p': must have one entry an interval, 2 here"),
        ([HEADER, {**QUESTION, "branches": [[]]}], r"branch 0: must be an object with probes, tokens, final"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, lines: list[Any], complaint: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    with pytest.raises(InputError, match=complaint) as caught:
        load_environment(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"each_branch": [[["1"], 5, "1"], [["1"], "5", "1"]]}, r"question 1, branch 1, field 'tokens'"),
        ({"each_branch": [[["1"], 5]]}, r"question 1, branch 0, field 'each_branch': must be a list \[probes"),
        ({"each_branch": []}, r"question 1, field 'each_branch'"),
        ({"gold_answer": ""}, r"question 1, field 'gold_answer': must be text that is not empty"),
        ({"gold_answer": "ERR"}, r"question 1, field 'gold_answer': is 'ERR', which is never right"),
        ({"question": "What is  6 · 7?"}, r"question 1, field 'question': was given as question 0 already"),
        ({"probe_freq": 250}, r"question 1, field 'probe_freq': differs between questions"),
    ],
)
def test_a_bad_entry_of_the_papers_json_is_named(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    path = write_paper(tmp_path, [PAPER[0], {**PAPER[1], **change}])
    with pytest.raises(InputError, match=complaint):
        load_environment(path)


@pytest.mark.parametrize(
    "content",
    [b"[", b"[]", b"\xff\xfe", b"\x1f\x8b\x08\x00broken", b"[" * 100_000, b"null", b'{"a": 1}', b"[1]", b"9" * 5_000],
)
def test_bytes_that_are_no_environment(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.json"):
        load_environment(path)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (
            gzip.compress(json.dumps(PAPER).encode(), mtime=0)[:-20],
            "is damaged as a gzip file .* fetch it or compress it again",
        ),
        (gzip.compress(json.dumps(PAPER).encode(), mtime=0)[:-8] + b"12345678", "fetch it or compress it again"),
        (json.dumps(PAPER).encode()[:-20], "the file is one JSON list, so mend it there, or fetch it again"),
        (b"[" + b"9" * 6000 + b"]", "write such an answer as text"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_damage_has_a_remedy(tmp_path: Path, content: bytes, remedy: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=remedy) as caught:
        load_environment(path)
    assert "deleted" not in str(caught.value)
    assert "set_int_max_str_digits" not in str(caught.value)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for below in ("e.jsonl", "folder/e.jsonl"):
        with pytest.raises(InputError, match=r"file is a file; choose another folder"):
            save_environment(rich_environment(), tmp_path / "file" / below)
    for nowhere in ("", "-"):
        assert _run(["env", "import", str(write_paper(tmp_path)), nowhere]) == 2
        assert "must be a file or a folder" in capsys.readouterr().err


def test_whole_numbers_are_taken_as_text(tmp_path: Path) -> None:
    path = write_paper(tmp_path, [{**PAPER[0], "gold_answer": 42, "each_branch": [[[41, "42"], 1200, 42]]}])
    question = load_environment(path).questions[0]
    assert (question.gold, question.branches[0].answers) == ("42", ("41", "42", "42"))


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A/x.json", "B/x.json", "B/[y].json"):
        write_paper(tmp_path, name=name)
    monkeypatch.chdir(tmp_path)

    def names(*patterns: str) -> list[str]:
        return [environment.name for environment in load_environments(patterns)]

    assert names("*/x.json") == ["A/x", "B/x"]
    assert names("B") == ["B/[y]", "B/x"]
    assert names("B/[y].json") == ["B/[y]"]
    assert names("B/x.json", "**/x.json") == ["B/x", "A/x"]
    assert len(names("synthetic:search", "A")) == 5
    for wrong in ("C/*.json", "nowhere.json", "synthetic:nothing"):
        with pytest.raises(InputError, match=wrong.split("*")[0]):
            names(wrong)


def test_the_equivalence_of_the_header_is_applied_on_loading(tmp_path: Path) -> None:
    raw = load_environment(write_paper(tmp_path))
    assert [b.final == raw.questions[1].gold for b in raw.questions[1].branches] == [False]
    path = tmp_path / "e.jsonl"
    save_environment(Environment(raw.model, raw.dataset, 500, raw.questions, equivalence="latex"), path)
    loaded = load_environment(path)
    assert loaded.equivalence == "latex"
    assert (loaded.questions[1].gold, loaded.questions[1].branches[0].answers) == ("1/2", ("1/2", "1/2"))
    assert load_environment(path, "exact").questions == raw.questions


def test_a_file_cannot_choose_code_to_run(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    save_environment(Environment("m", "d", 500, rich_environment().questions, equivalence="os:system"), path)
    with pytest.raises(InputError, match=r"os:system.*not built in"):
        load_environment(path)
    assert load_environment(path, "exact").equivalence == "exact"


@given(
    st.lists(st.lists(st.sampled_from(["ERR", "1", "2", "30", "x"]), min_size=1, max_size=5), min_size=1, max_size=5)
)
def test_tables_hold_the_answers_and_nothing_of_the_gold(rows: list[list[str]]) -> None:
    branches = tuple(Trajectory(tuple(row[:-1]), 10 * len(row), row[-1]) for row in rows)
    ids = answer_ids(Question("q", "?", "1", branches))
    assert ids["ERR"] == 0
    assert sorted(ids.values()) == list(range(len(ids)))
    for gold in ("1", "x", "nowhere", "ERR"):
        question = Question("q", "?", gold, branches)
        table, gold_id = table_of(question)
        assert table.answers == [[ids[answer] for answer in row] for row in rows]
        assert table.totals == [10 * len(row) for row in rows]
        assert gold_id == (ids.get(gold, -1) if gold != "ERR" else -1)


def test_ids_do_not_follow_order_or_frequency() -> None:
    first = tuple(Trajectory((), 1, str(k)) for k in range(40))
    ids = answer_ids(Question("q", "?", "0", first))
    assert ids == answer_ids(Question("q", "?", "5", first[::-1]))
    assert [ids[str(k)] for k in range(40)] != sorted(ids[str(k)] for k in range(40))
    assert ids != answer_ids(Question("another", "?", "0", first))


def test_loading_is_fast(recorded: Path) -> None:
    start = time.process_time()
    environments = load_environments([recorded / "replay" / "*" / "aime24.json"])
    assert len(environments) == 4
    assert time.process_time() - start < 2.0


def test_recorded_figures(recorded: Path) -> None:
    statistics = json.loads((recorded / "aime24_statistics.json").read_text())
    for size, figures in statistics.items():
        summary = summarize(load_environment(recorded / "replay" / f"Qwen3-{size}" / "aime24.json"))
        assert summary["pass@1"] == pytest.approx(100 * figures["mean_acc"], abs=0.06)
        assert list(summary["tokens"].values()) == pytest.approx(figures["tokens_quantiles"], rel=0.001)
        assert summary["tokens_median_right"] == pytest.approx(figures["median_tokens_right"], rel=0.001)
        assert summary["unparsed_finals"] == pytest.approx(figures["err_fraction_final"], abs=0.0006)


def test_import_and_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = write_paper(tmp_path), tmp_path / "out" / "quiz.jsonl.gz"
    assert _run(["env", "import", str(source), str(target), "--equivalence", "latex", "--kappa-probe", "2"]) == 0
    assert load_environment(target, "exact").questions == load_environment(source).questions
    assert _run(["env", "import", str(source), str(target)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert _run(["env", "import", str(source), str(target), "--force"]) == 0
    capsys.readouterr()
    assert _run(["env", "inspect", str(target), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["questions"], summary["branches"], summary["interval"]) == (2, 4, 500)
    assert summary["pass@1"] == pytest.approx(100 / 3)
    assert summary["oracle@3"] == 50
    assert summary["latex"]["scores"]["pass@1"] == pytest.approx([100 / 3, 100 * 5 / 6])
    assert summary["latex"]["changed_questions"][0]["pass@1"] == [0, 100]
    assert sorted(summary["latex"]["examples"][0]["answers"]) == ["0.5", "1/2", "\\frac{1}{2}"]
    assert summary["merged"] is None
    assert _run(["env", "inspect", str(target), "--equivalence", "latex", "--json"]) == 0
    applied = json.loads(capsys.readouterr().out)
    assert applied["merged"] == applied["latex"] == summary["latex"]
    assert applied["pass@1"] == pytest.approx(100 * 5 / 6)
    assert _run(["env", "inspect", str(source)]) == 0
    assert "latex would merge" in capsys.readouterr().out
    (tmp_path / "eq.py").write_text("def half(answer):\n    return '1/2' if answer == '0.5' else answer\n")
    assert _run(["env", "inspect", str(source), "--equivalence", f"{tmp_path}/eq.py:half", "--json"]) == 0
    merged = json.loads(capsys.readouterr().out)["merged"]
    assert (merged["merged_classes"], merged["examples"][0]["answers"]) == (1, ["0.5", "1/2"])
    assert _run(["env", "inspect", str(target), "--equivalence", "latex"]) == 0
    shown = capsys.readouterr().out
    assert "latex merged" in shown
    assert "1 class of answers, 1 moved" in shown
    assert "pass@1" in shown
    assert "majority@3" in shown  # as many as there are


def test_import_of_many_goes_to_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_paper(tmp_path, name="A/x.json")
    write_paper(tmp_path, name="B/x.json")
    assert _run(["env", "import", str(tmp_path / "*" / "x.json"), str(tmp_path / "out")]) == 0
    assert [e.name for e in load_environments([tmp_path / "out"])] == ["A/x", "B/x"]
    assert _run(["env", "import", str(tmp_path / "*" / "x.json"), str(tmp_path / "one.jsonl")]) == 2
    assert _run(["env", "import", str(tmp_path / "A" / "x.json"), str(tmp_path / "one.json")]) == 2
    assert _run(["env", "inspect", str(tmp_path / "nothing")]) == 2
    assert "error:" in capsys.readouterr().err
