"""Whose turn it is, and what becomes of an agent that fails or falls silent."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotts.agents import Agent, Context, Proposal
from autotts.errors import AgentDown, AgentError, AgentFailed, AgentUnavailable, AutoTTSError

__all__ = ["Turns"]

BUILT_IN = ("evolution",)
"""Agents whose programs are AutoTTS's own: they run where strict isolation cannot be had."""

DOWN = 3
"""Proposals in a row to which an agent gave no answer, after which the run waits for a person."""


@dataclass
class Turns:
    """The agents of a run, which share its slots in turn.

    Args:
        agents: in their order.
        per_round: slots of a round.
    """

    agents: Sequence[Agent]
    per_round: int
    _silent: Counter[str] = field(init=False, default_factory=Counter)

    @property
    def all_built_in(self) -> bool:
        """Whether all programs will be AutoTTS's own."""
        return all(agent.name in BUILT_IN for agent in self.agents)

    def asked_before(self, place: tuple[int, int]) -> int:
        """Proposals that are asked for before that of a round and slot."""
        return (place[0] - 1) * self.per_round + place[1]

    def at(self, place: tuple[int, int]) -> tuple[Agent, int]:
        """(whose turn it is at a round and slot, how many proposals it was asked for before)."""
        turn = self.asked_before(place)
        return self.agents[turn % len(self.agents)], turn // len(self.agents)

    def built_in(self, place: tuple[int, int]) -> bool:
        """Whether a built-in agent's turn it is."""
        return self.at(place)[0].name in BUILT_IN

    def is_busy(self, place: tuple[int, int], asking: Iterable[tuple[int, int]]) -> bool:
        """Whether the agent of a slot is being asked for another one, and takes one at a time."""
        agent, _ = self.at(place)
        return not getattr(agent, "concurrent", False) and any(self.at(other)[0] is agent for other in asking)

    def ask(self, place: tuple[int, int], context: Context, rng: random.Random) -> Proposal | AgentError:
        """What the agent answers; an error of its own code is an outcome like others, and stops no search."""
        agent, _ = self.at(place)
        try:
            answer: Any = agent.propose(context, rng)
        except AgentError as error:
            return error
        except AutoTTSError:
            raise
        except (Exception, SystemExit) as error:  # `sys.exit(0)` in somebody's code must not end a search as if done
            frames = traceback.extract_tb(error.__traceback__)
            where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
            return AgentFailed(f"{agent.name} failed{where}: {type(error).__name__}: {error}")
        if isinstance(answer, Proposal):
            return answer
        return AgentFailed(f"{agent.name} gave a {type(answer).__name__}, not a Proposal")

    def hear(self, place: tuple[int, int], answer: Proposal | AgentError) -> None:
        """Count answers that did not come, for an agent that gives none would use up all slots for nothing.

        Raises:
            AgentDown: it was one too many.
        """
        agent = self.at(place)[0].name
        silent = isinstance(answer, AgentUnavailable | AgentFailed)
        self._silent[agent] = self._silent[agent] + 1 if silent else 0
        if self._silent[agent] >= DOWN:
            raise AgentDown(f"{agent} did not answer in {DOWN} proposals in a row ({answer})")
