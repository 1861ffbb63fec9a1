"""A model behind a server: what each dialect of it teaches, what is refused, and what is tried again."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Response

from autotts.agents.models import Busy, Lost
from autotts.errors import InputError, ServerError
from autotts.live.connect import Connection, HttpModel, Sampling, connect
from autotts.live.counting import Counter
from autotts.live.gate import Gate, patiently
from autotts.live.growth import Growth, Piece, Token
from autotts.live.model import Said
from autotts.live.ways import Completions, is_thinking
from autotts.live.wire import Chunk, read_chunk
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
            with pytest.raises(InputError, match="--full-read"):
                await model.probe(await model.ask(QUESTION), "t1.1 ")

    with token_server("--template", "none", "--chat", "closed") as server:
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
    with pytest.raises(ServerError, match=r"^tried for 0.5 s: .* is the server running\?$"):
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
    with pytest.raises(ServerError, match="tried for"):
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


# ---- parts -----------------------------------------------------------------------------------------------------------


def pieces(tokens: list[str], sizes: list[int], told: bool) -> Iterator[Piece]:
    at = 0
    for size in sizes:
        new = tokens[at : at + size]
        at += len(new)
        yield Piece("".join(new), at, tuple(map(Token, new)) if told else (), ended=at == len(tokens))
        if at == len(tokens):
            return


@given(
    st.lists(st.text("aé🙂 \n", min_size=1, max_size=3), min_size=1, max_size=60),
    st.lists(st.integers(1, 9), min_size=60, max_size=60),
    st.integers(1, 12),
)
def test_however_a_branch_arrives_it_is_cut_at_the_same_tokens(
    tokens: list[str], sizes: list[int], interval: int
) -> None:
    growth = Growth(interval)
    for piece in pieces(tokens, sizes, told=True):
        growth.add(piece)
        assert growth.depth == growth.probes + growth.ended
        assert growth.probes * interval < growth.total or not growth.total
    assert growth.text == "".join(tokens)
    assert growth.probes == (len(tokens) - 1) // interval
    for k in range(1, growth.probes + 1):
        assert growth.prefix(k) == "".join(tokens[: k * interval])
        assert growth.tokens(k) == k * interval
        assert [token.text for token in growth.scores(k)] == tokens[(k - 1) * interval : k * interval]
    assert growth.prefix(growth.depth) == growth.text
    assert growth.tokens(growth.depth) == len(tokens)


def test_a_text_that_lags_behind_its_tokens_is_cut_by_them() -> None:
    """Servers hold back what may be the start of a stop text, or half a character."""
    growth = Growth(2)
    growth.add(Piece("a", 1, (Token("a"),)))
    growth.add(Piece("", 2, (Token("b"),)))
    growth.add(Piece("bc", 3, (Token("c"),), ended=True))
    assert growth.prefix(1) == "ab"


def test_tokens_that_were_not_all_told_do_not_say_where_a_cut_is() -> None:
    """llama.cpp tells the tokens of a character as one; it counts them all."""
    growth = Growth(4)
    for total, text in ((3, " 🎉"), (6, " 🎉"), (9, " 🎉"), (10, " b")):
        growth.add(Piece(text, total, (Token(text),)))
    growth.add(Piece("", 11, (), ended=True))
    assert growth.probes == 2
    assert growth.prefix(1) == " 🎉 🎉"
    assert growth.prefix(2) == " 🎉 🎉 🎉"
    assert growth.scores(1) == ()


def test_counts_of_a_server_stand_over_what_came() -> None:
    counter = Counter("scores")
    counter.add(Chunk("ab", tokens=(Token("a"), Token("b"))))
    counter.add(Chunk(counted=3))
    assert counter.end() == 3


ONE_BY_ONE = {"tokens": ["a"], "token_logprobs": [-0.5]}
IN_CHATS_SHAPE = {"content": [{"token": "a", "logprob": None}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"choices": [{"text": "a", "finish_reason": None}]}, Chunk("a")),
        ({"choices": [{"delta": {"reasoning_content": "hm"}}]}, Chunk(thought="hm")),
        ({"choices": [{"delta": {"content": None, "reasoning": "hm"}}]}, Chunk(thought="hm")),
        ({"choices": [], "usage": {"completion_tokens": 4, "prompt_tokens": 2}}, Chunk(counted=4, prompt_tokens=2)),
        ({"choices": [{"text": "", "finish_reason": "length"}]}, Chunk(ended=True, truncated=True)),
        ({"choices": [{"text": "a", "logprobs": ONE_BY_ONE}]}, Chunk("a", tokens=(Token("a", -0.5),))),
        ({"choices": [{"text": "a", "logprobs": IN_CHATS_SHAPE}]}, Chunk("a", tokens=(Token("a"),))),
        ({"choices": [{"text": "a", "token_ids": [7, 8]}]}, Chunk("a", ids=2)),
        ({"choices": [{"text": "🎉"}], "timings": {"predicted_n": 3}}, Chunk("🎉", counted=3)),
        ({"choices": [], "usage": {"completion_tokens": 4}, "timings": {"predicted_n": 3}}, Chunk(counted=4)),
    ],
)
def test_chunks(value: dict[str, Any], expected: Chunk) -> None:
    assert read_chunk(value) == expected


NAMES = ("choices", "delta", "text", "logprobs", "content", "tokens", "token_logprobs", "top_logprobs", "usage",
         "completion_tokens", "finish_reason", "token", "logprob")  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=30,
)


@given(ANYTHING)
def test_whatever_a_server_streams_is_a_chunk_or_lost(value: Any) -> None:
    try:
        chunk = read_chunk(json.loads(json.dumps(value)) if isinstance(value, dict) else {"choices": value})
    except Lost:
        return
    assert isinstance(chunk.text, str)
    assert all(isinstance(token.text, str) for token in chunk.tokens)


def test_a_template_that_has_the_first_token_gets_no_second_one() -> None:
    """vLLM's /detokenize shows it, and its completions would put another in front."""
    assert Completions("vllm").body("<s>Hi", " ho") == {"prompt": "<s>Hi ho", "add_special_tokens": False}
    assert Completions("llama.cpp").body("Hi", " ho") == Completions("").body("Hi", " ho") == {"prompt": "Hi ho"}


