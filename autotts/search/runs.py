"""A run's record: made when a search starts, read when it goes on."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

from autotts.agents import Agent, make_agent
from autotts.archive import Archive, EnvironmentRef, Run
from autotts.archive.alone import alone, is_free
from autotts.archive.selection import ParetoSelector, Selector, make_selector
from autotts.errors import InputError
from autotts.evaluation import Evaluator, cluster_names
from autotts.replay import Environment, load_environments
from autotts.search.account import Budget
from autotts.search.config import Config
from autotts.search.loop import Search
from autotts.search.standing import pass_at_1, rectangle

__all__ = ["default_selector", "open_run", "run_environments", "start_run", "unfinished"]

TOLERANCE = 0.005
"""Half a point of accuracy: about the paired standard error of gains on four environments with 30 questions each."""


_MAY_DIFFER = ("added", "budget", "rounds")
"""Settings that a run may be gone on with in another way: what is done already does not depend on them."""


def start_run(archive: Archive, name: str | None, config: Config, environments: Sequence[Environment]) -> str:
    """Store a new run and return its name; a run of that name with the same configuration is gone on with.

    Args:
        archive, name: where it is kept, and under which name; None for the next free one.
        config: see `Config`.
        environments: whole; the run's record holds what `Config.parted` leaves to search.

    Raises:
        InputError: a run of that name exists with another configuration, or there are too few questions to reserve.
    """
    searched, _ = config.parted(environments)
    stored = _as_stored(replace(config, added=tuple(archive.added())))
    existing = {run.name: run for run in archive.runs()}
    if name in existing:
        if other := _differing(existing[name], stored):
            raise InputError(
                f"--run {name}: this archive has a run of that name with other settings ({', '.join(other)}); "
                f"give another name, or go on with it by `autotts resume {name}`"
            )
        return name
    refs = tuple(
        EnvironmentRef(
            hash=environment.hash,
            name=environment.name,
            clusters=names,
            sc64_tokens=environment.sc64_tokens,
            mean_branch_tokens=environment.mean_branch_tokens,
            pass_at_1=pass_at_1(environment),
            content=environment.content,
        )
        for environment, names in zip(searched, cluster_names(searched), strict=True)
    )
    versions = {"autotts": version("autotts"), "python": platform.python_version(), "numpy": version("numpy")}
    with archive.transaction():  # two searches may begin at the same moment
        name = name or archive.next_run_name()
        archive.add_run(Run(name, config.seed, stored, refs, "running", versions))
    return name


def run_environments(run: Run, config: Config) -> tuple[list[Environment], list[Environment]]:
    """(What a run searches, what it keeps in reserve), read again from where it found them.

    Raises:
        InputError: they are not what they were.
    """
    searched, kept = config.parted(load_environments(list(config.envs), equivalence=config.equivalence))
    if [environment.hash for environment in searched] != [ref.hash for ref in run.environments]:
        raise InputError(
            f"run {run.name}: the environments {', '.join(config.envs)} are not those that it started with; "
            "restore them, or start a new run"
        )
    return searched, kept


def unfinished(archive: Archive, config: Config) -> str | None:
    """The newest run of this configuration that did not come to its end and that nobody is at."""
    stored = _as_stored(replace(config, added=tuple(archive.added())))
    for run in reversed(archive.runs()):
        if run.state != "done" and not _differing(run, stored) and is_free(archive.name, run.name):
            return run.name
    return None


def _as_stored(config: Config) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return stored


def _differing(run: Run, stored: Mapping[str, Any]) -> list[str]:
    """The settings that are others in a run's record, but for those that may be changed on the way."""
    kept = _as_stored(Config.from_json(run.config))
    return [key for key in stored if key not in _MAY_DIFFER and kept.get(key) != stored[key]]


def default_selector(environments: Sequence[Environment], name: str = "pareto") -> Selector:
    """A new strategy of this name; the default one works over the rectangle that these environments span.

    Raises:
        InputError: no such strategy.
    """
    if name != "pareto":
        return make_selector(name)
    sides = rectangle(environments)
    return ParetoSelector(TOLERANCE, sides["floor"], sides["left"], sides["right"])


@contextmanager
def open_run(
    archive: Archive,
    name: str,
    workers: int,
    budget: Budget | None = None,
    agents: Sequence[Agent] | None = None,
    *,
    base_url: str | None = None,
    rounds: int | None = None,
    askers: int = 1,
    **options: Any,
) -> Iterator[Search]:
    """A stored run, ready to go (on).

    Args:
        archive, name: where it is kept, and under which name.
        budget: that replaces the run's own from now on, as far as it says something.
        agents: in place of those that the run names, for one that cannot be made by its name.
        base_url: where the models' server is now; None for where it was.
        rounds: more (or fewer) than the run had.
        askers: proposals that are asked for at a time.
        workers, options: see `Evaluator`.

    Raises:
        InputError: no such run, its environments are not what they were, or another process is at it.
    """
    run = archive.run(name)
    kept = Config.from_json(run.config)
    changed = replace(kept, rounds=kept.rounds if rounds is None else rounds)
    if budget is not None:
        changed = replace(changed, budget=budget.over(kept.budget))
    config = changed
    if base_url is not None:
        config = replace(config, settings=replace(config.settings, base_url=base_url))
    if agents is None:
        agents = [make_agent(agent, config.settings, archive) for agent in config.agents]
    environments, _ = run_environments(run, config)
    selector = default_selector(environments, config.selector)
    with alone(archive.name, name), Evaluator(environments, workers, **options) as evaluator:
        if changed != kept:
            archive.set_run_config(name, _as_stored(changed))
        yield Search(archive, name, config, environments, agents, selector, evaluator, askers=askers)
