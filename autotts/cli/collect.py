"""`autotts env collect`: record an environment from a model server."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autotts.cli._common import FiniteRange, console, option
from autotts.cli._file import masked
from autotts.cli._live import MOST_TOKENS, connection_options
from autotts.cli.shaping import output_path
from autotts.errors import InputError
from autotts.replay import Environment, get_equivalence, save_environment
from autotts.replay.questions import read_questions

if TYPE_CHECKING:
    from autotts.live.collect import Plan, Watch
    from autotts.live.connect import Connection
    from autotts.live.journal import Journal
    from autotts.live.purse import Purse

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
@option("--full-read", is_flag=True, help="No probes: for controllers that read branches to their end.")
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
    full_read: bool,
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
    from autotts.live.collect import Plan, is_complete
    from autotts.live.journal import Journal, journal_path
    from autotts.live.purse import Purse, priced_name
    from autotts.live.reading import Reader
    from autotts.live.recording import build

    path = output_path(output, force)
    asked = read_questions(Path(questions))
    sampling = connection.sampling
    plan = Plan(
        asked, branches, interval, seed, connection.concurrency or 1, not full_read, sampling.max_tokens,
        sampling.probe_tokens,
    )  # fmt: skip
    connection = replace(connection, full_read=full_read)
    with ExitStack() as held:
        reader = held.enter_context(Reader(answers))
        for question in asked:
            if answers == "choice" and len(reader.gold(question.gold)) != 1:
                raise InputError(
                    f"{questions}: question {question.id}: its answer {question.gold[:40]!r} is no letter A–J"
                )
        get_equivalence(equivalence or reader.equivalence)
        settings, about = _settings(plan, connection)
        journal = held.enter_context(Journal(journal_path(path), settings, about))
        purse = Purse(
            Prices.read(Path(prices) if prices else None),
            priced_name(connection.base_url, connection.model),
            max_cost,
            journal.usage,
        )
        if not is_complete(journal, plan):
            _ask(connection, plan, journal, purse, display)
        name = dataset or Path(questions).name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json")
        header = Environment(
            connection.model,
            name,
            interval,
            (),
            max_branches=max_branches,
            equivalence=equivalence or reader.equivalence,
        )
        provenance = {**_provenance(journal, settings), "answers": answers}
        environment = build(journal, asked, branches, plan.probing, reader, header, provenance)
    save_environment(environment, path)
    cost = "" if purse.spent is None else f", at most ${purse.spent:,.4f}"
    console().print(
        f"{path}: {environment.name}, {len(asked)} questions, {len(asked) * branches} branches{cost}", soft_wrap=True
    )


def _ask(connection: Connection, plan: Plan, journal: Journal, purse: Purse, display: Any) -> None:
    from autotts.live.collect import collect as record
    from autotts.live.connect import connect
    from autotts.ui.collecting import collecting

    async def asking(watch: Watch) -> None:
        async with connect(connection) as model:
            journal.add_server(masked(connection.base_url), model.abilities.words())
            await record(model, plan, journal, purse, watch)

    try:
        with collecting(display, console()) as watch:
            asyncio.run(asking(watch))
    except KeyboardInterrupt:  # told when the bars stand still, which would be drawn over it
        click.echo(f"{journal.path}: what had ended is kept; the same command goes on", err=True)
        raise


def _settings(plan: Plan, connection: Connection) -> tuple[dict[str, Any], dict[str, str]]:
    """What a recording depends on, by the names of options, and what is noted besides."""
    from autotts.prompts import Prompts

    prompts = Prompts(Path(connection.prompts) if connection.prompts else None)
    made = (prompts.question("…"), prompts.prompt("…"), prompts.probe("…", False))
    sampling, tokenizer = connection.sampling, connection.tokenizer
    try:
        key = hashlib.sha256(Path(tokenizer).read_bytes()).hexdigest() if tokenizer else None
    except OSError as error:
        raise InputError(
            f"--tokenizer {tokenizer}: cannot be read ({error.strerror}); give a tokenizer.json"
        ) from error
    settings = {
        "--model": connection.model,
        "--interval": plan.interval,
        "--temperature": sampling.temperature,
        "--top-p": sampling.top_p,
        "--max-tokens": sampling.max_tokens,
        "--stop": list(sampling.stop),
        "--seed": plan.seed,
        "--api": connection.api,
        "--tokenizer": key,
        "--prompts": {prompt.name: prompt.hash for prompt in made},
        "probe tokens": sampling.probe_tokens,
    }
    return settings, {"recorded": f"{datetime.now(UTC):%Y-%m-%d}"}


def _provenance(journal: Journal, settings: dict[str, Any]) -> dict[str, str]:
    servers = list(dict.fromkeys(address for address, _ in journal.servers))
    ways = list(dict.fromkeys(how for _, how in journal.servers))
    shown = {
        name.removeprefix("--").replace("-", "_").replace(" ", "_"): value
        for name, value in settings.items()
        if name not in ("--model", "--interval", "--prompts") and value not in (None, [])
    }
    templates = {f"template_{name}": value for name, value in settings["--prompts"].items()}
    return {
        "source": "autotts env collect",
        **journal.about,
        "server": " | ".join(servers),
        "asked": " | ".join(ways),
        **{name: " | ".join(value) if isinstance(value, list) else str(value) for name, value in shown.items()},
        **templates,
    }
