"""Host episodes, the child's side: every interval is asked for, and nothing unrevealed is on this side of the pipe.

Many episodes are in progress at a time, each on a stack of its own (a greenlet): one that asks is set aside, and when
all have asked, their messages travel together. A switch between two processes costs as much as several waves' work
(cold caches more than the switch itself), and so it is paid once for a batch of waves instead of at each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from greenlet import getcurrent, greenlet

from autotts.evaluation.wire import OP_END, OP_SIGNAL, TOGETHER, episode_words, float_of, pack, unpack
from autotts.replay.episode import OP_ADVANCE, OP_FINISH, OP_OPEN, OP_PROBE, OP_PRUNE, Episode
from autotts.replay.source import Paid
from autotts.sandbox.jail import Channel

__all__ = ["host_episodes"]

Knobs = dict[str, float]
Solve = Callable[[Episode, Knobs], int]


def host_episodes(channel: Channel, job: dict[str, Any], schedule: Knobs, solve: Solve) -> None:
    """Play all host episodes of a shard; the host keeps the figures."""
    due = _episodes(job, schedule, solve)
    running: dict[int, tuple[str, greenlet]] = {}
    outbox: list[int] = []

    def resume(number: int, reply: list[int] | None) -> None:
        channel.context, task = running[number]
        message = task.switch() if reply is None else task.switch(reply)
        outbox.extend((number, len(message), *message))
        if task.dead:
            del running[number]

    while True:
        for number, context, task in due if len(running) < TOGETHER else ():
            running[number] = context, task
            resume(number, None)
            if len(running) >= TOGETHER:
                break
        if not outbox:
            return
        channel.send(pack(outbox))
        outbox.clear()
        if running:
            for number, reply in _parts(unpack(channel.recv())):
                resume(number, reply)


def _episodes(job: dict[str, Any], schedule: Knobs, solve: Solve) -> Iterator[tuple[int, str, greenlet]]:
    """Number, place in words, and task of every episode; which question it is, the host keeps to itself."""
    for number, (world, n_branches) in enumerate(job["episodes"]):
        yield number, episode_words(number), greenlet(_episode(job["worlds"][world], n_branches, schedule, solve))


def _episode(world: dict[str, Any], n_branches: int, knobs: Knobs, solve: Solve) -> Callable[[], list[int]]:
    """An episode as a task: it asks by switching to whoever resumed it, and returns its last message."""
    source = HostSource(n_branches, world["names"], world["carried"])
    return lambda: source.last_message(solve(Episode(source, world["interval"], world["kappa_probe"]), knobs))


def _parts(message: list[int]) -> Iterator[tuple[int, list[int]]]:
    """(episode, body) of everything in a batch."""
    k = 0
    while k < len(message):
        number, size = message[k], message[k + 1]
        yield number, message[k + 2 : k + 2 + size]
        k += 2 + size


class HostSource:
    """Asks the host for every interval: one message a wave.

    Where answers are carried, the reply has those at the depths just paid for, so that looking costs no message.
    Prunes have no reply and travel with the next message.
    """

    __slots__ = ("_answers", "_carried", "_names", "_pending", "depths", "limit")

    def __init__(self, limit: int, names: list[str], carried: bool) -> None:
        self._carried = carried
        self._names = names
        self._answers: list[int] = []
        self._pending: list[int] = []
        self.depths: list[int] = []
        self.limit = limit

    def _ask(self, message: list[int]) -> list[int]:
        if self._pending:
            message = self._pending + message
            self._pending = []
        reply: list[int] = getcurrent().parent.switch(message)
        return reply

    def open(self, first: int, n: int) -> Paid:
        """Open branches."""
        tokens, longest, ended, *rest = self._ask([OP_OPEN, n])
        self.depths += [1] * n
        self._answers += rest[ended:]
        return tokens, longest, rest[:ended]

    def advance(self, branches: Sequence[int]) -> Paid:
        """One more interval of each."""
        reply = self._ask([OP_ADVANCE, len(branches), *branches])
        ended = 3 + reply[2]
        depths = self.depths
        for i in branches:
            depths[i] += 1
        self._keep(branches, reply[ended:])
        return reply[0], reply[1], reply[3:ended]

    def finish(self, branches: Sequence[int]) -> Paid:
        """Run each to its end."""
        reply = self._ask([OP_FINISH, len(branches), *branches])
        after = 2 + len(branches)
        for i, depth in zip(branches, reply[2:after], strict=True):
            self.depths[i] = depth
        self._keep(branches, reply[after:])
        return reply[0], reply[1], branches

    def _keep(self, branches: Sequence[int], answers: list[int]) -> None:
        """The answers that came along, if any do."""
        kept = self._answers
        for i, answer in zip(branches, answers, strict=self._carried):
            kept[i] = answer

    def probe(self, branches: Sequence[int]) -> list[int]:
        """The answer at the current depth: asked for where it was not carried."""
        if not self._carried:
            return self._ask([OP_PROBE, len(branches), *branches])
        answers = self._answers
        return [answers[i] for i in branches]

    def prune(self, branches: Sequence[int]) -> None:
        """Tell with the next message."""
        self._pending += [OP_PRUNE, len(branches), *branches]

    def signal(self, branch: int, name: str) -> float | None:
        """Ask the host, where such a signal was recorded at all."""
        if name not in self._names:
            return None
        return float_of(self._ask([OP_SIGNAL, 2, branch, self._names.index(name)]))

    def last_message(self, answer: int) -> list[int]:
        """What ends the episode."""
        return [*self._pending, OP_END, answer]
