"""The endpoint by the client that its users have: OpenAI's SDK, and plain HTTP where that would not ask so."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from autotts.live.serve.log import AccessLog
from autotts.live.serve.schema import Terms
from autotts.live.serve.service import Service, Settings
from tests.serving import Serving, Stub, served

ROOT = Path(__file__).resolve().parents[1]
ASK = {"model": "m", "messages": [{"role": "user", "content": "42 is it"}]}
AsyncClient = openai.AsyncOpenAI


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@asynccontextmanager
async def client(serving: Serving, key: str = "none", retries: int = 0) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(base_url=serving.url, api_key=key, max_retries=retries) as made:
        yield made


@asynccontextmanager
async def plain(serving: Serving) -> AsyncIterator[httpx2.AsyncClient]:
    root = serving.url.removesuffix("/v1")
    async with httpx2.AsyncClient(base_url=root, trust_env=False, timeout=30) as made:
        yield made


async def until(found: Callable[[], bool]) -> None:
    """Wait for something that comes for certain, or fail."""
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0.01)


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    assert found, f"{name} is not in\n{text}"
    return float(found[1])


# ---- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_answer_is_a_chat_completion_with_what_it_took() -> None:
    stub = Stub()
    async with served(stub) as serving, client(serving) as c:
        told = await c.chat.completions.create(**ASK)
    assert told.object == "chat.completion" and told.model == "m" and told.id.startswith("chatcmpl-")
    (choice,) = told.choices
    assert choice.finish_reason == "stop" and choice.message.role == "assistant"
    assert choice.message.content == "Thinking of 42 is it …\n\n\\boxed{42}"
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.usage.total_tokens) == (90, 1074, 1164)
    ours = (told.model_extra or {})["autotts"]
    assert ours == {
        "answer": "42", "confidence": 0.75, "votes": {"42": 3, "other": 1}, "branches": 4, "tokens": 1000,
        "sequential_tokens": 500, "generated": 1050, "probes": 4, "seconds": 0.5, "stopped": "", "controller": "stub",
        "beta": 0.5, "seed": 0, "drift": None,
    }  # fmt: skip
    assert stub.asked == [{"question": "42 is it", "beta": 0.5, "seed": 0, "tokens": None, "seconds": None}]


@pytest.mark.asyncio
async def test_no_answer_is_an_empty_text_and_no_failure() -> None:
    async with served(Stub()) as serving, client(serving) as c:
        told = await c.chat.completions.create(model="m", messages=user("42 none=1"))
    assert told.choices[0].message.content == ""
    assert (told.model_extra or {})["autotts"]["answer"] is None


@pytest.mark.asyncio
async def test_a_stream_says_the_same_in_chunks() -> None:
    async with served(Stub()) as serving, client(serving) as c:
        stream = await c.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        whole = await c.chat.completions.create(**ASK)
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"} and len({c.id for c in chunks}) == 1
    assert [len(chunk.choices) for chunk in chunks] == [1, 1, 1, 0]
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None, None, "stop"]
    assert [chunk.usage for chunk in chunks] == [None, None, None, whole.usage]
    assert (chunks[2].model_extra or {})["autotts"] == (whole.model_extra or {})["autotts"]


@pytest.mark.asyncio
async def test_a_stream_on_the_wire_has_signs_of_life_and_an_end() -> None:
    async with served(Stub(), keep_alive=0.02) as serving, plain(serving) as c:
        body = {**ASK, "messages": user("42 sleep=0.2"), "stream": True}
        got = await c.post("/v1/chat/completions", json=body)
        fast = await c.post("/v1/chat/completions", json={**ASK, "stream": True})
    assert got.headers["content-type"] == "text/event-stream" and got.headers["cache-control"] == "no-cache"
    parts = got.text.split("\n\n")
    assert parts[0] == parts[1] == ": thinking" and parts[-2:] == ["data: [DONE]", ""]
    assert all(part == ": thinking" or part.startswith("data: ") for part in parts[:-1])
    told = [json.loads(part[6:]) for part in parts if part.startswith("data: {")]
    assert len(told) == 3 and all("usage" not in chunk for chunk in told)
    assert {chunk["id"] for chunk in told} == {got.headers["x-request-id"]}
    assert ": thinking" not in fast.text


def test_the_sdk_that_blocks_gets_the_same(process: Process) -> None:
    with openai.OpenAI(base_url=process.url, api_key="none", max_retries=0) as c:
        whole = c.chat.completions.create(**ASK)
        chunks = list(c.chat.completions.create(**ASK, stream=True))
        assert [model.id for model in c.models.list()] == ["m"] and c.models.retrieve("m").owned_by == "autotts"
        with pytest.raises(openai.NotFoundError, match="'x' does not exist"):
            c.models.retrieve("x")
    assert whole.choices[0].message.content == "".join(c.choices[0].delta.content or "" for c in chunks)


# ---- what is asked -----------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_request_says_beta_seed_and_ceilings() -> None:
    stub = Stub()
    async with served(stub, most_tokens=5000, seed=3, temperature=0.6) as serving, client(serving) as c:
        for more in (
            {},
            {"extra_body": {"beta": 0.9}, "seed": 7, "max_completion_tokens": 800},
            {"extra_body": {"autotts": {"beta": 1, "seed": 64, "max_tokens_total": 900, "max_seconds": 2.5}}},
            {"max_tokens": 9000, "temperature": 0.6, "user": "u", "extra_body": {"beta": 0, "who_knows": [1]}},
        ):
            told = await c.chat.completions.create(**ASK, **more)  # type: ignore[call-overload]
            assert told.choices[0].finish_reason == ("length" if stub.asked[-1]["tokens"] < 1000 else "stop")
    found = [(asked["beta"], asked["seed"], asked["tokens"], asked["seconds"]) for asked in stub.asked]
    assert found == [(0.5, 3, 5000, None), (0.9, 7, 800, None), (1, 64, 900, 2.5), (0, 3, 5000, None)]


@pytest.mark.asyncio
async def test_system_messages_and_parts_of_text_are_put_before_the_question() -> None:
    stub = Stub()
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "6 * 7?"}]},
    ]
    async with served(stub) as serving, client(serving) as c:
        await c.chat.completions.create(model="m", messages=messages)  # type: ignore[arg-type]
    assert stub.asked[0]["question"] == "Be brief.\n\nWhat is\n6 * 7?"


TURNS = [*user("a"), {"role": "assistant", "content": "b"}, *user("c")]
IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "several choices": ({"n": 2}, "n", "a seed of its own"),
    "tools": ({"tools": [{"type": "function"}]}, "tools", "not supported"),
    "log-probabilities": ({"logprobs": True}, "logprobs", "not supported"),
    "JSON": ({"response_format": {"type": "json_object"}}, "response_format", "json_object"),
    "stop": ({"stop": ["\n"]}, "stop", "--stop"),
    "another temperature": ({"temperature": 0}, "temperature", "the upstream's own"),
    "effort": ({"reasoning_effort": "high"}, "reasoning_effort", "beta"),
    "turns": ({"messages": TURNS}, "messages[1]", "several turns"),
    "an image": ({"messages": user([IMAGE])}, "messages[0].content", "only text"),  # type: ignore[arg-type]
    "nothing": ({"messages": []}, "messages", "at least one"),
    "a blank": ({"messages": user("  ")}, "messages", "the question"),
    "only a system": ({"messages": [{"role": "system", "content": "x"}]}, "messages", "user's"),
    "a strange role": ({"messages": [{"role": "admin", "content": "x"}]}, "messages[0].role", "user"),
    "beta above 1": ({"beta": 1.01}, "beta", "from 0 to 1"),
    "beta as text": ({"beta": "0.5"}, "beta", "number"),
    "beta as truth": ({"beta": True}, "beta", "number"),
    "two betas": ({"beta": 0.1, "autotts": {"beta": 0.2}}, "beta", "different things"),
    "half a seed": ({"seed": 0.5}, "seed", "whole number"),
    "no tokens": ({"max_tokens": 0}, "max_tokens", "from 1"),
    "a typing error": ({"autotts": {"betta": 1}}, "autotts.betta", "max_tokens_total"),
    "stream as text": ({"stream": "yes"}, "stream", "true or false"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", BAD)
async def test_what_cannot_be_honoured_is_refused_and_named(case: str) -> None:
    more, param, words = BAD[case]
    stub = Stub()
    async with served(stub) as serving, plain(serving) as c:
        got = await c.post("/v1/chat/completions", json={**ASK, **more})
    error = got.json()["error"]
    assert got.status_code == 400 and error["type"] == "invalid_request_error" and set(got.json()) == {"error"}
    assert error["param"] == param and words in error["message"] and stub.asked == []


@pytest.mark.asyncio
async def test_what_is_no_request_is_refused_in_openais_shape() -> None:
    json_type = {"content-type": "application/json"}
    stub = Stub()
    async with served(stub) as serving, plain(serving) as c:
        path = "/v1/chat/completions"
        tries = [
            (400, await c.post(path, content=b"{", headers=json_type)),
            (400, await c.post(path, content=b"[" * 100_000, headers=json_type)),
            (400, await c.post(path, content=b"[]", headers=json_type)),
            (400, await c.post(path, content=b"\xff\xfe", headers=json_type)),
            (400, await c.post(path, content=json.dumps({**ASK, "messages": user("\ud800")}), headers=json_type)),
            (400, await c.post(path, content=json.dumps({**ASK, "beta": float("nan")}), headers=json_type)),
            (400, await c.post(path, json={"messages": user("a")})),
            (404, await c.post(path, json={**ASK, "model": "gpt"})),
            (413, await c.post(path, json={**ASK, "messages": user("a" * 2**20)})),
            (415, await c.post(path, content=json.dumps(ASK), headers={"content-type": "text/plain"})),
            (405, await c.get(path)),
            (404, await c.post("/v1/completions", json={"prompt": "a"})),
        ]
    for status, got in tries:
        assert got.status_code == status and set(got.json()["error"]) == {"message", "type", "param", "code"}
    assert stub.asked == []


# ---- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fail", "status", "kind", "retry", "outcome"),
    [
        ("busy", 503, "upstream_error", "8", "upstream"),
        ("down", 503, "upstream_error", "5", "upstream"),
        ("silent", 504, "upstream_error", None, "upstream"),
        ("refused", 502, "upstream_error", None, "upstream"),
        ("long", 400, "invalid_request_error", None, "refused"),
        ("program", 500, "controller_error", None, "program"),
        ("sandbox", 500, "server_error", None, "failed"),
        ("bug", 500, "server_error", None, "failed"),
    ],
)
async def test_failures_behind_the_endpoint_are_told(
    fail: str, status: int, kind: str, retry: str | None, outcome: str
) -> None:
    body = {**ASK, "messages": user(f"1 fail={fail}")}
    late = {**ASK, "messages": user(f"1 sleep=0.1 fail={fail}"), "stream": True}
    async with served(Stub(), keep_alive=0.02) as serving, plain(serving) as c, client(serving) as sdk:
        got = await c.post("/v1/chat/completions", json=body)
        begun = await c.post("/v1/chat/completions", json=late)
        with pytest.raises(openai.APIError):
            async for _ in await sdk.chat.completions.create(**late):
                pass
        metrics = (await c.get("/metrics")).text
    error = got.json()["error"]
    assert (got.status_code, error["type"], got.headers.get("retry-after")) == (status, kind, retry)
    assert "nobody is told" not in error["message"]
    assert begun.status_code == 200 and f"data: {json.dumps(got.json())}\n\n" in begun.text
    assert metric(metrics, f'autotts_requests_total{{outcome="{outcome}"}}') == 3
    if outcome == "upstream":
        assert metric(metrics, f'autotts_upstream_errors_total{{status="{status}"}}') == 3


@pytest.mark.asyncio
async def test_who_takes_too_long_is_cut_off() -> None:
    stub = Stub()
    async with served(stub, timeout=0.1) as serving, plain(serving) as c:
        got = await c.post("/v1/chat/completions", json={**ASK, "messages": user("1 sleep=60")})
        assert stub.open == 0
    assert got.status_code == 504 and got.json()["error"]["code"] == "timeout"


@pytest.mark.asyncio
async def test_too_many_at_a_time_wait_and_more_are_sent_away() -> None:
    stub = Stub()
    async with served(stub, concurrency=2, queue=1) as serving, plain(serving) as c, client(serving, retries=2) as sdk:
        slow = {**ASK, "messages": user("1 sleep=0.5")}
        tasks = [asyncio.create_task(c.post("/v1/chat/completions", json=slow)) for _ in range(3)]
        await until(lambda: (serving.service.gate.running, serving.service.gate.queued) == (2, 1))
        text = (await c.get("/metrics")).text
        full = await c.post("/v1/chat/completions", json=ASK)
        later = await sdk.chat.completions.create(**ASK)  # which waits as it is told, and asks again
        done = await asyncio.gather(*tasks)
    assert (metric(text, "autotts_requests_running"), metric(text, "autotts_requests_queued")) == (2, 1)
    assert full.status_code == 429 and full.json()["error"]["type"] == "rate_limit_error"
    assert int(full.headers["retry-after"]) >= 1
    assert [got.status_code for got in done] == [200] * 3 and later.choices[0].message.content
    assert stub.most_open == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_all_that_was_done_for_it(stream: bool) -> None:
    stub = Stub()
    async with served(stub, concurrency=1, keep_alive=0.02) as serving, plain(serving) as c:
        body = {**ASK, "messages": user("1 sleep=60"), "stream": stream}
        one, two = (asyncio.create_task(c.post("/v1/chat/completions", json=body)) for _ in range(2))
        await until(lambda: (stub.open, serving.service.gate.queued) == (1, 1))
        two.cancel()  # it waits
        await until(lambda: serving.service.gate.queued == 0)
        one.cancel()
        await until(lambda: (stub.open, serving.service.gate.running) == (0, 0))
        assert len(stub.asked) == 1
        assert (await c.post("/v1/chat/completions", json=ASK)).status_code == 200
        text = (await c.get("/metrics")).text
    assert metric(text, 'autotts_requests_total{outcome="left"}') == 2


# ---- keys, health, log -------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_key_is_wanted_and_never_told(tmp_path: Path) -> None:
    told: list[str] = []
    log = AccessLog(notice=told.append)
    stub = Stub()
    async with served(stub, key="s3cret-ü", log=log) as serving, plain(serving) as c:
        wrong = ({}, {"authorization": "Bearer s3cret"}, {"authorization": "Basic s3cret"}, {"authorization": "Bearer"})
        for headers in wrong:
            for got in (await c.post("/v1/chat/completions", json=ASK, headers=headers), await c.get("/v1/models")):
                assert got.status_code == 401 and got.json()["error"]["code"] == "invalid_api_key"
        right = {"authorization": "Bearer s3cret-ü".encode()}
        got = await c.post("/v1/chat/completions", json=ASK, headers=right)
        assert got.status_code == 200
        assert [(await c.get(path)).status_code for path in ("/metrics", "/healthz", "/readyz")] == [200] * 3
        text = (await c.get("/metrics")).text
    assert len(stub.asked) == 1 and "s3cret" not in "".join(told) + text and len(told) == 5


@pytest.mark.asyncio
async def test_the_log_has_a_line_a_request_and_no_question_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for questions in (False, True):
        log = AccessLog(str(path), questions)
        async with served(Stub(), log=log) as serving, plain(serving) as c:
            await c.post("/v1/chat/completions", json=ASK)
            await c.post("/v1/chat/completions", json={**ASK, "beta": 2})
        log.close()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["status"], row["outcome"]) for row in rows] == [(200, "ok"), (400, "refused")] * 2
    assert [row["question"] for row in rows] == [None, None, "42 is it", None]
    assert rows[0]["tokens"] == 1000 and rows[0]["confidence"] == 0.75 and rows[0]["event"] == "request"
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.asyncio
async def test_metrics_count_what_was_answered() -> None:
    async with served(Stub()) as serving, plain(serving) as c:
        for _ in range(3):
            await c.post("/v1/chat/completions", json=ASK)
        got = await c.get("/metrics")
    assert got.headers["content-type"].startswith("text/plain")
    for name, value in {
        'autotts_requests_total{outcome="ok"}': 3,
        'autotts_tokens_total{kind="mdp"}': 3000,
        'autotts_tokens_total{kind="sequential"}': 1500,
        'autotts_tokens_total{kind="generated"}': 3150,
        'autotts_tokens_total{kind="probe"}': 72,
        'autotts_tokens_total{kind="prompt"}': 270,
        'autotts_branches_bucket{le="4.0"}': 3,
        'autotts_confidence_bucket{le="0.7"}': 0,
        'autotts_confidence_bucket{le="0.8"}': 3,
        "autotts_request_seconds_count": 3,
        'autotts_serving_info{beta="0.5",controller="stub",model="m"}': 1,
    }.items():
        assert metric(got.text, name) == value


@pytest.mark.asyncio
async def test_the_models_server_is_asked_once_for_all_who_want_to_know() -> None:
    asked: list[int] = []

    async def ready() -> str:
        asked.append(1)
        await asyncio.sleep(0.05)
        return "no connection"

    service = Service(Stub(), Settings("stub", Terms("m", 0.5)), AccessLog(notice=lambda _: None), None, ready)
    told = await asyncio.gather(*(service.ready() for _ in range(3)))
    assert told == ["no connection"] * 3 and asked == [1]


# ---- the process -------------------------------------------------------------------------------------------------


class Process:
    """An endpoint in a process of its own."""

    def __init__(self, *settings: str) -> None:
        words = [sys.executable, "-m", "tests.serving", *settings]
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe that nobody reads would fill)
        self.popen = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=self.said, text=True)
        assert self.popen.stdout
        self.url = self.popen.stdout.readline().strip()
        self.root = self.url.removesuffix("/v1")

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]

    def ended(self) -> tuple[int, str]:
        """Wait for its end: its exit code and what it said."""
        code = self.popen.wait(timeout=60)
        self.said.seek(0)
        return code, self.said.read()


@contextmanager
def processed(*settings: str) -> Iterator[Process]:
    made = Process(*settings)
    try:
        yield made
    finally:
        if made.popen.poll() is None:
            made.popen.kill()
        made.popen.communicate()
        made.said.close()


@pytest.fixture
def process() -> Iterator[Process]:
    with processed() as made:
        yield made


async def crowd(url: str, n: int, prefix: str = "") -> None:
    """So many questions at once; every one gets its own answer."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(trust_env=False, timeout=300, limits=limits) as http:

        async def one(k: int) -> str:
            body = {**ASK, "messages": user(f"{prefix}{k} sleep=0.0{k % 7}"), "stream": k % 2 == 0}
            got = await http.post(f"{url}/chat/completions", json=body)
            assert got.status_code == 200, got.text
            if k % 2:
                return str(got.json()["autotts"]["answer"])
            events = [json.loads(line[6:]) for line in got.text.split("\n\n") if line.startswith("data: {")]
            return str(events[-1]["autotts"]["answer"])

        answers = await asyncio.gather(*map(one, range(n)))
    assert answers == [f"{prefix}{k}" for k in range(n)]


