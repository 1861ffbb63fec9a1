"""`autotts calibrate`: the β for a budget of tokens."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import click
import numpy as np
from rich.table import Table

from autotts.cli._common import (
    MOST_SEEDS,
    archive_option,
    console,
    env_option,
    equivalence_option,
    json_option,
    load_all,
    option,
    print_json,
    sandbox_options,
    workers_option,
)
from autotts.cli.programs import find_program
from autotts.evaluation import Evaluator, Program, Protocol, clusters_of
from autotts.evaluation.calibration import TOLERANCE, Calibration, parse_tokens
from autotts.evaluation.calibration import calibrate as calibrated
from autotts.evaluation.curve import scores_of
from autotts.evaluation.scores import Scores
from autotts.replay import Environment

__all__ = ["calibrate", "calibrated_on"]


@click.command()
@click.argument("program")
@env_option
@option("--budget", required=True, metavar="TOKENS", help="Mean tokens a question: 200k, 1.5M or a plain number.")
@option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=10, help="Episodes a question: seeds 0 … N − 1.")
@equivalence_option
@workers_option
@sandbox_options
@archive_option
@json_option
def calibrate(
    program: str,
    env_patterns: tuple[str, ...],
    budget: str,
    seeds: int,
    equivalence: str | None,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
    as_json: bool,
) -> int:
    """The β at which PROGRAM (an id, a shipped name, a file) spends a budget in the mean, on host episodes.

    Exit code 1 where no β does, as the budget is beyond what the program can spend.
    """
    wanted = parse_tokens(budget)
    found = find_program(program, archive)
    environments = load_all(env_patterns, equivalence)
    answer, isolation = calibrated_on(found, environments, wanted, seeds, workers, isolating)
    names = [environment.name for environment in environments]
    if as_json:
        print_json({"program": program, "source_hash": found.hash, "isolation": isolation, **_as_json(answer, names)})
    else:
        _print(answer, found, names, seeds)
    return 0 if answer.within else 1


def calibrated_on(
    program: Program,
    environments: list[Environment],
    wanted: float,
    seeds: int,
    workers: int,
    isolating: dict[str, Any],
) -> tuple[Calibration, str]:
    """The β for a budget on host episodes, and the isolation that they were played under."""
    clusters, ones = clusters_of(environments), np.ones(len(environments))
    with Evaluator(environments, workers, **isolating) as evaluator:

        def measure(betas: tuple[float, ...]) -> Scores:
            return scores_of(evaluator.confirmed(program, Protocol(betas, tuple(range(seeds)))), clusters, ones)

        return calibrated(measure, wanted), evaluator.isolation


def _as_json(answer: Calibration, names: list[str]) -> dict[str, Any]:
    pairs = zip(names, answer.by_environment, strict=True)
    return {
        **asdict(answer),
        "accuracy": 100 * answer.accuracy,
        "accuracy_ci95": [100 * end for end in answer.accuracy_ci95],
        "by_environment": [{"environment": name, "tokens": t, "accuracy": 100 * a} for name, (t, a) in pairs],
        "measured": [{"beta": b, "tokens": t, "accuracy": 100 * a} for b, t, a in answer.measured],
    }


def _print(answer: Calibration, program: Program, names: list[str], seeds: int) -> None:
    out = console()
    title = f"{program.name or program.id} at a budget of {answer.budget:,.0f} mean tokens a question"
    if not answer.within:
        end = "least" if answer.budget < answer.tokens else "most"
        out.print(f"{title}: no β spends that; its {end} is {answer.tokens:,.0f}, at β = {answer.beta:g}")
        return
    table = Table(title=f"{title}: β = {answer.beta:.6g} ({seeds} seed{'' if seeds == 1 else 's'})")
    for name in ("environment", "tokens", "95 % (questions)", "accuracy %", "95 % (questions)"):
        table.add_column(name, justify="left" if name == "environment" else "right")
    for name, (tokens, accuracy) in zip(names, answer.by_environment, strict=True):
        table.add_row(name, f"{tokens:,.0f}", "", f"{100 * accuracy:.2f}", "")
    spent, right = _range(answer.tokens_ci95, 1, ",.0f"), _range(answer.accuracy_ci95, 100, ".1f")
    table.add_row("mean", f"{answer.tokens:,.0f}", spent, f"{100 * answer.accuracy:.2f}", right)
    out.print(table)
    out.print(f"β at which mean spending crosses the budget, 95 % over questions: {_range(answer.beta_ci95, 1, '.3f')}")
    if answer.step is not None:
        step = answer.step
        out.print(
            f"note: spending jumps from {answer.tokens:,.0f} to {step.tokens:,.0f} at β = {step.beta:.6g}, so no β is "
            f"within {100 * TOLERANCE:g} % of the budget; with that β on {100 * step.share:.0f} % of the questions it "
            "is met in the mean",
            soft_wrap=True,
        )
    for low, high in answer.falling:
        out.print(f"note: mean tokens fall between β = {low:g} and β = {high:g}; more β should spend more")


def _range(ends: tuple[float, float], scale: float, form: str) -> str:
    if not math.isfinite(ends[0]):
        return "–"
    return f"{scale * ends[0]:{form}} … {scale * ends[1]:{form}}"
