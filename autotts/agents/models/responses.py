"""OpenAI's Responses API, through its SDK. Nothing is stored at the provider: every request carries its whole past."""

from __future__ import annotations

import json
import re
from typing import Any

from autotts.agents.models._base import Busy, Lost, Reply, Request, Stop, ToolCall
from autotts.agents.models._failures import Refusal
from autotts.agents.models._json import a_dict, a_list, a_text, arguments_of, count
from autotts.agents.models._server import Address, ServerModel, exchanges
from autotts.errors import InputError

__all__ = ["OpenAIModel"]

# Models of OpenAI that do not reason refuse to be asked for encrypted reasoning.
_NO_REASONING = re.compile(r"(ft:)?(gpt-3|gpt-4|chatgpt|.*-chat-latest)")
_ENCRYPTED = "reasoning.encrypted_content"


class OpenAIModel(ServerModel):
    """A model behind the Responses API. `Reply.raw` is the list of output items, reasoning included."""

    package = "openai"

    def __init__(self, name: str, model: str, address: Address) -> None:
        super().__init__(name, model, address)
        self._encrypted = not _NO_REASONING.match(model)

    def _client(self, **options: Any) -> Any:
        return self._sdk.AsyncOpenAI(**options)

    def _endpoint(self, client: Any) -> Any:
        return client.responses.with_streaming_response.create

    def _negotiated(self, refusal: Refusal, body: dict[str, Any]) -> str | None:
        # The body decides, not what was learnt: another thread's request may have been refused in the meantime.
        if "include" in body and refusal.status in (400, 422) and re.search("(?i)encrypted|include", refusal.message):
            self._encrypted = False
            return "it gives no encrypted reasoning; the next request does not ask for it"
        return None

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "input": _items(request),
            "max_output_tokens": request.max_tokens,
            "store": False,
        }
        if request.system:
            body["instructions"] = request.system
        if request.tools:
            # Not strict: that mode wants schemas in which every property is required.
            body["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.schema),
                    "strict": False,
                }
                for tool in request.tools
            ]
        if self._encrypted:
            body["include"] = [_ENCRYPTED]
        return body

    def _check_error(self, answer: dict[str, Any], body: dict[str, Any]) -> None:
        if answer.get("status") != "failed":
            return super()._check_error(answer, body)
        error = answer.get("error")
        error = error if isinstance(error, dict) else {}
        message = self._clean(f"{self._server} failed: {error.get('message') or 'no reason told'}")
        if error.get("code") == "rate_limit_exceeded":
            raise Busy(message)
        if error.get("code") == "invalid_prompt":
            raise InputError(f"{message} (the provider does not take this prompt)")
        raise Lost(message)

    def _reply(self, answer: dict[str, Any], body: dict[str, Any]) -> Reply:
        items = [a_dict(item, "an item of output") for item in a_list(answer.get("output"), "output")]
        texts: list[str] = []
        calls: list[ToolCall] = []
        declined = False
        for item in items:
            kind = a_text(item.get("type"), "an item's type")
            if kind == "message":
                parts = [a_dict(part, "a part") for part in a_list(item.get("content"), "a message's content")]
                texts.extend(_part_text(part) for part in parts)
                declined = declined or any(part.get("type") == "refusal" for part in parts)
            elif kind == "function_call":
                calls.append(_call(item))
        usage = _usage(answer)
        stop = _stop(answer, bool(calls), declined)
        if stop != "refusal" and usage.get("output", 0) >= body["max_output_tokens"]:
            stop = "length"  # llama.cpp calls an answer that it cut off completed
        return Reply("".join(texts), tuple(calls), stop, usage, items)


def _part_text(part: dict[str, Any]) -> str:
    kind = part.get("type")
    if kind == "refusal":
        return a_text(part.get("refusal"), "a refusal")
    return a_text(part.get("text"), "a part's text") if kind in ("output_text", "text") else ""


def _call(item: dict[str, Any]) -> ToolCall:
    written = a_text(item.get("arguments"), "a call's arguments")
    name = a_text(item.get("name"), "a call's name")
    return ToolCall(a_text(item.get("call_id"), "a call's id"), name, arguments_of(written), written)


def _stop(answer: dict[str, Any], calls: bool, declined: bool) -> Stop:
    details = answer.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if declined or reason == "content_filter":
        return "refusal"
    if answer.get("status") == "incomplete":
        return "length"
    return "tools" if calls else "end"


def _usage(answer: dict[str, Any]) -> dict[str, int]:
    told = answer.get("usage")
    if not isinstance(told, dict):
        return {}
    details = told.get("input_tokens_details")
    details = details if isinstance(details, dict) else {}
    return split_usage(
        told.get("input_tokens"),
        told.get("output_tokens"),
        details.get("cached_tokens"),
        details.get("cache_write_tokens"),
    )


def split_usage(given: Any, output: Any, cached: Any, written: Any) -> dict[str, int]:
    """Tokens by kind from OpenAI's counts, in which the input contains what was read from and written to the cache."""
    usage: dict[str, int] = {}
    total, read, write = count(given), count(cached), count(written)
    if total is not None:
        usage["input"] = max(0, total - (read or 0) - (write or 0))
    if read is not None:
        usage["cache_read"] = read
    if write:
        usage["cache_write"] = write
    if (made := count(output)) is not None:
        usage["output"] = made
    return usage


def _items(request: Request) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for turn, results, reply in exchanges(request.turns):
        for result in results:
            text = f"Error: {result.text}" if result.failed else result.text
            items.append({"type": "function_call_output", "call_id": result.id, "output": text})
        if turn.text or not results:
            items.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": turn.text}]})
        if reply is not None:
            items.extend(_said(reply))
    return items


def _said(reply: Reply) -> list[dict[str, Any]]:
    """A reply as it came, or from its text and calls where it came from elsewhere.

    Reasoning after which nothing came (the answer was cut off in it) is refused, so it is left out. Reasoning that came
    without its encrypted content is known to no one any more: it is left out too, and so are the ids of the other
    items, which would ask for it.
    """
    if reply.raw:
        items = [dict(item) for item in reply.raw]
        while items and items[-1].get("type") == "reasoning":
            items.pop()
        lost = [item for item in items if item.get("type") == "reasoning" and not item.get("encrypted_content")]
        if not lost:
            return items
        return [
            {key: value for key, value in item.items() if key != "id"}
            for item in items
            if item.get("type") != "reasoning"
        ]
    items = []
    if reply.text or not reply.calls:
        content = [{"type": "output_text", "text": reply.text, "annotations": []}]
        items.append({"type": "message", "role": "assistant", "content": content})
    for call in reply.calls:
        written = call.written or json.dumps(dict(call.arguments or {}))
        items.append({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": written})
    return items
