"""`autotts search` and `autotts resume`: the main job."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from autotts.agents import Settings
from autotts.archive import Archive
from autotts.archive.selection import make_selector
from autotts.cli._agents import limit_options, model_options
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
    json_option,
    load_all,
    log_option,
    option,
    print_json,
    sandbox_options,
    workers_option,
)
from autotts.cli._ending import print_end
from autotts.cli.plan import affordable, make_agents, show_plan
from autotts.errors import AutoTTSError, InputError, LimitReached
from autotts.evaluation import MOST_BETAS
from autotts.search import Budget, Config, Listeners, Search, open_run, start_run, unfinished
from autotts.ui.log import make_log
from autotts.ui.progress import Mode, make_display

__all__ = ["resume", "search"]

MOST_SLOTS = 100_000
MOST_LAG = 100
ASKERS = 4

askers_option = option(
    "--askers", type=click.IntRange(1, 1024), default=ASKERS, help="Proposals that are asked for at a time."
)

display_option = option(
    "--display", type=click.Choice(["rich", "plain", "none"]), default=None, help="[default: rich on a terminal]"
)


@click.command()
@env_option
@option(
    "--agent",
    "agents",
    multiple=True,
    metavar="NAME",
    help="Who writes programs; several share the slots in turn.  [default: evolution]",
)
@option("--rounds", type=click.IntRange(0, MOST_SLOTS), default=Config.rounds, help="Rounds after the baselines.")
@option(
    "--proposals-per-round",
    type=click.IntRange(1, MOST_SLOTS),
    default=Config.proposals_per_round,
    help="Slots a round.",
)
@option("--seed", type=int, default=Config.seed, help="The same seed gives the same run.")
@option(
    "--seeds", type=click.IntRange(1, MOST_SEEDS), default=Config.seeds, help="Episodes a question when confirming."
)
@option(
    "--screen-seeds",
    type=click.IntRange(1, MOST_SEEDS),
    default=None,
    help=f"Of those, for screening.  [default: {Config.screen_seeds}]",
)
@option("--betas", type=click.IntRange(2, MOST_BETAS), default=Config.betas, help="Evenly spaced values of β.")
@option(
    "--selector",
    default=Config.selector,
    metavar="NAME",
    help="Who picks parents: pareto, best_of_n, sequential, or what a package brings.",
)
@option(
    "--lag",
    type=click.IntRange(0, MOST_LAG),
    default=Config.lag,
    help="Rounds that may overlap: a round is asked without having been told of so many before it.",
)
@option(
    "--reserve",
    type=FiniteRange(0, 1, max_open=True),
    default=Config.reserve,
    metavar="SHARE",
    help="Of the questions, kept from agents and selection; `autotts champion --look` looks at them.",
)
@option(
    "--run",
    "run_name",
    default=None,
    metavar="NAME",
    help="The run's name.  [default: the last one of these settings that was stopped, or a new one]",
)
@equivalence_option
@model_options
@limit_options
@option("--dry-run", is_flag=True, help="Say what the run would ask, cost and take at most, and do nothing.")
@askers_option
@workers_option
@sandbox_options
@archive_option
@display_option
@log_option
@json_option
def search(
    env_patterns: tuple[str, ...],
    agents: tuple[str, ...],
    rounds: int,
    proposals_per_round: int,
    seed: int,
    seeds: int,
    screen_seeds: int | None,
    betas: int,
    selector: str,
    lag: int,
    reserve: float,
    run_name: str | None,
    equivalence: str | None,
    settings: Settings,
    budget: Budget,
    dry_run: bool,
    askers: int,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
    display: Mode | None,
    log_file: str | None,
    as_json: bool,
) -> int:
    """Discover controllers: baselines first, then rounds of proposals, each evaluated in the sandbox."""
    if screen_seeds is None:
        screen_seeds = min(Config.screen_seeds, seeds)
    elif screen_seeds > seeds:
        raise InputError(f"--screen-seeds {screen_seeds}: at most as many as --seeds ({seeds})")
    check_run_name(run_name)
    # `resume` may be called from anywhere, so the run keeps what it searches by absolute paths.
    envs = tuple(map(absolute, env_patterns)) or (EMBEDDED,)
    names = agents or Config.agents
    shape = names, rounds, proposals_per_round, seed, betas, seeds, screen_seeds
    config = Config(
        *shape,
        envs=envs,
        equivalence=equivalence,
        reserve=reserve,
        settings=settings,
        budget=budget,
        selector=selector,
        lag=lag,
    )
    make_selector(selector)
    made = make_agents(names, settings, archive)
    affordable(made, budget)
    if dry_run:
        return show_plan(config, made, as_json)
    environments = load_all(envs, equivalence)
    with Archive(archive) as store:
        name = start_run(store, run_name or unfinished(store, config), config, environments)
        options = {**isolating, "budget": budget, "rounds": rounds, "askers": askers}
        return _go(store, name, archive, workers, options, display, log_file, as_json)


@click.command()
@click.argument("run")
@limit_options
@option("--base-url", default=None, metavar="URL", help="Where the model's server is now.")
@option("--rounds", type=click.IntRange(0, MOST_SLOTS), default=None, help="In place of those that it began with.")
@askers_option
@workers_option
@sandbox_options
@archive_option
@display_option
@log_option
@json_option
def resume(
    run: str,
    base_url: str | None,
    budget: Budget,
    rounds: int | None,
    askers: int,
    workers: int,
    isolating: dict[str, Any],
    archive: str,
    display: Mode | None,
    log_file: str | None,
    as_json: bool,
) -> int:
    """Go on with RUN where it stopped; nothing is asked or counted twice."""
    with Archive(archive, create=False) as store:
        place = str(store.run(run).config.get("equivalence") or "").rpartition(":")[0]
        if place.endswith(".py") and not Path(place).exists():
            raise InputError(
                f"{run}: compares answers by {place}, which is not here; its path is relative to the folder that the "
                "search was started in, so resume it from there"
            )
        options = {**isolating, "budget": budget, "base_url": base_url, "rounds": rounds, "askers": askers}
        return _go(store, run, archive, workers, options, display, log_file, as_json)


@contextmanager
def _interruptible(job: Search) -> Iterator[None]:
    """Ctrl-C once: what is under way is finished. Twice: an end at once, and nothing is lost by that either."""

    before = signal.signal(signal.SIGINT, lambda *_: job.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _go(
    store: Archive,
    name: str,
    archive: str,
    workers: int,
    isolating: dict[str, Any],
    display: Mode | None,
    log_file: str | None,
    as_json: bool,
) -> int:
    out = console(stderr=as_json)
    again = f"autotts resume {shlex.quote(name)} --archive {shlex.quote(archive)}"
    opened = open_run(store, name, workers, **isolating)
    with opened as job, make_display(display, out) as shown, make_log(log_file) as log:
        job.listen = Listeners(shown, log)
        try:
            with _interruptible(job):
                job.go()
            code, why = 0, _nothing_made(job)
        except KeyboardInterrupt:
            code, why = 130, "Interrupted; everything so far is kept. Go on with:"
        except LimitReached as error:
            code, why = error.exit_code, f"{error}. Everything so far is kept; with a higher limit it goes on:"
            again = f"{again} {str(error).split()[0].rstrip(':')} N" if str(error).startswith("--") else again
        except AutoTTSError as error:
            code, why = error.exit_code, f"error: {error}. Everything so far is kept; when this is mended, go on with:"
    if job.ended and not code and not as_json:
        console().print(job.ended, soft_wrap=True)
    said = console(stderr=as_json or code != 130)
    if code not in (0, 3):
        said.print(why, soft_wrap=True)
        said.print(f"  {again}", soft_wrap=True)
        return code
    points = job.standing.front()
    if as_json:
        print_json({"run": name, "config": asdict(job.config), "front": [_point(p) for p in points]})
    elif display != "none":
        print_end(job, archive)
    if why and not code:
        said.print(why, soft_wrap=True)
        return 1
    if code:
        said.print(why, soft_wrap=True)
        said.print(f"  {again}", soft_wrap=True)
    return code


def _nothing_made(job: Search) -> str:
    """Said where every proposal failed before there was a program, "" elsewhere."""
    asked = [candidate for candidate in job.candidates if candidate.round]
    if not asked or any(candidate.id for candidate in asked):
        return ""
    return (
        f"error: no agent gave a program in {len(asked)} proposals; the last: {asked[-1].outcome}: {asked[-1].message}"
    )


def _point(point: Any) -> dict[str, Any]:
    return {"id": point.id, "beta": point.beta, "accuracy": 100 * point.accuracy, "tokens": point.tokens}
