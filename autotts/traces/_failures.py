"""Failure kinds: where the episodes of a program end, and what those cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from autotts.evaluation import EpisodeTrace
from autotts.replay import Environment
from autotts.traces._table import Evidence
from autotts.traces._walk import NOTHING, Walk, questions_of, sample_of, walk

__all__ = ["KINDS", "FailureKind", "failures", "kind_of", "may_be_told"]

FailureKind = Literal["hopeless", "premature", "gave up the right one", "outvoted", "missed", "overspent", "right"]

KINDS: dict[FailureKind, str] = {
    "hopeless": "wrong, and of all recorded branches fewer than 5 % end right",
    "premature": "wrong, and the majority of all branches up to the ceiling is right",
    "gave up the right one": "wrong, and a pruned branch would have ended right",
    "outvoted": "wrong, and a finished branch was right",
    "missed": "wrong otherwise",
    "overspent": "right, and the answer had led without a break since before half of the tokens were spent",
    "right": "right otherwise",
}
"""Kinds in the order in which they are looked for; the first that fits is the episode's."""

HOPELESS = 0.05
"""pass@1 below which a question is hopeless for a model."""

EXAMPLES = 3
"""Episodes that are named for each kind."""


def kind_of(walked: Walk) -> FailureKind:
    """How an episode ended."""
    recorded = walked.recorded
    if walked.right:
        return "overspent" if _led_early(walked) else "right"
    if recorded.solvable < HOPELESS:
        return "hopeless"
    if recorded.right(walked.pool_majority):
        return "premature"
    if any(recorded.right(walked.final(i)) for i in walked.pruned):
        return "gave up the right one"
    if any(recorded.right(walked.final(i)) for i in walked.finished):
        return "outvoted"
    return "missed"


def _led_early(walked: Walk) -> bool:
    """Whether the answer had led without a break since before half of the tokens were spent."""
    since = len(walked.leaders)
    while since and walked.leaders[since - 1] == walked.trace.answer:
        since -= 1
    return since < len(walked.leaders) and 2 * walked.tokens[since] < walked.tokens[-1]


def may_be_told(walked: Walk) -> bool:
    """Whether an episode may be looked at together with its kind, if it went wrong.

    That must not say which of its answers is right. It depends only on what the program has seen: at least two other
    answers on finished branches or none at all, two on all branches, and a majority that is still open.
    """
    answer = walked.trace.answer
    finals = [walked.final(i) for i in walked.finished]
    others = {vote for vote in [*walked.votes, *finals] if vote not in (answer, NOTHING)}
    finished = {final for final in finals if final != answer}
    counts = sorted((finals.count(final) for final in set(finals)), reverse=True)
    lead = counts[0] - (counts[1] if len(counts) > 1 else 0) if counts else 0
    return len(others) >= 2 and len(finished) != 1 and lead < len(walked.order) - len(finals)


def failures(traces: Sequence[EpisodeTrace], environments: Sequence[Environment]) -> Evidence:
    """How the episodes of a program ended: counts, shares and tokens of each failure kind, with examples to look at.

    Args:
        traces: of one program.
        environments: those that the traces' evaluator has, in its order.
    """
    questions = questions_of(environments)
    groups: defaultdict[int | None, defaultdict[FailureKind, list[int]]]
    groups = defaultdict(lambda: defaultdict(list))
    examples: defaultdict[FailureKind, list[str]] = defaultdict(list)
    for trace in traces:
        walked = walk(trace, questions[trace.environment][trace.question])
        kind = kind_of(walked)
        groups[None][kind].append(trace.tokens)
        groups[trace.environment][kind].append(trace.tokens)
        if len(examples[kind]) < EXAMPLES and not walked.right and may_be_told(walked):
            examples[kind].append(_named(trace, environments[trace.environment]))
    rows: list[tuple[str | int | float | None, ...]] = []
    for group in [None, *sorted(g for g in groups if g is not None)]:
        if group is None and len(groups) == 2:
            continue  # one environment: it is all there is
        name = "all" if group is None else environments[group].name
        total = sum(map(len, groups[group].values()))
        spent = sum(map(sum, groups[group].values()))
        for kind in KINDS:
            tokens = groups[group][kind]
            if tokens:
                share = 100 * sum(tokens) / spent if spent else None
                rows.append((name, kind, len(tokens), 100 * len(tokens) / total, sum(tokens) / len(tokens), share))
    columns = ("environment", "kind", "episodes", "share %", "mean tokens", "of all tokens %")
    named = [f"{kind}, for example: {'; '.join(examples[kind])}." for kind in KINDS if examples[kind]]
    meaning = [f"{kind}: {text}." for kind, text in KINDS.items()]
    return Evidence(f"How {sample_of(traces)} ended", columns, tuple(rows), (*meaning, *named))


def _named(trace: EpisodeTrace, environment: Environment) -> str:
    return f"{environment.name} question {trace.question + 1} seed {trace.seed} β={trace.beta:g}"
