"""One call of a model: answered from the record first, paid from the purse, tried again until the deadline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from autotts.agents._base import Purse
from autotts.agents.models import Busy, Lost, Model, NoTools, Reply, Request, ToolCall, TooLong
from autotts.agents.prices import Prices, upper_bound_tokens
from autotts.errors import AgentTimeout, AgentUnavailable, InputError, LimitReached, NotSubmitted

__all__ = ["Caller", "reply_from_json", "reply_to_json"]

FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
LEAST_TIME = 0.05
"""Seconds before the deadline within which no try begins."""


@dataclass
class Caller:
    """Asks a model for one proposal. The one layer of retries, and the one deadline, that there is.

    Args:
        model: whom to ask.
        purse: what it is paid from.
        prices: of models.
        seconds: for everything that the proposal asks.
        most: tokens that it may use, in and out.
        clock, sleep: of the time; tests have their own.

    Attributes:
        deadline: by the clock.
        tokens: counted so far, in and out.
    """

    model: Model
    purse: Purse
    prices: Prices
    seconds: float
    most: int
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    deadline: float = field(init=False)
    tokens: int = field(init=False, default=0)
    _seen: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.deadline = self.clock() + min(self.seconds, self.purse.seconds_left())

    @property
    def tokens_left(self) -> int:
        """Of what the proposal may use."""
        return max(0, self.most - self.tokens)

    @property
    def seconds_left(self) -> float:
        """Until the deadline."""
        return max(0.0, self.deadline - self.clock())

    def ask(self, request: Request, said: str, templates: Mapping[str, str]) -> Reply:
        """The model's answer.

        Args:
            request: the whole conversation.
            said: what is new in it.
            templates: hashes of the templates that this was rendered from.

        Raises:
            AgentTimeout: the deadline passed.
            AgentUnavailable: no answer within the deadline, whatever was tried.
            NotSubmitted: the proposal's tokens might not be enough, or the model cannot hold so long a conversation.
            NoTools: the server takes no tools.
            LimitReached, InputError: see `Purse` and `Model`.
        """
        recorded = self.purse.recorded()
        if recorded is not None:
            reply = reply_from_json(recorded)
            self._count(reply, self._most_in(request) + request.max_tokens)
            return reply
        wait, last = FIRST_WAIT, ""
        for attempt in range(1_000_000):
            if self.seconds_left < LEAST_TIME:
                break
            if attempt:
                said, templates = "", {}
            try:
                return self._once(request, said, templates)
            except NotSubmitted as error:
                if not last:
                    raise
                raise AgentUnavailable(f"{self.model.name} gave no answer; the last try: {last}; {error}") from error
            except (Busy, Lost) as error:
                last = str(error)
                asked = error.retry_after if isinstance(error, Busy) else None
                # A server that asks for no time at all, again and again, is given some nevertheless.
                pause = wait if asked is None else max(asked, wait if attempt else 0.0)
                wait = min(2 * wait, LONGEST_WAIT)
                if pause > self.seconds_left - LEAST_TIME:
                    raise self._over(f"the last of {attempt + 1} tries: {last}") from error
                self.sleep(pause)
        if last:
            raise self._over(f"the last try: {last}")
        raise AgentTimeout(f"the proposal's {self.seconds:.0f} s were over before {self.model.name} was asked again")

    def _over(self, why: str) -> AgentUnavailable | LimitReached:
        """No answer before the deadline: the server's affair, or the run's time."""
        if self.purse.seconds_left() <= self.seconds_left + 1.0:
            return LimitReached(f"--max-time: it is over before {self.model.name} answered; {why}")
        return AgentUnavailable(f"{self.model.name} gave no answer in time; {why}")

    def _once(self, request: Request, said: str, templates: Mapping[str, str]) -> Reply:
        """One try, reserved before and settled after; a try that may have been charged stays at its most."""
        name, most_in = self.model.name, self._most_in(request)
        most = most_in + request.max_tokens
        if most > self.tokens_left:
            raise NotSubmitted(
                f"{self.tokens_left:,} of the proposal's {self.most:,} tokens are left, too few to ask again"
            )
        worst = self.prices.worst(name, most_in, request.max_tokens)
        number = self.purse.begin(said, templates, most, worst)
        try:
            reply = self.model.ask(request, self.seconds_left)
        except Busy as error:
            self.purse.end(number, f"Busy: {error}", "", {}, 0, 0.0)
            raise
        except Lost as error:
            self.purse.end(number, f"Lost: {error}", "", {}, most, worst)
            self.tokens += most
            raise
        except TooLong as error:
            self.purse.end(number, f"TooLong: {error}", "", {}, 0, 0.0)
            if len(request.turns) == 1:
                raise InputError(
                    f"{error}; serve it with a window of 32,000 tokens, or lower --answer-tokens"
                ) from error
            raise NotSubmitted(f"the model cannot hold so long a conversation ({error})") from error
        except (NoTools, InputError) as error:
            self.purse.end(number, f"{type(error).__name__}: {error}", "", {}, 0, 0.0)
            raise
        used, cost = sum(reply.usage.values()), self.prices.cost(name, reply.usage)
        told = "input" in reply.usage and "output" in reply.usage
        # A server that tells nothing is taken to have used the most, so that a limit stays one.
        self.purse.end(number, "ok", reply_to_json(reply), reply.usage, used if told else most, cost if told else worst)
        self._count(reply, most)
        return reply

    def _count(self, reply: Reply, most: int) -> None:
        told = "input" in reply.usage and "output" in reply.usage
        self._seen = sum(reply.usage.values()) if told else 0
        self.tokens += self._seen if told else most

    def _most_in(self, request: Request) -> int:
        """An upper bound of the tokens in: what the server counted of the turns before, and the bytes of the last."""
        bound = upper_bound_tokens(request)
        if not self._seen or len(request.turns) < 2:
            return bound
        return min(bound, self._seen + upper_bound_tokens(Request("", request.turns[-1:])))


def reply_to_json(reply: Reply) -> str:
    """An answer as one JSON text that `reply_from_json` reads back."""
    return json.dumps(asdict(reply), ensure_ascii=False)


def reply_from_json(text: str) -> Reply:
    """An answer that was stored."""
    fields: dict[str, Any] = json.loads(text)
    calls = tuple(ToolCall(**call) for call in fields.pop("calls"))
    return Reply(calls=calls, **fields)
