"""Prices: what is not known is None, and the worst case is never below what a call cost."""

from __future__ import annotations

import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from autotts.agents.models import Reply, Request, Tool, ToolCall, ToolResult, Turn
from autotts.agents.prices import Prices, Rates, upper_bound_tokens
from autotts.errors import InputError
from tests.wires import tokens_of

USAGE = {"input": 1000, "output": 500, "cache_read": 3000, "cache_write": 200}
PRICED = (
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-opus-4-7",
    "openai/gpt-5",
    "openai/gpt-4o",
    "openrouter/openai/gpt-5",
    "openrouter/anthropic/claude-sonnet-4.5",
)
UNPRICED = (
    "anthropic/claude-nine",
    "openai/gpt-5-nonsuch",
    "openrouter/perplexity/sonar-deep-research",
    "vllm/x",
    "ollama/gpt-5",
    "llamacpp/x",
    "openai-compatible/gpt-5",
    "else/gpt-5",
    "openai",
    "",
)


def test_the_tables_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    cost = Prices().cost("anthropic/claude-sonnet-4-5", USAGE)
    assert cost == pytest.approx((1000 * 3 + 500 * 15 + 3000 * 0.3 + 200 * 3.75) / 1e6)


@pytest.mark.parametrize("many", [1, 300])
@pytest.mark.parametrize("name", PRICED)
def test_the_same_as_the_tables_own_arithmetic(name: str, many: int) -> None:
    usage = {kind: many * tokens for kind, tokens in USAGE.items()}
    provider, _, model = name.partition("/")
    told = genai_prices.Usage(
        input_tokens=usage["input"] + usage["cache_read"] + usage["cache_write"],
        cache_read_tokens=usage["cache_read"],
        cache_write_tokens=usage["cache_write"],
        output_tokens=usage["output"],
    )
    expected = genai_prices.calc_price(told, model, provider_id=provider).total_price
    assert Prices().cost(name, usage) == pytest.approx(float(expected))


def test_no_model_in_the_tables_costs_more_than_its_worst_case() -> None:
    prices = Prices()
    known = 0
    for provider in get_snapshot().providers:
        for model in provider.models if provider.id in ("anthropic", "openai", "openrouter") else ():
            name = f"{provider.id}/{model.id}"
            for many in (1, 100, 1000):
                usage = {kind: many * tokens for kind, tokens in USAGE.items()}
                cost, worst = prices.cost(name, usage), prices.worst(name, many * 4200, many * 500)
                assert (cost is None) == (worst is None), name
                if cost is not None and worst is not None:
                    assert 0 <= cost <= worst * (1 + 1e-9), name
                    known += 1
    assert known > 300


def test_the_worst_case_takes_the_dearest_tier_and_the_write_to_the_cache() -> None:
    worst = Prices().worst("anthropic/claude-sonnet-4-5", 1000, 500)
    assert worst == pytest.approx((1000 * 7.5 + 500 * 22.5) / 1e6)


@pytest.mark.parametrize("name", UNPRICED)
def test_unknown_is_not_free(name: str) -> None:
    assert Prices().cost(name, USAGE) is None
    assert Prices().worst(name, 10, 10) is None


@pytest.mark.parametrize("usage", [{}, {"input": 1}, {"output": 1}, {"input": 1, "output": 1, "images": 1}])
def test_usage_that_does_not_tell_is_not_free(usage: dict[str, int]) -> None:
    assert Prices().cost("openai/gpt-5", usage) is None


@pytest.mark.parametrize("name", ["mock/x", "replay/anthropic/claude", "evolution"])
def test_what_costs_nothing(name: str) -> None:
    assert Prices().cost(name, {}) == 0.0
    assert Prices().worst(name, 10**6, 10**6) == 0.0


def test_rates_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    rates = {"vllm/x": {"input": 1, "output": 2.5}, "openai/gpt-5": {"input": 9, "output": 9, "cache_write": 20}}
    file.write_text(json.dumps(rates))
    prices = Prices.read(file)
    assert prices.own["vllm/x"] == Rates(1.0, 2.5)
    assert prices.cost("vllm/x", USAGE) == pytest.approx((4200 + 500 * 2.5) / 1e6)
    assert prices.worst("openai/gpt-5", 100, 10) == pytest.approx((100 * 20 + 90) / 1e6)
    assert Prices.read(None) == Prices()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no JSON"),
        ("[]", "not an object"),
        ('{"x": {"input": 1, "output": 1}}', "'x'.*provider/model"),
        ('{"a/x": 3}', "'a/x': not an object"),
        ('{"a/x": {"input": 1}}', "'a/x'.*'output' is missing"),
        ('{"a/x": {"input": 1, "output": 1, "cached": 1}}', "'a/x'.*'cached'"),
        ('{"a/x": {"input": "1", "output": 1}}', "'a/x'.*'input' is '1'"),
        ('{"a/x": {"input": true, "output": 1}}', "'input' is True"),
        ('{"a/x": {"input": -1, "output": 1}}', "'input' is -1"),
        ('{"a/x": {"input": NaN, "output": 1}}', "'input' is nan"),
        ('{"a/x": {"input": 1, "output": Infinity}}', "'output' is inf"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(InputError, match=says) as error:
        Prices.read(file)
    assert "prices.json" in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: cannot be read"):
        Prices.read(tmp_path / "none.json")


def test_the_bound_is_above_what_is_sent() -> None:
    tool = Tool("look", "Schaut é 🙂.", {"type": "object", "properties": {"é": {"type": "string"}}})
    call = ToolCall("c1", "look", {"é": "🙂" * 50}, "")
    raw = [{"type": "tool_use", "id": "c1", "name": "look", "input": {"é": "🙂" * 50}}]
    turns = (
        Turn("Was? " * 100, (), Reply("", (call,), "tools", {"output": 70}, raw)),
        Turn("", (ToolResult("c1", "ü" * 300),)),
    )
    request = Request("Système", turns, (tool,))
    bound = upper_bound_tokens(request)
    assert bound > len(json.dumps([dataclasses.asdict(turn) for turn in turns], ensure_ascii=False).encode()) * 0.9
    assert bound > tokens_of([dataclasses.asdict(turn) for turn in turns])
    # Thinking that is given back in short is bounded by what it was billed as.
    thought = dataclasses.replace(turns[0], reply=Reply("", (call,), "tools", {"output": 9000}, raw))
    assert upper_bound_tokens(dataclasses.replace(request, turns=(thought, turns[1]))) == bound + 8930
