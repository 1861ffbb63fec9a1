"""`autotts solve`: a question answered by a controller that drives a live model."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from autotts.cli._common import (
    FiniteRange,
    archive_option,
    console,
    json_option,
    load_all,
    option,
    print_json,
    sandbox_options,
    with_options,
)
from autotts.cli._live import MOST_TOKENS, wave_connection_options
from autotts.cli.calibrate import calibrated_on
from autotts.cli.programs import find_program
from autotts.errors import InputError
from autotts.evaluation import Program
from autotts.evaluation.calibration import parse_tokens
from autotts.replay import Environment

if TYPE_CHECKING:
    from autotts.live.connect import Connection
    from autotts.live.solver import Solution, Solver
    from autotts.live.source import Reader, Watch

__all__ = ["Controlled", "controlled", "controller_options", "solve"]

INTERVAL, MAX_BRANCHES = 500, 64
CALIBRATION_SEEDS = 10


@dataclass(frozen=True)
class Controlled:
    """How a controller is to drive a model.

    Attributes:
        program, beta: see `autotts.live.Solver`.
        interval, max_branches, kappa_probe, equivalence: of the episodes; equivalence None for the reader's.
        environments: recordings that these come from, none where none were named.
    """

    program: Program
    beta: float
    interval: int
    max_branches: int
    kappa_probe: int
    equivalence: str | None
    environments: tuple[Environment, ...]

    def solver(self, model: Any, reader: Any, isolating: dict[str, Any]) -> Solver:
        """What answers questions."""
        from autotts.live.solver import Solver

        same = self.equivalence or reader.equivalence
        rules = self.interval, self.max_branches, self.kappa_probe, same
        return Solver(self.program, model, reader, *rules, **isolating)


def controller_options(command: Any) -> Any:
    """Which controller, and how it drives a model; see `controlled`."""
    options = (
        option("--controller", required=True, metavar="PROGRAM", help="A shipped name, a file, or an archive id."),
        option("--beta", type=FiniteRange(0, 1), default=None, help="How much to spend.  [default: 0.5]"),
        option("--budget", default=None, metavar="TOKENS", help="In place of --beta: mean tokens on --env, as 200k."),
        option(
            "--env",
            "env_patterns",
            multiple=True,
            metavar="PATH",
            help="Recordings of this model, repeatable: interval, branches and equivalence are taken from them.",
        ),
        option(
            "--interval",
            type=click.IntRange(1, MOST_TOKENS),
            default=None,
            help="Δ: tokens between two probes.  [default: --env's, or 500]",
        ),
        option(
            "--max-branches",
            type=click.IntRange(1, 10_000),
            default=None,
            help="Branches that an episode may open.  [default: --env's, or 64]",
        ),
        option("--answers", default="math", metavar="KIND", help="math, choice, text, or file.py:function."),
        option(
            "--equivalence", default=None, metavar="NAME", help="Of answers.  [default: --env's, or latex for math]"
        ),
    )
    return with_options(options, command)


def controlled(
    controller: str,
    archive: str,
    beta: float | None,
    budget: str | None,
    env_patterns: tuple[str, ...],
    interval: int | None,
    max_branches: int | None,
    equivalence: str | None,
    isolating: dict[str, Any],
) -> Controlled:
    """What the options of `controller_options` come to.

    Raises:
        InputError: no such program or environment, or no β spends the budget.
    """
    program = find_program(controller, archive)
    environments = tuple(load_all(env_patterns, equivalence)) if env_patterns else ()
    rules = {(one.interval, one.max_branches, one.kappa_probe, one.equivalence) for one in environments}
    if len(rules) > 1:
        raise InputError(
            f"--env: {len(environments)} recordings that differ in interval, ceiling of branches, κ or equivalence; "
            "name those that belong to this model"
        )
    if budget is not None:
        if beta is not None:
            raise InputError("--budget chooses β, so --beta cannot be given with it; leave one out")
        if not environments:
            raise InputError("--budget needs --env PATH, recordings of this model on which spending is measured")
        answer = calibrated_on(program, list(environments), parse_tokens(budget), CALIBRATION_SEEDS, 1, isolating)[0]
        if not answer.within:
            raise InputError(
                f"--budget {budget}: no β spends that on {_names(environments)}; "
                f"it goes from {answer.least:,.0f} to {answer.most:,.0f} tokens"
            )
        beta = answer.beta
    recorded = environments[0] if environments else None
    return Controlled(
        program,
        0.5 if beta is None else beta,
        interval or (recorded.interval if recorded else INTERVAL),
        max_branches or (recorded.max_branches if recorded else MAX_BRANCHES),
        recorded.kappa_probe if recorded else 0,
        equivalence or (recorded.equivalence if recorded else None),
        environments,
    )


def _names(environments: tuple[Environment, ...]) -> str:
    return ", ".join(environment.name for environment in environments)


@click.command()
@click.argument("question")
@controller_options
@wave_connection_options
@option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of branch 0; branch b has this plus b.")
@option("--display", type=click.Choice(["rich", "plain", "none"]), default=None, help="[default: by the terminal]")
@sandbox_options
@archive_option
@json_option
def solve(
    question: str,
    controller: str,
    beta: float | None,
    budget: str | None,
    env_patterns: tuple[str, ...],
    interval: int | None,
    max_branches: int | None,
    answers: str,
    equivalence: str | None,
    connection: Connection,
    seed: int,
    display: Any,
    isolating: dict[str, Any],
    archive: str,
    as_json: bool,
) -> int:
    """Answer QUESTION (- for what standard input says) with a controller that drives a model behind a server.

    Exit code 1 where the controller gives no answer.
    """
    from autotts.live.reading import Reader
    from autotts.ui.solving import solving

    text = sys.stdin.read() if question == "-" else question
    if not text.strip():
        raise InputError("there is no question; give it in quotes, or - and the question on standard input")
    how = controlled(controller, archive, beta, budget, env_patterns, interval, max_branches, equivalence, isolating)
    name = how.program.name or how.program.id
    title = f"{' '.join(text.split())[:200]}   [{name} at β = {how.beta:.6g}, {connection.model}]"
    out = console(stderr=as_json)
    with Reader(answers) as reader, solving(display, out, title, how.interval) as watch:
        solution, isolation = asyncio.run(_solved(text, how, connection, reader, seed, watch, isolating))
    compared, source = _sc64(solution, how.environments)
    if as_json:
        sc64 = {"tokens": compared, "from": source}
        about = {"question": text, "controller": name, "source_hash": how.program.hash, "isolation": isolation}
        print_json({**about, "model": connection.model, "seed": seed, **asdict(solution), "sc64": sc64})
    else:
        _print(solution, compared, source)
    return 0 if solution.answer is not None else 1


async def _solved(
    question: str,
    how: Controlled,
    connection: Connection,
    reader: Reader,
    seed: int,
    watch: Watch | None,
    isolating: dict[str, Any],
) -> tuple[Solution, str]:
    from autotts.live.connect import connect

    async with connect(connection) as model, how.solver(model, reader, isolating) as solver:
        return await solver.solve(question, how.beta, seed, watch), solver.isolation


def _sc64(solution: Solution, environments: tuple[Environment, ...]) -> tuple[float | None, str]:
    """Tokens that self-consistency over all branches would take, and what they are estimated from."""
    if environments:
        mean = sum(environment.mean_branch_tokens for environment in environments) / len(environments)
        return 64 * mean, f"the mean branch of {_names(environments)}"
    ends = solution.finished_tokens
    if not ends:
        return None, "no branch was read to its end"
    return 64 * sum(ends) / len(ends), f"the {len(ends)} branches that were read to their ends here"


def _print(solution: Solution, compared: float | None, source: str) -> None:
    from autotts.ui.solving import votes_text

    out = console()
    out.print(f"answer: {'none' if solution.answer is None else solution.answer}", soft_wrap=True)
    sure = "" if solution.confidence is None else f" ({100 * solution.confidence:.0f} % of the votes)"
    out.print(f"votes: {votes_text(solution.votes)}{sure}", soft_wrap=True)
    out.print(
        f"cost: {solution.tokens:,} tokens, {solution.sequential_tokens:,} one after the other, in "
        f"{solution.seconds:.1f} s; the server made {solution.generated:,} for {solution.branches} branches "
        f"({solution.finished} finished, {solution.pruned} pruned) and {solution.probe_tokens:,} for "
        f"{solution.probes} probes",
        soft_wrap=True,
    )
    if compared is None:
        out.print(f"SC@64: unknown, for {source}; --env PATH estimates it from a recording", soft_wrap=True)
    else:
        share = solution.tokens / compared if compared else 1.0
        out.print(
            f"SC@64: about {compared:,.0f} tokens, by {source}; this took {100 * share:.0f} % of that", soft_wrap=True
        )
