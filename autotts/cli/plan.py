"""What a search would ask, cost and take at most, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from autotts.agents import Agent, Settings, make_agent, most_of
from autotts.archive import Archive
from autotts.cli._common import console, print_json
from autotts.errors import InputError
from autotts.search import Config, Limits

__all__ = ["affordable", "make_agents", "show_plan"]


def make_agents(names: Sequence[str], settings: Settings, archive: str) -> list[Agent]:
    """The agents of these names, the archive only read where one answers from it.

    Raises:
        InputError: see `make_agent`.
    """
    if not any(name.startswith("replay/") for name in names):
        return [make_agent(name, settings) for name in names]
    with Archive(archive, create=False) as store:
        return [make_agent(name, settings, store) for name in names]


def affordable(agents: Sequence[Agent], limits: Limits) -> None:
    """Refuse a ceiling of dollars where nobody knows what a call costs.

    Raises:
        InputError: a price is unknown.
    """
    if limits.cost is None:
        return
    for agent in agents:
        if most_of(agent)[1] is None:
            raise InputError(
                f"--max-cost {limits.cost:g}: the price of {agent.name} is unknown, so a ceiling of dollars could not be "
                f'kept; give it with --prices FILE, {{"{agent.name}": {{"input": 0, "output": 0}}}} in dollars a million '
                "tokens, or use --max-tokens"
            )


@dataclass(frozen=True)
class _Line:
    agent: str
    proposals: int
    calls: int
    tokens: int
    cost: float | None


def show_plan(config: Config, agents: Sequence[Agent], as_json: bool) -> int:
    """Print what the run would ask, cost and take at most."""
    slots = config.rounds * config.proposals_per_round
    if config.limits.proposals is not None:
        slots = min(slots, config.limits.proposals)
    lines = []
    for k, agent in enumerate(agents):
        n = len(range(k, slots, len(agents)))
        tokens, cost = most_of(agent)
        calls = int(getattr(agent, "calls", 0))
        lines.append(_Line(agent.name, n, n * calls, n * tokens, None if cost is None else n * cost))
    limits, seconds = config.limits, config.settings.proposal_seconds
    asking = slots * seconds if any(line.calls for line in lines) else 0.0
    tokens = _least(sum(line.tokens for line in lines), limits.tokens)
    known = [line.cost for line in lines if line.cost is not None]
    cost = _least(sum(known), limits.cost) if len(known) == len(lines) else limits.cost
    at_most = {
        "proposals": slots,
        "calls": sum(line.calls for line in lines),
        "tokens": tokens,
        "dollars": cost,
        "asking_seconds": _least(asking, limits.time),
    }
    if as_json:
        print_json({"agents": [vars(line) for line in lines], "at_most": at_most})
        return 0
    out = console()
    for line in lines:
        price = "price unknown" if line.cost is None else f"${line.cost:,.2f}"
        out.print(
            f"{line.agent}: {line.proposals} proposals, at most {line.calls:,} calls, {line.tokens:,} tokens, {price}"
        )
    click.echo(
        f"in all, at most: {slots} proposals, {at_most['calls']:,} calls, {tokens:,} tokens, "
        f"{'an unknown sum' if cost is None else f'${cost:,.2f}'}, {at_most['asking_seconds']:,.0f} s of asking; then "
        f"every program is screened on {config.betas} β × {config.screen_seeds} seeds and confirmed on {config.seeds}"
    )
    return 0


def _least(value: float, limit: float | None) -> float:
    return value if limit is None else min(value, limit)
