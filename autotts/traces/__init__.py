"""Evidence: why an episode went wrong or cost too much, which line of a program wins or loses, what states promise."""

from autotts.traces._credit import LineCredit, credit, credit_by_line, gutter
from autotts.traces._failures import KINDS, FailureKind, failures
from autotts.traces._rerun import without_prunes
from autotts.traces._table import Evidence
from autotts.traces._timeline import episode, timeline

__all__ = [
    "KINDS",
    "Evidence",
    "FailureKind",
    "LineCredit",
    "credit",
    "credit_by_line",
    "episode",
    "failures",
    "gutter",
    "timeline",
    "without_prunes",
]
