"""The values that decisions are made of.

`decide` sees the world as one `Observed` and answers with one `Decision`. Everything here is frozen,
hashable where that is cheap, and free of any clock or connection: times are aware UTC datetimes that
were read by somebody else, weights are whole percents, a revision is named by the value of its pods'
`pod-template-hash` label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

Hash = str
"""A revision: the value of its ReplicaSet's `pod-template-hash` label."""


class Phase(StrEnum):
    """Where a Rollout stands."""

    INITIALIZING = "Initializing"
    INVALID = "Invalid"
    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    REVERTING = "Reverting"
    REVERTED = "Reverted"


RUNNING = frozenset({Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING, Phase.REVERTING})
"""Phases in which a release is under way and the mesh may carry marks of ours."""


class PausedBy(StrEnum):
    """Why a release holds: who or what may let it go on follows from it."""

    SPEC = "Spec"
    COMMAND = "Command"
    APPROVAL = "Approval"
    INCONCLUSIVE = "Inconclusive"
    FINDING = "Finding"
    MAX_DURATION = "MaxDuration"


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
class Stage:
    """One desired state of traffic, and the way out of it.

    `weight` is the canary's share in percent; `scale` the percent of `replicas` that the canary has at
    least; `min_pods` the least number of canary pods whatever the percentage; `min_duration` the time
    that the stage is held once it settled (`bake` for the last stage); `gate` whether the verdict must
    pass before the stage is left; `approval` whether a person must say so as well; `mirror` the percent of
    requests of which the canary gets a copy.
    """

    name: str
    weight: int
    scale: int
    min_pods: int
    min_duration: timedelta
    gate: bool = True
    approval: bool = False
    mirror: int = 0

    @property
    def load(self) -> int:
        """The percent of requests that the canary has to answer, copies or not."""
        return max(self.weight, self.mirror)

    @property
    def words(self) -> str:
        """What the canary is sent, as people say it."""
        if not self.mirror:
            return f"{self.weight} %"
        return (
            f"{self.weight} % and copies of {self.mirror} %" if self.weight else f"copies of {self.mirror} %"
        )


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """What one header of a request must be."""

    name: str
    how: Literal["exact", "prefix", "regex"]
    value: str


HeaderPin = tuple[HeaderMatch, ...]
"""Requests whose headers match all of these go to the canary, whatever its weight."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts at once when the spec is edited, plus the stages and header pins for the next release.

    A next release whose template one of the last `rollback_window` stable versions had gets one stage only.
    """

    stages: tuple[Stage, ...]
    max_duration: timedelta
    drain: timedelta
    progress_deadline: timedelta
    inconclusive_after: timedelta
    inconclusive_then: Literal["Pause", "Revert"]
    paused: bool = False
    header_pins: tuple[HeaderPin, ...] = ()
    rollback_window: int = 0


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
class StageKey:
    """The exact stretch of a release that a verdict speaks of."""

    canary: Hash
    index: int
    since: datetime


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
    while it has none; `others` counts pods of other templates that are not terminating.
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
    from earlier. `changed_by` is the field manager that last wrote `spec.paused`. `bereft` counts pods of the
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
    `services` is true two Services stand in the place of the subsets.
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

    @property
    def fed(self) -> bool:
        """Whether the canary subset is sent anything beside its share: pinned requests, or copies."""
        return self.pinned_routes != "none" or self.mirror != (0, 0)

    @property
    def home(self) -> bool:
        """Whether the canary subset is sent nothing at all."""
        return self.canary_weight == (0, 0) and not self.fed

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


@dataclass(frozen=True, slots=True)
class Reading:
    """One check, as last read: values are in the unit of the limit (a fraction, or milliseconds)."""

    check: str
    value: float | None
    limit: float
    stable: float | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether requests go where the routes send them; `reason` is one word, `sentence` what people read."""

    status: Literal["True", "False", "Unknown"] = "Unknown"
    reason: str = "NotYet"
    sentence: str = "the requests of this step are not counted yet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evaluator makes of the canary: a pass counts for its exact key, a fail for its canary.

    `since` is when this result began; `failures` the number of consecutive failing readings; `sentence`
    what a person reads; `needed` how many more canary requests are wanted (0 if none); `traffic` whether
    requests reach it as routed.
    """

    key: StageKey
    result: Literal["pass", "fail", "inconclusive"]
    since: datetime
    failures: int = 0
    readings: tuple[Reading, ...] = ()
    sentence: str = ""
    needed: int = 0
    traffic: Verification = Verification()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with what the user gave us: which object, where, why, and what to do about it.

    An error holds the release; a warning is told and nothing else. Findings are recomputed in every pass
    and never stored, so that they go away by themselves when cured.
    """

    code: str
    severity: Literal["error", "warning"]
    object: str
    path: str
    sentence: str
    fix: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same finding in the next look: code, object and path; numbers may move."""
        return (self.code, self.object, self.path)

    def __str__(self) -> str:
        where = f"{self.object} {self.path}".strip()
        return f"{where}: {self.sentence}. {self.fix}" if self.fix else f"{where}: {self.sentence}"


WRITE_FAILS: Final = "WriteFails"
"""The code of the finding that tells of a write of ours that the API server does not take."""


Verb = Literal["abort", "pause", "retry", "promote", "resume"]


