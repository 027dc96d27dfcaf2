"""From what the watches know to what findings are made from; what they do not know is not missing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from rollout_controller.api.parse import parse_spec
from rollout_controller.controller.inventory import confirmed, in_force, take_inventory
from rollout_controller.controller.policy import compile_policy
from rollout_controller.controller.snapshot import Snapshot, take
from rollout_controller.core.release import Facts, Phase
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.preflight import preflight
from rollout_controller.istio.routing import Routing
from rollout_controller.ports import ClusterError, Json, Kind, NotFound, Ref, Refused, Unavailable
from tests.support.findings import GOOD, everywhere, named, pod, routed, stages
from tests.support.istio_objects import ROUTING, half, service

SPEC: Json = {
    "workload": {"deployment": "web"},
    "traffic": {
        "istio": {
            "virtualServices": [{"name": "web"}],
            "destinationRule": {"name": "web", "stableSubset": "stable", "canarySubset": "canary"},
        }
    },
    "strategy": {"canary": {}},
    "analysis": {"window": "40s", "checks": [{"errorRate": {"max": "1%"}}]},
}


@dataclass
class Watched:
    """What watches know: objects by kind, in these namespaces; other kinds were never read."""

    objects: dict[Kind, list[Json]]
    watched: frozenset[str] = frozenset({""})

    def known(self, kind: Kind, namespace: str = "") -> Sequence[Json] | None:
        if kind not in self.objects or not {namespace, ""} & {
            *self.watched,
            *([""] if not namespace else []),
        }:
            return None
        return [o for o in self.objects[kind] if namespace in {"", o["metadata"]["namespace"]}]


@dataclass
class Look:
    """A snapshot with these ready endpoints, and what watches know around it."""

    watches: Watched
    endpoints: Mapping[str, frozenset[str]] | None = None
    facts: Facts = field(default_factory=Facts)
    snapshot: Snapshot = field(init=False)

    def taken(self) -> Inventory:
        rollout = {"metadata": {"name": "web", "namespace": "shop"}, "spec": SPEC}
        spec = parse_spec(SPEC)
        self.snapshot = Snapshot(rollout, spec, Routing.of("shop", "web", spec), endpoints=self.endpoints)
        cluster: Any = self.watches
        policy = compile_policy(spec)
        return take_inventory(cluster, self.snapshot, self.facts, policy, timedelta(seconds=15))


class Empty(Watched):
    """Nothing is there that a snapshot asks for."""

    async def get(self, ref: Ref, *, live: bool) -> Json | None:
        return None

    async def list(self, kind: Kind, namespace: str, *, live: bool, labels: str = "") -> Sequence[Json]:
        return []


@pytest.mark.parametrize("services", [[named("VirtualService", "edge", "pay")], []])
def test_a_snapshot_holds_the_virtual_services_of_every_namespace_as_far_as_they_are_known(
    services: list[Json],
) -> None:
    cluster: Any = Empty({Kind.VIRTUAL_SERVICE: services} if services else {})
    rollout = {"metadata": {"name": "web", "namespace": "shop"}, "spec": SPEC}
    assert list(asyncio.run(take(cluster, rollout, parse_spec(SPEC), live=True)).routes) == services


def test_a_kind_that_was_never_read_is_not_known() -> None:
    known = Look(Watched({})).taken()
    kinds = (known.services, known.service_entries, known.gateways, known.routes, known.autoscalers)
    assert not any(kind.complete("shop") for kind in kinds)
    assert (known.namespace, known.serving) == (None, None)


def test_a_kind_that_was_read_is_complete_where_it_is_watched() -> None:
    gateways = [named("Gateway", "edge"), named("Gateway", "public", "istio-system")]
    everywhere = Look(Watched({Kind.GATEWAY: gateways})).taken().gateways
    assert everywhere.complete("istio-system")
    assert everywhere.get("istio-system", "public") is gateways[1]
    here = Look(Watched({Kind.GATEWAY: gateways[:1]}, frozenset({"shop"}))).taken().gateways
    assert (here.complete("shop"), here.complete("istio-system")) == (True, False)


def test_the_rollouts_own_words_and_the_namespace_are_there() -> None:
    own = {"metadata": {"name": "shop", "namespace": "shop", "labels": {"istio-injection": "enabled"}}}
    known = Look(Watched({Kind.NAMESPACE: [own]})).taken()
    assert (known.rollout, known.window, known.scrape) == (
        "web",
        timedelta(seconds=40),
        timedelta(seconds=15),
    )
    assert known.namespace is own


def test_the_pods_behind_the_service_are_known_only_if_all_are() -> None:
    pods = Watched({Kind.POD: [pod("web-1"), pod("web-2"), pod("pay-1")]})
    serving = Look(pods, {"web": frozenset({"web-1"}), "all": frozenset({"web-2", "web-1"})}).taken().serving
    assert serving is not None
    assert {one["metadata"]["name"] for one in serving} == {"web-1", "web-2"}
    assert Look(pods, {"web": frozenset({"web-1", "db-0"})}).taken().serving is None
    assert Look(pods, {"web": frozenset()}).taken().serving is None


def test_a_release_that_runs_is_judged_by_the_plan_it_began_with() -> None:
    resting = Look(Watched({})).taken()
    assert ([stage.weight for stage in resting.stages], resting.at_rest) == ([5, 10, 25, 50, 100], True)
    facts = Facts(phase=Phase.PROGRESSING, plan=stages(40, 100))
    running = Look(Watched({}), facts=facts).taken()
    assert ([stage.weight for stage in running.stages], running.at_rest) == ([40, 100], False)


def test_a_rollout_with_a_wrong_spec_is_at_rest_unless_a_release_runs() -> None:
    assert in_force(Facts(phase=Phase.HEALTHY), None) == ((), (), True)
    assert in_force(Facts(phase=Phase.PAUSED, plan=stages(40)), None) == (stages(40), (), False)


# -- what was made a moment ago --------------------------------------------------------------------------


@dataclass
class Asked:
    """An API server that has these objects, or fails; and what it was asked for."""

    objects: dict[Ref, Json] = field(default_factory=dict)
    error: ClusterError | None = None
    refs: list[Ref] = field(default_factory=list)

    async def get(self, ref: Ref, *, live: bool) -> Json | None:
        assert live
        self.refs.append(ref)
        if self.error is not None:
            raise self.error
        return self.objects.get(ref)


def confirm(known: Inventory, server: Asked) -> Inventory:
    cluster: Any = server
    return asyncio.run(confirmed(cluster, known))


SERVICE, EDGE = Ref(Kind.SERVICE, "shop", "web"), Ref(Kind.GATEWAY, "shop", "edge")
LACKING = replace(
    GOOD,
    services=everywhere(),
    virtual_services=routed(half(100, 0), gateways=["edge", "mesh"]),
)


def found_in(known: Inventory) -> list[str]:
    return [finding.code for finding in preflight(known)]


def test_nothing_is_asked_for_while_nothing_is_missing() -> None:
    server = Asked()
    assert confirm(GOOD, server) is GOOD
    assert server.refs == []


def test_what_would_be_called_missing_is_asked_for_first() -> None:
    edge = named("Gateway", "edge", servers=[{"hosts": ["*"]}])
    server = Asked({SERVICE: service({"app": "web"}), EDGE: edge})
    assert found_in(LACKING) == ["UnknownHost", "MissingGateway"]
    assert found_in(confirm(LACKING, server)) == []
    assert server.refs == [SERVICE, EDGE]


def test_what_is_really_missing_stays_so() -> None:
    assert found_in(confirm(LACKING, Asked())) == ["UnknownHost", "MissingGateway"]


@pytest.mark.parametrize("error", [Unavailable, Refused, NotFound])
def test_what_cannot_be_asked_for_is_not_known(error: type[ClusterError]) -> None:
    assert found_in(confirm(LACKING, Asked(error=error(SERVICE, "get", "no")))) == []


def test_in_host_mode_both_services_are_asked_for() -> None:
    hosts = replace(ROUTING, services=("web", "web-canary"), destination_rule="")
    known = replace(GOOD, routing=hosts, services=everywhere(), destination_rule=None)
    server = Asked({SERVICE: service({"app": "web"})})
    assert [f for f in found_in(confirm(known, server)) if f == "MissingService"] == ["MissingService"]
    assert server.refs == [SERVICE, Ref(Kind.SERVICE, "shop", "web-canary")]


def test_the_rules_of_every_namespace_are_there() -> None:
    rules = [named("DestinationRule", "web"), named("DestinationRule", "web", "pay")]
    assert list(Look(Watched({Kind.DESTINATION_RULE: rules})).taken().rules.objects) == rules
