"""Recorded reasoning branches: what a replay environment is.

Source: "LLMs Improving LLMs: Agentic Discovery for Test-Time Scaling" (2026), §2 and §4.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

__all__ = ["KAPPA_MEASURED", "UNPARSED", "Environment", "Question", "Trajectory"]

UNPARSED = "ERR"
"""Marks an interval (or a final answer) in which no answer could be parsed."""


KAPPA_MEASURED = "kappa_measured"
"""In a provenance: what a probe was measured to cost on the recorded server, in tokens."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One recorded branch of reasoning.

    A branch with d probes has d + 1 intervals: interval k ≤ d costs Δ tokens and shows `probes[k-1]`; interval d + 1
    costs max(0, tokens − Δ·d), shows `final`, and the branch is finished.

    Attributes:
        probes: the answer at each multiple of Δ tokens, shape (d,).
        tokens: total tokens of the branch, T ≥ 0. In recorded data T may be below Δ·d.
        final: the answer at the end.
        truncated: whether the recording hit its token limit before the branch ended by itself.
        signals: optional numbers beside the answers, e.g. the mean log-probability; each of shape (d + 1,), None where
            nothing was recorded.
    """

    probes: tuple[str, ...]
    tokens: int
    final: str
    truncated: bool = False
    signals: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer after each interval, shape (d + 1,)."""
        return (*self.probes, self.final)


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its recorded branches. `gold` never enters the sandbox.

    `recorded` keeps the key of the recording where an equivalence has replaced its answers, else "".
    """

    id: str
    text: str
    gold: str
    branches: tuple[Trajectory, ...]
    recorded: str = field(default="", compare=False, repr=False)

    @property
    def content(self) -> str:
        """SHA-256 (hex) of the text (the id where there is none) and the branches as recorded, in whatever order."""
        if self.recorded:
            return self.recorded
        rows = sorted(json.dumps([b.probes, b.tokens, b.final]) for b in self.branches)
        return hashlib.sha256(json.dumps([" ".join(self.text.split()) or self.id, rows]).encode()).hexdigest()


@dataclass(frozen=True)
class Environment:
    """Recorded branches of one model on one dataset.

    Attributes:
        model, dataset: names, free text.
        interval: Δ in tokens, > 0.
        questions: in file order.
        kappa_probe: tokens that one probe costs, ≥ 0 (κ_probe).
        max_branches: branches that an episode may open, > 0.
        equivalence: name of the answer equivalence that has been applied ("exact", "latex", …).
        provenance: free key-value pairs: where the recording came from.
    """

    model: str
    dataset: str
    interval: int
    questions: tuple[Question, ...]
    kappa_probe: int = 0
    max_branches: int = 64
    equivalence: str = "exact"
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`model/dataset`."""
        return f"{self.model}/{self.dataset}"

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that an evaluation depends on, gold included, provenance excluded."""
        digest = hashlib.sha256()
        head = [self.model, self.dataset, self.interval, self.kappa_probe, self.max_branches, self.equivalence]
        digest.update(json.dumps(head).encode())
        for question in self.questions:
            rows = [
                [b.probes, b.tokens, b.final, *([sorted(b.signals.items())] if b.signals else [])]
                for b in question.branches
            ]
            digest.update(json.dumps([question.id, question.gold, rows]).encode())
        return digest.hexdigest()

    @cached_property
    def content(self) -> tuple[str, ...]:
        """Each question's `content`: the recording itself, whatever it is called and however its answers compare."""
        return tuple(question.content for question in self.questions)

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the recording: equal for two environments that differ in their settings only."""
        return hashlib.sha256("".join(sorted(self.content)).encode()).hexdigest()

    @cached_property
    def mean_branch_tokens(self) -> float:
        """Mean over questions of the mean tokens of a branch."""
        means = [sum(b.tokens for b in q.branches) / len(q.branches) for q in self.questions]
        return sum(means) / len(means)

    @cached_property
    def sc64_tokens(self) -> float:
        """Expected tokens a question of self-consistency at the ceiling (SC@64): the unit that curves are scaled by."""
        costs = [
            sum(b.tokens for b in q.branches) / len(q.branches) * min(self.max_branches, len(q.branches))
            for q in self.questions
        ]
        return sum(costs) / len(costs)

    def with_equivalence(self, name: str, canonical: Callable[[str], str]) -> Environment:
        """The same recording with every probe, final and gold answer replaced by its canonical form."""
        cache: dict[str, str] = {UNPARSED: UNPARSED}

        def canon(answer: str) -> str:
            if answer not in cache:
                cache[answer] = canonical(answer)
            return cache[answer]

        questions = tuple(
            replace(
                q,
                recorded=q.content,
                gold=canon(q.gold),
                branches=tuple(
                    replace(b, probes=tuple(canon(a) for a in b.probes), final=canon(b.final)) for b in q.branches
                ),
            )
            for q in self.questions
        )
        return replace(self, questions=questions, equivalence=name)

    def select(self, ids: Iterable[str]) -> Environment:
        """Only the questions with these ids, in file order."""
        wanted = set(ids)
        return replace(self, questions=tuple(q for q in self.questions if q.id in wanted))
