"""Follows one release with the observer's eyes and the load's: moments to show, a record at the end."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from time import monotonic
from typing import Any

from e2e.demo import record
from e2e.demo.counts import Counts
from e2e.demo.observer import Sight, revision_of
from e2e.demo.record import Pinned, Record, Release
from e2e.demo.screen import Moment
from e2e.load import Load

LOOKBACK = 10.0
"""Seconds over which the table's figures are taken; less where the step is younger."""
ENDS = ("Healthy", "Reverted")
LIVE_AFTER = 0.3
"""Seconds from a written weight until answers show it."""


def _untold(since: float) -> float | None:
    return None


@dataclass
class Watch:
    """One release, from the moment before its image is set."""

    sight: Sight
    load: Load
    clock: Callable[[], float] = monotonic
    """Seconds, on the clock of the observer's and the load's."""
    pinned: Load | None = None
    """Requests with the pinned header, where the strategy has one."""
    weighted: Callable[[float], float | None] = _untold
    """When the controller said, from a time on, that it goes to write the canary's first weight above 0: on a
    busy machine the proxy can be faster than the news of what was written."""

    def __post_init__(self) -> None:
        self.since = self.clock()
        self.revision = ""
        """The canary's pod-template-hash; empty until the controller has seen it."""
        self._ended = _latest(self.sight)
        self._before = self.sight.status.get("canary")
        self._counts = dict(self.sight.counts)
        self._sent = self.load.sent
        self._past: deque[tuple[float, str, Counts]] = deque()

    def _look(self) -> None:
        """Learn the canary's name. The status tells it only while there is one, and after a revert."""
        canary, phase = self.sight.status.get("canary"), self.sight.phase
        if canary and (canary != self._before or phase not in ENDS):
            self.revision = str(canary)

    @property
    def ended(self) -> bool:
        """Whether the Rollout tells of another release that is over than it did when this one began."""
        return _latest(self.sight) != self._ended and self.sight.phase in ENDS

    def canary_counts(self) -> Counts:
        """What the canary's pods counted since the release began."""
        before = (one for pod, one in self._counts.items() if revision_of(pod) == self.revision)
        return self.sight.counted(self.revision) - sum(before, Counts())

    def moment(self) -> Moment:
        """How it is now."""
        self._look()
        sight, now, revision = self.sight, self.clock(), self.revision
        counted = sight.counted(revision) if revision else Counts()
        began = max(self.since, sight.weights[-1][0] + LIVE_AFTER if sight.weights else 0.0)
        since = max(began, now - LOOKBACK)
        recent = counted - self._counted_at(since, revision, now, counted)
        verdict: Mapping[str, Any] = sight.status.get("verdict") or {}
        return Moment(
            at=now,
            phase=sight.phase,
            step=str(sight.status.get("step") or ""),
            weight=int(sight.status.get("weight") or 0),
            share=self._share(revision, since),
            error_rate=recent.error_rate,
            p99=recent.quantile(0.99),
            verdict=str(verdict.get("result") or ""),
            failures=int(verdict.get("failures") or 0),
            stable_pods=sight.ready(sight.status.get("stable")),
            canary_pods=sight.ready(revision) if revision != sight.status.get("stable") else 0,
            message=sight.message,
            sent=self.load.sent - self._sent,
            failed=len(self.load.failures(self.since)),
            errors=round(self.canary_counts().errors) if revision else 0,
            weighted=any(at >= self.since and weight > 0 for at, weight in sight.weights),
            sentence=str(verdict.get("sentence") or ""),
            command=str(sight.status.get("command") or ""),
            promoted=sight.phase == "Healthy" and revision != "" and revision == sight.status.get("stable"),
        )

    def _share(self, revision: str, since: float) -> float:
        answers = [one for one in self.load.between(since) if one.pod]
        if not answers or not revision:
            return nan
        return sum(revision_of(one.pod) == revision for one in answers) / len(answers)

    def _counted_at(self, since: float, revision: str, now: float, counted: Counts) -> Counts:
        """What was counted at `since`, by the samples of earlier moments."""
        self._past.append((now, revision, counted))
        while len(self._past) > 1 and (self._past[0][0] < since or self._past[0][1] != revision):
            self._past.popleft()
        return self._past[0][2]

    def record(self, release: Release, differences: Mapping[str, list[str]] | None = None) -> Record:
        """What it came to."""
        sight, now, revision = self.sight, self.clock(), self.revision
        last: Mapping[str, Any] = next(iter(sight.status.get("history") or ()), {})
        traffic = record.traffic(self.load.between(self.since), revision)
        first_bad = {"errors": sight.first_error.get(revision), "slowness": traffic.first_slow}
        return Record(
            release=release,
            outcome=str(last.get("outcome") or "") if self.ended else "",
            reason=str(last.get("reason") or "") if self.ended else sight.message,
            seconds=now - self.since,
            steps=record.held(sight.weights, self.since, now),
            traffic=traffic,
            canary=self.canary_counts(),
            first_bad=first_bad.get(release.ailment),
            zero=record.zeroed(sight.weights, self.since),
            weight=sight.weight,
            differences=differences or {},
            began=self.since,
            pinned=self._pinned(),
            early=self._early(),
        )

    def _pinned(self) -> Pinned | None:
        """Of the requests with the header, from the first that our routes took, while they were written."""
        if self.pinned is None:
            return None
        marks = [(at, there) for at, there in self.sight.pinned if at >= self.since]
        wrote = next((at for at, there in marks if there), None)
        since = None if wrote is None else self._taken(wrote)
        until = next((at for at, there in marks if not there and since is not None and at > since), None)
        return record.pinned(self.pinned.answers, self.revision, since, until)

    def _taken(self, wrote: float) -> float | None:
        """When the canary's first answer to a pinned request was asked for that was sent after `wrote`."""
        answers = self.pinned.answers if self.pinned is not None else []
        sent = (one.sent for one in answers if one.sent >= wrote and revision_of(one.pod) == self.revision)
        return min(sent, default=None)

    def _early(self) -> int:
        """Answers that the canary gave before it had a weight; those of mirrored requests nobody gets."""
        seen = next((at for at, weight in self.sight.weights if at >= self.since and weight > 0), None)
        moments = [at for at in (seen, self.weighted(self.since)) if at is not None]
        before = self.load.between(self.since, min(moments, default=self.clock()))
        return sum(revision_of(one.pod) == self.revision for one in before) if self.revision else 0


def _latest(sight: Sight) -> tuple[Any, Any]:
    """What tells one finished release from another."""
    last: Mapping[str, Any] = next(iter(sight.status.get("history") or ()), {})
    return last.get("ended"), last.get("revision")
