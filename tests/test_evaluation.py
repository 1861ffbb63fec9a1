"""Evaluations in the jail: parity with the published figures, table against host, class-style files."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotts.errors import Crashed, InadmissibleAction, InputError, LookAhead, Nondeterministic, PolicyViolation
from autotts.evaluation import Evaluator, Program, Protocol, load_program, parse_betas, shipped
from autotts.evaluation.shards import Work
from autotts.replay import Environment, load_environment
from autotts.sandbox import Limits
from tests.small import small_environment
from tests.test_long_run import descendants

METHODS = {"asc": "asc", "esc": "esc", "Parallel_Probe": "parallel_probe", "published_round_4": "cmc"}
WITHOUT_EFFECT = {"K", "eps_inter", "eps_intra", "probe_burst"}
HERE = Path(__file__).parent


def published_rows(recorded: Path) -> list[dict[str, Any]]:
    rows = json.loads((recorded / "published_aime24.json").read_text())
    return [row for row in rows if row["method"] in METHODS]


def reproduce(recorded: Path, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """(row, accuracy, tokens) where the jailed figures differ from the published ones."""
    wrong = []
    for model in sorted({row["model"] for row in rows}):
        environment = load_environment(recorded / "replay" / model / "aime24.json")
        with Evaluator([environment]) as evaluator:
            for row in (r for r in rows if r["model"] == model):
                knobs = {k: v for k, v in row["params"].items() if k not in WITHOUT_EFFECT and k != "beta"}
                protocol = Protocol((row["params"].get("beta", 1.0),), tuple(range(100)), knobs)
                (result,) = evaluator.run(shipped(METHODS[row["method"]]), protocol)
                n = 100 * len(environment.questions)
                accuracy, tokens = round(100 * int(result.right.sum()) / n, 2), int(result.tokens.sum()) // n
                if (accuracy, tokens) != (row["accuracy"], row["tokens"]):
                    wrong.append((row["model"], row["method"], row["params"], accuracy, tokens))
    return wrong


def test_a_sample_of_the_published_figures_is_reproduced_to_the_digit(recorded: Path) -> None:
    rows = published_rows(recorded)
    rng = random.Random(0)
    sample = [rng.choice([r for r in rows if r["method"] == method]) for method in METHODS]
    assert reproduce(recorded, sample) == []


@pytest.mark.slow
def test_every_published_figure_is_reproduced_to_the_digit(recorded: Path) -> None:
    rows = published_rows(recorded)
    assert len(rows) == 104
    assert reproduce(recorded, rows) == []


@pytest.mark.parametrize("kappa", [0, 40])
@pytest.mark.parametrize("name", ["sc", "asc", "esc", "parallel_probe", "cmc"])
def test_table_and_host_episodes_agree_in_everything(name: str, kappa: int) -> None:
    base = small_environment()
    environment = Environment(base.model, base.dataset, 500, base.questions, kappa_probe=kappa, max_branches=12)
    protocol = Protocol((0.0, 0.3, 0.55), (0, 1, 2))
    overrides = {"cmc": {}, "esc": {"max_samples": 8}}.get(name, {})
    knob = {"sc": "max_samples", "asc": "max_samples", "parallel_probe": "num_chains"}.get(name)
    if knob:
        overrides = {knob: 8}
    protocol = Protocol(protocol.betas, protocol.seeds, overrides)
    with Evaluator([environment]) as evaluator:
        work = evaluator.begin(shipped(name), protocol)
        (screened,) = evaluator.play(work)
        (confirmed,) = evaluator.confirm(work, protocol, [screened])
    for field in ("right", "tokens", "sequential_tokens", "branches", "digests"):
        assert np.array_equal(getattr(screened, field), getattr(confirmed, field)), field
    assert (screened.sequential_tokens <= screened.tokens).all()


def test_a_class_style_file_runs_unmodified_and_reproduces() -> None:
    environment = Environment("m", "d", 500, small_environment(branches=64).questions)
    protocol = Protocol((0.0, 0.5, 1.0), (0, 1, 2, 3))
    with Evaluator([environment]) as evaluator:
        (ours,) = evaluator.run(shipped("asc"), protocol)
        program = load_program(str(HERE / "class_style.py"))
        assert program.class_name == "OptimalController"
        (theirs,) = evaluator.run(program, protocol, "confirm")
    assert np.array_equal(ours.right, theirs.right)
    assert np.array_equal(ours.tokens, theirs.tokens)
    assert np.array_equal(ours.branches, theirs.branches)


def test_overrides_replace_the_schedule_and_unknown_knobs_are_named() -> None:
    with Evaluator([small_environment()]) as evaluator:
        (result,) = evaluator.run(shipped("sc"), Protocol((0.0, 0.9), (0,), {"max_samples": 3}))
        assert [knobs["max_samples"] for knobs in result.knobs] == [3, 3]
        assert (result.branches == 3).all()
        with pytest.raises(InputError, match=r"--set samples: no such knob.*max_samples"):
            evaluator.run(shipped("sc"), Protocol((0.0,), (0,), {"samples": 3}))


def test_a_violation_names_line_and_advice() -> None:
    with Evaluator([small_environment()]) as evaluator, pytest.raises(PolicyViolation) as caught:
        evaluator.check(Program.from_source("def schedule(beta):\n    return {}\nx = open('gold')\n"))
    assert caught.value.line == 3
    assert "open" in caught.value.message


class TwoFaced(Evaluator):
    """Confirms another program than it screens: what a program with a second personality looks like."""

    def play(self, work: Any, source: Any = "screen", progress: Any = None, only: Any = None) -> Any:
        other = self.begin(shipped("asc"), work.protocol) if source == "confirm" else work
        return super().play(other, source, progress, only)


def test_screening_and_confirming_must_agree_action_by_action() -> None:
    protocol = Protocol((0.5,), (0, 1))
    with TwoFaced([small_environment()]) as evaluator:
        work = evaluator.begin(shipped("sc"), protocol)
        screened = evaluator.play(work)
        with pytest.raises(LookAhead, match=r"β=0\.5"):
            evaluator.confirm(work, protocol, screened)
        for result in screened:
            result.digests[:] += 1
        with pytest.raises(Nondeterministic):
            evaluator.confirm(work, protocol, screened)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("victim", ["autotts-fork-server", "autotts-referee", "a child"])
def test_what_is_killed_under_an_evaluation_is_done_again(victim: str) -> None:
    """Not the program's fault: no outcome of it may depend on who was shot meanwhile."""
    protocol, environment = Protocol((0.0, 0.5, 1.0), tuple(range(6))), small_environment(branches=64)
    with Evaluator([environment], 2) as evaluator:
        work = evaluator.begin(shipped("cmc"), protocol)
        expected = evaluator.play(work, "confirm")
        shot, over = [], threading.Event()

        def shoot() -> None:
            process = evaluator._jails.sandbox()._process
            assert process is not None
            server = process.pid  # by name it could not be told from its children
            while not shot and not over.is_set():
                family = descendants(os.getpid())
                shootable = {
                    "a child": descendants(server),
                    "autotts-fork-server": {server},
                    "autotts-referee": {pid for pid in family if called(pid, victim)},
                }[victim]
                for pid in list(shootable)[:1]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        shot.append(pid)

        thread = threading.Thread(target=shoot)
        thread.start()
        found = evaluator.play(work, "confirm")
        deadline = time.monotonic() + 60
        while not shot and time.monotonic() < deadline:  # on a busy machine it may be over before anybody was hit
            found = evaluator.play(work, "confirm")
        over.set()
        thread.join()
        assert shot
        for a, b in zip(found, expected, strict=True):
            assert np.array_equal(a.digests, b.digests) and np.array_equal(a.right, b.right)


