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
    HEADER_RULE,
    VALIDATIONS,
    DeploymentName,
    Duration,
    ErrorLimit,
    HeaderName,
    Latency,
    ObjectName,
    Quantile,
    RouteName,
    Seconds,
    ServiceName,
    SubsetName,
    cel,
    wrong,
)
from rollout_controller.api.quantities import DURATION_PATTERN, format_duration
from rollout_controller.api.regex import regex_problem

_MAP_OF_NAMES: Final[dict[str, Any]] = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}
NO_DEFAULT: Final[dict[str, Any]] = {"default": None}
"""Keeps a field's default out of the schema."""

_STEPS: Final = "weights that do not fall from step to step and end at 100, like 5, 10, 25, 50, 100"
_SCALE: Final = "at least the step's weight and mirror: fewer pods would carry more than their share"
_SENDS: Final = "a weight, or a mirror, or both: something has to be sent to the canary"
_ONE_MATCH: Final = "exactly one of exact, prefix and regex"
_REGEX: Final = "a regular expression of RE2, as Envoy refuses all routes with another one"
_ONE_WORKLOAD: Final = "either deployment, or both stable and canary"
_SIDES: Final = "another Deployment than stable's"
_ONE_SPLIT: Final = "exactly one of destinationRule and services"
_SERVICES: Final = "another Service than stable"
_ONE_STRATEGY: Final = "exactly one of canary and blueGreen"
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


class SideRef(SpecModel):
    """One of two Deployments that serve in turn."""

    deployment: DeploymentName
    """Name of the Deployment, in the Rollout's namespace."""


class Workload(SpecModel):
    """What is released: one Deployment, or two that serve in turn."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "has(self.stable) == has(self.canary) && has(self.deployment) != has(self.stable)",
                    f"must have {_ONE_WORKLOAD}",
                ),
                cel(
                    "!has(self.stable) || !has(self.canary)"
                    " || self.stable.deployment != self.canary.deployment",
                    f"must be {_SIDES}",
                    field_path=".canary.deployment",
                ),
            ]
        }
    )

    deployment: DeploymentName | None = None
    """The Deployment whose new pod templates are released step by step."""
    stable: SideRef | None = None
    """The Deployment that stableSubset, or services.stable, selects. It may come to be the idle one."""
    canary: SideRef | None = None
    """The Deployment that canarySubset, or services.canary, selects. Of the two, the idle one's new pod
    templates are released; only traffic is moved, replicas and labels are left alone."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("deployment", "stable", "canary") if getattr(self, name) is not None]
        if given not in (["deployment"], ["stable", "canary"]):
            raise wrong(_ONE_WORKLOAD, found=" and ".join(given) or "neither")
        return self

    @model_validator(mode="after")
    def _two_deployments(self) -> Self:
        if self.stable is not None and self.stable == self.canary:
            raise wrong(_SIDES, found=repr(self.stable.deployment), field=".canary.deployment")
        return self


Port = Annotated[StrictInt, Field(ge=1, le=65535)]


