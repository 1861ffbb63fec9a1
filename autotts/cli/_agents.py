"""Options of commands that ask agents: how models are called, and what a run may spend."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from autotts.agents import Settings
from autotts.cli._common import FiniteRange, option, prompts_option, with_options
from autotts.search import Budget

__all__ = ["limit_options", "max_proposals_option", "max_time_option", "model_options"]

F = TypeVar("F", bound=Callable[..., Any])

_MOST = 10**12

max_time_option = option("--max-time", type=FiniteRange(0), default=None, metavar="SECONDS", help="That the run takes.")
max_proposals_option = option(
    "--max-proposals", type=click.IntRange(0, _MOST), default=None, help="That agents are asked for."
)


def limit_options(command: F) -> F:
    """`--max-cost`, `--max-agent-tokens`, `--max-time`, `--max-proposals`; the command gets `budget`."""

    @functools.wraps(command)
    def limited(
        *args: Any,
        max_cost: float | None,
        max_agent_tokens: int | None,
        max_time: float | None,
        max_proposals: int | None,
        plateau: int | None,
        target: float | None,
        **kwargs: Any,
    ) -> Any:
        budget = Budget(max_cost, max_agent_tokens, max_time, max_proposals, plateau, target)
        return command(*args, budget=budget, **kwargs)

    ceilings = (
        option("--max-cost", type=FiniteRange(0), default=None, metavar="DOLLARS", help="Of all model calls."),
        option(
            "--max-agent-tokens", type=click.IntRange(0, _MOST), default=None, help="Of all model calls, in and out."
        ),
        max_time_option,
        max_proposals_option,
        option(
            "--plateau", type=click.IntRange(1, _MOST), default=None, help="Rounds in a row without a greater gain."
        ),
        option("--target", type=FiniteRange(0), default=None, metavar="POINTS", help="A gain that is enough."),
    )
    return with_options(ceilings, cast(F, limited))


def model_options(command: F) -> F:
    """How agents that are models are called; the command gets `settings`."""
    default = Settings()

    @functools.wraps(command)
    def asking(
        *args: Any,
        mode: Any,
        base_url: str | None,
        prompts_folder: str | None,
        prices: str | None,
        proposal_seconds: float,
        answer_tokens: int,
        proposal_tokens: int,
        session_turns: int,
        **kwargs: Any,
    ) -> Any:
        settings = Settings(
            mode,
            base_url,
            str(Path(prompts_folder).absolute()) if prompts_folder else None,
            str(Path(prices).absolute()) if prices else None,
            proposal_seconds,
            answer_tokens,
            proposal_tokens,
            session_turns,
        )
        return command(*args, settings=settings, **kwargs)

    options = (
        option(
            "--mode",
            type=click.Choice(["auto", "single", "session"]),
            default=default.mode,
            help="One prompt a program, or a session with tools; auto: a session where the model has tools.",
        ),
        option("--base-url", default=None, metavar="URL", help="Where the model's server is."),
        prompts_option,
        option("--prices", default=None, metavar="FILE", help="Prices that replace the known ones (JSON)."),
        option(
            "--proposal-seconds",
            type=FiniteRange(1, 86_400),
            default=default.proposal_seconds,
            help="The one deadline of a proposal, retries included.",
        ),
        option(
            "--answer-tokens", type=click.IntRange(1, 1_000_000), default=default.answer_tokens, help="Of an answer."
        ),
        option(
            "--proposal-tokens",
            type=click.IntRange(1, _MOST),
            default=default.proposal_tokens,
            help="Of a proposal, in and out, over all its calls.",
        ),
        option("--session-turns", type=click.IntRange(1, 1000), default=default.session_turns, help="Of a session."),
    )
    return with_options(options, cast(F, asking))