def called(pid: int, name: str) -> bool:
    try:
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_betas() -> None:
    assert parse_betas("11") == tuple(k / 10 for k in range(11))
    assert parse_betas("0,0.5,1") == (0.0, 0.5, 1.0)
    assert parse_betas("1.0") == (1.0,)
    for wrong in ("1", "0,2", "x", "0.5,0.5", ""):
        with pytest.raises(InputError):
            parse_betas(wrong)


def failure(source: str, class_name: str | None = None, kind: Any = InadmissibleAction) -> Any:
    """How a program ends in a check."""
    with Evaluator([small_environment()]) as evaluator, pytest.raises(kind) as caught:
        evaluator.check(Program.from_source(source, class_name=class_name))
    return caught.value


def test_a_name_that_is_not_ascii_is_named_with_its_line() -> None:
    error = failure(
        "def schedule(beta):\n    return {}\n\n\ndef solve(episode, knobs):\n    é = 1\n", kind=PolicyViolation
    )
    assert (error.line, "plain ASCII" in error.message) == (6, True)


REFUSED_RETURN = """def schedule(beta):
    return {}


def pick(answers):
    return answers[0]


def solve(episode, knobs):
    answer = pick(episode.probe(episode.branches(2)))
    if answer is None:
        return None
    return "204"
"""


