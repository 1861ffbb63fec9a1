"""The parts of a model behind a server: what a stream's objects say, where a branch is cut, who is asked when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.agents.models import Busy, Lost
from autotts.errors import InputError
from autotts.live.counting import Counter
from autotts.live.gate import Gate, patiently
from autotts.live.growth import Growth, Piece, Token
from autotts.live.ways import Completions, is_thinking
from autotts.live.wire import Chunk, read_chunk


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
        ({"choices": [{"text": "é🙂\ud83d"}]}, Chunk("é🙂?")),
        ({"choices": [{"delta": {"reasoning": "\ude00"}}]}, Chunk(thought="?")),
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
