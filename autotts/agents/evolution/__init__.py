"""The built-in offline agent: evolution over interchangeable mechanisms."""

from autotts.agents.evolution.agent import EvolutionAgent

__all__ = ["EvolutionAgent"]
