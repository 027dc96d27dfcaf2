"""What is to be done to the world, in words of the design, compiled by the executor."""

from __future__ import annotations

from dataclasses import dataclass

from rollout_controller.core.release import Command, Hash, HeaderPin


@dataclass(frozen=True, slots=True)
class Finalizer:
    """Put our finalizer on the Rollout, or take it off."""

    present: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Turn the command's annotations into a claim; rests on the Rollout's resourceVersion."""

    command: Command


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove the claim that bears this token."""

    token: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """Put the gate's label on the Deployment, or take it and the held-by mark off."""

    present: bool


@dataclass(frozen=True, slots=True)
class PauseDeployment:
    """Pause the Deployment and mark the pause as held by us."""


@dataclass(frozen=True, slots=True)
class Unpause:
    """Un-pause the Deployment; rests on its template being the stable one."""

    stable: Hash


@dataclass(frozen=True, slots=True)
class MakeCanary:
    """Create the canary's ReplicaSet from the Deployment's template; rests on the template's hash."""

    canary: Hash
    replicas: int


@dataclass(frozen=True, slots=True)
class Scale:
    """Set the replica count of a ReplicaSet."""

    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a ReplicaSet that has no pods."""

    name: str


@dataclass(frozen=True, slots=True)
class Pin:
    """Pin the stable and the canary subset to revisions in one write; None un-pins."""

    stable: Hash | None
    canary: Hash | None


@dataclass(frozen=True, slots=True)
class SetTraffic:
    """Give the canary subset this share in percent on every managed route, copies of so many percent of the
    requests, and the requests that header pins choose; with 0 alone everybody is sent home."""

    weight: int
    mirror: int = 0
    header_pins: tuple[HeaderPin, ...] = ()

    @property
    def load(self) -> int:
        """The percent of requests that the canary then has to answer, copies or not."""
        return max(self.weight, self.mirror)


@dataclass(frozen=True, slots=True)
class HandOver:
    """Give the canary's ReplicaSet to the Deployment, saturated at `replicas` (annotations included)."""

    name: str
    replicas: int
    max_surge: int


Effect = (
    Finalizer
    | Claim
    | Drop
    | Adopt
    | PauseDeployment
    | Unpause
    | MakeCanary
    | Scale
    | Delete
    | Pin
    | SetTraffic
    | HandOver
)
