"""What a search tells while it runs: one typed stream for displays, logs and callbacks."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Any

__all__ = [
    "CallEnded",
    "Event",
    "RoundEnded",
    "SearchEnded",
    "SearchStarted",
    "SearchStopping",
    "SlotEnded",
    "SlotStarted",
    "as_json",
    "event_name",
]


@dataclass(frozen=True)
class Event:
    """Base of all events; `run` is the run's name."""

    run: str


@dataclass(frozen=True)
class SearchStarted(Event):
    """The run is open; `done` slots were in the archive already. Round 0 is the baselines and what people added.

    `seconds` is what it took before, over all its starts, and `limits` has the limits that are set: cost (dollars),
    tokens, time (seconds), proposals, plateau (rounds), target (points).
    """

    rounds: int
    per_round: int
    baselines: int
    added: int
    done: int
    isolation: str
    seconds: float = 0.0
    limits: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class SlotStarted(Event):
    """A candidate is at a stage: propose (then `agent` is who is asked), wait (for a processor), screen or confirm."""

    round: int
    slot: int
    stage: str
    program: str
    agent: str = ""


@dataclass(frozen=True)
class CallEnded(Event):
    """A call of a model has ended: `outcome` is "ok", or what went wrong (it may be tried again).

    `tokens` and `cost` are what counts against the budget; `cost` is None where the price is unknown.
    """

    round: int
    slot: int
    number: int
    agent: str
    outcome: str
    tokens: int
    cost: float | None
    seconds: float


@dataclass(frozen=True)
class SlotEnded(Event):
    """A candidate is in the archive.

    `gain` is the gain at matched tokens over the reference in points with its standard error, None where the candidate
    has no curve; `confirmed` says on which episodes. `points` has the confirmed mean curve: (β, accuracy, tokens) each.
    """

    round: int
    slot: int
    program: str
    idea: str
    outcome: str
    gain: float | None
    gain_se: float | None
    confirmed: bool
    message: str
    points: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class RoundEnded(Event):
    """All slots of a round are in the archive; figures over the whole run.

    `tokens` and `cost` (dollars) are what models took; the price of `unpriced` calls is not known. `cpu_seconds` is
    what programs took since this process began.
    """

    round: int
    candidates: int
    front: int
    hypervolume: float
    best: str
    best_gain: float | None
    best_gain_se: float | None
    saved: float | None
    rejects: tuple[tuple[str, int], ...]
    tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class SearchStopping(Event):
    """The run was told to stop: nothing more is begun, and `begun` slots are still being asked for or evaluated."""

    begun: int


@dataclass(frozen=True)
class SearchEnded(Event):
    """The run is complete, was interrupted, or came to a limit (then `reason` says to which)."""

    finished: bool
    cpu_seconds: float
    reason: str = ""


def event_name(kind: type[Event]) -> str:
    """What JSON calls an event: the name of its class in snake case."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def as_json(event: Event) -> dict[str, Any]:
    """An event as JSON has it: `event`, its name in snake case, then its fields.

    Tuples are lists, and numbers that are not finite are None, as JSON has no NaN. Gains are fractions, as they are in
    the event.
    """
    return {
        "event": event_name(type(event)),
        **{field.name: _plain(getattr(event, field.name)) for field in fields(event)},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value
