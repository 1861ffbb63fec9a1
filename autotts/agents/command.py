"""A coding agent's command line as an agent."""

from __future__ import annotations

from autotts.agents import Agent, Settings

__all__ = ["make_command"]


def make_command(name: str, settings: Settings) -> Agent:
    """The agent `command/NAME`."""
    raise NotImplementedError
