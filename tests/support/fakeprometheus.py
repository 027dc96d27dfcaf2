"""A Prometheus that answers the questions of `rollout_controller.prometheus` about made-up traffic.

It reads of a query whose side it asks for and how far back; what PromQL makes of counters is shown on a real
Prometheus elsewhere. Counters are scraped every `scrape` seconds: what came since is not known yet.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from rollout_controller.ports import MetricsError, Sample, Series
from rollout_controller.prometheus.promql import ROW, SIDE

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualClock:
    """The time of the running loop, from BEGIN."""

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=asyncio.get_running_loop().time())


Total = Callable[[float], float]
"""How many there were until a time in seconds."""


def steady(per_second: float, since: float = 0.0, until: float = 1e9) -> Total:
    """So many each second, evenly, from one time to another."""
    return lambda at: max(0.0, min(at, until) - since) * per_second


def none(at: float) -> float:
    return 0.0


class Question(NamedTuple):
    """One query: when, of what (requests, buckets, up), of which canary, how many seconds back."""

    at: float
    kind: str
    canary: str
    span: float


@dataclass
class Revision:
    """The pods of one revision and what they answered; without requests there are no series of it."""

    requests: Total = none
    errors: Total = none
    slow: Total = none
    """Requests that took 800 ms; the others take 80."""
    pods: tuple[str, ...] = ()
    scraped_since: float = -1000.0
    scraped_until: float = 1e9


@dataclass
class FakePrometheus:
    """Implements `ports.Metrics`. Revisions are found by their hash in the patterns of a query."""

    revisions: dict[str, Revision]
    scrape: float = 1.0
    delay: float = 0.0
    fault: Exception | None = None
    asked: list[Question] = field(default_factory=list)

    async def query(self, promql: str, *, at: datetime | None = None) -> list[Sample]:
        kind = "buckets" if "duration" in promql else "requests"
        canary = self._canary(promql)
        now, span = await self._take(kind, canary, promql)
        rows: list[Sample] = []
        for name, revision in self.revisions.items():
            side = {SIDE: "canary"} if name == canary else {}
            last, first = self._scraped(revision, now), self._scraped(revision, now - span)
            if last is None or revision.requests(last) == 0 or last <= now - span:
                continue
            if first is None and not side:
                continue  # of a stable that it did not know it counts nothing
            begin = first if first is not None else -1e9
            rows += self._rows(kind, side, revision, begin, last, now)
        return rows

    async def series(self, selector: str, *, at: datetime | None = None) -> list[Series]:
        now, span = await self._take("up", "", selector)
        return [
            Series({"pod": pod}, samples)
            for revision in self.revisions.values()
            for pod in revision.pods
            if (samples := self._ups(revision, now - span, now))
        ]

    def times(self, kind: str = "requests") -> list[float]:
        """When it was asked."""
        return [round(question.at, 3) for question in self.asked if question.kind == kind]

    def spans(self, kind: str = "requests") -> list[float]:
        """How far back, in seconds."""
        return [question.span for question in self.asked if question.kind == kind]

    async def _take(self, kind: str, canary: str, text: str) -> tuple[float, float]:
        span = int(re.findall(r"\[(\d+)ms\]", text)[0]) / 1000
        self.asked.append(Question(asyncio.get_running_loop().time(), kind, canary, span))
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.fault is not None:
            raise self.fault
        return asyncio.get_running_loop().time(), span

    def _canary(self, promql: str) -> str:
        pattern = re.findall(r'"canary", "pod", "([^"]*)"', promql)[0]
        return next(name for name in self.revisions if f"-{name}-" in pattern)

    def _rows(
        self, kind: str, side: dict[str, str], revision: Revision, first: float, last: float, now: float
    ) -> list[Sample]:
        def grown(of: Total) -> float:
            return of(last) - of(max(first, 0.0))

        requests, errors, slow = grown(revision.requests), grown(revision.errors), grown(revision.slow)
        if kind == "buckets":
            counts = {"100": requests - slow, "500": requests - slow, "1000": requests, "+Inf": requests}
            return [
                Sample({**side, "le": bound}, float(round(count)), now) for bound, count in counts.items()
            ]
        return [
            Sample({**side, "response_code": "200"}, float(round(requests) - round(errors)), now),
            Sample({**side, "response_code": "503"}, float(round(errors)), now),
            Sample({**side, ROW: "newest"}, last, now),
        ]

    def _scraped(self, revision: Revision, at: float) -> float | None:
        """The time of the last scrape of this revision until then."""
        last = min(at, revision.scraped_until) // self.scrape * self.scrape
        return last if last >= revision.scraped_since else None

    def _ups(self, revision: Revision, since: float, until: float) -> tuple[tuple[float, float], ...]:
        count = int((until - since) / self.scrape) + 1
        times = [until // self.scrape * self.scrape - k * self.scrape for k in range(count)]
        inside = [
            t for t in times if max(since, revision.scraped_since) < t <= min(until, revision.scraped_until)
        ]
        return tuple((t, 1.0) for t in reversed(inside))


DOWN = MetricsError("no connection to Prometheus at http://p: Connection refused")