@dataclass(frozen=True, slots=True)
class Command:
    """A person's word, from an annotation on the Rollout.

    Unclaimed, `token` is the token that a claim made now would bear. `ignored` are verbs that were
    given together with a more important one. A promote that waits for a step still to come is in neither.
    """

    verb: Verb
    value: str
    token: str
    claimed: bool
    ignored: tuple[Verb, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of history."""

    revision: Hash
    outcome: Literal["Promoted", "Reverted"]
    reason: str
    ended: datetime
    duration: timedelta


@dataclass(frozen=True, slots=True)
class Facts:
    """What a release remembers: the whole of it is in the Rollout's status, nothing else is.

    `stage` is -1 while the first stage's pods are being prepared; `since` the beginning of the present
    stage; `granted` the number of ready canary pods on which the present share was granted; `reached`
    the share last read back after a raise, or stored before a lowering of our own; `gate` and
    `gate_since` the last verdict's result and since when; `lowered_to` the share to which it was lowered
    for want of ready pods (None: the stage's own) and `shortages` how often that happened; `corrections`
    how many times what somebody else raised or relabelled was put back in this release, `corrected` the
    `Traffic.version` for which it was last counted, `interference` who did what the last time and `advice`
    what the owner of that tool has to set; `token` that of the last command executed;
    `header_pins` are those of this release, and `fed` says that the present stage's pinned routes and copies
    were read back; `strayed` that requests were seen to reach the canary after everybody was sent back;
    `previous` are the revisions that were stable before, the newest first, promoted or adopted. `accepted`
    tells of two Deployments, by name, which revision of each begins no release.
    """

    phase: Phase = Phase.INITIALIZING
    stable: Hash | None = None
    canary: Hash | None = None
    stage: int = -1
    since: datetime | None = None
    started: datetime | None = None
    plan: tuple[Stage, ...] = ()
    reached: int = 0
    granted: int = 0
    gate: Literal["pass", "fail", "inconclusive"] | None = None
    gate_since: datetime | None = None
    failures: int = 0
    approved: Literal["step", "full"] | None = None
    paused_by: PausedBy | None = None
    reason: str = ""
    token: str = ""
    waiting_since: datetime | None = None
    lowered_to: int | None = None
    shortages: int = 0
    corrections: int = 0
    corrected: str = ""
    interference: str = ""
    advice: str = ""
    header_pins: tuple[HeaderPin, ...] = ()
    fed: bool = False
    strayed: bool = False
    history: tuple[Outcome, ...] = ()
    previous: tuple[Hash, ...] = ()
    accepted: tuple[tuple[str, Hash], ...] = ()

    @property
    def key(self) -> StageKey | None:
        """The key of the present stage, None before the first."""
        if self.canary is None or self.since is None or self.stage < 0:
            return None
        return StageKey(self.canary, self.stage, self.since)

    @property
    def at(self) -> Stage | None:
        """The present stage, None before the first."""
        return self.plan[self.stage] if 0 <= self.stage < len(self.plan) else None

    @property
    def last(self) -> int:
        """The index of the plan's last stage."""
        return len(self.plan) - 1


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a decision may rest on, read in one go.

    `busy` tells per revision whether its pods were still sent requests when metrics were last asked:
    True or False as measured, None if metrics have no answer; a revision that is missing was not asked
    about yet. `strays` has the revisions that requests still reach although nothing should send them there,
    with what is known of who does ("": nothing). `absent` parts do not exist (404), `unread` parts could not
    be read just now. `told` are the keys of the findings that the stored status has: people know of them.
    `edited` says that the running release's strategy was edited, and that nobody was told yet. `owner` is the
    older Rollout that claims the same ("": this one owns what it claims), `holder` another one that claims
    the same and still has marks of a release in the cluster. `waits` tells of a promote that is given before
    its time ("": there is none).
    """

    now: datetime
    policy: Policy | None
    generation: int
    facts: Facts
    workload: Workload | None
    traffic: Traffic | None
    timing: Timing = Timing()
    deleting: bool = False
    finalizer: bool = False
    command: Command | None = None
    verdict: Verdict | None = None
    findings: tuple[Finding, ...] = ()
    told: frozenset[tuple[str, str, str]] = frozenset()
    busy: Mapping[Hash, bool | None] = field(default_factory=lambda: MappingProxyType({}))
    strays: Mapping[Hash, str] = field(default_factory=lambda: MappingProxyType({}))
    absent: frozenset[Part] = frozenset()
    unread: frozenset[Part] = frozenset()
    edited: bool = False
    owner: str = ""
    holder: str = ""
    waits: str = ""

    @property
    def error(self) -> Finding | None:
        """The first finding that holds a release, if any."""
        return next((f for f in self.findings if f.severity == "error"), None)

    @property
    def unwritten(self) -> Finding | None:
        """What is told of a write of ours that fails, if one does."""
        return next((f for f in self.findings if f.code == WRITE_FAILS), None)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth telling: an Event on the Rollout."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


# -- effects: what is to be done to the world, in words of the design, compiled by the executor ---------


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


@dataclass(frozen=True, slots=True)
class Display:
    """What status shows a person beyond the facts; nothing in it moves with `now` or with attempts."""

    message: str
    step: str
    weight: int
    readings: tuple[Reading, ...] = ()
    verdict: Literal["pass", "fail", "inconclusive"] | None = None
    sentence: str = ""
    traffic: Verification | None = None
    findings: tuple[Finding, ...] = ()
    image: str = ""
    observed_generation: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What to remember, to show, to do and to tell, and when to look again (None: when something moves)."""

    facts: Facts
    display: Display
    effects: tuple[Effect, ...] = ()
    notices: tuple[Notice, ...] = ()
    wake_at: datetime | None = None
    gone: bool = False
