"""One look at Prometheus: how far back, what is asked, and when to look again.

Plain coroutines over the port `Metrics`, with the time given; the tasks that look are in `judging`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from rollout_controller.controller.jobs import Stretch
from rollout_controller.core.judge import SCRAPES, Judgement, Look, Nothing, doubtful, enough, failing
from rollout_controller.core.judge_checks import Latency
from rollout_controller.core.share import Split
from rollout_controller.ports import Metrics
from rollout_controller.prometheus.evidence import (
    Evidence,
    Scrapes,
    read_evidence,
    read_scrapes,
    read_short,
)
from rollout_controller.prometheus.promql import Labels, Scope

FARTHEST: Final = timedelta(hours=1)
"""How far a look goes back for requests enough: Prometheus reads every sample in between."""
FIRST: Final = timedelta(seconds=1)
"""The least time between two looks, and of evidence before the first."""
FAULTS_APART: Final = timedelta(seconds=30)
"""The longest pause between looks that Prometheus did not answer, if the interval is shorter."""
LEARN: Final = timedelta(minutes=3)
"""How far back to look for the scrape interval; it is 60 s at most in nearly all setups."""
UNKNOWN_INTERVAL: Final = 20.0
"""The scrape interval in seconds to reckon with while none is known."""
LIVE: Final = timedelta(seconds=10)
"""How long istiod may put a push off while its configuration keeps changing (PILOT_DEBOUNCE_MAX)."""

_ZERO = timedelta(0)


@dataclass(slots=True)
class Memory:
    """What is remembered from look to look in one release; losing it costs a few queries.

    `interval` is the scrape interval in seconds; `lookback` how far the last look went back; `ready` when
    each canary pod was seen ready first, as a pod that comes and goes would otherwise stay young.
    """

    interval: float | None = None
    lookback: timedelta = _ZERO
    ready: dict[str, datetime] = field(default_factory=dict)

    def meet(self, stretch: Stretch) -> None:
        """Note pods that are ready for the first time."""
        for pod, since in stretch.ready.items():
            self.ready.setdefault(pod, since)

    def evidence_from(self, stretch: Stretch) -> datetime:
        """When requests begin to count: the traffic is settled, and the youngest ready pod is warm."""
        if not stretch.warmup:
            return stretch.settled
        warm = [self.ready.get(pod, since) + stretch.warmup for pod, since in stretch.ready.items()]
        return max([stretch.settled, *warm])

    def scrape(self) -> timedelta:
        """The scrape interval, or what is reckoned with."""
        return timedelta(seconds=self.interval or UNKNOWN_INTERVAL)

    def tells_split(self, stretch: Stretch, age: timedelta) -> bool:
        """Whether evidence is old enough that neither a side's newest scrape nor a late push distorts it."""
        return age >= min(self.window(stretch), max(SCRAPES * self.scrape(), LIVE))

    def window(self, stretch: Stretch) -> timedelta:
        """The user's window, widened to three scrapes; a finding tells."""
        least = SCRAPES * self.scrape()
        return stretch.window if self.interval is None else max(stretch.window, least)


