"""Exported programs: with a heading they are the same program, as a class they do the same elsewhere."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.agents.evolution.operators import random_genome
from autotts.agents.evolution.render import render
from autotts.archive import Archive, Point
from autotts.cli import _run
from autotts.errors import InputError
from autotts.evaluation import SHIPPED, Evaluator, Program, Protocol, load_program, shipped
from autotts.evaluation.classwriter import class_file
from autotts.evaluation.heading import with_heading, without_heading
from autotts.replay import Environment, load_environments, save_environment
from autotts.replay.source import branch_order
from tests.fake_runs import FakeRun
from tests.small import small_environment

ANSWERS = Path(__file__).parent / "class_style.py"
OURS = with_heading("", [])
CALM = (
    '"""Program 1.0"""\n\n\ndef schedule(beta):\n    return {"n": 2}\n\n\ndef solve(episode, knobs):\n    return None\n'
)


# ---- the heading -------------------------------------------------------------------------------------------------

odd_lines = st.sampled_from(
    [
        *OURS.split("\n"),
        "==== AutoTTS: the program ====",
        "#==== AutoTTS: the program ====",
        '"""Idea."""',
        "# coding: utf-7",
        "\x0c",
        "x = '\\",
        "#",
        " ",
        "é\u2028",
    ]
)
texts = st.one_of(st.text(), st.lists(st.one_of(odd_lines, st.text(max_size=9)), max_size=12).map("\n".join))


@given(texts, st.lists(texts, max_size=4))
def test_any_program_is_the_same_with_a_heading(source: str, lines: list[str]) -> None:
    program = Program.from_source(source)
    text = with_heading(program.source, lines)
    assert Program.from_source(without_heading(text)).hash == program.hash
    heading = text[: len(text) - len(program.source)]
    assert all(line.startswith("#") and line.isprintable() for line in heading.rstrip("\n").split("\n"))


@given(texts)
def test_nothing_but_comments_is_ever_left_out(text: str) -> None:
    kept = without_heading(text)
    assert text.endswith(kept)
    left_out = text[: len(text) - len(kept)].split("\n")
    assert all(line.startswith("#") or not line for line in left_out)


@pytest.mark.parametrize("hidden", ["import os", " # indented", "# \x1b[8m", "x = 1", ""])
def test_a_heading_that_is_more_than_comments_stays(hidden: str) -> None:
    first, last = OURS.rstrip("\n").rsplit("\n", 1)
    text = f"{first}\n{hidden}\n{last}\n\n{CALM}"
    assert without_heading(text) == text
    assert without_heading(OURS + OURS + CALM) == OURS + CALM


def test_no_word_of_a_program_is_where_python_looks_for_an_encoding(tmp_path: Path) -> None:
    path = tmp_path / "c.py"
    path.write_text(with_heading("X = '+AGE-'\n", ["coding: utf-7"]), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", "import c; print(c.X)"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "+AGE-\n", done.stderr


# ---- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command in a folder of its own; its standard output, or what it complains where it must fail."""
    monkeypatch.chdir(tmp_path)

    def called(*args: str, code: int = 0) -> str:
        capfd.readouterr()
        found = _run(list(args))
        out, err = capfd.readouterr()
        assert found == code, out + err
        return out if code == 0 else err

    return called