def test_thinking_is_seen_by_the_marks() -> None:
    assert is_thinking("<think>\nhm")
    assert not is_thinking("<think>\nhm</think>\nso")
    assert not is_thinking("so")


def test_a_busy_server_is_asked_less_at_a_time() -> None:
    async def tell() -> None:
        gate = Gate(8)
        with pytest.raises(Busy):
            async with gate.place():
                raise Busy("later")
        assert gate.limit == 4
        for _ in range(100):
            async with gate.place():
                pass
        assert gate.limit == 8

    asyncio.run(tell())


def test_a_place_that_is_not_waited_for_any_more_goes_to_the_next() -> None:
    async def tell() -> list[str]:
        gate, done = Gate(1), []

        async def hold(name: str, seconds: float) -> None:
            async with gate.place():
                await asyncio.sleep(seconds)
                done.append(name)

        first = asyncio.create_task(hold("first", 0.05))
        await asyncio.sleep(0)
        second, third = asyncio.create_task(hold("second", 0)), asyncio.create_task(hold("third", 0))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.gather(first, third)
        return done

    assert asyncio.run(tell()) == ["first", "third"]


def test_what_is_refused_for_ever_is_tried_once() -> None:
    tries = []

    async def never() -> None:
        tries.append(1)
        raise InputError("no")

    async def at_last() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise Lost("once more")
        return "done"

    with pytest.raises(InputError):
        asyncio.run(patiently(never, 5.0))
    assert len(tries) == 1
    assert asyncio.run(patiently(at_last, 20.0)) == "done"
