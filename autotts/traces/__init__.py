"""Evidence: why an episode went wrong or cost too much, which line of a program wins or loses, what states promise."""

from autotts.traces._table import Evidence
from autotts.traces.branches import branches
from autotts.traces.ceilings import ceilings
from autotts.traces.compare import compare
from autotts.traces.difficulty import difficulty
from autotts.traces.features import BRANCH_FEATURES, STATE_FEATURES
from autotts.traces.features import HELP as FEATURE_HELP
from autotts.traces.measure import measure, reference_results, reject_text
from autotts.traces.states import states

__all__ = [
    "BRANCH_FEATURES",
    "FEATURE_HELP",
    "STATE_FEATURES",
    "Evidence",
    "branches",
    "ceilings",
    "compare",
    "difficulty",
    "measure",
    "reference_results",
    "reject_text",
    "states",
]
