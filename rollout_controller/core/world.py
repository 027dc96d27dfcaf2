"""What is read of the world: the Deployment with its pods, and where the mesh sends requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from rollout_controller.core.release import Hash


class Part(StrEnum):
    """An object that a decision rests on; it can be absent (404) or unread (no answer)."""

    DEPLOYMENT = "Deployment"
    REPLICA_SETS = "ReplicaSets"
    PODS = "Pods"
    VIRTUAL_SERVICE = "VirtualService"
    DESTINATION_RULE = "DestinationRule"
    SERVICE = "Service"
    ROLLOUTS = "Rollouts"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the mesh is given to follow a write, and other waits that are settings, not spec.

    `stray` is how long after its share is 0 in all proxies a canary may be sent requests without a word.
    """

    settle: timedelta = timedelta(seconds=3)
    settle_relabel: timedelta = timedelta(seconds=10)
    quiet_limit: timedelta = timedelta(minutes=10)
    stray: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Pods:
    """One ReplicaSet and its pods.

    `spec` is its own replica count, `available` its status, `ready_endpoints` how many of its pods are
    ready, not terminating and carry the labels of the subset, `existing` counts terminating pods too.
    `current` says whether its template equals the Deployment's template as read in the same pass. `trouble`
    tells why a pod of it cannot become ready, "" if nothing is known. In host
    mode `listed` counts the ready ones that the EndpointSlices of every Service list that selects them, and
    `selected` says whether any Service does.
    """

    hash: Hash
    name: str
    of: Literal["deployment", "us"]
    spec: int
    available: int
    ready_endpoints: int
    existing: int
    current: bool = False
    listed: int | None = None
    selected: bool = True
    trouble: str = ""

    @property
    def everywhere(self) -> int:
        """The ready pods that are known wherever they are selected."""
        return self.ready_endpoints if self.listed is None else self.listed


@dataclass(frozen=True, slots=True)
class Side:
    """One of two Deployments that serve in turn.

    `revision` is the `pod-template-hash` of the ReplicaSet that has the Deployment's present template, ""
    while it has none; `others` counts pods of other templates that may be sent requests.
    """

    name: str
    revision: Hash
    others: int = 0


@dataclass(frozen=True, slots=True)
class Sides:
    """The Deployment that serves everybody at rest, and the one whose next template is released."""

    serving: Side
    idle: Side


@dataclass(frozen=True, slots=True)
class Workload:
    """The Deployment and its ReplicaSets.

    `target` names the template that the Deployment asks for now: the hash of the stable or canary
    ReplicaSet that has an equal template, else a hash computed from the template ("" without Deployment,
    which then stands in `Observed.absent`). `held` says that the
    pause is ours (annotation held-by); `labelled` that the gate's label is on. `others` are the
    ReplicaSets that are neither stable nor canary: the Deployment's older ones and canaries of ours left
    from earlier. `changed_by` is the field manager that says `paused: false`. `bereft` counts pods of the
    canary's revision whose ReplicaSet is gone. `namespace` and `name` are the Deployment's, whether it exists
    or not; of two those of the idle one.

    With two Deployments there are `sides`: `stable` is the serving one whole, under its own name; `canary`
    the pods of the idle one that have the revision in release, and `target` the idle one's revision, stable's
    name if it was accepted, "" if no ReplicaSet has it yet. `replicas` are those of the serving one, and it
    is `paused` and `labelled` without being either: no template is let roll by us.
    """

    replicas: int
    max_surge: int
    paused: bool
    held: bool
    labelled: bool
    synced: bool
    target: Hash
    stable: Pods | None
    canary: Pods | None
    others: tuple[Pods, ...] = ()
    image: str = ""
    changed_by: str = ""
    bereft: int = 0
    sides: Sides | None = None
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ForeignWrite:
    """The last write of routes or subsets, where it was not ours.

    `who` names the field manager, in words; `operation` is `Update` or `Apply`; `at` the time as the API
    server wrote it (RFC 3339, whole seconds); `object` what was written, like `VirtualService shop/web`;
    `advice` what the owner of a known tool has to set so that it leaves ours alone ("": nothing to say).
    """

    who: str
    operation: str = ""
    at: str = ""
    object: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What our VirtualService routes and DestinationRule subsets say, read back.

    `canary_weight` is the lowest and the highest share in percent that the canary subset has over the
    managed routes; `subsets` are the revisions to which the stable and the canary subset are pinned
    (None: not pinned, the subset selects every pod); `weights_since` and `subsets_since` tell since when
    they are unchanged in our sight. `version` changes with every write of the VirtualServices or the
    DestinationRule; `changed_by` is who wrote routes after us, `relabelled_by` who wrote subsets or Services
    (None: nobody). `pinned_routes` tells of routes that we added: none, those that the release's header pins
    make, or others (some are missing, or are not what they should be); `mirror` is the lowest and highest
    percent of requests over the managed routes of which the canary subset gets a copy. `fixed` subsets are
    told apart by labels of the user's own, as those of two Deployments are: they are never pinned. Where
    `services` is true two Services stand in the place of the subsets. `lacks` tells of the stable and the
    canary subset, or Service, whether it does not exist: a weight there reaches nobody. `routed` says that
    there is a managed VirtualService.
    """

    canary_weight: tuple[int, int]
    subsets: tuple[Hash | None, Hash | None]
    weights_since: datetime
    subsets_since: datetime
    version: str = ""
    changed_by: ForeignWrite | None = None
    relabelled_by: ForeignWrite | None = None
    pinned_routes: Literal["none", "ours", "other"] = "none"
    mirror: tuple[int, int] = (0, 0)
    fixed: bool = False
    services: bool = False
    routed: bool = True
    lacks: tuple[bool, bool] = (False, False)

    @property
    def fed(self) -> bool:
        """Whether the canary subset is sent anything beside its share: pinned requests, or copies."""
        return self.pinned_routes != "none" or self.mirror != (0, 0)

    @property
    def home(self) -> bool:
        """Whether the canary subset is sent nothing at all."""
        return self.canary_weight == (0, 0) and not self.fed

    def pinned_to(self, stable: Hash | None, canary: Hash | None) -> bool:
        """Whether the subsets are pinned so, those apart that do not exist: nothing can be pinned there."""
        wanted = zip(self.lacks, self.subsets, (stable, canary), strict=True)
        return all(lacks or pin == revision for lacks, pin, revision in wanted)

    def reaches(self, revision: Hash) -> bool:
        """Whether pinned subsets send anything to this revision, copies too."""
        return self.share(revision) != (0, 0) or (self.fed and self.subsets[1] == revision)

    def share(self, revision: Hash) -> tuple[int, int]:
        """The lowest and highest percent of requests that this revision is sent by pinned subsets."""
        low, high = self.canary_weight
        stable, canary = (pin == revision for pin in self.subsets)
        if stable and canary:
            return (100, 100)
        if canary:
            return (low, high)
        return (100 - high, 100 - low) if stable else (0, 0)

    @property
    def agree(self) -> bool:
        """Whether all managed routes have the same weight."""
        return self.canary_weight[0] == self.canary_weight[1]

    @property
    def pinned(self) -> bool:
        """Whether any subset still carries a hash of ours."""
        return not self.fixed and self.subsets != (None, None)

    @property
    def unmarked(self) -> bool:
        """Whether neither subsets nor routes bear anything that only a release of ours writes."""
        return not self.pinned and self.pinned_routes == "none"
