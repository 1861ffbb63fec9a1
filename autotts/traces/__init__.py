"""Evidence: why an episode went wrong or cost too much, which line of a program wins or loses, what states promise."""

from autotts.traces._credit import LineCredit, credit, credit_by_line, gutter
from autotts.traces._failures import KINDS, FailureKind, failures
from autotts.traces._rerun import overridden
from autotts.traces._table import Evidence
from autotts.traces._timeline import episode, timeline
from autotts.traces.branches import branches
from autotts.traces.ceilings import ceilings
from autotts.traces.compare import compare
from autotts.traces.difficulty import difficulty
from autotts.traces.features import BRANCH_FEATURES, FEATURE_HELP, STATE_FEATURES
from autotts.traces.lineage import lineage
from autotts.traces.measure import measured, reject_text
from autotts.traces.states import states

__all__ = [
    "BRANCH_FEATURES",
    "FEATURE_HELP",
    "KINDS",
    "STATE_FEATURES",
    "Evidence",
    "FailureKind",
    "LineCredit",
    "branches",
    "ceilings",
    "compare",
    "credit",
    "credit_by_line",
    "difficulty",
    "episode",
    "failures",
    "gutter",
    "lineage",
    "measured",
    "overridden",
    "reject_text",
    "states",
    "timeline",
]
