"""The three wire formats from the server's side: what a request must be, and how an answer is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class BadRequest(Exception):
    """A request that the real API would answer with 400."""


@dataclass(frozen=True)
class Say:
    """A step: an answer.

    Attributes:
        text: what is said.
        calls: (tool, arguments); arguments that are a str are sent as they are (malformed, where the format has text).
        stop: "length" or "refusal" instead of how it would end.
        thinking: comes before the text, in the format's own shape.
        cached: of the tokens in, how many were read from the cache.
        written: and how many were written to it.
        usage: False leaves it out.
        extra: fields put over the answer.
    """

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any] | str]] = ()
    stop: str = ""
    thinking: str = ""
    cached: int = 0
    written: int = 0
    usage: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wire:
    """A format: its path, its check of a request, its answer, and its way of writing an error."""

    path: str
    check: Callable[[dict[str, Any]], None]
    answer: Callable[[Say, dict[str, Any], int], dict[str, Any]]
    error: Callable[[int, str, str], dict[str, Any]]


def need(condition: object, message: str) -> None:
    if not condition:
        raise BadRequest(message)


def tokens_of(value: object) -> int:
    """As many tokens as a server might count: a quarter of the letters."""
    return max(1, len(json.dumps(value)) // 4)


def _fields(body: Mapping[str, Any], required: Mapping[str, type], optional: Mapping[str, type]) -> None:
    for name, kind in required.items():
        need(name in body, f"{name}: Field required")
        need(isinstance(body[name], kind), f"{name}: Input should be {kind.__name__}")
    for name, value in body.items():
        need(name in required or name in optional, f"{name}: Extra inputs are not permitted")
        if name in optional:
            need(isinstance(value, optional[name]), f"{name}: Input should be {optional[name].__name__}")


def _schema(schema: object) -> None:
    need(isinstance(schema, dict) and schema.get("type") == "object", "a tool's schema must be an object's")


# Anthropic ---------------------------------------------------------------------------------------------------------


def check_anthropic(body: dict[str, Any]) -> None:
    _fields(
        body,
        {"model": str, "max_tokens": int, "messages": list},
        {"system": list, "tools": list, "tool_choice": dict},
    )
    need(body["messages"], "messages: at least one message is required")
    tools = {tool["name"] for tool in body.get("tools", [])}
    for tool in body.get("tools", []):
        _fields(tool, {"name": str, "input_schema": dict}, {"description": str, "cache_control": dict})
        _schema(tool["input_schema"])
    pending: set[str] = set()
    for place, message in enumerate(body["messages"]):
        role = "user" if place % 2 == 0 else "assistant"
        need(message["role"] == role, f"messages.{place}: roles must alternate")
        need(
            isinstance(message["content"], list) and message["content"], f"messages.{place}: content must not be empty"
        )
        pending = _check_blocks(place, role, message["content"], pending, tools)
    need(not pending, "tool_use ids were found without tool_result blocks")
    need(body["messages"][-1]["role"] == "user", "the conversation must end with a user message")
    need(json.dumps(body).count('"cache_control"') <= 4, "A maximum of 4 blocks with cache_control may be provided")


_BLOCKS = {
    "text": ({"type": str, "text": str}, {"cache_control": dict, "citations": object}),
    "thinking": ({"type": str, "thinking": str, "signature": str}, {}),
    "tool_use": ({"type": str, "id": str, "name": str, "input": dict}, {"cache_control": dict}),
    "tool_result": ({"type": str, "tool_use_id": str}, {"content": str, "is_error": bool, "cache_control": dict}),
}


def _check_blocks(place: int, role: str, blocks: list[Any], pending: set[str], tools: set[str]) -> set[str]:
    """Checks a message's blocks; gives the calls that the next message must answer."""
    asked: set[str] = set()
    answered: set[str] = set()
    for block in blocks:
        need(block.get("type") in _BLOCKS, f"messages.{place}: unknown block {block.get('type')!r}")
        _fields(block, *_BLOCKS[block["type"]])
        if block["type"] == "text":
            need(block["text"].strip(), f"messages.{place}: text content blocks must be non-empty")
        elif block["type"] == "thinking":
            need(block["signature"] == signature(block["thinking"]), "Invalid `signature` in `thinking` block")
        elif block["type"] == "tool_use":
            need(role == "assistant" and tools, "Requests which include `tool_use` blocks must define tools")
            asked.add(block["id"])
        else:
            need(block["tool_use_id"] in pending, "unexpected `tool_use_id` found in `tool_result` blocks")
            answered.add(block["tool_use_id"])
    if role == "user":
        need(answered == pending, "`tool_use` ids were found without `tool_result` blocks immediately after")
        kinds = [block["type"] for block in blocks]
        need(kinds == sorted(kinds, key=lambda kind: kind != "tool_result"), "tool_result blocks must come first")
    return asked


