"""Everything that was proposed, what became of it, and the front: records, store, Pareto fronts, selection."""

from autotts.archive.integrity import Fault
from autotts.archive.overview import RunCounts, StoredEvaluation
from autotts.archive.pareto import (
    Point,
    Stretch,
    exclusive_hypervolume,
    front,
    hypervolume,
    near_front,
    stretches,
)
from autotts.archive.records import (
    Added,
    Call,
    EnvironmentRef,
    Evaluation,
    LedgerEntry,
    LedgerRow,
    Listed,
    Program,
    Proposal,
    Run,
    Verdict,
)
from autotts.archive.rows import as_stored
from autotts.archive.schema import SCHEMA, ArchiveError
from autotts.archive.store import Archive

__all__ = [
    "SCHEMA",
    "Added",
    "Archive",
    "ArchiveError",
    "Call",
    "EnvironmentRef",
    "Evaluation",
    "Fault",
    "LedgerEntry",
    "LedgerRow",
    "Listed",
    "Point",
    "Program",
    "Proposal",
    "Run",
    "RunCounts",
    "StoredEvaluation",
    "Stretch",
    "Verdict",
    "as_stored",
    "exclusive_hypervolume",
    "front",
    "hypervolume",
    "near_front",
    "stretches",
]
