"""Callers that pass by the managed routes, and routes that carry nothing of ours: told with the cure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio import Inventory, ManagedService, Routing, preflight
from tests.support.findings import everywhere
from tests.support.istio_objects import (
    ROUTING,
    deployment,
    destination_rule,
    half,
    route,
    service,
    to,
    virtual_service,
)

FULL = "web.shop.svc.cluster.local"
TWO = Routing("shop", "web", (ManagedService("web"), ManagedService("mesh")), "web", "stable", "canary")
WEB = {"app": "web"}


def served(*hosts: str, gateways: list[str] | None = None, name: str = "web") -> Json:
    """A VirtualService with these hosts; `gateways` None leaves the field out."""
    one = virtual_service(half(100, 0), name=name)
    one["spec"]["hosts"] = list(hosts)
    return {**one, "spec": {**one["spec"], **({} if gateways is None else {"gateways": gateways})}}


def found(
    *virtual_services: Json,
    services: tuple[Json, ...] = (service(WEB),),
    routing: Routing = ROUTING,
    **more: Any,
) -> list[Finding]:
    given: dict[str, Any] = {"deployment": deployment(), "destination_rule": destination_rule(), **more}
    named = {one["metadata"]["name"]: one for one in virtual_services}
    known = Inventory(routing, virtual_services=named, services=everywhere(*services), **given)
    return list(preflight(known))


@pytest.mark.parametrize("host", ["web", FULL, FULL.upper(), "*.shop.svc.cluster.local", "*"])
@pytest.mark.parametrize("gateways", [None, [], ["mesh"], ["istio-system/local", "mesh"]])
def test_a_host_that_a_managed_virtual_service_has_in_the_mesh_is_routed(
    host: str, gateways: list[str] | None
) -> None:
    assert found(served("shop.example", host, gateways=gateways)) == []


@pytest.mark.parametrize(
    "host", ["web.shop", "web.other.svc.cluster.local", "*.other.svc.cluster.local", "webs"]
)
def test_another_host_is_not_the_services_for_istio_completes_only_names_without_a_dot(host: str) -> None:
    (finding,) = found(served(host))
    assert (finding.code, finding.severity) == ("UnroutedPath", "warning")


def test_a_second_service_with_the_same_pods_is_told_with_the_virtual_service_to_add_it_to() -> None:
    services = (service(WEB), service(WEB, "web-internal"))
    assert [str(one) for one in found(served("web"), services=services)] == [
        "Service shop/web-internal: callers in the mesh get the canary by its share of pods, whatever the"
        " weight: no managed VirtualService has the host web-internal for the gateway mesh."
        " Add web-internal to spec.hosts of VirtualService shop/web."
    ]


def test_a_virtual_service_that_is_only_at_a_gateway_leaves_the_mesh_unrouted() -> None:
    only = served("shop.example", "web", gateways=["istio-system/local"])
    assert [str(one) for one in found(only)] == [
        "Service shop/web: callers in the mesh get the canary by its share of pods, whatever the weight:"
        " no managed VirtualService has the host web for the gateway mesh."
        " Add mesh to spec.gateways and web to spec.hosts of VirtualService shop/web, or manage another"
        " VirtualService that has them."
    ]


def test_one_for_the_gateway_and_one_for_the_mesh_route_everybody() -> None:
    gateway = served("shop.example", gateways=["istio-system/local"])
    assert found(gateway, served("web", name="mesh"), routing=TWO) == []


def test_of_several_the_one_that_is_in_the_mesh_is_to_be_edited() -> None:
    gateway = served("shop.example", gateways=["istio-system/local"])
    (finding,) = found(gateway, served("other", name="mesh"), routing=TWO)
    assert finding.fix == "Add web to spec.hosts of VirtualService shop/mesh."


def test_all_services_are_told_at_once() -> None:
    services = tuple(service(WEB, name) for name in ("web-b", "web", "web-a"))
    (finding,) = found(served("web"), services=services)
    assert finding.object == "Service shop/web-a, shop/web-b"
    assert "the host web-a, web-b" in finding.sentence


@pytest.mark.parametrize(
    "selector",
    [None, {}, {"app": "other"}, {"app": "web", "tier": "back"}, {"app": "web", "pod-template-hash": "aaa"}],
)
def test_a_service_that_selects_no_canary_pods_is_of_no_concern(selector: dict[str, str] | None) -> None:
    assert found(served("web"), services=(service(selector, "metrics"),)) == []


def test_a_label_of_the_template_alone_selects_canary_pods_too() -> None:
    (finding,) = found(served("web"), services=(service({"version": "v1"}, "by-version"),))
    assert finding.object == "Service shop/by-version"


def test_the_two_services_of_host_mode_select_one_version_each_while_there_is_a_canary() -> None:
    pair = replace(ROUTING, services=("web", "web-canary"), destination_rule="")
    services = (service(WEB), service(WEB, "web-canary"), service(WEB, "web-internal"))
    one = virtual_service(route(to(None, 100), to(None, 0, host="web-canary")))
    one["spec"]["hosts"] = ["shop.example"]
    (finding,) = found(one, services=services, routing=pair, destination_rule=None)
    assert (finding.code, finding.object) == ("UnroutedPath", "Service shop/web-internal")


def test_a_delegate_has_the_hosts_of_a_root_that_is_not_known() -> None:
    assert found(served()) == []


def test_nothing_is_said_while_a_managed_virtual_service_or_the_deployment_is_missing() -> None:
    codes = {one.code for one in found(served("shop.example"), routing=TWO)}
    assert codes == {"MissingVirtualService"}
    assert {one.code for one in found(served("shop.example"), deployment=None)} == {"MissingDeployment"}


# -- nothing to shift ------------------------------------------------------------------------------------


def beside(ours: int, name: str = "web") -> Json:
    return virtual_service(
        route(to("stable", ours), to("canary", 0), to("v3", 100 - ours, host="legacy")), name=name
    )


@pytest.mark.parametrize("ours", [0, 1])
def test_routes_that_send_everything_elsewhere_leave_nothing_to_shift(ours: int) -> None:
    assert [str(one) for one in found(beside(ours))] == [
        f"VirtualService shop/web spec.http: stable and canary have {ours} % together and the rest goes to"
        f" others: nothing can be shifted. Give subset stable of {FULL} the weight that it is to share with"
        " the canary."
    ]


def test_two_percent_can_be_shared() -> None:
    assert found(beside(2)) == []


def test_one_route_with_a_share_is_enough() -> None:
    assert found(beside(0), beside(70, "mesh"), routing=TWO) == []
    (finding,) = found(beside(0), beside(1, "mesh"), routing=TWO)
    assert (finding.code, finding.severity) == ("NothingToShift", "error")
