"""What the archive holds: frozen records. Keys are content and order, never clocks or random ids.

Sums are exact: whole numbers over seeds, so that a figure computed from the archive has one rounding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Added",
    "Call",
    "EnvironmentRef",
    "Evaluation",
    "LedgerEntry",
    "LedgerRow",
    "Listed",
    "Program",
    "Proposal",
    "Run",
    "Verdict",
    "content_hash",
]

Ints = npt.NDArray[np.int64]

ID_LENGTH = 10


def content_hash(source: str, class_name: str | None) -> str:
    """SHA-256 (hex) of a program's normalised source, and of the class that is driven: the key of a program."""
    suffix = f"\0{class_name}" if class_name else ""
    return hashlib.sha256((source + suffix).encode()).hexdigest()


class Added(StrEnum):
    """What became of a record that was added."""

    ADDED = "added"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Program:
    """A controller program, one a content hash.

    Attributes:
        hash: SHA-256 (hex) of the normalised source and the class that is driven.
        source: normalised source.
        idea: first line of the docstring.
        class_name: the class to drive for a class-style file, None for a program with `schedule` and `solve`.
        name: a shipped name such as `cmc`, "" for everything else.
        fingerprint: hash of the program's normalised syntax tree, "" where nobody took it.
    """

    hash: str
    source: str
    idea: str = ""
    class_name: str | None = None
    name: str = ""
    fingerprint: str = ""

    @property
    def id(self) -> str:
        """The first ten digits of the hash; any unique prefix is accepted wherever an id is."""
        return self.hash[:ID_LENGTH]

    @property
    def kind(self) -> str:
        """ "program" or "class"."""
        return "class" if self.class_name else "program"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a proposal. Stored once, together with the evaluations behind it.

    Attributes:
        outcome: "ok", the name of a `ProgramError`, or another word such as "Duplicate" or "AgentError".
        message, line, where: of an outcome that is not "ok".
        program: hash of the program, None where the source never became one.
        stage: how far it came: "" (not evaluated), "screen" or "confirm".
        gain, gain_se: gain at matched tokens over the run's reference, None where not evaluated.
        isolation: layers under which it ran.
    """

    outcome: str
    message: str = ""
    line: int | None = None
    where: str = ""
    program: str | None = None
    stage: str = ""
    gain: float | None = None
    gain_se: float | None = None
    isolation: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an agent answered for one slot of one round.

    Attributes:
        run, round, slot: the key; listed in this order.
        agent: who wrote it, `provider/model` or a built-in's name.
        source: the program text as proposed.
        parents: hashes of the programs that it was made from, best first.
        prompt, answer: what was asked and what came back; for `evolution` the genome as JSON.
        usage: counted tokens by kind.
        cost: in dollars, None where the price is unknown (never 0 for unknown).
        verdict: None as long as the answer is there but nothing is decided: such slots are what a resumed search
            evaluates without asking (and paying) again.
    """

    run: str
    round: int
    slot: int
    agent: str
    source: str
    parents: tuple[str, ...] = ()
    prompt: str = ""
    answer: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    cost: float | None = 0.0
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model, written down before it is sent and again when it has ended.

    Attributes:
        run, round, slot, number: the key; numbers count from 0 within a slot.
        agent: who asked.
        prompt: what was said that had not been said in this slot before.
        templates: hashes of the templates that the prompt was rendered from, by name.
        outcome: "" while it is under way, "ok", or what became of it.
        reply: the answer as JSON, "" without one.
        usage: counted tokens by kind, as the server told.
        tokens: that count against a budget; while it is under way (or where nobody knows) the most that it may use.
        cost: dollars that count against a budget, in the same way; None where the price is unknown (never 0).
        seconds: that it took.
    """

    run: str
    round: int
    slot: int
    number: int
    agent: str
    prompt: str = ""
    templates: Mapping[str, str] = field(default_factory=dict)
    outcome: str = ""
    reply: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    tokens: int = 0
    cost: float | None = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one program on one environment under one protocol.

    Attributes:
        program, environment, protocol: hashes, with `source` the key.
        source: "screen" (table episodes), "confirm" or "heldout" (host episodes).
        betas: B values.
        seeds: S episode seeds that the sums are over.
        right, tokens, sequential_tokens, branches: sums over seeds, int64, shape (B, Q).
        digests: 8 bytes a (β, seed) over all actions, in row-major order of (B, S); b"" where not taken.
        knobs: what `schedule` gave at each β.
        isolation: layers under which it ran.
    """

    program: str
    environment: str
    protocol: str
    source: str
    betas: tuple[float, ...]
    seeds: tuple[int, ...]
    right: Ints
    tokens: Ints
    sequential_tokens: Ints
    branches: Ints
    digests: bytes = b""
    knobs: tuple[Mapping[str, float], ...] = ()
    isolation: str = ""

    @property
    def n_seeds(self) -> int:
        """How many seeds the sums are over."""
        return len(self.seeds)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Evaluation):
            return NotImplemented
        return all(
            np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
            for mine, theirs in ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        )

    def __hash__(self) -> int:
        return hash((self.program, self.environment, self.protocol, self.source))


@dataclass(frozen=True, slots=True)
class EnvironmentRef:
    """An environment as a run knows it; enough for figures from the archive alone.

    Attributes:
        hash, name: content hash, and `model/dataset`.
        clusters: one key a question; the same question has the same key in every environment.
        sc64_tokens, mean_branch_tokens: the unit of tokens, and the left end of the hypervolume.
        pass_at_1: the floor of the hypervolume.
        content: a key a question, of its text and branches as recorded: by these a held-out set is told from a
            searched one, whatever both are called and however their answers are compared.
    """

    hash: str
    name: str
    clusters: tuple[str, ...] = ()
    sc64_tokens: float = 0.0
    mean_branch_tokens: float = 0.0
    pass_at_1: float = 0.0
    content: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One search.

    Attributes:
        name: the key.
        seed: everything random comes from it.
        config: the resolved configuration as JSON.
        environments: in order.
        state: "running", "done", "interrupted", ….
        versions: of AutoTTS, Python and what else figures depend on.
    """

    name: str
    seed: int
    config: Mapping[str, Any] = field(default_factory=dict)
    environments: tuple[EnvironmentRef, ...] = ()
    state: str = "running"
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A held-out figure at one β: accuracy in [0, 1], tokens a question."""

    beta: float
    accuracy: float
    tokens: float
    sequential_tokens: float


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One look at a held-out environment.

    Attributes:
        program: its hash.
        environment: hash of the recording's content, so that looks are counted whatever its settings are.
        environment_name: `model/dataset`.
        rows: one a β.
        run: the run that the program came from, "" where none.
        number: the how-manieth look at this environment in this archive, from 1; 0 before it is appended.
    """

    program: str
    environment: str
    environment_name: str
    rows: tuple[LedgerRow, ...]
    run: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the archive's list: a proposal, or a program that a person added (run "", round and slot None).

    Attributes:
        hash: of the program, None where the source never became one.
        outcome: None while the slot is undecided.
    """

    hash: str | None
    idea: str
    agent: str
    parents: tuple[str, ...]
    run: str
    round: int | None
    slot: int | None
    outcome: str | None
    message: str = ""
    line: int | None = None
    stage: str = ""
    gain: float | None = None
    gain_se: float | None = None

    @property
    def id(self) -> str | None:
        """The first ten digits of the hash."""
        return self.hash[:ID_LENGTH] if self.hash else None
