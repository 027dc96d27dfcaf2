"""The spec of a Rollout: what a person asks for. `crds/rollouts.yaml` is generated from these models.

Docstrings of fields become the descriptions that `kubectl explain` shows. Defaults become defaults of the
schema, which the API server fills in; the elements of lists have none, because tools that compare what is in
git with what is in the cluster take a filled-in element for a difference.
"""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator
from pydantic.alias_generators import to_camel

from rollout_controller.api.fields import (
    VALIDATIONS,
    DeploymentName,
    Duration,
    ErrorLimit,
    Latency,
    ObjectName,
    Quantile,
    RouteName,
    Seconds,
    SubsetName,
    cel,
    wrong,
)
from rollout_controller.api.quantities import DURATION_PATTERN, format_duration

_MAP_OF_NAMES: Final[dict[str, Any]] = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}
NO_DEFAULT: Final[dict[str, Any]] = {"default": None}
"""Keeps a field's default out of the schema."""

_STEPS: Final = "weights that do not fall from step to step and end at 100, like 5, 10, 25, 50, 100"
_SCALE: Final = "at least the step's weight: fewer pods would carry more than their share"
_SUBSETS: Final = "another subset than stableSubset"
_ONE_CHECK: Final = "exactly one of errorRate and latency"
_WINDOW: Final = "at least the interval, or requests between two readings are never judged"


class SpecModel(BaseModel):
    """Frozen, named in camelCase outside, and refusing fields it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class Workload(SpecModel):
    """What is released."""

    deployment: DeploymentName
    """The Deployment whose new pod templates are released step by step."""


class VirtualServiceRef(SpecModel):
    """A VirtualService whose weights are moved."""

    name: ObjectName
    """Name of the VirtualService, in the Rollout's namespace."""
    routes: (
        Annotated[
            tuple[RouteName, ...],
            Field(min_length=1, max_length=50, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    """Names of http routes. Left out: every http route that sends to the two subsets."""

    @model_validator(mode="after")
    def _distinct_routes(self) -> Self:
        if self.routes is not None and len(set(self.routes)) != len(self.routes):
            raise wrong("each route once", found=", ".join(self.routes), field=".routes")
        return self


class DestinationRuleRef(SpecModel):
    """The DestinationRule and its two subsets."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "self.stableSubset != self.canarySubset",
                    f"must be {_SUBSETS}",
                    field_path=".canarySubset",
                )
            ]
        }
    )

    name: ObjectName
    """Name of the DestinationRule, in the Rollout's namespace."""
    stable_subset: SubsetName
    """The subset that serves all users at rest."""
    canary_subset: SubsetName
    """The subset that serves the new version while it is released."""

    @model_validator(mode="after")
    def _two_subsets(self) -> Self:
        if self.stable_subset == self.canary_subset:
            raise wrong(_SUBSETS, found=repr(self.canary_subset), field=".canarySubset")
        return self


class IstioTraffic(SpecModel):
    """Traffic that Istio routes."""

    virtual_services: Annotated[
        tuple[VirtualServiceRef, ...], Field(min_length=1, max_length=20, json_schema_extra=_MAP_OF_NAMES)
    ]
    """The VirtualServices that carry the weights."""
    destination_rule: DestinationRuleRef
    """The DestinationRule that tells the two versions apart."""

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [service.name for service in self.virtual_services]
        if len(set(names)) != len(names):
            raise wrong("each VirtualService once", found=", ".join(names), field=".virtualServices")
        return self


class Traffic(SpecModel):
    """What moves the users."""

    istio: IstioTraffic
    """The objects of Istio."""


class Step(SpecModel):
    """One step of a canary: a share of the traffic, and what ends it."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel("!has(self.scale) || self.scale >= self.weight", f"must be {_SCALE}", field_path=".scale")
            ]
        }
    )

    weight: Annotated[StrictInt, Field(ge=0, le=100)]
    """Percent of the traffic that the canary gets."""
    scale: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """Percent of the Deployment's replicas that the canary gets. Left out: the weight."""
    approval: StrictBool = Field(default=False, json_schema_extra=NO_DEFAULT)
    """Whether the step, once passed, waits for a person to promote it."""
    min_duration: Duration | None = None
    """How long the step lasts at least. Left out: spec.minDuration."""

    @model_validator(mode="after")
    def _enough_pods(self) -> Self:
        if self.scale is not None and self.scale < self.weight:
            raise wrong(_SCALE, found=f"{self.scale} with weight {self.weight}", field=".scale")
        return self


DEFAULT_STEPS: Final = tuple(Step(weight=weight) for weight in (5, 10, 25, 50, 100))


class Canary(SpecModel):
    """The new version takes over in steps."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "self.steps.map(s, s.weight).isSorted()"
                    " && (self.steps.size() == 0 || self.steps[self.steps.size() - 1].weight == 100)",
                    f"must have {_STEPS}",
                    field_path=".steps",
                )
            ]
        }
    )

    min_pods: Annotated[StrictInt, Field(ge=1, le=1000)] = 2
    """Pods of the canary at least, but never more than the Deployment's replicas."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)] = DEFAULT_STEPS
    """The steps in their order. The last one has weight 100 and is held for spec.bake."""

    @model_validator(mode="after")
    def _ascending_to_all(self) -> Self:
        weights = [step.weight for step in self.steps]
        if weights != sorted(weights) or weights[-1] != 100:
            raise wrong(_STEPS, found=", ".join(map(str, weights)), field=".steps")
        return self


class Strategy(SpecModel):
    """How the new version takes over."""

    canary: Canary
    """In steps, each judged by the analysis."""


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


class RolloutSpec(SpecModel):
    """What is released, what moves the users, in which steps, and how it is judged."""

    workload: Workload
    """What is released. Cannot change while a release runs."""
    traffic: Traffic
    """What moves the users. Cannot change while a release runs."""
    strategy: Strategy
    """How the new version takes over. Edits count from the next release."""
    analysis: Analysis
    """How the canary is judged. Edits count at once."""
    min_duration: Duration = timedelta(seconds=60)
    """How long each step lasts at least."""
    max_duration: Seconds = timedelta(minutes=30)
    """How long each step may last beyond its minDuration or bake; then the Rollout is Paused."""
    bake: Duration = timedelta(minutes=5)
    """How long the last step is held, with the old version still at full scale."""
    drain: Duration = timedelta(seconds=30)
    """How long pods without traffic are kept, for requests that are still under way."""
    progress_deadline: Seconds = timedelta(minutes=10)
    """How long pods may take to become available; then the release is reverted."""
    paused: StrictBool = False
    """Holds a release at its present weight. The analysis goes on and may revert."""
