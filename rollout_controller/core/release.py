"""A release as it is planned, commanded and remembered.

Everything here is frozen, and free of any clock or connection: times are aware UTC datetimes that were read
by somebody else, weights are whole percents, a revision is named by the value of its pods'
`pod-template-hash` label.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

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
class StageKey:
    """The exact stretch of a release that a verdict speaks of."""

    canary: Hash
    index: int
    since: datetime


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
