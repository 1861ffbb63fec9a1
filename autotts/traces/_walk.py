"""A trace, walked through once more on the recorded branches: what was known before each action, what never came.

Host side only: here the gold is known. What the instruments make of it is aggregated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from autotts.evaluation import EpisodeTrace, clusters_of
from autotts.evaluation.tracing import Action, act
from autotts.replay import UNPARSED, Environment, Episode, TableSource, table_of
from autotts.replay.episode import OP_ADVANCE, OP_FINISH, OP_OPEN, OP_PROBE, OP_PRUNE
from autotts.replay.source import UNPARSED_ID, Table, branch_order
from autotts.toolkit import vote

__all__ = ["NOTHING", "WORDS", "Labels", "Recorded", "Replay", "Votes", "Walk", "questions_of", "recorded_of", "walk"]

NOTHING = -1
"""Where an answer's id is due: no answer."""

WORDS = {OP_OPEN: "open", OP_ADVANCE: "step", OP_FINISH: "end", OP_PROBE: "look", OP_PRUNE: "prune"}
"""What actions are called where there is little room."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recorded question, with what only the host may know of it.

    Attributes:
        environment: where it is from.
        table, gold: see `autotts.replay.table_of`.
        cluster: number of the question, the same for every model that was asked it.
    """

    environment: Environment
    table: Table
    gold: int
    cluster: int

    @cached_property
    def solvable(self) -> float:
        """pass@1 over all recorded branches."""
        finals = [answers[-1] for answers in self.table.answers]
        return finals.count(self.gold) / len(finals)

    def right(self, answer: int) -> bool:
        """Whether an answer is the right one."""
        return answer == self.gold and answer != NOTHING


def sample_of(traces: Sequence[EpisodeTrace]) -> str:
    """Which episodes these are, in words."""
    betas = ", ".join(f"{beta:g}" for beta in sorted({trace.beta for trace in traces}))
    seeds = ", ".join(str(seed) for seed in sorted({trace.seed for trace in traces}))
    return f"{len(traces):,} episodes (β {betas}; seed {seeds})"


def questions_of(environments: Sequence[Environment]) -> list[list[Recorded]]:
    """Every question of every environment."""
    clusters = clusters_of(environments)
    return [
        [
            Recorded(environment, *table_of(question), int(clusters[e, q]))
            for q, question in enumerate(environment.questions)
        ]
        for e, environment in enumerate(environments)
    ]


def recorded_of(environment: Environment, question: int) -> Recorded:
    """One question, by its place; its cluster is that among the questions of its environment."""
    cluster = int(clusters_of([environment])[0, question])
    return Recorded(environment, *table_of(environment.questions[question]), cluster)


class Labels:
    """The labels by which a program knows the answers of an episode."""

    def __init__(self, trace: EpisodeTrace) -> None:
        self.names = {number: f"a{k}" for k, number in enumerate(trace.seen)}
        self.names |= {UNPARSED_ID: UNPARSED, NOTHING: "–"}

    def __call__(self, answer: int) -> str:
        """An answer's label; "?" for one that the program has not seen."""
        return self.names.get(answer, "?")


class Replay:
    """A trace, played once more.

    Attributes:
        episode, source: as they are after the last wave that was taken.
    """

    def __init__(self, trace: EpisodeTrace, recorded: Recorded) -> None:
        environment = recorded.environment
        self._actions, self._free = trace.actions, not environment.kappa_probe
        self.source = TableSource(recorded.table, trace.seed, environment.interval, environment.max_branches)
        self.episode = Episode(self.source, environment.interval, environment.kappa_probe)

    def waves(self) -> Iterator[tuple[Action, Sequence[int] | None]]:
        """Each action when it was taken, with the answer that each member shows; None where that is not known.

        Known is what was paid for where looking is free, what was probed where it is not.
        """
        for action in self._actions:
            act(self.episode, action.op, action.branches)
            known = action.op == OP_PROBE or (self._free and action.op != OP_PRUNE)
            yield action, self.source.probe(action.branches) if known else None

    def ended(self, action: Action) -> list[int]:
        """Members that finished in the action that was just taken."""
        if action.op in (OP_PROBE, OP_PRUNE):
            return []
        return [i for i in action.branches if self.episode.is_finished(i)]


