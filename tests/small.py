"""Small recorded worlds for tests: a few questions, a few branches, made by a seed."""

from __future__ import annotations

import random

from autotts.replay import Environment, Question, Trajectory


def small_environment(model: str = "tiny", questions: int = 6, branches: int = 16, seed: int = 0) -> Environment:
    """Right branches end early, wrong ones late; some intervals are unparsed."""
    rng = random.Random(seed)
    made = []
    for q in range(questions):
        share = (q + 1) / (questions + 1)
        rows = []
        for _ in range(branches):
            right = rng.random() < share
            depth = rng.randint(1, 5) if right else rng.randint(3, 9)
            final = "42" if right else rng.choice(["7", "8", "9"])
            probes = [rng.choice([final, "7", "ERR"]) for _ in range(depth)]
            rows.append(Trajectory(tuple(probes), depth * 500 + rng.randint(-200, 499), final))
        made.append(Question(f"q{q}", f"Question {q}", "42", tuple(rows)))
    return Environment(model, "tiny", 500, tuple(made), max_branches=12)
