"""Synthetic environments that behave like recorded ones: the embedded default, deterministic from a seed.

Four "models" of rising strength answer the same questions. Nothing is copied from a recording: branches are drawn from
a small generative model whose parameters were set so that statistics and shipped controllers behave as on the recorded
AIME 2024 branches of Qwen3 0.6B, 1.7B, 4B and 8B (tests/test_synthetic.py compares where those are present).

A branch is right with a probability that question and model set; it draws its length (right ones are shorter), its
final answer, and the depth where it settles on that. Until then it shows guesses that most branches share at first,
values of its own later on, its final answer now and then, or nothing that parses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotts.errors import InputError
from autotts.replay.environment import UNPARSED, Environment, Question, Trajectory

__all__ = ["SPLITS", "synthetic_environments"]

SPLITS = {"search": 0, "heldout": 1}
"""Splits and the number that each mixes into the seed; their questions are different ones."""

N_QUESTIONS = 30
N_BRANCHES = 128
INTERVAL = 500
TOKEN_CAP = 41_500
"""As recorded: the longest branches end between 41,000 and 41,500 tokens, at the recording's limit."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_GRID = np.array([0.0, 0.1, 0.19, 0.21, 0.25, 0.5, 0.75, 0.9, 1.0])


@dataclass(frozen=True)
class _Model:
    """What sets one model apart; "rec." = measured on the recorded branches, "set" = chosen so that the rest fits."""

    name: str
    # Quantiles (_GRID) of a question's accuracy: published for 0, 10, 25, 50, 75, 90, 100 %; the step
    # between hopeless and feasible ones, at 20 %, is rec.
    accuracy: tuple[float, ...]
    # Correlation of a question's difficulty with the next stronger model's: set, so that accuracies correlate as rec.
    kinship: float
    # Right branches: typical tokens; sd of their log between questions (rec. 0.36, 0.47, 0.52, 0.51) and within a
    # question (rec. 0.44, 0.35, 0.28, 0.27).
    tokens: float
    breadth: float
    spread: float
    # Wrong branches: mean over questions of log(wrong / right) (rec. 0.24, 0.47, 0.49, 0.48), what of its sd over
    # questions temptation and ease do not explain (set), sd within a question.
    gap: float
    gap_spread: float
    spread_wrong: float
    # Share of wrong branches that stop only at the token cap: rec.
    ramble: float
    # Median share of the tempting answer among wrong ones (rec.), and how many others there are to err into (set).
    tempting: float
    scatter: float
    # Where the answer settles: median and scale, on the log-odds of relative depth, for right and wrong ones: set.
    settle_right: float
    settle_wrong: float
    settle_scale: float
    # Intervals without a parsable answer: chance to begin and to stay so, while unsettled (stay: rec.).
    unparsed: float
    unparsed_stays: float
    unparsed_final: float
    # Chance that an unsettled branch shows the same answer again, and of the shared guess (set).
    stays: float
    guess: float
    guess_depth: float
    # Chance, times the question's accuracy, that a guess is the right answer, later dropped: set.
    glimpse: float
    # Number of probes minus tokens // interval: shares of +1, 0, −1, −2, …: rec.
    offsets: tuple[float, ...]


