"""What the endpoint tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from autotts.live.serve.drift import Report
from autotts.live.serve.limits import Gate
from autotts.live.solution import Solution

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.1, 0.3, 1, 3, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
_BRANCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Metrics:
    """Counters of one endpoint, in a registry of its own.

    Args:
        gate: whose places are told.
        controller, model: what is served, as labels of `autotts_serving`.
        beta: where a request says none.
    """

    def __init__(self, gate: Gate, controller: str, model: str, beta: float) -> None:
        self.registry = CollectorRegistry()
        here = self.registry
        ProcessCollector(registry=here)
        about = {"controller": controller, "model": model, "beta": f"{beta:g}"}
        Info("autotts_serving", "What is served.", registry=here).info(about)
        Gauge("autotts_requests_running", "Requests that are worked on.", registry=here).set_function(
            lambda: gate.running
        )
        Gauge("autotts_requests_queued", "Requests that wait.", registry=here).set_function(lambda: gate.queued)
        self._requests = Counter(
            "autotts_requests", "Requests for a completion, by what came of them.", ["outcome"], registry=here
        )
        self._upstream = Counter(
            "autotts_upstream_errors", "Failures of the model's server.", ["status"], registry=here
        )
        self._seconds = Histogram(
            "autotts_request_seconds", "From a request to its answer.", buckets=_SECONDS, registry=here
        )
        self._tokens = Counter("autotts_tokens", "Tokens of answered requests, by kind.", ["kind"], registry=here)
        self._branches = Histogram("autotts_branches", "Branches of a request.", buckets=_BRANCHES, registry=here)
        self._confidence = Histogram(
            "autotts_confidence", "Share of the votes that the answer has.", buckets=_SHARES, registry=here
        )
        self._drift = Gauge(
            "autotts_drift", "Requests against the environment, in standard errors.", ["measure"], registry=here
        )
        self._alarm = Gauge("autotts_drift_alarm", "1 where the last window differs.", ["measure"], registry=here)

    def ended(self, outcome: str, seconds: float) -> None:
        """A request ended."""
        self._requests.labels(outcome).inc()
        self._seconds.observe(seconds)

    def answered(self, solution: Solution) -> None:
        """A question was answered."""
        for kind in ("tokens", "sequential_tokens", "generated", "probe_tokens", "prompt_tokens"):
            name = "mdp" if kind == "tokens" else kind.removesuffix("_tokens")
            self._tokens.labels(name).inc(getattr(solution, kind))
        self._branches.observe(solution.branches)
        if solution.confidence is not None:
            self._confidence.observe(solution.confidence)

    def upstream_failed(self, status: int) -> None:
        """The model's server failed; with which status that was told."""
        self._upstream.labels(str(status)).inc()

    def drifted(self, report: Report) -> None:
        """A window of requests was compared."""
        for measure in report.measures:
            self._drift.labels(measure.name).set(measure.z)
            self._alarm.labels(measure.name).set(int(measure.differs))

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
