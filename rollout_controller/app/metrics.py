"""What the controller measures about itself, for /metrics."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from rollout_controller.ports import Key

_PREFIX: Final = "rollout_controller"
_FAST: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_EVERY: Final = 1.0


class Instruments:
    """All metrics of one controller, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        registry = self.registry
        Info(f"{_PREFIX}_build", "The running version.", registry=registry).info(
            {"version": version("rollout-controller"), "python": platform.python_version()}
        )
        self._passes = Counter(
            f"{_PREFIX}_passes", "Passes over a Rollout, by how they ended.", ["result"], registry=registry
        )
        self._pass_seconds = Histogram(
            f"{_PREFIX}_pass_duration_seconds", "How long passes took.", buckets=_FAST, registry=registry
        )
        self._calls = Counter(
            f"{_PREFIX}_api_calls",
            "Calls to the API server; code none: no answer. Verbs watch and relist feed the cache.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self._call_seconds = Histogram(
            f"{_PREFIX}_api_call_duration_seconds",
            "How long calls to the API server took; of a watch, until it was opened.",
            ["verb"],
            buckets=_FAST,
            registry=registry,
        )
        self._queries = Counter(
            f"{_PREFIX}_prometheus_queries", "Queries to Prometheus.", ["result"], registry=registry
        )
        self._query_seconds = Histogram(
            f"{_PREFIX}_prometheus_query_duration_seconds",
            "How long queries to Prometheus took.",
            buckets=_FAST,
            registry=registry,
        )
        self._events = Counter(
            f"{_PREFIX}_events", "Events on Rollouts: sent, failed or dropped.", ["result"], registry=registry
        )
        self._lag = Histogram(
            f"{_PREFIX}_event_loop_lag_seconds",
            "How late the event loop woke a timer.",
            buckets=_FAST,
            registry=registry,
        )
        self._depth = Gauge(f"{_PREFIX}_queue_depth", "Rollouts that wait for a pass.", registry=registry)
        self._age = Gauge(
            f"{_PREFIX}_queue_oldest_seconds",
            "How long the Rollout that waits longest has waited.",
            registry=registry,
        )
        self._weight = Gauge(
            f"{_PREFIX}_rollout_weight",
            "Percent of requests that the canary gets, as read back.",
            ["namespace", "rollout"],
            registry=registry,
        )
        self._phase = Gauge(
            f"{_PREFIX}_rollout_phase",
            "1 for the phase that the Rollout is in.",
            ["namespace", "rollout", "phase"],
            registry=registry,
        )
        self._phases: dict[Key, str] = {}

    def passed(self, key: Key, outcome: str, seconds: float) -> None:
        """A pass ended. Implements queue.Watcher."""
        del key
        self._passes.labels(outcome).inc()
        self._pass_seconds.observe(seconds)

    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """The API server was called. Is a rest.Count."""
        self._calls.labels(verb, resource, code).inc()
        self._call_seconds.labels(verb).observe(seconds)

    def queried(self, result: str, seconds: float) -> None:
        """Prometheus was asked; `result` is `ok` or what went wrong in one word."""
        self._queries.labels(result).inc()
        self._query_seconds.observe(seconds)

    def event(self, result: str) -> None:
        """An Event was sent, failed or dropped."""
        self._events.labels(result).inc()

    def queue(self, depth: Callable[[], float], oldest: Callable[[], float]) -> None:
        """Where depth and age of the queue are read when somebody asks."""
        self._depth.set_function(depth)
        self._age.set_function(oldest)

    def rollout(self, key: Key, phase: str, weight: int) -> None:
        """What a Rollout's status says."""
        before = self._phases.get(key)
        if before is not None and before != phase:
            self._phase.remove(*key, before)
        self._phases[key] = phase
        self._phase.labels(*key, phase).set(1)
        self._weight.labels(*key).set(weight)

    def gone(self, key: Key) -> None:
        """A Rollout that does not exist any more has no metrics."""
        phase = self._phases.pop(key, None)
        if phase is not None:
            self._phase.remove(*key, phase)
            self._weight.remove(*key)

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    async def measure_lag(self) -> None:
        """Measure how late timers are, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_EVERY
            await asyncio.sleep(_LAG_EVERY)
            self._lag.observe(max(loop.time() - due, 0.0))
