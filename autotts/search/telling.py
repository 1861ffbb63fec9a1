"""What has been told of a run: the story that agents see, and how its programs stand."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from autotts.agents import Candidate, History
from autotts.archive import Archive, Evaluation, Point, Proposal
from autotts.archive import Program as StoredProgram
from autotts.archive.selection import Entry, Selector
from autotts.replay import Environment
from autotts.search.config import Config
from autotts.search.novelty import Known, behaviour_of
from autotts.search.screening import Gate
from autotts.search.standing import BASELINES, Standing

__all__ = ["Kept", "Plan", "Story"]

PARENTS = 2


class Kept(Candidate):
    """A candidate whose texts and points stay in the archive until somebody reads them, for a run may have many."""

    _archive: ClassVar[Archive]
    _run: ClassVar[str]
    _confirmed: ClassVar[bool]

    @classmethod
    def of(cls, archive: Archive, run: str, **fields: Any) -> Kept:
        """All fields but `source`, `answer` and `points`; `_confirmed` besides."""
        made = object.__new__(cls)
        # One by one, always in the same order: Python then shares the names, and an object has half the size.
        for name, value in (*fields.items(), ("_archive", archive), ("_run", run)):
            object.__setattr__(made, name, value)
        return made

    @property
    def confirmed(self) -> bool:
        """See `Candidate`."""
        return self._confirmed

    @property
    def points(self) -> tuple[tuple[float, float, float], ...]:
        """See `Candidate`. Not by `__getattr__`, for a field with a default is found on the class."""
        held = self._archive.points(self._run, self.hash) if self._confirmed else ()
        return tuple((p.beta, p.accuracy, p.tokens) for p in held)

    def __getattr__(self, name: str) -> str:
        if name == "source":
            program = self._archive.program(self.hash) if self.hash else None
            return program.source if program else ""
        if name == "answer":
            proposal = self._archive.proposal(self._run, self.round, self.slot)
            return proposal.answer if proposal else ""
        raise AttributeError(name)


@dataclass(frozen=True)
class Plan:
    """What a round is asked and judged with: all that was told when it was planned, and nothing later.

    Attributes:
        history: see `History`.
        parents: by slot.
        gate: see `Gate`.
    """

    history: History
    parents: Sequence[tuple[Candidate, ...]]
    gate: Gate


@dataclass
class Story:
    """Takes committed slots in order, from the archive's own records.

    Args:
        archive, run, config, environments, selector: of the search.

    Attributes:
        candidates: everything told, in order.
        standing, known: see these.
        rejects: how many ended in each outcome that is not "ok".
        points: the confirmed mean curve of the last candidate, empty where it has none.
    """

    archive: Archive
    run: str
    config: Config
    environments: Sequence[Environment]
    selector: Selector
    candidates: list[Candidate] = field(default_factory=list)
    standing: Standing = field(init=False)
    known: Known = field(init=False)
    rejects: Counter[str] = field(default_factory=Counter)
    points: tuple[Point, ...] = ()
    _places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = Known(self.candidates)
        self.standing = Standing(self.environments, self.config.protocol.betas, self.config.screen_protocol.betas)

    def take(
        self, stored: Proposal, program: StoredProgram | None = None, evaluations: Sequence[Evaluation] | None = None
    ) -> Candidate:
        """Take a committed slot in; the candidate that it is.

        Args:
            stored: as the archive has it.
            program, evaluations: likewise, where they are at hand; read from the archive where they are not.
        """
        verdict = stored.verdict
        assert verdict is not None
        if program is None:
            program = self.archive.program(verdict.program) if verdict.program else StoredProgram("", "")
            assert program is not None
        behaviour, confirmed, self.points = "", False, ()
        if verdict.outcome == "ok":
            screened = self._evaluations(program.hash, "screen", evaluations)
            behaviour = behaviour_of([screened[0].digests])
            confirmed = verdict.stage == "confirm"
            if confirmed:
                self._take_confirmed(stored, program, screened, self._evaluations(program.hash, "confirm", evaluations))
        else:
            self.rejects[verdict.outcome] += 1
        self.known.add(len(self.candidates), program.hash, program.fingerprint, behaviour)
        parents = tuple(p[:10] for p in stored.parents if p[:10] in self._places)
        self.selector.used(parents)
        id_, said = program.id, "" if verdict.outcome == "ok" else verdict.message
        candidate = Kept.of(
            self.archive,
            self.run,
            id=id_,
            idea=sys.intern(program.idea),
            agent=sys.intern(stored.agent),
            outcome=sys.intern(verdict.outcome),
            gain=verdict.gain,
            gain_se=verdict.gain_se,
            front=False,
            round=stored.round,
            slot=stored.slot,
            parents=parents,
            message=sys.intern(said),
            line=verdict.line,
            where=verdict.where,
            class_name=program.class_name,
            hash=program.hash,
            _confirmed=confirmed,
        )
        if program.hash:
            self._places.setdefault(id_, len(self.candidates))
        self.candidates.append(candidate)
        return candidate

    def history(self) -> History:
        """All that was told up to now."""
        return History(self.candidates, self.standing.front_ids(), self.known.places)

    def plan(self, rngs: Iterable[random.Random]) -> Plan:
        """What a round is asked with, as things stand now; one generator a slot, to draw its parents."""
        history = self.history()
        picks = [self.selector.parents(rng, PARENTS) for rng in rngs]
        parents = [tuple(history[self._places[id_]] for id_ in ids if id_ in self._places) for ids in picks]
        return Plan(history, parents, self.standing.gate)

    def hash_of(self, id_: str, length: int) -> str | None:
        """The full hash of a program that a history of this length tells of."""
        place = self._places.get(id_, length)
        return self.candidates[place].hash if place < length else None

    def _evaluations(self, digest: str, source: str, at_hand: Sequence[Evaluation] | None) -> list[Evaluation]:
        if at_hand is not None:
            return [evaluation for evaluation in at_hand if evaluation.source == source]
        protocol = self.config.screen_protocol if source == "screen" else self.config.protocol
        hashes = [environment.hash for environment in self.environments]
        kept = self.archive.get_evaluations(digest, hashes, protocol.hash, source)
        return [kept[name] for name in hashes]

    def _take_confirmed(
        self,
        stored: Proposal,
        program: StoredProgram,
        screened: Sequence[Evaluation],
        confirmed: Sequence[Evaluation],
    ) -> None:
        assert stored.verdict is not None
        gain = stored.verdict.gain or 0.0, stored.verdict.gain_se
        # By its place, not by the name that the archive has: a person may have added the same text before.
        baseline = BASELINES[stored.slot] if stored.round == 0 and stored.slot < len(BASELINES) else ""
        self.points = self.standing.take(program.id, baseline, gain, screened, confirmed)
        if not baseline:
            self.selector.add(Entry(program.id, self.standing.shares(program.id, confirmed), *gain))
