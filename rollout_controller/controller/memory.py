"""What the controller remembers of a Rollout besides its status: nothing that may decide, only sightings.

Losing it, as a restart does, makes the next decisions later, never different.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rollout_controller.core.finding import WRITE_FAILS, Finding
from rollout_controller.core.ownership import Claims, claims_of
from rollout_controller.core.release import HeaderPin, Stage
from rollout_controller.core.world import Traffic
from rollout_controller.istio.reading import TrafficReading
from rollout_controller.ports import Json, Refused, Unavailable

GATE_RETRY = timedelta(seconds=1)
GATE_RETRY_LONGEST = timedelta(seconds=30)
"""From one dry run that did not prove the gate to the next: doubled from the first to the longest."""
GATE_UNANSWERED = timedelta(seconds=30)
"""Longer than a pass: a dry run that hangs takes half of one's time."""
PATIENCE = 5
"""Tries in a row without an answer from which on a write counts as failing: some ten seconds of the queue."""


_MANY = 20_000
"""Rollouts whose claims are remembered."""

Strategy = tuple[tuple[Stage, ...], tuple[HeaderPin, ...]]
"""The stages and header pins that a release would get if it began now."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What dry runs said: that a new template is held, that a held one is kept; or why not, and when to ask
    again."""

    uid: str = ""
    holds: bool = False
    keeps: bool = False
    problem: str = ""
    ask_at: datetime | None = None
    tries: int = 0

    def answered(self) -> Gate:
        """Nothing is asked at the moment, and nothing is known to be wrong."""
        return replace(self, problem="", ask_at=None, tries=0)

    def unproven(self, problem: str, now: datetime) -> Gate:
        """What is known after a dry run that proved nothing: ask again, less and less often."""
        pause = min(GATE_RETRY * 2 ** min(self.tries, 10), GATE_RETRY_LONGEST)
        return replace(self, problem=problem, ask_at=now + pause, tries=self.tries + 1)

    def unanswered(self, now: datetime) -> Gate:
        """What is known after a dry run without an answer: what was known before."""
        return replace(self, ask_at=now + GATE_UNANSWERED, tries=0)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A write of ours that fails, in the words of its first try: what comes after may differ in numbers only.

    `back` tells that users reach the canary until it is done.
    """

    where: str
    verb: str
    refused: bool
    back: bool
    message: str = field(compare=False)
    tries: int = field(default=1, compare=False)

    @property
    def told(self) -> bool:
        """Whether it is more than a call that got no answer."""
        return self.refused or self.tries >= PATIENCE

    @property
    def finding(self) -> Finding:
        """What a person is told of it."""
        how = "refuses to" if self.refused else "does not get to"
        return Finding(
            code=WRITE_FAILS,
            severity="warning",
            object=self.where,
            path="",
            sentence=f"the API server {how} {self.verb} it: {self.message.removesuffix('.')}",
            fix="Have the policy, webhook or right that stands in its way let it through; it is tried again.",
        )


class KnownClaims:
    """What each Rollout claims, worked out once for each generation of its spec."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, Claims]] = {}

    def of(self, rollout: Json) -> Claims:
        """See core.ownership.claims_of."""
        metadata = rollout["metadata"]
        known = self._known.get(metadata["uid"])
        if known is None or known[0] != metadata.get("generation"):
            if len(self._known) >= _MANY:  # most of them gone for long
                self._known.clear()
            known = self._known[metadata["uid"]] = metadata.get("generation"), claims_of(rollout)
        return known[1]


@dataclass(slots=True)
class Memory:
    """The sightings of one Rollout: since when traffic is what it is, the gate, the last status write.

    `unwritten` is the write that failed in the last pass that came to it, `strategy` what the spec said when
    the status was last written.
    """

    weights: tuple[object, ...] | None = None
    weights_since: datetime | None = None
    subsets: tuple[object, ...] | None = None
    subsets_since: datetime | None = None
    gate: Gate | None = None
    written_at: datetime | None = None
    unwritten: Unwritten | None = None
    strategy: Strategy | None = None

    def sight(self, reading: TrafficReading, version: str, now: datetime) -> Traffic:
        """The reading with since when it is so, as far as we saw."""
        weights = (reading.canary_weight, reading.pinned_routes, reading.mirror)
        if weights != self.weights or self.weights_since is None:
            self.weights, self.weights_since = weights, now
        subsets = (reading.subsets, reading.lacks)
        if subsets != self.subsets or self.subsets_since is None:
            self.subsets, self.subsets_since = subsets, now
        return Traffic(
            canary_weight=reading.canary_weight,
            subsets=reading.subsets,
            weights_since=self.weights_since,
            subsets_since=self.subsets_since,
            version=version,
            changed_by=reading.changed_by,
            pinned_routes=reading.pinned_routes,
            mirror=reading.mirror,
            relabelled_by=reading.relabelled_by,
            routed=reading.routed,
            lacks=reading.lacks,
        )

    def could_not_write(self, problem: Refused | Unavailable, *, back: bool) -> bool:
        """Note a write that failed; whether it is to be told now, as it was not before."""
        refused = isinstance(problem, Refused)
        new = Unwritten(str(problem.ref), problem.verb, refused, back, problem.message)
        old = self.unwritten if self.unwritten == new else None
        self.unwritten = replace(old, tries=old.tries + 1) if old is not None else new
        return self.unwritten.told and (old is None or not old.told)

    def all_written(self) -> bool:
        """Note that no write failed or is wanted any more; whether something else was told of."""
        told = self.unwritten is not None and self.unwritten.told
        self.unwritten = None
        return told
