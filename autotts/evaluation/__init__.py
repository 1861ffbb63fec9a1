"""Run programs in the jail, score them on the host, and say what the figures can bear."""

from autotts.evaluation.curve import ROW_SCHEMA, Curve, cluster_names, clusters_of, failed_rows, falling_pairs
from autotts.evaluation.evaluate import Evaluator, Source
from autotts.evaluation.program import SHIPPED, Program, load_program, shipped
from autotts.evaluation.protocol import MOST_BETAS, Protocol, even_betas, parse_betas, parse_overrides
from autotts.evaluation.reserve import reserved
from autotts.evaluation.results import EnvironmentResult
from autotts.evaluation.tracing import SAMPLE, Action, EpisodeTrace, Note, row_digest

__all__ = [
    "MOST_BETAS",
    "ROW_SCHEMA",
    "SAMPLE",
    "SHIPPED",
    "Action",
    "Curve",
    "EnvironmentResult",
    "EpisodeTrace",
    "Evaluator",
    "Note",
    "Program",
    "Protocol",
    "Source",
    "cluster_names",
    "clusters_of",
    "even_betas",
    "failed_rows",
    "falling_pairs",
    "load_program",
    "parse_betas",
    "parse_overrides",
    "reserved",
    "row_digest",
    "shipped",
]
