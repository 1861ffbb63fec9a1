"""The agent that polishes: it tunes the constants of a front member, each program once."""

from __future__ import annotations

import random

from autotts.agents._base import Candidate, Context, Proposal
from autotts.agents.polish.tuning import GENERATIONS, optimiser, polished
from autotts.errors import LimitReached, NothingBetter, ProgramError

__all__ = ["PolishAgent"]


class PolishAgent:
    """Gives a program of the front better constants, by CPU and without a model. Deterministic given (context, rng).

    Args:
        generations: of the optimiser; see `polished`.

    Raises:
        InputError: the package of the optimiser is not installed.
    """

    name = "polish"

    def __init__(self, generations: int = GENERATIONS) -> None:
        optimiser()
        self._generations = generations

    def most(self) -> tuple[int, float | None]:
        """No tokens, no dollars: no model is called."""
        return 0, 0.0

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """A child of a front member that was not polished before.

        Raises:
            NothingBetter: there is none left, or no constants are better than its own.
            LimitReached: the run's time is over.
        """
        parent = self._parent(context)
        if context.bench is None or parent is None:
            raise NothingBetter("there is no program on the front that was not polished yet")

        def go_on() -> None:
            if context.purse is not None and context.purse.seconds_left() <= 0:
                raise LimitReached("--max-time: it is over before the constants were tuned")

        try:
            found = polished(context.bench, parent.program, rng, go_on, generations=self._generations)
        except ProgramError as error:
            raise NothingBetter(f"{parent.id} cannot be polished: {error}") from error
        return Proposal(found.program.source, (parent.id,), found.to_json())

    def _parent(self, context: Context) -> Candidate | None:
        """The best by gain of the chosen parents and the front that is not taken; baselines come last.

        Proposals that were asked for and are not told of yet have taken the first of those that are left.
        """
        mine = [candidate for candidate in context.candidates if candidate.agent == self.name]
        taken = {parent for candidate in mine for parent in candidate.parents}
        taken |= {word for candidate in mine if not candidate.id for word in candidate.message.split()}
        there = [c for c in (*context.parents, *context.candidates) if c.outcome == "ok" and c.class_name is None]
        chosen = {parent.id for parent in context.parents}
        left = {c.id: c for c in there if (c.front or c.id in chosen) and c.agent != self.name and c.id not in taken}
        order = sorted(left.values(), key=lambda c: (c.agent == "baseline", -(c.gain or 0.0), c.id))
        ahead = context.number - len(mine)
        return order[ahead] if 0 <= ahead < len(order) else None
