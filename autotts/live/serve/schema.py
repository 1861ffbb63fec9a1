"""What a client asks for: the fields of a chat completion that are honoured, and those that are refused.

Fields that nobody knows are ignored, as OpenAI-compatible servers do; what is known and cannot be honoured is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotts.live.serve.failures import ApiError

__all__ = ["Ask", "Terms", "read"]

MOST_SEED = 2**31
"""Request seeds of branches are this and the next ones; servers take 32 bits."""

MOST_TOKENS = 10**12

_ONLY: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "prompt_logprobs": (),
    "logit_bias": ({},),
    "stop": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "top_k": (-1, 0),
    "echo": (False,),
    "continue_final_message": (False,),
    "structured_outputs": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
}
"""Values besides null that ask for nothing that this endpoint does not do."""

_HINTS = {
    "n": "; send as many requests, each with a seed of its own",
    "stop": "; --stop of autotts serve sets it for all requests",
    "reasoning_effort": "; how much is spent is the field beta's matter",
}


@dataclass(frozen=True)
class Terms:
    """What holds for all requests.

    Attributes:
        model: the id that clients call.
        beta: where a request says none.
        seed: where a request says none.
        temperature, top_p: with which branches are sampled; None where the upstream chooses.
        most_tokens: that a request may spend on its branches; None for no ceiling.
    """

    model: str
    beta: float
    seed: int = 0
    temperature: float | None = None
    top_p: float | None = None
    most_tokens: int | None = None


@dataclass(frozen=True)
class Ask:
    """A request that can be honoured.

    Attributes:
        question: what the model is asked.
        beta: of the controller, in [0, 1].
        own_beta: whether the request said it.
        seed: of the first branch's request; branch b has seed + b.
        most_tokens: ceiling on the tokens of its branches, None for none.
        most_seconds: after which it is answered with what is there; None for never.
        stream: whether the answer is sent as events.
        usage: whether the last event of a stream tells the usage.
    """

    question: str
    beta: float
    own_beta: bool = False
    seed: int = 0
    most_tokens: int | None = None
    most_seconds: float | None = None
    stream: bool = False
    usage: bool = False


def read(body: bytes, terms: Terms) -> Ask:
    """What a request asks for.

    Raises:
        ApiError: 400 what is wrong with it or cannot be honoured; 404 the model is another.
    """
    given = _object(body)
    model = given.get("model")
    if not isinstance(model, str):
        raise _wrong("model", f"the field model has to be text; the model that is served here is {terms.model!r}")
    if model != terms.model:
        text = f"the model {model[:200]!r} does not exist; the one that is served here is {terms.model!r}"
        raise ApiError(404, text, code="model_not_found", param="model")
    _refuse_what_cannot_be(given, terms)
    ours = _ours(given)
    beta = _number(given, ours, "beta", 0, 1)
    seed = _number(given, ours, "seed", 0, MOST_SEED, whole=True)
    options = _part(given, "stream_options")
    return Ask(
        question=_question(given.get("messages")),
        beta=terms.beta if beta is None else beta,
        own_beta=beta is not None,
        seed=terms.seed if seed is None else int(seed),
        most_tokens=_ceiling(given, ours, terms.most_tokens),
        most_seconds=_number({}, ours, "max_seconds", 0, 10**9),
        stream=_flag(given, "stream"),
        usage=_flag(options, "include_usage"),
    )


def _wrong(param: str, message: str, code: str | None = None) -> ApiError:
    return ApiError(400, message, code=code, param=param)


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
        json.dumps(given, ensure_ascii=False).encode()  # half a surrogate pair can be sent to no upstream
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is no JSON in UTF-8 ({type(error).__name__})") from None
    if not isinstance(given, dict):
        raise ApiError(400, "the body has to be a JSON object")
    return given


def _part(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name)
    if value is not None and not isinstance(value, dict):
        raise _wrong(name, f"{name} has to be an object")
    return value or {}


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, f"{name} has to be true or false")
    return bool(value)


def _ours(given: Mapping[str, Any]) -> dict[str, Any]:
    ours = _part(given, "autotts")
    names = ("beta", "seed", "max_tokens_total", "max_seconds")
    if unknown := sorted(set(ours) - set(names)):
        raise _wrong(f"autotts.{unknown[0][:100]}", f"autotts has no field {unknown[0][:100]!r}: {', '.join(names)}")
    return ours


def _refuse_what_cannot_be(given: Mapping[str, Any], terms: Terms) -> None:
    allowed: dict[str, tuple[object, ...]] = {**_ONLY, "reasoning_effort": ()}
    for name, fine in allowed.items():
        value = given.get(name)
        if value is not None and value not in fine:
            text = f"{name} = {_short(value)} is not supported here{_HINTS.get(name, '')}"
            raise _wrong(name, text, "unsupported_value" if fine else "unsupported_parameter")
    for name, fixed in (("temperature", terms.temperature), ("top_p", terms.top_p)):
        value = given.get(name)
        if value is not None and value != fixed:
            set_to = "the upstream's own" if fixed is None else f"{fixed:g}"
            text = f"{name} is {set_to} here for every request, as the controller was made for it; leave the field out"
            raise _wrong(name, text, "unsupported_value")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:60] + " …"


def _number(
    given: Mapping[str, Any], ours: Mapping[str, Any], name: str, least: float, most: float, whole: bool = False
) -> float | None:
    """A number that may stand in the body or in its part `autotts`."""
    found = {}
    for place, value in ((name, given.get(name)), (f"autotts.{name}", ours.get(name))):
        if value is None:
            continue
        right = isinstance(value, int | (int if whole else float)) and not isinstance(value, bool)
        if not right or not least <= value <= most:
            raise _wrong(place, f"{place} has to be a {'whole ' * whole}number from {least:g} to {most:g}")
        found[place] = value
    if len(set(found.values())) > 1:
        raise _wrong(name, f"{' and '.join(found)} say different things; give one of them")
    return next(iter(found.values()), None)


def _ceiling(given: Mapping[str, Any], ours: Mapping[str, Any], most: int | None) -> int | None:
    """The least of what the request and the server allow."""
    asked = [_number(given, {}, name, 1, MOST_TOKENS, whole=True) for name in ("max_tokens", "max_completion_tokens")]
    asked.append(_number({}, ours, "max_tokens_total", 1, MOST_TOKENS, whole=True))
    return min((int(value) for value in (*asked, most) if value is not None), default=None)


def _question(messages: object) -> str:
    """The messages as one text: what the system says stands before what the user asks."""
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "messages has to be a list with at least one message")
    texts = []
    for k, message in enumerate(messages):
        where = f"messages[{k}]"
        if not isinstance(message, dict):
            raise _wrong(where, f"{where} has to be an object")
        role = message.get("role")
        if role in ("assistant", "tool", "function"):
            raise _wrong(
                where,
                f"{where} is of the {role}: a controller answers one question at a time, so a conversation of several "
                "turns cannot be gone on with; put what matters of it into one user message",
                "unsupported_value",
            )
        if role not in ("system", "developer", "user"):
            raise _wrong(f"{where}.role", f"{where}.role has to be system, developer or user")
        texts.append(_text(message.get("content"), f"{where}.content"))
    if messages[-1]["role"] != "user" or not texts[-1].strip():
        raise _wrong("messages", "the last message has to be the user's, with the question in it")
    return "\n\n".join(text for text in texts if text.strip())


def _text(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _wrong(where, f"{where} has to be text, or a list of parts of type text")
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise _wrong(where, f"{where} has a part that is not text; only text is understood here")
        texts.append(text)
    return "\n".join(texts)
