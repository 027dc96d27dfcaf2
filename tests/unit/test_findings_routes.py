"""Findings about routes above and beside: shadows, other VirtualServices, hosts and subsets of nobody."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch
from rollout_controller.istio import Known
from tests.support.findings import codes, everywhere, named, pod, routed, ruled, some, told
from tests.support.istio_objects import NAMED, half, route, service, to, virtual_service

BETA = [{"headers": {"x-beta": {"exact": "true"}}}]
PAY = [{"uri": {"prefix": "/pay"}}]


def primary(**more: Any) -> Json:
    return route(to("stable", 100), to("canary", 0), name="primary", **more)


def elsewhere(name: str | None = None, **more: Any) -> Json:
    return route(to(host="web.example.com"), name=name, **more)


def test_a_good_world_has_no_findings() -> None:
    assert told() == []


# -- shadows ---------------------------------------------------------------------------------------------


def test_a_managed_route_below_one_that_takes_everything_is_an_error() -> None:
    assert told(routing=NAMED, virtual_services=routed(elsewhere("all"), primary())) == [
        'error ShadowedRoute: VirtualService shop/web spec.http[1]: spec.http[0] ("all") takes all requests'
        ' of this route, so its weights move nobody. Narrow the match of spec.http[0] ("all"): above it this'
        " route would take all of its requests."
    ]


def test_moving_a_route_is_advised_only_where_the_others_keep_requests() -> None:
    narrow = primary(match=[{**PAY[0], **BETA[0]}])
    [finding] = told(routing=NAMED, virtual_services=routed(elsewhere("all", match=PAY), narrow))
    assert finding.endswith('Move spec.http[1] ("primary") above spec.http[0], or narrow the match there.')
    # `pay` would get nothing any more once a route for everything stands above it.
    [finding] = told(
        routing=NAMED, virtual_services=routed(elsewhere("all"), elsewhere("pay", match=PAY), primary())
    )[1:]
    assert finding.endswith(
        'Narrow the match of spec.http[0] ("all"): above it this route would take all of its requests.'
    )


@pytest.mark.parametrize(
    ("above", "match", "found"),
    [
        ([elsewhere(match=PAY)], PAY, ["error ShadowedRoute"]),
        ([elsewhere(match=[{"uri": {"prefix": "/"}}])], BETA, ["error ShadowedRoute"]),
        ([elsewhere(match=BETA), elsewhere(match=PAY)], [*BETA, *PAY], ["error ShadowedRoute"]),
        ([elsewhere(match=BETA)], [*BETA, *PAY], []),
        ([elsewhere(match=BETA)], [], []),
        ([elsewhere("rollout-controller/pin")], PAY, []),
        ([{"name": "root", "delegate": {"name": "pay"}}], PAY, []),
    ],
)
def test_a_managed_route_is_shadowed_if_all_of_its_requests_are_taken(
    above: list[Json], match: list[Json], found: list[str]
) -> None:
    assert codes(routing=NAMED, virtual_services=routed(*above, primary(match=match))) == found


def test_a_managed_route_below_another_managed_one_is_only_useless() -> None:
    [finding] = told(virtual_services=routed(half(100, 0), half(100, 0)))
    assert finding.startswith("warning UnreachableRoute: VirtualService shop/web spec.http[1]: spec.http[0] ")
    assert "so it is never reached" in finding


def test_a_route_of_others_that_is_never_reached_is_told() -> None:
    found = codes(virtual_services=routed(half(100, 0), elsewhere(match=BETA)))
    assert found == ["warning UnreachableRoute"]


# -- pins ------------------------------------------------------------------------------------------------

PINS = ((HeaderMatch("x-canary", "exact", "true"),),)
CANARY = [{"headers": {"x-canary": {"exact": "true"}}}]


def test_a_route_above_that_takes_pinned_requests_is_told() -> None:
    found = told(header_pins=PINS, virtual_services=routed(elsewhere("beta", match=CANARY), half(100, 0)))
    assert found == [
        'warning ShadowedPin: VirtualService shop/web spec.http[1]: spec.http[0] ("beta") takes requests that'
        " the Rollout's header pins send to the canary here, so they do not reach it. Exclude x-canary in the"
        ' match of spec.http[0] ("beta") by withoutHeaders, or pin another header.'
    ]


@pytest.mark.parametrize(
    ("above", "found"),
    [
        (elsewhere(match=[{"headers": {"x-canary": {}}}]), ["warning ShadowedPin"]),
        (elsewhere(match=BETA), []),
        (elsewhere(match=[{**CANARY[0], "uri": {"prefix": "/pay"}}]), []),
        ({**half(100, 0), "match": CANARY}, []),  # has a pinned route of its own
        (elsewhere("rollout-controller/web/pin/http-0", match=CANARY), []),
        (elsewhere(), ["error ShadowedRoute"]),
    ],
)
def test_pinned_requests_are_taken_by_routes_of_others_that_take_all_of_them(
    above: Json, found: list[str]
) -> None:
    assert codes(header_pins=PINS, virtual_services=routed(above, half(100, 0))) == found


@pytest.mark.parametrize("match", [None, [{"uri": {"prefix": "/"}}], [{"headers": {"x-canary": {}}}]])
def test_a_pin_below_a_route_that_the_managed_one_would_take_is_advised_to_be_excluded_there(
    match: list[Json] | None,
) -> None:
    ours = {**half(100, 0), **({} if match is None else {"match": match})}
    [finding] = told(header_pins=PINS, virtual_services=routed(elsewhere("beta", match=CANARY), ours))
    assert finding.endswith(
        'Exclude x-canary in the match of spec.http[0] ("beta") by withoutHeaders, or pin another header.'
    )


# -- other VirtualServices -------------------------------------------------------------------------------


def other(*routes: Json, namespace: str = "shop", created: str = "", **spec: Any) -> Json:
    return {
        "metadata": {"name": "other", "namespace": namespace, "creationTimestamp": created},
        "spec": {"hosts": ["web"], "http": list(routes), **spec},
    }


def test_another_virtual_service_for_our_host_in_the_mesh_is_an_error() -> None:
    assert told(routes=everywhere(other())) == [
        "error ConflictingVirtualService: VirtualService shop/web spec.hosts: VirtualService shop/other"
        " routes web.shop.svc.cluster.local in the mesh as well, and proxies follow only one of the two. Join"
        " them in one VirtualService, or narrow hosts or exportTo of one of them."
    ]


FULL: Json = {"hosts": ["web.shop.svc.cluster.local"]}


@pytest.mark.parametrize(
    ("theirs", "conflict"),
    [
        (other(namespace="pay", **FULL), True),
        (other(namespace="pay", **FULL, exportTo=["*"]), True),
        (other(namespace="pay", **FULL, exportTo=["pay", "shop"]), True),
        (other(namespace="pay", **FULL, exportTo=["."]), False),
        (other(namespace="pay"), False),  # `web` is a Service beside it
        (other(exportTo=["."]), True),
        (other(exportTo=["pay"]), False),
        (other(hosts=["other"]), False),
        (other(hosts=None), False),  # a delegate
        (other(gateways=["edge"]), False),
        (other(gateways=["edge", "mesh"]), True),
    ],
)
def test_virtual_services_conflict_where_host_gateway_and_namespace_meet(
    theirs: Json, conflict: bool
) -> None:
    found = codes(routes=some(theirs))
    assert found == (["error ConflictingVirtualService"] if conflict else [])


def test_the_virtual_services_of_the_rollout_itself_do_not_conflict() -> None:
    assert codes(routes=everywhere(virtual_service(half(100, 0)))) == []


def at_gateway(*routes: Json, created: str = "") -> dict[str, Json]:
    made = routed(*routes, gateways=["edge"], hosts=["shop.example"])
    made["web"]["metadata"]["creationTimestamp"] = created
    return made


def shared(*routes: Json, created: str = "") -> Known:
    return everywhere(other(*routes, created=created, gateways=["shop/edge"], hosts=["shop.example"]))


EDGE = everywhere(named("Gateway", "edge", servers=[{"hosts": ["shop.example"]}]))


def test_what_an_older_virtual_service_takes_at_the_same_gateway_is_told() -> None:
    found = told(
        virtual_services=at_gateway(half(100, 0), created="2030-01-02"),
        routes=shared(elsewhere("all"), created="2030-01-01"),
        gateways=EDGE,
    )
    assert found == [
        'warning RouteTakenAtGateway: VirtualService shop/web spec.http[0]: spec.http[0] ("all") of'
        " VirtualService shop/other, for the same host at gateway shop/edge, takes all requests of this route"
        " if it comes first. Join them in one VirtualService, in the order that is meant."
    ]


@pytest.mark.parametrize(
    ("theirs", "created"), [(elsewhere(), "2030-01-03"), (elsewhere(match=PAY), "2030-01-01")]
)
def test_a_younger_one_or_one_that_takes_other_requests_is_fine_at_a_gateway(
    theirs: Json, created: str
) -> None:
    ours = at_gateway(half(100, 0), created="2030-01-02")
    assert codes(virtual_services=ours, routes=shared(theirs, created=created), gateways=EDGE) == []


# -- hosts -----------------------------------------------------------------------------------------------

SERVICES = everywhere(service({"app": "web"}), service({"app": "rates"}, name="rates"))


def test_a_rule_for_a_host_without_service_is_an_error_with_the_likely_name() -> None:
    found = told(
        destination_rule=ruled(host="wbe"),
        virtual_services=routed(route(to("stable", 100, host="wbe"), to("canary", 0, host="wbe"))),
    )
    assert found == [
        'error UnknownHost: DestinationRule shop/web spec.host: no Service of namespace shop is called "wbe",'
        ' so no pod is reached by this host. Did you mean "web"? Create the Service, or correct the host.'
    ]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        (route(to("stable", 70), to("canary", 0), to(None, 30, host="raets")), "route[2].destination"),
        ({**half(100, 0), "mirror": {"host": "raets"}}, "mirror"),
        (
            {**half(100, 0), "mirrors": [{"destination": {"host": "raets.shop.svc.cluster.local"}}]},
            "mirrors[0].destination",
        ),
    ],
)
def test_another_destination_without_service_is_a_warning(more: Json, path: str) -> None:
    assert told(services=SERVICES, virtual_services=routed(more)) == [
        f"warning UnknownHost: VirtualService shop/web spec.http[0].{path}.host: no Service of namespace shop"
        ' is called "raets", so these requests get 503. Did you mean "rates"? Create the Service, or correct'
        " the host."
    ]


@pytest.mark.parametrize("host", ["rates", "rates.shop.svc.cluster.local", "api.example.com", "x.pay.svc"])
def test_hosts_that_exist_or_are_elsewhere_are_fine(host: str) -> None:
    mixed = route(to("stable", 70), to("canary", 0), to(None, 30, host=host))
    assert codes(services=SERVICES, virtual_services=routed(mixed)) == []


def test_a_host_of_a_service_entry_is_fine() -> None:
    entry = named("ServiceEntry", "vm", namespace="vms", hosts=["vm.shop.svc.cluster.local"])
    mixed = route(to("stable", 70), to("canary", 0), to(None, 30, host="vm"))
    assert codes(service_entries=everywhere(entry), virtual_services=routed(mixed)) == []


@pytest.mark.parametrize(
    "unknown", [{"services": some()}, {"service_entries": some()}, {"services": some(), "routes": some()}]
)
def test_nothing_is_said_of_hosts_while_services_are_not_known(unknown: Json) -> None:
    mixed = route(to("stable", 70), to("canary", 0), to(None, 30, host="raets"))
    assert codes(virtual_services=routed(mixed), **unknown) == []


# -- other subsets of our host ---------------------------------------------------------------------------

THIRD = route(to("stable", 70), to("canary", 0), to("legacy", 30))
LEGACY = ruled({"name": "stable"}, {"name": "canary"}, {"name": "legacy", "labels": {"version": "v0"}})


def test_a_subset_that_the_rule_does_not_define_is_told_with_the_likely_name() -> None:
    rule = ruled({"name": "stable"}, {"name": "canary"}, {"name": "legasy"})
    assert told(virtual_services=routed(THIRD), destination_rule=rule) == [
        "warning UnknownSubset: VirtualService shop/web spec.http[0].route[2].destination.subset:"
        ' DestinationRule shop/web has no subset named "legacy", so these requests get 503. Did you mean'
        ' "legasy"? Add it, or correct the name.'
    ]


def test_a_subset_whose_labels_no_ready_pod_has_is_told() -> None:
    assert told(virtual_services=routed(THIRD), destination_rule=LEGACY) == [
        "warning SubsetWithoutPods: VirtualService shop/web spec.http[0].route[2].destination.subset: no"
        ' ready pod has the labels of subset "legacy", so these requests get 503. Correct its labels in'
        " DestinationRule shop/web, or remove the destination."
    ]


@pytest.mark.parametrize(
    "serving",
    [
        (pod("web-1"), pod("web-0", labels={"app": "web", "version": "v0"})),
        (),  # nobody is ready: that is no question of labels
        None,
    ],
)
def test_a_subset_is_fine_if_a_ready_pod_has_its_labels_or_nothing_is_known(serving: Any) -> None:
    assert codes(virtual_services=routed(THIRD), destination_rule=LEGACY, serving=serving) == []


def test_a_subset_without_a_share_is_fine() -> None:
    unused = route(to("stable", 100), to("canary", 0), to("legacy", 0))
    assert codes(virtual_services=routed(unused), destination_rule=LEGACY) == []
