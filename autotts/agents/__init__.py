"""Who writes programs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal

from autotts.agents._base import Agent, Candidate, Context, Proposal, Purse
from autotts.agents.history import History
from autotts.agents.mock import MockAgent
from autotts.errors import InputError

if TYPE_CHECKING:
    from autotts.archive import Archive

__all__ = [
    "Agent",
    "Candidate",
    "Context",
    "History",
    "MockAgent",
    "Mode",
    "Proposal",
    "Purse",
    "Settings",
    "make_agent",
    "most_of",
]

Mode = Literal["auto", "single", "session"]


@dataclass(frozen=True)
class Settings:
    """How agents that call models go about it; a part of a run's configuration.

    Attributes:
        mode: "session" where the model has tools and "single" where it has none ("auto"), or one of them always.
        base_url: the server's address, where it is not the provider's own.
        prompts: folder with templates that replace the shipped ones.
        prices: file of prices that replace the known ones.
        proposal_seconds: the one deadline of a proposal, retries included.
        answer_tokens: that one answer may have.
        proposal_tokens: that a proposal may use, in and out, over all its calls.
        session_turns: answers of the model in a session.
    """

    mode: Mode = "auto"
    base_url: str | None = None
    prompts: str | None = None
    prices: str | None = None
    proposal_seconds: float = 900.0
    answer_tokens: int = 16_000
    proposal_tokens: int = 1_000_000
    session_turns: int = 30


def most_of(agent: Agent) -> tuple[int | None, float | None]:
    """The most tokens and dollars that one of an agent's proposals may take; None where that is unknown.

    An agent says so in a method `most`; of one that has none (and calls models) nothing is known.
    """
    most = getattr(agent, "most", None)
    told: tuple[int | None, float | None] = most() if most is not None else (None, None)
    return told


def make_agent(name: str, settings: Settings | None = None, archive: Archive | None = None) -> Agent:
    """The agent of this name.

    Args:
        name: `evolution`; `polish`; `provider/model`; `command/NAME`; `mock/FILE`; `replay/RUN`; or what an installed
            entry point `agent.NAME` of group `autotts` gives.
        settings: of agents that call models.
        archive: where `replay` finds its run.

    Raises:
        InputError: no such agent, or it cannot work here (key, package, address).
    """
    settings = settings or Settings()
    if name == "evolution":
        from autotts.agents.evolution import EvolutionAgent

        return EvolutionAgent()
    if name == "polish":
        from autotts.agents.polish import PolishAgent

        return PolishAgent()
    for point in entry_points(group="autotts"):
        if point.name == f"agent.{name}":
            agent: Agent = point.load()()
            return agent
    if name == "mcp":
        raise InputError(
            "mcp: the programs of such a run come from a coding agent of yours; `autotts mcp --run NAME` starts it and "
            "goes on with it"
        )
    kind, slash, rest = name.partition("/")
    if not slash or not rest:
        raise InputError(
            f"--agent {name}: no such agent; there are evolution, polish, PROVIDER/MODEL (anthropic/…, openai/…, "
            "vllm/…, openai-compatible/… and others), command/NAME, mock/FILE, replay/RUN, and what packages install"
        )
    made: Any
    if kind == "mock":
        from autotts.agents.mock import load_script

        made = load_script(rest)
    elif kind == "replay":
        from autotts.agents.replay import ReplayAgent

        made = ReplayAgent(archive, rest)
    elif kind == "command":
        from autotts.agents.command import make_command

        made = make_command(rest, settings)
    else:
        from autotts.agents.llm import ModelAgent
        from autotts.agents.models import make_model

        made = ModelAgent(make_model(name, settings.base_url), settings)
    found: Agent = made
    return found
