"""The search: baselines first, then rounds of ask → propose → screen → confirm → commit → tell.

Round r is asked with what all rounds before r told, slots are committed in order, and everything random comes from
(seed, round, slot, purpose): the same seed gives the same archive whatever the number of workers. The archive alone
carries the state, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autotts.agents import Agent, Candidate, Context, Proposal
from autotts.archive import Archive, Evaluation, Point, Verdict
from autotts.archive import Program as StoredProgram
from autotts.archive import Proposal as StoredProposal
from autotts.archive.selection import Selector
from autotts.errors import ProgramError
from autotts.evaluation import EnvironmentResult, Evaluator, Program, Protocol, even_betas, shipped
from autotts.replay import Environment
from autotts.search.events import Event, RoundEnded, SearchEnded, SearchStarted, SlotEnded, SlotStarted
from autotts.search.standing import Standing

__all__ = ["BASELINES", "REFERENCE", "Config", "Search"]

REFERENCE = "cmc"
BASELINES = (REFERENCE, "sc", "asc", "esc", "parallel_probe")
"""Round 0, before what people added. The reference comes first: every gain is measured against it."""

PARENTS = 2

BUILT_IN = ("evolution",)
"""Agents whose programs are AutoTTS's own: they run where strict isolation cannot be had."""


@dataclass(frozen=True)
class Config:
    """What a run is: everything here is stored in it and decides its archive, row for row.

    Attributes:
        agent: the agent's name.
        rounds: rounds of proposals after the baselines (round 0).
        proposals_per_round: slots a round.
        seed: everything random comes from it.
        betas: number of β, evenly spaced.
        seeds: episode seeds that confirming plays.
        screen_seeds: how many of them screening plays, the first ones.
        envs: the environments' paths or names, as given.
        equivalence: answer equivalence, None for what the files say.
        added: hashes of the programs that people had added when the run began; they follow the baselines.
    """

    agent: str = "evolution"
    rounds: int = 4
    proposals_per_round: int = 4
    seed: int = 0
    betas: int = 11
    seeds: int = 5
    screen_seeds: int = 2
    envs: tuple[str, ...] = ()
    equivalence: str | None = None
    added: tuple[str, ...] = ()

    @property
    def protocol(self) -> Protocol:
        """What confirming plays."""
        return Protocol(even_betas(self.betas), tuple(range(self.seeds)))

    @property
    def screen_protocol(self) -> Protocol:
        """What screening plays: fewer seeds, all β."""
        return replace(self.protocol, seeds=tuple(range(min(self.screen_seeds, self.seeds))))


