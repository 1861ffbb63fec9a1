"""What a language model is to an agent: one question, one answer, with tools where it has them.

Adapters translate to one wire format each and send a request exactly once: retries, deadlines and money are the
caller's (autotts/agents/calling.py), so no two layers of retries stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from autotts.errors import InputError

__all__ = [
    "Busy",
    "Lost",
    "Model",
    "ModelError",
    "NoTools",
    "Reply",
    "Request",
    "Stop",
    "TooLong",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Turn",
]

Stop = Literal["end", "tools", "length", "refusal"]
"""Why a model stopped: by itself, to have tools called, at its token limit, or because it (or a filter) declined."""


@dataclass(frozen=True)
class Tool:
    """A tool that a model may call.

    Attributes:
        name: letters, digits and `_`.
        description: what it gives and when it is of use.
        schema: JSON Schema of its arguments, an object.
    """

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """A call that a model wants: `arguments` is None where what it wrote is no JSON object; `written` is its text."""

    id: str
    name: str
    arguments: Mapping[str, Any] | None
    written: str = ""


@dataclass(frozen=True)
class ToolResult:
    """What a tool gave; `failed` says that it is an error's message."""

    id: str
    text: str
    failed: bool = False


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        text: all its text, thinking left out.
        calls: tools that it wants called, in order.
        stop: see `Stop`.
        usage: tokens by kind: "input" (not cached), "cache_read", "cache_write", "output"; a kind that the server did
            not tell is left out. {} where it told nothing.
        raw: the answer as the provider's own JSON blocks, given back to it in the next request; plain JSON values.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    stop: Stop = "end"
    usage: Mapping[str, int] = field(default_factory=dict)
    raw: Any = None


@dataclass(frozen=True)
class Turn:
    """One exchange of a conversation: what was said to the model (text, or results of its calls), and its reply.

    The last turn of a request has no reply yet.
    """

    text: str = ""
    results: tuple[ToolResult, ...] = ()
    reply: Reply | None = None


@dataclass(frozen=True)
class Request:
    """What a model is asked.

    Attributes:
        system: the system prompt, the same over a whole run, so that it can be cached.
        turns: the conversation, oldest first.
        tools: empty where none may be called.
        max_tokens: that the answer may have.
    """

    system: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    max_tokens: int = 16_000


class Model(Protocol):
    """A model behind a server.

    Attributes:
        name: `provider/model`.
        tools: whether it can be given tools, as far as is known before it is asked.
    """

    name: str
    tools: bool

    def ask(self, request: Request, timeout: float) -> Reply:
        """Send the request once and wait at most `timeout` seconds.

        Raises:
            Busy: the server did not do it and did not charge for it; later it may.
            Lost: no answer came, or none that can be read; the work may have been charged.
            NoTools: the server refuses tools; without them it may answer.
            TooLong: prompt and room for the answer exceed what the model can hold; a shorter request may be answered.
            InputError: it never will (key, model's name, address, request): what is wrong and how to mend it.
        """
        ...


class ModelError(Exception):
    """A request that got no answer; the message has no key in it."""


class Busy(ModelError):
    """Not done, not charged (429, 5xx, 529, connection refused).

    Attributes:
        retry_after: seconds that the server asked to wait, None where it said nothing.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Lost(ModelError):
    """Sent, and no answer that can be read came back: a hang, a dropped connection, garbage. It may be charged."""


class NoTools(ModelError):
    """The server takes no tools."""


class TooLong(InputError):
    """Prompt and room for the answer do not fit the model's window: not done, not charged.

    An `InputError`, because the same request fails for ever; a class of its own, because a caller that can shorten
    what it sends (less history, fewer traces) may go on. An answer that outgrew the window is no error: it comes back
    as a `Reply` with stop "length".
    """
