"""Answers in the shape of OpenAI's chat completions, whole and as events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autotts.live.serve.failures import ApiError
from autotts.live.solution import Solution

__all__ = ["DONE", "THINKING", "Reply", "failed_event"]

DONE = b"data: [DONE]\n\n"
THINKING = b": thinking\n\n"
"""A comment, which clients skip; it keeps proxies from taking a silent connection for a dead one."""


@dataclass(frozen=True)
class Reply:
    """An answer to a request.

    Attributes:
        id, created, model: as OpenAI has them; `created` in seconds since 1970.
        solution: what the controller came to.
        extra: what the field `autotts` tells besides: controller, beta, drift.
    """

    id: str
    created: int
    model: str
    solution: Solution
    extra: Mapping[str, Any]

    @property
    def _finish(self) -> str:
        return "length" if self.solution.stopped else "stop"

    @property
    def _usage(self) -> dict[str, int]:
        made, read = self.solution.generated + self.solution.probe_tokens, self.solution.prompt_tokens
        return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}

    @property
    def _autotts(self) -> dict[str, Any]:
        names = "answer", "confidence", "branches", "tokens", "sequential_tokens", "generated", "probes", "seconds"
        told = {name: getattr(self.solution, name) for name in names}
        return {**told, "votes": dict(self.solution.votes), "stopped": self.solution.stopped, **self.extra}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def whole(self) -> dict[str, Any]:
        """A chat.completion."""
        message = {"role": "assistant", "content": self.solution.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        told = {"choices": [choice], "usage": self._usage, "autotts": self._autotts}
        return {**self._head("chat.completion"), **told}

    def events(self, usage: bool) -> Iterator[bytes]:
        """The events of a stream, [DONE] with them; with `usage` the last but that tells it."""
        own = {"usage": None} if usage else {}  # as OpenAI has it: null in every chunk but the last

        def chunk(delta: dict[str, str], finish: str | None, **more: Any) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return _event({**self._head("chat.completion.chunk"), "choices": [choice], **own, **more})

        yield chunk({"role": "assistant", "content": ""}, None)
        if self.solution.text:
            yield chunk({"content": self.solution.text}, None)
        yield chunk({}, self._finish, autotts=self._autotts)
        if usage:
            yield _event({**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage})
        yield DONE


def failed_event(error: ApiError) -> bytes:
    """An error in a stream that has begun, as clients know it."""
    return _event(error.body)


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
