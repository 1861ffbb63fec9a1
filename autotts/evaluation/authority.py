"""Host episodes: the host plays the authority that reveals, counts and refuses; the jailed program only asks."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autotts.errors import OutputLimit
from autotts.evaluation.child import digest_of
from autotts.evaluation.wire import OP_END, OP_SIGNAL, RECORD, pack, unpack
from autotts.replay import Environment
from autotts.replay.episode import OP_ADVANCE, OP_FINISH, OP_OPEN, OP_PROBE, OP_PRUNE, Episode, Table, TableSource
from autotts.sandbox import Child

__all__ = ["serve_episodes"]


def serve_episodes(
    child: Child,
    environment: Environment,
    tables: Sequence[Table],
    betas: Sequence[float],
    seeds: Sequence[int],
    signal_names: Sequence[str],
) -> NDArray[np.int64]:
    """Serve every episode of a shard, in the order that both sides know.

    Returns:
        Records of shape (β, seeds, questions, RECORD), all of them the host's own figures.

    Raises:
        ProgramError: an inadmissible action, a malformed message, or the child's end.
    """
    records = np.empty((len(betas), len(seeds), len(tables), RECORD), dtype=np.int64)
    for b in range(len(betas)):
        for s, seed in enumerate(seeds):
            for q, table in enumerate(tables):
                records[b, s, q] = _Authority(child, environment, table, seed, signal_names).serve()
    return records


class _Ledger(TableSource):
    """A table source that keeps what the last wave cost, for the reply."""

    __slots__ = ("paid_out",)

    def open(self, first: int, n: int) -> list[tuple[int, bool]]:
        self.paid_out = super().open(first, n)
        return self.paid_out

    def advance(self, branches: Sequence[int]) -> list[tuple[int, bool]]:
        self.paid_out = super().advance(branches)
        return self.paid_out

    def finish(self, branches: Sequence[int]) -> list[int]:
        costs = super().finish(branches)
        self.paid_out = [(cost, True) for cost in costs]
        return costs


class _Authority:
    """One host episode: an ordinary `Episode` on the real table, driven by the child's messages."""

    def __init__(
        self, child: Child, environment: Environment, table: Table, seed: int, signal_names: Sequence[str]
    ) -> None:
        self._child = child
        self._kappa = environment.kappa_probe
        self._source = _Ledger(table, seed, environment.interval, environment.max_branches)
        self._episode = Episode(self._source, environment.interval, environment.kappa_probe)
        self._signal_names = signal_names
        # Ids on the wire number the answers by order of reveal in this episode: a table's own ids would let a
        # program recognise an answer across episodes. 0 stays UNPARSED.
        self._wire: dict[int, int] = {0: 0}
        self._answers: list[int] = [0]

    def serve(self) -> tuple[int, int, int, int, int]:
        """Serve until the episode ends; (answer, tokens, sequential tokens, branches, digest)."""
        episode = self._episode
        while True:
            message = unpack(self._child.recv())
            k = 0
            while k < len(message):
                op = message[k]
                if op == OP_END:
                    answer = self._answer(message[k + 1 :])
                    digest = int.from_bytes(digest_of(episode._log, answer), "little", signed=True)
                    return answer, episode.tokens, episode.sequential_tokens, len(episode._state), digest
                if op == OP_SIGNAL:
                    self._send_signal(message[k + 1 : k + 3])
                    break
                if k + 1 >= len(message) or not 0 <= (n := message[k + 1]) <= 1 << 16:
                    raise OutputLimit("a message to the host ends within an action")
                branches = message[k + 2 : k + 2 + n]
                k += 2 + (n if op != OP_OPEN else 0)
                if op == OP_PRUNE:
                    episode.prune(branches)
                else:
                    self._act(op, n, branches)

    def _act(self, op: int, n: int, branches: list[int]) -> None:
        episode, source = self._episode, self._source
        if op == OP_ADVANCE:
            episode.advance(branches)
        elif op == OP_OPEN:
            branches = episode.branches(n)
        elif op == OP_FINISH:
            episode.finish(branches)
        elif op == OP_PROBE and self._kappa:
            episode.probe(branches)
            self._child.send(pack([self._number(a) for a in source.probe(branches)]))
            return
        else:
            raise OutputLimit(f"a message to the host names action {op}, which does not exist")
        # At κ_probe = 0 the answers that were just paid for travel with the costs; otherwise they must be bought.
        answers = [0] * len(branches) if self._kappa else [self._number(a) for a in source.probe(branches)]
        reply: list[int] = []
        finishing = op == OP_FINISH
        for i, (cost, end), answer in zip(branches, source.paid_out, answers, strict=True):
            reply += (cost, source.depth(i) if finishing else int(end), answer)
        self._child.send(pack(reply))

    def _number(self, answer: int) -> int:
        number = self._wire.get(answer)
        if number is None:
            number = self._wire[answer] = len(self._answers)
            self._answers.append(answer)
        return number

    def _answer(self, rest: list[int]) -> int:
        if len(rest) != 1 or not -1 <= rest[0] < len(self._answers):
            raise OutputLimit("the answer to an episode is not one that the host has revealed")
        return -1 if rest[0] == -1 else self._answers[rest[0]]

    def _send_signal(self, rest: list[int]) -> None:
        branch, name = (*rest, -1, -1)[:2]
        if not 0 <= name < len(self._signal_names):
            raise OutputLimit("a message to the host names a signal that does not exist")
        value = self._episode.signal(branch, self._signal_names[name])
        self._child.send(json.dumps(value).encode())
