"""The objects of a stream in OpenAI's two wire formats, and what servers add to them, read into `Chunk`s."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotts.agents.models import Lost, sendable
from autotts.live.growth import Token

__all__ = ["Chunk", "read_chunk"]

ENDS = {"stop": False, "length": True, "eos": False, "max_tokens": True}
"""Why a branch ended → whether it was cut off."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One object of a stream, of completions or of chat.

    Attributes:
        text: of the answer.
        thought: of the thinking, where the server parts it from the answer.
        tokens: one by one, where log-probabilities came along.
        ids: number of token ids that came along, None where none did.
        counted: tokens of the answer so far, as the server's usage (llama.cpp: timings) says, None where it does not.
        prompt_tokens: of the request, None where it does not say.
        ended: whether the answer ends here.
        truncated: whether at the limit of tokens.
    """

    text: str = ""
    thought: str = ""
    tokens: tuple[Token, ...] = ()
    ids: int | None = None
    counted: int | None = None
    prompt_tokens: int | None = None
    ended: bool = False
    truncated: bool = False


def read_chunk(value: Mapping[str, Any]) -> Chunk:
    """Read an object of a stream, or a whole answer, of /completions or of /chat/completions.

    Raises:
        Lost: it has not the shape of either, or the answer was given up by the server.
    """
    usage, timings = (part if isinstance(part, dict) else {} for part in map(value.get, ("usage", "timings")))
    counted, prompt_tokens = _whole(usage.get("completion_tokens")), _whole(usage.get("prompt_tokens"))
    counted = _whole(timings.get("predicted_n")) if counted is None else counted
    choices = value.get("choices")
    if not isinstance(choices, list) or (choices and not isinstance(choices[0], dict)):
        raise Lost("the server streamed something else than choices; is the address that of an OpenAI-compatible API?")
    if not choices:
        return Chunk(counted=counted, prompt_tokens=prompt_tokens)
    choice = choices[0]
    said = next((part for part in map(choice.get, ("delta", "message")) if isinstance(part, dict)), choice)
    text = said.get("content") if "content" in said else said.get("text")
    finish = choice.get("finish_reason")
    if finish is not None and (not isinstance(finish, str) or finish not in ENDS):
        raise Lost(f"the server gave a branch up ({str(finish)[:40]})")
    ids = choice.get("token_ids")
    return Chunk(
        text=_text(text),
        thought=next((_text(t) for t in map(said.get, ("reasoning_content", "reasoning")) if isinstance(t, str)), ""),
        tokens=_tokens(choice.get("logprobs")),
        ids=len(ids) if isinstance(ids, list) else None,
        counted=counted,
        prompt_tokens=prompt_tokens,
        ended=finish is not None,
        truncated=bool(finish is not None and ENDS[finish]),
    )


def _text(value: Any) -> str:
    """A text that can be written, and sent again: a server may have parted a character into its surrogates."""
    return sendable(value) if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    """Log-probabilities in the shape of chat (a list of objects), or in that of completions (lists side by side)."""
    if not isinstance(logprobs, dict):
        return ()
    content = logprobs.get("content")
    if isinstance(content, list):
        rows = [(c.get("token"), c.get("logprob"), _pairs(c.get("top_logprobs"))) for c in content if type(c) is dict]
    else:
        texts, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
        if not isinstance(texts, list) or not isinstance(values, list):
            return ()
        tops = logprobs.get("top_logprobs")
        tops = tops if isinstance(tops, list) and len(tops) == len(texts) else [None] * len(texts)
        rows = [(text, value, _pairs(top)) for text, value, top in zip(texts, values, tops, strict=False)]
    return tuple(Token(_text(text), _finite(value), _entropy(top)) for text, value, top in rows)


def _pairs(top: Any) -> list[float]:
    """The log-probabilities of the alternatives."""
    if isinstance(top, dict):
        values = list(top.values())
    elif isinstance(top, list):
        values = [one.get("logprob") for one in top if isinstance(one, dict)]
    else:
        return []
    return [value for value in map(_finite, values) if value is not None]


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _entropy(logprobs: list[float]) -> float | None:
    """Entropy in nats of the alternatives that were told, what they leave over taken as one more: a lower bound."""
    if len(logprobs) < 2:
        return None
    shares = [min(1.0, math.exp(value)) for value in logprobs]
    shares.append(max(0.0, 1.0 - sum(shares)))
    return -sum(share * math.log(share) for share in shares if share > 0.0) + 0.0
