"""What a search would ask, cost and take at most, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar, cast

import click

from autotts.agents import Agent, Settings, make_agent, most_of
from autotts.archive import Archive
from autotts.cli._common import console, print_json
from autotts.errors import InputError
from autotts.search import Budget, Config

Number = TypeVar("Number", int, float)

__all__ = ["affordable", "make_agents", "show_plan"]


def make_agents(names: Sequence[str], settings: Settings, archive: str) -> list[Agent]:
    """The agents of these names, the archive only read where one answers from it.

    Raises:
        InputError: see `make_agent`.
    """
    if not any(name.startswith("replay/") and ":" not in name for name in names):
        return [make_agent(name, settings) for name in names]
    with Archive(archive, create=False) as store:
        return [make_agent(name, settings, store) for name in names]


def affordable(agents: Sequence[Agent], budget: Budget) -> None:
    """Refuse a ceiling of dollars where nobody knows what a call costs.

    Raises:
        InputError: a price is unknown.
    """
    if budget.cost is None:
        return
    for agent in agents:
        if most_of(agent)[1] is None:
            raise InputError(
                f"--max-cost {budget.cost:g}: the price of {agent.name} is unknown, so no such ceiling could "
                f'be kept; give it with --prices FILE, {{"{agent.name}": {{"input": 0, "output": 0}}}} in dollars a '
                "million tokens, or use --max-agent-tokens"
            )


@dataclass(frozen=True)
class _Line:
    """An agent's share of a run: the most of everything."""

    agent: str
    proposals: int
    calls: int
    tokens: int | None
    dollars: float | None

    def text(self) -> str:
        price = "price unknown" if self.dollars is None else f"${self.dollars:,.2f}"
        tokens = "an unknown number of" if self.tokens is None else f"{self.tokens:,}"
        return f"{self.proposals} proposals, at most {self.calls:,} calls, {tokens} tokens, {price}"


def show_plan(config: Config, agents: Sequence[Agent], as_json: bool) -> int:
    """Print what the run would ask, cost and take at most."""
    slots = config.rounds * config.proposals_per_round
    if config.budget.proposals is not None:
        slots = min(slots, config.budget.proposals)
    lines = []
    for k, agent in enumerate(agents):
        n = len(range(k, slots, len(agents)))
        tokens, dollars = most_of(agent)
        calls = int(getattr(agent, "calls", 0))
        lines.append(
            _Line(
                agent.name,
                n,
                n * calls,
                None if tokens is None else n * tokens,
                None if dollars is None else n * dollars,
            )
        )
    budget = config.budget
    tokens_in_all = _at_most([line.tokens for line in lines], budget.tokens)
    cost = _at_most([line.dollars for line in lines], budget.cost)
    asking = config.settings.proposal_seconds * sum(line.proposals for line in lines if line.calls)
    if budget.time is not None:
        asking = min(asking, budget.time)
    whole = _Line("all agents", slots, sum(line.calls for line in lines), tokens_in_all, cost)
    if as_json:
        print_json({"agents": [asdict(line) for line in lines], "all": asdict(whole), "asking_seconds": asking})
        return 0
    for line in [*lines, whole]:
        console().print(f"{line.agent}: {line.text()}", soft_wrap=True)
    screen = config.screen_protocol
    click.echo(
        f"asking takes at most {asking:,.0f} s; every program is screened on {len(screen.betas)} β × "
        f"{len(screen.seeds)} seeds and, where it could touch the front, confirmed on {config.betas} β × {config.seeds}"
    )
    return 0


def _at_most(shares: Sequence[Number | None], limit: Number | None) -> Number | None:
    """The sum of all shares, or the limit where that is less or a share is unknown."""
    known = [share for share in shares if share is not None]
    if len(known) < len(shares):
        return limit
    whole = cast(Number, sum(known))
    return whole if limit is None else min(whole, limit)