# fmt: off
_MODELS = (
    _Model(
        name="synthetic-xs",
        accuracy=(0.0, 0.0, 0.0, 0.0, 0.0, 0.016, 0.135, 0.329, 0.859),
        kinship=0.85, tokens=12_000, breadth=0.33, spread=0.42, gap=0.10, gap_spread=0.10,
        spread_wrong=0.42, ramble=0.015, tempting=0.19, scatter=250.0,
        settle_right=1.2, settle_wrong=1.9, settle_scale=1.2,
        unparsed=0.025, unparsed_stays=0.44, unparsed_final=0.004, stays=0.52, guess=0.62, guess_depth=22.0,
        glimpse=0.02, offsets=(0.163, 0.533, 0.206, 0.068, 0.019, 0.011),
    ),
    _Model(
        name="synthetic-s",
        accuracy=(0.0, 0.0, 0.0, 0.10, 0.217, 0.406, 0.803, 0.978, 1.0),
        kinship=0.93, tokens=10_900, breadth=0.46, spread=0.35, gap=0.44, gap_spread=0.15,
        spread_wrong=0.30, ramble=0.02, tempting=0.24, scatter=150.0,
        settle_right=1.1, settle_wrong=1.7, settle_scale=1.1,
        unparsed=0.034, unparsed_stays=0.51, unparsed_final=0.003, stays=0.50, guess=0.76, guess_depth=26.0,
        glimpse=0.10, offsets=(0.148, 0.41, 0.247, 0.134, 0.04, 0.021),
    ),
    _Model(
        name="synthetic-m",
        accuracy=(0.0, 0.014, 0.10, 0.50, 0.656, 0.887, 0.992, 1.0, 1.0),
        kinship=0.995, tokens=9_700, breadth=0.50, spread=0.28, gap=0.50, gap_spread=0.28,
        spread_wrong=0.28, ramble=0.01, tempting=0.40, scatter=60.0,
        settle_right=1.05, settle_wrong=1.6, settle_scale=1.1,
        unparsed=0.08, unparsed_stays=0.40, unparsed_final=0.004, stays=0.50, guess=0.72, guess_depth=36.0,
        glimpse=0.03, offsets=(0.203, 0.548, 0.155, 0.049, 0.021, 0.024),
    ),
    _Model(
        name="synthetic-l",
        accuracy=(0.0, 0.038, 0.12, 0.78, 0.809, 0.934, 0.998, 1.0, 1.0),
        kinship=0.0, tokens=10_100, breadth=0.50, spread=0.27, gap=0.50, gap_spread=0.28,
        spread_wrong=0.28, ramble=0.01, tempting=0.42, scatter=60.0,
        settle_right=1.05, settle_wrong=1.6, settle_scale=1.1,
        unparsed=0.042, unparsed_stays=0.30, unparsed_final=0.013, stays=0.50, guess=0.72, guess_depth=36.0,
        glimpse=0.03, offsets=(0.21, 0.526, 0.147, 0.058, 0.035, 0.024),
    ),
)
"""In rising strength."""
# fmt: on

# Answers are numbered within a question: 0 unparsed, 1 gold, then wrong finals by temptation, then shared early
# guesses, then values that one branch shows alone.
_GOLD, _WRONG, _GUESS, _OWN = 1, 2, 2_000, 2_100
_OWN_EACH = 12
_N_CODES = _OWN + N_BRANCHES * _OWN_EACH


