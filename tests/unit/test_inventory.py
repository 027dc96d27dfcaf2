"""From what the watches know to what findings are made from; what they do not know is not missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rollout_controller.api.parse import parse_spec
from rollout_controller.controller.inventory import take_inventory
from rollout_controller.controller.policy import compile_policy
from rollout_controller.controller.snapshot import Snapshot
from rollout_controller.core.model import Facts, Phase
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.routing import Routing
from rollout_controller.ports import Json, Kind
from tests.support.findings import named, pod, stages

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
