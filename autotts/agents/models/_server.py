"""What the three wire formats share: one request, sent once through the SDK, within a deadline, as plain JSON.

The SDK does addresses, headers and connections. Bodies are read here, not by the SDK's classes: those fill in fields
that the server did not send and take any shape for granted, and what is given back to a provider must be exact.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from autotts.agents.models._base import Busy, Lost, Reply, Request, ToolResult, Turn
from autotts.agents.models._deadline import within
from autotts.agents.models._failures import Refusal, Secret, hints, read_refusal, refused
from autotts.agents.models._json import WrongShape, a_dict, loads, sendable
from autotts.errors import InputError

__all__ = ["Address", "ServerModel", "exchanges"]

# No answer of a model is near this size; a server that sends without end must not fill the memory.
_MOST_BYTES = 32 * 2**20
_MOST_OF_REFUSAL = 2**20
_CONNECT_SECONDS = 30.0


@dataclass(frozen=True)
class Address:
    """Where a model is asked, and with what key.

    Attributes:
        url: base address as the SDK takes it.
        key: what is sent as the key.
        variable: environment variable that holds it, for messages.
    """

    url: str
    key: Secret
    variable: str


class ServerModel(ABC):
    """A model behind a server; see `Model`. Safe to be asked by many threads at once."""

    package: ClassVar[str]
    """The SDK."""

    def __init__(self, name: str, model: str, address: Address) -> None:
        self.name = name
        self.tools = True
        self._model = model
        self._address = address
        try:
            self._sdk: Any = importlib.import_module(self.package)
        except ImportError:
            raise InputError(f"{name} needs the package {self.package}: pip install {self.package}") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self._address.url!r})"

    def ask(self, request: Request, timeout: float) -> Reply:
        """Send the request once and wait at most `timeout` seconds; see `Model.ask`."""
        body = sendable(self._body(request))
        # Raised here, out of the `except`, so that no SDK's exception, which holds the key's header, hangs on it.
        answer = self._exchange(body, timeout)
        if isinstance(answer, Exception):
            raise answer
        answer = self._address.key.cut(answer)
        try:
            value = a_dict(loads(answer), "the answer")
            self._check_error(value, body)
            return self._reply(value, body)
        except WrongShape as error:
            problem = str(error)
        raise Lost(self._clean(f"{self._server} sent an answer that cannot be read: {problem}: {_start(answer)}"))

    @abstractmethod
    def _body(self, request: Request) -> dict[str, Any]:
        """The request in this wire format."""

    @abstractmethod
    def _reply(self, answer: dict[str, Any], body: dict[str, Any]) -> Reply:
        """The answer to this body, read.

        Raises:
            WrongShape: it is not this format.
        """

    @abstractmethod
    def _client(self, **options: Any) -> Any:
        """An asynchronous client of the SDK."""

    @abstractmethod
    def _endpoint(self, client: Any) -> Any:
        """The method of the client that sends a body and gives the answer's bytes (with_streaming_response)."""

    def _negotiated(self, refusal: Refusal, body: dict[str, Any]) -> str | None:
        """What a refusal of this body teaches: the next one is put differently. None where it teaches nothing."""
        return None

    @property
    def _server(self) -> str:
        return f"{self.name} at {self._address.url}"

    def _clean(self, message: str) -> str:
        return self._address.key.hide(message)

    async def _send(self, body: dict[str, Any], timeout: float) -> bytes:
        limit = self._sdk.Timeout(timeout, connect=min(_CONNECT_SECONDS, timeout / 2))
        # A redirect would carry the conversation elsewhere. Refusals are read here: the SDKs read them without end.
        http = self._sdk.DefaultAsyncHttpxClient(
            headers={"accept-encoding": "identity"}, follow_redirects=False, event_hooks={"response": [_hear]}
        )
        key, url = self._address.key.reveal(), self._address.url
        client = self._client(api_key=key, base_url=url, max_retries=0, timeout=limit, http_client=http)
        chunks: list[bytes] = []
        size = 0
        async with client, self._endpoint(client)(**body, timeout=limit) as response:
            async for chunk in response.iter_bytes():
                size += len(chunk)
                if size > _MOST_BYTES:
                    raise WrongShape(f"more than {_MOST_BYTES // 2**20} MiB")
                chunks.append(chunk)
        return b"".join(chunks)

    def _exchange(self, body: dict[str, Any], timeout: float) -> bytes | Exception:
        """The answer's bytes, or the exception to raise."""
        try:
            return within(timeout, lambda: self._send(body, timeout))
        except TimeoutError:
            return Lost(f"{self._server} gave no whole answer within {timeout:g} s")
        except self._sdk.APIConnectionError as error:
            return self._unconnected(error, timeout, body)
        except WrongShape as error:
            return Lost(self._clean(f"{self._server} sent an answer that cannot be read: {error}"))
        except Exception as error:
            if isinstance(error, _Answered):
                return self._refused(error.refusal, body)
            # Reading the body ourselves, a broken connection comes as the HTTP library's own exception.
            if type(error).__module__.partition(".")[0] in ("httpx2", "httpx", "httpcore2", "httpcore"):
                return self._unconnected(error, timeout, body)
            raise

    def _refused(self, refusal: Refusal, body: dict[str, Any]) -> Exception:
        lesson = self._negotiated(refusal, body)
        if lesson:
            return Busy(self._clean(f"{self._server}: {lesson}"), 0.0)
        mend = hints(self._address.variable, v1=self.package != "anthropic")
        failure = refused(refusal, self._server, mend, "tools" in body)
        message = self._clean(str(failure))
        return Busy(message, failure.retry_after) if isinstance(failure, Busy) else type(failure)(message)

    def _unconnected(self, error: Exception, timeout: float, body: dict[str, Any]) -> Exception:
        if answered := next((cause for cause in _causes(error) if isinstance(cause, _Answered)), None):
            return self._refused(answered.refusal, body)
        names = [type(cause).__name__ for cause in _causes(error)]
        reason = self._clean(str(error.__cause__ or error) or names[-1])
        if "ConnectError" in names or "ConnectTimeout" in names or "PoolTimeout" in names:
            return Busy(f"{self._server}: no connection ({reason}); is the server running?")
        if any("InvalidURL" in name or "UnsupportedProtocol" in name for name in names):
            return InputError(f"{self._server}: no address to send to ({reason})")
        if any("Timeout" in name for name in names):
            return Lost(f"{self._server} gave no whole answer within {timeout:g} s")
        return Lost(f"{self._server}: the connection broke ({reason})")

    def _check_error(self, answer: dict[str, Any], body: dict[str, Any]) -> None:
        """Raise what an error in the body of a 200 means; gateways send those (OpenRouter)."""
        error = answer.get("error")
        if not error:
            return
        code = error.get("code") if isinstance(error, dict) else None
        status = int(code) if isinstance(code, int | str) and str(code).isdecimal() else 0
        words = str(error.get("message") or error) if isinstance(error, dict) else str(error)
        if 400 <= status < 600:
            raise self._refused(Refusal(status, words), body)
        raise Lost(self._clean(f"{self._server} answered with an error: {words}"))


