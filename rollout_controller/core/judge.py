"""The gate: one look at Prometheus after the other, folded into a verdict.

A look passes if every check is within its limit, and fails if one is above it beyond chance (the lower end
of the 95 % Wilson interval). Anything else is inconclusive: it neither passes nor breaks or extends a run of
failures. A look looks back over a window, and windows overlap, so a failing look is counted only on evidence
of its own: the requests since the last counted one are enough to be judged and above the limit by themselves
as well. `failure_limit` counted looks without a passing one between them are a failure.

Nothing passes while the canary's share of requests is not what the routes give it (`core.share`): two looks
in a row must say so before it is told, and one that cannot tell changes nothing. One whose scrapes may be why
is no news, but before anything is known of a stage it does not pass either.

Everything here is a pure function of what was read; the evaluator does the reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from rollout_controller.core.judge_checks import Check, Judged, Outcome, exceeds, judge_check
from rollout_controller.core.judge_counts import Sides
from rollout_controller.core.judge_words import sentence
from rollout_controller.core.release import StageKey
from rollout_controller.core.share import NO_BYPASS, Bypass, Routed, Split, split_of, verification
from rollout_controller.core.verdict import Verdict, Verification

Result = Literal["pass", "fail", "inconclusive"]

ARRIVAL: Final = 3
"""No request at all is a failure once this many times `min_requests` should have come."""
SCRAPES: Final = 3
"""A window holds at least so many scrapes."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a canary is held to. `weight` is the percent of requests that its stage sends it, copies
    too, `share` the percent that the routes were read to give, and `mirror` that of which they were read to
    copy; `bypass` what else sends to the pods."""

    checks: tuple[Check, ...]
    min_requests: int
    failure_limit: int
    weight: int
    share: int
    mirror: int = 0
    bypass: Bypass = NO_BYPASS

    @property
    def routed(self) -> Routed:
        """What the objects say of the traffic."""
        return Routed(self.share, self.mirror, self.bypass)

    def expected(self, sides: Sides) -> float:
        """The canary's requests, copies too, that stable's make expected; 0 where stable's tell nothing, as
        where other routes send to stable too."""
        unknown = self.bypass.stable or self.bypass.elsewhere
        if sides.stable is None or self.share >= 100 or unknown:
            return 0.0
        return sides.stable.requests * (self.share + self.mirror) / (100 - self.share)


@dataclass(frozen=True, slots=True)
class Look:
    """What was read: both sides over the window, and since the last counted failing look.

    `fresh` is None if there was none, or nobody asked. `newest` is the time of the newest sample, by
    Prometheus' clock in seconds. `scraped` says that Prometheus scraped all canary pods in the whole window,
    so that no requests means none, and not none known. `whole` says that a split which is off is no matter of
    scrapes. `judged` is False for what is shown only. `remark` is told with the verdict.
    `near` are both sides over the window alone, where more of stable's requests is known in it than in all
    that was read: of pods that Prometheus met on the way nothing is counted.
    """

    sides: Sides
    fresh: Sides | None = None
    newest: float | None = None
    scraped: bool = False
    whole: bool = False
    judged: bool = True
    remark: str = ""
    near: Sides | None = None

    @property
    def split(self) -> Sides:
        """The sides that tell what goes where."""
        return self.near or self.sides

    def absent(self, thresholds: Thresholds) -> bool:
        """Whether traffic does not arrive, as far back as was read."""
        return not self.sides.requests and arrival_fails(self.split, self.scraped, thresholds)


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to judge, for this reason: a fault, no samples, too early."""

    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state of the fold. `counted` is when a failing look was last counted; `doubt` what the last look
    found the split to be, if that is off."""

    verdict: Verdict
    counted: datetime | None = None
    newest: float | None = None
    doubt: Verification | None = None

    @property
    def failed(self) -> bool:
        return self.verdict.result == "fail"


def begin(key: StageKey, now: datetime, failures: int = 0) -> Judgement:
    """The state before the first look; `failures` are those that an earlier process counted in this stage."""
    verdict = Verdict(key, "inconclusive", now, failures, sentence="waiting for the first readings")
    return Judgement(verdict, counted=now if failures else None)


def arrival_fails(sides: Sides, scraped: bool, thresholds: Thresholds, times: float = ARRIVAL) -> bool:
    """Whether traffic does not arrive: stable's requests make many expected, and the canary had none."""
    if not scraped or sides.requests > 0:
        return False
    return thresholds.expected(sides) >= times * thresholds.min_requests


def failing(look: Look, thresholds: Thresholds) -> bool:
    """Whether this look would count as failing on fresh evidence."""
    judged = _judge(look, thresholds)
    return any(j.outcome is Outcome.FAIL for j in judged) or look.absent(thresholds)


def doubtful(sides: Sides, thresholds: Thresholds) -> Split | None:
    """The split of these requests if it is off, as far as they tell."""
    split = split_of(sides, thresholds.routed, thresholds.min_requests)
    return split if split.off else None


def enough(sides: Sides, thresholds: Thresholds) -> bool:
    """Whether these are requests enough for every check."""
    return all(judge_check(check, sides, thresholds.min_requests).needed == 0 for check in thresholds.checks)


