"""The replay room: recorded branches, the MDP over them, their formats, and the embedded synthetic environments."""

from autotts.replay.answers import get_equivalence
from autotts.replay.environment import UNPARSED, Environment, Question, Trajectory
from autotts.replay.episode import Episode, Table, TableSource
from autotts.replay.formats import SCHEMA, load_environment, load_environments, save_environment
from autotts.replay.tables import answer_ids, table_of

__all__ = [
    "SCHEMA",
    "UNPARSED",
    "Environment",
    "Episode",
    "Question",
    "Table",
    "TableSource",
    "Trajectory",
    "answer_ids",
    "get_equivalence",
    "load_environment",
    "load_environments",
    "save_environment",
    "table_of",
]