class _Answered(Exception):
    """A response that is no success."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"answered {refusal.status}")


async def _hear(response: Any) -> None:
    """Raise a response that is no success, its body read as it came (not unpacked) and no further than is of use."""
    if response.is_success:
        return
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk[: _MOST_OF_REFUSAL - len(body)]
        if len(body) == _MOST_OF_REFUSAL:
            break
    raise _Answered(read_refusal(response.status_code, response.headers, body))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _start(answer: bytes) -> str:
    return repr(answer[:80].decode("utf-8", "replace")) if answer else "it is empty"


def exchanges(turns: tuple[Turn, ...]) -> Iterator[tuple[Turn, tuple[ToolResult, ...], Reply | None]]:
    """Each turn with the results to send, complete: every call of the reply before it has one, in order.

    Servers refuse a conversation in which a call has no result. Callers leave one out where an answer was cut off
    in the middle of a call.

    Raises:
        ValueError: a result whose call was not made.
    """
    asked: tuple[str, ...] = ()
    for turn in turns:
        given = {result.id: result for result in turn.results}
        if set(given) - set(asked):
            raise ValueError(f"results of calls that were not made: {sorted(set(given) - set(asked))}")
        results = tuple(given.get(id) or ToolResult(id, "not called", failed=True) for id in asked)
        yield turn, results, turn.reply
        asked = tuple(call.id for call in turn.reply.calls) if turn.reply else ()
