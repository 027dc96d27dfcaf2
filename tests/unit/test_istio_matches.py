"""Which match leaves nothing to which: a table of what is certain, and of what is not."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.istio.matches import covers, swallows, takers

ALL: Json = {}
PATH = {"uri": {"exact": "/pay"}}
BETA = {"headers": {"x-beta": {"exact": "true"}}}


def uri(form: str, value: str, **more: Any) -> Json:
    return {"uri": {form: value}, **more}


def header(form: str, value: str, name: str = "x-beta") -> Json:
    return {"headers": {name: {form: value}}}


@pytest.mark.parametrize(
    ("general", "specific"),
    [
        (ALL, ALL),
        (ALL, PATH),
        (PATH, PATH),
        (PATH, {**PATH, **BETA}),
        ({"name": "a", "statPrefix": "b"}, PATH),
        (PATH, {**PATH, "fromTheFuture": 1}),
        # paths
        (uri("prefix", "/"), ALL),
        (uri("regex", ".*"), ALL),
        (uri("regex", "/.*"), uri("regex", "/p[0-9]+")),
        (uri("prefix", "/p"), PATH),
        (uri("prefix", "/p"), uri("prefix", "/pay")),
        (uri("regex", "/p[0-9]+"), uri("regex", "/p[0-9]+")),
        (uri("exact", "/PAY", ignoreUriCase=True), PATH),
        (uri("prefix", "/P", ignoreUriCase=True), uri("exact", "/pay", ignoreUriCase=True)),
        # headers
        (BETA, {**BETA, **PATH}),
        ({"headers": {"X-Beta": {"exact": "true"}}}, BETA),
        ({"headers": {"x-beta": {}}}, BETA),
        ({"headers": {"x-beta": None}}, header("regex", "t.*")),
        (header("prefix", "t"), BETA),
        (header("regex", ".*"), BETA),
        (BETA, {"headers": {"x-beta": {"exact": "true"}, "x-user": {"exact": "me"}}}),
        # absent headers: what is not wanted in general must not be wanted in particular
        ({"withoutHeaders": {"x-beta": {"exact": "true"}}}, {"withoutHeaders": {"x-beta": {}}}),
        ({"withoutHeaders": {"x-beta": {"exact": "true"}}}, {"withoutHeaders": {"X-BETA": {"prefix": "t"}}}),
        # the rest
        ({"method": {"exact": "GET"}}, {"method": {"exact": "GET"}, **PATH}),
        ({"authority": {"prefix": "shop."}}, {"authority": {"exact": "shop.example"}}),
        ({"queryParams": {"v": {"exact": "2"}}}, {"queryParams": {"v": {"exact": "2"}, "w": {"exact": "1"}}}),
        ({"port": 80}, {"port": 80}),
        ({"sourceLabels": {"app": "front"}}, {"sourceLabels": {"app": "front", "tier": "1"}}),
        ({"sourceNamespace": "pay"}, {"sourceNamespace": "pay"}),
        ({"gateways": ["a", "mesh"]}, {"gateways": ["mesh"]}),
    ],
)
def test_what_certainly_takes_all_requests_of_another_match(general: Json, specific: Json) -> None:
    assert covers(general, specific)


@pytest.mark.parametrize(
    ("general", "specific"),
    [
        (PATH, ALL),
        (PATH, BETA),
        ({**PATH, **BETA}, PATH),
        ({"fromTheFuture": 1}, PATH),
        # paths
        (uri("prefix", "/pay"), uri("prefix", "/p")),
        (uri("exact", "/pay"), uri("prefix", "/pay")),
        (uri("exact", "/PAY"), PATH),
        (PATH, {**PATH, "ignoreUriCase": True}),
        (uri("regex", "/pay|/buy"), PATH),
        (uri("prefix", "/p"), uri("regex", "/p.*")),
        ({"uri": {}}, PATH),
        # headers
        (BETA, {"headers": {"x-beta": {}}}),
        (BETA, header("exact", "TRUE")),
        (header("regex", "true"), BETA),
        # absent headers
        ({"withoutHeaders": {"x-beta": {}}}, ALL),
        ({"withoutHeaders": {"x-beta": {}}}, {"withoutHeaders": {"x-beta": {"exact": "true"}}}),
        ({"withoutHeaders": {"x-beta": {}}}, BETA),
        # the rest
        ({"method": {"exact": "GET"}}, ALL),
        ({"scheme": {"exact": "https"}}, {"scheme": {"exact": "http"}}),
        ({"queryParams": {"v": {}}}, {"queryParams": {"v": {"exact": "2"}}}),
        ({"port": 80}, ALL),
        ({"port": 80}, {"port": 81}),
        ({"sourceLabels": {"app": "front", "tier": "1"}}, {"sourceLabels": {"app": "front"}}),
        ({"sourceNamespace": "pay"}, ALL),
        ({"gateways": ["mesh"]}, ALL),
        ({"gateways": ["mesh"]}, {"gateways": ["mesh", "a"]}),
    ],
)
def test_what_may_leave_a_request_to_another_match(general: Json, specific: Json) -> None:
    assert not covers(general, specific)


@pytest.mark.parametrize(
    ("route", "swallowed"),
    [
        ({}, True),
        ({"match": []}, True),
        ({"match": [BETA, PATH]}, True),
        ({"match": [BETA]}, False),
        ({"redirect": {"uri": "/"}, "match": [PATH]}, True),
        ({"delegate": {"name": "other"}}, False),
    ],
)
def test_a_route_swallows_what_any_of_its_matches_covers_unless_it_delegates(
    route: Json, swallowed: bool
) -> None:
    assert swallows(route, PATH) is swallowed


def test_a_route_of_which_each_match_is_taken_by_some_route_above_is_taken() -> None:
    http: list[Json] = [{"match": [BETA]}, {"match": [uri("prefix", "/p")]}, {"match": [PATH, BETA]}]
    assert takers(http, 2) == [0, 1]
    assert takers(http, 1) == []
    assert takers(http, 0) == []


def test_a_route_without_match_is_taken_only_by_one_that_takes_everything() -> None:
    assert takers([{"match": [PATH]}, {}], 1) == []
    assert takers([{"match": [uri("prefix", "/")]}, {}], 1) == [0]


def test_routes_of_ours_take_nothing_away() -> None:
    assert takers([{"name": "rollout-controller/web/primary"}, {"name": "primary"}], 1) == []


def test_a_match_without_gateways_means_those_that_the_virtual_service_is_bound_to() -> None:
    http = [{"match": [{"gateways": ["mesh", "shop/web"]}]}, {}]
    assert takers(http, 1) == []
    assert takers(http, 1, ("mesh",)) == [0]
    assert takers(http, 1, ("mesh", "shop/other")) == []
