"""A server that speaks a provider's wire format strictly, and answers, fails and hangs as it is told.

    with WireServer("anthropic") as server:
        server.script([Status(429, retry_after="2"), Say("hello"), Say(calls=[("look", {"id": "a"})])])
        model = make_model(f"{server.provider}/some-model", server.url)
        ...
        assert not server.complaints
        assert server.requests[0]["messages"]

Steps are taken in order, whichever request comes first takes the next. A step may be a function of the request's body
that gives a step (called by many threads at once if many ask at once); `script([], always=step)` answers whatever
comes after the list. A request that the real API would
refuse is answered with 400, takes no step, and stands in `complaints`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.wires import WIRES, BadRequest, Say

__all__ = ["Drip", "Drop", "Garbage", "Hang", "Say", "Status", "Step", "WireServer"]

PROVIDERS = {"anthropic": "anthropic", "responses": "openai", "chat": "vllm"}


@dataclass(frozen=True)
class Status:
    """A step: an HTTP error in the format's own shape, or with a body of one's own."""

    status: int
    message: str = "no"
    code: str = ""
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Hang:
    """A step: the request is taken, and nothing comes, until the client or the server goes."""


@dataclass(frozen=True)
class Drop:
    """A step: the connection is cut; `after` bytes of a true answer come before, with its headers, if any do."""

    after: int = 0


@dataclass(frozen=True)
class Garbage:
    """A step: 200 with a body that is no answer."""

    body: bytes = b"<html>It works!</html>"
    content_type: str = "application/json"


@dataclass(frozen=True)
class Drip:
    """A step: a byte of an endless answer every `seconds`; `headers` drips those already."""

    seconds: float = 0.05
    headers: bool = False


Answer = Say | Status | Hang | Drop | Garbage | Drip
Step = Answer | Callable[[dict[str, Any]], Answer]


class WireServer:
    """The server; use it in a `with`.

    Attributes:
        format: "anthropic", "responses" or "chat".
        provider: prefix of `make_model` that speaks this format.
        url: base address for `make_model`.
        requests: bodies that were taken, in order.
        keys: what each of them was authorised with.
        headers: of every request, also of those that were refused.
        complaints: why requests were refused as malformed.
        delay: seconds before each answer.
        most_at_once: how many requests were served at the same time, at most.
    """

    def __init__(self, format: str, delay: float = 0.0) -> None:
        self.format = format
        self.provider = PROVIDERS[format]
        self.wire = WIRES[format]
        self.delay = delay
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.complaints: list[str] = []
        self.most_at_once = 0
        self.closing = threading.Event()
        self._steps: list[Step] = []
        self._always: Step | None = None
        self._lock = threading.Lock()
        self._busy = 0
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Base address, with /v1 where the SDK wants it."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}" + ("" if self.format == "anthropic" else "/v1")

    def script(self, steps: Sequence[Step], always: Step | None = None) -> None:
        """What is answered next, and after that."""
        with self._lock:
            self._steps, self._always = list(steps), always

    @property
    def left(self) -> int:
        """Steps not yet taken."""
        return len(self._steps)

    def close(self) -> None:
        """Stop serving; requests that hang are let go."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> WireServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self, body: dict[str, Any], key: str) -> tuple[Answer, int]:
        """Check a request and take the step that answers it, with its number."""
        try:
            self.wire.check(body)
        except (BadRequest, KeyError, TypeError, AttributeError) as error:
            with self._lock:
                self.complaints.append(f"{type(error).__name__}: {error}")
            return Status(400, f"malformed: {error}"), 0
        with self._lock:
            self.requests.append(body)
            self.keys.append(key)
            number = len(self.requests)
            step = self._steps.pop(0) if self._steps else self._always
        if step is None:
            return Status(400, "the script is over"), number
        try:
            return (step(body) if callable(step) else step), number
        except Exception as error:  # a mistake in a test must not look like a server's failure
            with self._lock:
                self.complaints.append(f"a step raised {type(error).__name__}: {error}")
            return Status(400, "a step of the script raised"), number

    def enter(self) -> None:
        with self._lock:
            self._busy += 1
            self.most_at_once = max(self.most_at_once, self._busy)

    def leave(self) -> None:
        with self._lock:
            self._busy -= 1


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 64
    owner: WireServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        owner = self.server.owner
        self.close_connection = True
        owner.enter()
        try:
            owner.headers.append(dict(self.headers))
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != owner.wire.path:
                self._send(404, owner.wire.error(404, "", f"no such path: {self.path}"))
                return
            # Anthropic's API takes either header; which one its SDK sends has changed.
            key = (self.headers.get("authorization") or self.headers.get("x-api-key") or "").removeprefix("Bearer ")
            if not key:
                self._send(401, owner.wire.error(401, "", "no key"))
                return
            step, number = owner.take(body, key)
            owner.closing.wait(owner.delay)
            self._perform(step, body, number)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            owner.leave()

    def _perform(self, step: Answer, body: dict[str, Any], number: int) -> None:
        owner = self.server.owner
        if isinstance(step, Say):
            self._send(200, owner.wire.answer(step, body, number))
        elif isinstance(step, Status):
            headers = {**step.headers, **({"retry-after": step.retry_after} if step.retry_after else {})}
            answer = owner.wire.error(step.status, step.code, step.message) if step.body is None else step.body
            self._send(step.status, answer, headers)
        elif isinstance(step, Garbage):
            self._send(200, step.body, {}, step.content_type)
        elif isinstance(step, Hang):
            self._wait_for_the_end()
        elif isinstance(step, Drip):
            self._drip(step)
        elif step.after:
            whole = json.dumps(owner.wire.answer(Say("x" * step.after), body, number)).encode()
            self._head(200, len(whole), {}, "application/json")
            self.wfile.write(whole[: step.after])

    def _send(
        self,
        status: int,
        body: dict[str, Any] | bytes,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._head(status, len(content), headers or {}, content_type)
        self.wfile.write(content)

    def _head(self, status: int, length: int, headers: Mapping[str, str], content_type: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": content_type, "connection": "close", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.end_headers()

    def _wait_for_the_end(self) -> None:
        """Until the client closes its side, or the server is closed."""
        self.connection.settimeout(0.05)
        while not self.server.owner.closing.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue

    def _drip(self, step: Drip) -> None:
        if step.headers:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        else:
            self._head(200, 10**6, {}, "application/json")
        while not self.server.owner.closing.is_set():
            self.wfile.write(b" " if not step.headers else b"a")
            self.wfile.flush()
            time.sleep(step.seconds)
