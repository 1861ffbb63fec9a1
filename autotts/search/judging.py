"""What becomes of one proposal: known already, rejected, screened, or confirmed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from autotts.archive import Evaluation, Point, Proposal, Verdict
from autotts.archive import Program as StoredProgram
from autotts.errors import AutoTTSError, ProgramError
from autotts.evaluation import EnvironmentResult, Evaluator, Program, Protocol
from autotts.search.config import Config
from autotts.search.novelty import Known, behaviour_of
from autotts.search.screening import Gate
from autotts.search.standing import NEEDED, REFERENCE, Standing

__all__ = ["Judge", "Judged"]


@dataclass
class Judged:
    """A proposal's fate and the figures behind it, to be committed when its turn comes.

    Attributes:
        proposal: what was decided.
        program: as it is stored.
        verdict: see `Verdict`.
        evaluations: of every environment, screened and confirmed.
        points: of the confirmed mean curve.
        behaviour: what it did on the first environment; "" where it did not come so far.
    """

    proposal: Proposal
    program: StoredProgram
    verdict: Verdict = field(default_factory=lambda: Verdict("ok"))
    evaluations: list[Evaluation] = field(default_factory=list)
    points: Sequence[Point] = ()
    behaviour: str = ""

    def after(self, known: Known) -> Judged:
        """This, or nothing but its program where an earlier slot turns out to have the same; a baseline stays."""
        program = self.program
        found = None if program.name else known.verdict(program.hash, program.fingerprint, self.behaviour)
        if found is None:
            return self
        return Judged(self.proposal, program, replace(found, isolation=self.verdict.isolation))


@dataclass
class Judge:
    """Decides proposals, several threads at a time; it changes nothing.

    Args:
        config, evaluator: of the run.
        standing: whose references gains are measured against.
        known: what was proposed before.
    """

    config: Config
    evaluator: Evaluator
    standing: Standing
    known: Known

    def judge(
        self, proposal: Proposal, program: Program, gate: Gate | None, look: int, stage: Callable[[str], None]
    ) -> Judged:
        """Screen, and confirm where it could be on the front.

        Args:
            proposal, program: what was proposed.
            gate: that it must pass; None for a program that is confirmed in any case.
            look: how many looks this makes in the run.
            stage: told what is being done.

        Raises:
            AutoTTSError: what all others are compared with does not run here.
        """
        record = StoredProgram(program.hash, program.source, program.idea, program.class_name, program.name)
        judged = Judged(proposal, record)
        try:
            self._evaluate(judged, program, gate, look, stage)
        except ProgramError as error:
            if program.name in NEEDED:
                raise AutoTTSError(
                    f"the baseline {program.name} does not run here, so nothing is kept of it: {error}"
                ) from error
            judged.verdict = Verdict(error.outcome, error.message, error.line, error.where, program.hash)
            if error.fingerprint:
                judged.program = replace(judged.program, fingerprint=error.fingerprint)
        judged.verdict = replace(judged.verdict, isolation=self.evaluator.isolation)
        return judged

    def _evaluate(
        self, judged: Judged, program: Program, gate: Gate | None, look: int, stage: Callable[[str], None]
    ) -> None:
        if self._is_known(judged, program):
            return
        stage("screen")
        screen, protocol = self.config.screen_protocol, self.config.protocol
        work = self.evaluator.begin(program, screen)
        judged.program = replace(judged.program, fingerprint=work.fingerprint)
        if self._is_known(judged, program):
            return
        # The first environment alone shows whether an earlier program does the same.
        screened = self.evaluator.play(work, only=[0])
        judged.behaviour = behaviour_of(result.digests.astype("<u8").tobytes() for result in screened)
        if self._is_known(judged, program):
            return
        others = range(1, len(self.evaluator.environments))
        screened += self.evaluator.play(work, only=others) if others else []
        judged.evaluations = self._records(program, screen, "screen", screened)
        seen = gate and gate.look(self.standing.points(program.id, screened, screened=True), look)
        if seen and not seen.passes:
            gain, gain_se = self.standing.gain(screened, confirmed=False)
            judged.verdict = Verdict(
                "ok", seen.reason, program=program.hash, stage="screen", gain=gain, gain_se=gain_se
            )
            return
        stage("confirm")
        confirmed = self.evaluator.confirm(work, protocol, screened)
        judged.evaluations += self._records(program, protocol, "confirm", confirmed)
        judged.points = self.standing.points(program.hash, confirmed)
        of_reference = program.name == REFERENCE
        gain, gain_se = (0.0, 0.0) if of_reference else self.standing.gain(confirmed, confirmed=True)
        judged.verdict = Verdict("ok", program=program.hash, stage="confirm", gain=gain, gain_se=gain_se)

    def _is_known(self, judged: Judged, program: Program) -> bool:
        if program.name:
            return False
        found = self.known.verdict(program.hash, judged.program.fingerprint, judged.behaviour)
        judged.verdict = found or judged.verdict
        return found is not None

    def _records(
        self, program: Program, protocol: Protocol, source: str, results: Sequence[EnvironmentResult]
    ) -> list[Evaluation]:
        return [
            Evaluation(
                program.hash,
                environment.hash,
                protocol.hash,
                source,
                protocol.betas,
                protocol.seeds,
                result.right,
                result.tokens,
                result.sequential_tokens,
                result.branches,
                result.digests.astype("<u8").tobytes(),
                result.knobs,
                self.evaluator.isolation,
            )
            for environment, result in zip(self.evaluator.environments, results, strict=True)
        ]