def test_an_exported_program_says_where_it_comes_from(call: Any) -> None:
    with Archive("autotts.db") as store:
        run = FakeRun(store, questions=4)
        run.add(1, 0, run.luck(), parents=run.baselines, source=Program.from_source(CALM).source)
        (hash,) = run.best(1)
        store.add_points("run-1", "curve", [Point(hash, b, 3000 * b + 1, 0.3 + b / 8, 900.4) for b in (0.0, 0.5, 1.0)])
        points = store.points("run-1", hash)
    assert call("export", hash[:10], "-o", "c.py") == f"{hash[:10]} → c.py\n"
    text = Path("c.py").read_text()
    heading = text.removesuffix(CALM)
    parents = ", ".join(parent[:10] for parent in run.baselines)
    assert f"# by fake in run-1, round 1, slot 0, from {parents}: ok\n" in heading
    assert (
        f"# sha256 of its source: {hash}\n" in heading and "pip install autotts\n#   autotts evaluate c.py" in heading
    )
    assert "seeds 0 to 3" in heading
    assert all(f"#   {ref.name}, sha256 {ref.hash}\n" in heading for ref in run.refs)
    rows = [line.split()[1:] for line in heading.split("\n") if line.startswith("#   ") and len(line.split()) == 5]
    assert rows == [
        [f"{p.beta:g}", f"{100 * p.accuracy:.2f}", f"{p.tokens:,.0f}", f"{p.sequential_tokens:,.0f}"] for p in points
    ]
    assert call("export", "c.py", "-o", "-") == text.replace("evaluate c.py", "evaluate FILE")
    assert json.loads(call("add", "c.py", "--json"))["hash"] == hash
    assert json.loads(call("check", "c.py", "--json"))["source_hash"] == hash
    row, *_ = json.loads(call("evaluate", "c.py", "--betas", "0.5", "--seeds", "1", "--json"))
    assert row["source_hash"] == hash


def test_a_baseline_of_many_runs_has_a_short_heading(call: Any) -> None:
    with Archive("autotts.db") as store:
        runs = [FakeRun(store, f"r{n}", questions=3, environments=1) for n in range(7)]
        for run in runs:
            store.add_points(run.name, "curve", [Point(run.baselines[0], 0.5, 9000.0, 0.5)])
    out = call("export", run.baselines[0][:10], "-o", "-")
    assert "# and in 2 runs before: autotts show" in out and "# r6: " in out and "in r2, " in out and "r1" not in out


def test_what_a_program_says_stays_in_its_line(call: Any) -> None:
    idea = '"""Idea \x1b[2J\u202e of [bold]two\u2028lines."""\n'
    Path("odd.py").write_text(idea + USE.replace("majority(", "max("), encoding="utf-8")
    call("add", "odd.py")
    program = load_program("odd.py")
    call("export", program.id, "-o", "o.py")
    assert load_program("o.py").hash == program.hash
    assert f"# {program.id}: Idea \ufffd[2J\ufffd of [bold]two lines.\n" in Path("o.py").read_text(encoding="utf-8")


def test_files_and_class_style_files_are_exported_too(call: Any) -> None:
    call("export", str(ANSWERS), "-o", "c.py", "--format", "class")
    assert load_program("c.py").hash == load_program(str(ANSWERS)).hash
    source = ANSWERS.read_text().replace("OptimalController", "Mine")
    Path("mine.py").write_text(source)
    assert load_program("mine.py:Mine").id in call("export", "mine.py:Mine", "-o", "m.py")
    assert "autotts evaluate m.py:Mine" in Path("m.py").read_text()
    assert "cannot be written" in call("export", "sc", "-o", "no/c.py", code=2)
    assert "no such program" in call("export", "no.py", "-o", "-", code=2)


# ---- the class ---------------------------------------------------------------------------------------------------


def as_class(program: Program) -> Program:
    return Program.from_source(class_file(program), class_name="OptimalController")


def stepping_is_fair(environment: Environment) -> Environment:
    """The same branches, none with fewer tokens than its probes were taken at."""
    questions = tuple(
        replace(
            question,
            branches=tuple(replace(b, tokens=max(b.tokens, 500 * len(b.probes))) for b in question.branches),
        )
        for question in environment.questions
    )
    return replace(environment, questions=questions)


@pytest.fixture(scope="module")
def embedded() -> list[Environment]:
    return load_environments(["synthetic:search"])


def programs() -> list[Program]:
    rng = random.Random(3)
    return [*map(shipped, SHIPPED), *(Program.from_source(render(random_genome(rng))) for _ in range(6))]


def same(environments: list[Environment], found: list[Program], protocol: Protocol) -> None:
    with Evaluator(environments) as evaluator:
        for program in found:
            for ours, theirs in zip(
                evaluator.run(program, protocol, "confirm"),
                evaluator.run(as_class(program), protocol, "confirm"),
                strict=True,
            ):
                for what in ("right", "tokens", "branches"):
                    assert np.array_equal(getattr(ours, what), getattr(theirs, what)), (program.idea, what)


