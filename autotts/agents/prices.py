"""What a call costs, and what it may cost at most; an unknown price is unknown, never 0.

Prices come from the tables of `genai-prices`, as installed (nothing is fetched), and from a file of one's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotts.agents.models import Reply, Request
from autotts.errors import InputError

__all__ = ["Prices", "Rates", "upper_bound_tokens"]

_FREE = ("mock/", "replay/")
_TABLES = ("anthropic", "openai", "openrouter")
_KINDS = ("input", "output", "cache_read", "cache_write")
_MILLION = 1_000_000


@dataclass(frozen=True)
class Rates:
    """US dollars per million tokens. Cached tokens cost as much as others where no rate is told."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None


_ZERO = Rates(0.0, 0.0)


@dataclass(frozen=True)
class Prices:
    """What calls of models cost.

    Attributes:
        own: rates by `provider/model` that go before the tables.
    """

    own: Mapping[str, Rates] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None) -> Prices:
        """With the rates of a JSON file: {"provider/model": {"input": 3, "output": 15, "cache_read": 0.3, …}}.

        Dollars per million tokens; the cached kinds may be left out.

        Raises:
            InputError: the file cannot be read or says something else; it names file and key.
        """
        if path is None:
            return cls()
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: no JSON: {error}") from None
        if not isinstance(table, dict):
            raise InputError(f'{path}: not an object; write {{"provider/model": {{"input": 3, "output": 15}}}}')
        return cls({name: _rates(f"{path}: {name!r}", name, row) for name, row in table.items()})

    def cost(self, name: str, usage: Mapping[str, int]) -> float | None:
        """US dollars of a call; None where the model's price or the number of tokens in or out is not known."""
        rates = self._known(name, sum(tokens for kind, tokens in usage.items() if kind != "output"))
        if rates is _ZERO:
            return 0.0
        if rates is None or "output" not in usage or "input" not in usage or set(usage) - set(_KINDS):
            return None
        by_kind = {
            "input": rates.input,
            "output": rates.output,
            "cache_read": rates.input if rates.cache_read is None else rates.cache_read,
            "cache_write": rates.input if rates.cache_write is None else rates.cache_write,
        }
        return sum(tokens * by_kind[kind] for kind, tokens in usage.items()) / _MILLION

    def worst(self, name: str, input_tokens: int, max_tokens: int) -> float | None:
        """The most US dollars that a call can cost; None where the model's price is not known.

        Every token in at the dearest rate there is for it (written to the cache, in the highest tier), and every
        token out that may come.

        Args:
            name: `provider/model`.
            input_tokens: an upper bound, see `upper_bound_tokens`.
            max_tokens: that the answer may have.
        """
        rates = self._known(name, None)
        if rates is None:
            return None
        dearest = max(rates.input, rates.cache_read or 0.0, rates.cache_write or 0.0)
        return (input_tokens * dearest + max_tokens * rates.output) / _MILLION

    def _known(self, name: str, input_tokens: int | None) -> Rates | None:
        """The rates of a model at this number of tokens in, None for the dearest tier of each."""
        if name in self.own:
            return self.own[name]
        if name == "evolution" or name.startswith(_FREE):
            return _ZERO
        provider, _, model = name.partition("/")
        return _from_tables(provider, model, input_tokens) if provider in _TABLES and model else None


def _rates(where: str, name: str, row: Any) -> Rates:
    provider, _, model = name.partition("/")
    if not provider or not model:
        raise InputError(f"{where}: a name is provider/model")
    if not isinstance(row, dict):
        raise InputError(f'{where}: not an object; write {{"input": 3, "output": 15}} in dollars per million tokens')
    for kind, rate in row.items():
        if kind not in _KINDS:
            raise InputError(f"{where}: no such kind of tokens: {kind!r}; there is {', '.join(_KINDS)}")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= _MILLION:
            raise InputError(f"{where}: {kind!r} is {repr(rate)[:40]}, not dollars per million tokens")
    for kind in ("input", "output"):
        if kind not in row:
            raise InputError(f"{where}: {kind!r} is missing")
    return Rates(**{kind: float(rate) for kind, rate in row.items()})


def _from_tables(provider: str, model: str, input_tokens: int | None) -> Rates | None:
    from datetime import UTC, datetime

    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    now = datetime.now(UTC)
    if input_tokens is None and not hasattr(found.prices, "calc_price"):
        rows = [conditional.prices for conditional in found.prices]  # by date or hour: any may hold when it is billed
    else:
        rows = [found.get_prices(now)]
    rates = [_row(row, input_tokens) for row in rows]
    known = [row for row in rates if row is not None]
    if not known or len(known) < len(rates):
        return None
    return Rates(
        max(row.input for row in known),
        max(row.output for row in known),
        max((row.cache_read for row in known if row.cache_read is not None), default=None),
        max((row.cache_write for row in known if row.cache_write is not None), default=None),
    )


def _row(price: Any, input_tokens: int | None) -> Rates | None:
    given, made = _rate(price.input_mtok, input_tokens), _rate(price.output_mtok, input_tokens)
    # A model that charges for requests, or apart for reasoning, costs more than its tokens tell.
    if given is None or made is None or price.requests_kcount is not None or price.output_reasoning_mtok is not None:
        return None
    return Rates(given, made, _rate(price.cache_read_mtok, input_tokens), _rate(price.cache_write_mtok, input_tokens))


def _rate(price: Any, input_tokens: int | None) -> float | None:
    """A rate, of the tier that the number of tokens in reaches: it then holds for all of them."""
    if price is None:
        return None
    tiers = getattr(price, "tiers", None)
    if tiers is None:
        return float(price)
    if input_tokens is None:
        return float(max(price.base, *(tier.price for tier in tiers)))
    reached = [tier.price for tier in tiers if input_tokens > tier.start]
    return float(reached[-1] if reached else price.base)


# What a server adds: the words around a conversation, around each message, and around each tool. Anthropic's prompt
# for the use of tools has about 700 tokens, the longest chat templates' preambles about as many.
_AROUND, _AROUND_MESSAGE, _AROUND_TOOL = 2048, 32, 128


def upper_bound_tokens(request: Request) -> int:
    """No fewer tokens than the request has, without asking anyone.

    A token of the tokenizers in use (byte-level BPE, or SentencePiece with bytes as fallback) stands for one byte at
    least, so a text has no more tokens than UTF-8 bytes. Tools and calls count as indented ASCII JSON, the longest
    that chat templates make of them. Thinking is given back encrypted or in short, and its bytes bound nothing:
    an earlier answer counts as at least the tokens that it was billed for.
    """
    total = _AROUND + _bytes(request.system)
    for tool in request.tools:
        total += _AROUND_TOOL + _bytes(tool.name) + _bytes(tool.description) + _json_bytes(tool.schema)
    for turn in request.turns:
        total += 2 * _AROUND_MESSAGE + _bytes(turn.text)
        total += sum(_AROUND_MESSAGE + _bytes(result.id) + _bytes(result.text) for result in turn.results)
        total += _reply_bound(turn.reply) if turn.reply else 0
    return total


def _reply_bound(reply: Reply) -> int:
    said = _bytes(reply.text) + sum(
        _AROUND_MESSAGE + _bytes(call.id) + _bytes(call.name) + max(_json_bytes(call.arguments), _bytes(call.written))
        for call in reply.calls
    )
    return max(said, _json_bytes(reply.raw)) + reply.usage.get("output", 0)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, indent=4, default=dict))
