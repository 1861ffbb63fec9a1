"""Ways to put a question, and to let a given text go on: raw completions, or chat with the last message left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autotts.agents.models import Lost
from autotts.live.server import Server
from autotts.prompts import Prompts

__all__ = ["APIS", "Api", "Chat", "Completions", "Way", "is_thinking"]

Api = Literal["auto", "completions", "chat", "raw"]
APIS: tuple[Api, ...] = ("auto", "completions", "chat", "raw")
"""auto: completions where the server tells its chat template, else chat; raw: no chat template at all."""

Template = Literal["", "llama.cpp", "vllm"]

OPEN, CLOSED = "<think>", "</think>"


def is_thinking(text: str) -> bool:
    """Whether a text ends within a `<think>` that was not closed."""
    return text.rfind(OPEN) > text.rfind(CLOSED)


@dataclass(frozen=True)
class Completions:
    """Raw completions: the prompt is one text, and so is whatever it is continued from.

    Attributes:
        template: who tells the chat template, "" for none: then the template `prompt` is the whole text.
    """

    template: Template
    path = "/completions"

    async def prompt(self, server: Server, prompts: Prompts, question: str) -> str:
        """The text that a model goes on from."""
        if not self.template:
            return prompts.prompt(question).text
        messages = [{"role": "user", "content": prompts.question(question).text}]
        return await templated(server, self.template, messages)

    def body(self, prompt: str, prefix: str) -> dict[str, Any]:
        """The part of a request that puts a question and what was said to it so far."""
        # vLLM's template has the token that begins a text in it already; llama.cpp leaves that to the completion.
        plain = {"add_special_tokens": False} if self.template == "vllm" else {}
        return {"prompt": prompt + prefix, **plain}

    def scores(self, n: int) -> Mapping[str, Any]:
        """Asks for the log-probabilities of the tokens and of n alternatives each."""
        return {"logprobs": n}

    def is_thinking(self, prompt: str, prefix: str) -> bool:
        """Whether the branch is within a `<think>`; templates of thinking models leave one open."""
        return is_thinking(prompt[-64:] + prefix)


@dataclass(frozen=True)
class Chat:
    """Chat; a text is continued as the last message, the assistant's, which is left open."""

    path = "/chat/completions"

    async def prompt(self, server: Server, prompts: Prompts, question: str) -> str:
        """What the user says."""
        return prompts.question(question).text

    def body(self, prompt: str, prefix: str) -> dict[str, Any]:
        """See `Completions.body`; vLLM and SGLang want to be told that the message is open, llama.cpp sees it."""
        messages = [{"role": "user", "content": prompt}]
        if not prefix:
            return {"messages": messages}
        messages.append({"role": "assistant", "content": prefix})
        return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}

    def scores(self, n: int) -> Mapping[str, Any]:
        """See `Completions.scores`."""
        return {"logprobs": True, "top_logprobs": n}

    def is_thinking(self, prompt: str, prefix: str) -> bool:
        """See `Completions.is_thinking`; where the server parts thinking from answer, the branch's text has both."""
        return is_thinking(prefix)


Way = Completions | Chat


async def templated(server: Server, template: Template, messages: list[dict[str, str]]) -> str:
    """Messages as one text, by the model's own chat template.

    Raises:
        Busy, Lost, InputError: the server does not tell.
    """
    if template == "llama.cpp":
        told = await server.post("/apply-template", {"messages": messages}, root=True)
        text = told.get("prompt") if isinstance(told, dict) else None
    else:
        asked = {"model": server.model, "messages": messages, "add_generation_prompt": True}
        tokens = await server.post("/tokenize", asked, root=True)
        ids = tokens.get("tokens") if isinstance(tokens, dict) else None
        told = await server.post("/detokenize", {"model": server.model, "tokens": ids}, root=True)
        text = told.get("prompt") if isinstance(told, dict) else None
    if not isinstance(text, str) or not text:
        raise Lost(f"{server} does not tell its chat template")
    return text
