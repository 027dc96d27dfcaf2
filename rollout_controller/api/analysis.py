"""What the new version is judged by: `spec.analysis`."""

from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, StrictInt, model_validator

from rollout_controller.api.base import SpecModel
from rollout_controller.api.fields import (
    VALIDATIONS,
    Duration,
    ErrorLimit,
    Latency,
    Quantile,
    Seconds,
    cel,
    wrong,
)
from rollout_controller.api.quantities import DURATION_PATTERN, format_duration

_ONE_CHECK: Final = "exactly one of errorRate and latency"
_WINDOW: Final = "at least the interval, or requests between two readings are never judged"


class Inconclusive(SpecModel):
    """What happens when there is no evidence."""

    after: Seconds = timedelta(minutes=5)
    """How long a step may stay without a verdict."""
    then: Literal["Pause", "Revert"] = "Pause"
    """What follows."""


class ErrorRate(SpecModel):
    """The share of requests answered with a server error."""

    max: ErrorLimit
    """The highest share that passes, like "1%"."""


class LatencyCheck(SpecModel):
    """A quantile of the time to answer."""

    quantile: Quantile
    """Which quantile, like 0.99."""
    max: Latency
    """The longest time that passes, like "500ms"."""


class Check(SpecModel):
    """One thing that is measured. Exactly one kind."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [cel("has(self.errorRate) != has(self.latency)", f"must have {_ONE_CHECK}")]
        }
    )

    error_rate: ErrorRate | None = None
    """A limit for server errors."""
    latency: LatencyCheck | None = None
    """A limit for the time to answer."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.error_rate is None) == (self.latency is None):
            raise wrong(_ONE_CHECK, found="neither" if self.latency is None else "both")
        return self


class Analysis(SpecModel):
    """How the canary is judged."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                # Malformed strings have a message of their own.
                cel(
                    "self.interval.size() == 0 || self.window.size() == 0"
                    f" || !self.interval.matches('{DURATION_PATTERN}')"
                    f" || !self.window.matches('{DURATION_PATTERN}')"
                    " || duration(self.window) >= duration(self.interval)",
                    f"must be {_WINDOW}",
                    field_path=".window",
                )
            ]
        }
    )

    interval: Seconds = timedelta(seconds=10)
    """Time from one reading to the next."""
    window: Seconds = timedelta(seconds=60)
    """How far back a reading looks."""
    warmup: Duration = timedelta(seconds=30)
    """How long a pod, once ready, is shown but not judged."""
    min_requests: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 20
    """Requests that a reading needs to be judged."""
    failure_limit: Annotated[StrictInt, Field(ge=1, le=100)] = 2
    """Consecutive failing readings that revert."""
    inconclusive: Inconclusive = Inconclusive()
    """What happens when there is no evidence."""
    checks: Annotated[tuple[Check, ...], Field(min_length=1, max_length=20)]
    """What is measured. Each check must pass."""

    @model_validator(mode="after")
    def _window_covers_interval(self) -> Self:
        if self.window < self.interval:
            found = f"{format_duration(self.window)} with interval {format_duration(self.interval)}"
            raise wrong(_WINDOW, found=found, field=".window")
        return self
