"""From a recorded question to the gold-free table of integers that goes into the sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from autotts.replay.environment import UNPARSED, Question
from autotts.replay.source import UNPARSED_ID, Table

__all__ = ["answer_ids", "table_of"]


def answer_ids(question: Question) -> dict[str, int]:
    """Every answer of a recording with its id: UNPARSED is 0, the others 1, 2, … in the order of a hash.

    The order depends on the question's id and the answer alone, so an id tells neither which answer is right nor how
    frequent it is. Host side only: the answers themselves stay out of the sandbox.
    """
    distinct: set[str] = set()
    for branch in question.branches:
        distinct.update(branch.probes)
        distinct.add(branch.final)
    distinct.discard(UNPARSED)
    salt = question.id + "\0"

    def key(answer: str) -> bytes:
        return hashlib.sha256((salt + answer).encode("utf-8", "surrogatepass")).digest()

    ids = {UNPARSED: UNPARSED_ID}
    ids.update((answer, number) for number, answer in enumerate(sorted(distinct, key=key), UNPARSED_ID + 1))
    return ids


def table_of(question: Question) -> tuple[Table, int]:
    """The question's gold-free table, and the id of its gold answer for the host that scores.

    Returns:
        The table, branches in recorded order; the gold's id, −1 if no branch ever shows it (or it is UNPARSED, which
        is never right).
    """
    ids = answer_ids(question)
    number = ids.__getitem__
    answers = [[*map(number, branch.probes), ids[branch.final]] for branch in question.branches]
    totals = [branch.tokens for branch in question.branches]
    recorded = any(branch.signals for branch in question.branches)
    signals: list[dict[str, Sequence[float | None]]] = []
    if recorded:
        signals = [dict(branch.signals) for branch in question.branches]
    gold = -1 if question.gold == UNPARSED else ids.get(question.gold, -1)
    return Table(answers, totals, signals), gold
