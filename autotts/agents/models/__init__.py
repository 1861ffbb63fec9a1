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
    ToolResult,
    Turn,
)

__all__ = [
    "Busy",
    "Lost",
    "Model",
    "ModelError",
    "NoTools",
    "Reply",
    "Request",
    "Stop",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Turn",
]
