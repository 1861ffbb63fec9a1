"""The replay room: recorded branches, the MDP over them, their formats, and the embedded synthetic environments."""

from autotts.replay.answers import get_equivalence
from autotts.replay.environment import UNPARSED, Environment, Question, Trajectory
from autotts.replay.episode import Episode
from autotts.replay.formats import (
    SCHEMA,
    environment_files,
    load_environment,
    load_environments,
    read_environment,
    save_environment,
)
from autotts.replay.questions import read_questions
from autotts.replay.source import Table, TableSource
from autotts.replay.summary import summarize
from autotts.replay.synthetic import synthetic_environments
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
    "environment_files",
    "get_equivalence",
    "load_environment",
    "load_environments",
    "read_environment",
    "read_questions",
    "save_environment",
    "summarize",
    "synthetic_environments",
    "table_of",
]
