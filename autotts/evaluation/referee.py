"""Host episodes: the host plays the authority that reveals, counts and refuses; the jailed program only asks.

The authority is a process of its own, a *referee*, one a worker: in threads of one interpreter two workers would wait
for each other. It holds the recorded answers without the gold, which stays with the host that scores, and
takes a child's stream over from the host for the length of a shard.
"""

from __future__ import annotations

import json
import os
import socket
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from autotts.errors import OutputLimit, ProgramError
from autotts.evaluation.wire import (
    MAX_BATCH,
    OP_END,
    OP_SIGNAL,
    TOGETHER,
    digest_of,
    numbers_of,
    pack,
    unpack,
    unpack_tables,
)
from autotts.replay.episode import OP_ADVANCE, OP_FINISH, OP_OPEN, OP_PROBE, OP_PRUNE, Episode
from autotts.replay.source import Source, Table, TableSource
from autotts.sandbox import faults
from autotts.sandbox.control import recv_request
from autotts.sandbox.frames import DATA, FAULT, FrameError, Frames

__all__ = ["Play", "Rules", "Shard", "main"]


@dataclass(frozen=True)
class Rules:
    """What the referee and the child must both know of an episode's source.

    Attributes:
        interval: Δ in tokens.
        kappa: κ_probe in tokens.
        max_branches: that may be opened.
        signal_names: that it knows.
        carried: whether a wave's reply has the answers with it, so that looking needs no message; else a program asks
            for each that it looks at.
    """

    interval: int
    kappa: int
    max_branches: int
    signal_names: Sequence[str]
    carried: bool

    @property
    def told(self) -> dict[str, Any]:
        """What the child is told."""
        names = list(self.signal_names)
        return {"interval": self.interval, "kappa_probe": self.kappa, "names": names, "carried": self.carried}


@dataclass(frozen=True)
class _World:
    """An environment as the referee knows it: no gold."""

    tables: list[Table]
    rules: Rules

    def play(self, question: int, seed: int) -> Play:
        """An episode on one of its questions."""
        rules = self.rules
        return Play(TableSource(self.tables[question], seed, rules.interval, rules.max_branches), rules)


class _Ended(Exception):
    """The child's end of the stream is closed, or it told a fault (its bytes)."""

    def __init__(self, fault: bytes = b"") -> None:
        self.fault = fault


class _Line:
    """The lent stream to a child."""

    def __init__(self, fd: int, ahead: bytes, room: int) -> None:
        self._frames = Frames(fd, min(room, MAX_BATCH), ahead)
        self._room = room

    def recv(self) -> list[int]:
        """The child's next message."""
        while True:
            try:
                kind, payload = self._frames.recv()
                break
            except BlockingIOError:
                continue  # the host looks at the clock; it ends the child, and so this wait
            except FrameError as error:
                raise OutputLimit(f"sent {error}") from None
            except (EOFError, ConnectionError):
                raise _Ended from None
        if kind != DATA:
            raise _Ended(payload or b"{}")
        self._room -= len(payload)
        if self._room < 0:
            raise OutputLimit("sent more than it may")
        return unpack(payload)

    def send(self, data: bytes) -> None:
        """Send one message."""
        try:
            self._frames.send(data)
        except OSError:
            # It no longer reads; what it said last tells why.
            while True:
                self.recv()


