"""What the instruments make of traces: agreement with a slow reckoning, bad lines named, no right answer told."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autotts.errors import InputError
from autotts.evaluation import SAMPLE, EpisodeTrace, Evaluator, Program, shipped
from autotts.replay import Environment, load_environments, synthetic_environments
from autotts.replay.episode import OP_PRUNE
from autotts.traces import (
    KINDS,
    LineCredit,
    credit,
    credit_by_line,
    episode,
    failures,
    gutter,
    overridden,
    timeline,
)
from autotts.traces._failures import kind_of, may_be_told
from autotts.traces._walk import questions_of, walk
from tests.traced import LINES, MIXED, SHOWS, Naive, naive_decisions, naive_harm, naive_kind, program


@pytest.fixture(scope="module")
def mixed(evaluator: Evaluator) -> list[EpisodeTrace]:
    return evaluator.trace(MIXED, replace(SAMPLE, seeds=(0, 1, 2)))


def test_credit_is_what_a_reckoning_from_the_recording_gives(
    mixed: list[EpisodeTrace], worlds: list[Environment]
) -> None:
    groups: dict[tuple[int | None, str], list[tuple[str, tuple[Any, ...]]]] = defaultdict(list)
    for trace in mixed:
        one = Naive(trace, worlds[trace.environment])
        assert one.known(len(trace.actions))[0] == trace.tokens
        for line, kind, *rest in naive_decisions(one):
            groups[line, kind].append((one.id, tuple(rest)))
    found = {(c.line, c.kind): c for c in credit_by_line(mixed, worlds)}
    assert found.keys() == groups.keys()
    assert {kind for _, kind in found} == {"return", "action", "prune"}
    assert len([line for line, kind in found if kind == "return"]) == 3
    for place, decisions in groups.items():
        c, n = found[place], len(decisions)
        assert (c.decisions, c.turned) == (n, sum(d[2] for _, d in decisions))
        assert c.right_lost == sum(d[3] for _, d in decisions)
        for k, mean, error, unit in ((0, c.accuracy, c.accuracy_error, 100), (1, c.tokens, c.tokens_error, 1)):
            naive = unit * sum(d[k] for _, d in decisions) / n
            ids = sorted({q for q, _ in decisions})
            sums = [sum(unit * d[k] - naive for q, d in decisions if q == which) for which in ids]
            assert mean == pytest.approx(naive)
            if len(ids) > 1:
                assert error == pytest.approx(math.sqrt(len(ids) / (len(ids) - 1) * sum(s * s for s in sums)) / n)


def test_harm_is_what_a_reckoning_from_the_recording_gives(
    mixed: list[EpisodeTrace], worlds: list[Environment]
) -> None:
    harm: dict[tuple[int | None, str], float] = defaultdict(float)
    for trace in mixed:
        for line, kind, weight in naive_harm(Naive(trace, worlds[trace.environment])):
            harm[line, kind] += 100 * weight / len(mixed)
    found = credit_by_line(mixed, worlds)
    assert all(c.harm == pytest.approx(harm[c.line, c.kind]) for c in found)
    assert [c.harm for c in found] == sorted((c.harm for c in found), reverse=True)
    assert len({kind for (_, kind), amount in harm.items() if amount}) == 3


def test_failure_kinds_are_what_a_reckoning_from_the_recording_gives(
    mixed: list[EpisodeTrace], worlds: list[Environment]
) -> None:
    counts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for trace in mixed:
        kind = naive_kind(Naive(trace, worlds[trace.environment]))
        for name in ("all", worlds[trace.environment].name):
            counts[name, kind].append(trace.tokens)
    evidence = failures(mixed, worlds)
    assert len(counts) > 8
    assert [row[:2] for row in evidence.rows] == [
        (name, kind) for name in ("all", *(w.name for w in worlds)) for kind in KINDS if (name, kind) in counts
    ]
    for name, kind, n, share, tokens, _ in evidence.rows:
        assert n == len(counts[str(name), str(kind)])
        assert share == pytest.approx(100 * n / (len(mixed) / (1 if name == "all" else 2)))
        assert tokens == pytest.approx(sum(counts[str(name), str(kind)]) / n)
    assert any("for example: " in note and "question" in note for note in evidence.notes)
    assert [row[0] for row in failures(mixed[:8], worlds).rows].count("all") == 0


# ---- what is read --------------------------------------------------------------------------------------------------


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


CMC, PROBE = shipped("cmc").source, shipped("parallel_probe").source
STEP = "        warm = step >= warm_up\n"
HASTY = f"{STEP}        if step == 4 and len(latest) > 3:\n            return majority(latest.values())  # bad\n"
LEADERS = replaced(CMC, "+ 1 if latest[i] != winner", "+ 1 if latest[i] == winner")
LEADERS = replaced(LEADERS, "episode.prune(stubborn[:excess])", "episode.prune(stubborn[:excess])  # bad")
TURNED = replaced(PROBE, "0 if latest[i] == winner else off_track[i] + 1", "off_track[i] + (latest[i] == winner)")
TURNED = replaced(TURNED, "episode.prune(pruned)", "episode.prune(pruned)  # bad")
UPSIDE_DOWN = """from autotts.toolkit import majority
def schedule(beta):
    return {"n": 8 + 24 * beta}
