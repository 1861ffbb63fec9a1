"""The synthetic environments: deterministic, and they behave like recorded ones."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autotts.errors import InputError
from autotts.replay import Environment, Trajectory, load_environments, summarize, synthetic_environments, table_of
from autotts.replay.episode import Episode
from autotts.replay.source import TableSource

CONTROLLERS = ("sc", "asc", "esc", "parallel_probe", "cmc")
BETAS = (0.5, 1.0)
SEEDS = range(4)
DIGESTS = {"search": "945603cb15b110ac", "heldout": "79280a0df3b5006b"}


@pytest.fixture(scope="module")
def search() -> list[Environment]:
    return synthetic_environments("search")


@pytest.fixture(scope="module")
def recordings(recorded: Path) -> list[Environment]:
    """Weakest first, as the synthetic ones."""
    return load_environments(sorted((recorded / "replay").glob("*/aime24.json")))


def curves(environments: Sequence[Environment]) -> dict[str, NDArray[np.float64]]:
    """Per controller (environments, β, [accuracy %, tokens]), all questions, few seeds, in process."""
    result = {}
    for name in CONTROLLERS:
        module = importlib.import_module(f"autotts.controllers.{name}")
        rows = []
        for environment, beta in itertools.product(environments, BETAS):
            knobs, right, tokens = module.schedule(beta), [], []
            for question in environment.questions:
                table, gold = table_of(question)
                for seed in SEEDS:
                    source = TableSource(table, seed, environment.interval, environment.max_branches)
                    episode = Episode(source, environment.interval)
                    right.append(episode._answer_id(module.solve(episode, knobs)) == gold)
                    tokens.append(episode.tokens)
            rows.append((100 * np.mean(right), np.mean(tokens)))
        result[name] = np.array(rows).reshape(len(environments), len(BETAS), 2)
    return result


@pytest.fixture(scope="module")
def synthetic_curves(search: list[Environment]) -> dict[str, NDArray[np.float64]]:
    return curves(search)


def accuracies(environment: Environment) -> NDArray[np.float64]:
    return np.array([np.mean([b.final == q.gold for b in q.branches]) for q in environment.questions])


def branches(environment: Environment) -> list[tuple[Trajectory, str]]:
    return [(b, q.gold) for q in environment.questions for b in q.branches]


def behaviour(environment: Environment) -> dict[str, Any]:
    """What must be alike, as plain figures."""
    pairs = branches(environment)
    switches = [a != b for t, _ in pairs for a, b in itertools.pairwise(t.answers)]
    wrongs = [Counter(b.final for b in q.branches if b.final not in (q.gold, "ERR")) for q in environment.questions]
    early = [
        np.mean([b.final == q.gold for b in sorted(q.branches, key=lambda b: b.tokens)[:12]])
        for q in environment.questions
    ]
    # Shown before the branch left it for something else, and came back to it at the end.
    returns = [any(a == t.final for a in t.answers[:k]) for t, _ in pairs if (k := settled(t) - 1) > 0]
    at_depth = {
        r: np.mean([t.answers[int(r * len(t.answers))] == g for t, g in pairs]) for r in (0.1, 0.25, 0.5, 0.75, 0.9)
    }
    return {
        "distinct wrong": np.mean([len(c) for c in wrongs]),
        "tempting": np.mean([max(c.values(), default=0) / 128 for c in wrongs]),
        "switches": np.mean(switches),
        "returns": np.mean(returns),
        "early finishers right": np.mean(early),
        "right at relative depth": np.array(list(at_depth.values())),
    }


def settled(branch: Trajectory) -> int:
    """The index from which on a branch shows its final answer."""
    k = len(branch.answers) - 1
    while k > 0 and branch.answers[k - 1] == branch.final:
        k -= 1
    return k


# ---- always --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", DIGESTS)
def test_the_same_on_every_platform(split: str) -> None:
    digests = "".join(environment.hash for environment in synthetic_environments(split))
    assert hashlib.sha256(digests.encode()).hexdigest()[:16] == DIGESTS[split]


def test_seeds_and_splits_differ_and_share_no_question(search: list[Environment]) -> None:
    heldout = synthetic_environments("heldout")
    assert {q.id for e in search for q in e.questions}.isdisjoint(q.id for e in heldout for q in e.questions)
    assert search[0].hash != synthetic_environments("search", seed=1)[0].hash
    assert [e.name for e in heldout] == [f"synthetic-{size}/heldout" for size in ("xs", "s", "m", "l")]
    with pytest.raises(InputError, match="synthetic:other"):
        synthetic_environments("other")


def test_shape(search: list[Environment]) -> None:
    first = search[0].questions
    for environment in search:
        assert (environment.interval, len(environment.questions), environment.kappa_probe) == (500, 30, 0)
        # The same questions, with the same answers, in every environment.
        assert [(q.id, q.text, q.gold) for q in environment.questions] == [(q.id, q.text, q.gold) for q in first]
        for branch, _ in branches(environment):
            assert branch.probes
            assert branch.probes[-1] == branch.final
            assert 0 < branch.tokens <= 41_500
        assert all(len(q.branches) == 128 for q in environment.questions)
    assert first[16].text == "Synthetic question 17"


def test_generation_is_fast() -> None:
    start = time.process_time()
    synthetic_environments("search", seed=5)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("split", ["search", "heldout"])
def test_behaviour(split: str) -> None:
    environments = synthetic_environments(split)
    means = [accuracies(environment).mean() for environment in environments]
    assert means == sorted(means)
    for environment in environments:
        pairs = branches(environment)
        right = np.median([b.tokens for b, gold in pairs if b.final == gold])
        wrong = np.median([b.tokens for b, gold in pairs if b.final != gold])
        assert wrong > 1.2 * right
        # Hopeless questions, a tempting wrong answer somewhere, branches shorter than their probes.
        assert (accuracies(environment) < 0.05).sum() >= 2
        assert behaviour(environment)["early finishers right"] > accuracies(environment).mean() + 0.03
        assert 0.14 < np.mean([b.tokens < 500 * len(b.probes) for b, _ in pairs]) < 0.23
        assert 0.02 < np.mean([p == "ERR" for b, _ in pairs for p in b.probes]) < 0.15
        assert 0.002 < np.mean([b.tokens > 41_000 for b, _ in pairs]) < 0.05
    correlation = np.corrcoef([accuracies(environment) for environment in environments])
    assert correlation[2, 3] > 0.75
    assert correlation[1, 2] > 0.4
    assert correlation.min() > 0.0
    assert behaviour(environments[0])["distinct wrong"] > 3 * behaviour(environments[3])["distinct wrong"]


def test_controllers_rank_as_published(synthetic_curves: dict[str, NDArray[np.float64]]) -> None:
    mean = {name: curve.mean(axis=0) for name, curve in synthetic_curves.items()}
    sc, cmc = mean["sc"], mean["cmc"]
    assert abs(mean["asc"][1, 0] - sc[1, 0]) < 1.0
    assert abs(mean["esc"][1, 0] - sc[1, 0]) < 1.0
    assert cmc[1, 0] > sc[1, 0] + 1.0
    assert cmc[1, 1] < mean["esc"][1, 1] < 0.8 * sc[1, 1]
    assert mean["asc"][1, 1] < cmc[1, 1] < mean["parallel_probe"][1, 1] < sc[1, 1]


# ---- against the recorded data, where it is present ---------------------------------------------------------------


def test_statistics_are_those_of_the_recordings(search: list[Environment], recordings: list[Environment]) -> None:
    for made, real in zip(search, recordings, strict=True):
        a, b = summarize(made), summarize(real)
        assert a["pass@1"] == pytest.approx(b["pass@1"], abs=3)
        assert a["majority@64"] == pytest.approx(b["majority@64"], abs=8)
        assert a["tokens_mean"] == pytest.approx(b["tokens_mean"], rel=0.12)
        assert a["tokens_median_right"] == pytest.approx(b["tokens_median_right"], rel=0.20)
        assert a["tokens_median_wrong"] == pytest.approx(b["tokens_median_wrong"], rel=0.20)
        for q in ("10", "25", "50", "75", "90"):
            assert a["tokens"][q] == pytest.approx(b["tokens"][q], rel=0.28)
            assert a["depths"][q] == pytest.approx(b["depths"][q], rel=0.28, abs=2)
            assert a["answer_settles_at_relative_depth"][q] == pytest.approx(
                b["answer_settles_at_relative_depth"][q], abs=0.14
            )
        assert a["unparsed_probes"] == pytest.approx(b["unparsed_probes"], abs=0.03)
        assert a["unparsed_finals"] == pytest.approx(b["unparsed_finals"], abs=0.005)
        assert a["share_shorter_than_probes"] == pytest.approx(b["share_shorter_than_probes"], abs=0.02)
        x, y = behaviour(made), behaviour(real)
        assert x["distinct wrong"] == pytest.approx(y["distinct wrong"], rel=0.2)
        assert x["tempting"] == pytest.approx(y["tempting"], abs=0.05)
        assert x["switches"] == pytest.approx(y["switches"], abs=0.06)
        assert x["returns"] == pytest.approx(y["returns"], abs=0.25)
        assert x["early finishers right"] == pytest.approx(y["early finishers right"], abs=0.06)
        assert x["right at relative depth"] == pytest.approx(y["right at relative depth"], abs=0.09)
        assert np.sort(accuracies(made)) == pytest.approx(np.sort(accuracies(real)), abs=0.25)


def test_controllers_rank_and_save_as_on_the_recordings(
    synthetic_curves: dict[str, NDArray[np.float64]], recordings: list[Environment]
) -> None:
    real = curves(recordings)
    for name in CONTROLLERS:
        made, mean = synthetic_curves[name].mean(axis=0), real[name].mean(axis=0)
        assert made[:, 0] == pytest.approx(mean[:, 0], abs=3.5), name
        # Shares of SC@64's tokens: within 5 points on average, within 10 in each environment.
        shares = made[:, 1] / synthetic_curves["sc"].mean(axis=0)[1, 1]
        assert shares == pytest.approx(mean[:, 1] / real["sc"].mean(axis=0)[1, 1], abs=0.05), name
        each = synthetic_curves[name][:, :, 1] / synthetic_curves["sc"][:, 1:, 1]
        assert each == pytest.approx(real[name][:, :, 1] / real["sc"][:, 1:, 1], abs=0.10), name
    # Who is more accurate at β = 1, wherever the recordings tell two apart by more than a point and a half.
    for a, b in itertools.combinations(CONTROLLERS, 2):
        difference = real[a].mean(axis=0)[1, 0] - real[b].mean(axis=0)[1, 0]
        if abs(difference) > 1.5:
            assert np.sign(difference) == np.sign(
                synthetic_curves[a].mean(axis=0)[1, 0] - synthetic_curves[b].mean(axis=0)[1, 0]
            )
        cheaper = real[a].mean(axis=0)[1, 1] / real[b].mean(axis=0)[1, 1]
        if not 0.9 < cheaper < 1.1:
            made = synthetic_curves[a].mean(axis=0)[1, 1] / synthetic_curves[b].mean(axis=0)[1, 1]
            assert (made < 1) == (cheaper < 1)


def test_the_published_statistics_of_the_recordings_hold_too(search: list[Environment], recorded: Path) -> None:
    published = json.loads((recorded / "aime24_statistics.json").read_text())
    for environment, figures in zip(search, published.values(), strict=True):
        quantiles = np.percentile(accuracies(environment), [0, 10, 25, 50, 75, 90, 100])
        assert quantiles == pytest.approx(figures["question_accuracy_quantiles"], abs=0.08)
