"""One episode step by step, to be looked at: what each wave did, what it showed, and where the pool would have ended.

For people, on the host: here it is told which answer is right. No agent is given that, so nothing that agents or their
bench import may import this (checked by import-linter); what agents see of an episode is `timeline`.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from autotts.evaluation import EpisodeTrace, cluster_names
from autotts.evaluation.tracing import Action, Note
from autotts.replay import UNPARSED, Environment, answer_ids
from autotts.replay.episode import OP_OPEN, OP_PRUNE
from autotts.sandbox.text import printable
from autotts.traces._failures import FailureKind, kind_of
from autotts.traces._walk import NOTHING, WORDS, Labels, Replay, Votes, Walk, recorded_of, walk

__all__ = ["AnswerVotes", "Branch", "Frame", "Played", "played"]


@dataclass(frozen=True, slots=True)
class Branch:
    """An opened branch after a wave.

    Attributes:
        opened: the wave in which it was opened, from 1.
        depth: intervals that it went through.
        label: the latest answer that is known of it, `UNPARSED` included; None where none is.
        looked: the depth at which it showed that, 0 where it showed none.
        finished, pruned: whether it has come to its end, or was given up.
    """

    opened: int
    depth: int
    label: str | None = None
    looked: int = 0
    finished: bool = False
    pruned: bool = False


@dataclass(frozen=True, slots=True)
class AnswerVotes:
    """Branches whose latest parsed answer is this one.

    Attributes:
        label: the answer.
        votes: of all opened branches, pruned ones included.
        finished: those of them that are of finished branches.
    """

    label: str
    votes: int
    finished: int


@dataclass(frozen=True, slots=True)
class Frame:
    """An episode after one wave.

    Attributes:
        wave: its number, from 1.
        action: "open", "step", "end", "look" or "prune".
        line: of the program, which asked for it; None where that is not known.
        members: branches that took part.
        shown: the answer of each member; None where it is not known, as looking costs and nobody looked, or of a prune.
        cost, sequential_cost: tokens of this wave: of all members, and of the longest.
        tokens, sequential_tokens: up to here.
        branches: every opened branch.
        votes: by falling number, among equals the one of the branch that was opened first.
        notes: that the program made after this wave and before the next.
    """

    wave: int
    action: str
    line: int | None
    members: tuple[int, ...]
    shown: tuple[str | None, ...]
    cost: int
    sequential_cost: int
    tokens: int
    sequential_tokens: int
    branches: tuple[Branch, ...]
    votes: tuple[AnswerVotes, ...]
    notes: tuple[Note, ...]

    @property
    def leader(self) -> str | None:
        """The answer with the most votes of all opened branches; None where there is no vote."""
        return self.votes[0].label if self.votes else None


@dataclass(frozen=True)
class Played:
    """An episode, wave by wave, and what became of it.

    Answers have the labels by which the program knew them: a0, a1, …, and `UNPARSED`. One that it never saw is called
    "unseen 1" and so on, in the order in which it comes up here.

    Attributes:
        environment, question: names, see `cluster_names`.
        beta, seed: of the episode.
        gold: the right answer, None where no recorded branch ever comes to it.
        answer: what was returned, None for nothing.
        line: of the `return`, None where that is not known.
        right: whether it was right.
        kind: how it ended, see `KINDS`.
        tokens, sequential_tokens: of the whole episode.
        notes: that were made before the first wave.
        notes_left_out: how many more there were than are kept.
        frames: one a wave.
        pool: where the pool would have ended: the majority of all branches up to the ceiling, read to their ends.
        plain: the majority that plain self-consistency has with the same tokens.
        solvable: pass@1 of the question: the share of all recorded branches that end right.
        texts: label → the answer as it was recorded, made printable.
    """

    environment: str
    question: str
    beta: float
    seed: int
    gold: str | None
    answer: str | None
    line: int | None
    right: bool
    kind: FailureKind
    tokens: int
    sequential_tokens: int
    notes: tuple[Note, ...]
    notes_left_out: int
    frames: tuple[Frame, ...]
    pool: str | None
    plain: str | None
    solvable: float
    texts: dict[str, str]

    def is_right(self, label: str | None) -> bool:
        """Whether the answer of this label is the right one."""
        return label is not None and label == self.gold


def played(trace: EpisodeTrace, environments: Sequence[Environment]) -> Played:
    """An episode wave by wave, and where the pool would have ended.

    Args:
        trace: the episode.
        environments: those that the trace's evaluator has, in its order.
    """
    environment = environments[trace.environment]
    recorded = recorded_of(environment, trace.question)
    walked, label = walk(trace, recorded), _Named(trace)
    notes: defaultdict[int, list[Note]] = defaultdict(list)
    for note in trace.notes:
        notes[note.after].append(note)
    return Played(
        environment=environment.name,
        question=cluster_names(environments)[trace.environment][trace.question],
        beta=trace.beta,
        seed=trace.seed,
        frames=_frames(walked, label, notes),
        answer=label.known(trace.answer),
        gold=label.known(recorded.gold),
        line=trace.line,
        right=walked.right,
        kind=kind_of(walked),
        tokens=trace.tokens,
        sequential_tokens=trace.sequential_tokens,
        notes=tuple(notes[0]),
        notes_left_out=trace.notes_left_out,
        pool=label.known(walked.pool_majority),
        plain=label.known(walked.plain),
        solvable=recorded.solvable,
        texts=label.texts(environment, trace.question),
    )


class _Named(Labels):
    """Labels that have a name for what the program has not seen, too."""

    def __init__(self, trace: EpisodeTrace) -> None:
        super().__init__(trace)
        self._unseen = itertools.count(1)

    def __call__(self, answer: int) -> str:
        """An answer's label."""
        if answer not in self.names:
            self.names[answer] = f"unseen {next(self._unseen)}"
        return self.names[answer]

    def known(self, answer: int) -> str | None:
        """An answer's label, None for no answer."""
        return None if answer == NOTHING else self(answer)

    def texts(self, environment: Environment, question: int) -> dict[str, str]:
        """What each answer that was named was recorded as."""
        ids = {number: text for text, number in answer_ids(environment.questions[question]).items()}
        return {
            name: printable(ids[number]) for number, name in self.names.items() if name != UNPARSED and number in ids
        }


