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
from autotts.archive import Archive, Call, Evaluation, Point, Verdict
from autotts.archive import Program as StoredProgram
from autotts.archive import Proposal as StoredProposal
from autotts.archive.selection import Selector
from autotts.errors import (
    AgentError,
    AutoTTSError,
    LimitReached,
    ProgramError,
)
from autotts.evaluation import EnvironmentResult, Evaluator, Program, Protocol, shipped
from autotts.replay import Environment
from autotts.search.account import Account, SlotPurse
from autotts.search.config import Config
from autotts.search.events import CallEnded, Event, RoundEnded, SearchEnded, SearchStarted, SlotEnded, SlotStarted
from autotts.search.standing import Standing
from autotts.search.turns import Turns
from autotts.traces.bench import Bench

__all__ = ["BASELINES", "REFERENCE", "Search"]

REFERENCE = "cmc"
BASELINES = (REFERENCE, "sc", "asc", "esc", "parallel_probe")
"""Round 0, before what people added. The reference comes first: every gain is measured against it."""

NEEDED = (REFERENCE, "sc")
"""Without these nothing can be compared."""

PARENTS = 2


@dataclass
class Search:
    """One run over an archive.

    Args:
        archive, run: where it is kept, and under which name (the run's record exists).
        config: see `Config`.
        environments: the search split.
        agents: who proposes, in turn.
        selector: who picks parents.
        evaluator: runs programs in the sandbox.
        listen: called with every event.
    """

    archive: Archive
    run: str
    config: Config
    environments: Sequence[Environment]
    agents: Sequence[Agent]
    selector: Selector
    evaluator: Evaluator
    listen: Callable[[Event], None] = lambda _: None
    standing: Standing = field(init=False)
    bench: Bench = field(init=False)
    account: Account = field(init=False)
    turns: Turns = field(init=False)
    _place: tuple[int, int] = field(init=False, default=(0, 0))
    _told: tuple[Candidate, ...] = field(init=False, default=())
    _candidates: list[Candidate] = field(init=False, default_factory=list)
    _hashes: dict[str, str] = field(init=False, default_factory=dict)
    _stopped: bool = field(init=False, default=False)
    _own: set[str] = field(init=False, default_factory=set)
    _rejects: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        config = self.config
        self.standing = Standing(self.environments, config.protocol, config.screen_protocol)
        self.bench = Bench(self.evaluator, config.screen_protocol, REFERENCE)
        self.account = Account(self.archive, self.run, config.budget)
        self.turns = Turns(self.agents, config.proposals_per_round)

    def go(self) -> None:
        """Run to the end; slots that the archive holds already are told again, not run again.

        Raises:
            LimitReached: a budget has no room for the next proposal.
            AgentDown: an agent's server does not answer.
        """
        finished, reason = False, ""
        try:
            self.begin()
            while self.place is not None:
                if self._stopped:
                    raise KeyboardInterrupt
                self.step()
            finished = True
        except LimitReached as error:
            reason = str(error)
            raise
        finally:
            self.account.tick()
            self.archive.set_run_state(self.run, "done" if finished else "limit" if reason else "interrupted")
            self.listen(SearchEnded(self.run, finished, self.evaluator.cpu_seconds, reason))

    def begin(self) -> None:
        """See what the archive holds, and that programs may be run here."""
        self.archive.set_run_state(self.run, "running")
        done = sum(self.archive.outcomes(self.run).values())
        rounds, per_round, added = self.config.rounds, self.config.proposals_per_round, len(self.config.added)
        self.evaluator.admit(self.turns.all_built_in and not added)
        self.listen(SearchStarted(self.run, rounds, per_round, len(BASELINES), added, done, self.evaluator.isolation))

    @property
    def place(self) -> tuple[int, int] | None:
        """(round, slot) of what comes next, None at the end."""
        return self._place if self._place[0] <= self.config.rounds else None

    def step(self) -> None:
        """Settle the next slot: from the archive, or by asking the agent whose turn it is."""
        round_, slot = self._place
        stored = self.archive.proposal(self.run, round_, slot)
        if round_ == 0:
            if stored is None:
                agent = "baseline" if slot < len(BASELINES) else "person"
                stored = self._store(StoredProposal(self.run, 0, slot, agent, self._given(slot).source))
            self._settle(stored)
            return
        built_in = self.turns.built_in(self._place)
        if stored is not None and not (stored.verdict is None and built_in):
            self._settle(stored)
            return
        # What a built-in agent had proposed when it was stopped it proposes again: so we know that it is its own.
        if stored is None:
            self.account.admit_proposal(self.turns.asked_before(self._place))
        place = self._place
        self.listen(SlotStarted(self.run, round_, slot, "propose", ""))
        answer = self.turns.ask(place, self.ask(), self._rng(round_, slot, "propose"))
        if built_in and isinstance(answer, Proposal):
            self._own.add(answer.source)
        if stored is not None:
            self._settle(stored)
        else:
            self.tell(answer)
        self.turns.hear(place, answer)

    def ask(self) -> Context:
        """What the agent whose turn it is may know."""
        round_, slot = self._place
        agent, number = self.turns.at(self._place)
        picks = self.selector.parents(
            self.standing.parent_records(self._told), self._rng(round_, slot, "select"), PARENTS
        )
        by_id = {candidate.id: candidate for candidate in self._told}
        parents = tuple(by_id[pick] for pick in picks if pick in by_id)
        purse = SlotPurse(self.account, (round_, slot), agent.name, self._call_ended)
        return Context(round_, slot, self._told, parents, number, self.bench, purse)

    def tell(self, answer: Proposal | AgentError) -> Candidate:
        """Take the answer for the next slot: it is in the archive before anything is done with it."""
        round_, slot = self._place
        agent, _ = self.turns.at(self._place)
        purse = SlotPurse(self.account, (round_, slot), agent.name)
        with self.archive.transaction():
            if isinstance(answer, Proposal) and (answer.usage or answer.cost != 0.0):
                number = purse.begin("", {}, sum(answer.usage.values()), answer.cost, asked=True)
                purse.end(number, "ok", "", answer.usage, sum(answer.usage.values()), answer.cost)
            usage, cost, prompt, text = purse.totals()
            given = (self.run, round_, slot, agent.name)
            if isinstance(answer, Proposal):
                parents = tuple(self._hashes[parent] for parent in answer.parents if parent in self._hashes)
                told = answer.prompt or prompt, answer.answer or text
                stored = StoredProposal(*given, answer.source, parents, *told, usage, cost)
            else:
                verdict = Verdict(answer.outcome, str(answer), isolation=self.evaluator.isolation)
                stored = StoredProposal(*given, "", (), prompt, text, usage, cost, verdict)
            stored = self._store(stored)
        self._settle(stored)
        self.account.tick()
        return self._candidates[-1]

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

    def _call_ended(self, call: Call) -> None:
        place = (self.run, call.round, call.slot, call.number, call.agent)
        self.listen(CallEnded(*place, call.outcome, call.tokens, call.cost, call.seconds))

    def _store(self, proposal: StoredProposal) -> StoredProposal:
        """As the archive took it, which replaces what no database holds: a run that is resumed reads it from there."""
        self.archive.add_proposal(proposal)
        kept = self.archive.proposal(self.run, proposal.round, proposal.slot)
        assert kept is not None
        return kept

    def _settle(self, stored: StoredProposal) -> None:
        """Decide a stored slot where it is not decided, take it into the standing, and go to the next."""
        self._take(stored if stored.verdict is not None else self._judge(stored))
        round_, slot = self._place
        given = len(BASELINES) + len(self.config.added)
        if slot + 1 < (given if round_ == 0 else self.config.proposals_per_round):
            self._place = (round_, slot + 1)
            return
        self._end_round(round_)
        self._place = (round_ + 1, 0)
        self._told = tuple(self._mark_front())

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
                if program.name in NEEDED:
                    raise AutoTTSError(
                        f"the baseline {program.name} does not run here, so nothing is kept of it: {error}"
                    ) from error
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

    def _take(self, stored: StoredProposal) -> None:
        """Take a committed slot into the standing, from the archive's own records."""
        verdict = stored.verdict
        assert verdict is not None
        program = self.archive.program(verdict.program) if verdict.program else StoredProgram("", "")
        assert program is not None
        ids = {digest: name for name, digest in self._hashes.items()}
        confirmed = verdict.outcome == "ok" and verdict.stage == "confirm"
        if verdict.outcome == "ok":
            self._take_scores(program, confirmed)
            self._hashes[program.id] = program.hash
        else:
            self._rejects[verdict.outcome] += 1
            if program.hash:
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
                message=verdict.message,
                line=verdict.line,
                where=verdict.where,
                points=self._points(program.id) if confirmed else (),
                class_name=program.class_name,
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

    def _points(self, id_: str) -> tuple[tuple[float, float, float], ...]:
        return tuple((p.beta, p.accuracy, p.tokens) for p in self.standing.points_of(id_))

    def _mark_front(self) -> list[Candidate]:
        on_front = self.standing.front_ids()
        return [replace(candidate, front=candidate.id in on_front) for candidate in self._candidates]

    def _end_round(self, round_: int) -> None:
        figures: dict[str, Any] = self.standing.figures(self._candidates)
        rejects = tuple(sorted(self._rejects.items()))
        tokens, cost, unpriced = self.archive.spent(self.run)
        figures |= {"tokens": tokens, "cost": cost, "unpriced": unpriced}
        self.listen(RoundEnded(self.run, round_, len(self._candidates), rejects=rejects, **figures))
