"""A model server by its addresses: JSON asked for, JSON streamed, and why there is none, in typed errors."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from autotts.agents.models import PROVIDERS, Busy, Lost, hints, make_address, read_refusal, refused, sendable
from autotts.errors import InputError

__all__ = ["Server", "Silent"]

CONNECT_SECONDS = 10.0
MOST_BYTES = 4 * 2**20
"""Of an answer that is not streamed; a server that sends without end must not fill the memory."""

MOST_OF_REFUSAL = 2**20


class Silent(Lost):
    """Nothing of an answer came for too long, or not all of one that is not streamed."""

    def __init__(self, server: object) -> None:
        super().__init__(f"{server} sent nothing of use for too long")


class Server:
    """One server and one model behind it.

    Args:
        base_url: its address, mostly one that ends in /v1.
        model: the model's name there.
        idle: seconds within which something must come; a long prompt is read in silence.

    Raises:
        InputError: no such address, or a key that is none.
    """

    def __init__(self, base_url: str, model: str, idle: float) -> None:
        import httpx2  # as heavy as an SDK

        self.model = model
        address = make_address(f"openai-compatible/{model}", PROVIDERS["openai-compatible"], None, base_url)
        self.url = address.url
        self._key = address.key
        self._variable = address.variable
        self._http = httpx2
        self._idle = idle
        # A redirect would carry questions elsewhere. How many requests there are at a time is the gate's to say.
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {address.key.reveal()}", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(idle, connect=min(CONNECT_SECONDS, idle), pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=256),
            follow_redirects=False,
            trust_env=False,  # no proxies: servers are near; but certificates, as SSL_CERT_FILE says
            verify=_certificates(httpx2),
        )

    @property
    def root(self) -> str:
        """Where addresses are that are no part of OpenAI's."""
        return self.url.removesuffix("/v1")

    async def close(self) -> None:
        """End all connections."""
        await self._client.aclose()

    async def get(self, path: str) -> Any:
        """The JSON at a path; see `post`."""
        return await self._json("GET", self.url + path, None)

    async def post(self, path: str, body: Mapping[str, Any], *, root: bool = False) -> Any:
        """What the server answers to a body.

        Args:
            path: below `url`, or below `root`.
            body: the request.
            root: which of these.

        Raises:
            Busy: not done; later it may be.
            Lost: no answer, or none that can be read.
            InputError: it never will.
        """
        return await self._json("POST", (self.root if root else self.url) + path, body)

    async def _json(self, method: str, url: str, body: Mapping[str, Any] | None) -> Any:
        content = b""
        try:
            # Of what is not streamed something comes when all is there; no server may send it a byte at a time.
            async with asyncio.timeout(self._idle), self._client.stream(method, url, json=sendable(body)) as response:
                await self._check(response)
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise Lost(self._clean(f"{self} sent more than {MOST_BYTES // 2**20} MiB"))
        except self._http.HTTPError as error:
            raise self._broken(error) from None
        except TimeoutError:
            raise Silent(self) from None
        return self._loads(content)

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The objects of a stream, up to its [DONE]; closing the iterator closes the request. Errors: see `post`.

        Raises:
            Lost: also where the stream ends without [DONE].
        """
        try:
            async with self._client.stream("POST", self.url + path, json=sendable(body)) as response:
                await self._check(response)
                async for event in self._http.EventSource(response):
                    if event.data.strip() == "[DONE]":
                        return
                    value = self._loads(event.data)
                    if not isinstance(value, dict):
                        raise Lost(self._clean(f"{self} streamed something that is no object: {event.data[:80]!r}"))
                    if value.get("error"):
                        raise self._refusal(_status(value["error"]), {}, event.data)
                    yield value
        except self._http.HTTPError as error:
            raise self._broken(error) from None
        raise Lost(f"{self} broke the stream off")

    async def _check(self, response: Any) -> None:
        if response.is_success:
            return
        body = b""
        async for part in response.aiter_raw():
            body += part[: MOST_OF_REFUSAL - len(body)]
            if len(body) == MOST_OF_REFUSAL:
                break
        raise self._refusal(response.status_code, response.headers, body)

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes | str) -> Exception:
        failure = refused(read_refusal(status, headers, body), str(self), hints(self._variable), with_tools=False)
        message = self._clean(str(failure))
        return Busy(message, failure.retry_after) if isinstance(failure, Busy) else type(failure)(message)

    def _broken(self, error: Exception) -> Exception:
        http = self._http
        reason = self._clean(str(error) or type(error).__name__)
        if fault := next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None):
            return self._insecure(fault)
        if isinstance(error, http.ConnectError | http.ConnectTimeout):
            return Busy(f"{self}: no connection ({reason}); is the server running?")
        if isinstance(error, http.UnsupportedProtocol):
            return InputError(f"{self}: no address to send to ({reason})")
        if isinstance(error, http.TimeoutException):
            return Silent(self)
        return Lost(f"{self}: the connection broke ({reason})")

    def _insecure(self, error: ssl.SSLError) -> Exception:
        if isinstance(error, ssl.SSLCertVerificationError):
            return InputError(
                f"{self}: its certificate is not trusted ({error.verify_message}); call the server by the name in it, "
                "and give the file of the authority that signed it by the environment variable SSL_CERT_FILE"
            )
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return InputError(f"{self}: does not speak TLS; write http:// in its address")
        return Lost(f"{self}: the connection broke ({error.reason or error})")

    def _loads(self, content: bytes | str) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            start = content[:80].decode("utf-8", "replace") if isinstance(content, bytes) else content[:80]
            raise Lost(self._clean(f"{self} sent an answer that cannot be read: {start!r}")) from None

    def _clean(self, message: str) -> str:
        return self._key.hide(message)

    def __str__(self) -> str:
        return f"{self.model} at {self.url}"


def _certificates(http: Any) -> Any:
    try:
        return http.create_ssl_context()
    except OSError as error:
        raise InputError(
            f"SSL_CERT_FILE or SSL_CERT_DIR: no certificates that can be read ({error}); set it right, or unset it"
        ) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: Any) -> int:
    """The status that an error within a stream stands for; an unknown one may pass."""
    code = error.get("code") if isinstance(error, dict) else None
    return int(code) if isinstance(code, int | str) and str(code).isdecimal() and 400 <= int(code) < 600 else 500
