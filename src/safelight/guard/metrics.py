"""OpenMetrics: how many calls, how fast, which alarms, who is held. No label ever names a client.

Models are labels, and clients choose what they ask for: only a model that has answered gets a label of its own, and at
most a hundred do. The rest is "other".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from safelight.errors import InputError, MissingExtra, StoreFailed
from safelight.guard.alarm import Alarm
from safelight.guard.judge import Step
from safelight.guard.store import Store

try:
    from prometheus_client import CollectorRegistry, Counter, Histogram, make_asgi_app, start_http_server
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError:
    raise MissingExtra("prometheus-client", "guard", "Reading metrics") from None

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
MODELS, OTHER = 100, "other"


class Metrics:
    """What is counted in one process.

    Attributes:
        registry: of prometheus-client, its own: nothing of the program around it is in it.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._requests = Counter(
            "safelight_guard_requests", "Calls, by what became of them.", ["model", "version", "verdict"],
            registry=registry,
        )  # fmt: skip
        self._latency = Histogram(
            "safelight_guard_latency_seconds", "From the question to its answer.", ["model"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._lag = Histogram(
            "safelight_guard_log_lag_seconds", "From a question to its row in the log.", buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self._budget = Histogram(
            "safelight_guard_budget_left_ratio", "Share of the scarcest budget left after a call.", buckets=SHARES,
            registry=registry,
        )  # fmt: skip
        self._unlogged = Counter("safelight_guard_unlogged_calls", "Calls with no row in the log.", registry=registry)
        self._alarms = Counter(
            "safelight_guard_alarms", "Alarms, by the signal that stood out most.", ["signal", "scope"],
            registry=registry,
        )  # fmt: skip
        self._lost = Counter(
            "safelight_guard_alerts_lost", "Alerts that did not arrive.", ["channel"], registry=registry
        )
        self._named: set[str] = set()
        self._children: dict[tuple[str, str, str], tuple[Any, Any]] = {}

    def call(self, model: str, version: str, verdict: str, seconds: float) -> None:
        """Count a call that has its answer.

        Args:
            model: that was asked.
            version: of it, or "".
            verdict: what became of the call, such as "allowed".
            seconds: from the question to the answer.
        """
        if model not in self._named:
            if verdict == "allowed" and len(self._named) < MODELS:
                self._named.add(model)
            else:
                model, version = OTHER, ""
        key = (model, version, verdict)
        found = self._children.get(key)
        if found is None:
            found = self._requests.labels(*key), self._latency.labels(model)
            self._children[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def judged(self, seconds: float, left: float) -> None:
        """Count a call that is in the log, `seconds` after it came, with this share of its budget left."""
        self._lag.observe(seconds)
        self._budget.observe(left)

    def unlogged(self) -> None:
        """Count a call that the log could not take."""
        self._unlogged.inc()

    def alarm(self, alarm: Alarm) -> None:
        """Count an alarm."""
        self._alarms.labels(alarm.signal, "client" if alarm.client else "cohort").inc()

    def lost(self, channel: str) -> None:
        """Count an alert that did not arrive."""
        self._lost.labels(channel).inc()

    def watch(self, store: Store, clock: Callable[[], float]) -> None:
        """Ask a store at each reading how many clients each step holds for."""
        self.registry.register(_Held(lambda: held(store, clock())))

    @property
    def app(self) -> Any:
        """An ASGI app that answers with the metrics, for a program that mounts it where clients do not reach."""
        return make_asgi_app(self.registry)

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Answer at http://host:port/metrics in a thread, and return what ends it; raises InputError."""
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise InputError(
                f"[metrics] cannot listen at {host}:{port} ({error.strerror}); name another port."
            ) from None

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end


def held(store: Store, now: float) -> dict[str, int]:
    """Return how many clients each step from "coarsen" on holds for now; raises StoreFailed."""
    counted = dict.fromkeys((step.name.lower() for step in Step if step >= Step.COARSEN), 0)
    for client in store.census(now, now)[1]:
        step = store.state(client).stands(now)
        if step >= Step.COARSEN:
            counted[step.name.lower()] += 1
    return counted


class _Held(Collector):
    """Gauges that are read from the store when they are asked for."""

    def __init__(self, count: Callable[[], dict[str, int]]) -> None:
        self._count = count

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily("safelight_guard_clients_held", HELD, labels=["step"])]

    def collect(self) -> Iterable[Metric]:
        gauge = GaugeMetricFamily("safelight_guard_clients_held", HELD, labels=["step"])
        try:
            for step, count in self._count().items():
                gauge.add_metric([step], count)
        except StoreFailed:  # nothing is said of what nobody knows
            return []
        return [gauge]


HELD = "Clients that a step holds for now."
