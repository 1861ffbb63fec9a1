"""`provider/model` names: which provider speaks which format, where it is, and which variable holds its key."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

from autotts.agents.models._base import Model
from autotts.agents.models._failures import Secret
from autotts.errors import InputError

if TYPE_CHECKING:
    from autotts.agents.models._server import Address, ServerModel

__all__ = ["PROVIDERS", "Provider", "make_address", "make_model"]

Format = Literal["anthropic", "responses", "chat"]

_NAME = re.compile(r"(?P<provider>[^/@\s]+)/(?P<model>\S+?)(?:@(?P<address>https?://\S*))?", re.IGNORECASE)


@dataclass(frozen=True)
class Provider:
    """Where the models of a prefix are.

    Attributes:
        format: which of the three wire formats it speaks.
        about: in a few words.
        variable: environment variable with its key.
        address: base address, None where one must be given.
        address_variable: environment variable that gives another address, "" for none.
        needs_key: whether it does nothing without a key at its own address.
    """

    format: Format
    about: str
    variable: str
    address: str | None
    address_variable: str = ""
    needs_key: bool = False


PROVIDERS: dict[str, Provider] = {
    "anthropic": Provider(
        "anthropic",
        "Anthropic's Messages API",
        "ANTHROPIC_API_KEY",
        "https://api.anthropic.com",
        "ANTHROPIC_BASE_URL",
        needs_key=True,
    ),
    "openai": Provider(
        "responses",
        "OpenAI's Responses API",
        "OPENAI_API_KEY",
        "https://api.openai.com/v1",
        "OPENAI_BASE_URL",
        needs_key=True,
    ),
    "openrouter": Provider(
        "chat", "OpenRouter, a gateway", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1", needs_key=True
    ),
    "vllm": Provider("chat", "a vLLM server", "VLLM_API_KEY", "http://localhost:8000/v1"),
    "ollama": Provider("chat", "an Ollama server", "OLLAMA_API_KEY", "http://localhost:11434/v1"),
    "llamacpp": Provider("chat", "a llama.cpp server", "LLAMACPP_API_KEY", "http://localhost:8080/v1"),
    "openai-compatible": Provider("chat", "any server with chat completions", "OPENAI_COMPATIBLE_API_KEY", None),
}
"""The providers by prefix; the documentation and the messages about a wrong name read this table."""


def make_model(name: str, base_url: str | None = None) -> Model:
    """The model of this name.

    Args:
        name: `provider/model`, also `provider/model@http://host:port/v1`.
        base_url: address of its server, instead of the provider's own.

    Raises:
        InputError: no such provider, no address or none that can be used, no key, or the SDK is not installed.
    """
    match = _NAME.fullmatch(name.strip())
    if match is None:
        raise InputError(f"model {_shown(name)}: a name is provider/model; providers are {', '.join(PROVIDERS)}")
    prefix, model = match["provider"], match["model"]
    provider = PROVIDERS.get(prefix)
    if provider is None:
        close = difflib.get_close_matches(prefix, PROVIDERS, n=1)
        hint = f"did you mean {close[0]}/{model}? " if close else ""
        raise InputError(f"model {prefix}/{model}: no provider {prefix}; {hint}There is {', '.join(PROVIDERS)}")
    full = f"{prefix}/{model}"
    address = make_address(full, provider, match["address"], base_url)
    return _maker(provider.format)(full, model, address)


def make_address(full: str, provider: Provider, written: str | None, given: str | None) -> Address:
    """Where a model is asked, and with what key.

    Args:
        full: the model's name, for messages.
        provider: of the model.
        written, given: the address after the name's @, and the one beside it.

    Raises:
        InputError: no address or none that can be used, or no key.
    """
    from autotts.agents.models._server import Address

    if written and given and written.rstrip("/") != given.rstrip("/"):
        raise InputError(f"model {full}: two addresses, one after the @ and one beside it; give one")
    chosen = given or written
    if not chosen and provider.address_variable:
        chosen = os.environ.get(provider.address_variable)
    if not chosen and provider.address is None:
        raise InputError(f"model {full}: where is it? Write {full}@http://host:port/v1, or give --base-url")
    url = _checked(full, chosen or provider.address or "")
    if provider.format == "anthropic":
        url = url.removesuffix("/v1")  # the SDK adds it
    key = (os.environ.get(provider.variable) or "").strip()
    if not key and provider.needs_key and not chosen:
        raise InputError(
            f"model {full} needs a key: set the environment variable {provider.variable} (or put it in .env)"
        )
    if not re.fullmatch(r"[!-~]*", key):
        raise InputError(
            f"the environment variable {provider.variable} holds no key: it has spaces or letters beyond ASCII"
        )
    # Servers of one's own are given keys like "x": no secret, and every x of a message would go.
    secret = Secret(key, real=len(key) >= 6) if key else Secret("no-key", real=False)
    return Address(url, secret, provider.variable)


def _checked(full: str, url: str) -> str:
    """The address without its last slash. Keys belong in the environment: one with anything like a key is refused."""
    try:
        parts = urlsplit(url.strip())
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise InputError(f"model {full}: the address has no valid host and port; write http://host:port/v1") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError(
            f"model {full}: the address {_bare(parts)} comes with a password, or with a query (?…) or #…;"
            " an address is http://host:port/path, and keys belong in the environment"
        )
    if not fine:
        raise InputError(f"model {full}: {_bare(parts)} is no address; write http://host:port/v1")
    return url.strip().rstrip("/")


def _bare(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme or 'http'}://{host}{parts.path}"


def _shown(name: str) -> str:
    """A name for a message, without an address that may have a password in it."""
    return repr(name.partition("@")[0][:80])


def _maker(format: Format) -> Callable[[str, str, Address], ServerModel]:
    """The adapter of a format, imported when it is wanted."""
    if format == "anthropic":
        from autotts.agents.models.anthropic import AnthropicModel

        return AnthropicModel
    if format == "responses":
        from autotts.agents.models.responses import OpenAIModel

        return OpenAIModel
    from autotts.agents.models.chat import ChatModel

    return ChatModel
