"""Host mode, tls and tcp routes: other places for the same weights and pins."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio import ManagedService, Routing, pin_service, read_traffic, set_traffic
from tests.support.istio_objects import ROUTING, destination_rule, half, route, to, virtual_service
from tests.support.jsonpatch import apply

RULE = destination_rule()
HOSTS = Routing(
    namespace="shop",
    deployment="web",
    virtual_services=(ManagedService("web"),),
    destination_rule="",
    stable_subset="",
    canary_subset="",
    services=("web", "web-canary"),
    rollout="web",
)


def service(name: str, **selector: str) -> Json:
    return {
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "9"},
        "spec": {"selector": {"app": "web", **selector}, "ports": [{"port": 80}]},
    }


def pair(stable: int, canary: int) -> Json:
    return route(to(weight=stable), to(weight=canary, host="web-canary.shop.svc.cluster.local"))


def layer4(*tls: Json, tcp: tuple[Json, ...] = ()) -> Json:
    found = virtual_service()
    found["spec"] = {"hosts": ["web"], "tls": list(tls), "tcp": list(tcp)}
    return found


def passthrough(*hosts: str, stable: int = 100, port: int = 443) -> Json:
    return route(
        to("stable", stable), to("canary", 100 - stable), match=[{"port": port, "sniHosts": list(hosts)}]
    )


def plain(port: int, stable: int = 100) -> Json:
    return route(to("stable", stable), to("canary", 100 - stable), match=[{"port": port}])


def managing(**chosen: Any) -> Routing:
    return Routing("shop", "web", (ManagedService("web", **chosen),), "web", "stable", "canary")


def test_in_host_mode_the_two_services_are_the_two_sides() -> None:
    before = virtual_service(pair(100, 0), half(100, 0))
    after = apply(before, set_traffic(HOSTS, before, 25))
    assert after["spec"]["http"] == [pair(75, 25), half(100, 0)]
    assert read_traffic(HOSTS, {"web": after}, None).canary_weight == (25, 25)


def test_in_host_mode_a_service_is_pinned_by_its_selector_and_its_other_labels_stay() -> None:
    git = service("web")
    pinned = apply(git, pin_service(git, "abc"))
    assert pinned["spec"]["selector"] == {"app": "web", HASH_LABEL: "abc"}
    assert pin_service(pinned, "abc") == []
    assert apply(pinned, pin_service(pinned, None)) == git


def test_in_host_mode_the_selectors_are_read_back() -> None:
    selectors = (service("web", **{HASH_LABEL: "old"}), service("web-canary", **{HASH_LABEL: "new"}))
    reading = read_traffic(HOSTS, {"web": virtual_service(pair(95, 5))}, None, selectors=selectors)
    assert (reading.subsets, reading.canary_weight) == (("old", "new"), (5, 5))


def test_in_host_mode_a_service_that_does_not_exist_is_read_as_not_pinned() -> None:
    reading = read_traffic(HOSTS, {"web": virtual_service(pair(95, 5))}, None, selectors=(None, None))
    assert reading.subsets == (None, None)


def test_without_a_choice_routes_of_all_kinds_that_send_to_us_are_moved() -> None:
    before = layer4(passthrough("a.example"), tcp=(plain(5432),))
    before["spec"]["http"] = [half(100, 0)]
    after = apply(before, set_traffic(ROUTING, before, 10, RULE))
    assert after["spec"]["tls"] == [passthrough("a.example", stable=90)]
    assert after["spec"]["tcp"] == [plain(5432, stable=90)]
    assert after["spec"]["http"] == [half(90, 10)]


@pytest.mark.parametrize(
    ("chosen", "moved"),
    [
        ({"tls": ((443, frozenset({"a.example"})),)}, ["tls 0"]),
        ({"tls": ((None, frozenset({"b.example", "c.example"})),)}, ["tls 1"]),
        ({"tls": ((8443, frozenset({"a.example"})),)}, []),
        ({"tcp": (5432,)}, ["tcp 0"]),
        ({"tcp": (5432, 6379)}, ["tcp 0", "tcp 1"]),
        ({"routes": ("primary",), "tcp": (6379,)}, ["http 0", "tcp 1"]),
    ],
)
def test_only_the_chosen_routes_are_moved(chosen: dict[str, Any], moved: list[str]) -> None:
    tls = (passthrough("a.example"), passthrough("c.example", "b.example"))
    before = layer4(*tls, tcp=(plain(5432), plain(6379)))
    before["spec"]["http"] = [{**half(100, 0), "name": "primary"}, {**half(100, 0), "name": "other"}]
    after = apply(before, set_traffic(managing(**chosen), before, 10, RULE))
    changed = [
        f"{section} {index}"
        for section in ("http", "tls", "tcp")
        for index, raw in enumerate(after["spec"][section])
        if raw != before["spec"][section][index]
    ]
    assert changed == moved


def test_pins_and_copies_are_made_of_http_routes_only() -> None:
    before = layer4(passthrough("a.example"), tcp=(plain(5432),))
    pins = ((HeaderMatch("x-canary", "exact", "true"),),)
    assert set_traffic(ROUTING, before, 0, RULE, mirror=20, header_pins=pins) == []
    assert read_traffic(ROUTING, {"web": before}, RULE, header_pins=pins).pinned_routes == "ours"


def test_there_and_back_is_the_identity_in_every_mode() -> None:
    git = layer4(passthrough("a.example"), tcp=(plain(5432),))
    git["spec"]["http"] = [pair(100, 0), half(100, 0)]
    for routing, rule in ((ROUTING, RULE), (HOSTS, None)):
        there = apply(deepcopy(git), set_traffic(routing, git, 50, rule))
        assert there != git
        assert apply(there, set_traffic(routing, there, 0, rule)) == git
