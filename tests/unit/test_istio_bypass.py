"""What else sends to the pods of a release, read from the routes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout_controller.core.share import Bypass
from rollout_controller.istio.bypass import bypass_of
from rollout_controller.istio.routing import ManagedService, Routing
from rollout_controller.ports import Json

ROUTING = Routing("shop", "web", (ManagedService("web", ("primary",)),), "web", "stable", "canary")
RULE = {"metadata": {"name": "web"}, "spec": {"host": "web"}}
NOBODY, STABLE, CANARY, BOTH = Bypass(), Bypass(True), Bypass(False, True), Bypass(True, True)


def to(subset: str | None, weight: int | None = None, host: str = "web.shop.svc.cluster.local") -> Json:
    target = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": target, **({"weight": weight} if weight is not None else {})}


MANAGED = {"name": "primary", "route": [to("stable", 95), to("canary", 5)]}


def beside(*more: Json, **managed: Any) -> Bypass:
    """The managed route, with further fields, after other routes."""
    service = {"metadata": {"name": "web"}, "spec": {"http": [*more, {**MANAGED, **managed}]}}
    return bypass_of(ROUTING, {"web": service}, RULE)


def test_the_managed_split_alone_is_no_bypass() -> None:
    assert beside() == NOBODY


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ([to("stable")], STABLE),
        ([to("stable", 100), to("canary", 0)], STABLE),
        ([to("stable", 50), to("canary", 50)], BOTH),
        ([to("canary")], CANARY),
        ([to(None)], BOTH),
        ([to("everything")], BOTH),
        ([to("stable", 0), to(None, 100, "other")], NOBODY),
        ([to("stable", host="other")], NOBODY),
        ([to("stable", host="web")], STABLE),
        ([], NOBODY),
    ],
)
def test_another_route_reaches_the_sides_that_it_sends_to(route: list[Json], expected: Bypass) -> None:
    assert beside({"name": "beta", "match": [{"headers": {}}], "route": route}) == expected


def test_a_managed_route_with_one_side_only_is_no_split() -> None:
    assert beside({"name": "primary", "route": [to("stable")]}) == STABLE


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"mirror": to("canary")["destination"]}, CANARY),
        ({"mirror": to(None)["destination"]}, BOTH),
        ({"mirrors": [to("canary"), to("stable", host="other")]}, CANARY),
        ({"mirror": to("canary", host="other")["destination"]}, NOBODY),
    ],
)
def test_copies_reach_the_pods_as_well(fields: Json, expected: Bypass) -> None:
    assert beside(**fields) == expected


def test_pinned_routes_of_ours_reach_the_canary() -> None:
    assert beside({"name": "rollout-controller/web/primary/0", "route": [to("canary")]}) == CANARY


def test_tls_and_tcp_routes_that_are_not_managed_reach_the_pods_as_well() -> None:
    for section, route in (("tls", {"match": [{"sniHosts": ["a.example"]}]}), ("tcp", {})):
        spec = {"http": [MANAGED], section: [{**route, "route": [to("stable")]}]}
        assert bypass_of(ROUTING, {"web": {"metadata": {"name": "web"}, "spec": spec}}, RULE) == STABLE


@pytest.mark.parametrize(("host", "expected"), [("web", STABLE), ("web-canary", CANARY), ("other", NOBODY)])
def test_in_host_mode_each_side_is_a_service(host: str, expected: Bypass) -> None:
    routing = replace(ROUTING, services=("web", "web-canary"), destination_rule="")
    split = [to(None, 95, "web"), to(None, 5, "web-canary")]
    http = [{"name": "beta", "route": [to(None, host=host)]}, {"name": "primary", "route": split}]
    service = {"metadata": {"name": "web"}, "spec": {"http": http}}
    assert bypass_of(routing, {"web": service}, None) == expected


ELSEWHERE = Bypass(elsewhere=True)


def other(target: Json, name: str = "edge", namespace: str = "shop") -> Json:
    """A VirtualService that the Rollout does not name, in the words of its own namespace."""
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"http": [{"route": [target]}]}}


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (other(to("stable", host="web")), ELSEWHERE),
        (other(to("canary")), NOBODY),
        (other(to(None)), ELSEWHERE),
        (other(to("stable", host="other")), NOBODY),
        (other(to("stable", host="web"), namespace="pay"), NOBODY),
        (other(to("stable"), namespace="pay"), ELSEWHERE),
        (other(to("stable"), name="web", namespace="pay"), ELSEWHERE),
        (other(to("stable"), name="web"), NOBODY),
    ],
)
def test_virtual_services_that_nobody_manages_reach_the_pods_as_well(service: Json, expected: Bypass) -> None:
    managed = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"http": [MANAGED]}}
    assert bypass_of(ROUTING, {"web": managed}, RULE, [managed, service]) == expected


def test_a_split_of_our_sides_that_nobody_manages_may_be_stables_requests() -> None:
    split = {**other(to("stable")), "spec": {"http": [MANAGED]}}
    assert bypass_of(ROUTING, {}, RULE, [split]) == ELSEWHERE


def test_in_host_mode_a_service_beside_another_virtual_service_is_none_of_ours() -> None:
    routing = replace(ROUTING, services=("web", "web-canary"), destination_rule="")
    for namespace, expected in (("shop", ELSEWHERE), ("pay", NOBODY)):
        assert bypass_of(routing, {}, None, [other(to(None, host="web"), namespace=namespace)]) == expected


def test_without_a_host_nothing_can_be_told() -> None:
    assert bypass_of(ROUTING, {}, None) == NOBODY
