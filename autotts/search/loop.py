"""The search: baselines first, then rounds of ask → propose → screen → confirm → commit → tell.

Round r is asked with what all rounds before r told (with a lag, those before r − lag), slots are committed in order,
and everything random comes from (seed, round, slot, purpose): the same seed gives the same archive whatever the number
of workers and their timing. The archive alone carries the state, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autotts.agents import Agent, Candidate, Context, Proposal
from autotts.archive import Added, Archive, Call, Verdict, as_stored
from autotts.archive import Proposal as StoredProposal
from autotts.archive.selection import Selector
from autotts.errors import AgentError, InputError, LimitReached
from autotts.evaluation import Evaluator, Program, shipped
from autotts.replay import Environment
from autotts.search.account import Account, SlotPurse
from autotts.search.config import Config
from autotts.search.events import CallEnded, Event, RoundEnded, SearchEnded, SearchStarted, SlotEnded, SlotStarted
from autotts.search.judging import Judge, Judged
from autotts.search.listeners import Listeners
from autotts.search.pipeline import Pipeline
from autotts.search.standing import BASELINES, REFERENCE, Standing
from autotts.search.telling import Plan, Story
from autotts.search.turns import Turns
from autotts.traces.bench import Bench

__all__ = ["Search"]

Place = tuple[int, int]


@dataclass
class Search:
    """One run over an archive.

    Args:
        archive, run: where it is kept, and under which name (the run's record exists).
        config: see `Config`.
        environments: the search split.
        agents: who proposes, in turn.
        selector: who picks parents; told of nothing yet.
        evaluator: runs programs in the sandbox.
        listen: called with every event, by the thread that runs the search; see `Listeners`.
        askers: proposals that are asked for at a time.
    """

    archive: Archive
    run: str
    config: Config
    environments: Sequence[Environment]
    agents: Sequence[Agent]
    selector: Selector
    evaluator: Evaluator
    listen: Callable[[Event], None] = lambda _: None
    askers: int = 1
    bench: Bench = field(init=False)
    account: Account = field(init=False)
    turns: Turns = field(init=False)
    _story: Story = field(init=False)
    _judge: Judge = field(init=False)
    _plans: dict[int, Plan] = field(init=False, default_factory=dict)
    _place: Place = field(init=False, default=(0, 0))
    _last: int = field(init=False)
    _held: Place = field(init=False, default=(-1, -1))
    _ended: str = field(init=False, default="")
    _best: Candidate | None = field(init=False, default=None)
    _raised: int = field(init=False, default=0)
    _own: set[str] = field(init=False, default_factory=set)
    _pipeline: Pipeline | None = field(init=False, default=None)
    _stops: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        config = self.config
        self.bench = Bench(self.evaluator, config.bench_protocol, REFERENCE)
        self.account = Account(self.archive, self.run, config.budget)
        self.turns = Turns(self.agents, config.proposals_per_round)
        self._story = Story(self.archive, self.run, config, self.environments, self.selector)
        self._judge = Judge(config, self.evaluator, self._story.standing, self._story.known)
        self._last = config.rounds

    def go(self) -> None:
        """Run to the end; slots that the archive holds already are told again, not run again.

        Raises:
            LimitReached: a budget has no room for the next proposal, or gains have come to a plateau.
            AgentDown: an agent's server does not answer.
            KeyboardInterrupt: it was stopped.
        """
        self._check_environments()
        finished, reason = False, ""
        try:
            self.begin()
            self._pipeline = Pipeline(self)
            if self._stops == 0:
                self._pipeline.run()
            if self.place is not None:
                raise KeyboardInterrupt
            if self._ended.startswith("--plateau"):
                raise LimitReached(self._ended)
            finished = True
        except LimitReached as error:
            reason = str(error)
            raise
        finally:
            self.account.tick()
            self.archive.set_run_state(self.run, "done" if finished else "limit" if reason else "interrupted")
            self.emit(SearchEnded(self.run, finished, self.evaluator.cpu_seconds, reason or self._ended))

    def begin(self) -> None:
        """See what the archive holds, and that programs may be run here."""
        self._check_environments()
        self.archive.set_run_state(self.run, "running")
        done = sum(self.archive.outcomes(self.run).values())
        self._held = self.archive.last_slot(self.run)
        rounds, per_round, added = self.config.rounds, self.config.proposals_per_round, len(self.config.added)
        self.evaluator.admit(self.turns.all_built_in and not added)
        shape = rounds, per_round, len(BASELINES), added, done, self.evaluator.isolation
        self.emit(SearchStarted(self.run, *shape, self.account.seconds(), self.config.budget.limits))

    def stop(self) -> None:
        """End `go` with KeyboardInterrupt: when what is under way has ended; at once where it is called again.

        May be called from a signal's handler, or from another thread.
        """
        self._stops += 1
        if self._pipeline is not None:
            self._pipeline.stop(at_once=self._stops > 1)

    def emit(self, event: Event) -> None:
        """Tell of an event; a listener that fails is reported, and the search goes on."""
        if not isinstance(self.listen, Listeners):
            self.listen = Listeners(self.listen)
        self.listen(event)

    @property
    def place(self) -> Place | None:
        """(round, slot) of what comes next, None at the end."""
        return self._place if self._place[0] <= self._last else None

    @property
    def ended(self) -> str:
        """By which limit it came to its end before its last round, "" where by none."""
        return self._ended if self.place is None else ""

    @property
    def standing(self) -> Standing:
        """How the programs stand that were told of."""
        return self._story.standing

    @property
    def candidates(self) -> Sequence[Candidate]:
        """Everything told so far, in order, with its place on or off the front."""
        return self._story.history()

    def best(self) -> Candidate:
        """The confirmed program with the greatest gain at matched tokens, the first of equals."""
        assert self._best is not None
        return self._best

    # ---- call by call --------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Settle the next slot: from the archive, or by asking the agent whose turn it is."""
        place = self._place
        stored = self.stored(place)
        answer = None
        if stored is None or self.asks_again(stored):
            if stored is None:
                self.admit(place)
            answer = self.answer(place)
            stored = stored or self.keep(place, answer)
        self.settle(stored if stored.verdict is not None else self.judge(stored), answer)
        self.account.tick()

    def ask(self) -> Context:
        """What the agent whose turn it is may know."""
        return self.context(self._place)

    def tell(self, answer: Proposal | AgentError) -> Candidate:
        """Take the answer for the next slot: it is in the archive before anything is done with it."""
        stored = self.keep(self._place, answer)
        self.settle(stored if stored.verdict is not None else self.judge(stored), None)
        self.account.tick()
        return self._story.candidates[-1]

    # ---- what a slot goes through; the first five may be done for several slots at a time -----------------------

    def stored(self, place: Place) -> StoredProposal | None:
        """What the archive holds of a slot; one of round 0 is put there where it is not."""
        found = self.archive.proposal(self.run, *place) if place <= self._held else None
        if found is None and place[0] == 0:
            agent = "baseline" if place[1] < len(BASELINES) else "person"
            return self._store(StoredProposal(self.run, *place, agent, self._given(place[1]).source))
        return found

    def asks_again(self, stored: StoredProposal) -> bool:
        """Whether a built-in agent proposes again what is stored but not decided: so we know that it is its own."""
        place = stored.round, stored.slot
        return stored.round > 0 and stored.verdict is None and self.turns.built_in(place)

    def admit(self, place: Place) -> None:
        """Refuse to ask for a slot that the limits have no room for.

        Raises:
            LimitReached: see `Account.admit_proposal`.
        """
        self.account.admit_proposal(self.turns.asked_before(place))

    def context(self, place: Place, told: Callable[[Event], None] | None = None) -> Context:
        """What the agent of a slot may know; `told` hears of its calls in place of `emit`."""
        agent, number = self.turns.at(place)
        plan, say = self._plans[place[0]], told or self.emit

        def ended(call: Call) -> None:
            at = (self.run, call.round, call.slot, call.number, call.agent)
            say(CallEnded(*at, call.outcome, call.tokens, call.cost, call.seconds))

        purse = SlotPurse(self.account, place, agent.name, ended)
        return Context(*place, plan.history, plan.parents[place[1]], number, self.bench, purse)

    def answer(self, place: Place, told: Callable[[Event], None] | None = None) -> Proposal | AgentError:
        """Ask the agent whose turn it is."""
        (told or self.emit)(SlotStarted(self.run, *place, "propose", "", self.turns.at(place)[0].name))
        context = self.context(place, told)
        try:
            answer = self.turns.ask(place, context, self._rng(place, "propose"))
        finally:
            assert isinstance(context.purse, SlotPurse)
            context.purse.release()
        if self.turns.built_in(place) and isinstance(answer, Proposal):
            self._own.add(Program.from_source(answer.source).hash)
        return answer

    def keep(self, place: Place, answer: Proposal | AgentError) -> StoredProposal:
        """Write an answer down, with what it cost."""
        agent, _ = self.turns.at(place)
        purse = SlotPurse(self.account, place, agent.name)
        with self.account.writing():
            if isinstance(answer, Proposal) and (answer.usage or answer.cost != 0.0):
                number = purse.begin("", {}, sum(answer.usage.values()), answer.cost, asked=True)
                purse.end(number, "ok", "", answer.usage, sum(answer.usage.values()), answer.cost)
            usage, cost, prompt, text = purse.totals()
            given = (self.run, *place, agent.name)
            if isinstance(answer, Proposal):
                # By its history alone: what else was told of by now is a matter of timing.
                known = len(self._plans[place[0]].history)
                parents = tuple(h for p in answer.parents if (h := self._story.hash_of(p, known)) is not None)
                told = answer.prompt or prompt, answer.answer or text
                stored = StoredProposal(*given, answer.source, parents, *told, usage, cost)
            else:
                verdict = Verdict(answer.outcome, str(answer), isolation=self.evaluator.isolation)
                stored = StoredProposal(*given, "", (), prompt, text, usage, cost, verdict)
            return self._store(stored)

    def judge(self, stored: StoredProposal, told: Callable[[Event], None] | None = None) -> Judged:
        """Decide a proposal; nothing is changed by it."""
        place, say = (stored.round, stored.slot), told or self.emit
        if stored.round:
            program = Program.from_source(stored.source)
            program = replace(program, trusted=program.hash in self._own)
        else:
            program = self._given(stored.slot)
        gate = self._plans[stored.round].gate if stored.round else None
        stage = lambda what: say(SlotStarted(self.run, *place, what, program.id))  # noqa: E731
        return self._judge.judge(stored, program, gate, self.turns.asked_before(place) + 1, stage)

    def settle(self, decided: StoredProposal | Judged, answer: Proposal | AgentError | None) -> None:
        """Commit the next slot where that is still to be done, tell of it, and go to the one after.

        Args:
            decided: of the next slot.
            answer: what the agent said now, to count those that fall silent; None where it was not asked.

        Raises:
            AgentDown: see `Turns.hear`.
        """
        place = self._place
        if isinstance(decided, Judged):
            judged = decided.after(self._story.known)
            self.archive.commit_slot(
                self.run,
                *place,
                judged.verdict,
                program=judged.program,
                evaluations=judged.evaluations,
                curve=self.config.protocol.hash,
                points=judged.points,
            )
            # As the archive has it now, without reading it back: a resumed run does.
            decided = as_stored(replace(judged.proposal, verdict=judged.verdict))
            candidate = self._story.take(decided, as_stored(judged.program), judged.evaluations)
        else:
            candidate = self._story.take(decided)
        confirmed = candidate.confirmed
        if confirmed and (self._best is None or (candidate.gain or 0.0) > (self._best.gain or 0.0)):
            self._best, self._raised = candidate, place[0]
        assert decided.verdict is not None
        said, why = (candidate.id, candidate.idea, candidate.outcome), decided.verdict.message
        points = tuple((p.beta, p.accuracy, p.tokens) for p in self._story.points)
        self.emit(SlotEnded(self.run, *place, *said, candidate.gain, candidate.gain_se, confirmed, why, points))
        self._go_on()
        if answer is not None:
            self.turns.hear(place, answer)

    # ---- between slots -------------------------------------------------------------------------------------------

    @property
    def planned(self) -> int:
        """The last round that may be asked for now."""
        return min(self._last, max(self._plans, default=0))

    def slots(self, round_: int) -> int:
        """How many a round has."""
        return self.config.proposals_per_round if round_ else len(BASELINES) + len(self.config.added)

    def _go_on(self) -> None:
        round_, slot = self._place
        if slot + 1 < self.slots(round_):
            self._place = (round_, slot + 1)
            return
        self._plans.pop(round_, None)
        self._place = (round_ + 1, 0)
        self._end_round(round_)
        lag = self.config.lag
        for planned in range(1 if round_ == 0 else round_ + 1 + lag, round_ + 2 + lag):
            if planned <= self._last:
                slots = range(self.config.proposals_per_round)
                self._plans[planned] = self._story.plan([self._rng((planned, k), "select") for k in slots])

    def _end_round(self, round_: int) -> None:
        figures: dict[str, Any] = self.standing.figures()
        rejects = tuple(sorted(self._story.rejects.items()))
        tokens, cost, unpriced = self.archive.spent(self.run)
        figures |= {"tokens": tokens, "cost": cost, "unpriced": unpriced, "cpu_seconds": self.evaluator.cpu_seconds}
        self.emit(RoundEnded(self.run, round_, len(self._story.candidates), rejects=rejects, **figures))
        budget, gain = self.config.budget, 100 * self.standing.best_gain
        if self._ended:
            return
        if budget.target is not None and gain >= budget.target:
            self._ended = f"--target {budget.target:g}: reached in round {round_}, with {gain:.2f} points"
        elif budget.plateau is not None and round_ - self._raised >= budget.plateau > 0:
            rounds = "round" if budget.plateau == 1 else f"{budget.plateau} rounds"
            self._ended = f"--plateau {budget.plateau}: no greater gain in the last {rounds}"
        else:
            return
        # What was planned before is asked in any case: else it would depend on timing how far the lag has come.
        self._last = min(self._last, round_ + self.config.lag)

    def _check_environments(self) -> None:
        kept = [ref.hash for ref in self.archive.run(self.run).environments]
        if kept != [environment.hash for environment in self.environments]:
            raise InputError(
                f"run {self.run}: these are not the environments that it started with, or not without the questions "
                "that it keeps in reserve; `open_run` reads the right ones"
            )

    def _store(self, proposal: StoredProposal) -> StoredProposal:
        """As the archive took it, which replaces what no database holds: a run that is resumed reads it from there."""
        added = self.archive.add_proposal(proposal)
        self._held = max(self._held, (proposal.round, proposal.slot))
        if added == Added.ADDED:
            return as_stored(proposal)
        kept = self.archive.proposal(self.run, proposal.round, proposal.slot)
        assert kept is not None
        return kept

    def _given(self, slot: int) -> Program:
        """A program of round 0: a baseline, or one that a person added."""
        if slot < len(BASELINES):
            return shipped(BASELINES[slot])
        stored = self.archive.program(self.config.added[slot - len(BASELINES)])
        assert stored is not None
        return Program(stored.source, "", stored.class_name)

    def _rng(self, place: Place, purpose: str) -> random.Random:
        return random.Random(f"{self.config.seed}/{place[0]}/{place[1]}/{purpose}")
