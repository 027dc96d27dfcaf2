"""What there is to judge of a Rollout, read from its facts and the last look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from rollout_controller.api.analysis import Analysis
from rollout_controller.controller.observe import Sighting
from rollout_controller.controller.sides import serving_sets
from rollout_controller.controller.snapshot import Snapshot
from rollout_controller.core.conditions import canary_share, desired_weight, handed_over, leftovers
from rollout_controller.core.judge import Thresholds
from rollout_controller.core.judge_checks import Check, ErrorRate, Latency
from rollout_controller.core.model import Observed
from rollout_controller.core.release import Facts, Hash, Phase, StageKey
from rollout_controller.core.share import Bypass
from rollout_controller.core.strays import stray_from
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio.bypass import bypass_of
from rollout_controller.istio.routing import our_host
from rollout_controller.ports import Json, Subset
from rollout_controller.prometheus.promql import Scope, pod_pattern

_JUDGED = frozenset({Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING})


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is judged: the stage, whose pods, by what, and since when its traffic is settled.

    `ready` are the canary's pods that are ready now, each with the time since when; `failures` those that
    the status tells of this stage, which count if nobody here has judged it yet.
    """

    key: StageKey
    scope: Scope
    thresholds: Thresholds
    interval: timedelta
    window: timedelta
    warmup: timedelta
    settled: datetime
    ready: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Stray:
    """A canary whose share is gone: from `since` on, requests that took less than `within` are strays.

    They began less than `within` before, when all proxies knew. `subset` is where they would be routed, None
    if that is not known, and `namespace` the Rollout's.
    """

    scope: Scope
    since: datetime
    within: timedelta
    subset: Subset | None
    namespace: str


@dataclass(frozen=True, slots=True)
class Job:
    """What to judge, if anything; after which revisions' requests to ask, because they are drained; and whose
    requests have no business there any more."""

    stretch: Stretch | None
    drained: Mapping[Hash, Scope] = field(default_factory=lambda: MappingProxyType({}))
    strays: Mapping[Hash, Stray] = field(default_factory=lambda: MappingProxyType({}))


def in_the_dark(sighting: Sighting, facts: Facts) -> bool:
    """Whether it cannot be read how to judge a canary that is to be judged: then as before."""
    snapshot = sighting.snapshot
    return snapshot is None or (snapshot.spec.analysis is None and facts.phase in _JUDGED)


def job_of(sighting: Sighting, facts: Facts, settle: timedelta) -> Job | None:
    """The job that these facts give, None while nothing is to be judged or drained."""
    if sighting.snapshot is None:
        return None
    stretch = _stretch(sighting, facts, settle)
    drained = _drained(sighting, facts)
    return Job(stretch, drained, _strays(sighting, facts)) if stretch is not None or drained else None


def _stretch(sighting: Sighting, facts: Facts, settle: timedelta) -> Stretch | None:
    snapshot, observed, key = sighting.snapshot, sighting.observed, facts.key
    if snapshot is None or key is None or facts.phase not in _JUDGED or handed_over(observed):
        return None
    analysis = snapshot.spec.analysis
    if facts.stable is None or facts.at is None or analysis is None:
        return None
    return Stretch(
        key=key,
        scope=_scope(snapshot, key.canary, facts.stable),
        thresholds=Thresholds(
            checks=checks_of(analysis),
            min_requests=analysis.min_requests,
            failure_limit=analysis.failure_limit,
            weight=max(facts.at.weight, facts.at.mirror),
            share=min(desired_weight(facts), canary_share(observed, facts)[0]),
            mirror=min(facts.at.mirror, observed.traffic.mirror[0] if observed.traffic is not None else 0),
            bypass=_bypass(snapshot, observed),
        ),
        interval=analysis.interval,
        window=analysis.window,
        warmup=analysis.warmup,
        settled=key.since + settle,
        ready=_ready(snapshot.pods, key.canary),
        failures=facts.failures,
    )


def _bypass(snapshot: Snapshot, observed: Observed) -> Bypass:
    """What else sends to the pods. Where routes disagree, one gives the canary more than the least share."""
    routing, services, rule = snapshot.routing, snapshot.virtual_services, snapshot.destination_rule
    found = bypass_of(routing, services, rule, snapshot.routes)
    agree = observed.traffic is None or observed.traffic.agree
    return found if agree else replace(found, canary=True)


def _drained(sighting: Sighting, facts: Facts) -> Mapping[Hash, Scope]:
    """Both sides while a release ends, and canaries that no release owns any more."""
    snapshot = sighting.snapshot
    if snapshot is None:
        return {}
    if snapshot.routing.deployments is not None:  # neither loses its pods by us
        revisions = [r for r in _ending(facts) if r == facts.canary and facts.phase is Phase.REVERTING]
    else:
        revisions = _ending(facts) + [pods.hash for pods in leftovers(sighting.observed) if pods.existing]
    return {
        revision: _scope(snapshot, revision, _other(sighting.observed, facts, revision))
        for revision in revisions
    }


def _strays(sighting: Sighting, facts: Facts) -> Mapping[Hash, Stray]:
    """The canary that everybody was sent back from."""
    snapshot, since = sighting.snapshot, stray_from(sighting.observed, facts)
    if snapshot is None or since is None or facts.canary is None or facts.stable is None:
        return {}
    scope = _scope(snapshot, facts.canary, facts.stable)
    within = sighting.observed.timing.stray
    return {facts.canary: Stray(scope, since, within, _canary_subset(snapshot), snapshot.namespace)}


def _canary_subset(snapshot: Snapshot) -> Subset | None:
    """Where routes send that send to the canary, None if that is not known."""
    routing = snapshot.routing
    if routing.services is not None:
        return Subset(routing.resolve(routing.services[1]), "")
    host = our_host(routing, snapshot.virtual_services.values(), snapshot.destination_rule)
    return Subset(host, routing.canary_subset) if host else None


def _scope(snapshot: Snapshot, canary: Hash, stable: Hash) -> Scope:
    """Whose requests: of two Deployments the revision of the idle one, and all pods of the serving one."""
    pair = snapshot.routing.deployments
    if pair is None:
        return Scope.of(snapshot.namespace, snapshot.routing.deployment, canary=canary, stable=stable)
    serving = serving_sets(snapshot) or [pair[0]]
    return Scope(snapshot.namespace, pod_pattern(f"{pair[1]}-{canary}"), "|".join(map(pod_pattern, serving)))


def _ending(facts: Facts) -> list[Hash]:
    if facts.phase not in {Phase.PROMOTING, Phase.REVERTING}:
        return []
    return [revision for revision in (facts.canary, facts.stable) if revision is not None]


def _other(observed: Observed, facts: Facts, revision: Hash) -> Hash:
    """The side that is scraped all the time, by which a new pod is told from a Prometheus that was away."""
    if revision == facts.stable and facts.canary is not None:
        return facts.canary
    if facts.stable is not None:
        return facts.stable
    return observed.workload.target if observed.workload is not None else revision


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


def _ready(pods: list[Json], canary: Hash) -> Mapping[str, datetime]:
    """The canary's ready pods, and since when each is."""
    return {
        pod["metadata"]["name"]: datetime.fromisoformat(condition["lastTransitionTime"]).astimezone(UTC)
        for pod in pods
        if (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == canary
        for condition in (pod.get("status") or {}).get("conditions") or []
        if condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition.get("lastTransitionTime")
    }
