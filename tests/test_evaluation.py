"""Evaluations in the jail: parity with the published figures, table against host, class-style files."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotts.errors import InputError, LookAhead, Nondeterministic, PolicyViolation
from autotts.evaluation import Evaluator, Program, Protocol, load_program, parse_betas, shipped
from autotts.replay import Environment, load_environment
from tests.small import small_environment

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
        (screened,) = evaluator.run(shipped(name), protocol)
        (confirmed,) = evaluator.confirm(shipped(name), protocol, [screened], protocol)
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

    def run(self, program: Program, protocol: Protocol, source: Any = "screen", progress: Any = None) -> Any:
        return super().run(shipped("asc") if source == "confirm" else program, protocol, source, progress)


def test_screening_and_confirming_must_agree_action_by_action() -> None:
    protocol = Protocol((0.5,), (0, 1))
    with TwoFaced([small_environment()]) as evaluator:
        screened = evaluator.run(shipped("sc"), protocol)
        with pytest.raises(LookAhead, match=r"β=0\.5"):
            evaluator.confirm(shipped("sc"), protocol, screened, protocol)
        for result in screened:
            result.digests[:] += 1
        with pytest.raises(Nondeterministic):
            evaluator.confirm(shipped("sc"), protocol, screened, protocol)


def test_betas() -> None:
    assert parse_betas("11") == tuple(k / 10 for k in range(11))
    assert parse_betas("0,0.5,1") == (0.0, 0.5, 1.0)
    assert parse_betas("1.0") == (1.0,)
    for wrong in ("1", "0,2", "x", "0.5,0.5", ""):
        with pytest.raises(InputError):
            parse_betas(wrong)