@dataclass
class Search:
    """One run over an archive.

    Args:
        archive, run: where it is kept, and under which name (the run's record exists).
        config: see `Config`.
        environments: the search split.
        agent, selector: who proposes, and who picks parents.
        evaluator: runs programs in the sandbox.
        listen: called with every event.
    """

    archive: Archive
    run: str
    config: Config
    environments: Sequence[Environment]
    agent: Agent
    selector: Selector
    evaluator: Evaluator
    listen: Callable[[Event], None] = lambda _: None
    standing: Standing = field(init=False)
    _candidates: list[Candidate] = field(init=False, default_factory=list)
    _hashes: dict[str, str] = field(init=False, default_factory=dict)
    _stopped: bool = field(init=False, default=False)
    _own: set[str] = field(init=False, default_factory=set)
    _rejects: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        self.standing = Standing(self.environments, self.config.protocol, self.config.screen_protocol)

    def go(self) -> None:
        """Run to the end; slots that the archive holds already are told again, not run again."""
        known = {(p.round, p.slot): p for p in self.archive.proposals(self.run)}
        done = sum(p.verdict is not None for p in known.values())
        rounds, per_round = self.config.rounds, self.config.proposals_per_round
        added = len(self.config.added)
        given = len(BASELINES) + added
        self.evaluator.admit(self.agent.name in BUILT_IN and not added)
        self.listen(SearchStarted(self.run, rounds, per_round, len(BASELINES), added, done, self.evaluator.isolation))
        finished = False
        try:
            for round_ in range(rounds + 1):
                told = tuple(self._mark_front())
                for slot in range(given if round_ == 0 else per_round):
                    if self._stopped:
                        raise KeyboardInterrupt
                    stored = known.get((round_, slot))
                    if stored is None or (stored.verdict is None and self.agent.name in BUILT_IN):
                        # What it had proposed when it was stopped it proposes again: so we know that it is its own.
                        stored = self._propose(round_, slot, told, stored)
                    if stored.verdict is None:
                        stored = self._judge(stored)
                    self._tell(stored)
                self._end_round(round_)
            finished = True
        finally:
            self.archive.set_run_state(self.run, "done" if finished else "interrupted")
            self.listen(SearchEnded(self.run, finished, self.evaluator.cpu_seconds))

    def stop(self) -> None:
        """End `go` with KeyboardInterrupt before its next slot; may be called from a signal's handler."""
        self._stopped = True

    @property
    def candidates(self) -> list[Candidate]:
        """Everything told so far, in order, with its place on or off the front."""
        return self._mark_front()

    def best(self) -> Candidate:
        """The confirmed program with the greatest gain at matched tokens."""
        return self.standing.best(self._candidates)

    # ---- one slot ----------------------------------------------------------------------------------------------

    def _propose(
        self, round_: int, slot: int, told: tuple[Candidate, ...], before: StoredProposal | None
    ) -> StoredProposal:
        """Ask for a program; the answer is in the archive before anything is done with it.

        Args:
            before: what the slot holds already, which stays.
        """
        if round_ == 0:
            proposal = Proposal(self._given(slot).source, (), "")
            agent = "baseline" if slot < len(BASELINES) else "person"
        else:
            self.listen(SlotStarted(self.run, round_, slot, "propose", ""))
            rng = self._rng(round_, slot, "select")
            picks = self.selector.parents(self.standing.parent_records(told), rng, PARENTS)
            by_id = {candidate.id: candidate for candidate in told}
            context = Context(round_, slot, told, tuple(by_id[pick] for pick in picks if pick in by_id))
            proposal = self.agent.propose(context, self._rng(round_, slot, "propose"))
            agent = self.agent.name
        stored = StoredProposal(
            self.run,
            round_,
            slot,
            agent,
            proposal.source,
            tuple(self._hashes[parent] for parent in proposal.parents),
            proposal.prompt,
            proposal.answer,
            dict(proposal.usage),
            proposal.cost,
        )
        if round_ and self.agent.name in BUILT_IN:
            self._own.add(proposal.source)
        if before is not None:
            return before
        self.archive.add_proposal(stored)
        # As the archive took it, which replaces what no database holds: a run that is resumed reads it from there.
        kept = self.archive.proposal(self.run, round_, slot)
        assert kept is not None
        return kept

    def _given(self, slot: int) -> Program:
        """A program of round 0: a baseline, or one that a person added."""
        if slot < len(BASELINES):
            return shipped(BASELINES[slot])
        stored = self.archive.program(self.config.added[slot - len(BASELINES)])
        assert stored is not None
        return Program(stored.source, "", stored.class_name)

    def _rng(self, round_: int, slot: int, purpose: str) -> random.Random:
        return random.Random(f"{self.config.seed}/{round_}/{slot}/{purpose}")

    def _judge(self, stored: StoredProposal) -> StoredProposal:
        """Screen, confirm where it could touch the front, and commit the slot in one transaction."""
        own = stored.source in self._own
        program = Program.from_source(stored.source, trusted=own) if stored.round else self._given(stored.slot)
        record = StoredProgram(program.hash, program.source, program.idea, program.class_name, program.name)
        evaluations: list[Evaluation] = []
        if program.hash in self._hashes.values():
            verdict = Verdict("Duplicate", "the same program was proposed before", program=program.hash)
        else:
            try:
                verdict = self._evaluate(stored, program, evaluations)
            except ProgramError as error:
                verdict = Verdict(error.outcome, error.message, error.line, error.where, program.hash)
        verdict = replace(verdict, isolation=self.evaluator.isolation)
        points: Sequence[Point] = ()
        if verdict.stage == "confirm":
            kept = {e.environment: e for e in evaluations if e.source == "confirm"}
            points = self.standing.points(program.hash, kept)
        place = (self.run, stored.round, stored.slot)
        self.archive.commit_slot(
            *place, verdict, program=record, evaluations=evaluations, curve=self.config.protocol.hash, points=points
        )
        return replace(stored, verdict=verdict)

    def _evaluate(self, stored: StoredProposal, program: Program, evaluations: list[Evaluation]) -> Verdict:
        config, place = self.config, (self.run, stored.round, stored.slot)
        self.listen(SlotStarted(*place, "screen", program.id))
        screened = self.evaluator.run(program, config.screen_protocol)
        evaluations += self._records(program, config.screen_protocol, "screen", screened)
        scores = self.standing.scores(screened)
        if not program.name and not self.standing.could_touch_front(scores):
            gain = self.standing.gain(scores, confirmed=False)
            return Verdict("ok", program=program.hash, stage="screen", gain=gain.value, gain_se=gain.se)
        self.listen(SlotStarted(*place, "confirm", program.id))
        confirmed = self.evaluator.confirm(program, config.protocol, screened, config.screen_protocol)
        evaluations += self._records(program, config.protocol, "confirm", confirmed)
        if program.name == REFERENCE:
            return Verdict("ok", program=program.hash, stage="confirm", gain=0.0, gain_se=0.0)
        gain = self.standing.gain(self.standing.scores(confirmed), confirmed=True)
        return Verdict("ok", program=program.hash, stage="confirm", gain=gain.value, gain_se=gain.se)

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
            for environment, result in zip(self.environments, results, strict=True)
        ]

    # ---- what has been told ------------------------------------------------------------------------------------

    def _tell(self, stored: StoredProposal) -> None:
        """Take a committed slot into the standing, from the archive's own records."""
        verdict = stored.verdict
        assert verdict is not None
        assert verdict.program is not None
        program = self.archive.program(verdict.program)
        assert program is not None
        ids = {digest: name for name, digest in self._hashes.items()}
        confirmed = verdict.outcome == "ok" and verdict.stage == "confirm"
        if verdict.outcome == "ok":
            self._take_scores(program, confirmed)
            self._hashes[program.id] = program.hash
        else:
            self._rejects[verdict.outcome] += 1
            self._hashes.setdefault(program.id, program.hash)
        self._candidates.append(
            Candidate(
                id=program.id,
                source=program.source,
                idea=program.idea,
                agent=stored.agent,
                answer=stored.answer,
                outcome=verdict.outcome,
                gain=verdict.gain,
                gain_se=verdict.gain_se,
                front=False,
                round=stored.round,
                slot=stored.slot,
                parents=tuple(ids[parent] for parent in stored.parents if parent in ids),
            )
        )
        gain, se = verdict.gain, verdict.gain_se
        place = (self.run, stored.round, stored.slot, program.id, program.idea)
        self.listen(SlotEnded(*place, verdict.outcome, gain, se, confirmed, verdict.message))

    def _take_scores(self, program: StoredProgram, confirmed: bool) -> None:
        config = self.config
        for source, protocol in (("screen", config.screen_protocol), ("confirm", config.protocol)):
            if source == "screen" or confirmed:
                hashes = [environment.hash for environment in self.environments]
                kept = self.archive.get_evaluations(program.hash, hashes, protocol.hash, source)
                self.standing.take(program.id, program.name, source, kept)

    def _mark_front(self) -> list[Candidate]:
        on_front = self.standing.front_ids()
        return [replace(candidate, front=candidate.id in on_front) for candidate in self._candidates]

    def _end_round(self, round_: int) -> None:
        figures: dict[str, Any] = self.standing.figures(self._candidates)
        rejects = tuple(sorted(self._rejects.items()))
        self.listen(RoundEnded(self.run, round_, len(self._candidates), rejects=rejects, **figures))
