"""What an episode against a live model came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from autotts.live.source import LiveSource, Look
from autotts.replay.source import UNPARSED_ID
from autotts.toolkit import majority

__all__ = ["Solution", "solution_of"]


@dataclass(frozen=True)
class Solution:
    """An answer, and what it cost.

    Attributes:
        answer: as a branch wrote it, None for none.
        text: of a branch that gave it: a finished one, else the deepest up to there with its probe; "" without one.
        votes: answer → branches whose last revealed answer it is, the most first; what was not parsed has no vote.
        confidence: the answer's share of the votes; None where there is no answer.
        tokens, sequential_tokens: by the rules of the decision process (docs/mdp.md).
        generated: tokens of branches that the server made, read ahead or not.
        probes, probe_tokens, prompt_tokens: see `autotts.live.source.Meter`.
        branches, finished, pruned: how many were opened, came to their ends, were given up.
        depths: intervals of each branch that were paid for.
        finished_tokens: all tokens of each branch that came to its end.
        seconds: by the clock.
        stopped: "tokens" or "seconds" where a limit ended the episode and the answer is the majority of what was
            revealed; else "".
        beta, knobs: what the program was given.
    """

    answer: str | None
    text: str
    votes: dict[str, int]
    confidence: float | None
    tokens: int
    sequential_tokens: int
    generated: int
    probes: int
    probe_tokens: int
    prompt_tokens: int
    branches: int
    finished: int
    pruned: int
    depths: tuple[int, ...]
    finished_tokens: tuple[int, ...]
    seconds: float
    stopped: str
    beta: float
    knobs: dict[str, float]


def solution_of(
    source: LiveSource,
    answer: int,
    *,
    finished: Sequence[int],
    pruned: int,
    seconds: float,
    stopped: str,
    beta: float,
    knobs: dict[str, float],
) -> Solution:
    """An episode that is over.

    Args:
        source: what it was played on.
        answer: the id of what the program returned, −1 for none; not looked at where the episode was stopped.
        finished: the branches that came to their ends.
        pruned, seconds, stopped, beta, knobs: see `Solution`.
    """
    last = [looks[-1].answer for looks in source.looks if looks]
    parsed = [number for number in last if number != UNPARSED_ID]
    if stopped:
        found = majority(parsed)
        answer = UNPARSED_ID if found is None else found
    votes = Counter(parsed)
    given = answer > UNPARSED_ID
    meter = source.meter
    return Solution(
        answer=source.written[answer] if given else None,
        text=_text(source, answer) if given else "",
        votes={source.written[number]: count for number, count in votes.most_common()},
        confidence=votes[answer] / len(parsed) if given and parsed else None,
        tokens=meter.tokens,
        sequential_tokens=meter.sequential_tokens,
        generated=source.generated,
        probes=meter.probes,
        probe_tokens=meter.probe_tokens,
        prompt_tokens=meter.prompt_tokens,
        branches=len(source.branches),
        finished=len(finished),
        pruned=pruned,
        depths=tuple(source.depths),
        finished_tokens=tuple(source.branches[i].growth.total for i in finished),
        seconds=seconds,
        stopped=stopped,
        beta=beta,
        knobs=knobs,
    )


def _text(source: LiveSource, answer: int) -> str:
    """The text of the branch that stands best for an answer: one that kept to it, a finished one, the deepest."""
    best: tuple[bool, bool, int] = (False, False, 0)
    at: tuple[int, Look] | None = None
    for i, looks in enumerate(source.looks):
        for look in looks:
            rank = (look is looks[-1], look.finished, look.depth)
            if look.answer == answer and rank > best:
                best, at = rank, (i, look)
    if at is None:
        return ""
    growth = source.branches[at[0]].growth
    said = at[1].said
    return growth.text if said is None else growth.prefix(at[1].depth) + said.cue + said.text
