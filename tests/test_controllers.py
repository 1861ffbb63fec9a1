"""The shipped controllers: parity with the published figures, schedules, and behaviour on small tables."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from autotts.controllers import asc, cmc, esc, parallel_probe, sc
from autotts.replay.episode import Episode
from autotts.replay.source import Table, TableSource

PROGRAMS: dict[str, Any] = {"sc": sc, "asc": asc, "esc": esc, "parallel_probe": parallel_probe, "cmc": cmc}
METHODS = {"asc": "asc", "esc": "esc", "Parallel_Probe": "parallel_probe", "published_round_4": "cmc"}
INTERVAL = 500
NOWHERE = -5  # a gold answer that no branch shows

# ---- parity --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def environment(path: Path) -> list[tuple[Table, int]]:
    result = []
    for question in json.loads(path.read_text(encoding="utf-8")):
        ids = {"ERR": 0}
        rows = [
            [ids.setdefault(answer, len(ids)) for answer in [*probes, final]]
            for probes, _, final in question["each_branch"]
        ]
        gold = ids.get(question["gold_answer"], NOWHERE)
        result.append((Table(rows, [branch[1] for branch in question["each_branch"]]), gold))
    return result


def published(recorded: Path) -> list[dict[str, Any]]:
    rows = json.loads((recorded / "published_aime24.json").read_text(encoding="utf-8"))
    return [row for row in rows if row["method"] in METHODS]


def knobs_of(row: dict[str, Any]) -> dict[str, float]:
    program = PROGRAMS[METHODS[row["method"]]]
    knobs: dict[str, float] = program.schedule(row["params"].get("beta", 0.5))
    return knobs | {name: value for name, value in row["params"].items() if name in knobs}


def assert_row(recorded: Path, row: dict[str, Any]) -> None:
    program, knobs = PROGRAMS[METHODS[row["method"]]], knobs_of(row)
    questions = environment(recorded / "replay" / row["model"] / f"{row['dataset']}.json")
    right = tokens = 0
    for table, gold in questions:
        for seed in range(100):
            episode = Episode(TableSource(table, seed, INTERVAL, 64), INTERVAL)
            right += episode._answer_id(program.solve(episode, dict(knobs))) == gold
            tokens += episode.tokens
    episodes = 100 * len(questions)
    assert (round(100 * right / episodes, 2), tokens // episodes) == (row["accuracy"], row["tokens"]), row


def test_parity_on_a_sample(recorded: Path) -> None:
    # One cheap row of each method, on one model, so that one recording is read.
    rows = [row for row in published(recorded) if row["model"] == "Qwen3-4B"]
    for method in METHODS:
        cheap = sorted((row for row in rows if row["method"] == method), key=lambda row: row["tokens"])[:4]
        assert_row(recorded, random.Random(1).choice(cheap))


@pytest.mark.slow
def test_parity_with_every_published_row(recorded: Path) -> None:
    rows = sorted(published(recorded), key=lambda row: row["model"])
    assert len(rows) == 104
    for row in rows:
        assert_row(recorded, row)


# ---- schedules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_knobs_are_monotone(name: str) -> None:
    grid = [PROGRAMS[name].schedule(k / 100) for k in range(101)]
    for knob in grid[0]:
        values = [knobs[knob] for knobs in grid]
        assert values in (sorted(values), sorted(values, reverse=True)), knob


@pytest.mark.parametrize(
    ("name", "knob", "least"),
    [
        ("sc", "max_samples", 1),
        ("asc", "max_samples", 1),
        ("esc", "max_samples", 8),
        ("parallel_probe", "num_chains", 1),
    ],
)
def test_samples_go_from_least_to_64(name: str, knob: str, least: int) -> None:
    assert PROGRAMS[name].schedule(0.0)[knob] == least
    assert PROGRAMS[name].schedule(1.0)[knob] == 64


# ---- small tables --------------------------------------------------------------------------------------------------


def play(name: str, answers: Sequence[Sequence[int]], *, limit: int = 64, **knobs: float) -> tuple[int, Episode]:
    """(answer id, episode) on branches that need 500 tokens an interval, in the order of the table."""
    table = Table(answers, [INTERVAL * len(row) for row in answers])
    source = TableSource(table, 0, INTERVAL, limit)
    source._order = tuple(range(len(answers)))
    source._answers = list(answers)[: source.limit]
    episode = Episode(source, INTERVAL)
    answer = PROGRAMS[name].solve(episode, PROGRAMS[name].schedule(0.5) | knobs)
    return episode._answer_id(answer), episode


def test_ties_go_to_the_answer_seen_first() -> None:
    assert play("sc", [[2], [1], [1], [2]], max_samples=4)[0] == 2


def test_asc_stops_at_four_unanimous_answers() -> None:
    answer, episode = play("asc", [[3, 1]] * 10, max_samples=10)
    assert (answer, len(episode.finished_branches), episode.tokens) == (1, 4, 4000)


def test_asc_reads_one_at_a_time_where_it_could_stop() -> None:
    answer, episode = play("asc", [[1], [2], *[[1]] * 20], max_samples=20)
    # After 1 : 1, the first count whose confidence is above 0.95 is 6 : 1 (0.965).
    assert (answer, len(episode.finished_branches)) == (1, 7)


def test_esc_stops_at_a_unanimous_window() -> None:
    answer, episode = play("esc", [[1], [2], [2], [2], *[[3]] * 9], max_samples=12, window_size=2)
    assert (answer, len(episode.finished_branches)) == (2, 4)


def test_parallel_probe_prunes_a_branch_off_track() -> None:
    rows = [[1] * 12, [1] * 12, [2] * 30]
    answer, episode = play("parallel_probe", rows, num_chains=3, warm_up=2, prune_patience=3)
    assert answer == 1
    assert episode.depth(2) == 6
    assert len(episode.finished_branches) == 2


def test_parallel_probe_stops_when_stable() -> None:
    answer, episode = play("parallel_probe", [[1] * 90] * 2, num_chains=2, T=5)
    assert (answer, episode.depth(0)) == (1, 7)


def test_cmc_leaves_at_least_two_live_branches() -> None:
    rows = [[1] * 3] * 2 + [[2] * 40] * 4
    _, episode = play("cmc", rows, limit=6, n_init=6, max_branch_use=6, conf_thresh=2.0, warm_up=2, abandon_patience=3)
    assert sum(episode.is_finished(i) for i in range(2, 6)) == 2


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_any_small_recording_is_played(name: str, beta: float) -> None:
    solve: Callable[..., Any] = PROGRAMS[name].solve
    rng = random.Random(5)
    for branches in (1, 2, 5, 70):
        rows = [[rng.randrange(4) for _ in range(rng.randint(1, 20))] for _ in range(branches)]
        table = Table(rows, [rng.randint(0, 12_000) for _ in rows])
        episode = Episode(TableSource(table, 3, INTERVAL, 64), INTERVAL)
        assert episode._answer_id(solve(episode, PROGRAMS[name].schedule(beta))) >= -1