def test_a_refused_return_has_its_line() -> None:
    assert failure(REFUSED_RETURN).line == 13
    with Evaluator([small_environment()]) as evaluator:
        # Past the smoke episodes, where the host plays and nothing can be played again: the function's own line.
        late = REFUSED_RETURN.replace('"204"', '"204" if episode.interval == 500 and len(answer) == 2 else None')
        prepared = evaluator._prepared[0]
        assert evaluator.check(Program.from_source(late.replace("== 2", "== 9")))
        more = {"worlds": [prepared.rules.told], "episodes": [[0, 16]]}
        with pytest.raises(InadmissibleAction) as caught, evaluator._spawn(Program(late), Limits()) as child:
            work = Work(Program(late), Protocol((0.5,), (0,)))
            work.compiled(child, work.job([0.5], mode="host", **more))
            child.recv()
            with evaluator._referees.one() as referee:
                referee.serve(child, [(0, 0, 0)])
    assert caught.value.line == 9


CLASS = """class Base(metaclass=ABCMeta):
    pass


class Mine(Base):
    def __init__(self, config):
        self.config = config

    def {method}(self, question):
        answer, _, _ = question.probe_new()
        return {returned}


if __name__ == "__main__":
    import sys
    Mine(open(sys.argv[1]).__dict__)
"""


def class_style(returned: str = "answer", method: str = "solve") -> str:
    return "from abc import ABCMeta\n" + CLASS.format(method=method, returned=returned)


@pytest.mark.parametrize("method", ["solve", "__call__"])
@pytest.mark.parametrize("returned", ["answer", "None", "'nobody said this'", "np.asarray([answer])[0]"])
def test_class_style_files_are_driven_as_they_are(method: str, returned: str) -> None:
    source = "import numpy as np\n" + class_style(returned, method)
    with Evaluator([small_environment()]) as evaluator:
        (result,) = evaluator.run(Program.from_source(source, class_name="Mine"), Protocol((0.5,), (0, 1)))
    assert bool(result.right.sum()) == ("answer" in returned)


@pytest.mark.parametrize("returned", ["(answer, 1)", "7", "{'a': 1}", "Mine({})", "[]"])
def test_a_class_style_return_that_is_no_text_is_refused_at_its_line(returned: str) -> None:
    error = failure(class_style(returned), "Mine")
    kind = {"(": "tuple", "7": "int", "{": "dict", "M": "Mine", "[": "list"}[returned[0]]
    assert f"a {kind}" in error.message
    assert error.line == 12


def test_a_class_that_is_not_there_is_called_a_class() -> None:
    assert "class Nope:" in failure(class_style(), "Nope", Crashed).message
    assert "no method solve and no __call__" in failure(class_style(method="act"), "Mine", Crashed).message


NUMPY = """import numpy as np

np.seterr(all="ignore")
np.set_printoptions(precision=3)


class Mine:
    def __init__(self, config):
        pass

    @np.errstate(divide="ignore")
    def solve(self, question):
        with np.errstate(all="ignore"):
            x = np.log(np.arange(4.0))
        assert np.histogram([1, 2, 2], bins=2)[0].tolist() == [1, 2]
        assert np.histogram(np.arange(50.0), bins="auto")[0].sum() == 50
        assert np.convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]
        assert np.fmax(np.nan, 1) == np.fmin(1, np.nan) == 1
        assert np.lexsort(([1, 0], [0, 0])).tolist() == [1, 0]
        assert np.gradient([1.0, 2.0, 4.0]).tolist() == [1.0, 1.5, 2.0]
        assert np.allclose(np.polyfit([0, 1, 2], [1, 3, 5], 1), [2, 1])
        assert np.polyval([2, 1], 3) == 7
        np.polyfit([1, 1, 1], [1, 3, 5], 2)  # warns
        {more}
        return None
"""


def test_numpy_as_published_controllers_use_it() -> None:
    with Evaluator([small_environment()]) as evaluator:
        assert evaluator.check(Program.from_source(NUMPY.format(more="pass"), class_name="Mine"))
    error = failure(NUMPY.format(more="np.load('x')"), "Mine", Crashed)
    assert "'numpy' has no 'load' that is available here" in error.message
