"""The endpoint: paths, keys, and a client that may leave at any time."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from secrets import token_hex
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from autotts.live.serve.failures import ApiError, respond
from autotts.live.serve.log import Entry
from autotts.live.serve.metrics import CONTENT_TYPE_LATEST
from autotts.live.serve.replies import THINKING, Reply, failed_event
from autotts.live.serve.schema import Ask, read
from autotts.live.serve.service import Service
from autotts.live.solution import Solution

__all__ = ["MOST_BODY", "make_app"]

MOST_BODY = 2**20
"""Bytes of a request."""

BODY_SECONDS = 60.0

LEFT = 499
"""What a log has for a client that left, since nginx."""


class _Gone(Exception):
    """The client left."""


def make_app(service: Service) -> Starlette:
    """The endpoint of a service.

    `/v1/…` wants the key where there is one; `/metrics`, `/healthz` and `/readyz` are for whoever can reach them.
    """
    started = int(time.time())
    terms = service.settings.terms

    async def models(request: Request) -> Response:
        _admit(service, request)
        model = {"id": terms.model, "object": "model", "created": started, "owned_by": "autotts"}
        name = request.path_params.get("model")
        if name is None:
            return JSONResponse({"object": "list", "data": [model]})
        if name != terms.model:
            raise ApiError(404, f"the model {name[:200]!r} does not exist", code="model_not_found", param="model")
        return JSONResponse(model)

    async def metrics(_: Request) -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        why = await service.ready()
        return JSONResponse({"status": "not ready", "why": why} if why else {"status": "ok"}, 503 if why else 200)

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", _Chat(service), methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{model:path}", models),
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ],
        exception_handlers={HTTPException: _elsewhere, ApiError: _refusal, Exception: _failed},
    )
    app.router.redirect_slashes = False  # to whatever host a request names
    return app


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return respond(error)


async def _failed(_: Request, __: Exception) -> Response:
    return respond(ApiError(500, "the server failed; its log says why", "server_error"))  # which uvicorn writes


async def _elsewhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"{request.method} {request.url.path[:200]}: {error.detail}; there is POST /v1/chat/completions"
    return respond(ApiError(error.status_code, text))


def _admit(service: Service, request: Request) -> None:
    """Refuse who does not give the key."""
    key = service.settings.key
    if key is None:
        return
    given = request.headers.get("authorization", "")
    scheme, _, said = given.partition(" ")
    # In constant time, so that a guess does not tell how much of it is right.
    right = hmac.compare_digest(said.strip().encode("latin-1"), key.encode())
    if scheme.lower() != "bearer" or not right:
        text = "the API key is missing or wrong; send it as Authorization: Bearer KEY"
        raise ApiError(401, text, code="invalid_api_key")


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # No page of another site can have a browser send this without asking first, which is not answered.
    if kind != "application/json":
        raise ApiError(415, "the content-type has to be application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY:
                    raise ApiError(413, f"a request has at most {MOST_BODY:,} bytes")
    except TimeoutError:
        raise ApiError(408, f"the request was not there within {BODY_SECONDS:g} s") from None
    return bytes(body)


class _Chat:
    """`/v1/chat/completions`, below Starlette's requests and responses, as it waits for the client's leaving."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        service = self._service
        entry = Entry(f"chatcmpl-{token_hex(12)}")
        began = time.monotonic()
        try:
            _admit(service, request)
            service.gate.check()
            ask = read(await _body(request), service.settings.terms)
            entry.beta, entry.seed, entry.stream = ask.beta, ask.seed, ask.stream
            if service.log.questions:
                entry.question = ask.question
            await self._serve(ask, entry, receive, send)
        except (ClientDisconnect, _Gone):
            entry.status, entry.outcome = LEFT, "left"
        except ApiError as error:
            _note(entry, error)
            await respond(error, entry.id)(scope, receive, send)
        finally:
            entry.seconds = time.monotonic() - began
            service.ended(entry)

    async def _serve(self, ask: Ask, entry: Entry, receive: Receive, send: Send) -> None:
        job = self._service.begin(ask)
        gone = asyncio.create_task(_left(receive))
        stream = _Stream(send, entry.id)
        try:
            # A failure that comes at once is told with its status, in a stream too.
            while not job.done():
                pause = self._service.settings.keep_alive if ask.stream else None
                await asyncio.wait({job, gone}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise _Gone
                if not job.done():
                    await stream.say(THINKING)
            await self._tell(job, ask, entry, stream)
        finally:
            for task in (job, gone):
                task.cancel()
            await asyncio.gather(job, gone, return_exceptions=True)

    async def _tell(self, job: asyncio.Task[Solution], ask: Ask, entry: Entry, stream: _Stream) -> None:
        try:
            solution = self._outcome(job)
        except ApiError as error:
            if not stream.begun:
                raise
            _note(entry, error)
            await stream.say(failed_event(error))
            await stream.end()
            return
        reply = self._reply(solution, ask, entry)
        if ask.stream:
            for event in reply.events(ask.usage):
                await stream.say(event)
            await stream.end()
        else:
            await stream.whole(reply.whole())

    def _outcome(self, job: asyncio.Task[Solution]) -> Solution:
        if job.cancelled():
            text = "the server is shutting down"
            raise ApiError(503, text, "server_error", "shutting_down", retry_after=5, outcome="closing")
        error = job.exception()
        if error is None:
            return job.result()
        raise error if isinstance(error, ApiError) else self._service.unforeseen(error)

    def _reply(self, solution: Solution, ask: Ask, entry: Entry) -> Reply:
        service = self._service
        entry.status, entry.outcome = 200, "stopped" if solution.stopped else "ok"
        for name in ("confidence", "tokens", "sequential_tokens", "generated", "branches", "stopped"):
            setattr(entry, name, getattr(solution, name))
        report = service.drift.report if service.drift is not None else None
        drift = report.as_json if report is not None else None
        extra = {"controller": service.settings.controller, "beta": ask.beta, "seed": ask.seed, "drift": drift}
        return Reply(entry.id, int(time.time()), service.settings.terms.model, solution, extra)


class _Stream:
    """A response that begins with the first thing that it is given to say."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = request_id
        self.begun = False

    async def _begin(self, kind: str, *more: tuple[bytes, bytes]) -> None:
        self.begun = True
        headers = [(b"content-type", kind.encode()), (b"x-request-id", self._id.encode()), *more]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def say(self, event: bytes) -> None:
        """Send an event; a proxy must not gather several."""
        if not self.begun:
            await self._begin("text/event-stream", (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
        await self._send({"type": "http.response.body", "body": event, "more_body": True})

    async def end(self) -> None:
        """Nothing more comes."""
        await self._send({"type": "http.response.body", "body": b""})

    async def whole(self, value: dict[str, Any]) -> None:
        """Send one JSON value and nothing else."""
        content = json.dumps(value).encode()  # in ASCII: a model may write half a surrogate pair
        await self._begin("application/json", (b"content-length", str(len(content)).encode()))
        await self._send({"type": "http.response.body", "body": content})


async def _left(receive: Receive) -> None:
    """Wait until the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _note(entry: Entry, error: ApiError) -> None:
    entry.status, entry.outcome, entry.message = error.status, error.outcome, error.message