def _frames(walked: Walk, label: _Named, notes: dict[int, list[Note]]) -> tuple[Frame, ...]:
    trace = walked.trace
    replay, votes = Replay(trace, walked.recorded), Votes()
    branches: list[Branch] = []
    frames: list[Frame] = []
    tokens = sequential = 0
    for wave, (action, answers) in enumerate(replay.waves(), 1):
        shown = (None,) * len(action.branches) if answers is None else tuple(map(label, answers))
        _move(branches, wave, action, shown, replay)
        votes.cast(action, answers)
        episode = replay.episode
        frames.append(
            Frame(
                wave=wave,
                action=WORDS[action.op],
                line=action.line,
                members=action.branches,
                shown=shown,
                cost=episode.tokens - tokens,
                sequential_cost=episode.sequential_tokens - sequential,
                tokens=episode.tokens,
                sequential_tokens=episode.sequential_tokens,
                branches=tuple(branches),
                votes=_counted(votes.latest, branches, label),
                notes=tuple(notes[wave]),
            )
        )
        tokens, sequential = episode.tokens, episode.sequential_tokens
    return tuple(frames)


def _move(branches: list[Branch], wave: int, action: Action, shown: tuple[str | None, ...], replay: Replay) -> None:
    """The members of a wave, as it leaves them; all others stay the same objects."""
    ended, depths = set(replay.ended(action)), replay.source.depths
    if action.op == OP_OPEN:
        branches += [Branch(wave, 0) for _ in action.branches]
    for i, label in zip(action.branches, shown, strict=True):
        before, depth = branches[i], depths[i]
        looked = (before.label, before.looked) if label is None else (label, depth)
        branches[i] = Branch(before.opened, depth, *looked, before.finished or i in ended, action.op == OP_PRUNE)


def _counted(latest: Sequence[int], branches: Sequence[Branch], label: _Named) -> tuple[AnswerVotes, ...]:
    """Votes by answer, most first."""
    votes, finished = Counter(latest), Counter(v for v, branch in zip(latest, branches, strict=True) if branch.finished)
    # A count keeps the order of the first of each, and so does sorting among equals.
    order = sorted((v for v in votes if v != NOTHING), key=lambda v: -votes[v])
    return tuple(AnswerVotes(label(v), votes[v], finished[v]) for v in order)
