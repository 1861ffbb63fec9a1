"""Chat completions through OpenAI's SDK: what every other server speaks (vLLM, Ollama, llama.cpp, OpenRouter)."""

from __future__ import annotations

import json
import re
from typing import Any

from autotts.agents.models._base import Lost, NoTools, Reply, Request, Stop, ToolCall
from autotts.agents.models._failures import Refusal
from autotts.agents.models._json import WrongShape, a_dict, a_list, a_text, arguments_of
from autotts.agents.models._server import Address, ServerModel, exchanges
from autotts.agents.models.responses import split_usage

__all__ = ["ChatModel"]

_STOPS: dict[str, Stop] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "refusal",
    "refusal": "refusal",
}


class ChatModel(ServerModel):
    """A model behind chat completions. `Reply.raw` is the assistant's message.

    What the servers write differs more than the format says: content may be null or in parts, calls may have no id,
    usage may be missing. Thinking (`reasoning_content`) is no text of the answer.
    """

    package = "openai"

    def __init__(self, name: str, model: str, address: Address) -> None:
        super().__init__(name, model, address)
        # The old name is the one that all compatible servers take; OpenAI's own newer models take only the new one.
        self._limit = "max_tokens"

    def _client(self, **options: Any) -> Any:
        client = self._sdk.AsyncOpenAI(**options)
        # The SDK reads these from the environment; an account at OpenAI is no other server's business.
        client.organization = client.project = None
        return client

    def _endpoint(self, client: Any) -> Any:
        return client.chat.completions.with_streaming_response.create

    def _negotiated(self, refusal: Refusal, body: dict[str, Any]) -> str | None:
        words = refusal.message
        if "max_tokens" in body and refusal.status == 400 and re.search("(?i)use .?max_completion_tokens", words):
            self._limit = "max_completion_tokens"
            return "it takes max_completion_tokens instead of max_tokens; the next request says so"
        return None

    def _refused(self, refusal: Refusal, body: dict[str, Any]) -> Exception:
        failure = super()._refused(refusal, body)
        if isinstance(failure, NoTools):
            self.tools = False
        return failure

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": _messages(request),
            self._limit: request.max_tokens,
        }
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": dict(tool.schema),
                    },
                }
                for tool in request.tools
            ]
        return body

    def _reply(self, answer: dict[str, Any], body: dict[str, Any]) -> Reply:
        choices = a_list(answer.get("choices"), "choices")
        if not choices:
            raise WrongShape("choices is empty")
        choice = a_dict(choices[0], "a choice")
        if choice.get("finish_reason") == "error" or choice.get("error"):
            raise Lost(self._clean(f"{self._server} broke off: {choice.get('error') or 'no reason told'}"))
        message = a_dict(choice.get("message"), "a choice's message")
        declined = message.get("refusal")
        text = _content(message.get("content")) or (declined if isinstance(declined, str) else "")
        written = a_list(message.get("tool_calls") or [], "tool_calls")
        calls = _calls(written)
        stop = _STOPS.get(str(choice.get("finish_reason")), "tools" if calls else "end")
        raw = {**message, "role": "assistant"}
        if calls:
            raw["tool_calls"] = [{**item, **_written_call(call)} for item, call in zip(written, calls, strict=True)]
        return Reply(text, calls, "refusal" if declined else stop, _usage(answer), raw)


def _content(content: Any) -> str:
    """The text of a message: null, text, or a list of parts."""
    if isinstance(content, list):
        parts = [a_dict(part, "a part") for part in content]
        return "".join(a_text(part.get("text"), "a part's text") for part in parts if part.get("type") == "text")
    return "" if content is None else a_text(content, "content")


def _calls(written: list[Any]) -> tuple[ToolCall, ...]:
    """The calls of a message; one without an id of its own gets one by its place, so that a result can name it."""
    calls: list[ToolCall] = []
    for place, item in enumerate(written):
        call = a_dict(item, "a call")
        function = a_dict(call.get("function"), "a call's function")
        name = a_text(function.get("name"), "a call's name")
        given = function.get("arguments")
        text = given if isinstance(given, str) else "" if given is None else json.dumps(given, ensure_ascii=False)
        id = call.get("id")
        if not isinstance(id, str) or not id or id in {known.id for known in calls}:
            id = f"call_{place}"
        calls.append(ToolCall(id, name, arguments_of(text), text))
    return tuple(calls)


def _written_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.written or json.dumps(dict(call.arguments or {}))}
    return {"id": call.id, "type": "function", "function": function}


def _usage(answer: dict[str, Any]) -> dict[str, int]:
    told = answer.get("usage")
    if not isinstance(told, dict):
        return {}
    details = told.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    return split_usage(
        told.get("prompt_tokens"),
        told.get("completion_tokens"),
        details.get("cached_tokens"),
        details.get("cache_write_tokens"),
    )


def _messages(request: Request) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    for turn, results, reply in exchanges(request.turns):
        for result in results:
            text = f"Error: {result.text}" if result.failed else result.text
            messages.append({"role": "tool", "tool_call_id": result.id, "content": text})
        if turn.text or not results:
            messages.append({"role": "user", "content": turn.text})
        if reply is not None:
            messages.append(_said(reply))
    return messages


def _said(reply: Reply) -> dict[str, Any]:
    """A reply as a message that every server takes back.

    Servers parse the arguments of past calls (llama.cpp and vLLM answer 500 and 400 to what is no JSON object), so
    malformed ones are wrapped. Thinking goes back where a provider wants it: OpenRouter's `reasoning_details` always,
    `reasoning_content` beside calls only (DeepSeek refuses it elsewhere).
    """
    raw = reply.raw if isinstance(reply.raw, dict) else {}
    message: dict[str, Any] = {"role": "assistant", "content": raw.get("content") or reply.text}
    if raw.get("reasoning_details"):
        message["reasoning_details"] = raw["reasoning_details"]
    if reply.calls:
        kept = raw.get("tool_calls") or [{}] * len(reply.calls)
        # What else stands beside a call (Google's signatures of thoughts) goes back with it.
        message["tool_calls"] = [{**item, **_sent_call(call)} for item, call in zip(kept, reply.calls, strict=True)]
        message["content"] = message["content"] or None
        if raw.get("reasoning_content"):
            message["reasoning_content"] = raw["reasoning_content"]
    return message


def _sent_call(call: ToolCall) -> dict[str, Any]:
    if call.arguments is not None:
        return _written_call(call)
    wrapped = json.dumps({"malformed": call.written}, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": wrapped}}
