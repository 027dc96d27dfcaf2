"""What of a release there is to judge, and after whom there is to ask."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout_controller.api.parse import Places, parse_spec
from rollout_controller.controller.jobs import Job, Stretch, in_the_dark, job_of
from rollout_controller.controller.observe import Sighting
from rollout_controller.controller.snapshot import Snapshot
from rollout_controller.core.judge_checks import ErrorRate, Latency
from rollout_controller.core.model import Observed
from rollout_controller.core.share import Bypass
from rollout_controller.istio.routing import Routing
from rollout_controller.ports import Json, Subset
from rollout_controller.prometheus.promql import Scope
from tests.builders import (
    AT_5,
    AT_25,
    AT_BOTH,
    AT_MIRROR,
    AT_PIN,
    SINCE,
    at_step,
    but,
    fed_step,
    handed_over,
    healthy,
    initializing,
    invalid,
    paused,
    pods,
    preparing,
    promoting,
    reverted,
    reverting,
    seconds,
)
from tests.support.evaluating import KEY, Bench, play, prometheus

SETTLE = timedelta(seconds=3)
ANALYSIS = {
    "interval": "10s",
    "window": "30s",
    "warmup": "20s",
    "minRequests": 40,
    "failureLimit": 3,
    "checks": [{"errorRate": {"max": "0.5%"}}, {"latency": {"quantile": 0.95, "max": "250ms"}}],
}


def sighting(observed: Observed, *raw_pods: Json, workload: Json | None = None) -> Sighting:
    """This world, with these pods, of Rollout shop/web."""
    rollout = {"metadata": {"name": "web", "namespace": "shop"}}
    spec = parse_spec(
        {
            "workload": workload or {"deployment": "web"},
            "traffic": {
                "istio": {
                    "virtualServices": [{"name": "web"}],
                    "destinationRule": {"name": "web", "stableSubset": "stable", "canarySubset": "canary"},
                }
            },
            "strategy": {"canary": {}},
            "analysis": ANALYSIS,
        }
    )
    snapshot = Snapshot(rollout, spec, Routing.of("shop", "web", spec), pods=list(raw_pods))
    return Sighting(observed, snapshot, rollout)


def without_analysis(seen: Sighting) -> Sighting:
    """The same, with an analysis in the spec that cannot be read."""
    assert seen.snapshot is not None
    places = Places(seen.snapshot.spec.workload, seen.snapshot.spec.traffic)
    return replace(seen, snapshot=replace(seen.snapshot, spec=places))


def pod(name: str, revision: str, *, ready: str = "True", since: str = "2030-01-01T11:59:00Z") -> Json:
    condition: dict[str, Any] = {"type": "Ready", "status": ready, "lastTransitionTime": since}
    return {
        "metadata": {"name": name, "labels": {"pod-template-hash": revision}},
        "status": {"conditions": [{"type": "Initialized", "status": "True"}, condition]},
    }


def job(observed: Observed, *raw_pods: Json) -> Job | None:
    return job_of(sighting(observed, *raw_pods), observed.facts, SETTLE)


def judged(observed: Observed, *raw_pods: Json) -> Stretch:
    found = job(observed, *raw_pods)
    assert found is not None
    assert found.stretch is not None
    return found.stretch


@pytest.mark.parametrize("world", [healthy(), initializing(), invalid(), preparing(), reverted()])
def test_without_canary_traffic_there_is_nothing_to_judge(world: Observed) -> None:
    assert job(world) is None


@pytest.mark.parametrize("world", [at_step(AT_5), paused(), promoting()])
def test_a_canary_with_a_stage_is_judged_also_while_paused_and_until_it_is_handed_over(
    world: Observed,
) -> None:
    assert judged(world).key == world.facts.key


@pytest.mark.parametrize("world", [handed_over(), reverting()])
def test_what_is_decided_is_judged_no_more_and_its_sides_are_asked_after(world: Observed) -> None:
    found = job(world)
    assert found is not None
    assert found.stretch is None
    assert found.drained.keys() == {"new", "old"}


def test_sides_are_not_asked_after_while_both_serve() -> None:
    found = job(at_step(AT_25))
    assert found is not None
    assert found.drained == {}


def test_a_canary_that_no_release_owns_is_asked_after_until_its_pods_are_gone() -> None:
    for existing, asked in ((2, {"older"}), (0, set())):
        left = replace(pods("older", 0, "us"), existing=existing)
        found = job(but(at_step(AT_5), workload={"others": (left,)}))
        assert found is not None
        assert found.drained.keys() == asked


def test_the_spec_is_compiled_into_numbers() -> None:
    stretch = judged(at_step(AT_25))
    assert stretch.thresholds.checks == (ErrorRate(0.005), Latency(0.95, 250))
    assert (stretch.thresholds.min_requests, stretch.thresholds.failure_limit) == (40, 3)
    assert (stretch.interval, stretch.window, stretch.warmup) == (seconds(10), seconds(30), seconds(20))


def test_evidence_begins_when_the_stage_is_settled() -> None:
    assert judged(at_step(AT_25)).settled == SINCE + SETTLE


def test_the_share_is_what_the_routes_give_and_the_weight_what_the_stage_does() -> None:
    lowered = but(at_step(AT_25), traffic={"canary_weight": (10, 25)})
    assert (judged(lowered).thresholds.weight, judged(lowered).thresholds.share) == (25, 10)
    unread = but(at_step(AT_25), traffic=None)
    assert (judged(unread).thresholds.weight, judged(unread).thresholds.share) == (25, 0)


def test_copies_count_as_weight_and_are_what_the_routes_give() -> None:
    both = judged(fed_step(AT_BOTH)).thresholds
    assert (both.weight, both.share, both.mirror) == (25, 25, 20)
    copies = judged(but(fed_step(AT_MIRROR), traffic={"mirror": (5, 20)})).thresholds
    assert (copies.weight, copies.share, copies.mirror) == (20, 0, 5)
    pinned = judged(fed_step(AT_PIN)).thresholds
    assert (pinned.weight, pinned.share, pinned.mirror) == (0, 0, 0)


def test_what_else_sends_to_the_pods_is_read_from_the_routes_also_where_they_disagree() -> None:
    assert judged(at_step(AT_25)).thresholds.bypass == Bypass()
    lowered = but(at_step(AT_25), traffic={"canary_weight": (10, 25)})
    assert judged(lowered).thresholds.bypass == Bypass(canary=True)


def test_virtual_services_that_the_rollout_does_not_name_are_read_as_well() -> None:
    world = at_step(AT_25)
    found = sighting(world)
    assert found.snapshot is not None
    found.snapshot.destination_rule = {"metadata": {"name": "web"}, "spec": {"host": "web"}}
    edge = {"http": [{"route": [{"destination": {"host": "web", "subset": "stable"}}]}]}
    found.snapshot.routes = ({"metadata": {"name": "edge", "namespace": "shop"}, "spec": edge},)
    made = job_of(found, world.facts, SETTLE)
    assert made is not None
    assert made.stretch is not None
    assert made.stretch.thresholds.bypass == Bypass(elsewhere=True)


def test_after_a_revert_requests_are_strays_once_all_proxies_know_and_some_time_has_passed() -> None:
    found = job(reverting())
    assert found is not None
    stray = found.strays["new"]
    assert stray.since == SINCE + seconds(10 + 15)
    assert (stray.within, stray.namespace) == (seconds(15), "shop")
    assert stray.scope.canary == "web-new-[a-z0-9]{5}"


def test_strays_are_looked_for_where_routes_would_send_them() -> None:
    seen = sighting(reverting())
    assert seen.snapshot is not None
    seen.snapshot.destination_rule = {"metadata": {"name": "web"}, "spec": {"host": "web"}}
    subsets = job_of(seen, seen.observed.facts, SETTLE)
    seen.snapshot.routing = replace(seen.snapshot.routing, services=("web", "web-canary"))
    services = job_of(seen, seen.observed.facts, SETTLE)
    assert subsets is not None
    assert services is not None
    assert subsets.strays["new"].subset == Subset("web.shop.svc.cluster.local", "canary")
    assert services.strays["new"].subset == Subset("web-canary.shop.svc.cluster.local", "")


@pytest.mark.parametrize(
    "world",
    [
        at_step(AT_25),
        promoting(),
        handed_over(),
        but(reverting(), traffic={"canary_weight": (0, 5)}),
        but(reverting(), traffic={"pinned_routes": "ours"}),
        but(reverting(), traffic={"mirror": (0, 20)}),
        but(reverting(), traffic={"subsets": (None, None)}),
        but(reverting(), traffic={"subsets": ("new", "new")}),
        but(reverting(), traffic=None),
    ],
)
def test_nothing_strays_while_routes_may_send_it(world: Observed) -> None:
    found = job(world)
    assert found is not None
    assert found.strays == {}


def test_pods_of_the_canary_that_are_ready_are_known_with_since_when() -> None:
    stretch = judged(
        at_step(AT_25),
        pod("web-new-aaaaa", "new", since="2030-01-01T11:58:00Z"),
        pod("web-new-bbbbb", "new", ready="False"),
        pod("web-old-ccccc", "old"),
    )
    assert stretch.ready == {"web-new-aaaaa": datetime(2030, 1, 1, 11, 58, tzinfo=UTC)}


def test_of_two_deployments_the_idle_sides_revision_is_judged_against_all_pods_that_serve() -> None:
    def of(kind: str, name: str, owner: str, uid: str) -> Json:
        owners = [{"kind": kind, "name": owner, "uid": uid, "controller": True}]
        return {"metadata": {"name": name, "namespace": "shop", "ownerReferences": owners}}

    two = {"stable": {"deployment": "web-v1"}, "canary": {"deployment": "web-v2"}}
    world = at_step(AT_25)
    names = ("web-v1-one", "web-v1-two", "web-v2-new")
    found = sighting(world, *(of("ReplicaSet", f"{n}-aaaaa", n, n) for n in names), workload=two)
    assert found.snapshot is not None
    found.snapshot.sides = (
        {"metadata": {"name": "web-v1", "uid": "u-1"}},
        {"metadata": {"name": "web-v2", "uid": "u-2"}},
    )
    found.snapshot.replica_sets = {
        name: of("Deployment", name, name[:6], "u-1" if name.startswith("web-v1") else "u-2")
        for name in names
    }
    made = job_of(found, world.facts, SETTLE)
    assert made is not None
    assert made.stretch is not None
    assert made.stretch.scope == Scope(
        "shop", "web-v2-new-[a-z0-9]{5}", "web-v1-one-[a-z0-9]{5}|web-v1-two-[a-z0-9]{5}"
    )
    assert not made.drained
    home = job_of(replace(found, observed=reverting()), reverting().facts, SETTLE)
    assert home is not None
    assert home.drained.keys() == {"new"}, "the serving one loses nothing"


def test_failures_told_by_the_status_are_passed_on() -> None:
    assert judged(but(at_step(AT_25), facts={"failures": 2})).failures == 2


def test_a_way_back_is_followed_whatever_the_analysis() -> None:
    seen = without_analysis(sighting(reverting()))
    assert not in_the_dark(seen, seen.observed.facts)
    found = job_of(seen, seen.observed.facts, SETTLE)
    assert found is not None
    assert found.drained.keys() == {"new", "old"}


def test_a_spec_that_became_unusable_leaves_the_verdict_and_a_rollout_that_is_gone_takes_it_along() -> None:
    async def main() -> None:
        judging = Bench.of(prometheus()).judging
        world = at_step(AT_25)
        judging.judge(KEY, sighting(world), world.facts)
        judging.judge(KEY, replace(sighting(world), snapshot=None), world.facts)
        judging.judge(KEY, without_analysis(sighting(world)), world.facts)
        verdict = judging.verdict(KEY)
        assert verdict is not None
        assert verdict.key == world.facts.key
        judging.judge(KEY, None, None)
        assert judging.verdict(KEY) is None

    play(main())
