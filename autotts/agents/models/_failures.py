"""Why no answer came, in the words of `_base`: later (Busy), never seen (Lost), without tools (NoTools), shorter
(TooLong), or not at all (InputError)."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from autotts.agents.models._base import Busy, Lost, NoTools, TooLong
from autotts.agents.models._json import WrongShape, loads
from autotts.errors import InputError

__all__ = ["Refusal", "Secret", "hints", "read_refusal", "refused", "retry_after"]

# Timeouts of gateways: the model behind them may have done the work.
_LOST = frozenset({504, 520, 522, 524})
# The client was too slow, or too early, or two requests met: nothing was done.
_BUSY = frozenset({408, 409, 425, 429})
# Codes of 429 that waiting does not heal.
_UNPAID = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")

_NO_TOOLS = re.compile(
    r"(does|do|is|are)(n't| not) (support|accept|allow)(ed)?\W+(\w+\W+)?(tool|function)"
    r"|(tools?|tool[ _](use|calls?|choice)|function calling)\b[^.]{0,30}\b(not|n't) (yet )?(be )?"
    r"(supported|available|allowed|enabled)"
    r"|support(s|ing)? tool use"
    r"|unsupported (param(eter)?s?|argument|field)\W+tools?\b"
    r"|unrecognized request arguments? supplied\W+tools?\b"
    r"|--jinja|--enable-auto-tool-choice|--tool-call-parser",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"(prompt|input|request)( is|'s)? too (long|large)"
    r"|(maximum|max) (context|model) (length|len)|context[ _](length|window|size)|available context"
    r"|too many (input |prompt )?tokens|input length and `?max_tokens`? exceed",
    re.IGNORECASE,
)


class Secret:
    """A key that does not show itself: neither in repr nor in a message that went through `hide`."""

    __slots__ = ("_real", "_text")

    def __init__(self, text: str, real: bool = True) -> None:
        self._text = text
        self._real = real

    def reveal(self) -> str:
        """The key's text, for the SDK alone."""
        return self._text

    def hide(self, message: str) -> str:
        """The message on one line of printable characters, shortened, without the key."""
        if self._real:
            message = message.replace(self._text, "[key]")
        line = " ".join("".join(char if char.isprintable() else " " for char in message).split())
        return line if len(line) <= 600 else line[:600] + " …"

    def cut(self, answer: bytes) -> bytes:
        """An answer without the key, for answers are kept and a server may say it."""
        return answer.replace(self._text.encode(), b"[key]") if self._real else answer

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not to be stored")


@dataclass(frozen=True)
class Refusal:
    """A server's answer that is none.

    Attributes:
        status: of HTTP, or the code that stands in the body of a 200.
        message: what the server says, in its own words.
        codes: its codes and types of error.
        wait: seconds after which it wants to be asked again.
    """

    status: int
    message: str
    codes: tuple[str, ...] = ()
    wait: float | None = None

    def says(self, *codes: str) -> bool:
        """Whether it gives one of these codes."""
        return any(code in self.codes for code in codes)


def read_refusal(status: int, headers: Mapping[str, str], body: bytes | str) -> Refusal:
    """What a server said with an error's status, in any of the shapes that are about."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        value = loads(text)
    except WrongShape:
        value = None
    error: Any = value
    if isinstance(value, dict):
        error = next((value[key] for key in ("error", "detail", "message") if value.get(key)), value)
    codes: tuple[str, ...] = ()
    if isinstance(error, dict):
        codes = tuple(str(error[key]) for key in ("code", "type") if error.get(key) is not None)
        error = error.get("message") or error
    message = error if isinstance(error, str) else text
    return Refusal(status, message.strip() or "(no message)", codes, retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: `retry-after-ms`, or `retry-after` as seconds or as an HTTP date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    written = headers.get("retry-after")
    seconds = _number(written)
    if seconds is not None or written is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(written).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def hints(variable: str, v1: bool = True) -> dict[int, str]:
    """How to mend what a status complains about.

    Args:
        variable: the environment variable that has the key.
        v1: whether the server's address mostly ends in /v1.
    """
    return {
        401: f"set the environment variable {variable} to a key that is valid there",
        402: "pay the provider, or use another model",
        403: f"the key in {variable} may not do this",
        404: "no such model or no such address; see the model's name, and the address"
        + (", which mostly ends in /v1" if v1 else ""),
        405: "no such address; see the address of the server",
        **dict.fromkeys((301, 302, 303, 307, 308), "it sends elsewhere; give the address where it really is"),
    }


def refused(refusal: Refusal, server: str, mend: Mapping[int, str], with_tools: bool) -> Exception:
    """The exception that a refusal becomes; its message still may have a key in it.

    Args:
        refusal: what the server said.
        server: name and address, for the message.
        mend: see `hints`.
        with_tools: whether tools were sent.
    """
    status = refusal.status
    message = f"{server} answered {status}: {refusal.message}"
    if refusal.says(*_UNPAID):
        return InputError(f"{message} (the account has no credit left; waiting does not help)")
    if with_tools and status >= 400 and status not in (401, 403, 429) and _NO_TOOLS.search(refusal.message):
        return NoTools(message)
    if _is_too_long(refusal):
        return TooLong(f"{message} (send less, or leave less room for the answer)")
    if status in _LOST:
        return Lost(message)
    if status in _BUSY or status >= 500:
        return Busy(message, refusal.wait)
    hint = mend.get(status)
    return InputError(f"{message} ({hint})" if hint else message)


def _is_too_long(refusal: Refusal) -> bool:
    if refusal.says("context_length_exceeded", "exceed_context_size_error", "request_too_large"):
        return True
    if refusal.status == 429:  # one request above the limit of a whole minute: waiting does not help
        return "request too large" in refusal.message.lower()
    return refusal.status == 413 or (refusal.status in (400, 422) and bool(_TOO_LONG.search(refusal.message)))
