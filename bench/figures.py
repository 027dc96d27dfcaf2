"""What is measured, and what is to be reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, isfinite, nan
from typing import Any, Literal


@dataclass(frozen=True)
class Target:
    """A bound that a figure must keep."""

    kind: Literal["<=", "<", ">="]
    bound: float

    def met(self, measured: float) -> bool:
        """Whether the figure keeps it. What could not be measured (NaN, infinite) does not."""
        if not isfinite(measured):
            return False
        if self.kind == "<":
            return measured < self.bound
        return measured <= self.bound if self.kind == "<=" else measured >= self.bound

    def __str__(self) -> str:
        sign = {"<=": "≤", "<": "<", ">=": "≥"}[self.kind]
        return f"{sign} {self.bound:g}" if self.kind != "<=" or self.bound else "0"


@dataclass(frozen=True)
class Key:
    """One line of the table. Without a target it is only reported."""

    name: str
    what: str
    target: Target | None


KEYS = (
    Key(
        "good_release_failed_requests",
        "good releases at 200 requests/s through Envoy, graduation included: failed requests",
        Target("<=", 0),
    ),
    Key(
        "revert_write_ms_p99",
        "failing verdict → VirtualService written at weight 0, ms",
        Target("<", 250),
    ),
    Key(
        "bad_release_errors_p50",
        "errors that clients see from a canary with 5 % errors at 100 requests/s",
        Target("<=", 8),
    ),
    Key(
        "bad_release_last_answer_ms",
        "VirtualService at 0 → last answer by the canary, ms",
        Target("<=", 150),
    ),
    Key("pods_lost_errors", "all canary pods unready at 25 %: failed requests", Target("<=", 10)),
    Key("weight_live_ms_p50", "VirtualService written → live in Envoy, ms", None),
    Key("writes_per_canary", "API writes of a full canary of 10 replicas", Target("<=", 32)),
    Key("idle_calls_per_minute", "API calls of 100 idle Rollouts in a minute", Target("<=", 0)),
    Key(
        "min_ready_ratio",
        "ready endpoints of a version ÷ ceil(its share × replicas), at the worst moment",
        Target(">=", 1),
    ),
    Key("max_pods_ratio", "pods ÷ replicas, at the worst moment", Target("<=", 2)),
    Key(
        "bluegreen_failed_requests",
        "blue-green switches at 200 requests/s through Envoy: failed requests",
        Target("<=", 0),
    ),
    Key("bluegreen_skew_ms", "last old answer − first new answer of a blue-green switch, ms", None),
    Key("pin_wrong_version", "pinned requests that stable answered during releases", Target("<=", 0)),
)
BY_NAME: Mapping[str, Key] = {key.name: key for key in KEYS}


@dataclass(frozen=True)
class Figure:
    """A measured value: how it was measured in a sentence, and the single values that it was taken from."""

    key: Key
    measured: float
    how: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Literal["ok", "short", "reported"]:
        """`short` where the target is missed."""
        if self.key.target is None:
            return "reported"
        return "ok" if self.key.target.met(self.measured) else "short"


def percentile(values: list[float], q: float) -> float:
    """The smallest value that the part `q` (0 to 1) of them does not exceed; NaN for none."""
    if not values:
        return nan
    return sorted(values)[max(ceil(q * len(values)), 1) - 1]
