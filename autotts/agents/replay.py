"""An agent that answers what was answered before: a run of an archive again, free and exact."""

from __future__ import annotations

import random

from autotts.agents._base import Context, Proposal
from autotts.archive import Archive
from autotts.archive.records import ID_LENGTH
from autotts.errors import AGENT_OUTCOMES, InputError, NotSubmitted

__all__ = ["ReplayAgent"]


class ReplayAgent:
    """Proposes what a recorded run proposed in the same round and slot; calls nobody, costs nothing.

    Args:
        archive: that holds the recorded run.
        run: its name.

    Raises:
        InputError: there is no such run.
    """

    def __init__(self, archive: Archive | None, run: str) -> None:
        if archive is None:
            raise InputError(f"--agent replay/{run}: there is no archive with that run yet; give --archive")
        archive.run(run)
        self.name = f"replay/{run}"
        self._archive = archive
        self._run = run

    def most(self) -> tuple[int, float | None]:
        """No tokens, no dollars: no model is called."""
        return 0, 0.0

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The recorded proposal.

        Raises:
            AgentError: there was none in this slot, or the recorded agent gave no program.
        """
        found = self._archive.proposal(self._run, context.round, context.slot)
        if found is None or (found.verdict is None and not found.source):
            raise NotSubmitted(f"{self._run} has no answer in slot {context.round}.{context.slot}")
        if found.verdict is not None and found.verdict.outcome in AGENT_OUTCOMES and not found.source:
            raise AGENT_OUTCOMES[found.verdict.outcome](found.verdict.message)
        parents = tuple(parent[:ID_LENGTH] for parent in found.parents)
        return Proposal(found.source, parents, found.answer, found.prompt)