class TlsRoute(SpecModel):
    """A tls route, which has no name in Istio: chosen by the SNI hosts and the port of one of its matches."""

    port: Port | None = None
    """Port of the match. Left out: any."""
    sni_hosts: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...],
        Field(min_length=1, max_length=50, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """All SNI hosts of the match."""


class TcpRoute(SpecModel):
    """A tcp route, which has no name in Istio: chosen by the port of one of its matches."""

    port: Port
    """Port of the match."""


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
    """Names of http routes. Without any choice: every route, tls and tcp too, that sends to one of the two
    sides; each has to send to both."""
    tls_routes: Annotated[tuple[TlsRoute, ...], Field(max_length=20)] = ()
    """Routes of TLS passed through."""
    tcp_routes: Annotated[tuple[TcpRoute, ...], Field(max_length=20)] = ()
    """Routes of plain TCP."""

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


class ServicesRef(SpecModel):
    """Two Services in the place of subsets."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel("self.stable != self.canary", f"must be {_SERVICES}", field_path=".canary"),
            ]
        }
    )

    stable: ServiceName
    """The Service whose pods serve all users at rest."""
    canary: ServiceName
    """The Service whose pods are the new version while it is released."""

    @model_validator(mode="after")
    def _two_services(self) -> Self:
        if self.stable == self.canary:
            raise wrong(_SERVICES, found=repr(self.canary), field=".canary")
        return self


class IstioTraffic(SpecModel):
    """Traffic that Istio routes: to two subsets of one host, or to two Services."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [cel("has(self.destinationRule) != has(self.services)", f"must have {_ONE_SPLIT}")]
        }
    )

    virtual_services: Annotated[
        tuple[VirtualServiceRef, ...], Field(min_length=1, max_length=20, json_schema_extra=_MAP_OF_NAMES)
    ]
    """The VirtualServices that carry the weights."""
    destination_rule: DestinationRuleRef | None = None
    """The DestinationRule that tells the two versions apart."""
    services: ServicesRef | None = None
    """The Services that tell the two versions apart, where there are no subsets."""

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [service.name for service in self.virtual_services]
        if len(set(names)) != len(names):
            raise wrong("each VirtualService once", found=", ".join(names), field=".virtualServices")
        return self

    @model_validator(mode="after")
    def _one_split(self) -> Self:
        if (self.destination_rule is None) == (self.services is None):
            raise wrong(_ONE_SPLIT, found="neither" if self.services is None else "both")
        return self


class Traffic(SpecModel):
    """What moves the users."""

    istio: IstioTraffic
    """The objects of Istio."""


_REGEX_RULE: Final = cel("''.matches(self) ? true : true", f"must be {_REGEX}")
"""An expression that is none makes `matches` an error, which refuses the object."""


class HeaderValue(SpecModel):
    """What a header must be, as in a VirtualService. Exactly one field."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "(has(self.exact) ? 1 : 0) + (has(self.prefix) ? 1 : 0) + (has(self.regex) ? 1 : 0) == 1",
                    f"must have {_ONE_MATCH}",
                ),
            ]
        }
    )

    exact: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The whole value."""
    prefix: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """How the value begins."""
    regex: (
        Annotated[
            str,
            Field(min_length=1, max_length=1024, json_schema_extra={VALIDATIONS: [_REGEX_RULE]}),
        ]
        | None
    ) = None
    """A regular expression (RE2) for the whole value."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("exact", "prefix", "regex") if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(_ONE_MATCH, found=" and ".join(given) or "none")
        why = None if self.regex is None else regex_problem(self.regex)
        if why is not None:
            raise wrong(_REGEX, found=f"{self.regex!r}: {why}", field=".regex")
        return self


class Pin(SpecModel):
    """Requests that always go to the canary, chosen by their headers: all of them must match."""

    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Field(min_length=1, max_length=8, json_schema_extra={VALIDATIONS: [HEADER_RULE]}),
    ]
    """What each header must be."""


Pins = Annotated[tuple[Pin, ...], Field(max_length=8)]


class Step(SpecModel):
    """One step of a canary: a share of the traffic, copies of it, or both, and what ends it."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel("has(self.weight) || has(self.mirror)", f"must have {_SENDS}"),
                cel(
                    "!has(self.scale) || ((!has(self.weight) || self.scale >= self.weight)"
                    " && (!has(self.mirror) || self.scale >= self.mirror))",
                    f"must be {_SCALE}",
                    field_path=".scale",
                ),
            ]
        }
    )

    weight: Annotated[StrictInt, Field(ge=0, le=100)] | None = None
    """Percent of the traffic that the canary gets. Left out: that of the step before."""
    mirror: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """Percent of the requests of which the canary gets a copy, whose answer nobody gets."""
    scale: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """Percent of the replicas that the canary gets. Left out: the larger of weight and mirror."""
    approval: StrictBool = Field(default=False, json_schema_extra=NO_DEFAULT)
    """Whether the step, once passed, waits for a person to promote it. Left out: it does not."""
    min_duration: Duration | None = None
    """How long the step lasts at least. Left out: spec.minDuration."""

    @model_validator(mode="after")
    def _enough_pods(self) -> Self:
        if self.weight is None and self.mirror is None:
            raise wrong(_SENDS, found="neither")
        sent = {"weight": self.weight or 0, "mirror": self.mirror or 0}
        if self.scale is not None and self.scale < max(sent.values()):
            more = next(f"{name} {percent}" for name, percent in sent.items() if percent > self.scale)
            raise wrong(_SCALE, found=f"{self.scale} with {more}", field=".scale")
        return self


