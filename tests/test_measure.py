"""A draft against its reference, and two programs question by question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts.errors import CpuLimit, Crashed, InputError
from autotts.evaluation import EnvironmentResult, Evaluator, Program, Protocol, clusters_of, shipped
from autotts.evaluation.statistics import Scores, gain_at_matched_tokens
from autotts.traces import Evidence, compare, measured, reject_text
from autotts.traces.compare import matched
from autotts.traces.measure import scores_of
from tests.naive import ENVIRONMENTS, close

# ---- programs --------------------------------------------------------------------------------------------------

PROTOCOL = Protocol((0.0, 0.3, 0.6, 1.0), (0, 1, 2))


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    with Evaluator(ENVIRONMENTS, workers=1) as made:
        yield made


def measure(evaluator: Evaluator, program: Program, reference: list[EnvironmentResult], name: str = "cmc") -> Evidence:
    results = evaluator.run(program, PROTOCOL)
    names = (program.name or program.id, name)
    return measured(evaluator.environments, results, reference, PROTOCOL, names=names)[0]


def test_a_draft_is_measured_as_every_program_is(evaluator: Evaluator) -> None:
    reference = evaluator.run(shipped("cmc"), PROTOCOL)
    found = measure(evaluator, shipped("asc"), reference)
    results = evaluator.run(shipped("asc"), PROTOCOL)
    gain = gain_at_matched_tokens(
        scores_of(ENVIRONMENTS, PROTOCOL.betas, results), scores_of(ENVIRONMENTS, PROTOCOL.betas, reference)
    )
    for b, row in enumerate(found.rows):
        accuracy = np.mean([100 * r.right[b].sum() / (3 * r.right.shape[1]) for r in results])
        tokens = np.mean([r.tokens[b].sum() / (3 * r.right.shape[1]) for r in results])
        waited = np.mean([r.sequential_tokens[b].sum() / (3 * r.right.shape[1]) for r in results])
        assert row[1:4] == pytest.approx((accuracy, tokens, waited))
    text = found.text()
    assert f"{100 * gain.value:+.2f} ± {100 * gain.se:.2f} points" in text
    assert f"can resolve ± {100 * gain.resolution:.1f} points at 95 %" in text
    assert f"p = {gain.sign_flip_p:.3f}" in text and "q" in text and "By environment: tiny/tiny" in text
    assert "Spending falls" not in text
    same = measure(evaluator, shipped("cmc"), reference).text()
    assert "Gain over cmc at matched tokens: +0.00 ± 0.00" in same


FALLING = """def schedule(beta):
    return {"n": 3 - 2 * beta}


def solve(episode, knobs):
    i = episode.branches(int(knobs["n"]))
    return episode.probe(i)[0]
