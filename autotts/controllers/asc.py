"""Adaptive consistency: read branches until the majority's lead is unlikely to be chance.

Source: Aggarwal et al. 2023, "Let's Sample Step by Step: Adaptive-Consistency for Efficient Reasoning and Coding
with LLMs".
"""

from typing import Any

from autotts.toolkit import majority_confidence, vote


def schedule(beta: float) -> dict[str, float]:
    """β = 0 reads one branch, β = 1 up to 64; geometric in between."""
    return {"max_samples": round(64**beta), "threshold": 0.95}


def solve(episode: Any, knobs: dict[str, float]) -> Any:
    """Stop as soon as the majority confidence of the final answers is greater than the threshold.

    The rule looks after every single branch. As long as even unanimous branches could not reach the threshold it has
    nothing to decide, so that many are read in one wave.
    """
    max_samples = min(int(knobs["max_samples"]), episode.max_branches)
    threshold = knobs["threshold"]
    answers: list[Any] = []
    leader, n1, n2 = None, 0, 0
    while len(answers) < max_samples:
        room = max_samples - len(answers)
        wave = min(room, 1 if answers else 2)
        while wave < room and majority_confidence(n1 + wave, n2) <= threshold:
            wave += 1
        opened = episode.branches(wave)
        episode.finish(episode.active)
        answers += episode.probe(opened)
        leader, n1, n2, _ = vote(answers)
        if len(answers) > 1 and majority_confidence(n1, n2) > threshold:
            break
    return leader