def solve(episode, knobs):
    episode.branches(int(knobs["n"]))
    while len(episode.active) > 2:
        episode.advance(episode.active)
        seen = episode.active
        best = majority(episode.probe(seen), skip_unparsed=True)
        weak = [i for i in seen if episode.probe(i) == best and episode.depth(i) > 8]
        episode.prune(weak[:len(seen) - 2])  # bad
    episode.finish(episode.active)
    return majority(episode.probe(episode.finished_branches), skip_unparsed=True)
"""

BROKEN = {
    "return at a fixed step": replaced(CMC, STEP, HASTY),
    "return the first finished": replaced(CMC, STEP, f"{STEP}        if pool:\n            return pool[0]  # bad\n"),
    "return the last finished": replaced(
        CMC, "if pool:\n        return winner", "if pool:\n        return pool[-1]  # bad"
    ),
    "prune the leaders at once": replaced(LEADERS, ">= patience", ">= 1"),
    "prune those on track": replaced(replaced(TURNED, ">= patience", ">= 1"), "step >= warm_up and", "step >= 2 and"),
    "stop when stable for four": replaced(
        PROBE,
        "        previous = winner\n",
        "        previous = winner\n        if stable >= 4:\n            return winner  # bad\n",
    ),
    "prune what most say": UPSIDE_DOWN,
}


def named_first(evaluator: Evaluator, source: str) -> tuple[str, str]:
    """The source of the line that credit names first, and of the next."""
    what = Program.from_source(source)
    traces = evaluator.trace(what)
    evidence = credit(traces, evaluator.environments, what)
    return str(evidence.rows[0][-1]), evidence.text()


@pytest.fixture(scope="module")
def synthetic() -> Iterator[Evaluator]:
    with Evaluator(synthetic_environments("search")[1:3], workers=1) as made:
        yield made


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_line_is_named_first(synthetic: Evaluator, name: str) -> None:
    first, text = named_first(synthetic, BROKEN[name])
    assert first.endswith("# bad"), text


def test_a_bad_line_is_named_first_on_recorded_branches_and_in_time(recorded: Path) -> None:
    environments = load_environments([str(recorded / "replay" / "*" / "aime24.json")])
    with Evaluator(environments, workers=2) as evaluator:
        start = time.monotonic()
        traces = evaluator.trace(shipped("cmc"))
        credit(traces, environments, shipped("cmc"))
        assert len(traces) == 5 * 30 * len(environments)
        assert time.monotonic() - start < 15  # 1.5 s where nothing else runs
        for name, source in BROKEN.items():
            first, text = named_first(evaluator, source)
            assert first.endswith("# bad"), f"{name}\n{text}"


def test_credit_reads_well_and_tells_no_share_of_few(mixed: list[EpisodeTrace], worlds: list[Environment]) -> None:
    evidence = credit(mixed, worlds, MIXED)
    assert evidence.text().count("episode.prune(i)") == 1
    assert {row["kind"] for row in evidence.as_json()["rows"]} == {"return", "action", "prune"}
    few = credit(mixed[:1], worlds, MIXED)
    assert all(row[4] is row[5] is row[6] is row[10] is None for row in few.rows)
    beside = gutter(credit_by_line(mixed, worlds), MIXED).split("\n")
    assert [line.partition("│ ")[2] for line in beside if "│ " in line] == [s for s in MIXED.source.split("\n") if s]
    (pruned,) = [line for line in beside if "episode.prune(i)" in line]
    assert pruned.strip().startswith("prune ")
    assert credit((), worlds, MIXED).rows == failures((), worlds).rows == ()


def test_harm_of_a_line_is_a_figure_of_its_own() -> None:
    some = LineCredit(1, "return", 5, 5, -1.0, 1.0, -2.0, 1.0, 1, 0, 0.5)
    assert "return 5: -1.0 pt, -0.0K" in gutter([some], MIXED)


def test_a_timeline_shows_what_the_program_saw(evaluator: Evaluator) -> None:
    evidence = timeline(episode(evaluator, LINES, 0, 3, seed=SHOWS), evaluator.environments[0])
    text = evidence.text()
    assert f"one/tiny, question 3, seed {SHOWS}, β=0.5. Returned a0 at line 18" in text
    assert "Returned a0 at line 18 after 3 waves, " in text
    wave, action, line, _, tokens, _, second = evidence.body.split("\n")[:7]
    assert wave.split() == ["wave", "1", "2", "3"]
    assert action.split() == ["action", "open", "step", "prune"]
    assert line.split() == ["line", "9", "7", "12"]
    assert tokens.split() == ["tokens", "1.0", "1.5", "1.5"]
    assert second.split()[-1] == "x"
    assert "noted after wave 1, line 10: opened = [0, 1]" in text
    blind = timeline(episode(evaluator, LINES, 1, 3), evaluator.environments[1]).body
    assert blind.split("\n")[5].split()[2:] == ["?", "=", "·", "a0"]


def test_a_long_episode_is_squeezed(evaluator: Evaluator) -> None:
    one_by_one = program(
        "n = 0\nwhile episode.can_branch:\n    i = episode.branch()\n    while not episode.is_finished(i):\n"
        "        episode.advance(i)\n        n += 1\n        episode.probe(i)\nreturn episode.probe(0)"
    )
    trace = episode(evaluator, one_by_one, 0, 1)
    body = timeline(trace, evaluator.environments[0]).body
    assert len(trace.actions) > 60
    assert max(map(len, body.split("\n"))) < 300


def test_no_timeline_says_which_answer_is_right(mixed: list[EpisodeTrace], worlds: list[Environment]) -> None:
    told = 0
    for trace in mixed:
        world = worlds[trace.environment]
        question = world.questions[trace.question]
        answers = sorted({a for b in question.branches for a in b.answers} - {"ERR"})
        seen: dict[str, set[str]] = defaultdict(set)
        for gold in answers:
            other = replace(
                world, questions=tuple(replace(q, gold=gold) if q is question else q for q in world.questions)
            )
            walked = walk(trace, questions_of([other])[0][trace.question])
            title = timeline(trace, other).title
            body = timeline(trace, other).body
            assert body == timeline(trace, world).body
            shown = not walked.right and may_be_told(walked)
            assert (kind_of(walked) in title) == shown
            told += shown
            seen[title.partition(":")[0] if shown else title].add(gold)
            for word in ("right", "wrong", "overspent"):
                assert word not in title.replace("gave up the right one", "")
        # What is not told looks the same whichever answer is right.
        if not any(may_be_told(walk(trace, questions_of([w])[0][trace.question])) for w in (world,)):
            assert len(seen) == 1
    assert told


def test_a_finding_gives_no_example_that_would_tell(mixed: list[EpisodeTrace], worlds: list[Environment]) -> None:
    questions = questions_of(worlds)
    untold = set()
    for trace in mixed:
        walked = walk(trace, questions[trace.environment][trace.question])
        if not walked.right and not may_be_told(walked):
            name = worlds[trace.environment].name
            untold.add(f"{name} question {trace.question + 1} seed {trace.seed} β={trace.beta:g}")
    assert untold
    named = {part.strip(" .") for note in failures(mixed, worlds).notes for part in note.split(": ")[-1].split("; ")}
    assert not untold & named


# ---- run again -----------------------------------------------------------------------------------------------------


def test_a_wave_can_be_made_longer_before_the_program_sees_it(evaluator: Evaluator) -> None:
    stepping = program(
        "wave = episode.branches(3)\nepisode.advance(episode.active)\nepisode.finish(episode.active)\n"
        "return episode.probe(wave[0])"
    )
    line = next(k for k, text in enumerate(stepping.source.split("\n"), 1) if "episode.advance(" in text)
    twice = Program.from_source(
        stepping.source.replace("episode.advance(episode.active)", "for _ in range(2): episode.advance(episode.active)")
    )
    again, plain = evaluator.trace(stepping, overridden=line), evaluator.trace(twice)
    assert [[a[:2] for a in t.actions] for t in again] == [[a[:2] for a in t.actions] for t in plain]
    assert [t.tokens for t in again] == [t.tokens for t in plain]
    assert again != evaluator.trace(stepping)


def test_a_prune_can_be_ignored_and_what_it_did_is_the_difference(
    evaluator: Evaluator, worlds: list[Environment], mixed: list[EpisodeTrace]
) -> None:
    line = next(k for k, text in enumerate(MIXED.source.split("\n"), 1) if "episode.prune(i)" in text)
    kept = Program.from_source(MIXED.source.replace("episode.prune(i)", "pass"))
    protocol = replace(SAMPLE, seeds=(0, 1, 2))
    again = evaluator.trace(MIXED, protocol, overridden=line)
    plain = evaluator.trace(kept, protocol)
    assert [(t.actions, t.answer, t.line) for t in again] == [(t.actions, t.answer, t.line) for t in plain]
    assert any(a.op == OP_PRUNE for t in mixed for a in t.actions)
    evidence = overridden(evaluator, MIXED, line, mixed, protocol)
    (row,) = [r for r in evidence.as_json()["rows"] if r["environment"] == "all"]
    right = [sum(Naive(t, worlds[t.environment]).answer == "42" for t in some) for some in (mixed, again)]
    assert row["Δ accuracy, points"] == pytest.approx(100 * (right[0] - right[1]) / len(mixed))
    assert row["Δ tokens"] == round(sum(a.tokens - b.tokens for a, b in zip(mixed, again, strict=True)) / len(mixed))
    assert row["with the line %"] == pytest.approx(
        100 * sum(any(a.op == OP_PRUNE for a in t.actions) for t in mixed) / len(mixed)
    )
    with pytest.raises(InputError, match="takes no action"):
        overridden(evaluator, MIXED, 1, mixed, protocol)
    with pytest.raises(InputError, match="other episodes"):
        overridden(evaluator, MIXED, line, mixed[1:], protocol)
