"""The status of a Rollout: the facts that decide, and what a person reads.

All fields may be missing, and unknown ones are ignored: a controller reads what an older or newer one wrote.
Empty lists are left out of a dump, so a status is written as a whole (a merge patch would keep the old list).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from rollout_controller.api.fields import Elapsed, Timestamp


def _empty(value: object) -> bool:
    return value == ()


class StatusModel(BaseModel):
    """Frozen, named in camelCase outside, lenient about what it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class WorkloadStatus(StatusModel):
    """The Deployment as last seen."""

    observed_generation: int | None = None
    """metadata.generation of the Deployment."""
    image: str | None = None
    """Images of its pod template, separated by a comma and a space."""


class AcceptedStatus(StatusModel):
    """Of two Deployments one, and the pod template of it that begins no release."""

    deployment: str | None = None
    """Name of the Deployment."""
    revision: str | None = None
    """pod-template-hash of the ReplicaSet that has this template."""


class StageStatus(StatusModel):
    """Where the release is in its plan."""

    index: int | None = None
    """Place in status.plan, from 0; -1 while the first stage is prepared."""
    name: str | None = None
    """Name in status.plan."""
    since: Timestamp | None = None
    """When the stage began, or was resumed."""
    reached: int | None = None
    """The canary's share that was last read back after a raise, or is about to be lowered to, in percent."""
    granted: int | None = None
    """Ready endpoints of the canary when that share was granted."""
    approved: str | None = None
    """What a promote allowed: `step` or `full`."""
    waiting_since: Timestamp | None = None
    """Since when the stage waits for pods."""
    started: Timestamp | None = None
    """When the release began."""
    lowered_to: int | None = None
    """The share to which the stage's was lowered because canary pods were missing, in percent."""
    shortages: int | None = None
    """How often, in this release, the share was lowered because canary pods were missing."""
    corrections: int | None = None
    """How often, in this release, something changed by others was put back."""
    corrected: str | None = None
    """The versions of the objects for which that was last counted."""
    fed: bool | None = None
    """Whether the stage's pinned routes and mirrors were read back."""
    interference: str | None = None
    """Who changed what the last time, how and when."""
    advice: str | None = None
    """What to set in the tool that changes weights or subsets, so that it leaves them alone."""
    strayed: bool | None = None
    """Whether requests still reached the canary after everybody was sent back."""


class PlannedStage(StatusModel):
    """One stage of the plan, compiled from spec.strategy when the release began."""

    name: str | None = None
    """Name of the stage."""
    weight: int | None = None
    """Percent of the traffic."""
    scale: int | None = None
    """Percent of the replicas."""
    min_pods: int | None = None
    """Pods at least."""
    min_duration: Elapsed | None = None
    """How long the stage lasts at least."""
    gate: bool | None = None
    """Whether a passing verdict is needed to leave the stage."""
    approval: bool | None = None
    """Whether a person's promote is needed to leave the stage."""
    mirror: int | None = None
    """Percent of the requests of which the canary gets a copy."""


class PinnedHeader(StatusModel):
    """What one header of a pinned request must be."""

    name: str | None = None
    """Name of the header."""
    how: str | None = None
    """`exact`, `prefix` or `regex`."""
    value: str | None = None
    """The value, its beginning, or a regular expression."""


class PinStatus(StatusModel):
    """Requests that this release sends to the canary whatever its weight: all headers must match."""

    headers: tuple[PinnedHeader, ...] = ()
    """What each header must be."""


class VerdictStatus(StatusModel):
    """What the analysis says of the canary."""

    result: str | None = None
    """`pass`, `fail` or `inconclusive`."""
    since: Timestamp | None = None
    """Since when it says so."""
    failures: int | None = None
    """Consecutive failing readings."""
    sentence: str | None = None
    """The same in words."""


