"""A model server behind an episode: the third source, beside the table and the host's pipe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from autotts.live.branch import LiveBranch
from autotts.live.gate import together
from autotts.live.growth import mean
from autotts.live.model import Asked, LiveModel, Said
from autotts.replay import UNPARSED
from autotts.replay.source import UNPARSED_ID, Paid

__all__ = ["SIGNALS", "LiveSource", "Look", "Meter", "Over", "Reader", "Step", "Watch"]

T = TypeVar("T")

SIGNALS = ("entropy", "logprob", "probe_logprob")
"""Signals that a server may give, by the names that recordings have them under."""

_TO_THE_END = float("inf")


class Reader(Protocol):
    """Reads answers; called from the threads of several episodes."""

    def probe(self, said: Said) -> str:
        """The answer to a probe as it is written, UNPARSED where there is none."""
        ...

    def final(self, text: str) -> str:
        """The answer of a whole branch as it is written, UNPARSED where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a branch at a depth.

    Attributes:
        depth: in intervals.
        answer: its id.
        finished: whether the branch was at its end.
        said: what the model said to a probe, None at the end.
    """

    depth: int
    answer: int
    finished: bool
    said: Said | None


@dataclass(frozen=True, slots=True)
class Step:
    """What a branch has just done, for a display.

    Attributes:
        what: "grown" is a stream that went on; the others are actions, when they are done.
        wave: the number of the action; those of one wave are told one after the other.
        branch: its number.
        depth: intervals that were paid for.
        tokens: of the branch that are there, read ahead or not.
        answer: that a probe gave, as the first that means the same was written; None for other steps.
        spent: tokens of the episode so far.
    """

    what: Literal["opened", "grown", "advanced", "finished", "pruned", "probed"]
    wave: int
    branch: int
    depth: int
    tokens: int
    answer: str | None
    spent: int


Watch = Callable[[Step], None]


@dataclass
class Meter:
    """What an episode has cost.

    Attributes:
        tokens, sequential_tokens: by the rules of the decision process (docs/mdp.md).
        probes: requests that asked for an answer.
        probe_tokens, prompt_tokens: that these made, and that the server read for them, where it tells.
    """

    tokens: int = 0
    sequential_tokens: int = 0
    probes: int = 0
    probe_tokens: int = 0
    prompt_tokens: int = 0


class Over(Exception):
    """The episode was ended from outside: "tokens" or "seconds" for a limit, "closed" for somebody who left."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class LiveSource:
    """Pays out intervals of branches that a server streams; see `Source` for what an episode asks of it.

    Everything that an episode asks is asked from a thread of its own and waits there; all else happens on the event
    loop of the model. A wave is one batch: its branches run at the same time.

    Args:
        model, asked: who is asked, and what.
        reader: reads answers out of texts.
        same: an answer to its canonical form (`autotts.replay.get_equivalence`).
        interval: Δ in tokens.
        limit: branches that may be opened.
        kappa: κ_probe in tokens.
        seeds: the request seed of a branch.
        ahead: see `LiveBranch`; None for Δ.
        most_tokens: what would pass that many tokens ends the episode.
        watch: told what branches do, on the event loop.

    Attributes:
        depths: see `Source`.
        branches: in the order of opening.
        looks: what was seen of each.
        written: how each answer id was written when it was first seen.
        meter: what was spent.
    """

    def __init__(
        self,
        model: LiveModel,
        asked: Asked,
        reader: Reader,
        same: Callable[[str], str],
        interval: int,
        limit: int,
        *,
        kappa: int = 0,
        seeds: Callable[[int], int] = lambda branch: branch,
        ahead: int | None = None,
        most_tokens: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.limit = limit
        self.depths: list[int] = []
        self.branches: list[LiveBranch] = []
        self.looks: list[list[Look]] = []
        self.written = [UNPARSED]
        self.meter = Meter()
        self._loop = asyncio.get_running_loop()
        self._model, self._asked, self._reader, self._same = model, asked, reader, same
        self._interval, self._kappa, self._seeds = interval, kappa, seeds
        self._ahead = interval if ahead is None else ahead
        self._most = most_tokens
        self._watch = watch
        self._waves = 0
        self._paid: list[int] = []  # tokens of each branch that were paid for
        self._ids: dict[str, int] = {UNPARSED: UNPARSED_ID}
        self._wave: dict[int, float] = {}  # each branch of the wave: the depth that it is on its way to,
        self._cost: dict[int, int] = {}  # tokens that this has cost by now,
        self._spent = 0  # and what it has cost all of them
        self._asking: asyncio.Task[Any] | None = None
        self._over: Over | None = None

    # ---- what an episode asks, from its thread -----------------------------------------------------------------

    def open(self, first: int, n: int) -> Paid:
        """Open branches, each through its first interval."""
        return self._do(self._grow(range(first, first + n), "opened"))

    def advance(self, branches: Sequence[int]) -> Paid:
        """One more interval of each."""
        return self._do(self._grow(branches, "advanced"))

    def finish(self, branches: Sequence[int]) -> Paid:
        """Run each to its end."""
        return self._do(self._grow(branches, "finished"))

    def probe(self, branches: Sequence[int]) -> list[int]:
        """The answer id of each at its current depth; one request for each that was not looked at there."""
        fresh = [i for i in branches if not self.looks[i] or self.looks[i][-1].depth != self.depths[i]]
        if fresh:
            self._look(fresh)
        return [self.looks[i][-1].answer for i in branches]

    def prune(self, branches: Sequence[int]) -> None:
        """Close the streams."""
        self._waves += 1
        for i in branches:
            self._loop.call_soon_threadsafe(self._drop, i, self._waves)

    def signal(self, branch: int, name: str) -> float | None:
        """A mean over the interval at the current depth, or over the tokens of the last probe's answer."""
        if name != "probe_logprob":
            return self._do(self._mean(branch, name))
        said = self.looks[branch][-1].said if self.looks[branch] else None
        return None if said is None else mean([token.logprob for token in said.scores])

    # ---- what others ask, on the event loop --------------------------------------------------------------------

    def end(self, why: str) -> None:
        """End the episode from outside, and all streams: what it waits for, and asks for next, raises `Over`."""
        if self._over is None:
            self._over = Over(why)
            for branch in self.branches:
                branch.cancel()
            if self._asking is not None:
                self._asking.cancel()

    async def close(self) -> None:
        """End all streams, and wait until they are closed."""
        self.end("closed")
        await asyncio.gather(*(branch.close() for branch in self.branches))

    @property
    def generated(self) -> int:
        """Tokens of branches that the server made, read ahead or not."""
        return sum(branch.growth.total for branch in self.branches)

    # ---- waves -------------------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(self._guarded(work), self._loop).result()

    async def _guarded(self, work: Coroutine[Any, Any, T]) -> T:
        if self._over is not None:
            work.close()
            raise self._over
        self._asking = asyncio.current_task()
        try:
            return await work
        except asyncio.CancelledError:
            if self._over is not None:
                raise self._over from None
            raise
        finally:
            self._asking = None

    async def _grow(self, wave: Sequence[int], what: Literal["opened", "advanced", "finished"]) -> Paid:
        self._waves += 1
        if what == "opened":
            self._open(wave)
        branches = self.branches
        self._cost, self._spent = dict.fromkeys(wave, 0), 0
        self._wave = {i: _TO_THE_END if what == "finished" else self.depths[i] + 1 for i in wave}
        for i in wave:
            self._count(i)
        works = [branches[i].reach(depth) for i, depth in self._wave.items()]
        await together(works)
        for i, depth in self._wave.items():
            growth = branches[i].growth
            self.depths[i] = int(min(depth, growth.depth))
            self._paid[i] = growth.tokens(self.depths[i])
        finished = [i for i in wave if branches[i].growth.ended and self.depths[i] == branches[i].growth.depth]
        spent, longest = self._spent, max(self._cost.values())
        self._wave, self._spent = {}, 0
        self.meter.tokens += spent
        self.meter.sequential_tokens += longest
        for i in wave:
            self._tell("finished" if i in finished else what, i)
        return spent, longest, finished

    def _open(self, wave: Sequence[int]) -> None:
        for i in wave:
            opens = partial(self._model.branch, self._asked, self._seeds(i))
            self.branches.append(LiveBranch(opens, self._interval, self._ahead, partial(self._grown, i)))
            self.depths.append(0)
            self.looks.append([])
            self._paid.append(0)

    def _grown(self, i: int) -> None:
        """A stream went on."""
        self._count(i)
        self._tell("grown", i)

    def _count(self, i: int) -> None:
        """Count what a branch of the wave has cost by now; the first token that is too much ends the episode."""
        depth = self._wave.get(i)
        if depth is None:
            return
        cost = self.branches[i].growth.tokens(depth) - self._paid[i]
        self._spent += cost - self._cost[i]
        self._cost[i] = cost
        self._afford(self._spent)

    def _afford(self, tokens: int) -> None:
        if self._most is not None and self.meter.tokens + tokens > self._most:
            self.end("tokens")

    def _drop(self, i: int, wave: int) -> None:
        self.branches[i].cancel()
        self._tell("pruned", i, wave=wave)

    # ---- looks -------------------------------------------------------------------------------------------------

    def _look(self, fresh: Sequence[int]) -> None:
        self._waves += 1
        for i, (text, said) in zip(fresh, self._do(self._texts(fresh)), strict=True):
            if self._over is not None:  # reading takes its time, and who left waits for it
                raise self._over
            answer = self._reader.final(text) if said is None else self._reader.probe(said)
            look = Look(self.depths[i], self._number(answer), said is None, said)
            self.looks[i].append(look)
            if self._watch is not None:
                self._loop.call_soon_threadsafe(self._tell, "probed", i, self.written[look.answer], self._waves)

    async def _texts(self, fresh: Sequence[int]) -> list[tuple[str, Said | None]]:
        """The whole text of each that has finished; what the model says to the text so far of each that has not."""
        cost = self._kappa * len(fresh)
        self._afford(cost)
        if self._over is not None:
            raise self._over
        said = await together([self._ask(i) for i in fresh])
        self.meter.tokens += cost
        self.meter.sequential_tokens += self._kappa
        return [(self.branches[i].growth.text if one is None else "", one) for i, one in zip(fresh, said, strict=True)]

    async def _ask(self, i: int) -> Said | None:
        """What the model says to the text of a branch so far, None at its end."""
        growth, depth = self.branches[i].growth, self.depths[i]
        if growth.ended and depth == growth.depth:
            return None
        said = await self._model.probe(self._asked, growth.prefix(depth))
        self.meter.probes += 1
        self.meter.probe_tokens += said.tokens
        self.meter.prompt_tokens += said.prompt_tokens or 0
        return said

    def _number(self, answer: str) -> int:
        form = UNPARSED if answer == UNPARSED else self._same(answer)
        number = self._ids.setdefault(form, len(self.written))
        if number == len(self.written):
            self.written.append(answer)
        return number

    async def _mean(self, branch: int, name: str) -> float | None:
        tokens = self.branches[branch].growth.scores(self.depths[branch])
        return mean([token.logprob if name == "logprob" else token.entropy for token in tokens])

    def _tell(self, what: Any, i: int, answer: str | None = None, wave: int = 0) -> None:
        if self._watch is not None:
            growth = self.branches[i].growth
            self._watch(
                Step(
                    what, wave or self._waves, i, self.depths[i], growth.total, answer, self.meter.tokens + self._spent
                )
            )