def test_sixty_at_once_get_their_own_answers(process: Process) -> None:
    asyncio.run(crowd(process.url, 60))
    text = httpx2.get(f"{process.root}/metrics", trust_env=False).text
    assert metric(text, 'autotts_requests_total{outcome="ok"}') == 60
    assert metric(text, "autotts_requests_running") == metric(text, "autotts_requests_queued") == 0


@pytest.mark.slow
def test_a_thousand_at_once_lose_nothing_and_memory_stays() -> None:
    with processed() as process:
        asyncio.run(crowd(process.url, 1000, "a"))
        first = process.memory()
        for k in range(3):
            asyncio.run(crowd(process.url, 1000, f"b{k}-"))
        last = process.memory()
        text = httpx2.get(f"{process.root}/metrics", trust_env=False).text
    assert metric(text, 'autotts_requests_total{outcome="ok"}') == 4000
    assert last < first + 20 * 2**20, f"{first:,} → {last:,}"


@pytest.mark.parametrize(("which", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_lets_running_requests_end_and_refuses_new_ones(which: signal.Signals, code: int) -> None:
    async def scene(process: Process) -> None:
        async with httpx2.AsyncClient(base_url=process.root, trust_env=False, timeout=60) as http:
            body = {**ASK, "messages": user("1 sleep=1.5")}
            slow = asyncio.create_task(http.post("/v1/chat/completions", json=body))
            while metric((await http.get("/metrics")).text, "autotts_requests_running") < 1:
                await asyncio.sleep(0.02)
            os.kill(process.popen.pid, which)
            while (ready := await http.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.02)
            late = await http.post("/v1/chat/completions", json=ASK)
            assert late.status_code == 503 and late.json()["error"]["code"] == "shutting_down"
            assert ready.json()["why"] == "shutting down" and (await slow).status_code == 200

    with processed() as process:
        asyncio.run(scene(process))
        ended, said = process.ended()
    assert ended == code and "ending: 1 requests run" in said and "Traceback" not in said


def test_requests_that_outlast_the_grace_are_ended_and_told() -> None:
    async def scene(process: Process) -> None:
        async with httpx2.AsyncClient(base_url=process.root, trust_env=False, timeout=60) as http:
            body = {**ASK, "messages": user("1 sleep=600")}
            slow = asyncio.create_task(http.post("/v1/chat/completions", json=body))
            while metric((await http.get("/metrics")).text, "autotts_requests_running") < 1:
                await asyncio.sleep(0.02)
            os.kill(process.popen.pid, signal.SIGTERM)
            got = await slow
            assert got.status_code == 503 and got.json()["error"]["code"] == "shutting_down"

    with processed("grace=1") as process:
        asyncio.run(scene(process))
        ended, said = process.ended()
    assert ended == 0 and "503 closing" in said
