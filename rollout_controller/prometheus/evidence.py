"""Answers of Prometheus, read as counts of each side of a release."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Final

from rollout_controller.core.judge_counts import Counts, Sides, ascending
from rollout_controller.ports import Metrics, MetricsError, Sample, Series
from rollout_controller.prometheus.promql import (
    ROW,
    SIDE,
    Labels,
    Scope,
    buckets_query,
    requests_query,
    scrapes_query,
)

GRPC_ERRORS: Final = frozenset({"2", "4", "8", "13", "14", "15"})
"""UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the server's fault."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both sides in one range. `newest` is the time of the canary's newest sample, of stable's if the canary
    has none, and `age` how old it was when Prometheus answered; both in seconds, None without samples."""

    sides: Sides
    newest: float | None = None
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Scrapes:
    """What `up` tells: seconds from one scrape to the next (None: not known yet), and the names of the
    canary's pods whose last scrape succeeded, of those the ones whose last two in the range did.
    `stable_throughout`: stable has pods, and each was scraped from the range's beginning to its end."""

    interval: float | None = None
    canary_up: frozenset[str] = frozenset()
    canary_twice: frozenset[str] = frozenset()
    stable_throughout: bool = False


async def read_evidence(
    metrics: Metrics, labels: Labels, scope: Scope, span: timedelta, *, histogram: bool
) -> Evidence:
    """What both sides answered in the last `span`; one query, two with the histogram. Raises MetricsError."""
    rows = await metrics.query(requests_query(labels, scope, span))
    bounds = await metrics.query(buckets_query(labels, scope, span)) if histogram else []
    counts = [row for row in rows if ROW not in row.labels]
    marks = {_side(row): row for row in rows if ROW in row.labels}
    mark = marks.get("canary") or marks.get("")
    sides = Sides(_counts("canary", counts, bounds), _counts("", counts, bounds))
    return Evidence(sides, mark.value, mark.at - mark.value) if mark is not None else Evidence(sides)


async def read_short(
    metrics: Metrics, labels: Labels, scope: Scope, span: timedelta, within: timedelta
) -> float:
    """Requests that the canary answered in the last `span` and that took no longer than `within`, or than the
    next lower bound of the histogram; 0 without one. Raises MetricsError."""
    limit = within / timedelta(milliseconds=1)
    rows = await metrics.query(buckets_query(labels, scope, span))
    counts = [(_bound(row), _count(row)) for row in rows if _side(row) == "canary"]
    return max((count for bound, count in counts if bound <= limit), default=0)


async def read_scrapes(metrics: Metrics, labels: Labels, scope: Scope, span: timedelta) -> Scrapes:
    """What is known of the scraping of both sides' pods in the last `span`. Raises MetricsError."""
    rows = [row for row in await metrics.series(scrapes_query(labels, scope, span)) if row.samples]
    if not rows:
        return Scrapes()
    pods = [(row.labels.get(labels.pod, ""), [value for _, value in row.samples]) for row in rows]
    canary = [(pod, values) for pod, values in pods if re.fullmatch(scope.canary, pod)]
    stable = [row for row in rows if re.fullmatch(scope.stable, row.labels.get(labels.pod, ""))]
    interval = _interval(rows)
    return Scrapes(
        interval,
        frozenset(pod for pod, values in canary if values[-1] == 1),
        frozenset(pod for pod, values in canary if values[-2:] == [1, 1]),
        bool(stable) and interval is not None and all(_throughout(row, span, interval) for row in stable),
    )


def _throughout(row: Series, span: timedelta, interval: float) -> bool:
    """Whether the samples reach from one end of the range to the other, up to three scrapes."""
    return row.samples[-1][0] - row.samples[0][0] >= span.total_seconds() - 3 * interval


def is_error(labels: dict[str, str]) -> bool:
    """Whether these requests count as failed: HTTP 5xx, or a gRPC status that blames the server."""
    code = labels.get("response_code", "")
    return (len(code) == 3 and code[0] == "5") or labels.get("grpc_response_status") in GRPC_ERRORS


def _counts(side: str, rows: Iterable[Sample], bounds: Iterable[Sample]) -> Counts | None:
    mine = [row for row in rows if _side(row) == side]
    if not mine:
        return None
    buckets = ((_bound(row), _count(row)) for row in bounds if _side(row) == side)
    return Counts(
        requests=sum(_count(row) for row in mine),
        errors=sum(_count(row) for row in mine if is_error(row.labels)),
        buckets=ascending(tuple(buckets)),
    )


def _side(row: Sample) -> str:
    return row.labels.get(SIDE, "")


def _count(row: Sample) -> float:
    if not math.isfinite(row.value) or row.value < 0:
        raise MetricsError(f"Prometheus counts {row.value:g} requests, which is no count")
    return row.value


def _bound(row: Sample) -> float:
    try:
        return float(row.labels.get("le", ""))
    except ValueError:
        raise MetricsError(f"the bound {row.labels.get('le')!r} of a histogram is no number") from None


def _interval(rows: list[Series]) -> float | None:
    gaps = [
        later[0] - earlier[0]
        for row in rows
        for earlier, later in zip(row.samples, row.samples[1:], strict=False)
    ]
    return median(gaps) if len(gaps) >= 2 else None
