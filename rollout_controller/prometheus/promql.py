"""The questions in PromQL: what did each side of a release answer in the last so many seconds?

Counts are taken per series before any sum, by plain subtraction of what the counter was: `increase` would
extrapolate, and would lose the first jump of a series, which for a young canary is all there is. A counter
that fell began anew and counts whole; so does a series that appears in a pod that was scraped before, and
every series of a canary pod that Prometheus did not know yet. Of a stable pod that it did not know, or after
a time in which Prometheus knew nothing, nothing is counted, as there a counter holds more than the range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from rollout_controller.core.release import Hash

REQUESTS: Final = "istio_requests_total"
BUCKETS: Final = "istio_request_duration_milliseconds_bucket"

SIDE: Final = "rollout_side"
"""The label by which an answer tells the canary's rows ("canary") from stable's (none)."""
ROW: Final = "rollout_row"
"""The label of the rows "newest": not a count, but the time of a side's newest sample."""

_GENERATED_BASE: Final = 58
"""Characters that the API server keeps of a generateName before it adds five random ones."""
_KNOWN_FOR: Final = "3m"
"""How old what a counter was may be, so that a scrape that failed does not make it unknown."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The names of labels, which depend on how Prometheus is set up.

    `pod` and `namespace` are those of the scraped pod, on Istio's metrics and on `up`; `reporter` is the
    value of Istio's label of that name; `extra` are further labels that all series have, like a cluster's.
    """

    pod: str = "pod"
    namespace: str = "namespace"
    reporter: str = "destination"
    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose requests: regular expressions that match the names of the pods of each side."""

    namespace: str
    canary: str
    stable: str

    @property
    def told_apart(self) -> bool:
        """Whether the names of the pods tell which side they belong to."""
        return self.canary != self.stable

    @staticmethod
    def of(namespace: str, deployment: str, *, canary: Hash, stable: Hash) -> Scope:
        """The pods of two ReplicaSets named `<deployment>-<hash>`."""
        return Scope(namespace, pod_pattern(f"{deployment}-{canary}"), pod_pattern(f"{deployment}-{stable}"))


def pod_pattern(replica_set: str) -> str:
    """A regular expression for the names of a ReplicaSet's pods, as Kubernetes generates them."""
    base = f"{replica_set}-"[:_GENERATED_BASE]
    return base.replace(".", "[.]") + "[a-z0-9]{5}"


def quote(value: str) -> str:
    """A string literal of PromQL: nothing in `value` can end it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def requests_query(labels: Labels, scope: Scope, span: timedelta) -> str:
    """Requests of both sides by `response_code` and `grpc_response_status`, and each side's newest sample."""
    every = _selector(labels, scope.namespace, _either(scope), REQUESTS)
    newest = f"max by ({SIDE}) ({_sided(labels, scope, f'timestamp({every})')})"
    counted = _counted(labels, scope, REQUESTS, span, "response_code, grpc_response_status")
    return f'{counted} or label_replace({newest}, "{ROW}", "newest", "", "")'


def buckets_query(labels: Labels, scope: Scope, span: timedelta) -> str:
    """The duration histogram of both sides: cumulative counts by `le`."""
    return _counted(labels, scope, BUCKETS, span, "le")


def scrapes_query(labels: Labels, scope: Scope, span: timedelta) -> str:
    """The samples of `up` of both sides' pods."""
    return f"{_up(labels, scope)}[{_duration(span)}]"


def _counted(labels: Labels, scope: Scope, metric: str, span: timedelta, by: str) -> str:
    """How much the counters of both sides grew within `span`, summed by side and `by`."""
    every = _selector(labels, scope.namespace, _either(scope), metric)
    canary = _selector(labels, scope.namespace, scope.canary, metric)
    length, on = _duration(span), f"on ({labels.pod})"
    asked = _selector(labels, scope.namespace, _either(scope), REQUESTS)
    past = f"[{_KNOWN_FOR}] offset {length}"
    known = f"(last_over_time({asked}{past}) or last_over_time({_up(labels, scope)}{past}))"
    now = f"last_over_time({every}[{length}])"
    grown = f"({now} - last_over_time({every}{past})) >= 0"
    begun = f"({now} and {on} {known})"
    new = f"((last_over_time({canary}[{length}]) unless {on} {known}) and on () {known})"
    return f"sum by ({SIDE}, {by}) ({_sided(labels, scope, f'({grown} or {begun} or {new})')})"


def _sided(labels: Labels, scope: Scope, expression: str) -> str:
    return f'label_replace({expression}, "{SIDE}", "canary", "{labels.pod}", {quote(scope.canary)})'


def _either(scope: Scope) -> str:
    return f"{scope.canary}|{scope.stable}"


def _up(labels: Labels, scope: Scope) -> str:
    matchers = _matchers(labels, scope.namespace, _either(scope))
    return f"up{{{', '.join(matchers)}}}"


def _selector(labels: Labels, namespace: str, pods: str, metric: str) -> str:
    matchers = [f"reporter={quote(labels.reporter)}", *_matchers(labels, namespace, pods)]
    return f"{metric}{{{', '.join(matchers)}}}"


def _matchers(labels: Labels, namespace: str, pods: str) -> list[str]:
    extra = [f"{name}={quote(value)}" for name, value in sorted(labels.extra.items())]
    return [f"{labels.namespace}={quote(namespace)}", f"{labels.pod}=~{quote(pods)}", *extra]


def _duration(span: timedelta) -> str:
    """In milliseconds, at least one: PromQL refuses an empty range."""
    return f"{max(1, round(span / timedelta(milliseconds=1)))}ms"
