"""What a program did on an environment: sums over seeds, scored on the host, and whether two runs agree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotts.evaluation.protocol import Protocol

__all__ = ["EnvironmentResult", "digest_of_row", "disagreement", "joined", "scored"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class EnvironmentResult:
    """What a program did on one environment.

    Attributes:
        right, tokens, sequential_tokens, branches: sums over seeds, int64 of shape (β, questions).
        digests: 8 bytes for each (β, seed), shape (β, seeds), standing for every action of its episodes.
        knobs: the schedule's values at each β, overrides applied.
        n_seeds: seeds that were summed over.
    """

    right: Ints
    tokens: Ints
    sequential_tokens: Ints
    branches: Ints
    digests: NDArray[np.uint64]
    knobs: tuple[dict[str, float], ...]
    n_seeds: int


def scored(blocks: Ints, gold: Ints, knobs: tuple[dict[str, float], ...], n_seeds: int) -> EnvironmentResult:
    """Score records of shape (β, seeds, questions, RECORD) against the gold ids of shape (questions,)."""
    answer, tokens, sequential, branches, digest = np.moveaxis(blocks, -1, 0)
    right = (answer == gold[None, None, :]) & (answer >= 0)
    digests = np.array(
        [[digest_of_row(row) for row in per_seed] for per_seed in np.ascontiguousarray(digest)], dtype=np.uint64
    )
    return EnvironmentResult(
        right.sum(axis=1), tokens.sum(axis=1), sequential.sum(axis=1), branches.sum(axis=1), digests, knobs, n_seeds
    )


def digest_of_row(digests: Ints) -> int:
    """What stands for all episodes of one (β, seed), from the digests of its questions."""
    return int.from_bytes(hashlib.blake2b(digests.tobytes(), digest_size=8).digest(), "little")


def joined(parts: Sequence[tuple[Sequence[int], EnvironmentResult]]) -> EnvironmentResult:
    """Put parts of the β of one environment together: (places of the part's β, its result)."""
    results = [result for _, result in parts]
    order = np.argsort([place for places, _ in parts for place in places])

    def together(name: str) -> Any:
        return np.concatenate([getattr(result, name) for result in results])[order]

    knobs = [knob for result in results for knob in result.knobs]
    return EnvironmentResult(
        together("right"),
        together("tokens"),
        together("sequential_tokens"),
        together("branches"),
        together("digests"),
        tuple(knobs[k] for k in order),
        results[0].n_seeds,
    )


def disagreement(
    first: Sequence[EnvironmentResult],
    first_protocol: Protocol,
    second: Sequence[EnvironmentResult],
    second_protocol: Protocol,
) -> str | None:
    """Where two evaluations took different actions on the same episodes; None where they agree."""
    betas = [b for b in first_protocol.betas if b in second_protocol.betas]
    seeds = [s for s in first_protocol.seeds if s in second_protocol.seeds]
    for e, (a, b) in enumerate(zip(first, second, strict=True)):
        for beta in betas:
            for seed in seeds:
                x = a.digests[first_protocol.betas.index(beta), first_protocol.seeds.index(seed)]
                y = b.digests[second_protocol.betas.index(beta), second_protocol.seeds.index(seed)]
                if x != y:
                    return f"β={beta:g}, environment {e + 1}, seed {seed}"
    return None
