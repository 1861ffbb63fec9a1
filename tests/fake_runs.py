"""Runs whose figures are drawn, not measured: what a search stores, with no sandbox and no programs that work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from autotts.archive import Archive, EnvironmentRef, Evaluation, Point, Program, Proposal, Run, Verdict
from autotts.evaluation.curve import numbered, scores_of
from autotts.evaluation.statistics import Scores, gain_at_matched_tokens, mean_curve
from autotts.search import Config

Floats = npt.NDArray[np.float64]

UNIT = 64_000.0


class FakeRun:
    """A run of an archive, to which programs are added with the chance of being right on each question.

    Args:
        archive, name: where it is kept.
        seed: of its questions' difficulty and of every draw.
        questions, environments: how many; every environment has every question.
        model: the beginning of the environments' names.
    """

    def __init__(
        self,
        archive: Archive,
        name: str = "run-1",
        seed: int = 0,
        questions: int = 30,
        environments: int = 2,
        model: str = "model",
    ):
        self.archive, self.name = archive, name
        self.rng = np.random.default_rng([seed, questions])
        self.config = Config(betas=3, seeds=4, seed=seed)
        self.shape = environments, 3, questions
        ids = tuple(f"q{q}" for q in range(questions))
        self.refs = [
            EnvironmentRef(
                f"{e:064x}",
                f"{model}-{e}/fake",
                clusters=ids,
                sc64_tokens=UNIT,
                mean_branch_tokens=1000.0,
                pass_at_1=0.3,
            )
            for e in range(environments)
        ]
        config = {**asdict(self.config), "budget": {}, "settings": {}}
        archive.add_run(Run(name, seed, config, tuple(self.refs), "done"))
        ease = self.rng.beta(1.0, 1.0, (environments, 1, questions))
        beta = np.linspace(0, 1, 3)[None, :, None]
        self.chance: Floats = ease * (0.7 + 0.3 * beta)
        self.tokens: Floats = np.broadcast_to(2000 + 30_000 * beta, self.shape).copy()
        self.reference: Scores | None = None
        self.gains: dict[str, float] = {}
        self.baselines = [
            self.add(0, 0, self.luck(), name="cmc"),
            self.add(0, 1, self.chance, 2 * self.tokens, name="sc"),
        ]

    def luck(self, lift: float = 0.0, spread: float = 0.15) -> Floats:
        """Chances of a program that is `lift` better than the reference, but for its luck with each question."""
        environments, _, questions = self.shape
        own = self.rng.normal(0, spread, (environments, 1, questions)) * (self.rng.random((1, 1, questions)) < 0.5)
        chances: Floats = np.clip(self.chance + lift + own, 0, 1)
        return chances

    def add(
        self,
        round_: int,
        slot: int,
        chance: Floats,
        tokens: Floats | None = None,
        parents: Sequence[str] = (),
        name: str = "",
        source: str = "",
        idea: str = "",
    ) -> str:
        """Add a confirmed program; its hash. Its gain is what the search would have stored."""
        source = source or f'"""Program {self.name} {round_}.{slot}."""\nX = {round_}, {slot}\n'
        hash = hashlib.sha256((name or source).encode()).hexdigest()
        spent = self.tokens if tokens is None else tokens
        right = self.rng.binomial(4, np.broadcast_to(chance, self.shape))
        made = [
            Evaluation(
                hash, ref.hash, self.config.protocol.hash, "confirm", self.config.protocol.betas, (0, 1, 2, 3),
                right[e], (4 * spent[e]).astype(np.int64), spent[e].astype(np.int64), right[e],
            )
            for e, ref in enumerate(self.refs)
        ]  # fmt: skip
        scores = scores_of(made, numbered([ref.clusters for ref in self.refs]), np.full(len(self.refs), UNIT))
        self.reference = self.reference or scores
        gain = gain_at_matched_tokens(scores, self.reference, resamples=100)
        self.gains[hash] = gain.value
        verdict = Verdict("ok", program=hash, stage="confirm", gain=gain.value, gain_se=gain.se)
        agent = "fake" if round_ else "baseline"
        self.archive.add_proposal(Proposal(self.name, round_, slot, agent, source, tuple(parents)))
        program = Program(hash, source, idea or f"Program {round_}.{slot}", name=name)
        accuracy, tokens = mean_curve(scores.accuracy, scores.tokens, np.ones(len(self.refs)))
        betas = self.config.protocol.betas
        curve = [Point(hash, b, float(t), float(a)) for b, t, a in zip(betas, tokens, accuracy, strict=True)]
        measured = {"evaluations": made, "curve": "fake", "points": curve}
        self.archive.commit_slot(self.name, round_, slot, verdict, program=program, **measured)
        return hash

    def best(self, n: int) -> list[str]:
        """The n programs of the highest gains, baselines left out."""
        written = [hash for hash in self.gains if hash not in self.baselines]
        return sorted(written, key=lambda hash: -self.gains[hash])[:n]

    def climb(self, rounds: int, per_round: int) -> None:
        """Rounds of programs that are no better than their parents, which are those that looked best before."""
        for round_ in range(1, rounds + 1):
            best = self.best(3)
            for slot in range(per_round):
                parents = (best[int(self.rng.integers(len(best)))],) if best else ()
                self.add(round_, slot, self.luck(), parents=parents)
