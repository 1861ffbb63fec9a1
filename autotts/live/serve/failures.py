"""Why a request was not answered, in the shape in which OpenAI's API says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

from autotts.sandbox.text import printable

__all__ = ["ApiError", "respond"]


@dataclass
class ApiError(Exception):
    """An answer that is none.

    Attributes:
        status: of HTTP.
        message: one sentence for the client.
        kind: OpenAI's `type`; `controller_error` where the program failed, `upstream_error` where the model's server
            did.
        code: OpenAI's `code`.
        param: the field of the request that is to blame.
        retry_after: whole seconds after which asking again makes sense.
        outcome: what metrics and the log call it.
    """

    status: int
    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None
    outcome: str = "refused"

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> dict[str, Any]:
        """As JSON."""
        message = printable(self.message)
        return {"error": {"message": message, "type": self.kind, "param": self.param, "code": self.code}}


def respond(error: ApiError, request_id: str = "") -> JSONResponse:
    """The response that says it."""
    headers = {"x-request-id": request_id} if request_id else {}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(error.body, error.status, headers)
