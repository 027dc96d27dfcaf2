"""What a strategy wants of routes and cannot have, told before anything moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch, HeaderPin
from rollout_controller.istio.strategy_findings import strategy_findings
from tests.support.istio_objects import ROUTING, destination_rule, half, route, to, virtual_service

PINS: tuple[HeaderPin, ...] = ((HeaderMatch("x-canary", "exact", "true"),),)
OURS: Json = {"destination": {"host": "web", "subset": "canary"}, "percentage": {"value": 20}}


def found(
    *routes: Json, pins: tuple[HeaderPin, ...] = (), mirrors: bool = False, at_rest: bool = True
) -> list[str]:
    findings = strategy_findings(
        ROUTING,
        [virtual_service(*routes)],
        destination_rule(),
        header_pins=pins,
        mirrors=mirrors,
        at_rest=at_rest,
    )
    return [f"{f.code} {f.severity} {f.object} {f.path}" for f in findings]


def test_ordinary_routes_can_be_pinned_and_mirrored() -> None:
    base = {
        **half(100, 0),
        "match": [{"uri": {"prefix": "/"}}],
        "mirrors": [{"destination": {"host": "audit"}}],
    }
    assert found(base, half(100, 0), pins=PINS, mirrors=True) == []


def test_a_header_that_cannot_be_asked_for_twice_is_told_with_its_match() -> None:
    base = {**half(100, 0), "match": [{}, {"headers": {"x-canary": {"regex": "t.*"}}}]}
    assert found(base, pins=PINS) == [
        'PinNotJoinable error VirtualService shop/web spec.http[0].match[1].headers["x-canary"]'
    ]


def test_the_single_mirror_field_leaves_no_room_for_copies() -> None:
    base = {**half(100, 0), "mirror": {"host": "audit"}}
    assert found(base, mirrors=True) == ["MirrorField error VirtualService shop/web spec.http[0].mirror"]
    assert found(base, pins=PINS) == []


@pytest.mark.parametrize("at_rest", [True, False])
def test_copies_to_the_canary_that_are_not_ours_are_told_at_rest(at_rest: bool) -> None:
    told = ["MirrorToCanary error VirtualService shop/web spec.http[0].mirrors"] if at_rest else []
    assert found({**half(100, 0), "mirrors": [OURS]}, mirrors=True, at_rest=at_rest) == told


@pytest.mark.parametrize(("pins", "mirrors"), [(PINS, False), ((), True)])
def test_pins_and_mirrors_need_an_http_route(pins: tuple[HeaderPin, ...], mirrors: bool) -> None:
    only = route(to("stable"))
    assert found(only, pins=pins, mirrors=mirrors) == ["NoHttpRoute error VirtualService shop/web spec.http"]
    assert found(only) == []


def test_a_virtual_service_that_is_not_there_is_told_elsewhere() -> None:
    routing = replace(ROUTING, virtual_services=())
    nothing = strategy_findings(routing, [], None, header_pins=PINS, mirrors=True, at_rest=True)
    assert list(nothing) == []
