"""From a journal to an environment: nothing is asked, so answers can be read anew in another way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from autotts.live.journal import Journal
from autotts.live.model import Said
from autotts.live.reading import Reader
from autotts.replay import Environment, Question, Trajectory
from autotts.replay.environment import KAPPA_MEASURED

__all__ = ["build", "measured_kappa"]

_HOW = (
    "seconds of a probe asked alone (median of {n}) over seconds a token of a branch generated alone: "
    "{probe:.4g} s / {token:.4g} s; the answer to one has {said:.1f} tokens in the mean; a probe reads the branch so "
    "far anew, unless the server still knows it"
)


def build(
    journal: Journal,
    questions: Sequence[Question],
    branches: int,
    probing: bool,
    reader: Reader,
    header: Environment,
    provenance: Mapping[str, str],
) -> Environment:
    """The environment that a journal holds.

    Args:
        journal: with all branches and probes of the questions.
        questions: without branches.
        branches: of each question.
        probing: whether probes belong to it.
        reader: of answers.
        header: has everything else; its own questions are not looked at.
        provenance: where it comes from; the measured cost of a probe is added.
    """
    made = [
        Question(
            question.id,
            question.text,
            reader.gold(question.gold),
            tuple(_trajectory(journal, question.id, branch, probing, reader) for branch in range(branches)),
        )
        for question in questions
    ]
    return Environment(
        header.model,
        header.dataset,
        header.interval,
        tuple(made),
        max_branches=header.max_branches,
        equivalence=header.equivalence,
        provenance={**provenance, **measured_kappa(journal)},
    )


def measured_kappa(journal: Journal) -> dict[str, str]:
    """What a probe was measured to cost, in the tokens that could be generated meanwhile, and how; {} if it was not."""
    if not journal.pace or not journal.alone:
        return {}
    seconds = median(journal.alone)
    how = _HOW.format(
        n=len(journal.alone), probe=seconds, token=journal.pace, said=journal.probe_tokens / len(journal.probes)
    )
    return {KAPPA_MEASURED: f"{seconds / journal.pace:.1f}", f"{KAPPA_MEASURED}_how": how}


def _trajectory(journal: Journal, question: str, number: int, probing: bool, reader: Reader) -> Trajectory:
    recorded = journal.branch(question, number)
    depth = len(recorded.cuts)
    if not probing:
        return Trajectory((), recorded.tokens, reader.final(recorded.text), recorded.truncated)
    probes = [journal.probes[question, number, k] for k in range(1, depth + 1)]
    signals = dict(recorded.signals)
    if any(probe.logprob is not None for probe in probes):
        signals["probe_logprob"] = (*(probe.logprob for probe in probes), None)
    return Trajectory(
        tuple(reader.probe(Said(probe.cue, probe.text, 0)) for probe in probes),
        recorded.tokens,
        reader.final(recorded.text),
        recorded.truncated,
        signals,
    )
