"""Questions that no agent and no selection sees: a search's own held-out part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from autotts.errors import InputError
from autotts.evaluation.curve import cluster_keys
from autotts.replay import Environment

__all__ = ["LEAST", "reserved"]

LEAST = 2
"""Questions of each dataset on either side: one alone has no error over questions."""


def reserved(
    environments: Sequence[Environment], share: float, seed: int
) -> tuple[list[Environment], list[Environment]]:
    """Part the questions: (what is searched, what is reserved), the same environments in the same order.

    A question goes to the same side in every environment. Which ones are reserved depends on the questions and the
    seed alone, not on their order or on which environments have them; of each dataset it is the same share.

    Args:
        environments: whole.
        share: of the questions to reserve, 0 ≤ share < 1; with 0 nothing is, and the second list is empty.
        seed: of the run.

    Raises:
        InputError: the share is not in [0, 1), or there are too few questions.
    """
    if not 0 <= share < 1:
        raise InputError(f"--reserve {share:g}: give a share of the questions from 0 on and below 1, such as 0.2")
    if share == 0:
        return list(environments), []
    kept = _chosen(environments, share, seed)
    sides: tuple[list[Environment], list[Environment]] = [], []
    for environment in environments:
        rows = list(zip(cluster_keys(environment), environment.questions, strict=True))
        for side, inside in zip(sides, (False, True), strict=True):
            questions = tuple(question for key, question in rows if (key in kept) is inside)
            if not questions:
                where = "to reserve" if inside else "to search"
                raise InputError(f"--reserve {share:g}: leaves no question of {environment.name} {where}; change it")
            side.append(replace(environment, questions=questions))
    return sides


def _chosen(environments: Sequence[Environment], share: float, seed: int) -> set[str]:
    """Keys of the reserved questions: of each dataset those whose hash with the seed is least."""
    chosen: set[str] = set()
    for dataset in sorted({environment.dataset for environment in environments}):
        keys = {key for e in environments if e.dataset == dataset for key in cluster_keys(e)}
        count = round(share * len(keys))
        if min(count, len(keys) - count) < LEAST:
            raise InputError(
                f"--reserve {share:g}: of the {len(keys)} questions of {dataset} it would reserve {count} and leave "
                f"{len(keys) - count} to search, where either needs {LEAST}; change it, or give more questions"
            )
        chosen |= set(sorted(keys, key=lambda key: hashlib.sha256(f"{seed}\0{key}".encode()).digest())[:count])
    return chosen
