"""Self-consistency: read n branches to the end and return the majority of their final answers.

Source: Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning in Language Models".
"""

from typing import Any

from autotts.toolkit import majority


def schedule(beta: float) -> dict[str, float]:
    """β = 0 reads one branch, β = 1 reads 64; geometric in between."""
    return {"max_samples": round(64**beta)}


def solve(episode: Any, knobs: dict[str, float]) -> Any:
    """Open all branches in one wave, finish them in another, vote."""
    opened = episode.branches(min(int(knobs["max_samples"]), episode.max_branches))
    episode.finish(episode.active)
    return majority(episode.probe(opened))
