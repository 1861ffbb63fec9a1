"""`autotts mcp`: the tools of a search for a coding agent that the user already runs."""

from __future__ import annotations

import sys
from typing import Any

import click

from autotts.archive import Archive
from autotts.cli._agents import max_proposals_option, max_time_option
from autotts.cli._common import (
    EMBEDDED,
    MOST_SEEDS,
    FiniteRange,
    absolute,
    archive_option,
    check_run_name,
    console,
    env_option,
    equivalence_option,
    load_all,
    log_option,
    option,
    sandbox_options,
    workers_option,
)
from autotts.errors import InputError
from autotts.evaluation import MOST_BETAS
from autotts.search import Budget, Config, Event, Listeners, SearchStarted, open_run
from autotts.search.serving import Guest, Served, start_guest_run
from autotts.ui.log import make_log
from autotts.ui.progress import make_display

__all__ = ["mcp"]


def _said(default: object) -> str:
    """A default that a run which is gone on with replaces by its own."""
    return f"  [default: the run's own, {default} for a new one]"


@click.command()
@env_option
@option("--run", "run_name", default=None, metavar="NAME", help="Started, or gone on with.  [default: a new run]")
@option("--seed", type=int, default=None, help="Of everything random." + _said(Config.seed))
@option(
    "--seeds",
    type=click.IntRange(1, MOST_SEEDS),
    default=None,
    help="Episodes a question when confirming." + _said(Config.seeds),
)
@option(
    "--screen-seeds",
    type=click.IntRange(1, MOST_SEEDS),
    default=None,
    help="Of those, for screening." + _said(Config.screen_seeds),
)
@option(
    "--betas", type=click.IntRange(2, MOST_BETAS), default=None, help="Evenly spaced values of β." + _said(Config.betas)
)
@option(
    "--reserve",
    type=FiniteRange(0, 1, max_open=True),
    default=None,
    metavar="SHARE",
    help="Of the questions, kept from the agent and from selection." + _said(Config.reserve),
)
@equivalence_option
@max_time_option
@max_proposals_option
@workers_option
@sandbox_options
@archive_option
@log_option
def mcp(
    env_patterns: tuple[str, ...],
    run_name: str | None,
    seed: int | None,
    seeds: int | None,
    screen_seeds: int | None,
    betas: int | None,
    reserve: float | None,
    equivalence: str | None,
    max_time: float | None,
    max_proposals: int | None,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
    log_file: str | None,
) -> int:
    """Serve the tools of a search by MCP on standard input and output, to a coding agent of yours.

    The agent reads what was tried, measures drafts and submits programs; each is evaluated at once. With --run NAME the
    next start goes on where this one ended.
    """
    try:
        from autotts.cli._mcp import Desk
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise InputError("autotts mcp needs the package mcp, version 2: pip install 'autotts[mcp]'") from error
    check_run_name(run_name)
    budget = Budget(time=max_time, proposals=max_proposals)
    given: dict[str, Any] = {
        "seed": seed,
        "seeds": seeds,
        "screen_seeds": screen_seeds,
        "betas": betas,
        "reserve": reserve,
        "equivalence": equivalence,
        "budget": budget,
        "envs": tuple(map(absolute, env_patterns)) or None,
    }
    with Archive(archive) as store:
        name = start_guest_run(store, run_name, given, (EMBEDDED,), lambda c: load_all(c.envs, c.equivalence))
        desk = Desk(name)
        with open_run(store, name, workers, budget, [Guest()], **isolating) as search:
            print(f"run {name}: serving by MCP until the client leaves", file=sys.stderr, flush=True)
            with make_display("plain", console(stderr=True)) as shown, make_log(log_file) as log:

                def show(event: Event) -> None:
                    if not isinstance(event, SearchStarted):  # which speaks of rounds
                        shown(event)

                search.listen = Listeners(desk.hear, show, log)
                code = desk.serve(Served(search))
    return desk.leave(code)