def fold(state: Judgement, look: Look | Nothing, thresholds: Thresholds, now: datetime) -> Judgement:
    """The state after one more look. A look without a newer sample changes nothing; a failure stays one."""
    if state.failed or (isinstance(look, Look) and _known(state, look)):
        return state
    if isinstance(look, Nothing):
        return _unclear(state, (), thresholds, look.reason, now)
    judged = _judge(look, thresholds)
    if not look.judged:
        return _unclear(state, judged, thresholds, look.remark, now)
    state = replace(state, newest=look.newest if look.newest is not None else state.newest)
    absent = look.absent(thresholds)
    state = _verified(state, look, thresholds, absent)
    doubt = _doubt(state)
    if doubt and not absent:
        look = replace(look, remark="; ".join(filter(None, (look.remark, doubt))))
    if absent or any(j.outcome is Outcome.FAIL for j in judged):
        return _failing(state, look, judged, absent, thresholds, now)
    lacking = [j for j in judged if j.outcome is not Outcome.WITHIN]
    within = not doubt and (not lacking or _idle(lacking, thresholds))
    if within and _looks_off(state, look, thresholds):
        words = "whether requests go as routed is not known yet"
        return _unclear(state, judged, thresholds, "; ".join(filter(None, (look.remark, words))), now)
    if within:
        # Requests that headers pin to it may come all the same, but too few to go by.
        idle = "this step gives the canary no share to be judged by"
        words = idle if lacking else sentence(judged, look.remark)
        passed = _verdict(state, "pass", 0, judged, words, now)
        return replace(state, verdict=replace(passed, needed=0), counted=None)
    return _unclear(state, judged, thresholds, look.remark, now)


def _idle(lacking: list[Judged], thresholds: Thresholds) -> bool:
    """Whether a stage that gives no share is not held for lack of requests."""
    return thresholds.weight == 0 and all(j.outcome is Outcome.LACKING for j in lacking)


def _verified(state: Judgement, look: Look, thresholds: Thresholds, absent: bool) -> Judgement:
    """The state with what this look tells of the split. Traffic that does not arrive is a failure already,
    and needs no second look."""
    routed = thresholds.routed
    split = Split.NONE if absent else split_of(look.split, routed, thresholds.min_requests)
    if split.off and not (absent or look.whole):
        split = Split.UNKNOWN
    found = verification(split, look.split, routed)
    if split.off:
        certain = absent or (state.doubt is not None and state.doubt.reason == found.reason)
    else:
        certain = split is not Split.UNKNOWN or state.verdict.traffic.status == "Unknown"
    verdict = replace(state.verdict, traffic=found) if certain else state.verdict
    return replace(state, verdict=verdict, doubt=found if split.off else None)


def _doubt(state: Judgement) -> str:
    """Why nothing passes now: the split is off, or was when last anything was known; "" if it is not."""
    traffic = state.doubt or state.verdict.traffic
    return traffic.sentence if traffic.status == "False" else ""


def _looks_off(state: Judgement, look: Look, thresholds: Thresholds) -> bool:
    """Whether nothing is known of a stage yet, and the split looks off, be it for want of scrapes."""
    return state.verdict.traffic.status == "Unknown" and doubtful(look.split, thresholds) is not None


def _known(state: Judgement, look: Look) -> bool:
    """Whether these samples were judged before."""
    return look.newest is not None and state.newest is not None and look.newest <= state.newest


def _judge(look: Look, thresholds: Thresholds) -> tuple[Judged, ...]:
    return tuple(judge_check(check, look.sides, thresholds.min_requests) for check in thresholds.checks)


def _failing(
    state: Judgement,
    look: Look,
    judged: tuple[Judged, ...],
    absent: bool,
    thresholds: Thresholds,
    now: datetime,
) -> Judgement:
    counts = state.counted is None or _on_its_own(look, judged, absent, thresholds)
    failures = state.verdict.failures + counts
    failed = failures >= thresholds.failure_limit and counts
    why = state.verdict.traffic.sentence if absent else ""
    run = f"{failures} failing readings" if failed and failures > 1 else _run(failures, thresholds)
    words = sentence(judged, why, "" if failed and failures == 1 else run, look.remark)
    result: Result = "fail" if failed else "inconclusive"
    return replace(
        state,
        verdict=_verdict(state, result, failures, judged, words, now),
        counted=now if counts else state.counted,
    )


def _on_its_own(look: Look, judged: tuple[Judged, ...], absent: bool, thresholds: Thresholds) -> bool:
    """Whether what came since the last counted look is a reason to count this one as well."""
    if look.fresh is None:
        return False
    if absent and arrival_fails(look.fresh, look.scraped, thresholds, times=1):
        return True
    fresh = look.fresh.canary
    return any(j.outcome is Outcome.FAIL and exceeds(j.check, fresh, thresholds.min_requests) for j in judged)


def _run(failures: int, thresholds: Thresholds) -> str:
    return f"failing reading {failures} of {thresholds.failure_limit}" if failures else ""


def _unclear(
    state: Judgement, judged: tuple[Judged, ...], thresholds: Thresholds, remark: str, now: datetime
) -> Judgement:
    """Neither pass nor failure; the failures stay, as no news is neither good nor bad."""
    failures = state.verdict.failures
    words = sentence(judged, _run(failures, thresholds), remark)
    return replace(state, verdict=_verdict(state, "inconclusive", failures, judged, words, now))


def _verdict(
    state: Judgement, result: Result, failures: int, judged: tuple[Judged, ...], words: str, now: datetime
) -> Verdict:
    before = state.verdict
    return Verdict(
        before.key,
        result,
        before.since if before.result == result else now,
        failures,
        tuple(j.reading for j in judged),
        words,
        max((j.needed for j in judged), default=0),
        before.traffic,
    )
