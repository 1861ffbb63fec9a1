"""What there is to see of a search that is going on, put together from its events."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autotts.archive import Point, front
from autotts.search.events import (
    CallEnded,
    Event,
    RoundEnded,
    SearchEnded,
    SearchStarted,
    SearchStopping,
    SlotEnded,
    SlotStarted,
)
from autotts.search.standing import BASELINES

__all__ = ["Watch", "Work"]

RECENT = 100
"""Candidates that are kept, more than any terminal shows."""

WINDOW = 40
"""Candidates that a rate is taken over."""

DRAWN = ("cmc", "sc")
"""Baselines whose curves stand beside the front."""


@dataclass(frozen=True)
class Work:
    """A slot that is under way.

    Attributes:
        stage: "propose", "wait", "screen" or "confirm".
        since: by the clock of the `Watch`, when the stage began.
        calls, tokens: that models took for it; `tried` is what became of the last call, "" where it brought an answer.
    """

    stage: str
    program: str
    agent: str
    since: float
    calls: int = 0
    tokens: int = 0
    tried: str = ""


@dataclass
class Watch:
    """Listens; everything else reads. What it keeps does not grow with the run.

    Args:
        clock: seconds.

    Attributes:
        started, stopping, ended: these events, None as long as there was none.
        rounds: the end of the last round.
        total, done: candidates of the whole run, and of those in the archive.
        working: what is under way, by round and slot.
        recent: the last candidates.
        rejects: how many ended in each outcome that is not "ok".
        front: over all confirmed programs and β, by rising tokens.
        curves: of baselines.
        tokens, cost, unpriced: what models took, in all starts of the run.
    """

    clock: Callable[[], float] = time.monotonic
    started: SearchStarted | None = None
    stopping: SearchStopping | None = None
    ended: SearchEnded | None = None
    rounds: RoundEnded | None = None
    total: int = 0
    done: int = 0
    working: dict[tuple[int, int], Work] = field(default_factory=dict)
    recent: deque[SlotEnded] = field(default_factory=lambda: deque(maxlen=RECENT))
    rejects: Counter[str] = field(default_factory=Counter)
    front: list[Point] = field(default_factory=list)
    curves: dict[str, list[Point]] = field(default_factory=dict)
    tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    _began: float = 0.0
    _told: float = 0.0  # when all that the archive held had been told again
    _asked: int = 0  # tokens of calls since then
    _rounds_took: float = 0.0
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def __post_init__(self) -> None:
        self._began = self._told = self.clock()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case SearchStarted():
                self._start(event)
            case SlotStarted():
                self._begin(event)
            case CallEnded():
                self._call(event)
            case SlotEnded():
                self._end(event)
            case RoundEnded():
                self.rounds, self._rounds_took = event, self.seconds
                self.tokens, self.cost, self.unpriced = event.tokens, event.cost, event.unpriced
            case SearchStopping():
                self.stopping = event
            case SearchEnded():
                self.ended, self.stopping = event, None
                self.working.clear()

    def _start(self, event: SearchStarted) -> None:
        self.started, self._began = event, self.clock()
        self._told = self._began
        limits = dict(event.limits)
        asked = min(event.rounds * event.per_round, int(limits.get("proposals", event.rounds * event.per_round)))
        self.total = event.baselines + event.added + asked

    def _begin(self, event: SlotStarted) -> None:
        before = self.working.get((event.round, event.slot), Work("", "", "", 0.0))
        agent = event.agent or before.agent
        self.working[event.round, event.slot] = replace(
            before, stage=event.stage, program=event.program, agent=agent, since=self.clock()
        )

    def _call(self, event: CallEnded) -> None:
        self.tokens += event.tokens
        self.cost += event.cost or 0.0
        self.unpriced += event.cost is None
        self._asked += event.tokens
        place = event.round, event.slot
        before = self.working.get(place, Work("propose", "", event.agent, self.clock()))
        tried = "" if event.outcome == "ok" else event.outcome
        self.working[place] = replace(
            before, calls=before.calls + 1, tokens=before.tokens + event.tokens, tried=tried, agent=event.agent
        )

    def _end(self, event: SlotEnded) -> None:
        self.working.pop((event.round, event.slot), None)
        self.recent.append(event)
        self.done += 1
        if event.outcome != "ok":
            self.rejects[event.outcome] += 1
        if self.started is not None and self.done <= self.started.done:
            self._told = self.clock()
        else:
            self._ends.append(self.clock())
        curve = [Point(event.program, beta, tokens, accuracy) for beta, accuracy, tokens in event.points]
        if curve:
            self.front = front([*self.front, *curve])
            if event.round == 0 and event.slot < len(BASELINES) and BASELINES[event.slot] in DRAWN:
                self.curves[BASELINES[event.slot]] = curve

    # ---- rates ---------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Since this process began."""
        return self.clock() - self._began

    @property
    def per_minute(self) -> float | None:
        """Candidates a minute, of late; None before the first."""
        if not self._ends:
            return None
        full = len(self._ends) == WINDOW
        first = self._ends[0] if full else self._told
        return 60 * (len(self._ends) - full) / max(self.clock() - first, 1e-3)

    @property
    def tokens_per_minute(self) -> float:
        """Of models, since this process began to ask."""
        return 60 * self._asked / max(self.clock() - self._told, 1e-3)

    @property
    def cores(self) -> float | None:
        """That programs kept busy until the end of the last round; None where that is not known yet."""
        return self.rounds.cpu_seconds / self._rounds_took if self.rounds and self._rounds_took else None

    @property
    def left(self) -> float | None:
        """Seconds to the end, at this rate and within the limit of time; None where nobody can tell."""
        pace = self.per_minute
        by_pace = 60 * (self.total - self.done) / pace if pace else None
        limits = dict(self.started.limits) if self.started else {}
        if self.started is None or "time" not in limits:
            return by_pace
        by_limit = max(0.0, limits["time"] - self.started.seconds - self.seconds)
        return by_limit if by_pace is None else min(by_pace, by_limit)
