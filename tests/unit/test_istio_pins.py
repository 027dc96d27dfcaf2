"""Header pins: routes of ours that stand before the routes they refine, as tables of before and after."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Literal

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch, HeaderPin
from rollout_controller.istio import read_traffic, set_traffic
from rollout_controller.istio.pins import Unjoinable, join
from tests.support.istio_objects import ROUTING, destination_rule, half, route, to, virtual_service
from tests.support.jsonpatch import apply

RULE = destination_rule()
MINE = replace(ROUTING, rollout="web")


def header(name: str, value: str, how: Literal["exact", "prefix", "regex"] = "exact") -> HeaderMatch:
    return HeaderMatch(name, how, value)


CANARY: tuple[HeaderPin, ...] = ((header("x-canary", "true"),),)
WANTED = {"headers": {"x-canary": {"exact": "true"}}}
EITHER: tuple[HeaderPin, ...] = (
    (header("x-canary", "true"),),
    (header("x-tenant", "beta", "prefix"), header("x-region", "eu|us", "regex")),
)


def http(before: Json, percent: int = 0, pins: tuple[HeaderPin, ...] = CANARY, mirror: int = 0) -> list[Json]:
    after = apply(before, set_traffic(MINE, before, percent, RULE, header_pins=pins, mirror=mirror))
    routes: list[Json] = after["spec"]["http"]
    return routes


def state(service: Json, pins: tuple[HeaderPin, ...] = CANARY) -> str:
    return read_traffic(MINE, {"web": service}, RULE, header_pins=pins).pinned_routes


def test_a_pinned_route_stands_directly_before_its_base_and_sends_to_the_canary_alone() -> None:
    other = route(to(host="ratings"), name="other", match=[{"uri": {"prefix": "/ratings"}}])
    base = {**half(100, 0), "name": "primary"}
    pinned = {"name": "rollout-controller/web/pin/primary", "match": [WANTED], "route": [to("canary")]}
    assert http(virtual_service(other, base)) == [other, pinned, base]


def test_every_other_field_of_the_base_is_copied() -> None:
    more: Json = {
        "retries": {"attempts": 3},
        "timeout": "5s",
        "rewrite": {"uri": "/v2"},
        "headers": {"request": {"set": {"a": "b"}}},
        "corsPolicy": {"allowOrigins": [{"exact": "https://a.example"}]},
        "fault": {"delay": {"fixedDelay": "1s"}},
        "fromTheFuture": [1],
    }
    base = {**half(95, 5), **more}
    pinned, kept = http(virtual_service(base), percent=5)
    assert kept == base
    assert {key: pinned[key] for key in more} == more


def test_the_headers_that_the_canarys_destination_adds_are_added_for_pinned_requests_too() -> None:
    sets = {"response": {"set": {"x-version": "next"}}}
    base = route(to("stable", 100), to("canary", 0, headers=sets))
    assert http(virtual_service(base))[0]["route"] == [to("canary", headers=sets)]


def test_matches_and_pins_are_multiplied_out() -> None:
    base = {**half(100, 0), "match": [{"uri": {"prefix": "/a"}}, {"uri": {"exact": "/b"}, "port": 80}]}
    pinned = http(virtual_service(base), pins=EITHER)[0]
    second = {"x-tenant": {"prefix": "beta"}, "x-region": {"regex": "eu|us"}}
    assert pinned["match"] == [
        {"uri": {"prefix": "/a"}, **WANTED},
        {"uri": {"prefix": "/a"}, "headers": second},
        {"uri": {"exact": "/b"}, "port": 80, **WANTED},
        {"uri": {"exact": "/b"}, "port": 80, "headers": second},
    ]


@pytest.mark.parametrize(
    ("there", "wanted", "both"),
    [
        ({"exact": "true"}, header("x", "true"), {"exact": "true"}),
        ({"exact": "other"}, header("x", "true"), None),
        ({"prefix": "tr"}, header("x", "true"), {"exact": "true"}),
        ({"prefix": "no"}, header("x", "true"), None),
        ({}, header("x", "true"), {"exact": "true"}),
        ({"exact": "true"}, header("x", "tr", "prefix"), {"exact": "true"}),
        ({"exact": "no"}, header("x", "tr", "prefix"), None),
        ({"prefix": "true"}, header("x", "tr", "prefix"), {"prefix": "true"}),
        ({"prefix": "t"}, header("x", "tr", "prefix"), {"prefix": "tr"}),
        ({"prefix": "no"}, header("x", "tr", "prefix"), None),
        ({"regex": "a.*"}, header("x", "a.*", "regex"), {"regex": "a.*"}),
    ],
)
def test_a_header_that_route_and_pin_both_ask_for_is_asked_for_once(
    there: Json, wanted: HeaderMatch, both: Json | None
) -> None:
    joined = join([{"headers": {"x": there}}], ((wanted,),))
    assert joined == ([] if both is None else [{"headers": {"x": both}}])


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ({"regex": "a.*"}, header("x", "abc")),
        ({"exact": "abc"}, header("x", "a.*", "regex")),
        ({"regex": "a.*"}, header("x", "b.*", "regex")),
    ],
)
def test_a_header_that_no_single_match_can_ask_for_cannot_be_joined(there: Json, wanted: HeaderMatch) -> None:
    with pytest.raises(Unjoinable) as problem:
        join([{"headers": {"x": there}}], ((wanted,),))
    assert problem.value.header == "x"


def test_the_name_of_a_header_is_the_same_in_any_case() -> None:
    assert join([{"headers": {"X-Canary": {"prefix": "t"}}}], CANARY) == [
        {"headers": {"X-Canary": {"exact": "true"}}}
    ]


def test_routes_without_names_are_told_apart_by_their_place_in_git() -> None:
    first = {**half(100, 0), "match": [{"uri": {"prefix": "/a"}}]}
    routes = http(virtual_service(first, half(100, 0)))
    names = [one.get("name") for one in routes]
    assert names == ["rollout-controller/web/pin/http-0", None, "rollout-controller/web/pin/http-1", None]


def test_a_weight_moves_under_standing_pins_without_touching_them() -> None:
    before = virtual_service(half(100, 0))
    before["spec"]["http"] = http(before)
    ops = set_traffic(MINE, before, 25, RULE, header_pins=CANARY)
    assert [op["path"] for op in ops] == [
        "/metadata/resourceVersion",
        "/spec/http/1/route/0/weight",
        "/spec/http/1/route/1/weight",
    ]
    assert set_traffic(MINE, before, 0, RULE, header_pins=CANARY) == []


def test_one_write_ends_weight_and_pins() -> None:
    first = {**half(100, 0), "match": [{"uri": {"prefix": "/a"}}]}
    git = virtual_service(first, half(100, 0))
    during = {**git, "spec": {**git["spec"], "http": http(git, percent=50)}}
    assert apply(during, set_traffic(MINE, during, 0, RULE)) == git


def test_a_base_that_was_changed_is_followed() -> None:
    during = virtual_service(half(100, 0))
    during["spec"]["http"] = http(during)
    during["spec"]["http"][1]["timeout"] = "9s"
    assert state(during) == "other"
    pinned, base = http(during)
    assert (pinned["timeout"], base["timeout"]) == ("9s", "9s")


def test_a_pinned_route_that_was_moved_away_from_its_base_is_put_back() -> None:
    last = route(to(host="ratings"), name="last")
    git = virtual_service(half(100, 0), last)
    good = http(git)
    moved = deepcopy(git)
    moved["spec"]["http"] = [good[1], good[0], good[2]]
    assert state(moved) == "other"
    assert http(moved) == good


def test_what_stands_there_is_read_back() -> None:
    git = virtual_service(half(100, 0))
    assert state(git) == "none"
    assert state(git, ()) == "none"
    during = {**git, "spec": {**git["spec"], "http": http(git)}}
    assert state(during) == "ours"
    assert state(during, ()) == "other"
    assert state(during, EITHER) == "other"


def test_pins_that_one_of_two_virtual_services_lacks_are_not_there() -> None:
    git = virtual_service(half(100, 0))
    during = {**git, "spec": {**git["spec"], "http": http(git)}}
    both = replace(
        MINE, virtual_services=(*MINE.virtual_services, replace(MINE.virtual_services[0], name="b"))
    )
    second = virtual_service(half(100, 0), name="b")
    reading = read_traffic(both, {"web": during, "b": second}, RULE, header_pins=CANARY)
    assert reading.pinned_routes == "other"


def test_routes_that_another_rollout_added_are_left_alone() -> None:
    theirs = route(to("canary", host="ratings"), name="rollout-controller/ratings/pin/r", match=[WANTED])
    base = route(to("stable", 100, host="ratings"), to("canary", 0, host="ratings"), name="r")
    git = virtual_service(theirs, base, half(100, 0))
    during = {**git, "spec": {**git["spec"], "http": http(git)}}
    assert during["spec"]["http"][:2] == [theirs, base]
    assert apply(during, set_traffic(MINE, during, 0, RULE)) == git


def test_a_route_that_sends_only_to_stable_is_not_refined() -> None:
    only = route(to("stable"), name="patient")
    assert http(virtual_service(only)) == [only]


def test_a_route_that_no_pinned_request_can_match_is_not_refined() -> None:
    base = {**half(100, 0), "match": [{"headers": {"x-canary": {"exact": "never"}}}]}
    assert http(virtual_service(base)) == [base]
