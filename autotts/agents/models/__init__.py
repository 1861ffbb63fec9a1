"""Language models behind servers: one wire format a file."""

from autotts.agents.models._base import (
    Busy,
    Lost,
    Model,
    ModelError,
    NoTools,
    Reply,
    Request,
    Stop,
    Tool,
    ToolCall,
    TooLong,
    ToolResult,
    Turn,
)
from autotts.agents.models._failures import Secret, hints, read_refusal, refused
from autotts.agents.models._json import sendable
from autotts.agents.models.providers import PROVIDERS, Provider, make_address, make_model

__all__ = [
    "PROVIDERS",
    "Busy",
    "Lost",
    "Model",
    "ModelError",
    "NoTools",
    "Provider",
    "Reply",
    "Request",
    "Secret",
    "Stop",
    "TooLong",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Turn",
    "hints",
    "make_address",
    "make_model",
    "read_refusal",
    "refused",
    "sendable",
]
