"""`autotts serve` as a user starts it, in front of a model's server: both are real processes."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from autotts.cli import _run
from autotts.live.serve.replies import Reply
from autotts.replay import load_environments, save_environment
from tests.endpoints import Endpoint, serving
from tests.serving import Stub as Controller
from tests.serving import make_service
from tests.stub_servers import Stub, token_server
from tests.test_serve import ROOT, metric, user

SLOW = ("--least", "4000", "--most", "5000", "--delay", "0.02")


def ours(told: Any) -> dict[str, Any]:
    found: dict[str, Any] = told.model_extra["autotts"]
    return found


def test_sixty_questions_at_once_are_answered_by_a_controller_each_its_own(tmp_path: Path) -> None:
    async def scene(endpoint: Endpoint) -> None:
        async with endpoint.client() as c:

            async def one(k: int) -> None:
                question = user(f"What is {1000 * k} + 7?")
                told = await c.chat.completions.create(model="stub", messages=question, extra_body={"beta": 0.1})
                assert ours(told)["answer"] is not None and 0 <= int(ours(told)["answer"]) - 1000 * k - 7 <= 3
                assert (told.choices[0].message.content or "").endswith(f"\\boxed{{{ours(told)['answer']}}}")
                assert told.usage is not None and told.usage.completion_tokens >= ours(told)["generated"]

            await asyncio.gather(*map(one, range(60)))
            again = [
                await c.chat.completions.create(model="stub", messages=user("What is 3 + 4?"), seed=seed)
                for seed in (5, 5, 500)
            ]
            dear = await c.chat.completions.create(
                model="stub", messages=user("What is 3 + 4?"), extra_body={"beta": 1}
            )
        same, _, other = ({**ours(told), "seconds": 0, "generated": 0} for told in again)
        assert same == {**ours(again[1]), "seconds": 0, "generated": 0} and same["tokens"] != other["tokens"]
        assert ours(dear)["tokens"] > ours(again[0])["tokens"]

    log = tmp_path / "log.jsonl"
    with serving("--log", str(log), flags=("--batch", "8")) as (endpoint, _):
        before = len(endpoint.children())
        asyncio.run(scene(endpoint))
        asyncio.run(endpoint.settled(before))
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["event"] for row in rows].count("request") == 64
    assert [row["event"] for row in rows][-1] == "ending" and "What is" not in log.read_text()


def test_a_model_server_that_dies_is_told_and_leaves_nothing() -> None:
    async def scene(endpoint: Endpoint, stub: Stub) -> None:
        before = len(endpoint.children())
        async with endpoint.client() as c:
            asked = [
                asyncio.create_task(c.chat.completions.create(model="stub", messages=user("1 + 1"), stream=k > 0))
                for k in range(2)
            ]
            while stub.state()["running"] < 6:
                await asyncio.sleep(0.05)
            stub.process.kill()
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(error, openai.InternalServerError) for error in told), told
            assert {error.status_code for error in told} == {503}  # type: ignore[union-attr]
            await endpoint.settled(before)
            async with httpx2.AsyncClient(trust_env=False) as http:
                ready = await http.get(f"{endpoint.url.removesuffix('/v1')}/readyz")
                assert ready.status_code == 503 and "no connection" in ready.json()["why"]
                text = (await http.get(f"{endpoint.url.removesuffix('/v1')}/metrics")).text
        assert metric(text, 'autotts_upstream_errors_total{status="503"}') == 2

    with serving("--deadline", "1", flags=SLOW) as (endpoint, stub):
        asyncio.run(scene(endpoint, stub))


def test_a_client_that_leaves_closes_the_streams_of_the_model() -> None:
    async def scene(endpoint: Endpoint, stub: Stub) -> None:
        before = len(endpoint.children())
        async with endpoint.client() as c:
            asked = asyncio.create_task(c.chat.completions.create(model="stub", messages=user("1 + 1")))
            while stub.state()["running"] < 3:
                await asyncio.sleep(0.05)
            asked.cancel()
            await endpoint.settled(before)
            async with asyncio.timeout(20):
                while stub.state()["running"]:
                    await asyncio.sleep(0.05)

    with serving(flags=SLOW) as (endpoint, stub):
        asyncio.run(scene(endpoint, stub))


def test_requests_are_compared_with_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "env.jsonl"
    save_environment(load_environments(["synthetic:search"])[0], path)

    async def scene(endpoint: Endpoint) -> None:
        async with endpoint.client() as c:
            for _ in range(2):
                asked = [c.chat.completions.create(model="stub", messages=user(f"{k} + 1")) for k in range(20)]
                told = await asyncio.gather(*asked)
        # Branches of a few dozen tokens are none of that recording's, with its thousands.
        drift = ours(told[-1])["drift"]
        assert drift["alarm"] and drift["requests"] == 20 and drift["measures"]["tokens"]["differs"]

    with serving("--env", str(path), "--window", "20", "--beta", "0.1") as (endpoint, _):
        asyncio.run(scene(endpoint))
        assert "drift: the last 20 requests differ from the environment" in endpoint.text()


BASE = ("serve", "--controller", "cmc", "--upstream", "http://127.0.0.1:9/v1", "--model", "m", "--answers", "text")


@pytest.fixture
def blocked() -> Iterator[int]:
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--port", "BLOCKED"), 2, "Address already in use; give another --port"),
        (("--host", "no.such.host.invalid", "--port", "0"), 2, "no address to listen at"),
        (("--port", "0", "--api-key-file", "nothing.txt"), 2, "--api-key-file nothing.txt: cannot be read"),
        (("--port", "0", "--api-key-file", "blank.txt"), 2, "has to hold one key"),
        (("--port", "0", "--log", "no/such/folder"), 2, "--log no/such/folder: cannot be written"),
        (("--port", "0", "--controller", "nobody"), 2, "nobody: no such program"),
        (("--port", "0", "--beta", "1.5"), 2, "not in the range"),
        (("--port", "0", "--deadline", "1"), 1, "is the server running?"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(
    words: tuple[str, ...],
    code: int,
    says: str,
    blocked: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blank.txt").write_text(" \n")
    given = [str(blocked) if word == "BLOCKED" else word for word in words]
    assert _run([*BASE, *given]) == code
    _, err = capfd.readouterr()
    assert says in err and "Traceback" not in err


def test_the_serving_page_runs_as_written() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    blocks = re.findall(r"<!-- run -->\n```bash\n(.*?)```", text, re.S)
    (start,), asks = blocks[0].splitlines(), blocks[1].splitlines()
    (code,) = re.findall(r"<!-- python -->\n```python\n(.*?)```", text, re.S)
    with token_server() as stub:
        words = shlex.split(start.replace("http://127.0.0.1:8000/v1", stub.url).replace("my-model", "stub"))
        assert words[:6] == ["autotts", "serve", "--controller", "cmc", "--beta", "0.5"]
        with serving(*words[4:], stub=stub) as (endpoint, _):
            root = endpoint.url.removesuffix("/v1")
            for ask in asks:
                command = ask.replace("http://127.0.0.1:8080", root).replace("my-model", "stub")
                done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
                assert done.returncode == 0 and done.stdout and '"error"' not in done.stdout, command
            code = code.replace("http://127.0.0.1:8080", root).replace("my-model", "stub")
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0 and "\\boxed{" in done.stdout, done.stderr


def test_the_serving_page_names_every_metric_and_field() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    metrics = make_service(Controller()).metrics
    families = {family.name for family in metrics.registry.collect() if family.name.startswith("autotts_")}
    assert len(families) > 8
    missing = {name for name in families if not re.search(rf"`{name}(_total|_info)?(\{{\w+\}})?`", text)}
    fields = json.loads(json.dumps(Reply("", 0, "", asyncio.run(Controller().solve("1", 0.5)), {}).whole()))["autotts"]
    assert not missing and all(f"`{name}`" in text for name in fields)


def test_the_serving_page_has_every_status_and_code() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    table = text.partition("| status | when |")[2].partition("\n\n")[0]
    code = "".join(path.read_text() for path in (ROOT / "autotts" / "live" / "serve").glob("*.py"))
    statuses = set(re.findall(r"ApiError\(\s*(\d{3})", code))
    assert len(statuses) > 8 and all(status in table for status in statuses)
    codes = re.findall(r'_error", "((?:upstream|shutting)_\w+)"', code)
    assert len(set(codes)) == 4 and all(f"`{name}`" in table for name in codes)
