"""What a model's server may do to `autotts serve`: each question is treated as it says, and the others are answered."""

from __future__ import annotations

import asyncio
import socket

import httpx2
import pytest

from tests.endpoints import Endpoint, serving
from tests.stub_servers import token_server
from tests.test_serve import user

KEY = "sk-of-the-upstream"

OUTCOMES: dict[str, tuple[int, str]] = {
    "endless": (503, "goes on past"),
    "endless-without-counts": (503, "goes on past"),
    "endless-nothing": (503, "goes on past"),
    "no-end-after-the-end": (503, "goes on past"),
    "one-line": (503, "limit"),
    "comments": (503, "limit"),
    "cut": (503, "broke"),
    "silent-amid": (504, "sent nothing of use for too long"),
    "signs-of-life": (504, "sent nothing of use for too long"),
    "no-reason": (503, "without a word why"),
    "nothing": (503, "streamed nothing"),
    "empty": (503, "broke the stream off"),
    "counts-down": (200, ""),
    "counts-nonsense": (200, ""),
    "counts-too-many": (503, "goes on past"),
    "counts-too-many-at-the-end": (503, "goes on past"),
    "half-a-pair": (200, ""),
    "no-utf-8": (200, ""),
    "deep": (503, "cannot be read"),
    "list": (503, "no object"),
    "choices-nonsense": (503, "something else than choices"),
    "error": (503, "out of memory"),
    "error-refused": (502, "bad field"),
    "scores-nonsense": (200, ""),
    "page": (503, "text/html"),
    "page-as-stream": (503, "broke the stream off"),
    "error-page": (503, "<html>"),
    "whole": (503, "application/json"),
    "silent": (504, "sent nothing of use for too long"),
    "busy": (503, "429"),
    "busy-for-ever": (503, "503"),
    "elsewhere": (502, "it sends elsewhere"),
    "key": (502, "OPENAI_COMPATIBLE_API_KEY"),
    "too-long": (400, "no"),
    "probe-silent": (504, "sent nothing of use for too long"),
    "probe-page": (503, "cannot be read"),
    "probe-error-page": (503, "<html>"),
    "probe-elsewhere": (502, "it sends elsewhere"),
    "probe-long": (503, "goes on past"),
    "probe-too-much": (503, "more than 4 MiB"),
    "probe-slow": (504, "sent nothing of use for too long"),
    "probe-none": (200, ""),
}


HONEST = 20


async def ask_all(endpoint: Endpoint) -> dict[str, httpx2.Response]:
    """All questions at once, and honest ones among them."""
    questions = {mode: f"mode={mode} what?" for mode in OUTCOMES} | {f"{k}": f"{1000 * k} + 7?" for k in range(HONEST)}
    async with httpx2.AsyncClient(trust_env=False, timeout=120, limits=httpx2.Limits(max_connections=None)) as http:

        async def one(question: str) -> httpx2.Response:
            body = {"model": "stub", "messages": user(question), "beta": 0}
            return await http.post(f"{endpoint.url}/chat/completions", json=body)

        got = await asyncio.gather(*map(one, questions.values()))
    return dict(zip(questions, got, strict=True))


def test_whatever_the_models_server_does_to_a_question_is_told_and_others_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        monkeypatch.setenv("ELSEWHERE", f"http://127.0.0.1:{elsewhere.getsockname()[1]}/v1/completions")
        variables = {"OPENAI_COMPATIBLE_API_KEY": KEY}
        words = ("--deadline", "4", "--max-tokens", "200", "--concurrency", "100", "--timeout", "100")
        with (
            token_server("--key", KEY, script="hostile_upstream.py") as stub,
            serving(*words, stub=stub, variables=variables) as (endpoint, _),
        ):
            children = len(endpoint.children())
            got = asyncio.run(ask_all(endpoint))
            asyncio.run(endpoint.settled(children))
            assert endpoint.memory("VmHWM") < 300 * 2**20 and KEY not in endpoint.text()
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody came
            elsewhere.accept()
    assert not [mode for mode, response in got.items() if KEY in response.text]
    told = {mode: (got[mode].status_code, got[mode].json().get("error", {}).get("message", "")) for mode in OUTCOMES}
    strange = {m: told[m] for m, (code, words) in OUTCOMES.items() if told[m][0] != code or words not in told[m][1]}
    assert not strange and all(len(message) < 1100 for _, message in told.values())
    codes = {400: "context_length_exceeded", 502: "upstream_refused", 503: "upstream_down", 504: "upstream_timeout"}
    for mode, (status, _) in OUTCOMES.items():
        assert status == 200 or got[mode].json()["error"]["code"] == codes[status]
        assert (status == 503) == ("retry-after" in got[mode].headers)
    assert [got[mode].headers["retry-after"] for mode in ("busy", "busy-for-ever")] == ["7", "600"]
    assert all(0 <= int(got[f"{k}"].json()["autotts"]["answer"]) - 1000 * k - 7 <= 3 for k in range(HONEST))


def test_answers_that_are_hard_to_read_hold_up_their_own_request_alone() -> None:
    async def scene(endpoint: Endpoint) -> None:
        before = len(endpoint.children()) + 2  # that read answers, from the first ones on
        async with httpx2.AsyncClient(trust_env=False, timeout=120) as http:

            async def one(question: str, beta: float) -> httpx2.Response:
                body = {"model": "stub", "messages": user(question), "beta": beta}
                return await http.post(f"{endpoint.url}/chat/completions", json=body)

            hard = [asyncio.create_task(one("mode=hard-answers", 1)) for _ in range(4)]  # each of 64 texts
            while await endpoint.running() < 4:
                await asyncio.sleep(0.05)
            told = await asyncio.gather(*(one(f"{1000 * k} + 7?", 0) for k in range(HONEST)))
            assert all(0 <= int(got.json()["autotts"]["answer"]) - 1000 * k - 7 <= 3 for k, got in enumerate(told))
            assert not any(task.done() for task in hard)
            for task in hard:
                task.cancel()  # which is not waited with until all is read
            await endpoint.settled(before)

    with (
        token_server(script="hostile_upstream.py") as stub,
        serving("--controller", "sc", "--answers", "math", stub=stub) as (endpoint, _),
    ):
        asyncio.run(scene(endpoint))
