"""Who is reported as best of many, how simple programs are, and which questions nobody chooses by."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.errors import InputError
from autotts.evaluation import cluster_names, clusters_of, reserved
from autotts.evaluation.champion import beyond_choosing, champion, measured
from autotts.evaluation.curve import cluster_keys
from autotts.evaluation.simplicity import simplicity
from autotts.evaluation.statistics import Scores, gain_at_matched_tokens, sign_flip
from autotts.replay import Environment
from tests.small import small_environment
from tests.test_statistics import scores

Floats = npt.NDArray[np.float64]


def test_the_simplest_within_one_standard_error_is_champion() -> None:
    reference = scores(shape=(2, 6, 30))
    rng = np.random.default_rng(5)

    def noisy(lift: float) -> Scores:
        noise = rng.normal(0, 0.1, reference.accuracy.shape)
        return Scores(reference.accuracy + lift + noise, reference.tokens, reference.clusters, reference.units)

    pool = [noisy(0.1), noisy(0.1), noisy(-0.2)]
    gains = [gain_at_matched_tokens(c, reference).value for c in pool]
    plain = champion(measured(pool, reference), [(3, 1), (3, 1), (1, 1)])
    assert plain.best == int(np.argmax(gains)) and 2 not in plain.within
    twins = champion(measured([pool[0], pool[0]], reference), [(9, 1), (2, 1)])
    assert (twins.best, twins.index, twins.within) == (0, 1, (0, 1))


def test_being_chosen_is_allowed_for() -> None:
    """Of many equals the best looks good; corrected, it does not."""
    rng = np.random.default_rng(1)
    reference = scores(shape=(1, 4, 30))
    pool = [
        Scores(
            reference.accuracy + rng.normal(0, 0.2, (1, 1, 30)), reference.tokens, reference.clusters, reference.units
        )
        for _ in range(40)
    ]
    result = champion(measured(pool, reference), [(1, n) for n in range(40)])
    raw = max(gain_at_matched_tokens(c, reference, resamples=10).value for c in pool)
    assert raw > 0.04
    assert result.corrected < raw - 0.03
    with pytest.raises(ValueError, match="at least one"):
        champion(measured([], reference), [])


def test_one_after_the_other_is_all_at_once() -> None:
    reference = scores(shape=(2, 4, 12))
    pool = [scores(seed, lift=0.1, shape=(2, 4, 12)) for seed in range(1, 4)]
    pool = [Scores(c.accuracy, c.tokens, reference.clusters, reference.units) for c in pool]
    field = measured(iter(pool), reference, resamples=50)
    for k, candidate in enumerate(pool):
        gain = gain_at_matched_tokens(candidate, reference, resamples=50)
        assert field.gains[k] == pytest.approx(gain.value)
        assert field.inside[k].std(ddof=1) == pytest.approx(gain.se)
        assert field.contributions[k] == pytest.approx([dict(gain.by_question)[q] for q in range(12)])
    first = measured(pool[:1], reference, resamples=50).outside[0]
    chosen = champion(field, [(9, 9), (9, 9), (1, 1)])
    assert chosen.corrected_over(first) == pytest.approx(np.nanmean(np.asarray(chosen.left_out) - first))
    assert len(measured([], reference).gains) == 0


TABLES = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.lists(st.integers(-3, 3), min_size=k, max_size=k), min_size=1, max_size=4)
)


@given(TABLES)
@settings(deadline=None)
def test_the_greatest_of_many_turns_by_hand(rows: list[list[int]]) -> None:
    table = np.asarray(rows, dtype=float)
    for index, row in enumerate(table):
        found = beyond_choosing(table, index)
        if not row.any():
            assert found == 1.0
            continue
        observed = row.sum() / np.linalg.norm(row)
        hits = [
            any(np.dot(signs, other) / np.linalg.norm(other) >= observed - 1e-9 for other in table if other.any())
            for signs in itertools.product((-1, 1), repeat=table.shape[1])
        ]
        assert found == pytest.approx(sum(hits) / len(hits))
        assert found >= beyond_choosing(row[None], 0) >= sign_flip(row) / 2 - 1e-12


def test_many_questions_are_turned_at_random_and_repeat() -> None:
    table: Floats = np.random.default_rng(0).normal(0.3, 1, (20, 30))
    best = int(np.argmax(table.sum(axis=1)))
    found = beyond_choosing(table, best)
    assert found == beyond_choosing(table, best) != beyond_choosing(table, best, seed=1)
    assert beyond_choosing(table[best : best + 1], 0) < found


# ---- simplicity ------------------------------------------------------------------------------------------------


def test_constants_are_counted_by_their_shape() -> None:
    source = '''"""3 branches, 4 votes."""  # and 5

def schedule(beta):
    return {"n": 1_000 + 2.5e-3 * beta, "m2": .5, 'k"3': 0x1F}  # 7
X = r"\\\\" + f"{8}" + """
9 " 10
"""
'''
    assert simplicity(source)[0] == 4
    assert simplicity("x = 1") == (1, 3)
    assert simplicity("x   =  1  # one\n\n") == simplicity("x = 1")
    assert simplicity("longer_name = 1") == simplicity("x = 1")


@pytest.mark.parametrize(
    "text", ['"""' * 40_000, "'" * 100_001, "\\\n" * 60_000, "1e" * 60_000, "(" * 150_000, "r" * 150_000]
)
def test_counting_comes_to_an_end_on_anything(text: str) -> None:
    constants, words = simplicity(text)
    assert 0 <= constants <= words <= len(text)


