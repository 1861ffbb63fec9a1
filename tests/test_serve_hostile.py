"""Clients of the endpoint that mean harm, or break off wherever they can; bytes on sockets where no client sends so."""

from __future__ import annotations

import asyncio
import json
import re
import socket

import pytest

from autotts.live.serve import app, protocol
from autotts.live.serve.log import AccessLog
from tests.serving import Serving, Stub, served
from tests.test_serve import ASK, plain, until, user

PATH = "/v1/chat/completions"
BODY = json.dumps(ASK).encode()
CHUNKED = "transfer-encoding: chunked"


def asking(body: bytes = BODY, *lines: str, method: str = "POST", version: str = "1.1") -> bytes:
    """A request as bytes; of `lines` it has headers besides the usual ones."""
    usual = ("host: x", "content-type: application/json", f"content-length: {len(body)}")
    head = [f"{method} {PATH} HTTP/{version}", *(line for line in usual if not f"{lines}".count(line[:12])), *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


async def sent(serving: Serving, data: bytes, half: bool = False) -> bytes:
    """What comes back to some bytes, until the server closes or nothing came for a while."""
    reader, writer = await asyncio.open_connection(*serving.listener.getsockname()[:2])
    try:
        writer.write(data)
        await writer.drain()
        if half:
            writer.write_eof()
        got = b""
        while True:
            async with asyncio.timeout(0.5 if got else 20):
                part = await reader.read(2**16)
            if not part:
                return got
            got += part
    except (TimeoutError, ConnectionResetError):  # who is cut off while he sends may not see why
        return got
    finally:
        writer.close()


def statuses(got: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", got)]


CHUNK = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"

BYTES: dict[str, tuple[bytes, list[int]]] = {
    "HTTP/1.0": (asking(version="1.0"), [200]),
    "two at once": (asking() * 2, [200, 200]),
    "HEAD": (asking(b"", method="HEAD"), [405]),
    "a header of a megabyte": (asking(BODY, "x: " + "a" * 2**20), []),
    "headers of a megabyte": (asking(BODY, *(f"x{k}: " + "a" * 1000 for k in range(1000))), []),
    "no host": (asking().replace(b"host: x\r\n", b""), [400]),
    "a host that is none": (asking().replace(b"host: x", b"host: [::1"), [200]),
    "a path with a host that is none": (b"GET /nothing HTTP/1.1\r\nhost: [::1\r\n\r\n", [404]),
    "a slash more": (b"GET /healthz/ HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n", [404]),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
    "lengths that differ": (asking(BODY, "content-length: 5", "content-length: 7"), [400]),
    "two framings": (asking(b"{}\r\n", CHUNKED, "content-length: 4"), [400]),
    "a chunk that is none": (asking(b"zz\r\n", CHUNKED), [400]),
    "chunks": (asking(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), CHUNKED), [200]),
    "chunks without end": (asking(CHUNK * 20, CHUNKED), [413]),
    "ten megabytes": (asking(json.dumps({**ASK, "more": "a" * 10**7}).encode()), [413]),
    "a key that is no text": (asking(BODY, "authorization: Bearer \xff\xfe"), [200]),
    "an upgrade": (asking(BODY, "connection: upgrade", "upgrade: websocket"), [200]),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", BYTES)
async def test_whatever_bytes_are_sent_there_is_an_answer_and_the_server_goes_on(case: str) -> None:
    data, expected = BYTES[case]
    async with served(Stub()) as serving, plain(serving) as c:
        got = await sent(serving, data)
        assert statuses(got) == expected or (not expected and statuses(got) in ([], [400])), got[:500]
        assert (await c.post(PATH, json=ASK)).status_code == 200


BODIES: dict[str, tuple[str, int]] = {
    "a whole number beyond floats": (f'"beta": 1{"0" * 400}', 400),
    "a seed beyond floats": (f'"seed": 1{"0" * 400}', 400),
    "digits beyond what is read": (f'"beta": 1{"0" * 5000}', 400),
    "an exponent": ('"beta": 1e400', 400),
    "not a number": ('"beta": NaN', 400),
    "not a number, as text": ('"beta": "NaN"', 400),
    "infinite time": ('"autotts": {"max_seconds": Infinity}', 400),
    "beta twice": ('"beta": 7, "beta": 0.5', 200),
    "a deep list": (f'"x": {"[" * 10_000}{"]" * 10_000}', 400),
    "a deep question": (f'"messages": {"[" * 500}{"]" * 500}', 400),
    "half a pair": ('"user": "\\ud800"', 400),
    "half a pair as a name": ('"\\udc00": 1', 400),
    "a null byte": ('"user": "\\u0000"', 200),
    "numbers for what is fixed": (f'"temperature": 1{"0" * 400}', 400),
    "a choice too many": (f'"n": 1{"0" * 400}', 400),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", BODIES)
async def test_whatever_json_is_sent_is_answered_or_refused_in_a_sentence(case: str) -> None:
    more, status = BODIES[case]
    stub = Stub()
    async with served(stub) as serving, plain(serving) as c:
        body = json.dumps(ASK)[:-1] + f", {more}}}"
        got = await c.post(PATH, content=body, headers={"content-type": "application/json"})
    assert got.status_code == status and len(stub.asked) == (status == 200)
    if status != 200:
        assert got.json()["error"]["type"] == "invalid_request_error" and len(got.text) < 1000


SLOW: dict[str, tuple[bytes, list[int]]] = {
    "nothing": (b"", []),
    "half of the headers": (asking()[:30], []),
    "half of a body": (asking()[:-5], [408]),
    "half of a body without the key": (asking(BODY, "authorization: Bearer wrong")[:-5], [401]),
    "chunks without end": (asking(CHUNK, CHUNKED), [408]),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", SLOW)
async def test_a_connection_on_which_no_request_comes_is_broken_off(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.6)
    data, expected = SLOW[case]
    key = "secret" if "key" in case else None
    async with served(Stub(), key=key) as serving:
        reader, writer = await asyncio.open_connection(*serving.listener.getsockname()[:2])
        writer.write(data)
        async with asyncio.timeout(20):
            got = b""
            try:
                while part := await reader.read(2**16):  # until the server closes
                    got += part
            except ConnectionResetError:
                pass
        writer.close()
    assert statuses(got) == expected


@pytest.mark.asyncio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_closes_its_half_has_left(stream: bool) -> None:
    stub = Stub()
    told: list[str] = []
    body = json.dumps({**ASK, "messages": user("1 sleep=60"), "stream": stream}).encode()
    async with served(stub, log=AccessLog(notice=told.append)) as serving:
        assert statuses(await sent(serving, asking(body), half=True)) == []
        await until(lambda: len(told) == 1)
        assert " 499 left " in told[0] and stub.open == serving.service.gate.running == 0


@pytest.mark.asyncio
async def test_clients_that_leave_wherever_they_are_take_nothing_with_them() -> None:
    stub = Stub()
    request = asking(json.dumps({**ASK, "messages": user("1 sleep=0.2"), "stream": True}).encode())
    async with served(stub, concurrency=4, queue=100, keep_alive=0.01) as serving, plain(serving) as c:

        async def leaving(k: int) -> None:
            """Send a part of it, wait, be gone."""
            _, writer = await asyncio.open_connection(*serving.listener.getsockname()[:2])
            writer.write(request[: max(1, len(request) * (1 + k % 4) // 4)])
            await asyncio.sleep(0.013 * (k % 41))
            writer.transport.abort()

        gone = asyncio.gather(*map(leaving, range(60)))
        kept = await asyncio.gather(*(c.post(PATH, json={**ASK, "messages": user(f"{k}")}) for k in range(20)))
        await gone
        await until(lambda: (stub.open, serving.service.gate.running, serving.service.gate.queued) == (0, 0, 0))
    assert [got.json()["autotts"]["answer"] for got in kept] == [f"{k}" for k in range(20)]
    assert stub.most_open <= 4


@pytest.mark.asyncio
async def test_who_reads_slowly_gets_all_of_it_and_holds_up_nobody() -> None:
    question = "1 " + "long " * 100_000
    async with served(Stub()) as serving, plain(serving) as c:
        reader, writer = await asyncio.open_connection(*serving.listener.getsockname()[:2], limit=2)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = {**ASK, "messages": user(question), "stream": True}
        writer.write(asking(json.dumps(body).encode(), "connection: close"))
        got = await reader.readexactly(10)
        assert serving.service.gate.running == 0
        assert (await c.post(PATH, json=ASK)).status_code == 200
        for _ in range(20):
            got += await reader.readexactly(1)
            await asyncio.sleep(0.01)
        while part := await reader.read(2**16):
            got += part
        writer.close()
    assert got.endswith(b"0\r\n\r\n") and b"data: [DONE]" in got and got.count(b"long") == 100_000
