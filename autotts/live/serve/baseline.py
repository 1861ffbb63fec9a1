"""What a controller does on the environment that β was calibrated on: what requests are compared with.

Its episodes are played as live ones are: the program asks for each answer that it looks at, so that votes are counted
alike in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autotts.evaluation import Program, Protocol
from autotts.evaluation.jails import Jails
from autotts.evaluation.referee import Play, Shard
from autotts.evaluation.shards import Prepared, Work, knobs_of
from autotts.evaluation.wire import MAX_BATCH, MAX_SCHEDULE, pack, unpack
from autotts.live.serve.drift import measures_of
from autotts.replay import Environment
from autotts.replay.source import UNPARSED_ID, Table, TableSource
from autotts.sandbox import Limits, SandboxFactory

__all__ = ["SEEDS", "episodes_of"]

SEEDS = 16
"""Episodes of each question."""

SECONDS = 0.05
"""CPU time that an episode may take."""


class _Looked(TableSource):
    """Remembers the last answer of each branch that was looked at."""

    def __init__(self, table: Table, seed: int, interval: int, limit: int) -> None:
        super().__init__(table, seed, interval, limit)
        self.last: dict[int, int] = {}

    def probe(self, branches: Sequence[int]) -> list[int]:
        """See `TableSource`."""
        found = super().probe(branches)
        self.last.update(zip(branches, found, strict=True))
        return found


def episodes_of(
    program: Program,
    environments: Sequence[Environment],
    beta: float,
    *,
    sandbox: SandboxFactory,
    reduced: bool,
    notice: Callable[[str], None],
    seeds: int = SEEDS,
) -> NDArray[np.float64]:
    """The measures of `drift` in each episode, of shape (questions, seeds, measures).

    Args:
        program: the controller.
        environments: that β was calibrated on; their questions are put together.
        beta: at which it is played.
        sandbox, reduced, notice: see `autotts.evaluation.Evaluator`.
        seeds: episodes of each question: seeds 0 … seeds − 1.

    Raises:
        InputError: see `Evaluator.admit`.
        ProgramError: the controller fails there.
    """
    jails = Jails(sandbox, reduced, notice)
    try:
        jails.admit(program.trusted)
        worlds = [Prepared.of(environment) for environment in environments]
        parts = [
            np.stack([_played(jails, program, one, beta, seed) for seed in range(seeds)], axis=1) for one in worlds
        ]
        return np.concatenate(parts)
    finally:
        jails.close()


def _played(jails: Jails, program: Program, prepared: Prepared, beta: float, seed: int) -> NDArray[np.float64]:
    """One episode of each question, of shape (questions, measures); a process sees no question twice."""
    environment, tables = prepared.environment, prepared.tables
    rules = replace(prepared.rules, carried=False)
    sources = [_Looked(table, seed, environment.interval, environment.max_branches) for table in tables]
    plays = [Play(source, rules) for source in sources]
    shard = Shard(plays.__getitem__, len(plays))
    work = Work(program, Protocol((beta,), (seed,)))
    seconds = 5 + SECONDS * len(plays)
    with jails.spawn(program, Limits(seconds, 4 * seconds)) as child:
        episodes = [(0, int(n)) for n in prepared.n_branches]
        work.compiled(child, work.job([beta], mode="host", worlds=[rules.told], episodes=episodes))
        knobs_of(child.recv(MAX_SCHEDULE), 1)
        while shard.left:
            if replies := shard.batch(unpack(child.recv(MAX_BATCH))):
                child.send(pack(replies))
    return np.array([_measures(play, source) for play, source in zip(plays, sources, strict=True)])


def _measures(play: Play, source: _Looked) -> tuple[float, ...]:
    answer, tokens, _, branches, _ = play.record
    votes = Counter(found for found in source.last.values() if found != UNPARSED_ID)
    given = answer > UNPARSED_ID and votes.total()
    return measures_of(votes[answer] / votes.total() if given else None, tokens, branches)
