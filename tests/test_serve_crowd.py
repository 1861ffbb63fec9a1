"""Many at once through `autotts serve` as it is started, with jailed controllers in front of a model's server."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.endpoints import Endpoint, serving
from tests.stub_servers import Stub, token_server
from tests.test_serve import metric, user

SLOW = ("--least", "4000", "--most", "5000", "--delay", "0.02")


def crowding(timeout: float = 590) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(trust_env=False, timeout=timeout, limits=httpx2.Limits(max_connections=None))


async def own_answers(endpoint: Endpoint, first: int, n: int) -> None:
    """So many questions at once, half of them streamed; each gets the answer to its own."""
    async with crowding() as http:

        async def one(k: int) -> dict[str, Any]:
            body = {"model": "stub", "messages": user(f"What is {1000 * k} + 7?"), "stream": k % 2 == 0, "seed": k}
            got = await http.post(f"{endpoint.url}/chat/completions", json=body)
            assert got.status_code == 200, got.text
            events = [json.loads(line[6:]) for line in got.text.split("\n\n") if line.startswith("data: {")]
            told = events[-1] if events else got.json()
            assert told["id"] == got.headers["x-request-id"] and told["autotts"]["seed"] == k
            found: dict[str, Any] = told["autotts"]
            return found

        for k, told in enumerate(await asyncio.gather(*map(one, range(first, first + n))), first):
            # Wrong answers are off by three at most, and the next question's is a thousand away.
            assert 0 <= int(told["answer"]) - 1000 * k - 7 <= 3, (k, told)


@pytest.mark.slow
def test_a_thousand_at_once_three_times_get_their_own_answers_and_leave_nothing(tmp_path: Path) -> None:
    log, scratch = tmp_path / "log.jsonl", tmp_path / "scratch"
    scratch.mkdir()
    words = ("--beta", "0.1", "--queue", "1000", "--log", str(log))
    flags = ("--batch", "8", "--most", "60")
    with serving(*words, flags=flags, variables={"TMPDIR": str(scratch)}) as (endpoint, stub):
        before = len(endpoint.children())
        memory = []
        for k in range(3):
            asyncio.run(own_answers(endpoint, 1000 * k, 1000))
            asyncio.run(endpoint.settled(before))
            memory.append(endpoint.memory())
        assert max(memory) < memory[0] + 12 * 2**20, memory
        assert stub.state()["running"] == stub.state()["cancelled"] == 0
        assert endpoint.threads() <= 32 + 8 and endpoint.open_files() < 300  # which are upstream's, to be used again
        text = httpx2.get(f"{endpoint.url.removesuffix('/v1')}/metrics", trust_env=False).text
        assert metric(text, 'autotts_requests_total{outcome="ok"}') == 3000
        children = endpoint.children()
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()] and not list(scratch.iterdir())
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(row["event"] == "request" for row in rows) == len({row.get("id") for row in rows}) - 1 == 3000


async def refused(endpoint: Endpoint, n: int, amid: Any) -> list[Any]:
    """So many questions at once, half of them streamed; what becomes of each when something happens amid them."""

    async def one(k: int) -> None:
        body: dict[str, Any] = {"model": "stub", "messages": user(f"{k} + 1"), "stream": k % 2 == 0}
        told = await c.chat.completions.create(**body)
        if k % 2 == 0:
            async for _ in told:
                pass

    async with endpoint.client() as c:
        asked = [asyncio.create_task(one(k)) for k in range(n)]
        await amid()
        return await asyncio.gather(*asked, return_exceptions=True)


async def busy(stub: Stub) -> None:
    async with asyncio.timeout(60):
        while (await asyncio.to_thread(stub.state))["running"] < 40:
            await asyncio.sleep(0.05)


def test_a_models_server_that_is_killed_amid_two_hundred_is_told_to_all_and_may_come_back() -> None:
    async def scene(endpoint: Endpoint, stub: Stub) -> None:
        before, files = len(endpoint.children()), endpoint.open_files()

        async def killed() -> None:
            await busy(stub)
            stub.process.kill()

        told = await refused(endpoint, 200, killed)
        assert all(isinstance(error, openai.APIError) for error in told), told
        assert {(error.code, error.type) for error in told} == {("upstream_down", "upstream_error")}
        await endpoint.settled(before)
        port = stub.url.rpartition(":")[2].removesuffix("/v1")
        with token_server("--port", port) as again:
            assert again.url == stub.url
            await own_answers(endpoint, 0, 20)
            async with asyncio.timeout(60):
                while endpoint.open_files() > files + 16:  # connections are kept for a while, to be used again
                    await own_answers(endpoint, 0, 1)
                    await asyncio.sleep(1)
            await endpoint.settled(before)

    with serving("--deadline", "1", flags=SLOW) as (endpoint, stub):
        asyncio.run(scene(endpoint, stub))


def test_a_server_that_is_told_to_end_amid_a_crowd_answers_all_and_leaves_nothing() -> None:
    async def scene(endpoint: Endpoint, stub: Stub) -> list[int]:
        children: list[int] = []

        async def ended() -> None:
            await busy(stub)
            children.extend(endpoint.children())
            endpoint.popen.send_signal(signal.SIGTERM)

        told = await refused(endpoint, 100, ended)
        assert all(isinstance(error, openai.APIError) for error in told), told
        assert {error.code for error in told} == {"shutting_down"}
        assert endpoint.popen.wait(30) == 0
        async with asyncio.timeout(20):
            while (await asyncio.to_thread(stub.state))["running"]:
                await asyncio.sleep(0.05)
        return children

    with serving("--grace", "1", flags=SLOW) as (endpoint, stub):
        children = asyncio.run(scene(endpoint, stub))
    assert len(children) > 10 and not [pid for pid in children if Path(f"/proc/{pid}").exists()]


HOSTILE = '''"""Does harm of a kind that β says."""
from autotts.toolkit import majority
seen = []
def schedule(beta):
    return {"harm": beta}
def solve(episode, knobs):
    seen.append(1)
    harm = knobs["harm"]
    i = episode.branches(len(seen))[0]
    if harm == 0.1:
        while True:
            pass
    if harm == 0.2:
        while True:
            episode.probe(i)
    if harm == 0.3:
        raise ValueError("x" * 10_000_000)
    if harm == 0.4:
        hoard = [0] * 10**9
    if harm == 0.5:
        episode.prune(99)
    if harm == 0.6:
        return 7
    if harm == 0.7:
        while True:
            episode.note("x" * 1000, 1)
    if harm == 0.8:
        episode.source.model.server.close()
    episode.finish([i])
    return episode.probe(i)
'''


def test_a_controller_that_means_harm_harms_its_own_request_alone(tmp_path: Path) -> None:
    path = tmp_path / "harm.py"
    path.write_text(HOSTILE)

    async def scene(endpoint: Endpoint) -> None:
        async with crowding(120) as http:

            async def one(k: int, beta: float) -> httpx2.Response:
                body = {"model": "stub", "messages": user(f"{1000 * k} + 7?"), "beta": beta}
                return await http.post(f"{endpoint.url}/chat/completions", json=body)

            harmful = [asyncio.create_task(one(k, k / 10)) for k in (1, 2, 3, 4, 5, 6, 7, 8)]
            for k in range(10):
                honest, health = await asyncio.gather(
                    one(k, 0), http.get(f"{endpoint.url.removesuffix('/v1')}/healthz")
                )
                assert health.status_code == 200
                told = honest.json()["autotts"]
                # One branch: each episode is the first that its program knows of.
                assert 0 <= int(told["answer"]) - 1000 * k - 7 <= 3 and told["branches"] == 1
            told = [(got, got.json()["error"]) for got in await asyncio.gather(*harmful)]
        assert all(got.status_code == 500 and len(got.text) < 2000 for got, _ in told)
        assert {error["type"] for _, error in told} == {"controller_error"}
        assert [error["code"] for _, error in told] == [
            "CpuLimit", "CpuLimit", "Crashed", "MemoryLimit", "InadmissibleAction", "InadmissibleAction", "CpuLimit",
            "Crashed",
        ]  # fmt: skip

    with serving("--controller", str(path), "--beta", "0") as (endpoint, _):
        before = len(endpoint.children())
        asyncio.run(scene(endpoint))
        asyncio.run(endpoint.settled(before))