# ---- questions in reserve --------------------------------------------------------------------------------------


def worlds(questions: int = 20) -> list[Environment]:
    """The second environment has the questions in another order under other ids, the third is another dataset."""
    first = small_environment(questions=questions)
    order = random.Random(1).sample(first.questions, questions)
    second = replace(first, model="other", questions=tuple(replace(q, id=f"n{n}") for n, q in enumerate(order[2:])))
    third = replace(small_environment("third", questions=12, seed=3), dataset="else")
    return [first, second, third]


@given(st.floats(0.15, 0.8), st.integers(0, 50))
@settings(deadline=None, max_examples=30)
def test_a_question_goes_to_the_same_side_everywhere(share: float, seed: int) -> None:
    whole = worlds()
    searched, kept = reserved(whole, share, seed)
    sides = [{key for environment in side for key in cluster_keys(environment)} for side in (searched, kept)]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {key for environment in whole for key in cluster_keys(environment)}
    assert [e.name for e in searched] == [e.name for e in kept] == [e.name for e in whole]
    assert len(kept[0].questions) == round(20 * share) and len(kept[2].questions) == round(12 * share)
    turned = [replace(e, questions=e.questions[::-1]) for e in whole[::-1]]
    again = reserved(turned, share, seed)[1]
    assert {key for e in again for key in cluster_keys(e)} == sides[1]


def test_other_seeds_reserve_other_questions_and_nothing_is_nothing() -> None:
    whole = worlds()
    kept = [tuple(q.id for q in reserved(whole, 0.3, seed)[1][0].questions) for seed in range(5)]
    assert len(set(kept)) == 5
    assert reserved(whole, 0.0, 0) == (whole, [])


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, "below 1"), (-0.1, "from 0 on"), (float("nan"), "from 0"), (0.1, "reserve 1")]
)
def test_shares_that_cannot_be(share: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        reserved(worlds(), share, 0)
    few = [*worlds(), replace(small_environment("few", questions=1, seed=0), dataset="tiny")]
    with pytest.raises(InputError, match="leaves no question of few"):
        reserved(few, 0.5, 0)


def test_names_of_questions_are_those_of_their_clusters() -> None:
    whole = worlds()
    names, numbers = cluster_names(whole), clusters_of(whole)
    flat = [
        (name, int(number))
        for row, own in zip(names, numbers, strict=True)
        for name, number in zip(row, own, strict=False)
    ]
    assert len(set(flat)) == len({name for name, _ in flat}) == len({number for _, number in flat}) == 32
    assert names[2][:2] == ("q0 (2)", "q1 (2)")
