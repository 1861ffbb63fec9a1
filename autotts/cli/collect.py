"""`autotts env collect`: record an environment from a model server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autotts.cli._common import FiniteRange, console, option
from autotts.cli._live import MOST_TOKENS, connection_options
from autotts.cli.shaping import output_path
from autotts.replay import read_questions, save_environment

if TYPE_CHECKING:
    from autotts.live.connect import Connection
    from autotts.live.record import Recording

__all__ = ["collect"]


@click.command()
@option("--questions", required=True, metavar="FILE", help="JSON Lines with question, answer and perhaps id.")
@option("-o", "--output", required=True, metavar="FILE", help="The environment, .jsonl or .jsonl.gz.")
@option("--branches", type=click.IntRange(1, 100_000), default=128, help="Of each question.")
@option("--interval", type=click.IntRange(1, MOST_TOKENS), default=500, help="Δ: tokens between two probes.")
@option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of branch 0; branch b has this plus b.")
@option("--answers", default="math", metavar="KIND", help="math, choice, text, or file.py:function.")
@option("--equivalence", default=None, metavar="NAME", help="Of answers.  [default: latex for math, else exact]")
@option("--dataset", default=None, metavar="NAME", help="What it is called.  [default: the questions' file]")
@option("--max-branches", type=click.IntRange(1, MOST_TOKENS), default=64, help="Branches that an episode may open.")
@connection_options
@option("--max-cost", type=FiniteRange(0), default=None, metavar="DOLLARS", help="Of all requests.")
@option("--prices", default=None, metavar="FILE", help="Prices that replace the known ones (JSON).")
@option("--display", type=click.Choice(["rich", "plain", "none"]), default=None, help="[default: by the terminal]")
@option("--force", is_flag=True, help="Replace the environment, where there is one; its texts stay.")
def collect(
    questions: str,
    output: str,
    branches: int,
    interval: int,
    seed: int,
    answers: str,
    equivalence: str | None,
    dataset: str | None,
    max_branches: int,
    connection: Connection,
    max_cost: float | None,
    prices: str | None,
    display: Any,
    force: bool,
) -> None:
    """Record an environment: branches of each question, and what the model answers when they are stopped on the way.

    What was recorded is kept in NAME.texts.jsonl beside the environment; after an interruption the same command goes
    on. With all of it there nobody is asked: run it again with other --answers to read the texts anew.
    """
    from autotts.agents.prices import Prices
    from autotts.live.record import Recording

    path = output_path(output, force)
    asked = read_questions(Path(questions))
    name = Path(questions).name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json")
    with Recording(
        path,
        connection,
        asked,
        branches,
        interval,
        seed=seed,
        answers=answers,
        equivalence=equivalence,
        dataset=dataset or name,
        max_branches=max_branches,
        max_cost=max_cost,
        prices=Prices.read(Path(prices) if prices else None),
    ) as recording:
        if not recording.is_complete:
            _ask(recording, display)
        environment = recording.environment()
    save_environment(environment, path)
    cost = "" if recording.spent is None else f", at most ${recording.spent:,.4f}"
    console().print(
        f"{path}: {environment.name}, {len(asked)} questions, {len(asked) * branches} branches{cost}", soft_wrap=True
    )


def _ask(recording: Recording, display: Any) -> None:
    from autotts.ui.collecting import collecting

    try:
        with collecting(display, console()) as watch:
            asyncio.run(recording.collect(watch, lambda line: click.echo(line, err=True)))
    except KeyboardInterrupt:  # told when the bars stand still, which would be drawn over it
        click.echo(f"{recording.journal}: what had ended is kept; the same command goes on", err=True)
        raise
