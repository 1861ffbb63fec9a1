"""Credit of a source line: what its decisions changed, against an exact alternative on the same recorded branches."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from autotts.evaluation import EpisodeTrace, Program
from autotts.replay import Environment
from autotts.replay.episode import OP_PRUNE
from autotts.sandbox.text import printable
from autotts.traces._table import Evidence
from autotts.traces._walk import Walk, leader_of, questions_of, sample_of, walk

__all__ = ["Kind", "LineCredit", "credit", "credit_by_line", "gutter", "mean_over", "whole"]

Kind = Literal["return", "action", "prune"]
Place = tuple[int | None, Kind]

MANY = 5
"""Episodes from which on a share of right ones is told: below, it would say which answer was right."""

BUDGET = 0.25
"""Share of the blame that a return has where the tokens spent could not have bought the right answer anyway."""

_TEXT = 70


@dataclass(frozen=True)
class LineCredit:
    """What the decisions of one kind at one line of a program changed.

    Attributes:
        line: 1-based; None where it is not known.
        kind: "return", "action" (whatever costs tokens) or "prune".
        decisions: how many; of prunes, the branches.
        episodes: in which they were taken.
        accuracy, accuracy_error: mean over decisions of what happened minus the alternative, in points, and its
            standard error over questions; NaN for the error where there is one question only.
        tokens, tokens_error: the same of tokens; below 0 where the decision saved.
        turned: decisions whose alternative ends with another answer.
        right_lost: of prunes, the branches that would have ended right; 0 for other kinds.
        harm: points of the program's accuracy that were lost here and nowhere else; see `credit_by_line`.
    """

    line: int | None
    kind: Kind
    decisions: int
    episodes: int
    accuracy: float
    accuracy_error: float
    tokens: float
    tokens_error: float
    turned: int
    right_lost: int
    harm: float

    @property
    def told(self) -> bool:
        """Whether there are enough episodes for a share of right ones to be told."""
        return self.episodes >= MANY


@dataclass
class _Account:
    """Sums of one line and kind, by question."""

    count: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    accuracy: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    tokens: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    episodes: set[int] = field(default_factory=set)
    turned: int = 0
    right_lost: int = 0
    harm: float = 0.0

    def add(self, episode: int, walked: Walk, answer: int, tokens: int) -> None:
        """One decision: the answer of the alternative, and tokens of what happened minus those of the alternative."""
        cluster = walked.recorded.cluster
        self.count[cluster] += 1
        self.accuracy[cluster] += walked.right - walked.recorded.right(answer)
        self.tokens[cluster] += tokens
        self.turned += answer != walked.trace.answer
        self.episodes.add(episode)


def credit_by_line(traces: Sequence[EpisodeTrace], environments: Sequence[Environment]) -> list[LineCredit]:
    """Credit of every line that decided anything, the line that harms most first.

    The alternatives, all on the same recorded branches and none run again: to a *return*, reading on to the ceiling of
    branches and taking the majority (branches that were pruned stay so); to an *action*, returning at that moment the
    leader of the answers revealed so far; to a *prune*, finishing that branch and adding its vote.

    Harm puts every episode that went wrong to one account at the most, in this order: the prunes of a line, if their
    branches' votes would have set it right (for a stop that follows a spoiled vote is not at fault); the return, if
    reading on would have; the last action before which the leader was right. A return counts in full if the tokens
    that were spent, put into plain self-consistency, would have been right too; else it is above all the budget that
    was small, and a quarter counts. Taken off are the episodes that went right and would not have without a line's
    prunes, without the return (and by plain self-consistency), or without the last action before which the leader was
    not right. So a line is not blamed for what another has broken, nor for a low β.

    Args:
        traces: of one program.
        environments: those that the traces' evaluator has, in its order.
    """
    questions = questions_of(environments)
    accounts: defaultdict[Place, _Account] = defaultdict(_Account)
    for episode, trace in enumerate(traces):
        walked = walk(trace, questions[trace.environment][trace.question])
        on = _reading_on(walked)
        _decide(accounts, episode, walked, on)
        for place, harm in _harm(walked, on[0]):
            accounts[place].harm += harm
    found = [_credited(place, account, len(traces)) for place, account in accounts.items()]
    return sorted(found, key=lambda c: (-round(c.harm, 9), c.accuracy * c.decisions, c.line or 0, c.kind))


def _decide(accounts: defaultdict[Place, _Account], episode: int, walked: Walk, on: tuple[int, int]) -> None:
    """Every decision of an episode, into its account."""
    trace = walked.trace
    accounts[trace.line, "return"].add(episode, walked, on[0], -on[1])
    for k, (op, branches, line) in enumerate(trace.actions):
        if op != OP_PRUNE:
            accounts[line, "action"].add(episode, walked, walked.leaders[k], walked.tokens[-1] - walked.tokens[k])
            continue
        account = accounts[line, "prune"]
        for i in branches:
            account.add(episode, walked, walked.with_votes([walked.final(i)]), -walked.rest(i))
            account.right_lost += walked.recorded.right(walked.final(i))


def _reading_on(walked: Walk) -> tuple[int, int]:
    """(answer, further tokens) of reading every branch up to the ceiling that was not pruned, and the majority."""
    branches = [i for i in range(len(walked.order)) if i not in walked.pruned]
    return leader_of([walked.final(i) for i in branches]), sum(map(walked.rest, branches))


def _harm(walked: Walk, on: int) -> list[tuple[Place, float]]:
    """Which line lost this episode, or won it."""
    trace, recorded = walked.trace, walked.recorded
    kept: defaultdict[int | None, list[int]] = defaultdict(list)
    for i, k in walked.pruned.items():
        kept[trace.actions[k].line].append(walked.final(i))
    undone = {line: recorded.right(walked.with_votes(votes)) for line, votes in kept.items()}
    if walked.right:
        won: list[tuple[Place, float]] = [((line, "prune"), -1.0) for line, right in undone.items() if not right]
        alone = not recorded.right(on) and not recorded.right(walked.plain)
        won += [((trace.line, "return"), -1.0)] if alone else []
        return won + [(place, -1.0) for place in _last_action(walked, leader_right=False)]
    guilty = [line for line, right in undone.items() if right]
    if guilty:
        return [((line, "prune"), 1 / len(guilty)) for line in guilty]
    if recorded.right(on):
        return [((trace.line, "return"), 1.0 if recorded.right(walked.plain) else BUDGET)]
    return [(place, 1.0) for place in _last_action(walked, leader_right=True)]


def _last_action(walked: Walk, leader_right: bool) -> list[Place]:
    """The place of the last action before which the leader was right, or was not; none if there is no such action."""
    for action, leader in reversed(list(zip(walked.trace.actions, walked.leaders, strict=False))):
        if action.op != OP_PRUNE and walked.recorded.right(leader) == leader_right:
            return [(action.line, "action")]
    return []


def _credited(place: Place, account: _Account, n_episodes: int) -> LineCredit:
    line, kind = place
    accuracy, accuracy_error = mean_over(account.accuracy, account.count)
    tokens, tokens_error = mean_over(account.tokens, account.count)
    return LineCredit(
        line,
        kind,
        sum(account.count.values()),
        len(account.episodes),
        100 * accuracy,
        100 * accuracy_error,
        tokens,
        tokens_error,
        account.turned,
        account.right_lost,
        100 * account.harm / n_episodes,
    )


def mean_over(sums: Mapping[int, int], counts: Mapping[int, int]) -> tuple[float, float]:
    """Mean over decisions, and its standard error with questions as clusters (that of a ratio of sums)."""
    n, clusters = sum(counts.values()), len(counts)
    mean = sum(sums.values()) / n
    if clusters < 2:
        return mean, math.nan
    squares = sum((sums[c] - mean * counts[c]) ** 2 for c in counts)
    return mean, math.sqrt(clusters / (clusters - 1) * squares) / n


def whole(figure: float) -> int | None:
    """Rounded; None where it is not a number."""
    return None if math.isnan(figure) else round(figure)


# ---- for reading -------------------------------------------------------------------------------------------------

_COLUMNS = (
    *(
        "line",
        "kind",
        "decisions",
        "episodes",
        "harm, points",
        "Δ accuracy, points",
        "± points",
        "Δ tokens",
        "± tokens",
    ),
    *("other answer %", "right lost %", "source"),
)


def credit(traces: Sequence[EpisodeTrace], environments: Sequence[Environment], program: Program) -> Evidence:
    """Credit per source line, the line that harms most first; see `credit_by_line`, and `gutter` for the whole source.

    Args:
        traces: of the program.
        environments: those that the traces' evaluator has, in its order.
        program: for the text of its lines.
    """
    lines = program.source.split("\n")
    found = credit_by_line(traces, environments)
    return Evidence(
        f"Credit per source line, {sample_of(traces)}, the line that harms most first",
        _COLUMNS,
        tuple(_row(c, lines) for c in found),
        (
            "harm: points of the sample's accuracy that were lost at this line and at no other; below 0: won. A return "
            "counts in full where plain self-consistency with the same tokens is right, else a quarter.",
            "Δ: what happened minus the alternative, mean over decisions. return: against reading on to the ceiling "
            "of branches and taking the majority. action: against returning, at that moment, the leader of the answers "
            "revealed so far. prune: against finishing that branch and adding its vote.",
            "±: standard error over questions; a question that several models were asked is one.",
            f"–: not told, for fewer than {MANY} episodes, or one question.",
        ),
    )


def _row(c: LineCredit, lines: list[str]) -> tuple[str | int | float | None, ...]:
    told = c.told
    text = printable(lines[c.line - 1].strip())[:_TEXT] if c.line else "(line not known)"
    return (
        c.line,
        c.kind,
        c.decisions,
        c.episodes,
        c.harm if told else None,
        c.accuracy if told else None,
        c.accuracy_error if told else None,
        round(c.tokens),
        whole(c.tokens_error),
        100 * c.turned / c.decisions,
        100 * c.right_lost / c.decisions if told and c.kind == "prune" else None,
        text,
    )


def gutter(found: Iterable[LineCredit], program: Program) -> str:
    """The source with each line's credit to its left: kind, decisions, Δ accuracy in points, Δ tokens in thousands."""
    beside: defaultdict[int, list[str]] = defaultdict(list)
    for c in sorted(found, key=lambda c: c.kind):
        points = f"{c.accuracy:+.1f} pt" if c.told else "–"
        beside[c.line or 0].append(f"{c.kind} {c.decisions:,}: {points}, {c.tokens / 1000:+.1f}K")
    width = max((len(text) for texts in beside.values() for text in texts), default=0)
    rows = []
    for number, source in enumerate(program.source.rstrip("\n").split("\n"), 1):
        first, *more = beside.get(number, [""])
        rows.append(f"{first:>{width}} {number:4} │ {printable(source)}".rstrip())
        rows += [f"{text:>{width}}      │" for text in more]
    return "\n".join(rows) + "\n"