def test_a_class_acts_as_the_program_does(embedded: list[Environment]) -> None:
    few = replace(embedded[1], questions=embedded[1].questions[:5])
    same([stepping_is_fair(few)], programs(), Protocol((0.0, 0.6), (0, 3)))


@pytest.mark.slow
def test_a_class_acts_as_the_program_does_on_everything_embedded(embedded: list[Environment]) -> None:
    same([stepping_is_fair(e) for e in embedded], programs(), Protocol((0.0, 0.4, 1.0), (1,)))


def test_a_class_pays_for_stepping_to_the_end(embedded: list[Environment]) -> None:
    environment = replace(embedded[0], questions=embedded[0].questions[:6])
    with Evaluator([environment]) as evaluator:
        (ours,) = evaluator.run(shipped("sc"), Protocol((0.5,), (2,)))
        (theirs,) = evaluator.run(as_class(shipped("sc")), Protocol((0.5,), (2,)))
    assert np.array_equal(ours.right, theirs.right)
    for q, question in enumerate(environment.questions):
        read = [question.branches[i] for i in branch_order(2, len(question.branches))[: ours.branches[0, q]]]
        late = sum(max(0, 500 * len(branch.probes) - branch.tokens) for branch in read)
        assert theirs.tokens[0, q] - ours.tokens[0, q] == late
    assert theirs.tokens.sum() > ours.tokens.sum()


THEIRS = '''
import importlib.util, json, sys

class Question:
    """As the paper's evaluator has it, in a few lines."""

    def __init__(self, branches):
        self.branches, self.probe_freq, self.opened, self.spent = branches, 500, [], 0

    def probe_new(self):
        if len(self.opened) == len(self.branches):
            raise ValueError("none is left")
        self.opened.append(0)
        return (*self.probe_more(len(self.opened) - 1)[:1], len(self.opened) - 1, self.ended(len(self.opened) - 1))

    def probe_more(self, i):
        if not 0 <= i < len(self.opened) or self.ended(i):
            raise ValueError("no such branch")
        probes, tokens, final = self.branches[i]
        last = self.opened[i] == len(probes)
        self.spent += max(0, tokens - 500 * len(probes)) if last else 500
        self.opened[i] += 1
        return (final if last else probes[self.opened[i] - 1]), last

    def ended(self, i):
        return self.opened[i] == len(self.branches[i][0]) + 1

    def get_seq_and_total_tokens(self):
        return self.spent, self.spent

try:
    import autotts
    sys.exit("autotts is there")
except ImportError:
    pass
spec = importlib.util.spec_from_file_location("controller", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
controller = module.OptimalController(config={"beta": 0.5})
questions = [Question(branches) for branches in json.load(sys.stdin)]
print(json.dumps([[controller(question), question.spent] for question in questions]))
'''


