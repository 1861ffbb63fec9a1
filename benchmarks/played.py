"""What many programs do seed by seed, kept in a folder outside the repository: what screens are simulated from.

Programs come as a search would meet them: the baselines, two runs of the evolution agent that sees full figures of all
that it proposed before, and random assemblies.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autotts.agents import Candidate, Context
from autotts.agents.evolution import EvolutionAgent
from autotts.archive import Point, front
from autotts.evaluation import Evaluator, Program, Protocol, clusters_of, even_betas, shipped
from autotts.evaluation.statistics import Scores, gain_at_matched_tokens, mean_curve
from autotts.replay import Environment
from autotts.search import BASELINES

__all__ = ["BETAS", "Played", "World", "collected"]

BETAS = even_betas(11)
PER_ROUND = 4
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Played:
    """One program: right (0 or 1) and tokens of every episode, shape (seeds, environments, β, questions)."""

    hash: str
    right: Ints
    tokens: Ints


@dataclass(frozen=True)
class World:
    """Programs on the same environments, and the orders in which searches would meet them.

    Attributes:
        name: of the environments.
        programs: by hash.
        streams: hashes in order, one a search; every stream begins with the baselines.
        clusters, units: see `Scores`.
    """

    name: str
    programs: dict[str, Played]
    streams: tuple[tuple[str, ...], ...]
    clusters: Ints
    units: npt.NDArray[np.float64]

    def scores(self, hash_: str, seeds: Sequence[int], betas: Sequence[int]) -> Scores:
        """Means over these seeds (by number) at these β (by place)."""
        played = self.programs[hash_]
        right, tokens = (x[list(seeds)][:, :, list(betas)].mean(axis=0) for x in (played.right, played.tokens))
        return Scores(right, tokens, self.clusters, self.units)


class _Player:
    """Plays programs in the sandbox, or takes what a folder holds of them."""

    def __init__(self, environments: Sequence[Environment], n_seeds: int, cache: Path) -> None:
        key = "/".join([*(e.hash for e in environments), f"{len(BETAS)}"])
        self._folder = cache / hashlib.sha256(key.encode()).hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._environments, self._n_seeds = environments, n_seeds
        self._evaluator = Evaluator(environments, workers=1)
        self.known: dict[str, Played] = {}

    def play(self, program: Program) -> Played:
        if program.hash not in self.known:
            found = [self._seed(program, seed) for seed in range(self._n_seeds)]
            right, tokens = (np.stack(x) for x in zip(*found, strict=True))
            self.known[program.hash] = Played(program.hash, right, tokens)
        return self.known[program.hash]

    def _seed(self, program: Program, seed: int) -> tuple[Ints, Ints]:
        path = self._folder / f"{program.hash[:20]}-{seed}.npz"
        if path.exists():
            with np.load(path) as kept:
                return kept["right"].astype(np.int64), kept["tokens"].astype(np.int64)
        results = self._evaluator.run(program, Protocol(BETAS, (seed,)))
        right, tokens = (np.stack([getattr(r, name) for r in results]) for name in ("right", "tokens"))
        np.savez_compressed(path, right=right.astype(np.int8), tokens=tokens.astype(np.int32))
        return right, tokens

    def close(self) -> None:
        self._evaluator.close()


def collected(
    name: str, environments: Sequence[Environment], n_seeds: int, lengths: Sequence[tuple[bool, int]], cache: Path
) -> World:
    """Play everything, or take it from the cache.

    Args:
        name: of the environments, all with as many questions.
        environments: what programs are played on.
        n_seeds: episode seeds.
        lengths: for each search whether it draws at random, and how many programs it meets after the baselines.
        cache: folder that keeps what was played.
    """
    player = _Player(environments, n_seeds, cache)
    clusters, units = clusters_of(environments), np.array([e.sc64_tokens for e in environments])
    world = World(name, player.known, (), clusters, units)
    streams = []
    for number, (at_random, length) in enumerate(lengths):
        streams.append(tuple(_stream(player, world, number, at_random, length)))
        print(f"{name}: stream {number}, {len(player.known)} programs", flush=True)
    player.close()
    return World(name, player.known, tuple(streams), clusters, units)


def _stream(player: _Player, world: World, number: int, at_random: bool, length: int) -> Iterator[str]:
    """The programs of one search that evaluates everything fully."""
    seeds, places = range(len(player.play(shipped("cmc")).right)), range(len(BETAS))
    agent, told, points = EvolutionAgent(random_only=at_random), list[Candidate](), list[Point]()
    for baseline in BASELINES:
        yield player.play(shipped(baseline)).hash
    reference = world.scores(shipped("cmc").hash, seeds, places)
    visible: tuple[Candidate, ...] = ()
    for k in range(length):
        round_, slot = 1 + k // PER_ROUND, k % PER_ROUND
        if slot == 0:
            visible = tuple(told)
        holders = {p.id for p in front(points)}
        rng = random.Random(f"{number}/{round_}/{slot}")
        parents = [c for c in visible if c.id in holders]
        chosen = tuple(rng.sample(parents, min(2, len(parents))))
        proposal = agent.propose(Context(round_, slot, visible, chosen), rng)
        program = Program.from_source(proposal.source, trusted=True)
        if any(program.source == c.source for c in told):
            continue
        player.play(program)
        scores = world.scores(program.hash, seeds, places)
        gain = gain_at_matched_tokens(scores, reference, resamples=100)
        accuracy, tokens = mean_curve(scores.accuracy, scores.tokens, np.ones(len(world.units)))
        points += [Point(program.id, *p) for p in zip(BETAS, tokens.tolist(), accuracy.tolist(), strict=True)]
        given = program.id, program.source, program.idea, agent.name, proposal.answer, "ok", gain.value, gain.se
        told.append(Candidate(*given, False, round_, slot, proposal.parents))
        yield program.hash