DEFAULT_STEPS: Final = tuple(Step(weight=weight) for weight in (5, 10, 25, 50, 100))


class Canary(SpecModel):
    """The new version takes over in steps."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "self.steps.filter(s, has(s.weight)).map(s, s.weight).isSorted()"
                    " && (self.steps.size() == 0 || (has(self.steps[self.steps.size() - 1].weight)"
                    " && self.steps[self.steps.size() - 1].weight == 100))",
                    f"must have {_STEPS}",
                    field_path=".steps",
                )
            ]
        }
    )

    pin: Pins = ()
    """Requests that go to the canary from the first step to the end, whatever its weight. Any of them."""
    min_pods: Annotated[StrictInt, Field(ge=1, le=1000)] = 2
    """Pods of the canary at least, but never more than the Deployment's replicas."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)] = DEFAULT_STEPS
    """The steps in their order. The last one has weight 100 and is held for spec.bake."""

    @model_validator(mode="after")
    def _ascending_to_all(self) -> Self:
        weights = [step.weight for step in self.steps if step.weight is not None]
        if weights != sorted(weights) or self.steps[-1].weight != 100:
            raise wrong(_STEPS, found=", ".join(map(str, weights)), field=".steps")
        return self


class BlueGreen(SpecModel):
    """The new version starts at full scale beside the old one, is looked at, and takes over in one write."""

    preview: Pins = ()
    """Requests that reach the new version before it takes over. Any of them."""
    mirror: Annotated[StrictInt, Field(ge=0, le=100)] = 0
    """Percent of the requests of which the new version gets a copy before it takes over."""
    scale: Annotated[StrictInt, Field(ge=1, le=100)] = 100
    """Percent of the Deployment's replicas that are previewed. All of them are there before it takes over."""
    min_duration: Duration | None = None
    """How long the preview lasts at least. Left out: spec.minDuration."""
    approval: StrictBool = False
    """Whether the preview, once passed, waits for a person to promote it."""

    @model_validator(mode="after")
    def _enough_pods(self) -> Self:
        if self.scale < self.mirror:
            raise wrong(_SCALE, found=f"{self.scale} with mirror {self.mirror}", field=".scale")
        return self

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [cel("self.scale >= self.mirror", f"must be {_SCALE}", field_path=".scale")]
        }
    )


class Strategy(SpecModel):
    """How the new version takes over. Exactly one of them."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [cel("has(self.canary) != has(self.blueGreen)", f"must have {_ONE_STRATEGY}")]
        }
    )

    canary: Canary | None = None
    """In steps, each judged by the analysis."""
    blue_green: BlueGreen | None = None
    """All at once, after a preview; the old version stays at full scale for spec.bake."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.canary is None) == (self.blue_green is None):
            raise wrong(_ONE_STRATEGY, found="neither" if self.canary is None else "both")
        return self


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
    rollback_window: Annotated[StrictInt, Field(ge=0, le=10)] = 3
    """To how many earlier stable versions a release goes straight: all pods, 100 %, bake. 0 turns it off."""
    paused: StrictBool = False
    """Holds a release at its present weight. The analysis goes on and may revert."""
