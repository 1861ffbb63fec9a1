"""An agent that answers what was answered before: a run of an archive again, free and exact."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from autotts.agents._base import Context, Proposal
from autotts.archive import Archive
from autotts.archive.records import ID_LENGTH
from autotts.errors import AGENT_OUTCOMES, InputError, NotSubmitted

__all__ = ["ReplayAgent"]


class ReplayAgent:
    """Proposes what a recorded run proposed in the same round and slot; calls nobody, costs nothing.

    Args:
        archive: where the search is kept, which holds the recorded run as well unless another one is named.
        recorded: the run's name, or `ARCHIVE:RUN`.

    Raises:
        InputError: there is no such run.
    """

    concurrent = True

    def __init__(self, archive: Archive | None, recorded: str) -> None:
        elsewhere, _, self._run = recorded.rpartition(":")
        if archive is None and not elsewhere:
            raise InputError(
                f"--agent replay/{recorded}: there is no archive with that run yet; give --archive, or "
                f"replay/ARCHIVE:{recorded}"
            )
        self.name = f"replay/{recorded}"
        self._archive, self._elsewhere = archive, elsewhere
        with self._opened() as opened:
            opened.run(self._run)

    @contextmanager
    def _opened(self) -> Iterator[Archive]:
        if self._elsewhere:
            with Archive(self._elsewhere, create=False) as archive:
                yield archive
        else:
            assert self._archive is not None
            yield self._archive

    def most(self) -> tuple[int, float | None]:
        """No tokens, no dollars: no model is called."""
        return 0, 0.0

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The recorded proposal.

        Raises:
            AgentError: there was none in this slot, or the recorded agent gave no program.
        """
        with self._opened() as archive:
            found = archive.proposal(self._run, context.round, context.slot)
        if found is None or (found.verdict is None and not found.source):
            raise NotSubmitted(f"{self._run} has no answer in slot {context.round}.{context.slot}")
        if found.verdict is not None and found.verdict.outcome in AGENT_OUTCOMES and not found.source:
            raise AGENT_OUTCOMES[found.verdict.outcome](found.verdict.message)
        parents = tuple(parent[:ID_LENGTH] for parent in found.parents)
        return Proposal(found.source, parents, found.answer, found.prompt)