def signature(thinking: str) -> str:
    return f"signed:{len(thinking)}:{sum(thinking.encode())}"


def answer_anthropic(say: Say, body: dict[str, Any], number: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if say.thinking:
        content.append({"type": "thinking", "thinking": say.thinking, "signature": signature(say.thinking)})
    if say.text:
        content.append({"type": "text", "text": say.text})
    for place, (name, given) in enumerate(say.calls):
        content.append({"type": "tool_use", "id": f"toolu_{number}_{place}", "name": name, "input": given})
    total = tokens_of(body)
    usage = {
        "input_tokens": max(0, total - say.cached - say.written),
        "cache_creation_input_tokens": say.written,
        "cache_read_input_tokens": say.cached,
        "output_tokens": tokens_of(content),
    }
    stop = {"length": "max_tokens", "refusal": "refusal", "": "tool_use" if say.calls else "end_turn"}[say.stop]
    answer = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
    }
    return {**answer, **({"usage": usage} if say.usage else {}), **say.extra}


def error_anthropic(status: int, code: str, message: str) -> dict[str, Any]:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = code or kinds.get(status) or ("overloaded_error" if status == 529 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


# Responses ---------------------------------------------------------------------------------------------------------


def check_responses(body: dict[str, Any]) -> None:
    _fields(
        body,
        {"model": str, "input": list, "max_output_tokens": int, "store": bool},
        {"instructions": str, "tools": list, "include": list},
    )
    need(body["store"] is False, "this organisation keeps nothing")
    for tool in body.get("tools", []):
        _fields(tool, {"type": str, "name": str, "parameters": dict, "strict": bool}, {"description": str})
        _schema(tool["parameters"])
    pending: set[str] = set()
    reasoned = False
    previous = None
    for item in body["input"]:
        kind = item.get("type")
        lonely = previous == "reasoning" and (kind == "function_call_output" or item.get("role") == "user")
        need(not lonely, "Item of type 'reasoning' was provided without its required following item.")
        previous = kind
        if kind == "function_call_output":
            _fields(item, {"type": str, "call_id": str, "output": str}, {})
            need(
                item["call_id"] in pending,
                f"No tool call found for function call output with call_id {item['call_id']}",
            )
            pending.remove(item["call_id"])
        elif kind == "function_call":
            _fields(item, {"type": str, "call_id": str, "name": str, "arguments": str}, {"id": str, "status": str})
            pending.add(item["call_id"])
        elif kind == "reasoning":
            need(item.get("encrypted_content"), f"Item '{item.get('id')}' not found: nothing is stored")
            reasoned = True
        else:
            need(kind == "message", f"Invalid value: {kind!r}")
            _check_message(item, reasoned)
            need(item["role"] == "assistant" or not pending, f"No tool output found for function call {pending}")
            reasoned = reasoned and item["role"] == "assistant"
    need(not pending, f"No tool output found for function call {pending}")


def _check_message(item: dict[str, Any], reasoned: bool) -> None:
    _fields(item, {"type": str, "role": str, "content": list}, {"id": str, "status": str})
    kinds = {"user": ("input_text",), "assistant": ("output_text", "refusal")}
    need(item["role"] in kinds, f"Invalid role {item['role']!r}")
    for part in item["content"]:
        need(part["type"] in kinds[item["role"]], f"Invalid value: {part['type']!r} for {item['role']}")
    if str(item.get("id", "")).startswith("msg_r"):
        need(reasoned, f"Item {item['id']!r} was provided without its required 'reasoning' item")


def answer_responses(say: Say, body: dict[str, Any], number: int) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    mark = "msg_r" if say.thinking else "msg_"
    if say.thinking:
        item = {"type": "reasoning", "id": f"rs_{number}", "summary": []}
        if "reasoning.encrypted_content" in body.get("include", []):
            item["encrypted_content"] = f"sealed:{number}"
        output.append(item)
    if say.text or not (say.calls or say.thinking):
        part: dict[str, Any] = {"type": "output_text", "text": say.text, "annotations": [], "logprobs": []}
        if say.stop == "refusal":
            part = {"type": "refusal", "refusal": say.text}
        message = {"type": "message", "id": f"{mark}{number}", "role": "assistant", "status": "completed"}
        output.append({**message, "content": [part]})
    for place, (name, given) in enumerate(say.calls):
        call = {
            "type": "function_call",
            "id": f"fc_{number}_{place}",
            "call_id": f"call_{number}_{place}",
            "name": name,
        }
        output.append(
            {**call, "status": "completed", "arguments": given if isinstance(given, str) else json.dumps(given)}
        )
    made = tokens_of(output)
    usage = {
        "input_tokens": tokens_of(body),
        "input_tokens_details": {"cached_tokens": say.cached, "cache_write_tokens": say.written},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens_of(body) + made,
    }
    cut = say.stop == "length"
    answer = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 0,
        "model": body["model"],
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "output": output,
    }
    return {**answer, **({"usage": usage} if say.usage else {}), **say.extra}


