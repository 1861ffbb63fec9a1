"""Envelopes, gains, intervals and champions."""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.errors import InputError
from autotts.evaluation.envelope import Envelope, isotonic
from autotts.evaluation.statistics import (
    Scores,
    ci95_accuracy,
    gain_at_matched_tokens,
    mean_curve,
    tokens_saved,
)

UNIT = st.floats(0, 1, allow_subnormal=False)
CURVES = st.lists(st.tuples(st.floats(0.01, 2), UNIT), min_size=1, max_size=8)


def pooled(values: list[float]) -> list[float]:
    """Pool adjacent violators, as the textbook has it."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (b, n), (a, m) = blocks.pop(), blocks.pop()
            blocks.append(((a * m + b * n) / (m + n), m + n))
    return [value for value, count in blocks for _ in range(count)]


def scores(seed: int = 0, lift: float = 0.0, cheaper: float = 1.0, shape: tuple[int, int, int] = (2, 6, 20)) -> Scores:
    """A plausible controller: accuracy saturates with β, questions differ, the same questions in all environments."""
    environments, betas, questions = shape
    rng = np.random.default_rng(seed)
    beta = np.linspace(0, 1, betas)[None, :, None]
    ease = rng.random((environments, 1, questions))
    accuracy = np.clip(ease * (0.6 + 0.4 * np.sqrt(beta)) + lift, 0, 1)
    tokens = cheaper * 1000 * (1 + 20 * beta) * (2 - ease)
    clusters = np.tile(np.arange(questions), (environments, 1))
    return Scores(accuracy, tokens, clusters, np.full(environments, 30_000.0))


@given(st.lists(UNIT, max_size=12))
def test_isotonic_is_pooling_of_adjacent_violators(values: list[float]) -> None:
    fit = isotonic(values)
    assert fit == pytest.approx(pooled(values), abs=1e-12)
    assert (np.diff(fit) >= 0).all()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_isotonic_is_the_least_squares_fit(values: list[int]) -> None:
    """No non-decreasing sequence over a fine grid of levels does better."""
    levels = np.linspace(0, 4, 25)
    best = {level: (level - values[0]) ** 2 for level in levels}
    for value in values[1:]:
        best = {x: min(c for y, c in best.items() if y <= x) + (x - value) ** 2 for x in levels}
    assert ((isotonic(values) - values) ** 2).sum() <= min(best.values()) + 1e-9


def test_isotonic_works_row_by_row_and_leaves_sorted_values_alone() -> None:
    rows = np.random.default_rng(0).random((500, 11))
    assert np.array_equal(isotonic(rows), np.stack([isotonic(row) for row in rows]))
    ordered = np.sort(rows[0])
    assert np.array_equal(isotonic(ordered), ordered)


@given(CURVES, st.lists(st.floats(0, 3), min_size=2, max_size=10))
def test_envelope_rises_and_stays_within_its_points(curve: list[tuple[float, float]], levels: list[float]) -> None:
    tokens, accuracy = zip(*curve, strict=True)
    envelope = Envelope(tokens, accuracy)
    at = envelope.at(sorted(levels))
    assert (np.diff(at) >= -1e-12).all()
    assert (at <= max(accuracy) + 1e-12).all() and (at >= 0).all()
    assert envelope.at([0.0, 10.0]) == pytest.approx([0.0, envelope.accuracy[-1]])


@given(CURVES, st.floats(0.001, 1))
def test_tokens_for_is_the_least_that_reaches(curve: list[tuple[float, float]], accuracy: float) -> None:
    envelope = Envelope(*zip(*curve, strict=True))
    tokens = envelope.tokens_for(accuracy)
    if tokens is None:
        assert accuracy > envelope.accuracy[-1]
    else:
        assert float(envelope.at(tokens)) == pytest.approx(accuracy, abs=1e-6) or tokens in envelope.tokens
        assert float(envelope.at(tokens)) >= accuracy - 1e-9
        assert float(envelope.at(tokens * (1 - 1e-3))) <= accuracy + 1e-9


def test_envelope_by_hand() -> None:
    envelope = Envelope([4, 1, 2, 3], [0.8, 0.2, 0.6, 0.4])
    assert envelope.accuracy == pytest.approx([0.2, 0.5, 0.5, 0.8])
    assert envelope.at([0.5, 1.5, 2.5, 3.5, 9]) == pytest.approx([0.1, 0.35, 0.5, 0.65, 0.8])
    assert envelope.tokens_for(0.1) == pytest.approx(0.5)
    assert envelope.tokens_for(0.65) == pytest.approx(3.5)
    assert envelope.tokens_for(0.8) == pytest.approx(4)
    assert envelope.tokens_for(0.81) is None
    # equal tokens are pooled, not chosen from
    assert Envelope([1, 1], [0.2, 0.4]).at(1.0) == pytest.approx(0.3)


def test_mean_curve_scales_each_environment_first() -> None:
    accuracy = np.array([[[0.0, 1.0]], [[1.0, 1.0]]])
    tokens = np.array([[[10.0, 30.0]], [[100.0, 300.0]]])
    mean_accuracy, mean_tokens = mean_curve(accuracy, tokens, [20, 100])
    assert (mean_accuracy.tolist(), mean_tokens.tolist()) == ([0.75], [1.5])


def gain_by_hand(candidate: Scores, reference: Scores) -> float:
    c = Envelope(*mean_curve(candidate.accuracy, candidate.tokens, candidate.units)[::-1])
    accuracy, tokens = mean_curve(reference.accuracy, reference.tokens, reference.units)
    levels = np.geomspace(tokens.min(), tokens.max(), 12)
    return float((c.at(levels) - Envelope(tokens, accuracy).at(levels)).mean())


@given(st.integers(0, 50), st.integers(0, 50))
def test_gain_is_its_definition_and_its_parts_sum_to_it(a: int, b: int) -> None:
    candidate, reference = scores(a), scores(b)
    gain = gain_at_matched_tokens(candidate, reference, resamples=20)
    assert gain.value == pytest.approx(gain_by_hand(candidate, reference))
    assert gain.vector.shape == gain.levels.shape == (12,)
    assert gain.value == pytest.approx(gain.vector.mean())
    assert sum(share for _, share in gain.by_question) == pytest.approx(gain.value, abs=1e-7)
    for e in range(2):
        alone = [Scores(s.accuracy[[e]], s.tokens[[e]], s.clusters[[e]], s.units[[e]]) for s in (candidate, reference)]
        assert gain.by_environment[e] == pytest.approx(gain_by_hand(*alone))


def test_a_controller_gains_nothing_over_itself() -> None:
    gain = gain_at_matched_tokens(scores(), scores())
    assert (gain.value, gain.se, gain.ci95, gain.sign_flip_p) == (0.0, 0.0, (0.0, 0.0), 1.0)


def test_gain_from_accuracy_and_from_tokens() -> None:
    better = gain_at_matched_tokens(scores(lift=0.05), scores())
    cheaper = gain_at_matched_tokens(scores(cheaper=0.7), scores())
    for gain in (better, cheaper):
        assert gain.value > 2 * gain.se > 0
        assert gain.ci95[0] < gain.value < gain.ci95[1]
        assert gain.sign_flip_p < 0.05
        assert gain.resolution == pytest.approx(1.96 * gain.se)


def test_the_question_that_carries_the_gain_is_named_first() -> None:
    reference = scores()
    accuracy = reference.accuracy.copy()
    accuracy[:, :, 7] = np.minimum(1, accuracy[:, :, 7] + 0.4)
    gain = gain_at_matched_tokens(Scores(accuracy, reference.tokens, reference.clusters, reference.units), reference)
    assert gain.by_question[0][0] == 7
    assert gain.sign_flip_p > 0.3  # one question is no evidence


def test_error_is_over_questions_not_over_rows() -> None:
    """The same recordings under two names carry no more evidence than once; separate questions do."""
    one, two = scores(1, shape=(1, 6, 30)), scores(2, shape=(1, 6, 30))

    def doubled(s: Scores, shift: int) -> Scores:
        clusters = np.concatenate([s.clusters, s.clusters + shift])
        return Scores(np.tile(s.accuracy, (2, 1, 1)), np.tile(s.tokens, (2, 1, 1)), clusters, np.tile(s.units, 2))

    single = gain_at_matched_tokens(two, one).se
    shared = gain_at_matched_tokens(doubled(two, 0), doubled(one, 0)).se
    separate = gain_at_matched_tokens(doubled(two, 30), doubled(one, 30)).se
    assert shared == pytest.approx(single)
    assert separate == pytest.approx(single / math.sqrt(2), rel=0.1)


def test_standard_error_matches_theory_for_a_flat_controller() -> None:
    """With one β at equal cost, the gain is a mean of differences, whose standard error is known."""
    rng = np.random.default_rng(3)
    ours, theirs = rng.random((2, 1, 1, 200))
    tokens, clusters, units = np.ones((1, 1, 200)), np.arange(200)[None], np.ones(1)
    gain = gain_at_matched_tokens(Scores(ours, tokens, clusters, units), Scores(theirs, tokens, clusters, units))
    difference = (ours - theirs).ravel()
    assert gain.value == pytest.approx(difference.mean())
    assert gain.se == pytest.approx(difference.std() / math.sqrt(200), rel=0.08)
    shares = [share for _, share in sorted(gain.by_question)]
    assert shares == pytest.approx(difference / 200, abs=1e-6)


def test_padding_changes_nothing() -> None:
    a, b = scores(1), scores(2)

    def padded(s: Scores) -> Scores:
        wide = ((0, 0), (0, 0), (0, 3))
        clusters = np.pad(s.clusters, ((0, 0), (0, 3)), constant_values=-1)
        accuracy = np.pad(s.accuracy, wide, constant_values=np.nan)
        return Scores(accuracy, np.pad(s.tokens, wide, constant_values=np.nan), clusters, s.units)

    plain, wider = gain_at_matched_tokens(a, b), gain_at_matched_tokens(padded(a), padded(b))
    assert (plain.value, plain.se) == pytest.approx((wider.value, wider.se))
    assert dict(plain.by_question) == pytest.approx(dict(wider.by_question))
    assert mean_curve(a.accuracy, a.tokens, a.units)[0] == pytest.approx(
        mean_curve(padded(a).accuracy, padded(a).tokens, a.units)[0]
    )


def test_one_question_has_no_error_to_show() -> None:
    tiny = scores(shape=(1, 3, 1))
    gain = gain_at_matched_tokens(tiny, tiny)
    assert math.isnan(gain.se) and all(math.isnan(x) for x in gain.ci95)
    assert all(math.isnan(x) for x in ci95_accuracy([0.5], [0]))


def test_pairs_that_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="same environments"):
        gain_at_matched_tokens(scores(), scores(shape=(2, 6, 21)))
    free = scores(cheaper=0.0)
    with pytest.raises(InputError, match="no tokens"):
        gain_at_matched_tokens(scores(), free)
    with pytest.raises(ValueError, match="must both be"):
        Scores(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3), dtype=np.int64), np.ones(2))


def test_gain_is_fast_and_repeats() -> None:
    a, b = scores(1, shape=(4, 11, 30)), scores(2, shape=(4, 11, 30))
    first = gain_at_matched_tokens(a, b)
    begin = time.perf_counter()
    again = gain_at_matched_tokens(a, b)
    assert time.perf_counter() - begin < 0.5
    assert (first.se, first.ci95, first.sign_flip_p) == (again.se, again.ci95, again.sign_flip_p)
    assert first.se != gain_at_matched_tokens(a, b, seed=1).se


def test_tokens_saved() -> None:
    reference = scores()
    half = tokens_saved(scores(cheaper=0.5), reference)
    assert half.value == pytest.approx(0.5) and half.ci95 == pytest.approx((0.5, 0.5)) and half.reached == 1
    assert half.tokens == pytest.approx(half.reference_tokens / 2)
    never = tokens_saved(scores(lift=-0.3), reference)
    assert never.value is None and never.ci95 is None and never.tokens is None and never.reached == 0
    assert tokens_saved(reference, reference).value == pytest.approx(0)


def test_interval_of_accuracy() -> None:
    rng = np.random.default_rng(0)
    accuracy: npt.NDArray[np.float64] = rng.random(400)
    low, high = ci95_accuracy(accuracy, np.arange(400))
    half = 1.96 * accuracy.std() / 20
    assert (low, high) == pytest.approx((accuracy.mean() - half, accuracy.mean() + half), abs=0.005)
    assert ci95_accuracy(np.ones(30), np.arange(30)) == (1.0, 1.0)
