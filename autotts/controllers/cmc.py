"""Confidence momentum: stop when a moving average of the pool's majority confidence is high and not falling.

Branches that disagree with the finished ones for long are abandoned, branches that agree run ahead in bursts, and new
branches are opened while confidence does not rise.

Source: "LLMs Improving LLMs: Agentic Discovery for Test-Time Scaling" (2026), the published discovery (round 4).
"""

from typing import Any

from autotts.toolkit import majority, majority_confidence, vote

MAX_STEPS = 500


def schedule(beta: float) -> dict[str, float]:
    """The published schedule of all twelve knobs."""
    return {
        "n_init": max(2, round(2 + 6 * beta)),
        "max_branch_use": min(64, round(4 + 60 * beta)),
        "warm_up": max(2, round(2 + 8 * beta)),
        "abandon_patience": max(3, round(3 + 9 * beta)),
        "t_ema": max(2, round(2 + 6 * beta)),
        "ema_alpha": round(0.70 - 0.40 * beta, 4),
        "conf_thresh": round(0.85 + 0.12 * beta, 4),
        "delta_slack": round(0.04 - 0.03 * beta, 4),
        "burst_aligned": max(1, round(1 + 2 * beta)),
        "widen_burst": max(1, round(1 + 3 * beta)),
        "trend_thresh": round(0.04 - 0.03 * beta, 4),
        "min_complete": max(2, round(2 + 3 * beta)),
    }


def solve(episode: Any, knobs: dict[str, float]) -> Any:
    """One step: smooth the confidence, abandon, advance every live branch, then stop or widen."""
    warm_up, patience, alpha = knobs["warm_up"], knobs["abandon_patience"], knobs["ema_alpha"]
    threshold, slack, trend = knobs["conf_thresh"], knobs["delta_slack"], knobs["trend_thresh"]
    min_complete, burst = knobs["min_complete"], int(knobs["burst_aligned"])
    t_ema, widen_burst = int(knobs["t_ema"]), int(knobs["widen_burst"])
    limit = min(int(knobs["max_branch_use"]), episode.max_branches)
    widen_from = max(1, warm_up // 2)

    latest: dict[int, Any] = {}
    disagreement: dict[int, int] = {}
    pool: list[Any] = []
    history: list[float] = []
    abandoned: set[int] = set()
    open_branches(episode, min(int(knobs["n_init"]), episode.max_branches), latest, disagreement, pool)
    live = episode.active
    winner, confidence = leader_of(pool)
    ema = 0.0
    for step in range(MAX_STEPS):
        warm = step >= warm_up
        ema = (1 - alpha) * ema + alpha * confidence
        history = [*history, ema][-t_ema:]

        if warm and winner is not None:
            stubborn = []
            for i in live:
                disagreement[i] = disagreement[i] + 1 if latest[i] != winner else 0
                if disagreement[i] >= patience:
                    stubborn.append(i)
            excess = max(0, len(live) - 2)
            if stubborn and excess:
                stubborn.sort(key=lambda i: disagreement[i], reverse=True)
                episode.prune(stubborn[:excess])
                abandoned.update(stubborn[:excess])
                live = episode.active

        finished = advance_all(episode, live, latest, winner if warm else None, burst)
        if finished:
            pool += [latest[i] for i in finished]
            winner, confidence = leader_of(pool)
            live = episode.active
        ema = (1 - alpha) * ema + alpha * confidence
        history[-1] = ema
        delta = ema - history[0] if len(history) > 1 else 0.0

        if warm and len(pool) >= min_complete and ema >= threshold and delta >= -slack:
            return winner
        if not live:
            break
        if len(latest) < limit and delta <= trend and step >= widen_from and ema < threshold:
            open_branches(episode, min(widen_burst, limit - len(latest)), latest, disagreement, pool)
            live = episode.active
            winner, confidence = leader_of(pool)
    if pool:
        return winner
    return majority(answer for i, answer in latest.items() if i not in abandoned)


def open_branches(episode: Any, n: int, latest: dict[int, Any], disagreement: dict[int, int], pool: list[Any]) -> None:
    """Open n branches in one wave; one that is finished at once enters the pool."""
    for i in episode.branches(n):
        latest[i] = episode.probe(i)
        disagreement[i] = 0
        if episode.is_finished(i):
            pool.append(latest[i])


def advance_all(episode: Any, live: list[int], latest: dict[int, Any], favoured: Any, burst: int) -> list[int]:
    """One interval for every live branch, up to `burst` for those at the favoured answer; those that finished.

    The first wave holds everybody's first interval, the further ones the bursts. The finished are listed deepest
    first, the order in which branches are served one after the other.
    """
    order = sorted(live, key=episode.depth, reverse=True)
    running = [i for i in order if latest[i] == favoured] if favoured is not None and burst > 1 else []
    episode.advance(order)
    latest.update(zip(order, episode.probe(order), strict=True))
    for _ in range(burst - 1):
        running = [i for i in running if not episode.is_finished(i)]
        if not running:
            break
        episode.advance(running)
        latest.update(zip(running, episode.probe(running), strict=True))
    return [i for i in order if episode.is_finished(i)]


def leader_of(pool: list[Any]) -> tuple[Any, float]:
    """The pool's leader and the posterior probability that it beats the runner-up."""
    leader, n1, n2, _ = vote(pool)
    return leader, majority_confidence(n1, n2)
