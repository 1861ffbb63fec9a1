"""The commands behind the figures in the docs run, and write what they say they write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autotts.replay import save_environment
from tests.small import small_environment

ROOT = Path(__file__).resolve().parents[1]


def benchmark(name: str, *args: str) -> str:
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / name), *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def recordings(tmp_path: Path) -> str:
    for seed, model in enumerate(("tiny-a", "tiny-b")):
        save_environment(small_environment(model, seed=seed), tmp_path / f"{model}.jsonl")
    return str(tmp_path / "tiny-*.jsonl")


@pytest.mark.slow
def test_search_quality_compares_evolution_and_random_sampling(recordings: str, tmp_path: Path) -> None:
    benchmark("search_quality.py", "--quick", "--env", recordings, "--out", str(tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    for row in ("| 1 | evolution |", "| 1 | random |", "| difference | evolution − random |"):
        assert row in page
    assert "## How far this carries" in page


def test_evaluation_cost_gives_ratios(recordings: str, tmp_path: Path) -> None:
    benchmark("evaluation_cost.py", "--seeds", "1", "--env", recordings, "--out", str(tmp_path / "page.md"))
    lines = [line.split("|") for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith("| ")]
    rows, starts = lines[1:5], lines[6:]
    assert [row[1].strip() for row in rows] == ["cmc", "parallel_probe", "asc", "sc"]
    assert all(float(row[6]) > 0 and float(row[7]) > 0 for row in rows)
    assert starts[0][1].strip() == "process"
    assert all(float(row[3].strip().removesuffix(" ms")) > 0 for row in starts)


def test_evidence_cost_times_every_instrument(recordings: str, tmp_path: Path) -> None:
    benchmark("evidence_cost.py", "--env", recordings, "--workers", "1", "--out", str(tmp_path / "page.md"))
    rows = [line.split("|") for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 12
    assert all(float(row[2]) > 0 and float(row[3]) > 0 for row in rows)


def test_screening_compares_bounds_and_screens(recordings: str, tmp_path: Path) -> None:
    benchmark("screening.py", "--quick", "--env", recordings, "--out", str(tmp_path / "page.md"))
    rows = [line.split("|")[1:-1] for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith("| ")]
    heads = [n for n, row in enumerate(rows) if row[-1].strip() == "hypervolume lost at most"]
    bounds, screens = rows[heads[0] + 1 : heads[1]], rows[heads[1] + 1 :]
    assert len(bounds) == 7
    assert len(screens) == 3  # those of no more seeds than the quick size has
    assert all(0 < float(row[1]) <= 100 and float(row[2]) > 0 for row in screens)


def test_polish_scores_on_questions_held_back(tmp_path: Path) -> None:
    save_environment(small_environment(questions=12), tmp_path / "tiny.jsonl")
    benchmark("polish.py", "--quick", "--env", str(tmp_path / "tiny.jsonl"), "--out", str(tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert all(f"\n| {name} | 1 | " in page for name in ("esc", "parallel_probe", "cmc"))
    assert "## By how long is tuned" in page and "of 3 |" in page


@pytest.mark.slow
def test_selection_compares_every_strategy_with_the_default(recordings: str, tmp_path: Path) -> None:
    benchmark("selection.py", "--quick", "--env", recordings, "--out", str(tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    for name in ("best_of_n", "sequential", "per_question", "islands", "map_elites_spending", "map_elites_mechanisms"):
        assert f"\n| {name} − pareto | " in page and f"\n| 1, {name} | " in page
        assert f"\n- `{name}`: cannot be told apart" in page  # with one seed nothing can


def test_archive_scale_runs_on_the_smallest_size(tmp_path: Path) -> None:
    benchmark("archive_scale.py", "--programs", "1000", "--out", str(tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert "resolve an id" in page and "| 1,000 |" in page


def test_overhead_tells_what_is_added_to_a_bare_child(tmp_path: Path) -> None:
    benchmark("overhead.py", "--candidates", "40", "--workers", "1", "--out", str(tmp_path / "page.md"))
    rows = [line.split("|") for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith("| ")]
    clock, cpu, added = rows[1], rows[3], rows[5]
    assert [cell.strip() for cell in clock[1:4]] == ["AutoTTS", "1", "40"]
    assert all(float(cell) > 0 for cell in clock[4:12] + cpu[3:9])
    assert float(added[2]) > 0 and float(added[5]) > 0


@pytest.mark.slow
def test_the_example_of_a_report_is_what_is_printed(tmp_path: Path) -> None:
    benchmark("champion_example.py", "--rounds", "2", "--out", str(tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert "Champion of run-1" in page and "no agent and no selection saw" in page and "crosses the budget" in page


@pytest.mark.slow
def test_the_default_search_beats_every_baseline_on_questions_that_it_never_saw(tmp_path: Path) -> None:
    benchmark("default_search.py", "--fresh", "10", "--out", str(tmp_path / "page.md"))
    assert "The front beats every baseline in both: yes." in (tmp_path / "page.md").read_text()


def test_browse_measures_the_real_command_in_a_terminal(tmp_path: Path) -> None:
    benchmark("browse.py", "--programs", "1200", "--out", str(tmp_path / "page.md"))
    rows = [line.split("|")[1:-1] for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows] == ["programs", "1,000", "1,200", "ratio"]
    assert all(float(cell.split()[0]) > 0 for row in rows[1:] for cell in row[1:])


def test_serving_tells_what_requests_take_and_by_whom(tmp_path: Path) -> None:
    benchmark("serving.py", "--requests", "12", "--rounds", "2", "--out", str(tmp_path / "page.md"))
    rows = [line.split("|")[1:-1] for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows] == [
        "round",
        "1",
        "2",
        "process",
        "endpoint",
        "math-verify",
        "sandbox",
        "stub",
    ]
    assert all(float(cell) > 0 for row in rows[1:3] for cell in row[1:])
    assert abs(sum(int(row[2].split()[0]) for row in rows[4:]) - 100) <= 2
