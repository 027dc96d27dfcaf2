"""What there is to judge of a Rollout, read from its facts and the last look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rollout_controller.api.spec import Analysis
from rollout_controller.controller.observe import Sighting
from rollout_controller.core.conditions import desired_weight, handed_over
from rollout_controller.core.judge import Thresholds
from rollout_controller.core.judge_checks import Check, ErrorRate, Latency
from rollout_controller.core.model import Facts, Hash, Phase, StageKey
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.ports import Json
from rollout_controller.prometheus.promql import Scope

_JUDGED = frozenset({Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING})


@dataclass(frozen=True, slots=True)
class Job:
    """One stretch of a release. `key` is None where only `busy` is asked: while pods are drained.

    `evidence_from` is when requests begin to count: settled, and warm; `sides` are each revision's pods.
    """

    canary: Hash
    key: StageKey | None
    scope: Scope
    sides: Mapping[Hash, Scope]
    thresholds: Thresholds
    interval: timedelta
    window: timedelta
    evidence_from: datetime
    failures: int
    asks_busy: bool

    @property
    def stretch(self) -> tuple[object, ...]:
        """What makes a new stretch: its evidence and failures start anew."""
        return (self.canary, self.key, self.asks_busy)


def job_of(sighting: Sighting, facts: Facts, settle: timedelta) -> Job | None:
    """The job that these facts give, None while no canary is to be judged or drained."""
    snapshot = sighting.snapshot
    if snapshot is None or facts.canary is None or facts.stable is None:
        return None
    judged = facts.phase in _JUDGED and facts.key is not None and not handed_over(sighting.observed)
    drains = facts.phase in {Phase.PROMOTING, Phase.REVERTING}
    if not judged and not drains:
        return None
    namespace, deployment = snapshot.namespace, snapshot.routing.deployment
    scope = Scope.of(namespace, deployment, canary=facts.canary, stable=facts.stable)
    sides = {
        facts.canary: scope,
        facts.stable: Scope.of(namespace, deployment, canary=facts.stable, stable=facts.canary),
    }
    analysis = snapshot.spec.analysis
    settled = (facts.since or sighting.observed.now) + settle
    return Job(
        canary=facts.canary,
        key=facts.key if judged else None,
        scope=scope,
        sides=sides,
        thresholds=Thresholds(
            checks_of(analysis), analysis.min_requests, analysis.failure_limit, desired_weight(facts)
        ),
        interval=analysis.interval,
        window=analysis.window,
        evidence_from=max(settled, _warm(snapshot.pods, facts.canary, analysis.warmup) or settled),
        failures=facts.failures if facts.key is not None else 0,
        asks_busy=drains,
    )


def checks_of(analysis: Analysis) -> tuple[Check, ...]:
    """The checks as the judge takes them: fractions and milliseconds."""
    checks: list[Check] = []
    for check in analysis.checks:
        if check.error_rate is not None:
            checks.append(ErrorRate(check.error_rate.max))
        if check.latency is not None:
            limit = check.latency.max / timedelta(milliseconds=1)
            checks.append(Latency(check.latency.quantile, limit))
    return tuple(checks)


def _warm(pods: list[Json], canary: Hash, warmup: timedelta) -> datetime | None:
    """When the youngest ready canary pod has been ready for `warmup`, None without warmup or pods."""
    if not warmup:
        return None
    ready = [
        datetime.fromisoformat(condition["lastTransitionTime"].replace("Z", "+00:00")).astimezone(UTC)
        for pod in pods
        if (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == canary
        for condition in (pod.get("status") or {}).get("conditions") or []
        if condition["type"] == "Ready"
        and condition["status"] == "True"
        and "lastTransitionTime" in condition
    ]
    return max(ready) + warmup if ready else None