@pytest.mark.parametrize("name", SHIPPED)
def test_the_file_runs_where_there_is_no_autotts(name: str, call: Any, embedded: list[Environment]) -> None:
    environment = stepping_is_fair(replace(embedded[2], questions=embedded[2].questions[:9]))
    call("export", name, "-o", "c.py", "--format", "class")
    heading = Path("c.py").read_text()
    assert 'needs no autotts: OptimalController(config={"beta": b}).solve(question)' in heading
    assert "max(T, d × Δ)" in heading
    recorded = [
        [[b.probes, b.tokens, b.final] for b in (q.branches[i] for i in branch_order(1, len(q.branches)))]
        for q in environment.questions
    ]
    bare = [str(Path(sys.base_prefix) / "bin" / "python3"), "-I", "-c", THEIRS, "c.py"]
    done = subprocess.run(bare, input=json.dumps(recorded), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    with Evaluator([environment]) as evaluator:
        (ours,) = evaluator.run(shipped(name), Protocol((0.5,), (1,)))
    assert [spent for _, spent in found] == ours.tokens[0].tolist()
    right = [answer == question.gold for (answer, _), question in zip(found, environment.questions, strict=True)]
    assert right == ours.right[0].astype(bool).tolist()


def test_the_policy_admits_the_file(call: Any) -> None:
    save_environment(small_environment(branches=64), "tiny.jsonl")
    call("export", "cmc", "-o", "c.py", "--format", "class")
    assert load_program("c.py").idea == shipped("cmc").idea
    assert "warm_up" in call("check", "c.py", "--env", "tiny.jsonl")
    assert "beta" in call("check", "c.py:OptimalController", "--env", "tiny.jsonl")


IMPORTS = [
    "from autotts.toolkit import majority",
    "from autotts.toolkit import (  # votes\n    majority as majority,\n    vote,\n)",
    "import autotts.toolkit as tools; majority = tools.majority",
    "import math, autotts.toolkit\nmajority = autotts.toolkit.majority",
    "from autotts import toolkit as t\nmajority = t.majority",
    'from __future__ import annotations\nfrom autotts.toolkit import majority\nx: "nothing" = None',
    "def majority(answers):\n    from autotts.toolkit import majority as found; return found(answers)",
    "from autotts.toolkit import majority\nlen = max = sum = list = dict = set = range = zip = None",
    "from dataclasses import dataclass\nfrom autotts.toolkit import majority\n\n\n@dataclass\nclass C:\n    x: int = 0",
    '"""\nfrom autotts.toolkit import vote\n"""\nfrom autotts.toolkit import majority; vote = 3',
    "from autotts.toolkit import majority\n\n\ndef f(x: Unheard) -> Of:\n    return x",
]
USE = """

def schedule(beta):
    return {"n": 3 + 2 * beta}


def solve(episode, knobs):
    for _ in (1, 2, 3):
        episode.branches(int(knobs["n"]) // 3)
    for i in episode.active:
        episode.advance(i)
        if episode.probe(i) == "a1" and not episode.is_finished(i):
            episode.prune(i)
    try:
        episode.advance(99)
    except Exception as error:
        episode.note("refused", f"{type(error).__name__}: {error}")
    episode.finish(episode.active)
    assert episode.signal(0, "mean") is None and episode.can_branch and episode.answers(0)
    return majority(episode.probe(episode.finished_branches))
"""


@pytest.mark.parametrize("imports", IMPORTS)
def test_imports_of_the_toolkit(imports: str) -> None:
    environment = stepping_is_fair(replace(small_environment(branches=64), max_branches=64))
    same([environment], [Program.from_source(f"{imports}\n{USE}")], Protocol((0.0, 1.0), (0,)))
    namespace: dict[str, Any] = {"__name__": "elsewhere"}
    text = class_file(Program.from_source(f"{imports}\n{USE}"))
    exec(compile(text, "c.py", "exec", dont_inherit=True), namespace)  # plain Python takes it as well
    assert namespace["OptimalController"](config={"beta": 0.0})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = (\n", "cannot read"),
        ("from autotts.toolkit import nothing\n", "autotts.toolkit.nothing, which is not in the toolkit"),
        ("from autotts.errors import InputError\n", "autotts.errors"),
        ("from autotts.toolkit import *\n", "which is not"),
        ("from . import x\n", "line 1 imports in a way"),
        (f"x = 1\nimport a{'.a' * 60_000}\n", "line 2 imports in a way"),
        ("class OptimalController: pass\n", "OptimalController"),
        ("_autotts = 1\n", "_autotts"),
    ],
)
def test_what_cannot_be_a_class(source: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        class_file(Program.from_source(source))


def test_too_few_branches_are_said_to_be_too_few() -> None:
    namespace: dict[str, Any] = {}
    exec(class_file(Program.from_source(USE)), namespace)

    class Short:
        probe_freq = 500

        def probe_new(self) -> Any:
            raise ValueError

        def get_seq_and_total_tokens(self) -> tuple[int, int]:
            return 0, 0

    with pytest.raises(Exception, match="only 0 of 64 branches were recorded"):
        namespace["OptimalController"]({"beta": 1.0}).solve(Short())
