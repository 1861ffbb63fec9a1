"""Which screened programs pass: the gate, its bound, and the size of the screen."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotts.archive import Point
from autotts.search import Config
from autotts.search.screening import DOUBT, Gate, spent

BETAS = (0.0, 0.25, 0.5, 0.75, 1.0)
ENDS = (0.0, 1.0)
LUCK = 0.02


def curve(name: str, accuracy: float, tokens: float = 1000.0, betas: Sequence[float] = BETAS) -> list[Point]:
    """Rises by ten points over β, while tokens double."""
    return [Point(name, beta, tokens * 2**beta, accuracy + beta / 10) for beta in betas]


def gate_of(n: int, rng: random.Random, noise: float = 0.005) -> Gate:
    """After n programs between 40 and 50 %, each screened at both ends with the same luck and an error of its own."""
    gate = Gate()
    for k in range(n):
        accuracy, tokens = rng.uniform(0.4, 0.5), 1000 * rng.uniform(1, 1.2)
        error, spread = rng.gauss(LUCK, noise), math.exp(rng.gauss(0, noise))
        gate = gate.add(curve(f"p{k}", accuracy + error, tokens * spread, ENDS), curve(f"p{k}", accuracy, tokens))
    return gate


seeds = st.integers(0, 10**6)
gates = st.builds(lambda n, seed: gate_of(n, random.Random(seed)), st.integers(0, 40), seeds)
accuracies = st.floats(0.0, 0.9)
looks = st.integers(1, 10**6)


@given(gates, looks)
def test_a_program_that_dominates_the_front_passes(gate: Gate, look: int) -> None:
    top = max((p.accuracy for p in gate.edge), default=0.0)
    assert gate.look(curve("new", top + LUCK + 0.05, 1400.0, ENDS), look).passes


@given(gates, looks, accuracies, st.floats(0.0, 0.5), st.floats(200.0, 5000.0))
def test_passing_is_monotone_in_accuracy(gate: Gate, look: int, low: float, more: float, tokens: float) -> None:
    if gate.look(curve("new", low, tokens, ENDS), look).passes:
        assert gate.look(curve("new", low + more, tokens, ENDS), look).passes


@given(gates, looks, st.integers(0, 10**6), accuracies)
def test_more_looks_never_make_the_bound_tighter(gate: Gate, look: int, more: int, accuracy: float) -> None:
    screened = curve("new", accuracy, 1400.0, ENDS)
    first, later = gate.look(screened, look), gate.look(screened, look + more)
    assert later.bound <= first.bound
    assert later.passes or not first.passes


@given(st.integers(2, 40), seeds)
def test_a_gate_is_a_snapshot_and_holds_no_more_than_the_front(n: int, seed: int) -> None:
    gate = gate_of(n, random.Random(seed))
    assert gate == gate_of(n, random.Random(seed))
    before = repr(vars(gate))
    added = gate.add(curve("new", 0.9, 100.0, ENDS), curve("new", 0.9, 100.0))
    assert repr(vars(gate)) == before
    assert len(added.edge) <= len(BETAS)  # it dominates all others


def test_the_doubt_of_all_looks_together_is_bounded() -> None:
    n = 200_000
    rest = DOUBT / (2.11 * math.log(n))  # of all later looks, by the integral
    assert sum(spent(k) for k in range(1, n)) + rest < DOUBT
    assert all(spent(k) > spent(k + 1) for k in range(1, 100))


@settings(max_examples=20)
@given(seeds)
def test_what_is_near_the_front_passes_and_what_is_far_from_it_does_not(seed: int) -> None:
    gate = gate_of(60, random.Random(seed))
    edge = max(p.accuracy for p in gate.edge) - 0.1
    assert gate.look(curve("near", edge + LUCK - 0.003, 1400.0, ENDS), 60).passes
    assert not gate.look(curve("far", edge - 0.3, 1400.0, ENDS), 60).passes


def test_luck_that_all_share_is_taken_off_and_the_reason_gives_figures() -> None:
    gate = gate_of(60, random.Random(1))
    top = max(p.accuracy for p in gate.edge)
    told = gate.look([Point("new", beta, 5000.0, top + LUCK - 0.1) for beta in ENDS], 37)
    assert told.lead == pytest.approx(-0.1, abs=0.003)
    assert told.reason.startswith("10.") or told.reason.startswith("9.9")
    assert "points below the front at 5K tokens; the bound is" in told.reason
    assert told.reason.endswith("below at look 37")


def test_what_may_be_cheaper_than_all_of_the_front_passes() -> None:
    gate = gate_of(60, random.Random(1))
    told = gate.look(curve("cheap", 0.0, gate.edge[0].tokens * 0.9, ENDS), 1)
    assert told.passes
    assert "as none of the front" in told.reason


def test_while_too_little_is_known_everything_passes() -> None:
    told = gate_of(1, random.Random(0)).look(curve("new", 0.0, 9000.0, ENDS), 1)
    assert told.passes
    assert told.reason == "too few programs are confirmed to tell"


def test_every_program_is_confirmed_at_the_same_betas() -> None:
    gate = Gate().add(curve("a", 0.4, betas=ENDS), curve("a", 0.4))
    with pytest.raises(ValueError, match="where the programs before were"):
        gate.add(curve("b", 0.4, betas=ENDS), curve("b", 0.4, betas=ENDS))


def test_the_default_screen_is_at_most_a_tenth_of_the_episodes_and_has_both_ends() -> None:
    config = Config()
    screen, whole = config.screen_protocol, config.protocol
    assert len(screen.betas) * len(screen.seeds) <= len(whole.betas) * len(whole.seeds) / 10
    assert (screen.betas[0], screen.betas[-1]) == (0.0, 1.0)
    assert set(screen.betas) <= set(whole.betas)
    assert set(screen.seeds) <= set(whole.seeds)


def test_a_run_of_before_there_were_screened_betas_screens_all() -> None:
    assert Config.from_json({"agent": "evolution", "betas": 7}).screen_protocol.betas == Config(betas=7).protocol.betas


def test_a_screen_that_errs_to_the_harmless_side_alone_still_rejects_the_hopeless_in_the_end() -> None:
    """Few errors that could have lost a program say that they are rare, not that nothing is known."""
    gate, rng = gate_of(12, random.Random(0)), random.Random(0)
    for k in range(60):
        flattered = curve(f"p{k}", 0.05 + 0.05 * rng.random() + LUCK, 2000.0, ENDS)
        gate = gate.add(flattered, curve(f"p{k}", 0.0, 2000.0))
    assert not gate.look(curve("hopeless", 0.05 + LUCK, 2000.0, ENDS), 80).passes
