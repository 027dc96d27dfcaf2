"""One check, one stretch of time: does the canary keep within its limit?

There are more answers than yes and no. A value above the limit is a failure only if chance alone would not
explain it, and only if the stable version does not do the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import Final

from rollout_controller.core.judge_counts import Counts, Sides, quantile, slower, total, wilson_low
from rollout_controller.core.verdict import Reading

INTERPOLATED_REQUESTS: Final = 100
"""Requests that a latency limit between two bucket bounds needs at least."""


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """At most this share of requests fails, from 0 to 1."""

    max: float

    @property
    def name(self) -> str:
        return "errorRate"


@dataclass(frozen=True, slots=True)
class Latency:
    """This share of requests (0.99) takes at most so many milliseconds."""

    quantile: float
    max: float

    @property
    def name(self) -> str:
        """`latency p99`."""
        return f"latency p{self.quantile * 100:.10g}"


Check = ErrorRate | Latency


class Outcome(Enum):
    """What one check says of one stretch of time."""

    WITHIN = "within the limit"
    FAIL = "above the limit, beyond chance"
    ABOVE = "above the limit, but chance may explain it"
    BOTH = "above the limit, as stable is"
    LACKING = "too few requests"
    BEYOND = "slower than the last bucket bound, which is below the limit"
    UNMEASURED = "requests, but no histogram of them"
    BROKEN = "more failed requests than requests"


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcome with its numbers; `bad` of `requests` were above, `needed` more requests are wanted."""

    check: Check
    outcome: Outcome
    reading: Reading
    bad: float = 0
    needed: int = 0


@dataclass(frozen=True, slots=True)
class _Measure:
    """One side: how many requests were bad, what share may be, and how many there must be to tell."""

    value: float | None
    requests: float
    bad: float
    allowed: float
    least: float
    unknown: float = 0
    unmeasured: bool = False

    @property
    def above(self) -> bool:
        # The rounding of 1 - 0.99 must not make a request too many of what is exactly one percent.
        return self.bad > self.allowed * self.requests + 1e-6

    @property
    def fails(self) -> bool:
        return self.requests >= self.least and wilson_low(self.bad, self.requests) > self.allowed + 1e-9

    @property
    def beyond(self) -> bool:
        return self.unknown > self.allowed * self.requests + 1e-6


def _measure(check: Check, counts: Counts | None, min_requests: int) -> _Measure:
    if isinstance(check, ErrorRate):
        if counts is None or counts.requests <= 0:
            bad = counts.errors if counts is not None else 0
            return _Measure(None, 0, bad, check.max, min_requests)
        rate = counts.errors / counts.requests
        return _Measure(rate, counts.requests, counts.errors, check.max, min_requests)
    buckets = counts.buckets if counts is not None else ()
    over, requests = slower(buckets, check.max), total(buckets)
    least = min_requests if over.exact or not requests else max(min_requests, INTERPOLATED_REQUESTS)
    return _Measure(
        quantile(buckets, check.quantile),
        requests,
        over.count,
        1 - check.quantile,
        least,
        over.unknown,
        unmeasured=not requests and counts is not None and counts.requests >= min_requests,
    )


def judge_check(check: Check, sides: Sides, min_requests: int) -> Judged:
    """What the check says of this stretch of time."""
    canary = _measure(check, sides.canary, min_requests)
    stable = _measure(check, sides.stable, min_requests)
    reading = Reading(check.name, canary.value, check.max, stable.value, round(canary.requests))
    broken = canary.bad > canary.requests
    needed = 0 if broken or canary.unmeasured else max(0, ceil(canary.least - canary.requests))
    if canary.unmeasured:
        outcome = Outcome.UNMEASURED
    elif broken:
        outcome = Outcome.BROKEN
    elif needed:
        outcome = Outcome.LACKING
    elif canary.fails:
        outcome = Outcome.BOTH if stable.fails else Outcome.FAIL
    elif canary.beyond:
        outcome = Outcome.BEYOND
    else:
        outcome = Outcome.ABOVE if canary.above else Outcome.WITHIN
    return Judged(check, outcome, reading, canary.bad, needed)


def exceeds(check: Check, counts: Counts | None, min_requests: int) -> bool:
    """Whether these requests, enough of them, are above the limit by themselves."""
    measure = _measure(check, counts, min_requests)
    return measure.requests >= min_requests and measure.bad <= measure.requests and measure.above
