"""What pods say of their own requests, retries included: errors that a retry hides from clients show here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import inf, nan

_SAMPLE = re.compile(r"(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)\Z")
_BUCKET = re.compile(r'le="([^"]+)"')
_CODE = re.compile(r'response_code="([^"]+)"')


@dataclass(frozen=True)
class Counts:
    """Requests of one or more pods since their start. `buckets` maps bounds in milliseconds to cumulated
    requests."""

    requests: float = 0.0
    errors: float = 0.0
    buckets: tuple[tuple[float, float], ...] = ()

    def __add__(self, other: "Counts") -> "Counts":
        return self._with(other, 1)

    def __sub__(self, other: "Counts") -> "Counts":
        """What was added since `other`."""
        return self._with(other, -1)

    def _with(self, other: "Counts", sign: int) -> "Counts":
        mine, its = dict(self.buckets), dict(other.buckets)
        buckets = tuple((le, mine.get(le, 0.0) + sign * its.get(le, 0.0)) for le in sorted({*mine, *its}))
        return Counts(self.requests + sign * other.requests, self.errors + sign * other.errors, buckets)

    @property
    def error_rate(self) -> float:
        """0 to 1; NaN without requests."""
        return self.errors / self.requests if self.requests > 0 else nan

    def quantile(self, q: float) -> float:
        """Milliseconds that the part `q` of the requests did not exceed, interpolated within its bucket; NaN
        without requests."""
        total = self.buckets[-1][1] if self.buckets else 0.0
        if total <= 0:
            return nan
        rank = q * total
        for (low, below), (high, upto) in pairwise(((0.0, 0.0), *self.buckets)):
            if upto >= rank:
                return low if high == inf else low + (high - low) * (rank - below) / (upto - below or 1.0)
        return nan


def parse(text: str) -> Counts:
    """Istio's standard metrics in Prometheus' text format, over all their series."""
    requests = errors = 0.0
    buckets: dict[float, float] = {}
    for line in text.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None:
            continue
        value = float(sample["value"])
        if sample["name"] == "istio_requests_total":
            requests += value
            code = _CODE.search(sample["labels"])
            errors += value if code and code[1].startswith("5") else 0.0
        elif sample["name"] == "istio_request_duration_milliseconds_bucket":
            bound = _BUCKET.search(sample["labels"])
            if bound:
                le = inf if bound[1] == "+Inf" else float(bound[1])
                buckets[le] = buckets.get(le, 0.0) + value
    return Counts(requests, errors, tuple(sorted(buckets.items())))


def total(counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    return sum(counts, Counts())