@dataclass(frozen=True, eq=False)
class Walk:
    """An episode between its actions.

    A branch's vote is its latest answer that is known and parsed. Known is what was paid for where looking is free,
    what was probed where it is not. The leader has the most votes over all opened branches, pruned ones with what
    they revealed; among equals, the one of the branch opened first.

    Attributes:
        trace: the episode.
        recorded: its question.
        tokens, leaders: before each action, and at the end; `NOTHING` where nobody leads.
        votes: of each opened branch at the end, `NOTHING` where it has none.
        depths: intervals that each opened branch went through.
        finished: branches in the order in which they finished.
        pruned: branch → place of the action that pruned it.
    """

    trace: EpisodeTrace
    recorded: Recorded
    tokens: tuple[int, ...]
    leaders: tuple[int, ...]
    votes: tuple[int, ...]
    depths: tuple[int, ...]
    finished: tuple[int, ...]
    pruned: dict[int, int]

    @property
    def right(self) -> bool:
        """Whether the answer was right."""
        return self.recorded.right(self.trace.answer)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The recorded branches that this episode can open, in its order."""
        table = self.recorded.table
        return branch_order(self.trace.seed, len(table.totals))[: self.recorded.environment.max_branches]

    def final(self, branch: int) -> int:
        """The answer at the end of a branch, however far it was read."""
        return self.recorded.table.answers[self.order[branch]][-1]

    @cached_property
    def pool_majority(self) -> int:
        """The majority of the finals of all branches up to the ceiling."""
        return leader_of([self.final(i) for i in range(len(self.order))])

    @cached_property
    def plain(self) -> int:
        """The majority that the same tokens buy by reading the first branches to their ends (at least one)."""
        left = self.trace.tokens
        votes: list[int] = []
        for i in range(len(self.order)):
            left -= self.whole(i)
            if votes and left < 0:
                break
            votes.append(self.final(i))
        return leader_of(votes)

    def whole(self, branch: int) -> int:
        """Tokens of opening a branch and reading it to its end."""
        table, interval = self.recorded.table, self.recorded.environment.interval
        total = table.totals[self.order[branch]]
        # Opening costs an interval, unless that is all there is.
        return total if len(table.answers[self.order[branch]]) == 1 else max(interval, total)

    def rest(self, branch: int) -> int:
        """Tokens that reading a branch to its end would take from where the episode has left it."""
        if branch >= len(self.depths):
            return self.whole(branch)
        total, interval = self.recorded.table.totals[self.order[branch]], self.recorded.environment.interval
        return 0 if branch in self.finished else max(0, total - interval * self.depths[branch])

    @cached_property
    def ballot(self) -> list[int]:
        """The votes that the answer came from: of the finished branches if they say so, else of all not pruned."""
        finished = [self.final(i) for i in self.finished]
        if finished and leader_of(finished) == self.trace.answer:
            return finished
        return [v for i, v in enumerate(self.votes) if i not in self.pruned and v != NOTHING]

    def with_votes(self, more: list[int]) -> int:
        """The answer, had these votes been counted too: the new leader if that is another one."""
        before, after = leader_of(self.ballot), leader_of(self.ballot + more)
        return self.trace.answer if before == after else after


def leader_of(votes: list[int]) -> int:
    """The most frequent, the first among equals; `NOTHING` of an empty vote."""
    leader = vote(votes).leader
    return NOTHING if leader is None else int(leader)


def walk(trace: EpisodeTrace, recorded: Recorded) -> Walk:
    """Walk through a trace."""
    replay, votes = Replay(trace, recorded), Votes()
    tokens, leaders, pruned = [0], [NOTHING], {}
    for k, (action, shown) in enumerate(replay.waves()):
        if action.op == OP_PRUNE:
            pruned.update(dict.fromkeys(action.branches, k))
        votes.cast(action, shown)
        tokens.append(replay.episode.tokens)
        leaders.append(votes.leader())
    depths, finished = tuple(replay.source.depths), tuple(replay.episode.finished_branches)
    return Walk(trace, recorded, tuple(tokens), tuple(leaders), tuple(votes.latest), depths, finished, pruned)


class Votes:
    """One vote for each opened branch, counted as they change.

    Attributes:
        latest: the vote of each, `NOTHING` where it has none.
    """

    def __init__(self) -> None:
        self.latest: list[int] = []
        self._counts: Counter[int] = Counter()

    def cast(self, action: Action, shown: Sequence[int] | None) -> None:
        """The members of a wave show answers; one that does not parse leaves the vote as it was."""
        latest, counts = self.latest, self._counts
        if action.op == OP_OPEN:
            latest += [NOTHING] * len(action.branches)
        if shown is None:
            return
        for i, answer in zip(action.branches, shown, strict=True):
            before = latest[i]
            if answer not in (UNPARSED_ID, before):
                latest[i] = answer
                counts[answer] += 1
                if before != NOTHING:
                    counts[before] -= 1

    def leader(self) -> int:
        """Who leads."""
        most = max(self._counts.values(), default=0)
        if not most:
            return NOTHING
        first = [answer for answer, count in self._counts.items() if count == most]
        return first[0] if len(first) == 1 else next(answer for answer in self.latest if answer in first)
