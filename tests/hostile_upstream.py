"""A token server that does to a question what the question says, "mode=endless", and answers all others as it should.

ELSEWHERE=URL python tests/hostile_upstream.py [flags of tests/token_server.py]
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

sys.path.insert(0, str(Path(__file__).parent))
import token_server

MODE = re.compile(r"mode=([\w-]+)")


def event(text: str = "", finish: str | None = None, **more: Any) -> bytes:
    """An object of a stream of completions."""
    value = {"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": finish}], **more}
    return f"data: {json.dumps(value)}\n\n".encode()


def usage(tokens: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": 5, "completion_tokens": tokens}}


async def endless() -> AsyncIterator[bytes]:
    for k in count(1):
        yield event(f"t0.{k} ", **usage(k))
        await asyncio.sleep(0)


async def endless_without_counts() -> AsyncIterator[bytes]:
    while True:
        yield event("long " * 2000)
        await asyncio.sleep(0)


async def endless_nothing() -> AsyncIterator[bytes]:
    while True:
        yield event()
        await asyncio.sleep(0)


async def no_end_after_the_end() -> AsyncIterator[bytes]:
    yield event("\\boxed{1}", "stop", **usage(1))
    while True:
        yield event("more")
        await asyncio.sleep(0)


async def one_line() -> AsyncIterator[bytes]:
    yield b"data: "
    for _ in range(1 << 14):
        yield b"a" * 2**16


async def comments() -> AsyncIterator[bytes]:
    yield b": "
    for _ in range(1 << 14):
        yield b"a" * 2**16


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for part in given:
        yield part


async def cut() -> AsyncIterator[bytes]:
    yield event("t0.1 ", **usage(1))
    yield event("t0.2 ", **usage(2))[:-20]
    await asyncio.sleep(0.1)
    raise ConnectionError("on purpose")


async def silent() -> AsyncIterator[bytes]:
    yield event("t0.1 ", **usage(1))
    await asyncio.sleep(600)


async def slow() -> AsyncIterator[bytes]:
    for _ in range(600):
        yield b" "
        await asyncio.sleep(1)


async def signs_of_life() -> AsyncIterator[bytes]:
    yield event("t0.1 ", **usage(1))
    for _ in range(600):
        yield b": thinking\n\n"
        await asyncio.sleep(0.5)


DONE = b"data: [DONE]\n\n"
STREAMS: dict[str, Callable[[], AsyncIterator[bytes]]] = {
    "endless": endless,
    "endless-without-counts": endless_without_counts,
    "endless-nothing": endless_nothing,
    "no-end-after-the-end": no_end_after_the_end,
    "one-line": one_line,
    "comments": comments,
    "cut": cut,
    "silent-amid": silent,
    "signs-of-life": signs_of_life,
    "no-reason": lambda: parts(event("t0.1 ", **usage(1)), DONE),
    "nothing": lambda: parts(DONE),
    "empty": lambda: parts(),
    "counts-down": lambda: parts(*(event("a ", **usage(k)) for k in (9, 4, 1)), event("\\boxed{8}", "stop"), DONE),
    "counts-nonsense": lambda: parts(
        *(event("a ", **usage(n)) for n in (-1, "3", 1.5, True, None)), event("\\boxed{8}", "stop", **usage(6)), DONE
    ),
    "counts-too-many": lambda: parts(event("a ", **usage(10**15)), event("\\boxed{8}", "stop"), DONE),
    "counts-too-many-at-the-end": lambda: parts(
        event("a ", **usage(1)), event("\\boxed{8}", "stop"), event("", choices=[], **usage(10**15)), DONE
    ),
    "half-a-pair": lambda: parts(
        *(event("\ud83d", **usage(k)) for k in range(1, 40)), event("\ude00 \\boxed{8}", "stop", **usage(40)), DONE
    ),
    "no-utf-8": lambda: parts(event("a X", **usage(1)).replace(b"X", b"\xff\xfe"), event("\\boxed{8}", "stop"), DONE),
    "deep": lambda: parts(b"data: " + b"[" * 10_000 + b"\n\n"),
    "list": lambda: parts(b"data: [1]\n\n", DONE),
    "choices-nonsense": lambda: parts(b'data: {"choices": [7]}\n\n', DONE),
    "error": lambda: parts(b'data: {"error": {"message": "out of memory", "code": 500}}\n\n', DONE),
    "error-refused": lambda: parts(b'data: {"error": {"message": "bad field", "code": 400}}\n\n', DONE),
    "scores-nonsense": lambda: parts(
        event("a ", choices=[{"text": "a", "logprobs": {"tokens": [1], "token_logprobs": [float("nan")]}}], **usage(1)),
        event("b ", choices=[{"text": "b", "logprobs": {"content": [{"logprob": "x"}, None, 3]}}], **usage(2)),
        event("\\boxed{8}", "stop", **usage(3)),
        DONE,
    ),
    "hard-answers": lambda: parts(event("\\boxed{" + "(" * 3000 + "}", "stop", **usage(1)), DONE),
}


class Hostile(token_server.Server):
    """See above."""

    async def answer(self, request: Request, body: dict[str, Any], prompt: str, kind: str, echo: str) -> Response:
        found = MODE.search(prompt)
        if found is None:
            return await super().answer(request, body, prompt, kind, echo)
        mode = found[1]
        if mode.startswith("probe-") == bool(body.get("stream")):
            return await super().answer(request, body, prompt, kind, echo)
        mode = mode.removeprefix("probe-")
        if mode in STREAMS:
            return StreamingResponse(STREAMS[mode](), media_type="text/event-stream")
        if mode == "silent":
            await asyncio.sleep(600)
        said = request.headers.get("authorization")
        responses: dict[str, Callable[[], Response]] = {
            "page": lambda: Response("<html>hello", media_type="text/html"),
            "page-as-stream": lambda: Response("<html>hello", media_type="text/event-stream"),
            "error-page": lambda: Response("<html>" + "a" * 2**20, 500, media_type="text/html"),
            "whole": lambda: JSONResponse({"choices": [{"text": "\\boxed{8}", "finish_reason": "stop"}]}),
            "busy": lambda: Response("", 429, {"retry-after": "7"}),
            "busy-for-ever": lambda: Response("", 503, {"retry-after": "1e300"}),
            "elsewhere": lambda: RedirectResponse(os.environ["ELSEWHERE"], 307),
            "key": lambda: JSONResponse({"error": {"message": f"wrong key {said}"}}, 401),
            "too-long": lambda: JSONResponse({"error": {"message": "no", "code": "context_length_exceeded"}}, 400),
            "long": lambda: JSONResponse({"choices": [{"text": "9" * 2**20 + "}", "finish_reason": "stop"}]}),
            "too-much": lambda: StreamingResponse(parts(*[b" " * 2**20] * 70), media_type="application/json"),
            "slow": lambda: StreamingResponse(slow(), media_type="application/json"),
            "none": lambda: JSONResponse({"choices": []}),
        }
        return responses[mode]()


if __name__ == "__main__":
    token_server.Server = Hostile  # type: ignore[misc]
    token_server.main()