class Looker:
    """Looks for both sides' requests. One query after the other, so one in flight for each release."""

    def __init__(self, metrics: Metrics, labels: Labels) -> None:
        self._metrics = metrics
        self._labels = labels

    async def look(self, stretch: Stretch, state: Judgement, memory: Memory, now: datetime) -> Look | Nothing:
        """What there is to judge now. Raises MetricsError."""
        if not stretch.scope.told_apart:
            return Nothing(
                "the pods of both versions have names alike, as the Deployment's name fills them:"
                " with at most 46 characters they can be told apart"
            )
        if memory.interval is None:
            memory.interval = (await self._scrapes(stretch.scope, LEARN)).interval
        start = memory.evidence_from(stretch)
        judged = now > start
        age = now - (start if judged else stretch.settled)
        window = memory.window(stretch)
        span, evidence = await self._far_enough(stretch, memory, window, age)
        if evidence.age is not None and evidence.age > max(window, SCRAPES * memory.scrape()).total_seconds():
            return Nothing(f"Prometheus has no new sample of these pods since {evidence.age:.0f} s")
        look = Look(evidence.sides, newest=evidence.newest, judged=judged)
        if not judged:
            return replace(look, remark="not judged yet, the pods are warming up")
        look, span = await self._known_of_stable(look, stretch, span, window)
        counted = now - state.counted if state.counted is not None else None
        if not (look.sides.requests or look.split.requests):
            since = span if counted is None else min(span, counted)
            look = await self._without_requests(look, stretch, max(since, FIRST))
            look = replace(look, whole=look.scraped)
        elif doubtful(look.split, stretch.thresholds):
            look = await self._whole(look, stretch, memory, span)
        look = replace(look, whole=look.whole and memory.tells_split(stretch, age))
        if counted is not None and failing(look, stretch.thresholds):
            look = await self._fresh(look, stretch, max(min(span, counted), FIRST), window)
        return look

    async def is_busy(self, scope: Scope, memory: Memory) -> bool | None:
        """Whether the canary of this scope was sent requests in the last scrapes; None if nobody knows.

        Raises MetricsError.
        """
        if memory.interval is None:
            memory.interval = (await self._scrapes(scope, LEARN)).interval
        span = SCRAPES * memory.scrape()
        evidence = await read_evidence(self._metrics, self._labels, scope, span, histogram=False)
        if evidence.sides.canary is not None:
            return evidence.sides.requests > 0
        return False if (await self._scrapes(scope, span)).canary_up else None

    async def strays(
        self, scope: Scope, memory: Memory, since: datetime, within: timedelta, now: datetime
    ) -> bool:
        """Whether the canary of this scope was sent requests that began less than `within` before `since`, or
        later, and in the last scrapes. False as well while nobody can know.

        A counter is only known at a scrape, so it is read from the first one after `since` on. Requests that
        took longer may have begun before, so they do not count. Raises MetricsError.
        """
        if memory.interval is None:
            memory.interval = (await self._scrapes(scope, LEARN)).interval
        span = min(now - since - memory.scrape(), SCRAPES * memory.scrape())
        if memory.interval is None or span < memory.scrape():
            return False
        return await read_short(self._metrics, self._labels, scope, span, within) > 0

    async def _far_enough(
        self, stretch: Stretch, memory: Memory, window: timedelta, age: timedelta
    ) -> tuple[timedelta, Evidence]:
        """The window, and as much more of the stage as it takes to have requests enough."""
        farthest = min(age, FARTHEST)
        # Half of what was enough: what a small service needs is found again in a query or two.
        span = min(max(window, memory.lookback / 2), farthest) if age > window else age
        while True:
            evidence = await self._evidence(stretch, span)
            if span >= farthest or enough(evidence.sides, stretch.thresholds):
                memory.lookback = span
                return span, evidence
            span = min(2 * span, farthest)

    async def _known_of_stable(
        self, look: Look, stretch: Stretch, span: timedelta, window: timedelta
    ) -> tuple[Look, timedelta]:
        """The same look with the window alone, where that tells more of what the canary should have got than
        all of `span` does; and how far back pods must have been scraped for it, rather more than needed.

        Of pods that Prometheus met within a range no request is counted, so the longer one may know less.
        """
        told = look.sides.stable is not None and enough(look.sides, stretch.thresholds)
        if span <= window or told:
            return look, span
        near = (await self._evidence(stretch, window)).sides
        if near.requests > look.sides.requests:
            look = replace(look, sides=near)
        if stretch.thresholds.expected(near) <= stretch.thresholds.expected(look.sides):
            return look, span
        return replace(look, near=near), window

    async def _fresh(self, look: Look, stretch: Stretch, span: timedelta, window: timedelta) -> Look:
        """The same look with what came in `span`, since a failing look was counted; of stable in the window
        alone, where more is known of it there."""
        fresh = (await self._evidence(stretch, span)).sides
        if span > window:
            near = look.near or (await self._evidence(stretch, window)).sides
            if stretch.thresholds.expected(near) > stretch.thresholds.expected(fresh):
                fresh = replace(fresh, stable=near.stable)
        return replace(look, fresh=fresh)

    async def _without_requests(self, look: Look, stretch: Stretch, span: timedelta) -> Look:
        """The same look with whether its emptiness means anything: were the pods asked at all?"""
        scrapes = await self._scrapes(stretch.scope, span)
        unasked = _unasked(scrapes, stretch)
        if unasked:
            return replace(look, remark=unasked)
        return replace(look, scraped=bool(stretch.ready) and stretch.ready.keys() <= scrapes.canary_twice)

    async def _whole(self, look: Look, stretch: Stretch, memory: Memory, span: timedelta) -> Look:
        """The same look with whether Prometheus knows all requests of the side that has too few: the canary's
        pods are scraped, or stable's were before the beginning, as of those that came later no request is
        counted."""
        scrapes = await self._scrapes(stretch.scope, span + SCRAPES * memory.scrape())
        if doubtful(look.split, stretch.thresholds) is Split.MANY:
            return replace(look, whole=scrapes.stable_throughout)
        whole = bool(stretch.ready) and stretch.ready.keys() <= scrapes.canary_twice
        return replace(look, whole=whole, remark=_unasked(scrapes, stretch))

    async def _evidence(self, stretch: Stretch, span: timedelta) -> Evidence:
        histogram = any(isinstance(check, Latency) for check in stretch.thresholds.checks)
        return await read_evidence(self._metrics, self._labels, stretch.scope, span, histogram=histogram)

    async def _scrapes(self, scope: Scope, span: timedelta) -> Scrapes:
        return await read_scrapes(self._metrics, self._labels, scope, span)


