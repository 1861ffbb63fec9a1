"""Recording: full branches of questions, then a probe at each multiple of Δ tokens; all of it goes into a journal."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from autotts.errors import ServerError
from autotts.live.gate import together
from autotts.live.growth import Growth
from autotts.live.journal import Journal, Recorded
from autotts.live.model import Asked, LiveModel
from autotts.live.purse import Purse, most_tokens
from autotts.replay import Question

__all__ = ["Plan", "Tally", "collect", "is_complete"]

TRIES = 5
"""Of a branch that breaks off after it began; one that never begins has been tried for the whole deadline."""

ALONE = 8
"""Probes that are kept for the end and asked one by one, to tell what a probe costs."""


PACED = 256
"""Tokens of a branch alone, at least (or its end): a few come together in one packet, and tell nothing."""


@dataclass(frozen=True)
class Plan:
    """What is recorded.

    Attributes:
        questions: without branches.
        branches: of each question.
        interval: Δ in tokens.
        seed: of branch 0; branch b has seed + b.
        concurrency: requests at a time.
        probing: whether branches are probed.
        max_tokens, probe_tokens: that a branch, and the answer to a probe, may have.
    """

    questions: Sequence[Question]
    branches: int
    interval: int
    seed: int
    concurrency: int
    probing: bool
    max_tokens: int
    probe_tokens: int


@dataclass
class Tally:
    """How far a recording is.

    Attributes:
        branches, all_branches: done, and in all.
        probes, known_probes: done, and of the branches that are done.
        fresh_branches, fresh_probes: done since this process began.
        tokens: of branches, generated since then.
        began: when, on the monotonic clock.
        cost: US dollars at most, None where the price is not known.
    """

    all_branches: int
    branches: int = 0
    probes: int = 0
    known_probes: int = 0
    fresh_branches: int = 0
    fresh_probes: int = 0
    tokens: int = 0
    began: float = 0.0
    cost: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """By the pace so far; None before there is one."""
        spent = time.monotonic() - self.began
        mean = self.known_probes / self.branches if self.branches else 0.0
        left = (self.all_branches - self.branches, mean * self.all_branches - self.probes)
        done = (self.fresh_branches, self.fresh_probes)
        if any(some > 0.5 and not pace for some, pace in zip(left, done, strict=True)):
            return None
        return max((spent * some / pace for some, pace in zip(left, done, strict=True) if pace), default=0.0)


def is_complete(journal: Journal, plan: Plan) -> bool:
    """Whether a journal holds all of a plan, so that nobody need be asked.

    Raises:
        InputError: a question's id stands for another text there.
    """
    for question in plan.questions:
        if not journal.knows(question):
            return False
        for branch in range(plan.branches):
            if not journal.has(question.id, branch):
                return False
            depths = range(1, journal.depth(question.id, branch) + 1 if plan.probing else 1)
            if not all((question.id, branch, k) in journal.probes for k in depths):
                return False
    return True


Watch = Callable[[Tally], None]


async def collect(model: LiveModel, plan: Plan, journal: Journal, purse: Purse, watch: Watch) -> None:
    """Record what the journal lacks of a plan; cancelled, it keeps what has ended.

    Args:
        model: whom.
        plan: what.
        journal: where to.
        purse: of its cost.
        watch: is told how far it is, often.

    Raises:
        ServerError: no answer within the deadline, or a branch that breaks off again and again.
        InputError: the server refuses, or the journal cannot be written.
        LimitReached: the next request may pass the ceiling of cost.
    """
    await _Collector(model, plan, journal, purse, watch).run()


class _Collector:
    def __init__(self, model: LiveModel, plan: Plan, journal: Journal, purse: Purse, watch: Watch) -> None:
        self._model, self._plan, self._journal, self._purse, self._watch = model, plan, journal, purse, watch
        self._branches: deque[tuple[Question, int]] = deque()
        self._probes: deque[tuple[Question, int, int]] = deque()
        self._kept: list[tuple[Question, int, int]] = []
        self._asked: dict[str, asyncio.Task[Asked]] = {}
        self._running = 0  # branches under way, of which probes may come
        self._news = asyncio.Condition()
        self._paced = asyncio.Event()
        self._tally = Tally(len(plan.questions) * plan.branches, began=time.monotonic())

    async def run(self) -> None:
        journal = self._journal
        for question in self._plan.questions:
            journal.add_question(question)
            for branch in range(self._plan.branches):
                if journal.has(question.id, branch):
                    self._tally.branches += 1
                    self._plan_probes(question, branch)
                else:
                    self._branches.append((question, branch))
        alone = journal.pace is None and bool(self._branches) and self._plan.probing
        if not alone:
            self._paced.set()
        self._tell()
        await together([self._work(first=alone and not number) for number in range(self._plan.concurrency)])
        for question, branch, depth in self._kept:
            await self._probe(question, branch, depth, alone=True)

    def _plan_probes(self, question: Question, branch: int) -> None:
        if not self._plan.probing:
            return
        depths = range(1, self._journal.depth(question.id, branch) + 1)
        missing = [k for k in depths if (question.id, branch, k) not in self._journal.probes]
        self._tally.known_probes += len(depths)
        self._tally.probes += len(depths) - len(missing)
        if missing and len(self._kept) + len(self._journal.alone) < ALONE:
            self._kept.append((question, branch, missing.pop(len(missing) // 2)))
        self._probes += [(question, branch, k) for k in missing]

    async def _work(self, first: bool) -> None:
        """Take work until there is none and none can come; probes first, while the server may still know the branch.

        While the first branch comes to its first tokens nothing else is asked: so long does a token take alone.
        """
        if first:
            self._running += 1
            await self._branch(*self._branches.popleft())
        else:
            await self._paced.wait()
        while True:
            async with self._news:
                await self._news.wait_for(lambda: self._probes or self._branches or not self._running)
                probe = self._probes.popleft() if self._probes else None
                branch = self._branches.popleft() if self._branches and not probe else None
                self._running += branch is not None
            if probe:
                await self._probe(*probe)
            elif branch:
                await self._branch(*branch)
            else:
                return

    async def _ask(self, question: Question) -> Asked:
        if question.id not in self._asked:
            self._asked[question.id] = asyncio.create_task(self._model.ask(question.text))
        return await asyncio.shield(self._asked[question.id])

    # ---- a branch ----------------------------------------------------------------------------------------------------

    async def _branch(self, question: Question, branch: int) -> None:
        asked = await self._ask(question)
        prompt_tokens = most_tokens(asked.question, asked.prompt)
        async with self._purse.request(prompt_tokens, self._plan.max_tokens):
            growth = await self._grown(asked, branch, prompt_tokens)
        self._journal.add_branch(question.id, branch, Recorded.of(growth), prompt_tokens)
        self._tally.branches += 1
        self._tally.fresh_branches += 1
        self._plan_probes(question, branch)
        self._tell()
        async with self._news:
            self._running -= 1
            self._news.notify_all()

    async def _grown(self, asked: Asked, branch: int, prompt_tokens: int) -> Growth:
        """A branch to its end; one that breaks off is begun anew, for it must be what its seed gives."""
        for left in reversed(range(TRIES)):
            growth = Growth(self._plan.interval)
            try:
                await self._grow(growth, asked, branch)
            except BaseException as error:
                if growth.total:
                    self._journal.add_lost(growth.total, prompt_tokens)
                    self._purse.pay(prompt_tokens, growth.total)
                if not (growth.total and left and isinstance(error, ServerError)):
                    raise
                continue
            self._purse.pay(prompt_tokens, growth.total)
            break
        return growth

    async def _grow(self, growth: Growth, asked: Asked, branch: int) -> None:
        began: tuple[float, int] | None = None
        async with aclosing(self._model.branch(asked, self._plan.seed + branch)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                before = growth.total
                growth.add(piece)
                self._tally.tokens += growth.total - before
                self._tell()
                if self._paced.is_set():
                    continue
                now = time.monotonic()
                began = began or (now, growth.total)
                if growth.total >= PACED or piece.ended:
                    if growth.total > began[1] and now > began[0]:
                        self._journal.add_pace((now - began[0]) / (growth.total - began[1]))
                    self._paced.set()

    # ---- a probe -----------------------------------------------------------------------------------------------------

    async def _probe(self, question: Question, branch: int, depth: int, alone: bool = False) -> None:
        asked = await self._ask(question)
        recorded = self._journal.branch(question.id, branch)
        prefix = recorded.text[: recorded.cuts[depth - 1]]
        most = most_tokens(asked.question, asked.prompt, prefix)
        async with self._purse.request(most, self._plan.probe_tokens):
            said = await self._model.probe(asked, prefix)
            self._purse.pay(most if said.prompt_tokens is None else said.prompt_tokens, said.tokens)
        self._journal.add_probe(question.id, branch, depth, said, most, alone)
        self._tally.probes += 1
        self._tally.fresh_probes += 1
        self._tell()

    def _tell(self) -> None:
        self._tally.cost = self._purse.spent
        self._watch(self._tally)