def error_openai(status: int, code: str, message: str) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 and status != 429 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code or None}}


# Chat completions --------------------------------------------------------------------------------------------------


def check_chat(body: dict[str, Any]) -> None:
    _fields(body, {"model": str, "messages": list, "max_tokens": int}, {"tools": list})
    for tool in body.get("tools", []):
        _fields(tool, {"type": str, "function": dict}, {})
        _fields(tool["function"], {"name": str, "parameters": dict}, {"description": str})
        _schema(tool["function"]["parameters"])
    need(body["messages"], "messages is empty")
    pending: set[str] = set()
    last = ""
    for place, message in enumerate(body["messages"]):
        role = message.get("role")
        if role == "tool":
            _fields(message, {"role": str, "tool_call_id": str, "content": str}, {})
            need(message["tool_call_id"] in pending, "a tool message must follow a message with its tool_call")
            pending.remove(message["tool_call_id"])
        else:
            need(not pending, f"an assistant message with tool_calls must be followed by tool messages: {pending}")
            need(role in ("user", "assistant") or (role == "system" and place == 0), f"unexpected role {role!r}")
            need(role != last, "Conversation roles must alternate user/assistant/user/assistant/...")
        if role == "assistant":
            pending = _check_assistant(message)
        elif role != "tool":
            _fields(message, {"role": str, "content": str}, {})
        last = role
    need(not pending and last in ("user", "tool"), "the conversation must end with a user's or a tool's message")


def _check_assistant(message: dict[str, Any]) -> set[str]:
    calls = message.get("tool_calls", [])
    need(isinstance(message.get("content"), str) or calls, "content is null and there are no tool_calls")
    for call in calls:
        need(call["type"] == "function" and call["id"], "a call has type function and an id")
        try:
            need(isinstance(json.loads(call["function"]["arguments"]), dict), "arguments are no object")
        except ValueError:
            raise BadRequest("arguments are no JSON") from None
    return {call["id"] for call in calls}


def answer_chat(say: Say, body: dict[str, Any], number: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": say.text or None}
    if say.thinking:
        message["reasoning_content"] = say.thinking
    if say.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{number}_{place}",
                "type": "function",
                "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
            }
            for place, (name, given) in enumerate(say.calls)
        ]
    stop = {"length": "length", "refusal": "content_filter", "": "tool_calls" if say.calls else "stop"}[say.stop]
    usage = {
        "prompt_tokens": tokens_of(body),
        "completion_tokens": tokens_of(message),
        "prompt_tokens_details": {"cached_tokens": say.cached},
    }
    answer = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": stop, "logprobs": None}],
    }
    return {**answer, **({"usage": usage} if say.usage else {}), **say.extra}


WIRES = {
    "anthropic": Wire("/v1/messages", check_anthropic, answer_anthropic, error_anthropic),
    "responses": Wire("/v1/responses", check_responses, answer_responses, error_openai),
    "chat": Wire("/v1/chat/completions", check_chat, answer_chat, error_openai),
}
