"""What a run may spend: a ceiling, for the worst case is reserved before a call. It counts on when the run goes on."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property

from autotts.archive import Archive, Call
from autotts.errors import InputError, LimitReached

__all__ = ["Account", "Budget", "SlotPurse"]


@dataclass(frozen=True)
class Budget:
    """Ceilings of a run, None where there is none.

    Attributes:
        cost: dollars.
        tokens: of models, in and out.
        time: seconds that the search runs.
        proposals: programs that agents are asked for.
        plateau: rounds in a row without a greater gain.
        target: gain at matched tokens over the reference, in points, that is enough.
    """

    cost: float | None = None
    tokens: int | None = None
    time: float | None = None
    proposals: int | None = None
    plateau: int | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"a budget's {name} is {value}; give a finite number from 0 on, or None")

    @property
    def limits(self) -> tuple[tuple[str, float], ...]:
        """Those that are set, by name."""
        return tuple((name, value) for name, value in vars(self).items() if value is not None)

    def over(self, earlier: Budget) -> Budget:
        """These, and the earlier ones where these say nothing."""
        both = {f.name: getattr(self, f.name) for f in fields(self)}
        return Budget(**{name: getattr(earlier, name) if value is None else value for name, value in both.items()})


@dataclass
class Account:
    """Spending of one run against its limits; what was spent is in the archive.

    Args:
        archive, run: where calls are written down.
        budget: see `Budget`.
    """

    archive: Archive
    run: str
    budget: Budget
    _started: float = field(init=False)
    _before: float = field(init=False)
    _settled: threading.Condition = field(init=False, default_factory=threading.Condition)
    _open: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._before = self.archive.add_seconds(self.run, 0.0)
        self._started = time.monotonic()

    def tick(self, at_least: float = 0.0) -> None:
        """Write down the time since the last tick, where that is so many seconds."""
        now = time.monotonic()
        if now - self._started < at_least:
            return
        self._before = self.archive.add_seconds(self.run, now - self._started)
        self._started = now

    def seconds(self) -> float:
        """That the run has taken, over all its starts."""
        return self._before + (time.monotonic() - self._started)

    def seconds_left(self) -> float:
        """Of the run's time."""
        return float("inf") if self.budget.time is None else self.budget.time - self.seconds()

    def admit_proposal(self, asked: int) -> None:
        """Refuse to ask for one more program than the limits allow, when `asked` have been.

        Raises:
            LimitReached: the number, the time, or all of the money or tokens is used.
        """
        budget = self.budget
        if budget.proposals is not None and asked >= budget.proposals:
            raise LimitReached(f"--max-proposals {budget.proposals}: so many were asked for")
        if self.seconds_left() <= 0:
            raise LimitReached(f"--max-time {budget.time:g}: the run has taken so many seconds")
        if budget.tokens is None and budget.cost is None:
            return
        tokens, cost, _ = self.archive.spent(self.run)
        if budget.tokens is not None and tokens >= budget.tokens:
            raise LimitReached(f"--max-agent-tokens {budget.tokens}: {tokens:,} tokens are spent")
        if budget.cost is not None and cost >= budget.cost:
            raise LimitReached(f"--max-cost {budget.cost:g}: ${cost:.4f} is spent")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction of the archive in which calls are written down as well.

        Its turn comes before the archive's lock, as in `reserve`: the other way round two threads would wait for each
        other.
        """
        with self._settled, self.archive.transaction():
            yield

    def reserve(self, call: Call, free: bool = False, own: int = 0) -> None:
        """Write a call down at its worst case, which the limits must have room for; several threads may ask at once.

        Where there is no room because of what others have reserved, it waits until they have settled.

        Args:
            call: with the most tokens and dollars that it may take.
            free: nothing is asked any more, it is only written down.
            own: open calls of whoever asks, which nobody settles while he waits.

        Raises:
            LimitReached: with what is spent, what the call may take, and the limit.
        """
        with self._settled:
            while not free:
                try:
                    self._admit_call(call.tokens, call.cost)
                    break
                except LimitReached:
                    if self._open <= own:
                        raise
                    self._settled.wait()
            self.archive.add_call(call)
            self._open += 1

    def settle(self, call: Call) -> None:
        """Write down how a call that was reserved has ended."""
        with self._settled:
            try:
                self.archive.end_call(call)
            finally:
                self._open -= 1
                self._settled.notify_all()

    def release(self, calls: int) -> None:
        """So many calls were reserved and will not be settled by this process: they stay at their worst case."""
        with self._settled:
            self._open -= calls
            self._settled.notify_all()

    def _admit_call(self, most: int, worst: float | None) -> None:
        budget = self.budget
        if budget.tokens is None and budget.cost is None:
            return
        tokens, cost, unknown = self.archive.spent(self.run)
        if budget.tokens is not None and tokens + most > budget.tokens:
            raise LimitReached(
                f"--max-agent-tokens {budget.tokens}: {tokens:,} are spent, and the next call may take {most:,} more"
            )
        if budget.cost is None:
            return
        if worst is None or unknown:
            raise LimitReached(f"--max-cost {budget.cost:g}: the price of a call is unknown; give it with --prices")
        if cost + worst > budget.cost:
            raise LimitReached(
                f"--max-cost {budget.cost:g}: ${cost:.4f} is spent, and the next call may cost ${worst:.4f} more"
            )


class SlotPurse:
    """What one slot's calls are paid from (see `autotts.agents.Purse`).

    Args:
        account: of the run.
        place: round and slot.
        agent: who asks.
        told: told of every call that has ended.
    """

    def __init__(
        self, account: Account, place: tuple[int, int], agent: str, told: Callable[[Call], None] = lambda _: None
    ) -> None:
        self._account, self._place, self._agent, self._told = account, place, agent, told
        self._begun = 0
        self._open: dict[int, tuple[Call, float]] = {}

    @cached_property
    def _before(self) -> list[Call]:
        """What the slot called before it was interrupted; most agents never ask."""
        return self._account.archive.calls(self._account.run, *self._place)

    @cached_property
    def _answers(self) -> Iterator[str]:
        return iter([call.reply for call in self._before if call.outcome == "ok"])

    @cached_property
    def _templates(self) -> set[str]:
        return {name for call in self._before for name in call.templates}

    def recorded(self) -> str | None:
        """The next answer that this slot was given before it was interrupted."""
        return next(self._answers, None)

    def begin(
        self, prompt: str, templates: Mapping[str, str], tokens: int, cost: float | None, asked: bool = False
    ) -> int:
        """Reserve the most that a call may use; its number. One that was asked already is only written down."""
        number, self._begun = len(self._before) + self._begun, self._begun + 1
        call = Call(
            self._account.run, *self._place, number, self._agent, prompt, dict(templates), tokens=tokens, cost=cost
        )
        try:
            self._account.reserve(call, free=asked, own=len(self._open))
        except LimitReached:
            self._begun -= 1
            raise
        self._open[number] = call, time.monotonic()
        return number

    def end(
        self, number: int, outcome: str, reply: str, usage: Mapping[str, int], tokens: int, cost: float | None
    ) -> None:
        """Write down how it ended, and what it used and cost."""
        call, began = self._open.pop(number)
        seconds = time.monotonic() - began
        done = Call(
            call.run, call.round, call.slot, number, call.agent, call.prompt, call.templates, outcome, reply,
            dict(usage), tokens, cost, seconds,
        )  # fmt: skip
        self._account.settle(done)
        self._told(done)

    def release(self) -> None:
        """Nothing more will be heard of calls that are still open."""
        self._account.release(len(self._open))
        self._open.clear()

    def templates(self) -> set[str]:
        """Names of the templates that the slot's calls were rendered from so far."""
        return self._templates

    def seconds_left(self) -> float:
        """Of the run's time."""
        return self._account.seconds_left()

    def totals(self) -> tuple[dict[str, int], float | None, str, str]:
        """(tokens by kind, cost, first prompt, last answer's text) of all calls of the slot so far."""
        calls = self._account.archive.calls(self._account.run, *self._place)
        usage: dict[str, int] = {}
        cost: float | None = 0.0
        for call in calls:
            for kind, count in call.usage.items():
                usage[kind] = usage.get(kind, 0) + count
            cost = None if cost is None or call.cost is None else cost + call.cost
        texts = [str(json.loads(call.reply)["text"]) for call in calls if call.reply]
        return usage, cost, calls[0].prompt if calls else "", texts[-1] if texts else ""
