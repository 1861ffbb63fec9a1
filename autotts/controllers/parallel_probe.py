"""Parallel-Probe: run all branches abreast, prune those off the majority, stop when it is stable.

Source: Zheng et al. 2026, "Parallel-Probe".
"""

from typing import Any

from autotts.toolkit import majority


def schedule(beta: float) -> dict[str, float]:
    """β = 0 runs one branch, β = 1 runs 64; geometric in between."""
    return {
        "num_chains": round(64**beta),
        "warm_up": 15,
        "prune_patience": 7,
        "T": 40,
        "max_steps": 100,
    }


def solve(episode: Any, knobs: dict[str, float]) -> Any:
    """Every step advances all live branches by one interval in one wave."""
    warm_up, patience, stable_steps = knobs["warm_up"], knobs["prune_patience"], knobs["T"]
    chains = episode.branches(min(int(knobs["num_chains"]), episode.max_branches))
    latest = dict(zip(chains, episode.probe(chains), strict=True))
    off_track = dict.fromkeys(chains, 0)
    live = episode.active
    winner: Any = None
    previous: Any = None
    stable = 0
    for step in range(int(knobs["max_steps"])):
        episode.advance(live)
        latest.update(zip(live, episode.probe(live), strict=True))
        live = episode.active
        winner = majority(latest.values())
        if step >= warm_up and len(latest) > 1:
            pruned: list[int] = []
            for i in live:
                off_track[i] = 0 if latest[i] == winner else off_track[i] + 1
                if off_track[i] >= patience:
                    pruned.append(i)
            if pruned:
                episode.prune(pruned)
                for i in pruned:
                    del latest[i]
                live = episode.active
                winner = majority(latest.values())
        stable = stable + 1 if winner == previous else 0
        previous = winner
        if stable >= stable_steps or not live:
            break
    return winner
