"""What Prometheus counted, and the little statistics that a threshold needs."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Final

Z: Final = 1.959963984540054
"""The normal quantile of a two-sided interval of 95 %."""

Buckets = tuple[tuple[float, float], ...]
"""A histogram: (upper bound in ms, requests that took at most this long), ascending, the last bound +Inf."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one revision answered in one stretch of time: requests, those of them that failed, durations."""

    requests: float
    errors: float = 0
    buckets: Buckets = ()


@dataclass(frozen=True, slots=True)
class Sides:
    """Canary and stable in the same stretch of time. None: Prometheus has no series of that side."""

    canary: Counts | None
    stable: Counts | None = None

    @property
    def requests(self) -> float:
        """Requests that the canary answered."""
        return self.canary.requests if self.canary is not None else 0


@dataclass(frozen=True, slots=True)
class Slower:
    """How many requests took longer than a limit.

    `exact` says that the limit is a bucket's bound, so that they were counted and not interpolated;
    `unknown` are those beyond the last finite bound, if the limit is beyond it too.
    """

    count: float
    exact: bool
    unknown: float = 0


def wilson_low(bad: float, total: float, z: float = Z) -> float:
    """The lower end of the Wilson score interval of a share (E. B. Wilson 1927), of 95 % unless `z` says
    otherwise; 0 without a total."""
    if total <= 0 or bad <= 0:
        return 0.0
    share, square = bad / total, z * z
    centre = share + square / (2 * total)
    half = z * sqrt(share * (1 - share) / total + square / (4 * total * total))
    return (centre - half) / (1 + square / total)


def ascending(buckets: Buckets) -> Buckets:
    """The same histogram with counts that never fall: pods are not scraped in one instant."""
    highest, result = 0.0, []
    for bound, count in sorted(buckets):
        highest = max(highest, count)
        result.append((bound, highest))
    return tuple(result)


def total(buckets: Buckets) -> float:
    """All requests of a histogram; 0 if it has no +Inf bucket, which a histogram must have."""
    return buckets[-1][1] if buckets and buckets[-1][0] == inf else 0


def quantile(buckets: Buckets, share: float) -> float | None:
    """The duration in ms that this share of requests did not exceed, None without requests.

    Linear within a bucket, as PromQL's histogram_quantile; beyond the last finite bound, that bound.
    """
    rank, below, start = share * total(buckets), 0.0, 0.0
    if rank <= 0:
        return None
    for bound, count in buckets:
        if count >= rank:
            return start if bound == inf else start + (bound - start) * (rank - below) / (count - below)
        below, start = count, bound
    return None


def slower(buckets: Buckets, limit: float) -> Slower:
    """Requests that took longer than `limit` ms."""
    everything, below, start = total(buckets), 0.0, 0.0
    for bound, count in buckets:
        if bound == limit:
            return Slower(everything - count, exact=True)
        if bound == inf:
            return Slower(0, exact=False, unknown=everything - below)
        if bound > limit:
            within = (count - below) * (limit - start) / (bound - start)
            return Slower(everything - below - within, exact=False)
        below, start = count, bound
    return Slower(0, exact=False)
