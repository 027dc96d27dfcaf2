"""Copies for the canary: one entry of ours in a route's mirrors, and nobody else's is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch
from rollout_controller.istio import read_traffic, set_traffic
from tests.support.istio_objects import ROUTING, destination_rule, half, route, to, virtual_service
from tests.support.jsonpatch import apply

RULE = destination_rule()
THEIRS: Json = {"destination": {"host": "audit"}, "percentage": {"value": 1.5}}


def ours(percent: int) -> Json:
    return {"destination": {"host": "web", "subset": "canary"}, "percentage": {"value": percent}}


def mirrored(before: Json, mirror: int, percent: int = 0) -> Json:
    (after,) = apply(before, set_traffic(ROUTING, before, percent, RULE, mirror=mirror))["spec"]["http"]
    return dict(after)


@pytest.mark.parametrize(
    ("there", "percent", "then"),
    [
        (None, 20, [ours(20)]),
        ([], 20, [ours(20)]),
        ([THEIRS], 20, [THEIRS, ours(20)]),
        ([ours(20)], 50, [ours(50)]),
        ([ours(20), THEIRS], 50, [ours(50), THEIRS]),
        ([ours(5), THEIRS, ours(9)], 50, [ours(50), THEIRS]),
        ([ours(20)], 0, None),
        ([THEIRS, ours(20)], 0, [THEIRS]),
        ([THEIRS], 0, [THEIRS]),
    ],
)
def test_the_copies_are_one_entry_beside_those_of_others(
    there: list[Json] | None, percent: int, then: list[Json] | None
) -> None:
    before = virtual_service({**half(100, 0), **({} if there is None else {"mirrors": there})})
    assert mirrored(before, percent).get("mirrors") == then


def test_copies_that_are_already_so_need_no_write() -> None:
    before = virtual_service({**half(95, 5), "mirrors": [ours(20)]})
    assert set_traffic(ROUTING, before, 5, RULE, mirror=20) == []


def test_copies_and_weight_change_in_one_write() -> None:
    before = virtual_service({**half(100, 0), "mirrors": [ours(20)]})
    assert mirrored(before, 0, percent=5) == half(95, 5)


@pytest.mark.parametrize(
    ("mirrors", "read"),
    [
        ([], 0),
        ([THEIRS], 0),
        ([ours(20)], 20),
        ([{"destination": {"host": "web", "subset": "canary"}}], 100),
        ([{"destination": {"host": "web", "subset": "stable"}, "percentage": {"value": 7}}], 0),
    ],
)
def test_copies_are_read_back(mirrors: list[Json], read: int) -> None:
    service = virtual_service({**half(100, 0), "mirrors": mirrors})
    assert read_traffic(ROUTING, {"web": service}, RULE).mirror == (read, read)


def test_routes_that_copy_differently_are_read_as_lowest_and_highest() -> None:
    service = virtual_service({**half(100, 0), "mirrors": [ours(20)]}, half(100, 0))
    assert read_traffic(ROUTING, {"web": service}, RULE).mirror == (0, 20)


def test_a_route_that_others_have_all_of_gets_no_copies_and_is_not_waited_for() -> None:
    theirs = route(to("stable", 0), to("canary", 0), to(host="other", weight=100))
    service = virtual_service({**half(100, 0), "mirrors": [ours(20)]}, theirs)
    assert set_traffic(ROUTING, service, 0, RULE, mirror=20) == []
    assert read_traffic(ROUTING, {"web": service}, RULE).mirror == (20, 20)


def test_a_pinned_route_carries_the_mirrors_of_others_and_not_ours() -> None:
    base = virtual_service({**half(100, 0), "mirrors": [THEIRS]})
    pins = ((HeaderMatch("x-canary", "exact", "true"),),)
    routing = replace(ROUTING, rollout="web")
    pinned, refined = apply(base, set_traffic(routing, base, 0, RULE, mirror=20, header_pins=pins))["spec"][
        "http"
    ]
    assert pinned["mirrors"] == [THEIRS]
    assert refined["mirrors"] == [THEIRS, ours(20)]
    during = virtual_service(pinned, refined)
    assert set_traffic(routing, during, 0, RULE, mirror=20, header_pins=pins) == []


def test_an_empty_list_of_mirrors_is_none_for_a_pinned_route_before_and_after_copies_begin() -> None:
    base = virtual_service({**half(100, 0), "mirrors": []})
    pins = ((HeaderMatch("x-canary", "exact", "true"),),)
    routing = replace(ROUTING, rollout="web")
    during = apply(base, set_traffic(routing, base, 0, RULE, mirror=20, header_pins=pins))
    assert "mirrors" not in during["spec"]["http"][0]
    assert set_traffic(routing, during, 0, RULE, mirror=20, header_pins=pins) == []


def test_a_route_without_the_canary_gets_no_copies() -> None:
    only = route(to("stable"))
    assert mirrored(virtual_service(only), 20) == only
