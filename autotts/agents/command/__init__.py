"""Coding agents as agents: a command line in a scratch folder, which edits controller.py (docs/command-agents.md)."""

from __future__ import annotations

from autotts.agents import Agent, Settings
from autotts.agents.command.agent import CommandAgent
from autotts.agents.command.presets import CommandLine, Report, command_line

__all__ = ["CommandAgent", "CommandLine", "Report", "command_line", "make_command"]


def make_command(name: str, settings: Settings) -> Agent:
    """The agent `command/NAME`.

    Args:
        name: `claude`, `codex`, either with `:MODEL`, or a command with its arguments.
        settings: its time, tokens, templates and prices.

    Raises:
        InputError: no such program, or no such command.
    """
    return CommandAgent(name, settings)
