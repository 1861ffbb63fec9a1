"""An episode wave by wave: every frame against a reckoning from the recording itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autotts.evaluation import EpisodeTrace, Evaluator, Protocol
from autotts.replay import Environment, Question, Trajectory, answer_ids
from autotts.replay.episode import OP_PRUNE
from autotts.traces import episode, timeline
from autotts.traces.frames import Frame, Played, played
from tests.traced import LINES, MIXED, SHOWS, Naive, first_most, naive_kind, program


@pytest.fixture(scope="module")
def traces(evaluator: Evaluator) -> list[EpisodeTrace]:
    return evaluator.trace(MIXED, Protocol((0.0, 0.4, 1.0), (0, 1)))


def text_of(found: Played, label: str | None) -> str | None:
    """An answer as it was written."""
    return found.texts.get(label, label) if label else None


def finals(branches: list[Trajectory]) -> list[list[str]]:
    return [[branch.final] for branch in branches]


def bought(one: Naive) -> list[Trajectory]:
    """The branches that the episode's tokens buy, read to their ends one by one; the first in any case."""
    left, read = one.trace.tokens, []
    for branch in one.pool:
        left -= branch.tokens if len(branch.answers) == 1 else max(one.environment.interval, branch.tokens)
        if read and left < 0:
            break
        read.append(branch)
    return read


def test_what_became_of_it(traces: list[EpisodeTrace], worlds: list[Environment]) -> None:
    for trace in traces:
        found, one = played(trace, worlds), Naive(trace, worlds[trace.environment])
        assert (found.environment, found.question) == (worlds[trace.environment].name, one.id)
        assert text_of(found, found.gold) == one.gold
        assert text_of(found, found.answer) == one.answer
        assert found.right == (one.answer == one.gold) == found.is_right(found.answer)
        assert found.kind == naive_kind(one)
        assert text_of(found, found.pool) == first_most(finals(one.pool))
        assert text_of(found, found.plain) == first_most(finals(bought(one)))
        assert found.solvable == sum(branch.final == one.gold for branch in one.all) / len(one.all)
        assert (found.tokens, found.sequential_tokens, found.line) == (
            trace.tokens,
            trace.sequential_tokens,
            trace.line,
        )


def test_costs_sum_up_to_the_episode(traces: list[EpisodeTrace], worlds: list[Environment]) -> None:
    for trace in traces:
        frames = played(trace, worlds).frames
        assert [frame.wave for frame in frames] == list(range(1, len(trace.actions) + 1))
        tokens = sequential = 0
        for frame in frames:
            tokens, sequential = tokens + frame.cost, sequential + frame.sequential_cost
            assert (frame.tokens, frame.sequential_tokens) == (tokens, sequential)
            assert 0 <= frame.sequential_cost <= frame.cost
        assert (tokens, sequential) == (trace.tokens, trace.sequential_tokens)


def test_frames_are_what_the_recording_gives(traces: list[EpisodeTrace], worlds: list[Environment]) -> None:
    for trace in traces:
        found, one = played(trace, worlds), Naive(trace, worlds[trace.environment])
        for k, frame in enumerate(found.frames, 1):
            tokens, revealed, depth, pruned, done = one.known(k)
            assert frame.tokens == tokens
            assert (frame.members, frame.line) == (trace.actions[k - 1].branches, trace.actions[k - 1].line)
            assert {i: branch.depth for i, branch in enumerate(frame.branches)} == depth
            assert {i for i, branch in enumerate(frame.branches) if branch.pruned} == pruned
            assert {i for i, branch in enumerate(frame.branches) if branch.finished} == set(done)
            latest = {i: revealed[i][-1] if revealed[i] else None for i in depth}
            assert {i: text_of(found, branch.label) for i, branch in enumerate(frame.branches)} == latest
            assert text_of(found, frame.leader) == one.leader(k)
            check_votes(found, frame, {i: [a for a in revealed[i] if a != "ERR"][-1:] for i in sorted(depth)})


def check_votes(found: Played, frame: Frame, votes: dict[int, list[str]]) -> None:
    """Counts are those of the latest parsed answers, and fall."""
    every = [vote for part in votes.values() for vote in part]
    ended = [vote for i, part in votes.items() if frame.branches[i].finished for vote in part]
    told = {text_of(found, one.label): (one.votes, one.finished) for one in frame.votes}
    assert told == {vote: (every.count(vote), ended.count(vote)) for vote in every}
    assert [one.votes for one in frame.votes] == sorted((one.votes for one in frame.votes), reverse=True)


