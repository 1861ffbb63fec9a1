"""Who writes programs."""

from __future__ import annotations

from importlib.metadata import entry_points

from autotts.agents._base import Agent, Candidate, Context, Proposal
from autotts.errors import InputError

__all__ = ["Agent", "Candidate", "Context", "Proposal", "make_agent"]


def make_agent(name: str) -> Agent:
    """The agent of this name: `evolution`, or what an installed entry point `agent.NAME` of group `autotts` gives.

    Raises:
        InputError: no such agent.
    """
    if name == "evolution":
        from autotts.agents.evolution import EvolutionAgent

        return EvolutionAgent()
    for point in entry_points(group="autotts"):
        if point.name == f"agent.{name}":
            agent: Agent = point.load()()
            return agent
    raise InputError(f"--agent {name}: no such agent; there is `evolution`, and what packages install")
