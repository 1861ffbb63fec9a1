"""Proposals and evaluations side by side: asking waits for servers, evaluating for processors.

One thread (the caller's) decides, commits and tells, slot by slot in their order; others ask and evaluate. What a slot
is asked and judged with is fixed when its round is planned, so timing changes nothing but the time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from autotts.agents import Proposal
from autotts.archive import Proposal as StoredProposal
from autotts.errors import AgentDown, AgentError, LimitReached
from autotts.search.events import Event, SearchStopping, SlotStarted
from autotts.search.judging import Judged

if TYPE_CHECKING:
    from autotts.search.loop import Search

__all__ = ["Pipeline"]

Place = tuple[int, int]


@dataclass(frozen=True)
class _Done:
    """What a thread brings: of which slot, and the outcome or the exception."""

    place: Place
    asked: bool
    value: Any = None
    error: BaseException | None = None


class Pipeline:
    """Runs a search that was begun, to its end or until it is stopped.

    Args:
        search: whose slots are asked for, evaluated and committed.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._news: SimpleQueue[_Done | Event | None] = SimpleQueue()  # may be put to from a signal's handler
        self._next: Place = search.place or (0, 0)
        self._asking: set[Place] = set()
        self._evaluating: set[Place] = set()
        self._stored: dict[Place, StoredProposal] = {}
        self._waiting: list[Place] = []
        self._decided: dict[Place, StoredProposal | Judged] = {}
        self._answers: dict[Place, Proposal | AgentError] = {}
        self._limit: LimitReached | None = None
        self._failure: Exception | None = None
        self._stopping = self._at_once = False

    def stop(self, at_once: bool) -> None:
        """Begin nothing more, and end when what is under way has ended, or at once.

        Answers that wait for their evaluation are in the archive, which a resumed run goes on from.
        """
        self._stopping, self._at_once = True, self._at_once or at_once
        self._news.put(None)

    def run(self) -> None:
        """Until everything is settled, or nothing that was begun is left after a stop or a limit.

        Raises:
            LimitReached: the limits have no room for the next proposal.
            AgentDown: see `Search.settle`.
            KeyboardInterrupt: it was stopped at once.
        """
        search = self._search
        while search.place is not None:
            self._begin_what_can()
            if self._settle_what_is_decided():
                continue
            if not (self._asking or self._evaluating):
                break
            self._hear(self._news.get())
        if self._failure is not None:
            raise self._failure
        if self._limit is not None and search.place is not None:
            raise self._limit

    # ---- the caller's thread -------------------------------------------------------------------------------------

    def _begin_what_can(self) -> None:
        """Ask for as many slots as there are askers, and evaluate as many as there are workers."""
        search = self._search
        while not self._stopping and self._limit is None and self._may_begin(self._next):
            place = self._next
            stored = search.stored(place)
            ask = stored is None or search.asks_again(stored)
            if ask and (len(self._asking) >= search.askers or search.turns.is_busy(place, self._asking)):
                break
            if stored is None:
                try:
                    search.admit(place)
                except LimitReached as error:
                    self._limit = error
                    break
            self._next = self._after(place)
            if stored is not None:
                self._stored[place] = stored
            if ask:
                self._asking.add(place)
                self._start(place, True, partial(search.answer, place, self._news.put))
            else:
                assert stored is not None
                self._put(place, stored)
        while self._waiting and not self._stopping and len(self._evaluating) < search.evaluator.workers:
            place = self._waiting.pop(0)
            stored = self._stored.pop(place)
            self._evaluating.add(place)
            self._start(place, False, partial(search.judge, stored, self._news.put))

    def _may_begin(self, place: Place) -> bool:
        search = self._search
        if place[0] == 0:  # every baseline is compared with the first, so that one is settled before
            started = len(self._evaluating) + len(self._waiting) + len(self._decided)
            return search.place is not None and (place == (0, 0) or (search.place > (0, 0) and started < 2))
        return place[0] <= search.planned

    def _after(self, place: Place) -> Place:
        last = place[1] + 1 >= self._search.slots(place[0])
        return (place[0] + 1, 0) if last else (place[0], place[1] + 1)

    def _put(self, place: Place, stored: StoredProposal) -> None:
        """A stored proposal: to be evaluated, or decided already."""
        if stored.verdict is not None:
            self._decided[place] = stored
            return
        self._stored[place] = stored
        self._waiting.append(place)
        self._waiting.sort()  # the next to be committed first

    def _settle_what_is_decided(self) -> bool:
        """Commit in order what can be; whether anything was."""
        search, any_ = self._search, False
        while search.place is not None and search.place in self._decided:
            place = search.place
            any_ = True
            try:
                search.settle(self._decided.pop(place), self._answers.pop(place, None))
            except AgentDown as error:
                self._fail(error)
        if any_:
            search.account.tick(at_least=1.0)
        return any_

    def _hear(self, news: _Done | Event | None) -> None:
        if self._at_once:
            raise KeyboardInterrupt
        if news is None:
            self._search.emit(SearchStopping(self._search.run, len(self._asking) + len(self._evaluating)))
        elif isinstance(news, Event):
            self._search.emit(news)
        elif news.asked:
            self._hear_answer(news)
        else:
            self._evaluating.discard(news.place)
            if news.error is not None:
                self._fail(news.error)
            else:
                self._decided[news.place] = news.value

    def _hear_answer(self, news: _Done) -> None:
        place = news.place
        self._asking.discard(place)
        if isinstance(news.error, LimitReached):
            # What others were asked for goes on; this slot is asked again when the run goes on with a higher limit.
            self._limit = self._limit or news.error
            return
        if news.error is not None:
            self._fail(news.error)
            return
        self._answers[place] = news.value
        stored = self._stored.pop(place, None)
        self._put(place, stored if stored is not None else self._search.keep(place, news.value))
        self._search.emit(SlotStarted(self._search.run, *place, "wait", ""))

    def _fail(self, error: BaseException) -> None:
        """End with this error, but not before what is under way has ended: what it brings may have been paid for."""
        if not isinstance(error, Exception):
            raise error
        self._failure, self._stopping = self._failure or error, True

    # ---- other threads -------------------------------------------------------------------------------------------

    def _start(self, place: Place, asked: bool, work: Callable[[], Any]) -> None:
        """In a thread that ends with the process: one that waits for a server must not hold up a second Ctrl-C."""

        def bring() -> None:
            try:
                self._news.put(_Done(place, asked, work()))
            except BaseException as error:
                self._news.put(_Done(place, asked, error=error))

        kind = "ask" if asked else "evaluate"
        threading.Thread(target=bring, name=f"autotts-{kind}-{place[0]}.{place[1]}", daemon=True).start()
