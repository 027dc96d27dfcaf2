"""What the controller remembers of a Rollout besides its status: nothing that may decide, only sightings.

Losing it, as a restart does, makes the next decisions later, never different.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout_controller.core.model import Hash, Traffic
from rollout_controller.istio.reading import TrafficReading

GATE_RETRY = timedelta(seconds=1)
GATE_RETRY_LONGEST = timedelta(seconds=30)
"""From one dry run that was not held to the next: doubled from the first to the longest."""
GATE_UNANSWERED = timedelta(seconds=30)
"""Longer than a pass: a dry run that hangs takes half of one's time."""


@dataclass(slots=True)
class Gate:
    """What dry runs of a template change said: that it is held, or why not, and when to ask again."""

    uid: str = ""
    holds: bool = False
    problem: str = ""
    ask_at: datetime | None = None
    tries: int = 0

    def refused(self, problem: str, now: datetime) -> Gate:
        """What is known after a dry run that was not held: ask again, less and less often."""
        pause = min(GATE_RETRY * 2 ** min(self.tries, 10), GATE_RETRY_LONGEST)
        return Gate(self.uid, problem=problem, ask_at=now + pause, tries=self.tries + 1)


@dataclass(slots=True)
class Memory:
    """The sightings of one Rollout: since when traffic is what it is, the gate, the last status write."""

    weights: tuple[object, ...] | None = None
    weights_since: datetime | None = None
    subsets: tuple[Hash | None, Hash | None] | None = None
    subsets_since: datetime | None = None
    gate: Gate | None = None
    written_at: datetime | None = None

    def sight(self, reading: TrafficReading, version: str, now: datetime) -> Traffic:
        """The reading with since when it is so, as far as we saw."""
        weights = (reading.canary_weight, reading.pinned_routes, reading.mirror)
        if weights != self.weights or self.weights_since is None:
            self.weights, self.weights_since = weights, now
        if reading.subsets != self.subsets or self.subsets_since is None:
            self.subsets, self.subsets_since = reading.subsets, now
        return Traffic(
            canary_weight=reading.canary_weight,
            subsets=reading.subsets,
            weights_since=self.weights_since,
            subsets_since=self.subsets_since,
            version=version,
            changed_by=reading.changed_by,
            pinned_routes=reading.pinned_routes,
            mirror=reading.mirror,
        )