def test_a_branch_is_opened_once_and_shows_what_is_known(traces: list[EpisodeTrace], worlds: list[Environment]) -> None:
    for trace in traces:
        opened: dict[int, int] = {}
        for frame in played(trace, worlds).frames:
            assert len(frame.shown) == len(frame.members)
            if frame.action == "open":
                opened |= dict.fromkeys(frame.members, frame.wave)
            assert [branch.opened for branch in frame.branches] == [opened[i] for i in range(len(opened))]
            for i, label in zip(frame.members, frame.shown, strict=True):
                branch = frame.branches[i]
                assert label is None or (branch.label, branch.looked) == (label, branch.depth)
                paid = worlds[trace.environment].kappa_probe
                assert (label is None) == (frame.action == "prune" or bool(paid and frame.action != "look"))


def test_labels_are_those_of_the_timeline(traces: list[EpisodeTrace], worlds: list[Environment]) -> None:
    for trace in traces:
        found, environment = played(trace, worlds), worlds[trace.environment]
        names = {number: f"a{k}" for k, number in enumerate(trace.seen)} | {0: "ERR"}
        ids = answer_ids(environment.questions[trace.question])
        for label, text in found.texts.items():
            assert names.get(ids[text], label) == label
            assert (ids[text] in trace.seen) == (not label.startswith("unseen"))
        head = f"Returned {found.answer} at line {found.line} after {len(found.frames)} waves, {found.tokens:,} tokens"
        assert timeline(trace, environment).title.endswith(head)


def test_notes_are_where_they_were_made(evaluator: Evaluator, worlds: list[Environment]) -> None:
    found = played(episode(evaluator, LINES, 0, 3, seed=SHOWS), worlds)
    assert [[note.name for note in frame.notes] for frame in found.frames] == [["opened"], [], ["end"]]
    early = played(episode(evaluator, program("episode.note('first', 1)\nreturn None"), 0, 3), worlds)
    assert ([note.name for note in early.notes], early.frames) == (["first"], ())
    assert (early.answer, early.right, early.tokens) == (None, False, 0)


def test_an_answer_that_was_never_seen_has_a_name_of_its_own(evaluator: Evaluator, worlds: list[Environment]) -> None:
    blind = program("episode.branches(3)\nepisode.finish(episode.active)\nreturn None")
    found = played(episode(evaluator, blind, 0, 8), worlds)
    named = {label for frame in found.frames for label in frame.shown} - {"ERR"}
    assert named and all(label and label.startswith("unseen ") for label in named)
    assert found.gold in named and found.texts[found.gold or ""] == "42"
    paid = played(episode(evaluator, blind, 1, 8), worlds)
    assert {label for frame in paid.frames for label in frame.shown} == {None}
    assert paid.frames[-1].votes == () and paid.frames[-1].leader is None


def test_a_question_that_nobody_solves_has_no_right_answer(worlds: list[Environment]) -> None:
    question = replace(worlds[0].questions[0], gold="never", id="\x1b[31mred")
    hopeless = replace(worlds[0], questions=(question,))
    with Evaluator([hopeless], workers=1) as evaluator:
        found = played(episode(evaluator, MIXED, 0, 1), [hopeless])
    assert (found.gold, found.solvable, found.right, found.kind) == (None, 0.0, False, "hopeless")
    assert not found.is_right(None)


STEPS = program(
    """
opened = episode.branches(64)
while episode.active:
    for i in episode.active[:12]:
        episode.advance(i)
        episode.probe(i)
    episode.prune(episode.active[-1:])
return majority(episode.probe(episode.finished_branches))
"""
)


def test_hundreds_of_waves_of_64_branches_have_a_frame_each() -> None:
    rows = [Trajectory(tuple(str((b + k) % 9) for k in range(9)), 5000 + b, str(b % 5)) for b in range(64)]
    wide = Environment("wide", "tiny", 500, tuple(Question(f"q{q}", f"{q}", "1", tuple(rows)) for q in range(60)))
    with Evaluator([wide], workers=1) as evaluator:
        trace = episode(evaluator, STEPS, 0, 1)
    assert len(trace.actions) > 300 and sum(action.op == OP_PRUNE for action in trace.actions) > 20
    found = played(trace, [wide])
    assert len(found.frames) == len(trace.actions)
    assert max(len(frame.branches) for frame in found.frames) == 64
    assert found.frames[-1].tokens == trace.tokens
