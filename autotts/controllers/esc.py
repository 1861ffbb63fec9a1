"""Early-stopping self-consistency: read branches in windows, stop at the first unanimous one.

Source: Li et al. 2024, "Escape Sky-high Cost: Early-stopping Self-Consistency for Multi-step Reasoning".
"""

from typing import Any

from autotts.toolkit import majority


def schedule(beta: float) -> dict[str, float]:
    """β = 0 reads one window of 8, β = 1 up to 64 branches; geometric in between."""
    return {"max_samples": 8 * round(8**beta), "window_size": 8}


def solve(episode: Any, knobs: dict[str, float]) -> Any:
    """One wave opens a window, one finishes it."""
    window_size = int(knobs["window_size"])
    windows = min(int(knobs["max_samples"]), episode.max_branches) // window_size
    answers: list[Any] = []
    for _ in range(windows):
        opened = episode.branches(window_size)
        episode.finish(episode.active)
        window = episode.probe(opened)
        answers += window
        if len(set(window)) == 1:
            return window[0]
    return majority(answers)
