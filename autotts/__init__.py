"""AutoTTS: discover how a language model should spend its test-time compute.

The public surface, loaded name by name when first used. Three nouns explain it: an *archive* keeps programs and what
they scored, an *agent* writes programs, a *search* runs them against recorded environments and tells the agent.
A *recording* makes an environment of a model behind a server, and a *solver* runs a program in front of one.
Errors are in `autotts.errors`, what programs may import in `autotts.toolkit`. docs/library.md shows it in use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autotts.agents import Agent, Candidate, Context, MockAgent, Proposal, Settings, make_agent
    from autotts.archive import Archive
    from autotts.errors import AgentError, AutoTTSError, InputError, LimitReached, ProgramError, ServerError
    from autotts.evaluation import Curve, EnvironmentResult, Evaluator, Program, Protocol, load_program, shipped
    from autotts.live.connect import Connection, Sampling, connect
    from autotts.live.reading import Reader
    from autotts.live.record import Recording
    from autotts.live.solver import Solution, Solver
    from autotts.replay import (
        UNPARSED,
        Environment,
        Episode,
        Question,
        Trajectory,
        load_environment,
        load_environments,
        read_questions,
        save_environment,
        synthetic_environments,
    )
    from autotts.sandbox import Limits, Sandbox
    from autotts.search import Budget, Config, Event, Listeners, Search, default_selector, open_run, start_run

__all__ = [
    "UNPARSED",
    "Agent",
    "AgentError",
    "Archive",
    "AutoTTSError",
    "Budget",
    "Candidate",
    "Config",
    "Connection",
    "Context",
    "Curve",
    "Environment",
    "EnvironmentResult",
    "Episode",
    "Evaluator",
    "Event",
    "InputError",
    "LimitReached",
    "Limits",
    "Listeners",
    "MockAgent",
    "Program",
    "ProgramError",
    "Proposal",
    "Protocol",
    "Question",
    "Reader",
    "Recording",
    "Sampling",
    "Sandbox",
    "Search",
    "ServerError",
    "Settings",
    "Solution",
    "Solver",
    "Trajectory",
    "connect",
    "default_selector",
    "load_environment",
    "load_environments",
    "load_program",
    "make_agent",
    "open_run",
    "read_questions",
    "save_environment",
    "shipped",
    "start_run",
    "synthetic_environments",
]

_ROOMS = {
    "agents": "Agent Candidate Context MockAgent Proposal Settings make_agent",
    "archive": "Archive",
    "errors": "AgentError AutoTTSError InputError LimitReached ProgramError ServerError",
    "evaluation": "Curve EnvironmentResult Evaluator Program Protocol load_program shipped",
    "live.connect": "Connection Sampling connect",
    "live.reading": "Reader",
    "live.record": "Recording",
    "live.solver": "Solution Solver",
    "replay": "UNPARSED Environment Episode Question Trajectory load_environment load_environments read_questions "
    "save_environment synthetic_environments",
    "sandbox": "Limits Sandbox",
    "search": "Budget Config Event Listeners Search default_selector open_run start_run",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'autotts' has no attribute {name!r}")
    return getattr(import_module(f"autotts.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