class Reading(StatusModel):
    """One check, as last measured. Values are written as in the spec: `0.2%`, `182ms`."""

    check: str | None = None
    """Which check, like `errorRate` or `latency p99`."""
    value: str | None = None
    """The canary's value."""
    stable: str | None = None
    """The stable version's value."""
    limit: str | None = None
    """The limit in the spec."""
    requests: int | None = None
    """Requests of the canary in the window."""


class Finding(StatusModel):
    """Something outside that has to be put right."""

    severity: str | None = None
    """`error` holds a release, `warning` is only told."""
    code: str | None = None
    """One word, like `MissingSubset`."""
    object: str | None = None
    """Which object, like `DestinationRule shop/web`."""
    path: str | None = None
    """Which field of it, like `spec.subsets`."""
    sentence: str | None = None
    """What was expected and what was found."""
    fix: str | None = None
    """What to do."""


class Release(StatusModel):
    """A release that is over."""

    revision: str | None = None
    """Its hash."""
    outcome: str | None = None
    """`Promoted` or `Reverted`, for instance."""
    reason: str | None = None
    """Why it ended so."""
    duration: Elapsed | None = None
    """How long it took."""
    ended: Timestamp | None = None
    """When it ended."""


class Condition(StatusModel):
    """A condition as Kubernetes has them."""

    type: str
    """`Ready`, `Reconciling`, `Stalled`, `Paused` or `TrafficVerified`."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str | None = None
    """One word why."""
    message: str | None = None
    """A sentence why."""
    last_transition_time: Timestamp | None = None
    """When the status last changed."""
    observed_generation: int | None = None
    """metadata.generation of the Rollout that it speaks of."""


class RolloutStatus(StatusModel):
    """How the Rollout is."""

    observed_generation: int | None = None
    """metadata.generation of the Rollout that this status speaks of."""
    workload: WorkloadStatus | None = None
    """The Deployment as last seen."""
    # The limit bounds the cost of the CRD's rules that read the phase.
    phase: Annotated[str, Field(max_length=32)] | None = None
    """Initializing, Healthy, Progressing, Paused, Promoting, Reverting, Reverted or Invalid."""
    message: str | None = None
    """One sentence: what is going on, and what it waits for."""
    step: str | None = None
    """The step and how many there are, like `3/5`."""
    weight: int | None = None
    """Percent of the traffic that the canary has, as read back."""
    stable: str | None = None
    """Hash of the version that serves all users at rest; of two Deployments, the name of that one."""
    canary: str | None = None
    """Hash of the version that is released."""
    stage: StageStatus | None = None
    """Where the release is in its plan."""
    plan: tuple[PlannedStage, ...] = Field(default=(), exclude_if=_empty)
    """The stages of this release."""
    pins: tuple[PinStatus, ...] = Field(default=(), exclude_if=_empty)
    """The header pins of this release, from spec.strategy when it began."""
    verdict: VerdictStatus | None = None
    """What the analysis says of the canary."""
    reason: str | None = None
    """Why the release is reverted, paused or invalid."""
    readings: tuple[Reading, ...] = Field(default=(), exclude_if=_empty)
    """Each check as last measured."""
    paused_by: str | None = None
    """Spec, Command, Approval, Inconclusive, Finding or MaxDuration."""
    command: str | None = None
    """The last command that was carried out, as it was claimed."""
    findings: tuple[Finding, ...] = Field(default=(), exclude_if=_empty)
    """What has to be put right outside."""
    history: tuple[Release, ...] = Field(default=(), exclude_if=_empty)
    """The last releases, the newest first."""
    accepted: tuple[AcceptedStatus, ...] = Field(default=(), exclude_if=_empty)
    """Of two Deployments, what each ran when it was adopted or last promoted: another template of the idle
    one begins a release."""
    previous: tuple[str, ...] = Field(default=(), exclude_if=_empty)
    """Hashes of the versions that were stable before, the newest first; see spec.rollbackWindow."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = Field(default=(), exclude_if=_empty)
    """Ready, Reconciling, Stalled as kstatus reads them; Paused; TrafficVerified: requests go as routed."""
