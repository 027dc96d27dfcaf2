"""The edits of VirtualServices and DestinationRules, as tables of before and after."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.istio import Routing, pin, set_traffic, split
from tests.support.istio_objects import (
    NAMED,
    ROUTING,
    destination_rule,
    half,
    route,
    to,
    virtual_service,
)
from tests.support.jsonpatch import FailedTest, apply

RULE = destination_rule()


def weighed(percent: int, *routes: Json, routing: Routing = ROUTING, rule: Json | None = RULE) -> list[Json]:
    """The http routes after the edit; the rest of the object must be as it was."""
    before = virtual_service(*routes)
    after = apply(before, set_traffic(routing, before, percent, rule))
    http: list[Json] = after["spec"].pop("http")
    del before["spec"]["http"]
    assert after == before
    return http


@pytest.mark.parametrize(
    ("total", "percent", "canary"),
    [
        (100, 0, 0),
        (100, 1, 1),
        (100, 5, 5),
        (100, 99, 99),
        (100, 100, 100),
        (70, 0, 0),
        (70, 1, 1),
        (70, 5, 4),
        (70, 10, 7),
        (70, 25, 18),
        (70, 50, 35),
        (70, 99, 69),
        (70, 100, 70),
        (30, 1, 1),
        (30, 99, 29),
        (2, 1, 1),
        (2, 99, 1),
        (1, 50, 0),
        (1, 100, 1),
    ],
)
def test_a_share_of_our_total_is_rounded_and_leaves_both_sides_something(
    total: int, percent: int, canary: int
) -> None:
    assert split(total, percent) == canary


@pytest.mark.parametrize("percent", [0, 5, 50, 99, 100])
def test_a_weight_is_written_to_both_destinations(percent: int) -> None:
    assert weighed(percent, half(70, 30)) == [half(100 - percent, percent)]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (half(50, 10), half(90, 10)),
        (half(150, 50), half(90, 10)),
        (
            route(to("stable", 20), to("canary", 10), to("beta", 30)),
            route(to("stable", 63), to("canary", 7), to("beta", 30)),
        ),
    ],
)
def test_weights_that_somebody_left_with_another_total_are_written_to_total_100(
    found: Json, wanted: Json
) -> None:
    assert weighed(10, found) == [wanted]


def test_a_weight_that_is_already_so_needs_no_write() -> None:
    assert set_traffic(ROUTING, virtual_service(half(95, 5)), 5, RULE) == []


def test_home_needs_no_write_when_git_leaves_the_canarys_weight_out() -> None:
    assert set_traffic(ROUTING, virtual_service(route(to("stable", 100), to("canary"))), 0, RULE) == []


def test_a_weight_that_was_left_out_is_added() -> None:
    assert weighed(5, route(to("stable", 100), to("canary"))) == [half(95, 5)]


def test_home_is_written_with_an_explicit_zero_when_the_weight_had_been_left_out() -> None:
    away = weighed(5, route(to("stable", 100), to("canary")))
    assert weighed(0, *away) == [half(100, 0)]


def test_a_patch_first_tests_the_version_of_the_object_it_rests_on() -> None:
    before = virtual_service(half(100, 0))
    ops = set_traffic(ROUTING, before, 5, RULE)
    assert ops[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    before["metadata"]["resourceVersion"] = "8"
    with pytest.raises(FailedTest):
        apply(before, ops)


def test_only_the_two_weights_are_in_the_patch() -> None:
    ops = set_traffic(ROUTING, virtual_service(route(to("v0", 0)), half(100, 0)), 5, RULE)
    assert [(op["op"], op["path"]) for op in ops] == [
        ("test", "/metadata/resourceVersion"),
        ("add", "/spec/http/1/route/0/weight"),
        ("add", "/spec/http/1/route/1/weight"),
    ]


def test_the_order_of_the_destinations_does_not_matter() -> None:
    assert weighed(25, route(to("canary", 0), to("stable", 100))) == [
        route(to("canary", 25), to("stable", 75))
    ]


def test_every_route_that_sends_to_us_is_moved_when_none_is_named() -> None:
    other = route(to("v1", 100, host="ratings"))
    assert weighed(10, half(100, 0), other, half(50, 50)) == [half(90, 10), other, half(90, 10)]


def test_only_named_routes_are_moved() -> None:
    primary = route(to("stable", 100), to("canary", 0), name="primary")
    pinned = route(to("canary", 100), to("stable", 0), name="mine")
    unnamed = half(100, 0)
    moved = weighed(10, pinned, primary, unnamed, routing=NAMED)
    assert moved == [pinned, route(to("stable", 90), to("canary", 10), name="primary"), unnamed]


def test_a_foreign_destination_keeps_its_share_and_its_place() -> None:
    foreign = to("v3", 30, host="legacy", headers={"request": {"set": {"x": "1"}}})
    before = route(to("stable", 70), foreign, to("canary", 0))
    assert weighed(5, before) == [route(to("stable", 66), foreign, to("canary", 4))]
    assert weighed(0, *weighed(5, before)) == [before]


def test_another_subset_of_our_host_is_foreign() -> None:
    before = route(to("stable", 80), to("canary", 0), to("debug", 20))
    assert weighed(100, before) == [route(to("stable", 0), to("canary", 80), to("debug", 20))]


def test_the_same_subset_names_of_another_host_are_foreign() -> None:
    foreign = half(100, 0)
    for entry in foreign["route"]:
        entry["destination"]["host"] = "ratings"
    assert weighed(5, foreign, half(100, 0)) == [foreign, half(95, 5)]


@pytest.mark.parametrize(
    "unsplittable",
    [
        route(to("stable", 100)),
        route(to("stable")),
        route(to("canary", 100)),
        route(to("stable", 100), to("v3", 0, host="legacy")),
        route(to("stable", 0), to("canary", 0), to("v3", 100, host="legacy")),
        route(to("stable", 10), to("canary", -10)),
        route(to("stable", -20), to("canary", 10)),
        route(),
        {"redirect": {"uri": "/"}},
        {"name": "delegated", "delegate": {"name": "other"}},
        {"route": [{}]},
    ],
)
def test_a_route_without_both_sides_or_without_a_share_is_left_alone(unsplittable: Json) -> None:
    assert set_traffic(ROUTING, virtual_service(unsplittable), 5, RULE) == []


def test_home_is_home_even_where_a_side_is_there_twice() -> None:
    twice = route(to("stable", 40), to("canary", 20), to("canary", 20), to("stable", 20))
    assert weighed(0, twice) == [route(to("stable", 100), to("canary", 0), to("canary", 0), to("stable", 0))]


@pytest.mark.parametrize(
    ("in_rule", "in_route"),
    [
        ("web", "web"),
        ("web", "web.shop.svc.cluster.local"),
        ("web.shop.svc.cluster.local", "web"),
        ("web.shop", "web"),
        ("web", "web.shop.svc"),
        ("WEB.shop.svc.cluster.local.", "web"),
        ("web.other.svc.cluster.local", "web.other.svc.cluster.local"),
        ("shop.example.com", "shop.example.com"),
    ],
)
def test_a_host_is_recognised_however_it_is_written(in_rule: str, in_route: str) -> None:
    before = route(to("stable", 100, host=in_route), to("canary", 0, host=in_route))
    assert weighed(5, before, rule=destination_rule(host=in_rule)) == [
        route(to("stable", 95, host=in_route), to("canary", 5, host=in_route))
    ]


@pytest.mark.parametrize(
    ("in_rule", "in_route"),
    [
        ("web", "web.other"),
        ("web", "web.other.svc.cluster.local"),
        ("web.other.svc.cluster.local", "web"),
        ("web", "a.web.shop"),
        ("web", "web.shop.svc.clusterset.local"),
        ("web", "web-canary"),
        ("web", ""),
    ],
)
def test_another_host_is_not_taken_for_ours(in_rule: str, in_route: str) -> None:
    before = virtual_service(route(to("stable", 100, host=in_route), to("canary", 0, host=in_route)))
    assert set_traffic(ROUTING, before, 5, destination_rule(host=in_rule)) == []


def test_a_cluster_with_another_domain_is_understood_when_told() -> None:
    routing = Routing("shop", "web", ROUTING.virtual_services, "web", "stable", "canary", "corp.internal")
    host = "web.shop.svc.corp.internal"
    before = route(to("stable", 100), to("canary", 0, host=host))
    assert weighed(5, before, routing=routing) == [route(to("stable", 95), to("canary", 5, host=host))]


def test_traffic_goes_home_while_the_destination_rule_cannot_be_read() -> None:
    other = route(to("stable", 100, host="ratings"))
    assert weighed(0, other, half(75, 25), rule=None) == [other, half(100, 0)]


def test_nothing_is_touched_without_a_rule_when_two_hosts_could_be_ours() -> None:
    ratings = route(to("stable", 75, host="ratings"), to("canary", 25, host="ratings"))
    assert set_traffic(ROUTING, virtual_service(ratings, half(75, 25)), 0, None) == []


def test_a_virtual_service_that_the_rollout_does_not_name_is_not_touched() -> None:
    assert set_traffic(ROUTING, {**virtual_service(half(100, 0), name="other")}, 5, RULE) == []


@pytest.mark.parametrize("spec", [{}, {"http": None}, {"http": []}])
def test_a_virtual_service_without_http_routes_is_not_touched(spec: dict[str, Any]) -> None:
    assert set_traffic(ROUTING, {**virtual_service(), "spec": spec}, 5, RULE) == []


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_weight_that_is_no_percentage_is_refused(percent: int) -> None:
    with pytest.raises(ValueError, match=f"from 0 to 100, found {percent}"):
        set_traffic(ROUTING, virtual_service(half(100, 0)), percent, RULE)


# -- pins ------------------------------------------------------------------------------------------------


def pinned(stable: str | None, canary: str | None, *subsets: Json) -> list[Json]:
    """The subsets after the edit; the rest of the object must be as it was."""
    before = destination_rule(*subsets)
    after = apply(before, pin(ROUTING, before, stable, canary))
    result: list[Json] = after["spec"].pop("subsets")
    del before["spec"]["subsets"]
    assert after == before
    return result


def subset(name: str, **labels: str) -> Json:
    return {"name": name, "labels": {key.replace("_", "-"): value for key, value in labels.items()}}


def test_both_subsets_are_pinned_in_one_patch() -> None:
    before = (subset("stable", app="web"), subset("canary", app="web"))
    assert pinned("aaa", "bbb", *before) == [
        subset("stable", app="web", pod_template_hash="aaa"),
        subset("canary", app="web", pod_template_hash="bbb"),
    ]


@pytest.mark.parametrize(
    ("labels", "after"),
    [
        ({}, {}),
        ({"labels": {"app": "web"}}, {"labels": {"app": "web"}}),
        ({"labels": {}}, {}),
        ({"labels": None}, {}),
    ],
)
def test_un_pinning_gives_back_the_labels_that_were_there_an_empty_map_as_none(
    labels: Json, after: Json
) -> None:
    subsets = ({"name": "stable", **labels}, {"name": "canary", **labels, "trafficPolicy": {"x": 1}})
    away = pinned("aaa", "bbb", *subsets)
    assert [s["labels"]["pod-template-hash"] for s in away] == ["aaa", "bbb"]
    assert pinned(None, None, *away) == [
        {"name": "stable", **after},
        {"name": "canary", **after, "trafficPolicy": {"x": 1}},
    ]


def test_a_relabel_writes_only_the_subset_that_changes() -> None:
    before = destination_rule(
        subset("stable", pod_template_hash="aaa"), subset("canary", pod_template_hash="bbb")
    )
    assert pin(ROUTING, before, "bbb", "bbb") == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "8"},
        {"op": "add", "path": "/spec/subsets/0/labels/pod-template-hash", "value": "bbb"},
    ]


@pytest.mark.parametrize(
    ("stable", "canary", "subsets"),
    [
        (None, None, ({"name": "stable"}, {"name": "canary", "labels": {}})),
        (None, None, (subset("stable", app="web"), {"name": "canary", "labels": None})),
        ("aaa", None, (subset("stable", pod_template_hash="aaa"), {"name": "canary"})),
        ("aaa", "bbb", ({"name": "v1"}, {"name": "v2"})),
    ],
)
def test_a_pin_that_is_already_so_or_has_no_subset_needs_no_write(
    stable: str | None, canary: str | None, subsets: tuple[Json, ...]
) -> None:
    assert pin(ROUTING, destination_rule(*subsets), stable, canary) == []


def test_subsets_that_are_not_ours_are_not_touched() -> None:
    other = subset("debug", pod_template_hash="user")
    before = (other, {"name": "canary"}, {"name": "stable"})
    assert pinned("aaa", "bbb", *before) == [
        other,
        subset("canary", pod_template_hash="bbb"),
        subset("stable", pod_template_hash="aaa"),
    ]


def test_a_subset_that_is_there_twice_is_pinned_twice_and_un_pinned_twice() -> None:
    twice = ({"name": "stable"}, {"name": "canary"}, subset("stable", app="web"))
    away = pinned("aaa", None, *twice)
    assert away == [
        subset("stable", pod_template_hash="aaa"),
        {"name": "canary"},
        subset("stable", app="web", pod_template_hash="aaa"),
    ]
    assert pinned(None, None, *away) == list(twice)


@pytest.mark.parametrize("spec", [{}, {"host": "web"}, {"host": "web", "subsets": None}])
def test_a_rule_without_subsets_has_nothing_to_pin(spec: Json) -> None:
    assert pin(ROUTING, {**destination_rule(), "spec": spec}, "aaa", "bbb") == []


def test_an_edit_does_not_change_the_objects_it_reads() -> None:
    service, rule = virtual_service(half(100, 0)), destination_rule()
    before = deepcopy((service, rule))
    set_traffic(ROUTING, service, 5, rule)
    pin(ROUTING, rule, "aaa", "bbb")
    assert (service, rule) == before
