"""Servers that are busy, broken, slow or wrong: each ends as the exception that says what to do about it, in time."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.agents.models import Busy, Lost, NoTools, Request, Tool, TooLong, ToolResult, Turn, make_model
from autotts.agents.prices import upper_bound_tokens
from autotts.errors import InputError
from tests.servers import PROVIDERS, Drip, Drop, Garbage, Hang, Say, Status, Step, WireServer
from tests.wires import WIRES

LOOK = Tool("look", "Looks.", {"type": "object", "properties": {}})
FORMATS = ("anthropic", "responses", "chat")


@pytest.fixture(scope="module", params=FORMATS)
def started(request: pytest.FixtureRequest) -> Iterator[WireServer]:
    with WireServer(request.param) as server:
        yield server


@pytest.fixture
def server(started: WireServer) -> Iterator[WireServer]:
    started.complaints.clear()
    yield started
    assert not started.complaints


def ask(server: WireServer, step: Step, timeout: float = 10.0, tools: tuple[Tool, ...] = (LOOK,)) -> Any:
    server.script([step])
    return make_model(f"{server.provider}/m-1", server.url).ask(Request("s", (Turn("q"),), tools, 99), timeout)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_busy(server: WireServer, status: int) -> None:
    with pytest.raises(Busy, match=str(status)) as busy:
        ask(server, Status(status, "later"))
    assert busy.value.retry_after is None
    assert server.left == 0


@pytest.mark.parametrize("status", [504, 524])
def test_a_gateway_that_gave_up_may_have_cost(server: WireServer, status: int) -> None:
    with pytest.raises(Lost, match=str(status)):
        ask(server, Status(status, body=b"<html>timed out</html>"))


def test_loading() -> None:
    body = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
    with WireServer("chat") as server, pytest.raises(Busy, match="Loading model"):
        ask(server, Status(503, body=body))


def test_retry_after(server: WireServer) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=40), usegmt=True)
    for written, least, most in (("2.5", 2.5, 2.5), (soon, 30, 40), (past, 0, 0), ("-3", 0, 0)):
        with pytest.raises(Busy) as busy:
            ask(server, Status(429, retry_after=written))
        assert busy.value.retry_after is not None
        assert least <= busy.value.retry_after <= most
    with pytest.raises(Busy) as busy:
        ask(server, Status(529, retry_after="9", headers={"retry-after-ms": "1500"}))
    assert busy.value.retry_after == 1.5
    for written in ("soon", "nan", "inf"):
        with pytest.raises(Busy) as busy:
            ask(server, Status(429, retry_after=written))
        assert busy.value.retry_after is None


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 422])
def test_what_never_heals(server: WireServer, status: int) -> None:
    with pytest.raises(InputError, match=f"{status}: not so") as error:
        ask(server, Status(status, "not so"))
    assert not isinstance(error.value, TooLong)
    if status == 401:
        assert "API_KEY" in str(error.value)


def test_an_account_without_credit() -> None:
    with WireServer("responses") as server, pytest.raises(InputError, match="no credit"):
        ask(server, Status(429, "You exceeded your current quota", "insufficient_quota"))


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "", "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "", "input length and `max_tokens` exceed context limit: 199000 + 16000 > 200000"),
        (400, "context_length_exceeded", "Your input exceeds the limit of this model."),
        (400, "", "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"),
        (400, "exceed_context_size_error", "the request exceeds the available context size, try increasing it"),
        (413, "request_too_large", "Request exceeds the maximum size"),
        (429, "rate_limit_exceeded", "Request too large for gpt-4o on tokens per min: Limit 30000, Requested 40000"),
    ],
)
def test_too_long(server: WireServer, status: int, code: str, message: str) -> None:
    with pytest.raises(TooLong, match="send less"):
        ask(server, Status(status, message, code))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "registry.ollama.ai/library/x:latest does not support tools"),
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (404, "No endpoints found that support tool use. Try disabling it."),
        (500, "tools param requires --jinja flag"),
        (400, "Function calling is not supported by this model"),
        (400, "Unrecognized request argument supplied: tools"),
        (400, "`tools` is not supported with this model"),
    ],
)
def test_a_server_without_tools(message: str, status: int) -> None:
    with WireServer("chat") as server:
        server.script([Status(status, message), Say("without")])
        model = make_model("vllm/m", server.url)
        with pytest.raises(NoTools):
            model.ask(Request("s", (Turn("q"),), (LOOK,)), 10.0)
        assert not model.tools
        assert model.ask(Request("s", (Turn("q"),)), 10.0).text == "without"
        # The same words about a request that has none are no lack of tools.
        server.script([Status(status, message)])
        with pytest.raises((InputError, Busy)):
            model.ask(Request("s", (Turn("q"),)), 10.0)


@pytest.mark.parametrize("message", ["tools.0.input_schema: Field required", "Invalid schema for function 'look'"])
def test_a_wrong_tool_is_no_lack_of_tools(server: WireServer, message: str) -> None:
    with pytest.raises(InputError):
        ask(server, Status(400, message))


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "no model x"}',
        b'{"object": "error", "message": "no model x", "code": 404}',
        b'{"detail": "no model x"}',
        b"no model x",
    ],
)
def test_other_shapes_of_an_error(body: bytes) -> None:
    with WireServer("chat") as server, pytest.raises(InputError, match="404: no model x"):
        ask(server, Status(404, body=body))


def test_an_error_in_the_body_of_a_200() -> None:
    with WireServer("chat") as server:
        for code, kind in ((429, Busy), (502, Busy), (402, InputError), ("odd", Lost)):
            with pytest.raises(kind, match="provider says no"):
                ask(server, Say(extra={"error": {"code": code, "message": "provider says no"}}))
        with pytest.raises(Lost, match="broke off"):
            ask(server, Say(extra={"choices": [{"finish_reason": "error", "message": {"content": ""}}]}))


def test_a_cut_off_answer_that_is_called_completed() -> None:
    """As llama.cpp does."""
    with WireServer("responses") as server:
        assert ask(server, Say("I am", extra={"usage": {"input_tokens": 9, "output_tokens": 99}})).stop == "length"


def test_a_response_that_failed() -> None:
    with WireServer("responses") as server:
        for code, kind in (("rate_limit_exceeded", Busy), ("server_error", Lost), ("invalid_prompt", InputError)):
            with pytest.raises(kind, match="so it is"):
                ask(server, Say(extra={"status": "failed", "error": {"code": code, "message": "so it is"}}))


def test_parameters_are_negotiated() -> None:
    with WireServer("responses") as server:
        server.script([Status(400, "Encrypted content is not supported with this model."), Say("plain")])
        model = make_model("openai/gpt-9", server.url)
        with pytest.raises(Busy) as busy:
            model.ask(Request("", (Turn("q"),)), 10.0)
        assert busy.value.retry_after == 0.0
        assert model.ask(Request("", (Turn("q"),)), 10.0).text == "plain"
        assert ["include" in body for body in server.requests] == [True, False]
    with WireServer("chat") as server:
        server.script([Status(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")])
        model = make_model("openai-compatible/gpt-9", server.url)
        for kind in (Busy, InputError):  # the second is the test's server, which knows only the old name
            with pytest.raises(kind):
                model.ask(Request("", (Turn("q"),)), 10.0)
        assert server.complaints == ["BadRequest: max_tokens: Field required"]


def test_connection_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for name in ("anthropic/x", "openai/x", "vllm/x"):
            with pytest.raises(Busy, match="is the server running"):
                make_model(name, f"http://127.0.0.1:{port}/v1").ask(Request("", (Turn("q"),)), 5.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves a caller waiting where the queue is full")
def test_a_connection_that_does_not_come_was_not_charged() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for caller in (first, second):
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        model = make_model("vllm/x", f"http://127.0.0.1:{full.getsockname()[1]}/v1")
        with pytest.raises(Busy, match="no connection"):
            model.ask(Request("", (Turn("q"),)), 1.0)


@pytest.mark.parametrize("step", [Hang(), Drip(0.02), Drip(0.02, headers=True)])
def test_the_deadline_holds(server: WireServer, step: Step) -> None:
    make_model(f"{server.provider}/m-1", server.url)  # the SDK is imported before time counts
    begun = time.monotonic()
    with pytest.raises(Lost, match=r"within 0\.4 s"):
        ask(server, step, timeout=0.4)
    assert time.monotonic() - begun < 2.0


def test_the_deadline_holds_where_a_name_is_not_found_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(*_: Any, **__: Any) -> Any:
        release.wait(20)
        raise OSError("late")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    begun = time.monotonic()
    with pytest.raises((Lost, Busy)):
        make_model("vllm/x@http://some.host/v1").ask(Request("", (Turn("q"),)), 0.4)
    assert time.monotonic() - begun < 3.0
    release.set()


@pytest.mark.parametrize("after", [0, 40])
def test_a_dropped_connection(server: WireServer, after: int) -> None:
    with pytest.raises(Lost, match="connection broke"):
        ask(server, Drop(after))


BODIES = (b"", b"<html>hello</html>", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"1" * 9999)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
def test_garbage(server: WireServer, body: bytes, content_type: str) -> None:
    with pytest.raises(Lost, match="cannot be read"):
        ask(server, Garbage(body, content_type))


SHAPES: dict[str, list[dict[str, Any]]] = {
    "anthropic": [
        {"content": "text"},
        {"content": None},
        {"content": [None]},
        {"content": [{"type": 1}]},
        {"content": [{"type": "text", "text": None}]},
        {"content": [{"type": "tool_use", "id": None, "name": "look", "input": {}}]},
    ],
    "responses": [
        {"output": None},
        {"output": ["x"]},
        {"output": [{"type": "message", "content": "text"}]},
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": 3}]}]},
        {"output": [{"type": "function_call", "name": "look", "call_id": "c", "arguments": None}]},
    ],
    "chat": [
        {"choices": None},
        {"choices": ["x"]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 3}}]},
        {"choices": [{"message": {"tool_calls": "x"}}]},
        {"choices": [{"message": {"tool_calls": [{"id": "x"}]}}]},
    ],
}


def test_wrong_shapes(server: WireServer) -> None:
    for extra in SHAPES[server.format]:
        with pytest.raises(Lost, match="cannot be read"):
            ask(server, Say(extra=extra))


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.none(), max_size=1)
VALUES = LEAVES | st.dictionaries(st.sampled_from(["type", "text", "message", "code"]), LEAVES, max_size=2)


@settings(max_examples=300, deadline=None)
@given(format=st.sampled_from(FORMATS), data=st.data())
def test_a_spoilt_answer_is_a_reply_or_lost(format: str, data: st.DataObject) -> None:
    wire = WIRES[format]
    said = Say("a", [("look", {"id": "b"})], thinking="hm", cached=1)
    answer: Any = wire.answer(said, {"model": "m", "include": ["reasoning.encrypted_content"]}, 1)
    place = answer
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(VALUES)
            break
        place = inner
    model: Any = make_model(f"{PROVIDERS[format]}/m", "http://127.0.0.1:1/v1")
    sent: list[Any] = []
    model._exchange = lambda body, timeout: sent.append(body) or json.dumps(answer).encode()
    try:
        reply = model.ask(Request("s", (Turn("q"),), (LOOK,)), 1.0)
    except (Lost, Busy, InputError):
        return
    assert isinstance(reply.text, str)
    json.dumps(dataclasses.asdict(reply))
    results = tuple(ToolResult(call.id, "x") for call in reply.calls)
    answer = wire.answer(Say("on"), {"model": "m"}, 2)
    assert model.ask(Request("s", (Turn("q", (), reply), Turn("r", results)), (LOOK,)), 1.0).text == "on"
    upper_bound_tokens(Request("s", (Turn("q", (), reply), Turn("r", results)), (LOOK,)))


def test_odd_usage_is_no_usage(server: WireServer) -> None:
    for usage in (
        None,
        [],
        {"input_tokens": "3", "prompt_tokens": True, "output_tokens": -1, "completion_tokens": 1.5},
    ):
        assert ask(server, Say("a", extra={"usage": usage})).usage == {}


def test_a_body_without_end(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotts.agents.models._server._MOST_BYTES", 1000)
    with pytest.raises(Lost, match="more than"):
        ask(server, Say("x" * 2000))


def test_an_interrupt_ends_a_call_at_once(server: WireServer) -> None:
    server.script([Hang()])
    code = f"""
import os, signal, threading
from autotts.agents.models import Request, Turn, make_model
model = make_model("{server.provider}/m", "{server.url}")
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs tests in the background
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    model.ask(Request("", (Turn("q"),)), 60.0)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("interrupted", "")


def test_inside_a_running_loop(server: WireServer) -> None:
    async def notebook() -> Any:
        return ask(server, Say("hi"))

    assert asyncio.run(notebook()).text == "hi"


def test_many_threads_share_a_model(server: WireServer) -> None:
    server.script([], always=lambda body: Say(str(len(str(body)))))
    model = make_model(f"{server.provider}/m-1", server.url)
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(model.ask(Request("", (Turn("q"),)), 20.0).text)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 6
