"""A shard of an evaluation: what its child is told, and the records of its episodes that come back."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotts.errors import OutputLimit, ProgramError
from autotts.evaluation.program import Program
from autotts.evaluation.protocol import Protocol
from autotts.evaluation.referee import Rules
from autotts.evaluation.referees import Referee, World
from autotts.evaluation.wire import MAX_CODE, MAX_KNOBS, MAX_NAME, MAX_SCHEDULE, RECORD, episode_number, pack_tables
from autotts.replay import Environment, table_of
from autotts.replay.source import Table
from autotts.sandbox import Child
from autotts.sandbox.fingerprint import FINGERPRINT

__all__ = ["Prepared", "Work", "host_blocks", "knobs_of", "table_blocks"]

Ints = NDArray[np.int64]
Knobs = tuple[dict[str, float], ...]


@dataclass(frozen=True)
class Work:
    """What is evaluated, and how.

    Attributes:
        program, protocol: see these.
        code: the program as its first child compiled it; b"" where that is still to be done.
        fingerprint: stands for the program however it is laid out (hex); "" where it was not compiled yet.
        knobs: the schedule's values at the least, middle and greatest β of the protocol, as the first child told them.
    """

    program: Program
    protocol: Protocol
    code: bytes = b""
    fingerprint: str = ""
    knobs: Knobs = ()

    def job(self, betas: Sequence[float], **more: Any) -> bytes:
        """What a child is told."""
        program = self.program
        # A child that is given the code has no use for the source.
        source = "" if self.code else program.source
        common = {"source": source, "class_name": program.class_name, "compiled": bool(self.code)}
        return json.dumps({**common, "betas": list(betas), "overrides": dict(self.protocol.overrides), **more}).encode()

    def compiled(self, child: Child, job: bytes) -> Work:
        """Tell a first child its job; what it compiled. None of the program has run when it hands that out."""
        child.send(job)
        frame = child.recv(MAX_CODE)
        return replace(self, code=frame[FINGERPRINT:], fingerprint=frame[:FINGERPRINT].hex())

    def start(self, child: Child, job: bytes) -> None:
        """Tell a later child its job, and what the first one compiled."""
        child.send(job)
        child.send(self.code)


@dataclass(frozen=True)
class Prepared:
    """An environment as the jail (tables) and the host (gold) need it."""

    environment: Environment
    tables: tuple[Table, ...]
    gold: Ints
    packed: bytes
    signal_names: tuple[str, ...]

    @cached_property
    def n_branches(self) -> Ints:
        """Branches that may be opened, a number a question."""
        return np.array([min(len(t.totals), self.environment.max_branches) for t in self.tables], dtype=np.int64)

    @cached_property
    def most_tokens(self) -> Ints:
        """More than an episode can cost, a number a question: every branch to its end, every depth looked at."""
        interval, kappa = self.environment.interval, self.environment.kappa_probe
        most = [
            sum(total + (interval + kappa) * len(a) for total, a in zip(t.totals, t.answers, strict=True))
            for t in self.tables
        ]
        return np.array(most, dtype=np.int64)

    @property
    def rules(self) -> Rules:
        """What a referee, and a child that confirms, are told of it: at κ_probe = 0 answers are carried."""
        environment = self.environment
        kappa = environment.kappa_probe
        return Rules(environment.interval, kappa, environment.max_branches, self.signal_names, not kappa)

    @property
    def world(self) -> World:
        """What a referee gets: no gold."""
        return World({**asdict(self.rules), "signals": [table.signals for table in self.tables]}, self.packed)

    @classmethod
    def of(cls, environment: Environment) -> Prepared:
        """Take an environment apart: what may be known in the jail, and what only the host knows."""
        pairs = [table_of(question) for question in environment.questions]
        tables = tuple(table for table, _ in pairs)
        names = sorted({name for table in tables for signals in table.signals for name in signals})
        gold = np.array([gold for _, gold in pairs], dtype=np.int64)
        return cls(environment, tables, gold, pack_tables(tables), tuple(names))

    def table_job(self, work: Work, betas: Sequence[float], mode: str = "table", **more: Any) -> bytes:
        """What a child that screens (or traces) is told; the tables follow."""
        environment = self.environment
        place = {"environment": environment.name, "interval": environment.interval}
        rules = {"kappa_probe": environment.kappa_probe, "max_branches": environment.max_branches}
        return work.job(betas, mode=mode, **place, **rules, **more)


def table_blocks(work: Work, betas: Sequence[float], prepared: Prepared, child: Child) -> tuple[Knobs, Ints]:
    """Knobs, and records of all episodes: one frame an β."""
    seeds = work.protocol.seeds
    more: dict[str, Any] = {"seeds": list(seeds), "signals": [table.signals for table in prepared.tables]}
    work.start(child, prepared.table_job(work, betas, **more))
    child.send(prepared.packed)
    knobs = knobs_of(child.recv(MAX_SCHEDULE), len(betas))
    due = 8 * len(seeds) * len(prepared.tables) * RECORD
    frames = [child.recv(due) for _ in betas]
    for frame in frames:
        if len(frame) != due:
            raise OutputLimit(f"a result of {len(frame)} bytes where {due} are due")
    blocks = np.frombuffer(b"".join(frames), dtype="<i8")
    if not _possible(blocks.reshape(-1, len(prepared.tables), RECORD), prepared):
        raise OutputLimit("a result of figures that no episode can have")
    return knobs, blocks


def _possible(records: Ints, prepared: Prepared) -> bool:
    """Whether a child's own figures, of shape (episodes, questions, RECORD), are such as there can be.

    Screening takes them at their word, but only to choose what to confirm: what matters here is that no sum, logarithm
    or plot of them can fail.
    """
    answer, tokens, sequential, branches = np.moveaxis(records[..., :4], -1, 0)
    good = (answer >= -1) & (tokens >= 0) & (tokens <= prepared.most_tokens)
    good &= (sequential >= 0) & (sequential <= tokens) & (branches >= 0) & (branches <= prepared.n_branches)
    return bool(good.all())


def host_blocks(
    work: Work, beta: float, seed: int, prepared: Sequence[Prepared], child: Child, referee: Referee
) -> tuple[dict[str, float], list[Ints]]:
    """Knobs, and an environment's records of shape (questions, RECORD) each, which a referee kept."""
    order = [(e, question) for e, one in enumerate(prepared) for question in range(len(one.tables))]
    # Which question an episode is about the child does not know, nor the order, which follows from the gold: so it
    # cannot look up what somebody wrote into the program about each.
    secret = "/".join([work.program.hash, f"{beta}", f"{seed}", *(one.environment.hash for one in prepared)])
    random.Random(secret).shuffle(order)
    worlds = [one.rules.told for one in prepared]
    episodes = [(e, int(prepared[e].n_branches[question])) for e, question in order]
    work.start(child, work.job([beta], mode="host", worlds=worlds, episodes=episodes))
    (knobs,) = knobs_of(child.recv(MAX_SCHEDULE), 1)
    try:
        frame = referee.serve(child, [(e, seed, question) for e, question in order])
    except ProgramError as error:
        number = episode_number(error.where)
        if number is not None and number < len(order):
            e, question = order[number]
            error.where = f"β={beta:g}, {prepared[e].environment.name}, question {question + 1}, seed {seed}"
        raise
    blocks = [np.empty((len(one.tables), RECORD), dtype=np.int64) for one in prepared]
    for (e, question), record in zip(order, np.frombuffer(frame, "<i8").reshape(-1, RECORD), strict=True):
        blocks[e][question] = record
    return knobs, blocks


def knobs_of(frame: bytes, n: int) -> Knobs:
    """The knobs at each of n β, as a child tells them.

    Raises:
        OutputLimit: they are no knobs.
    """
    try:
        told = json.loads(frame)
    except (ValueError, RecursionError):
        told = None
    good = type(told) is list and len(told) == n and all(type(knobs) is dict and _are_knobs(knobs) for knobs in told)
    if not good or any(knobs.keys() != told[0].keys() for knobs in told):
        raise OutputLimit("the schedule's frame is not what a schedule gives")
    return tuple(told)


def _are_knobs(knobs: dict[str, Any]) -> bool:
    try:
        return len(knobs) <= MAX_KNOBS and all(
            name.isidentifier() and len(name) <= MAX_NAME and type(v) in (int, float) and math.isfinite(v)
            for name, v in knobs.items()
        )
    except OverflowError:  # a whole number past all floats
        return False
