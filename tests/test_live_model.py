"""A model behind a server: what each dialect of it teaches, what is refused, and what is tried again."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from typing import Any

import pytest
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from autotts.errors import InputError, ServerError
from autotts.live.connect import Connection, HttpModel, Sampling, connect
from autotts.live.growth import Growth
from autotts.live.model import Said
from tests.stub_servers import token_server

QUESTION = "What is 3 + 4?"
DELTA = 16

DIALECTS: dict[str, tuple[tuple[str, ...], str]] = {
    "llama.cpp": ((), "completions, template llama.cpp; tokens by usage; log-probabilities"),
    "vllm": (
        ("--template", "vllm", "--counts", "ids"),
        "completions, template vllm; tokens by token ids; log-probabilities",
    ),
    "chat": (("--template", "none"), "chat; tokens by usage; log-probabilities"),
    "chat-that-echoes": (("--template", "none", "--echo"), "chat; tokens by usage; log-probabilities"),
    "scores-only": (
        ("--counts", "none"),
        "completions, template llama.cpp; tokens by log-probabilities; log-probabilities",
    ),
    "chunks-only": (
        ("--counts", "none", "--no-logprobs"),
        "completions, template llama.cpp; tokens by chunks; no log-probabilities",
    ),
    "many-at-a-time": (("--batch", "7"), "completions, template llama.cpp; tokens by usage; log-probabilities"),
    "thinking": (("--thinking",), "completions, template llama.cpp; tokens by usage; log-probabilities"),
    "strict": (("--strict",), "completions, template llama.cpp; tokens by log-probabilities; log-probabilities"),
    "busy": (("--fail-every", "3"), "completions, template llama.cpp; tokens by usage; log-probabilities"),
}


def connection(url: str, **more: Any) -> Connection:
    return Connection(url, "stub", **{"deadline": 20.0, "sampling": Sampling(max_tokens=500), **more})


async def grown(model: HttpModel, seed: int, prefix: str = "", spent: int = 0) -> Growth:
    growth = Growth(DELTA)
    asked = await model.ask(QUESTION)
    async for piece in model.branch(asked, seed, prefix, spent):
        growth.add(piece)
    return growth


async def looked(url: str, **more: Any) -> tuple[str, Growth, Growth, list[Said]]:
    """What a server is said to do; a branch; the same from its second cut on; what all its probes say."""
    async with connect(connection(url, **more)) as model:
        growth = await grown(model, 5)
        asked = await model.ask(QUESTION)
        again = await grown(model, 5, growth.prefix(2), 2 * DELTA)
        said = [await model.probe(asked, growth.prefix(k)) for k in range(1, growth.probes + 1)]
        return model.abilities.words(), growth, again, said


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect(name: str) -> None:
    flags, words = DIALECTS[name]
    with token_server("--least", "90", "--most", "99", *flags) as server:
        told, growth, again, said = asyncio.run(looked(server.url))
    assert told == words
    assert growth.ended
    assert not growth.truncated
    assert 90 <= growth.total <= 99
    assert growth.probes == (growth.total - 1) // DELTA
    # The text says by itself how many tokens it has: each is called by its number.
    for k in range(1, growth.probes + 1):
        assert growth.prefix(k).endswith(f"t5.{k * DELTA} ")
    assert growth.text.startswith("t5.1 t5.2 ")
    assert "\\boxed{" in growth.text
    assert growth.prefix(2) + again.text == growth.text
    assert again.total == growth.total
    assert len(said) == growth.probes
    assert all(one.text.endswith("}") and one.tokens == 2 and one.prompt_tokens for one in said)
    assert all(("</think>" in one.cue) == (name == "thinking") for one in said)
    assert len(growth.scores(1)) == (0 if name == "chunks-only" else DELTA)


def test_a_token_that_ends_a_branch_counts_as_the_server_says() -> None:
    with token_server("--least", "64", "--most", "64", "--eos") as server:
        _, growth, _, said = asyncio.run(looked(server.url))
    assert growth.total == 65
    assert growth.probes == len(said) == 4
    assert growth.tokens(5) - growth.tokens(4) == 1


def test_a_branch_that_is_cut_off_says_so() -> None:
    with token_server("--least", "90") as server:
        _, growth, again, _ = asyncio.run(looked(server.url, sampling=Sampling(max_tokens=48)))
    assert (growth.total, growth.truncated, growth.probes) == (48, True, 2)
    assert (again.total, again.truncated) == (48, True)


def test_a_template_of_ones_own_is_the_whole_text(tmp_path: Any) -> None:
    (tmp_path / "prompt.md.jinja").write_text("Q: {{ question }}\n\nA:\n")
    (tmp_path / "probe.md.jinja").write_text(" So: \\boxed{\n")

    async def tell(url: str) -> tuple[str, str]:
        async with connect(connection(url, api="raw", prompts=str(tmp_path))) as model:
            asked = await model.ask(QUESTION)
            return asked.prompt, (await model.probe(asked, "t1.1 ")).cue

    with token_server() as server:
        assert asyncio.run(tell(server.url)) == (f"Q: {QUESTION}\n\nA:", " So: \\boxed{")


def test_half_a_character_in_a_question_is_sent_as_another() -> None:
    async def tell(url: str) -> bool:
        async with connect(connection(url)) as model:
            asked = await model.ask("What is 3 + 4? \ud83d")
            return [piece async for piece in model.branch(asked, 1)][-1].ended and "}" in (
                await model.probe(asked, "t1.1 \ude00")
            ).text

    with token_server() as server:
        assert asyncio.run(tell(server.url))


def thinking_apart(request: Request) -> Response:
    """A chat of 40 tokens, called by their numbers; 32 are thinking, which a reasoning parser parts from the answer."""
    body = request.get_json()
    messages = body["messages"]
    prefix = messages[1]["content"] if len(messages) > 1 else ""
    spent = max(map(int, re.findall(r"\bt(\d+) ", prefix)), default=0)
    if "boxed" in prefix:
        return Response(json.dumps({"choices": [{"message": {"reasoning_content": "7}"}, "finish_reason": "stop"}]}))
    if not body.get("stream"):
        return Response(json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "length"}]}))
    events = []
    for k in range(spent + 1, 41):
        part = "reasoning_content" if k <= 32 else "content"
        choice = {"delta": {part: f"t{k} "}, "finish_reason": "stop" if k == 40 else None}
        events.append({"choices": [choice], "usage": {"completion_tokens": k - spent}})
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Response(stream + "data: [DONE]\n\n", content_type="text/event-stream")


def test_thinking_that_comes_apart_is_put_together_again(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/models").respond_with_json({"data": []})
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(thinking_apart)

    async def tell() -> None:
        async with connect(connection(httpserver.url_for("/v1"), api="chat")) as model:
            asked, growth = await model.ask(QUESTION), await grown(model, 0)
            thought = "".join(f"t{k} " for k in range(1, 33))
            answer = "".join(f"t{k} " for k in range(33, 41))
            assert growth.text == f"<think>\n{thought}\n</think>\n\n{answer}"
            assert (growth.total, growth.probes, growth.prefix(2)) == (40, 2, f"<think>\n{thought}")
            for at in (3, 32, 33, 39):  # within thinking, at its end, after it
                cut = growth.text.index(f"t{at} ") + len(f"t{at} ")
                again = await grown(model, 0, growth.text[:cut], at)
                assert growth.text[:cut] + again.text == growth.text
                assert again.total == 40
                said = await model.probe(asked, growth.text[:cut])
                assert said.text == "7}"
                assert ("</think>" in said.cue) == (at <= 32)

    asyncio.run(tell())


# ---- what is refused -------------------------------------------------------------------------------------------------


def refusal(*flags: str, **more: Any) -> str:
    with token_server(*flags) as server, pytest.raises(InputError) as found:
        asyncio.run(looked(server.url, **more))
    return str(found.value)


def test_a_server_that_closes_the_last_message_is_refused_and_full_reads_are_offered() -> None:
    for more in ({}, {"api": "chat"}):
        message = refusal("--template", "none", "--chat", "closed", **more)
        assert "can neither continue a prompt by raw completions nor a chat whose last message is left open" in message
        assert "--full-read" in message


def test_full_reads_need_no_continuation_and_give_none() -> None:
    async def tell(url: str) -> None:
        async with connect(connection(url, full_read=True)) as model:
            assert (await grown(model, 1)).ended
            with pytest.raises(InputError, match="with --full-read no branch can be probed on its way"):
                await model.probe(await model.ask(QUESTION), "t1.1 ")
            if closed:
                with pytest.raises(InputError, match="cannot let a branch go on from its text"):
                    await grown(model, 1, "t1.1 ", 1)
            else:
                assert (await grown(model, 1, "t1.1 ", 1)).text.startswith("t1.2 ")

    for closed in (True, False):
        with token_server(*("--template", "none", "--chat", "closed") if closed else ()) as server:
            asyncio.run(tell(server.url))


def test_tokens_that_cannot_be_counted_need_a_tokenizer(tmp_path: Any) -> None:
    flags = ("--counts", "none", "--no-logprobs", "--batch", "5")
    assert "--tokenizer" in refusal(*flags)
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    made: Any = Tokenizer(WordLevel({"?": 0}, "?"))
    made.pre_tokenizer = WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    with token_server("--least", "300", "--most", "300", *flags) as server:
        words, growth, _, _ = asyncio.run(looked(server.url, tokenizer=str(tmp_path / "tokenizer.json")))
    assert "your tokenizer" in words
    assert growth.total == 300
    with pytest.raises(InputError, match="no such file"):
        asyncio.run(looked("http://127.0.0.1:9/v1", tokenizer=str(tmp_path / "none.json")))
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(InputError, match="no tokenizer that can be read"):
        asyncio.run(looked("http://127.0.0.1:9/v1", tokenizer=str(tmp_path / "bad.json")))


def test_a_model_that_is_not_there_is_named_with_those_that_are() -> None:
    async def tell(url: str) -> None:
        async with connect(Connection(url, "other", deadline=5.0)):
            raise AssertionError

    with token_server() as server, pytest.raises(InputError, match="there is no such model; there is stub"):
        asyncio.run(tell(server.url))


def test_a_key_is_sent_and_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with token_server("--key", "sk-right-key") as server:
        monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk-right-key")
        assert asyncio.run(looked(server.url))[1].ended
        monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk-wrong-key")
        with pytest.raises(InputError, match="OPENAI_COMPATIBLE_API_KEY") as found:
            asyncio.run(looked(server.url))
        assert "sk-wrong-key" not in str(found.value)


def test_no_server_is_an_error_of_the_server_after_the_deadline(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServerError, match=r"^no answer to be had within 0.5 s: .* is the server running\?$"):
        asyncio.run(looked("http://127.0.0.1:9/v1", deadline=0.5))
    (waited,) = capfd.readouterr().err.splitlines()
    assert waited.startswith("waiting up to 0.5 s: stub at http://127.0.0.1:9/v1: no connection")


def test_what_waiting_does_not_mend_about_an_address_is_said_at_once(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    httpserver.expect_request("/models").respond_with_json({"data": []})
    stream = 'data: {"content": "a", "stop": false}\n\n'
    httpserver.expect_request("/completions").respond_with_data(stream, content_type="text/event-stream")
    with pytest.raises(InputError, match="mostly ends in /v1"):
        asyncio.run(looked(httpserver.url_for("").rstrip("/"), api="raw", deadline=60))
    secure = httpserver.url_for("/v1").replace("http://", "https://")
    with pytest.raises(InputError, match="write http:// in its address"):
        asyncio.run(looked(secure, deadline=60))
    (tmp_path / "none.pem").write_text("none")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(InputError, match="SSL_CERT_FILE"):
        asyncio.run(looked(secure, deadline=60))


def test_a_certificate_that_nobody_trusts_is_refused_until_it_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with HTTPServer(ssl_context=context) as server:
        server.expect_request("/v1/models").respond_with_json({"data": [{"id": "other"}]})
        url = server.url_for("/v1")
        with pytest.raises(InputError, match=r"certificate is not trusted \(.+\); .* SSL_CERT_FILE"):
            asyncio.run(looked(url, deadline=60))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        with pytest.raises(InputError, match="there is other"):
            asyncio.run(looked(url, deadline=60))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "data: not json\n\n"),
        (200, "data: []\n\n"),
        (200, ""),
        (200, 'data: {"choices": [{"text": "a"}]}\n\n'),
        (200, 'data: {"choices": [{"text": "a", "finish_reason": "abort"}]}\n\ndata: [DONE]\n\n'),
        (200, 'data: {"error": {"message": "out of memory", "code": 500}}\n\n'),
        (500, "<html>"),
    ],
    ids=["no-json", "no-object", "nothing", "no-end", "given-up", "error-within", "page"],
)
def test_an_answer_that_is_none_ends_in_a_sentence(httpserver: HTTPServer, status: int, body: str) -> None:
    httpserver.expect_request("/v1/models").respond_with_json({"data": []})
    httpserver.expect_request("/v1/completions").respond_with_data(body, status, content_type="text/event-stream")
    with pytest.raises(ServerError, match="no answer to be had within"):
        asyncio.run(looked(httpserver.url_for("/v1"), api="raw", deadline=0.3))


def test_a_stream_that_breaks_off_is_told_with_what_it_had() -> None:
    async def tell(url: str) -> str:
        async with connect(connection(url)) as model:
            for seed in range(20):
                try:
                    await grown(model, seed)
                except ServerError as error:
                    return str(error)
        return ""

    with token_server("--drop-every", "3") as server:
        message = asyncio.run(tell(server.url))
    assert "tokens" in message
    assert "stub at http://127.0.0.1" in message


def test_a_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    moved = Response(status=307, headers={"Location": "http://127.0.0.1:9/"})
    httpserver.expect_request("/v1/models").respond_with_response(moved)
    with pytest.raises(InputError, match="sends elsewhere"):
        asyncio.run(looked(httpserver.url_for("/v1")))


def test_closing_a_branch_ends_its_request() -> None:
    async def tell(url: str) -> None:
        async with connect(connection(url)) as model:
            stream = model.branch(await model.ask(QUESTION), 1)
            assert (await anext(stream)).text
            await stream.aclose()  # type: ignore[attr-defined]

    with token_server("--least", "5000", "--most", "5000", "--delay", "0.01") as server:
        asyncio.run(tell(server.url))
        deadline = time.monotonic() + 30
        while server.state()["running"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert server.state()["cancelled"] == 1


def test_no_more_requests_than_may_be_are_under_way() -> None:
    async def tell(url: str) -> None:
        async with connect(connection(url, concurrency=3)) as model:
            await asyncio.gather(*(grown(model, seed) for seed in range(12)))

    with token_server("--delay", "0.002") as server:
        asyncio.run(tell(server.url))
        assert server.state()["most"] == 3
