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
from collections.abc import Sequence
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
from autotts.replay.source import Table, TableSource
from autotts.sandbox import faults
from autotts.sandbox.control import recv_request
from autotts.sandbox.frames import DATA, FAULT, FrameError, Frames

__all__ = ["main"]


@dataclass(frozen=True)
class _World:
    """An environment as the referee knows it: no gold."""

    tables: list[Table]
    interval: int
    kappa: int
    max_branches: int
    signal_names: list[str]


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


class _Play:
    """One host episode: an ordinary `Episode` on the real table, driven by the child's messages.

    Attributes:
        record: once it has ended: answer, tokens, sequential tokens, branches, digest; all our own figures.
    """

    def __init__(self, world: _World, table: Table, seed: int) -> None:
        self._kappa = world.kappa
        self._source = TableSource(table, seed, world.interval, world.max_branches)
        self._episode = Episode(self._source, world.interval, world.kappa)
        self._signal_names = world.signal_names
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
            self._episode.prune(branches)
            k += 2 + len(branches)
        raise OutputLimit("a message to the host ends within an action")

    def _other(self, op: int, n: int, branches: list[int]) -> list[int]:
        """Reply with what an action cost and ended, and with the answers that were paid for."""
        episode, source = self._episode, self._source
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
        # At κ_probe = 0 the answers that were just paid for travel along; otherwise they must be bought.
        if not self._kappa:
            wire = self._wire
            reply += [wire[a] if a in wire else self._number(a) for a in source.probe(branches)]
        return reply

    def _rare(self, op: int, n: int, branches: list[int]) -> list[int]:
        episode = self._episode
        if op == OP_END:
            if not -1 <= n < len(self._answers):
                raise OutputLimit("the answer to an episode is not one that the host has revealed")
            answer = -1 if n == -1 else self._answers[n]
            digest = int.from_bytes(digest_of(episode._log, answer), "little", signed=True)
            self.record = (answer, episode.tokens, episode.sequential_tokens, episode._opened, digest)
            return []
        if op == OP_PROBE and self._kappa:
            episode.probe(branches)
            return [self._number(answer) for answer in self._source.probe(branches)]
        if op == OP_SIGNAL and len(branches) == 2 and 0 <= branches[1] < len(self._signal_names):
            return numbers_of(episode.signal(branches[0], self._signal_names[branches[1]]))
        raise OutputLimit(f"a message to the host names action {op}, which does not exist here")

    def _number(self, answer: int) -> int:
        number = self._wire.get(answer)
        if number is None:
            number = self._wire[answer] = len(self._answers)
            self._answers.append(answer)
        return number


class _Shard:
    """All episodes of a shard, (world, seed, question) each; they begin in order and end in any."""

    def __init__(self, worlds: Sequence[_World], episodes: Sequence[Sequence[int]]) -> None:
        self._worlds = worlds
        self._episodes = episodes
        self._begun = 0
        self._plays: dict[int, _Play] = {}
        self._records: list[tuple[int, ...]] = [()] * len(episodes)
        self.left = len(self._records)

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

    def _begin(self, number: int) -> _Play:
        if number != self._begun or number >= len(self._records) or len(self._plays) >= TOGETHER:
            raise OutputLimit(f"a message to the host is about episode {number}, which is not due")
        world, seed, question = self._episodes[number]
        self._begun += 1
        played = self._worlds[world]
        self._plays[number] = play = _Play(played, played.tables[question], seed)
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
        worlds.append(_World(tables, **header))
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
    shard = _Shard(worlds, request["episodes"])
    while shard.left:
        replies = shard.batch(line.recv())
        if replies:
            line.send(pack(replies))
    return shard.records()
