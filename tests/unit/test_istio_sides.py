"""Two Deployments that serve in turn: which one serves, and what is wrong with how they are told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.core.world import Part
from rollout_controller.istio import Routing, preflight
from rollout_controller.istio.edits import set_traffic
from rollout_controller.istio.inventory import Inventory, Known
from rollout_controller.istio.reading import read_traffic
from rollout_controller.istio.sides import (
    Pair,
    idle_findings,
    oriented,
    side_labels,
    sides_findings,
)
from tests.support.findings import GOOD, routed
from tests.support.istio_objects import (
    ROUTING,
    deployment,
    destination_rule,
    half,
    route,
    service,
    template,
    to,
    virtual_service,
)

SIDES = replace(
    ROUTING, deployment="web-v1", deployments=("web-v1", "web-v2"), stable_subset="v1", canary_subset="v2"
)
SERVICES = replace(SIDES, destination_rule="", services=("web-1", "web-2"))
RULE = destination_rule(
    {"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}
)


def pods_of(version: str, **spec: Any) -> Json:
    return deployment(template=template({"app": "web", "version": version}), **spec)


PAIR: Pair = (pods_of("v1"), pods_of("v2"))


def weighed(first: int, second: int) -> dict[str, Json]:
    return {"web": virtual_service(route(to("v1", first), to("v2", second)))}


def codes(*findings: Finding) -> list[str]:
    return [one.code for one in findings]


def findings(pair: Pair = PAIR, rule: Json | None = RULE, *services: Json) -> list[Finding]:
    return list(sides_findings(inventory(SIDES, pair, rule, *(services or (service({"app": "web"}),)))))


def inventory(routing: Routing, pair: Pair, rule: Json | None, *services: Json) -> Inventory:
    return Inventory(routing, sides=pair, destination_rule=rule, services=Known(services))


# -- which one serves


@pytest.mark.parametrize(
    ("remembered", "first", "serving"),
    [
        (None, 100, "web-v1"),
        (None, 0, "web-v2"),
        (None, 70, "web-v1"),
        ("web-v1", 0, "web-v1"),
        ("web-v2", 100, "web-v2"),
        ("a-hash", 0, "web-v2"),
    ],
)
def test_the_remembered_side_serves_else_the_one_that_has_everybody(
    remembered: str | None, first: int, serving: str
) -> None:
    found = oriented(SIDES, remembered, weighed(first, 100 - first), RULE)
    assert found.deployment == serving
    assert found.deployments is not None
    assert found.deployments[0] == serving
    assert found.stable_subset == serving.removeprefix("web-")


def test_one_deployment_has_no_sides_to_turn() -> None:
    assert oriented(ROUTING, None, {"web": virtual_service(half(0, 100))}, destination_rule()) is ROUTING


def test_turned_twice_is_as_before() -> None:
    for routing in (SIDES, SERVICES):
        assert routing.turned().turned() == routing
        assert routing.turned() != routing


def test_seen_from_the_other_side_weights_are_read_and_written_the_other_way_round() -> None:
    turned, service_ = SIDES.turned(), weighed(0, 100)["web"]
    assert read_traffic(turned, {"web": service_}, RULE).canary_weight == (0, 0)
    ops = set_traffic(turned, service_, 25, RULE)
    assert [(op["path"], op["value"]) for op in ops[1:]] == [
        ("/spec/http/0/route/1/weight", 75),
        ("/spec/http/0/route/0/weight", 25),
    ]


def test_what_tells_the_sides_apart_is_the_label_of_the_subset_or_the_services_selector() -> None:
    assert side_labels(SIDES.turned(), RULE, ()) == ({"version": "v2"}, {"version": "v1"})
    services = (service({"version": "v1"}, "web-1"), service({"version": "v2"}, "web-2"))
    assert side_labels(SERVICES, None, services) == ({"version": "v1"}, {"version": "v2"})
    assert side_labels(SIDES, None, ()) == (None, None)


# -- what is wrong


def test_two_deployments_told_apart_by_version_have_no_findings() -> None:
    assert findings() == []


@pytest.mark.parametrize(("pair", "missing"), [((None, PAIR[1]), "web-v1"), ((PAIR[0], None), "web-v2")])
def test_a_deployment_that_does_not_exist_is_told(pair: Pair, missing: str) -> None:
    (found,) = findings(pair)
    assert (found.code, found.object) == ("MissingDeployment", f"Deployment shop/{missing}")
    unread = replace(inventory(SIDES, pair, RULE), unread=frozenset({Part.DEPLOYMENT}))
    assert not list(sides_findings(unread))


def test_a_subset_that_selects_the_pods_of_both_is_told() -> None:
    rule = destination_rule(
        {"name": "v1", "labels": {"app": "web"}}, {"name": "v2", "labels": {"version": "v2"}}
    )
    (found,) = findings(PAIR, rule)
    assert str(found).startswith(
        "DestinationRule shop/web spec.subsets[0].labels: it selects app: web, which the pods of web-v2 have."
    )


def test_a_subset_without_labels_selects_the_pods_of_both() -> None:
    (found,) = findings(PAIR, destination_rule({"name": "v1"}, {"name": "v2", "labels": {"version": "v2"}}))
    assert found.code == "SidesMixed"
    assert "no label at all" in found.sentence


def test_a_subset_that_selects_the_pods_of_neither_is_told() -> None:
    rule = destination_rule(
        {"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v3"}}
    )
    (found,) = findings(PAIR, rule)
    assert (found.code, found.path) == ("SideWithoutPods", "spec.subsets[1].labels")
    assert "version: v3, which the pods of web-v2 do not have" in found.sentence


def test_sides_that_are_the_wrong_way_round_are_told_of_each() -> None:
    found = findings((PAIR[1], PAIR[0]))
    assert codes(*found) == ["SideWithoutPods", "SidesMixed"] * 2
    assert "exchange them in spec.workload" in found[0].fix


def test_a_service_that_leaves_out_one_side_is_told() -> None:
    (found,) = findings(PAIR, RULE, service({"app": "web", "version": "v1"}))
    assert (found.code, found.object) == ("ServiceLeavesOut", "Service shop/web")
    assert "version: v1, which the pods of web-v2 do not have" in found.sentence


def test_services_in_the_place_of_subsets_are_held_to_the_same() -> None:
    services = (service({"app": "web"}, "web-1"), service({"version": "v2"}, "web-2"))
    (found,) = sides_findings(inventory(SERVICES, PAIR, None, *services))
    assert (found.code, found.object, found.path) == ("SidesMixed", "Service shop/web-1", "spec.selector")


def told(**changes: Any) -> list[Finding]:
    """All findings about a sound world of two Deployments with these changes."""
    known = replace(inventory(SIDES, PAIR, RULE, service({"app": "web"})), virtual_services=weighed(100, 0))
    return list(preflight(replace(known, **changes)))


@pytest.mark.parametrize("weights", [(100, 0), (0, 100)])
def test_users_on_one_side_are_no_finding(weights: tuple[int, int]) -> None:
    assert told(virtual_services=weighed(*weights)) == []


def test_users_on_both_sides_without_a_release_are_told_with_their_share() -> None:
    (found,) = told(virtual_services=weighed(70, 30))
    assert (found.code, found.severity) == ("SplitAtRest", "error")
    assert (found.object, found.path) == ("VirtualService shop/web", "spec")
    assert "web-v2 is sent 30 % of the requests" in found.sentence
    first = route(to("v1", 100), to("v2", 0), match=[{"uri": {"prefix": "/pay"}}])
    second = route(to("v1", 0), to("v2", 100))
    (found,) = told(virtual_services={"web": virtual_service(first, second)})
    assert "web-v2 is sent 0 to 100 % of the requests" in found.sentence
    assert told(virtual_services=weighed(70, 30), at_rest=False) == [], "a release splits them"


def test_users_of_one_deployment_or_of_an_unknown_host_are_no_finding() -> None:
    one = replace(GOOD, virtual_services=routed(half(70, 30)))
    assert "SplitAtRest" not in codes(*preflight(one))
    unknown = told(virtual_services=weighed(70, 30), destination_rule=None, unread=frozenset(Part))
    assert unknown == []


def test_a_paused_idle_side_with_a_new_template_is_told_how_it_rolls() -> None:
    idle = pods_of("v2", paused=True)
    (found,) = idle_findings(SIDES, idle)
    assert (found.code, found.severity) == ("IdlePaused", "warning")
    assert "kubectl rollout resume deployment/web-v2" in found.fix
    assert not list(idle_findings(SIDES, PAIR[1]))


def test_a_serving_side_that_rolls_is_told_until_it_has_rolled() -> None:
    rolls = pods_of("v1")
    rolls["status"] = {"replicas": 11, "updatedReplicas": 3}
    (found,) = told(sides=(rolls, PAIR[1]))
    assert (found.code, found.severity, found.object) == ("ServingRolls", "warning", "Deployment shop/web-v1")
    rolls["status"] = {"replicas": 10, "updatedReplicas": 10}
    assert told(sides=(rolls, PAIR[1])) == []