class _Stream:
    """Uniform and normal numbers from the raw bits of PCG64, which numpy promises never to change."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def uniform(self, *shape: int) -> Floats:
        """Uniform on [0, 1), 53 bits each."""
        raw = np.asarray(self._bits.random_raw(int(np.prod(shape))), dtype=np.uint64)
        return (raw >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53

    def normal(self, *shape: int) -> Floats:
        """Standard normal (Box–Muller)."""
        radius: Floats = np.sqrt(-2.0 * np.log(1.0 - self.uniform(*shape)))
        angle: Floats = np.cos(2.0 * np.pi * self.uniform(*shape))
        return radius * angle


@dataclass(frozen=True)
class _Traits:
    """What a question is like for one model; arrays of shape (N_QUESTIONS,)."""

    accuracy: Floats
    log_tokens: Floats  # of right branches
    gap: Floats
    tempting: Floats
    scatter: Floats
    settle_shift: Floats
    guess: Floats  # chance of the main early guess
    main_guess: Ints  # its number


def synthetic_environments(split: str, seed: int = 0) -> list[Environment]:
    """Four environments of 30 questions × 128 branches, Δ = 500: the same result on every platform.

    Args:
        split: "search" or "heldout"; they share no question.
        seed: another seed gives other questions with the same behaviour.

    Raises:
        InputError: no such split.
    """
    if split not in SPLITS:
        raise InputError(f"synthetic:{split}: no such split; use {' or '.join(f'synthetic:{s}' for s in SPLITS)}")
    number = SPLITS[split]
    common = _Stream(seed, number)
    names = [_names(common) for _ in range(N_QUESTIONS)]
    # Difficulty and length pass from the strongest model to the weakest, each a noisy copy of the one before.
    ease, length = common.normal(N_QUESTIONS), common.normal(N_QUESTIONS)
    lure, clutter = common.normal(N_QUESTIONS), common.normal(N_QUESTIONS)
    environments = []
    for k in reversed(range(len(_MODELS))):
        model, stream = _MODELS[k], _Stream(seed, number, k + 1)
        ease = _noisy(stream, ease, model.kinship)
        length = _noisy(stream, length, model.kinship)
        traits = _traits(stream, model, ease, length, _noisy(stream, lure, 0.7), _noisy(stream, clutter, 0.7))
        tokens, final, probes, depths = _branches(stream, model, traits)
        questions = tuple(
            _question(split, number, q, names[q], tokens[q], final[q], probes[q], depths[q]) for q in range(N_QUESTIONS)
        )
        provenance = {"source": f"synthetic:{split}", "seed": str(seed)}
        environments.append(Environment(model.name, split, INTERVAL, questions, provenance=provenance))
    return environments[::-1]


def _noisy(stream: _Stream, values: Floats, kinship: float) -> Floats:
    return kinship * values + float(np.sqrt(1.0 - kinship**2)) * stream.normal(len(values))


def _names(stream: _Stream) -> list[str]:
    """A name for every answer number of a question: whole numbers in random order."""
    order = np.argsort(stream.uniform(_N_CODES), kind="stable").tolist()
    return [UNPARSED, *map(str, order[1:])]


def _traits(stream: _Stream, model: _Model, ease: Floats, length: Floats, lure: Floats, clutter: Floats) -> _Traits:
    n = N_QUESTIONS
    rank = np.argsort(np.argsort(ease, kind="stable"), kind="stable")
    # One question from each of 30 strata: accuracies differ little between seeds, as 30 draws would.
    accuracy = np.interp((rank + stream.uniform(n)) / n, _GRID, model.accuracy)
    log_tokens = np.log(model.tokens) + model.breadth * (0.75 * length - 0.7 * ease)
    # A tempting wrong answer is found fast: its question has a smaller gap, and fewer other wrong answers.
    odds = np.log(model.tempting / (1.0 - model.tempting)) + 1.0 * lure
    gap = model.gap + 0.20 * ease - 0.16 * lure + model.gap_spread * stream.normal(n)
    scatter = np.exp(np.log(model.scatter) * np.clip(0.9 - 0.12 * lure + 0.12 * clutter, 0.3, 1.25))
    settle_shift = -0.45 * ease - 0.25 * lure + 0.6 * stream.normal(n)
    guess_odds = np.log(model.guess / (1.0 - model.guess)) + 1.0 * stream.normal(n)
    # The most tempting answers are what everybody thinks of first.
    main_guess = np.where(lure > 0.5, _WRONG, _GUESS)
    return _Traits(accuracy, log_tokens, gap, _logistic(odds), scatter, settle_shift, _logistic(guess_odds), main_guess)


def _logistic(x: Floats) -> Floats:
    result: Floats = 1.0 / (1.0 + np.exp(-x))
    return result


def _branches(stream: _Stream, model: _Model, traits: _Traits) -> tuple[Ints, Ints, Ints, Ints]:
    """Draw all branches: tokens (Q, B), final (Q, B), probes (Q, B, deepest), number of probes (Q, B)."""
    shape = (N_QUESTIONS, N_BRANCHES)

    def per_question(values: Floats) -> Floats:
        return np.broadcast_to(values[:, None], shape)

    right = stream.uniform(*shape) < per_question(traits.accuracy)
    tempted = stream.uniform(*shape) < per_question(traits.tempting)
    other = _WRONG + np.floor(per_question(traits.scatter) ** stream.uniform(*shape)).astype(np.int64)
    final = np.where(right, _GOLD, np.where(tempted, _WRONG, np.minimum(other, _GUESS - 1)))
    lost = ~right & (stream.uniform(*shape) < model.unparsed_final / (1.0 - traits.accuracy.mean()))
    final[lost] = 0

    noise, widths = stream.normal(*shape), 0.7 + 0.6 * stream.uniform(2, N_QUESTIONS)
    log_right = traits.log_tokens[:, None] + model.spread * widths[0][:, None] * noise
    delay = traits.gap[:, None] + np.where(tempted, -0.15, 0.05)
    log_wrong = traits.log_tokens[:, None] + delay + model.spread_wrong * widths[1][:, None] * noise
    tokens = np.exp(np.where(right, log_right, log_wrong))
    tokens[~right & (stream.uniform(*shape) < model.ramble)] = TOKEN_CAP
    limit = TOKEN_CAP - np.floor(INTERVAL * stream.uniform(*shape))
    total = np.clip(np.floor(tokens), 1_200, limit).astype(np.int64)

    steps = np.cumsum(model.offsets)
    offset = np.searchsorted(steps / steps[-1], stream.uniform(*shape), side="right") - 1
    depths = np.maximum(1, total // INTERVAL - offset)

    middle = np.where(right, model.settle_right, model.settle_wrong) + traits.settle_shift[:, None]
    relative = _logistic(middle + model.settle_scale * stream.normal(*shape))
    settled = np.minimum(np.floor(relative * (depths + 1)).astype(np.int64), depths - 1)
    return total, final, _wander(stream, model, traits, final, settled, depths), depths


def _wander(stream: _Stream, model: _Model, traits: _Traits, final: Ints, settled: Ints, depths: Ints) -> Ints:
    """Probes of every branch: wandering up to where it settles, its final answer from there on."""
    shape = final.shape
    deepest = int(depths.max())
    probes = np.repeat(final.ravel()[:, None], deepest, axis=1)
    until = settled.ravel()
    order = np.argsort(-until, kind="stable")  # those that wander longest first: each step works on a prefix
    counts = np.searchsorted(-until[order], -np.arange(deepest), side="left")
    question = np.repeat(np.arange(shape[0]), shape[1])[order]
    own_base = _OWN + np.tile(np.arange(shape[1]), shape[0])[order] * _OWN_EACH
    goal = final.ravel()[order]
    current = np.full(len(order), -1, dtype=np.int64)
    before = current.copy()
    for k in range(deepest):
        n = int(counts[k])
        if n == 0:
            break
        q, now = question[:n], current[:n]
        u = stream.uniform(5, n)
        guess = np.where(u[0] < traits.guess[q], traits.main_guess[q], _GUESS + np.floor(10.0 ** u[1]).astype(np.int64))
        if k == 0:
            fresh = guess
        else:
            own = own_base[:n] + np.floor(_OWN_EACH * u[1]).astype(np.int64)
            other = _WRONG + np.floor(traits.scatter[q] ** u[1]).astype(np.int64)
            common = np.where(u[0] < traits.tempting[q], _WRONG, np.minimum(other, _GUESS - 1))
            private = np.where(u[2] < 0.35, own, common)
            private = np.where(u[2] > 0.75 - model.glimpse * traits.accuracy[q], _GOLD, private)
            shared = 0.1 + 0.9 * np.exp(-k / model.guess_depth)
            fresh = np.where(u[3] < shared, guess, private)
            fresh = np.where(u[2] > 0.95, goal[:n], fresh)
            fresh = np.where((u[2] > 0.75) & (u[2] <= 0.95) & (before[:n] >= 0), before[:n], fresh)
        begins = np.where(now == 0, model.unparsed_stays, model.unparsed)
        keeps = (k > 0) & (now != 0) & (u[4] >= begins) & (u[4] < begins + model.stays)
        following = np.where(u[4] < begins, 0, np.where(keeps, now, fresh))
        before[:n] = np.where(following != now, now, before[:n])
        current[:n] = following
        probes[order[:n], k] = following
    return probes.reshape(*shape, deepest)


def _question(
    split: str, number: int, q: int, names: list[str], tokens: Ints, final: Ints, probes: Ints, depths: Ints
) -> Question:
    label = number * N_QUESTIONS + q + 1
    name = names.__getitem__
    rows: list[Any] = probes.tolist()
    branches = tuple(
        Trajectory(tuple(map(name, row[:depth])), total, name(last), total > TOKEN_CAP - INTERVAL)
        for row, depth, total, last in zip(rows, depths.tolist(), tokens.tolist(), final.tolist(), strict=True)
    )
    return Question(f"{split}-{label:02d}", f"Synthetic question {label}", name(_GOLD), branches)