"""


def test_falling_spending_and_rejects_are_told(evaluator: Evaluator) -> None:
    reference = evaluator.run(shipped("sc"), PROTOCOL)
    found = measure(evaluator, Program.from_source(FALLING, "falling"), reference, name="sc").text()
    assert "Spending falls although β rises between β = 0 and 0.3" in found
    bad = FALLING.replace("[0]", "[9]")
    with pytest.raises(Crashed) as caught:
        measure(evaluator, Program.from_source(bad), reference)
    assert reject_text(caught.value, bad).splitlines() == [
        "Crashed",
        "  line 7: return episode.probe(i)[9]",
        "  IndexError: list index out of range",
        "  in β=0, tiny/tiny, question 1, seed 0",
    ]
    assert reject_text(CpuLimit("slow", 99), "x\n") == "CpuLimit\n  line 99\n  slow\n"
    assert "\x1b" not in reject_text(Crashed("odd", 1), "x = '\x1b[31m'\n")


def test_a_comparison_tells_what_changed(evaluator: Evaluator) -> None:
    a, b = evaluator.run(shipped("asc"), PROTOCOL), evaluator.run(shipped("sc"), PROTOCOL)
    found = compare(a, b, ENVIRONMENTS, PROTOCOL.betas, names=("asc", "sc"))
    ours, theirs = (scores_of(ENVIRONMENTS, PROTOCOL.betas, results) for results in (a, b))
    gain = gain_at_matched_tokens(ours, theirs)
    (accuracy, tokens), (before, spent) = naive_matched(ours, gain.levels), naive_matched(theirs, gain.levels)
    clusters = clusters_of(ENVIRONMENTS)
    ids = {int(c): q.id for e, row in zip(ENVIRONMENTS, clusters, strict=True)
           for c, q in zip(row, e.questions, strict=False)}  # fmt: skip
    changed = [(c, share) for c, share in gain.by_question if abs(share) >= 0.0005]
    assert changed and len(changed) == len(found.rows)
    for (cluster, share), row in zip(changed, found.rows, strict=True):
        assert row[:2] == (ids[cluster], pytest.approx(100 * share))
        places = [(e, q) for e in range(3) for q in range(clusters.shape[1]) if clusters[e, q] == cluster]
        wanted = [None] * 3
        for e, q in places:
            wanted[e] = 100 * (accuracy[e][q] - before[e][q])  # type: ignore[call-overload]
        assert all(map(close, row[2:5], wanted))
        ratio = sum(tokens[e][q] for e, q in places) / sum(spent[e][q] for e, q in places)
        assert row[5] == pytest.approx(100 * (ratio - 1))
    up = sum(share >= 0.0005 for _, share in gain.by_question)
    assert f"How broad: {up} questions gain" in found.text()
    top = sorted((s for _, s in gain.by_question), reverse=gain.value > 0)[:3]
    assert f"carry {100 * sum(top) / gain.value:.0f} % of the gain" in found.text()
    same = compare(a, a, ENVIRONMENTS, PROTOCOL.betas)
    assert same.rows == () and "0 questions gain, 0 lose" in same.text()
    assert len(compare(a, b, ENVIRONMENTS, PROTOCOL.betas, most=2).rows) == 2
    with pytest.raises((InputError, ValueError)):
        compare(a[:2], b, ENVIRONMENTS, PROTOCOL.betas)


def naive_matched(scores: Scores, levels: Any) -> tuple[Any, Any]:
    """Level by level, question by question."""
    x = np.nanmean(np.nanmean(scores.tokens / scores.units[:, None, None], axis=2), axis=0)
    order = sorted(range(len(x)), key=lambda b: (x[b], b))
    accuracy, tokens = [], []
    for level in levels:
        below = [b for b in order if x[b] <= level]
        above = [b for b in order if x[b] > level]
        mix = {}
        if not below:
            mix = {above[0]: level / x[above[0]]}
        elif not above:
            mix = {below[-1]: 1.0}
        else:
            share = (level - x[below[-1]]) / (x[above[0]] - x[below[-1]])
            mix = {below[-1]: 1 - share, above[0]: share}
        accuracy.append(sum(w * scores.accuracy[:, b, :] for b, w in mix.items()))
        tokens.append(sum(w * scores.tokens[:, b, :] for b, w in mix.items()))
    return np.mean(accuracy, axis=0), np.mean(tokens, axis=0)


@given(st.integers(0, 10_000))
def test_matched_tokens_add_up_to_the_gain_where_curves_rise(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def one() -> Scores:
        accuracy = np.sort(rng.random((2, 4, 5)), axis=1)
        tokens = np.cumsum(rng.random((2, 4, 5)) + 0.01, axis=1)
        return Scores(accuracy, tokens, np.tile(np.arange(5), (2, 1)), np.array([2.0, 3.0]))

    ours, theirs = one(), one()
    gain = gain_at_matched_tokens(ours, theirs, resamples=2)
    difference = matched(ours, gain.levels)[0] - matched(theirs, gain.levels)[0]
    assert float(difference.mean()) == pytest.approx(gain.value, abs=1e-9)
