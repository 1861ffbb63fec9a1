"""The offline agent: its programs are valid, distinct, monotone, readable, and its proposals repeatable."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autotts.agents._base import Candidate, Context
from autotts.agents.evolution import EvolutionAgent
from autotts.agents.evolution.genome import SLOTS, Genome
from autotts.agents.evolution.mechanisms import MECHANISMS
from autotts.agents.evolution.operators import SEEDS, cross, mutate, random_genome
from autotts.agents.evolution.render import render
from autotts.replay.episode import Episode
from autotts.replay.source import Table, TableSource

ROOT = Path(__file__).resolve().parents[1]
BETAS = (0.0, 0.3, 1.0)


def genomes() -> list[Genome]:
    """200 genomes: the seeds, random ones, their mutants and crossings."""
    rng = random.Random(7)
    pool = [*SEEDS, *(random_genome(rng) for _ in range(100))]
    while len(pool) < 200:
        first, second = rng.sample(pool, 2)
        pool.append(mutate(cross(first, second, rng) if rng.random() < 0.5 else first, rng))
    return pool


@pytest.fixture(scope="module")
def pool() -> list[Genome]:
    return genomes()


def tables() -> list[Table]:
    """Tiny recordings of every shape: instant ends, one branch, all unparsed, a clear and an open vote."""
    rng = random.Random(3)
    result = [Table([[1]], [100]), Table([[0, 0], [0]], [700, 0]), Table([[0, 1, 1]] * 3, [900, 0, 5000])]
    for answers in (2, 9):
        rows = [[rng.randrange(answers) for _ in range(rng.randint(1, 30))] for _ in range(66)]
        result.append(Table(rows, [rng.randint(0, 16_000) for _ in rows]))
    return result


def load(source: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(source, "<program>", "exec"), namespace)
    return namespace


def candidate(number: int, genome: Genome, gain: float) -> Candidate:
    source = render(genome)
    return Candidate(f"p{number}", source, "", "evolution", genome.to_json(), "ok", gain, 0.01, False, 0, number, ())


def baseline() -> Candidate:
    """What round 0 leaves behind: a program without a genome."""
    return Candidate("cmc", "source", "", "baseline", "", "ok", 0.0, 0.0, True, 0, 0, ())


def test_programs_are_distinct(pool: list[Genome]) -> None:
    sources = {render(genome) for genome in pool}
    assert len(sources) >= 0.97 * len(set(pool))


def test_knobs_are_finite_and_monotone(pool: list[Genome]) -> None:
    for genome in pool:
        schedule = load(render(genome))["schedule"]
        grid = [schedule(k / 100) for k in range(101)]
        for knob in grid[0]:
            values = [knobs[knob] for knobs in grid]
            assert values in (sorted(values), sorted(values, reverse=True)), (knob, render(genome))


def test_programs_run_on_any_recording(pool: list[Genome]) -> None:
    for genome in pool:
        namespace = load(render(genome))
        for table in tables():
            for beta in BETAS:
                episode = Episode(TableSource(table, 1, 500, 64), 500)
                assert episode._answer_id(namespace["solve"](episode, namespace["schedule"](beta))) >= -1
                assert episode.tokens >= 0


def test_genomes_survive_json(pool: list[Genome]) -> None:
    for genome in pool:
        again = Genome.from_json(genome.to_json())
        assert again is not None
        assert again.to_json() == genome.to_json()
        assert render(again) == render(genome)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"slots": 3}', "a model's answer"])
def test_other_answers_hold_no_genome(text: str) -> None:
    assert Genome.from_json(text) is None


def test_every_mechanism_is_drawn(pool: list[Genome]) -> None:
    drawn = {(slot, genome.gene(slot).variant) for genome in pool for slot in SLOTS}
    assert drawn == {(m.slot, m.variant) for m in MECHANISMS}


def test_programs_read_as_written_by_hand(pool: list[Genome], tmp_path: Path) -> None:
    for number, genome in enumerate(pool):
        (tmp_path / f"program_{number}.py").write_text(render(genome), encoding="utf-8")
    for arguments in (["check", "-q"], ["format", "-q", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[:2000]


def test_proposals_are_repeatable_and_new() -> None:
    agent = EvolutionAgent()
    told = [baseline()]
    for number in range(24):
        parents = tuple(sorted(told, key=lambda c: -(c.gain or 0))[:3])
        context = Context(1 + number // 4, number % 4, tuple(told), parents)
        first, second = (agent.propose(context, random.Random(number)) for _ in range(2))
        assert first == second
        assert first.source not in {c.source for c in told}
        genome = Genome.from_json(first.answer)
        assert genome is not None
        assert render(genome) == first.source
        told.append(candidate(number, genome, random.Random(number).random()))
    assert any(agent.propose(Context(7, s, tuple(told), tuple(told[:3])), random.Random(s)).parents for s in range(4))


def test_first_round_starts_from_the_ordinary_assemblies() -> None:
    context = [Context(1, slot, (baseline(),), (baseline(),)) for slot in range(len(SEEDS))]
    proposals = [EvolutionAgent().propose(c, random.Random(0)) for c in context]
    assert [p.source for p in proposals] == [render(genome) for genome in SEEDS]
    assert all(p.parents == () for p in proposals)


def test_an_assembly_that_is_known_already_is_not_proposed_again() -> None:
    known = tuple(candidate(number, genome, 0.0) for number, genome in enumerate(SEEDS))
    for slot in range(4):
        assert EvolutionAgent().propose(Context(1, slot, known, ()), random.Random(slot)).source not in {
            c.source for c in known
        }


@pytest.mark.parametrize("answer", ["prose", SEEDS[0].to_json().replace("burst", "vanished")])
def test_parents_without_a_known_genome_are_ignored(answer: str) -> None:
    stranger = Candidate("x", "source", "", "mock/one", answer, "ok", 0.1, 0.1, True, 0, 0, ())
    proposal = EvolutionAgent().propose(Context(3, 0, (stranger,), (stranger,)), random.Random(0))
    assert proposal.parents == ()
