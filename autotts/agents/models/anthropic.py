"""Anthropic's Messages API, through its SDK."""

from __future__ import annotations

import json
from typing import Any

from autotts.agents.models._base import Reply, Request, Stop, ToolCall
from autotts.agents.models._json import a_dict, a_list, a_text, count
from autotts.agents.models._server import ServerModel, exchanges

__all__ = ["AnthropicModel"]

_CACHE = {"type": "ephemeral"}
_NOTHING = {"type": "text", "text": "(nothing)"}

# `pause_turn` comes with tools that the server itself runs; none are asked for, so it means an unfinished answer.
_STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tools",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "refusal",
}

_USAGE = {
    "input_tokens": "input",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
    "output_tokens": "output",
}


class AnthropicModel(ServerModel):
    """A model behind the Messages API.

    The prompt is cached up to three places: after tools and system prompt, which are the same over a whole run, and
    after the last two things said to the model, so that a conversation pays for its past at the cached rate. (Two,
    because the server looks back only twenty blocks for an earlier entry, and one turn may add more.)
    `Reply.raw` is the list of content blocks, thinking included.
    """

    package = "anthropic"

    def _client(self, **options: Any) -> Any:
        return self._sdk.AsyncAnthropic(**options)

    def _endpoint(self, client: Any) -> Any:
        return client.messages.with_streaming_response.create

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": request.max_tokens,
            "messages": _messages(request),
        }
        if request.system:
            body["system"] = [{"type": "text", "text": request.system, "cache_control": _CACHE}]
        tools: list[dict[str, Any]] = [
            {"name": tool.name, "description": tool.description, "input_schema": dict(tool.schema)}
            for tool in request.tools
        ]
        if tools and not request.system:
            tools[-1]["cache_control"] = _CACHE
        called = sorted({call.name for turn in request.turns if turn.reply for call in turn.reply.calls})
        if called and not tools:
            # A conversation with calls in it must define tools, also where no more may be called.
            tools = [{"name": name, "input_schema": {"type": "object"}} for name in called]
            body["tool_choice"] = {"type": "none"}
        if tools:
            body["tools"] = tools
        return body

    def _reply(self, answer: dict[str, Any], body: dict[str, Any]) -> Reply:
        blocks = [a_dict(block, "a block of content") for block in a_list(answer.get("content"), "content")]
        texts, calls = [], []
        for block in blocks:
            kind = a_text(block.get("type"), "a block's type")
            if kind == "text":
                texts.append(a_text(block.get("text"), "a block's text"))
            elif kind == "tool_use":
                given = block.get("input")
                calls.append(
                    ToolCall(
                        a_text(block.get("id"), "a call's id"),
                        a_text(block.get("name"), "a call's name"),
                        given if isinstance(given, dict) else None,
                        json.dumps(given, ensure_ascii=False),
                    )
                )
        stop = _STOPS.get(str(answer.get("stop_reason")), "end")
        if stop in ("end", "tools"):
            stop = "tools" if calls else "end"
        return Reply("".join(texts), tuple(calls), stop, _usage(answer), blocks)


def _usage(answer: dict[str, Any]) -> dict[str, int]:
    told = answer.get("usage")
    if not isinstance(told, dict):
        return {}
    counts = {ours: count(told.get(theirs)) for theirs, ours in _USAGE.items()}
    return {kind: tokens for kind, tokens in counts.items() if tokens is not None}


def _messages(request: Request) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn, results, reply in exchanges(request.turns):
        said: list[dict[str, Any]] = [
            {
                "type": "tool_result",
                "tool_use_id": result.id,
                "content": result.text or "(nothing)",
                **({"is_error": True} if result.failed else {}),
            }
            for result in results
        ]
        if turn.text.strip() or not said:
            said.append({"type": "text", "text": turn.text if turn.text.strip() else _NOTHING["text"]})
        messages.append({"role": "user", "content": said})
        if reply is not None:
            messages.append({"role": "assistant", "content": _blocks(reply)})
    users = [message for message in messages if message["role"] == "user"]
    for message in users[-2:]:
        message["content"][-1]["cache_control"] = _CACHE
    return messages


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    """A reply as it came; from its text and calls where it came from elsewhere.

    The API refuses to be given back some of what it gives: no content, blank text, thinking with nothing after it.
    """
    blocks: list[dict[str, Any]] = [dict(block) for block in reply.raw or ()]
    if not blocks:
        blocks.append({"type": "text", "text": reply.text})
        for call in reply.calls:
            blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments or {})})
    blocks = [block for block in blocks if block["type"] != "text" or block["text"].strip()]
    finished = bool(blocks) and not blocks[-1]["type"].endswith("thinking")
    return blocks if finished else [*blocks, dict(_NOTHING)]
