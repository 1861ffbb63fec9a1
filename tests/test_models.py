"""The three adapters against servers that speak their formats strictly: conversations, names, addresses and keys."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from autotts.agents.models import PROVIDERS, Model, Reply, Request, Tool, ToolCall, ToolResult, Turn, make_model
from autotts.errors import InputError
from tests.servers import Say, Status, WireServer

LOOK = Tool("look", "Looks at a thing.", {"type": "object", "properties": {"id": {"type": "string"}}})
FORMATS = ("anthropic", "responses", "chat")


@pytest.fixture(params=FORMATS)
def server(request: pytest.FixtureRequest) -> Iterator[WireServer]:
    with WireServer(request.param) as started:
        yield started
    assert not started.complaints


def model_of(server: WireServer, model: str = "m-1") -> Model:
    return make_model(f"{server.provider}/{model}", server.url)


def ask(model: Model, *turns: Turn, tools: tuple[Tool, ...] = (LOOK,)) -> Reply:
    return model.ask(Request("You are terse.", turns, tools, 500), 10.0)


def stored(reply: Reply) -> Reply:
    """The reply as it is after a while in the archive."""
    value = json.loads(json.dumps(dataclasses.asdict(reply)))
    calls = tuple(ToolCall(**call) for call in value.pop("calls"))
    return Reply(**value, calls=calls)


def test_a_conversation_with_tools(server: WireServer) -> None:
    server.script(
        [
            Say("I look.", [("look", {"id": "é"}), ("look", {"id": "b"})], thinking="hm", cached=3),
            Say("", [("look", {})]),
            Say("Seen.", thinking="well"),
            Say("Bye."),
        ]
    )
    model = model_of(server)
    turns: list[Turn] = [Turn("What is there?")]
    first = ask(model, *turns)
    assert (first.text, first.stop) == ("I look.", "tools")
    assert [(call.name, call.arguments) for call in first.calls] == [("look", {"id": "é"}), ("look", {"id": "b"})]
    turns[-1] = dataclasses.replace(turns[-1], reply=stored(first))
    results = (ToolResult(first.calls[1].id, "two"), ToolResult(first.calls[0].id, "no é", failed=True))
    second = ask(model, *turns, Turn("And then?", results))
    turns.append(Turn("And then?", results, stored(second)))
    # One call is left without a result: the adapter fills it in.
    third = ask(model, *turns, Turn(""))
    assert (third.text, third.calls, third.stop) == ("Seen.", (), "end")
    turns.append(Turn("", (), stored(third)))
    assert ask(model, *turns, Turn("Thanks.")).text == "Bye."
    assert server.left == 0
    # What was said before is sent again exactly, only the mark for the cache moves.
    shorter, longer = (_conversation(body) for body in server.requests[-2:])
    assert longer[: len(shorter)] == shorter


def _conversation(body: dict[str, Any]) -> list[Any]:
    text = json.dumps(body.get("messages") or body.get("input"))
    return list(json.loads(text.replace(', "cache_control": {"type": "ephemeral"}', "")))


def test_usage_by_kind(server: WireServer) -> None:
    server.script([Say("a", cached=5, written=0 if server.format == "chat" else 4), Say("a", usage=False)])
    usage = ask(model_of(server), Turn("q " * 200)).usage
    assert usage["cache_read"] == 5
    assert usage["output"] > 0
    total = len(json.dumps(server.requests[0])) // 4
    assert usage["input"] + usage["cache_read"] + usage.get("cache_write", 0) == total
    assert usage.get("cache_write", 0) == (0 if server.format == "chat" else 4)
    assert ask(model_of(server), Turn("q")).usage == {}


@pytest.mark.parametrize("stop", ["length", "refusal"])
def test_cut_off_and_refused(server: WireServer, stop: str) -> None:
    server.script([Say("I", stop=stop), Say("on")])
    model = model_of(server)
    reply = ask(model, Turn("q"))
    assert (reply.text, reply.stop) == ("I", stop)
    assert ask(model, Turn("q", (), stored(reply)), Turn("Go on.")).text == "on"


def test_an_empty_answer_can_be_sent_back(server: WireServer) -> None:
    server.script([Say(""), Say("on")])
    model = model_of(server)
    reply = ask(model, Turn("q"))
    assert (reply.text, reply.stop, reply.calls) == ("", "end", ())
    assert ask(model, Turn("q", (), stored(reply)), Turn("Well?")).text == "on"


def test_an_answer_cut_off_in_its_thinking_can_be_sent_back(server: WireServer) -> None:
    server.script([Say("", thinking="hm", stop="length"), Say("on")])
    model = model_of(server, "gpt-5")
    reply = ask(model, Turn("q"))
    assert (reply.text, reply.stop) == ("", "length")
    assert ask(model, Turn("q", (), stored(reply)), Turn("Be shorter.")).text == "on"


def test_blank_text_is_not_sent_back(server: WireServer) -> None:
    server.script([Say(" \n", [("look", {})]), Say("on")])
    model = model_of(server)
    reply = ask(model, Turn("q"))
    assert ask(model, Turn("q", (), reply), Turn(" ", (ToolResult(reply.calls[0].id, ""),))).text == "on"


def test_a_cut_off_call_needs_no_result(server: WireServer) -> None:
    server.script([Say("", [("look", {"id": "x"})], stop="length"), Say("on")])
    model = model_of(server)
    reply = ask(model, Turn("q"))
    assert reply.stop == "length"
    assert ask(model, Turn("q", (), reply), Turn("Be shorter.")).text == "on"


def test_malformed_arguments() -> None:
    for format in ("responses", "chat"):
        with WireServer(format) as server:
            server.script([Say("", [("look", '{"id": '), ("look", "[1]"), ("look", "")]), Say("on")])
            model = model_of(server)
            reply = ask(model, Turn("q"))
            assert [call.arguments for call in reply.calls] == [None, None, {}]
            assert [call.written for call in reply.calls[:2]] == ['{"id": ', "[1]"]
            results = tuple(ToolResult(call.id, "no JSON", failed=True) for call in reply.calls)
            assert ask(model, Turn("q", (), stored(reply)), Turn("", results)).text == "on"
            assert not server.complaints


def test_a_reply_from_elsewhere(server: WireServer) -> None:
    server.script([Say("on")])
    past = Reply("I look.", (ToolCall("c1", "look", {"id": "a"}),), "tools")
    turns = (Turn("q", (), past), Turn("", (ToolResult("c1", "seen"),), Reply("")), Turn("Well?"))
    assert ask(model_of(server), *turns, tools=(LOOK,)).text == "on"


def test_calls_in_the_past_and_no_tools_now(server: WireServer) -> None:
    server.script([Say("on")])
    past = Reply("", (ToolCall("c1", "look", {"id": "a"}),), "tools")
    assert ask(model_of(server), Turn("q", (), past), Turn("Answer now."), tools=()).text == "on"


def test_a_result_without_a_call_is_the_callers_mistake(server: WireServer) -> None:
    with pytest.raises(ValueError, match="not made"):
        ask(model_of(server), Turn("q", (ToolResult("c1", "x"),)))


def test_lone_surrogates_do_not_reach_the_wire(server: WireServer) -> None:
    server.script([Say("b\ud800d")])
    reply = ask(model_of(server), Turn("a \udcff b"))
    assert reply.text == "b?d"
    reply.text.encode()


def test_the_cache_is_marked_after_the_system_prompt_and_the_last_two_turns() -> None:
    with WireServer("anthropic") as server:
        server.script([Say("one"), Say("two"), Say("three")])
        model = model_of(server)
        turns: tuple[Turn, ...] = ()
        for text in ("1", "2", "3"):
            reply = ask(model, *turns, Turn(text))
            turns = (*turns, Turn(text, (), reply))
        body = server.requests[-1]
        assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
        marked = ["cache_control" in message["content"][-1] for message in body["messages"]]
        assert marked == [False, False, True, False, True]


def test_reasoning_goes_back_encrypted_or_not_at_all() -> None:
    for model, kinds in (("gpt-5", ["message", "reasoning", "message", "message"]), ("gpt-4o", ["message"] * 3)):
        with WireServer("responses") as server:
            server.script([Say("one", thinking="hm"), Say("two")])
            asked = model_of(server, model)
            reply = ask(asked, Turn("q"))
            ask(asked, Turn("q", (), reply), Turn("r"))
            assert [item["type"] for item in server.requests[1]["input"]] == kinds
            assert not server.complaints


def test_thinking_is_no_text() -> None:
    with WireServer("chat") as server:
        server.script([Say("", [("look", {})], thinking="hm"), Say("", thinking="only thoughts")])
        model = model_of(server)
        reply = ask(model, Turn("q"))
        second = ask(model, Turn("q", (), reply), Turn("", (ToolResult(reply.calls[0].id, "x"),)))
        assert (reply.text, second.text) == ("", "")
        assert server.requests[1]["messages"][2]["reasoning_content"] == "hm"


def chat_message(message: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop", **choice}]}


def test_what_compatible_servers_write() -> None:
    nameless = [{"function": {"name": "look", "arguments": {"id": 1}}}, {"id": "", "function": {"name": "look"}}]
    signed = {"id": "k", "function": {"name": "look", "arguments": "{}"}, "extra_content": {"s": "g"}}
    odd: list[dict[str, Any]] = [
        {"content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]},
        {"content": None, "tool_calls": nameless},
        {"content": "x", "tool_calls": None},
        {"content": None, "refusal": "I will not."},
        {"content": "", "tool_calls": [signed]},
    ]
    with WireServer("chat") as server:
        server.script([Say(extra=chat_message(message)) for message in odd] + [Say("on")])
        model = model_of(server)
        replies = [ask(model, Turn("q")) for _ in odd]
        assert [reply.text for reply in replies] == ["ab", "", "x", "I will not.", ""]
        assert [reply.stop for reply in replies] == ["end", "tools", "end", "refusal", "tools"]
        assert [(call.id, call.arguments) for call in replies[1].calls] == [("call_0", {"id": 1}), ("call_1", {})]
        ask(model, Turn("q", (), replies[4]), Turn("", (ToolResult("k", "seen"),)))
        assert server.requests[-1]["messages"][2]["tool_calls"][0]["extra_content"] == {"s": "g"}
        assert not server.complaints


def test_names() -> None:
    model = make_model("vllm/org/some-model:7b@2024@http://127.0.0.1:1/v1/")
    assert model.name == "vllm/org/some-model:7b@2024"
    assert model.tools
    assert repr(model) == "ChatModel('vllm/org/some-model:7b@2024', 'http://127.0.0.1:1/v1')"
    for prefix, provider in PROVIDERS.items():
        address = provider.address or "http://127.0.0.1:1/v1"
        assert make_model(f"{prefix}/x", address).name == f"{prefix}/x"
    assert "http://h:1'" in repr(make_model("anthropic/x@http://h:1/v1"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpt-5", "provider/model"),
        ("", "provider/model"),
        ("openia/gpt-5", "did you mean openai/gpt-5"),
        ("openai/gpt-5", "OPENAI_API_KEY"),
        ("anthropic/claude", "ANTHROPIC_API_KEY"),
        ("openrouter/a/b", "OPENROUTER_API_KEY"),
        ("openai-compatible/x", "where is it"),
        ("vllm/x@http://me:hunter2@h/v1", "environment"),
        ("vllm/x@http://hunter2@h/v1", "environment"),
        ("vllm/x@http://h/v1?api_key=hunter2", "environment"),
        ("vllm/x@http://h/v1#hunter2", "environment"),
        ("vllm/x@http://:80/v1", "no address"),
        ("vllm/x@http://h:port/v1", "no valid host and port"),
    ],
)
def test_bad_names(name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        monkeypatch.delenv(provider.variable, raising=False)
        monkeypatch.delenv(provider.address_variable or "X", raising=False)
    with pytest.raises(InputError, match=says) as error:
        make_model(name)
    assert "hunter2" not in str(error.value)


def test_two_addresses_and_addresses_of_other_schemes() -> None:
    with pytest.raises(InputError, match="two addresses"):
        make_model("vllm/x@http://a/v1", "http://b/v1")
    with pytest.raises(InputError, match="is no address"):
        make_model("vllm/x", "ftp://b/v1")


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match="pip install openai"):
        make_model("vllm/x")


def test_the_key_is_sent_and_never_shown(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-very-secret-123"
    monkeypatch.setenv(PROVIDERS[server.provider].variable, f" {key}\n")
    server.script([Say("hi"), Status(401, f"the key {key} is wrong"), Status(200, body=key.encode())])
    model = model_of(server)
    ask(model, Turn("q"))
    assert server.keys == [key]
    shown = [repr(model), str(model), repr(vars(model))]
    for _ in range(2):
        with pytest.raises(Exception, match=r"\[key\]") as error:
            ask(model, Turn("q"))
        assert error.value.__context__ is None
        shown.append(str(error.value))
    assert key not in "".join(shown)
    monkeypatch.setenv(PROVIDERS[server.provider].variable, "sk-with a space")
    with pytest.raises(InputError, match="holds no key") as refused:
        model_of(server)
    assert "sk-with" not in str(refused.value)


def test_a_placeholder_where_there_is_no_key(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROVIDERS[server.provider].variable, raising=False)
    server.script([Say("hi")])
    ask(model_of(server), Turn("q"))
    assert server.keys == ["no-key"]


def test_an_account_at_openai_is_told_to_openai_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_ADMIN_KEY",
        "OPENAI_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
    ):
        monkeypatch.setenv(variable, "mine-alone")
    for format in ("chat", "anthropic"):
        with WireServer(format) as server:
            server.script([Say("hi")])
            ask(model_of(server), Turn("q"))
            assert "mine-alone" not in str(server.headers)


def test_no_sdk_is_imported_before_a_model_is_made() -> None:
    code = (
        "import sys, autotts.agents.models, autotts.agents.prices;"
        "print([name for name in ('anthropic', 'openai', 'httpx2', 'genai_prices') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