class Play:
    """One host episode: an ordinary `Episode` on the real source, driven by the child's messages.

    Args:
        source: pays out intervals.
        rules: what the child was told of them.

    Attributes:
        episode: what has happened.
        record: once it has ended: answer, tokens, sequential tokens, branches, digest; all our own figures.
    """

    def __init__(self, source: Source, rules: Rules) -> None:
        self._carried = rules.carried
        self._source = source
        self.episode = Episode(source, rules.interval, rules.kappa)
        self._signal_names = rules.signal_names
        # Ids on the wire number the answers by order of reveal in this episode: a table's own ids would let a
        # program recognise an answer across episodes. 0 stays UNPARSED.
        self._wire: dict[int, int] = {0: 0}
        self._answers: list[int] = [0]
        self.record: tuple[int, ...] = ()

    def act(self, message: list[int]) -> list[int]:
        """Do what a message asks for: any prunes, then one other action; the reply to that."""
        k = 0
        while k + 1 < len(message):
            op, n = message[k], message[k + 1]
            branches = message[k + 2 : k + 2 + n] if n >= 0 else []
            if op != OP_PRUNE:
                return self._other(op, n, branches)
            self.episode.prune(branches)
            k += 2 + len(branches)
        raise OutputLimit("a message to the host ends within an action")

    def _other(self, op: int, n: int, branches: list[int]) -> list[int]:
        """Reply with what an action cost and ended, and with the answers that were paid for."""
        episode, source = self.episode, self._source
        if not n and op != OP_END:
            raise OutputLimit("a message to the host asks for nothing")  # a child that waits would wait for free
        tokens, sequential, ended = episode.tokens, episode.sequential_tokens, len(episode._finished)
        if op == OP_ADVANCE:
            episode.advance(branches)
        elif op == OP_OPEN:
            branches = episode.branches(n)
        elif op == OP_FINISH:
            episode.finish(branches)
        else:
            return self._rare(op, n, branches)
        reply = [episode.tokens - tokens, episode.sequential_tokens - sequential]
        if op == OP_FINISH:
            reply += [source.depths[i] for i in branches]
        else:
            finished = episode.finished_branches[ended:] if len(episode._finished) > ended else []
            reply.append(len(finished))
            reply += finished
        # Where looking is free the answers that were just paid for travel along; otherwise they must be asked for.
        if self._carried:
            wire = self._wire
            reply += [wire[a] if a in wire else self._number(a) for a in source.probe(branches)]
        return reply

    def _rare(self, op: int, n: int, branches: list[int]) -> list[int]:
        episode = self.episode
        if op == OP_END:
            if not -1 <= n < len(self._answers):
                raise OutputLimit("the answer to an episode is not one that the host has revealed")
            answer = -1 if n == -1 else self._answers[n]
            digest = int.from_bytes(digest_of(episode._log, answer), "little", signed=True)
            self.record = (answer, episode.tokens, episode.sequential_tokens, episode._opened, digest)
            return []
        if op == OP_PROBE and not self._carried:
            episode.probe(branches)
            return [self._number(answer) for answer in self._source.probe(branches)]
        if op == OP_SIGNAL and len(branches) == 2 and 0 <= branches[1] < len(self._signal_names):
            branch = branches[0]
            if self._carried and 0 <= branch < episode._opened:
                episode._looked[branch] = self._source.depths[branch]  # its answer came along
            return numbers_of(episode.signal(branch, self._signal_names[branches[1]]))
        raise OutputLimit(f"a message to the host names action {op}, which does not exist here")

    def _number(self, answer: int) -> int:
        number = self._wire.get(answer)
        if number is None:
            number = self._wire[answer] = len(self._answers)
            self._answers.append(answer)
        return number


class Shard:
    """All episodes of a shard; they begin in order and end in any.

    Args:
        begin: makes an episode by its number.
        n: how many there are.
    """

    def __init__(self, begin: Callable[[int], Play], n: int) -> None:
        self._new = begin
        self._begun = 0
        self._plays: dict[int, Play] = {}
        self._records: list[tuple[int, ...]] = [()] * n
        self.left = n

    def batch(self, message: list[int]) -> list[int]:
        """Act on a batch of (episode, length, message…); the replies in the same form, none to an episode that ended.

        Raises:
            ProgramError: an inadmissible action, or not such a batch.
        """
        replies: list[int] = []
        k = 0
        while k < len(message):
            number, body = message[k], message[k + 2 : k + 2 + message[k + 1]] if k + 1 < len(message) else []
            k += 2 + len(body)
            play = self._plays.get(number) or self._begin(number)
            reply = play.act(body)
            if play.record:
                self._records[number] = play.record
                del self._plays[number]
                self.left -= 1
            else:
                replies += (number, len(reply), *reply)
        return replies

    def _begin(self, number: int) -> Play:
        if number != self._begun or number >= len(self._records) or len(self._plays) >= TOGETHER:
            raise OutputLimit(f"a message to the host is about episode {number}, which is not due")
        self._begun += 1
        self._plays[number] = play = self._new(number)
        return play

    def records(self) -> bytes:
        """Of all episodes in order, int64."""
        return array("q", chain.from_iterable(self._records)).tobytes()


def _set_up(frames: Frames) -> list[_World]:
    """The environments: a frame of JSON, then one of tables for each."""
    worlds = []
    for header in json.loads(frames.recv()[1]):
        tables = unpack_tables(frames.recv()[1])
        for table, signals in zip(tables, header.pop("signals"), strict=True):
            table.signals = signals
        worlds.append(_World(tables, Rules(**header)))
    return worlds


def main(descriptor: int, _: Sequence[str]) -> None:
    """Serve shards until the host is gone.

    A request is a shard with the child's stream beside it. It is answered by the records, by a fault (ours, or the
    child's own), or by no records at all: the child has ended.
    """
    control = socket.socket(fileno=descriptor)
    frames = Frames(descriptor)
    worlds = _set_up(frames)
    frames.send(b"ready")  # only then may requests come: they carry descriptors, which a read ahead would lose
    while (received := recv_request(control)) is not None:
        request, fds = received
        try:
            frames.send(_serve(fds[0], request, worlds))
        except ProgramError as error:
            frames.send(faults.encode(error), FAULT)
        except _Ended as ended:
            frames.send(ended.fault, FAULT if ended.fault else DATA)
        finally:
            os.close(fds[0])


def _serve(fd: int, request: dict[str, Any], worlds: Sequence[_World]) -> bytes:
    line = _Line(fd, bytes.fromhex(request["ahead"]), request["room"])
    episodes: list[tuple[int, int, int]] = request["episodes"]

    def begin(number: int) -> Play:
        world, seed, question = episodes[number]
        return worlds[world].play(question, seed)

    shard = Shard(begin, len(episodes))
    while shard.left:
        replies = shard.batch(line.recv())
        if replies:
            line.send(pack(replies))
    return shard.records()