def _unasked(scrapes: Scrapes, stretch: Stretch) -> str:
    """Of which pods nothing is known; "" if all are scraped."""
    unasked = stretch.ready.keys() - scrapes.canary_up
    if not unasked:
        return ""
    return f"Prometheus does not scrape {len(unasked)} of {len(stretch.ready)} ready canary pods yet"


def next_look(
    stretch: Stretch,
    memory: Memory,
    now: datetime,
    *,
    requests: float = 0,
    needed: int = 0,
    undecided: bool = False,
) -> datetime:
    """When to look again: every interval from when evidence begins, and sooner within the first one.

    There, as soon as there may be requests enough (`requests` are those of the last look, `needed` how many
    more it wanted), and a little later each time while what they say is `undecided`.
    """
    start = memory.evidence_from(stretch)
    if now < stretch.settled:
        return stretch.settled + FIRST
    if now <= start:
        return min(now + stretch.interval, start + FIRST)
    age = now - start
    ahead = stretch.interval - age % stretch.interval
    if age >= stretch.interval or not (needed or undecided):
        # A timer may fire a little early: that look was the one of this interval.
        return now + (ahead if ahead > stretch.interval / 10 else ahead + stretch.interval)
    soon = age / 4
    if needed:
        soon = min(age, age * (needed / requests)) if requests else age
    return now + min(max(soon, FIRST, timedelta(seconds=memory.interval or 0)), ahead)


def after_fault(stretch: Stretch, now: datetime, faults: int) -> datetime:
    """When to try again after so many looks in a row without an answer: later each time, never given up."""
    longest = max(stretch.interval, FAULTS_APART)
    return now + min(stretch.interval * (1 << min(faults - 1, 10)), longest)


def next_question(memory: Memory, now: datetime) -> datetime:
    """When to ask again whether pods are still sent requests: with the next scrape."""
    seconds = min(max(memory.interval or 0.0, 1.0), 15.0)
    return now + timedelta(seconds=seconds)
