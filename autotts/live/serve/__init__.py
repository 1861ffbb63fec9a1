"""A controller behind an OpenAI-compatible endpoint, which a user puts in front of a model server."""

from autotts.live.serve.answerer import Answerer
from autotts.live.serve.baseline import episodes_of
from autotts.live.serve.drift import LEAST_QUESTIONS, Drift
from autotts.live.serve.log import AccessLog
from autotts.live.serve.run import is_loopback, listening, serve_until_told, url_of
from autotts.live.serve.schema import Terms
from autotts.live.serve.service import Service, Settings
from autotts.live.serve.upstream import upstream_of

__all__ = [
    "LEAST_QUESTIONS",
    "AccessLog",
    "Answerer",
    "Drift",
    "Service",
    "Settings",
    "Terms",
    "episodes_of",
    "is_loopback",
    "listening",
    "serve_until_told",
    "upstream_of",
    "url_of",
]
