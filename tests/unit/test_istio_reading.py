"""What is read back from the routes and subsets."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.core.world import ForeignWrite
from rollout_controller.istio import ManagedService, Routing, TrafficReading, read_traffic
from tests.support.istio_objects import (
    NAMED,
    ROUTING,
    destination_rule,
    half,
    route,
    to,
    virtual_service,
)

RULE = destination_rule()
TWO = Routing("shop", "web", (ManagedService("web"), ManagedService("mesh")), "web", "stable", "canary")


def weights(*routes: Json, routing: Routing = ROUTING, expected: int | None = None) -> tuple[int, int]:
    return read_traffic(routing, {"web": virtual_service(*routes)}, RULE, expected).canary_weight


@pytest.mark.parametrize("percent", [0, 1, 5, 50, 99, 100])
def test_the_canarys_weight_is_its_percentage_when_ours_total_100(percent: int) -> None:
    assert weights(half(100 - percent, percent)) == (percent, percent)


@pytest.mark.parametrize(
    ("only", "percent"),
    [
        (route(to("stable")), 0),
        (route(to("stable", 100)), 0),
        (route(to("canary")), 100),
        (route(to("canary", 0)), 100),
        (route(to("stable", 100), to("canary")), 0),
        (route(to("stable"), to("canary", 100)), 100),
    ],
)
def test_a_weight_that_is_left_out_is_read_as_istio_reads_it(only: Json, percent: int) -> None:
    assert weights(only) == (percent, percent)


def test_routes_that_disagree_give_the_lowest_and_the_highest() -> None:
    assert weights(half(95, 5), half(75, 25), half(90, 10)) == (5, 25)


def test_routes_of_several_virtual_services_are_read_together() -> None:
    services = {"web": virtual_service(half(95, 5)), "mesh": virtual_service(half(90, 10), name="mesh")}
    assert read_traffic(TWO, services, RULE).canary_weight == (5, 10)


def test_a_virtual_service_that_does_not_exist_is_left_out() -> None:
    assert read_traffic(TWO, {"web": virtual_service(half(95, 5))}, RULE).canary_weight == (5, 5)


@pytest.mark.parametrize("routes", [(), (route(to("v1", 100, host="ratings")),), ({"redirect": {}},)])
def test_the_canary_has_no_share_where_no_route_sends_to_us(routes: tuple[Json, ...]) -> None:
    assert weights(*routes) == (0, 0)


def test_routes_that_are_not_managed_do_not_count() -> None:
    primary = route(to("stable", 90), to("canary", 10), name="primary")
    assert weights(route(to("canary", 100), name="mine"), primary, routing=NAMED) == (10, 10)


def test_a_route_that_gives_us_no_traffic_does_not_count() -> None:
    idle = route(to("stable", 0), to("canary", 0), to("v3", 100, host="legacy"))
    assert weights(idle, half(75, 25)) == (25, 25)


@pytest.mark.parametrize(
    ("stable", "canary", "expected", "percent"),
    [
        (66, 4, None, 6),
        (66, 4, 5, 5),
        (66, 4, 6, 6),
        (66, 4, 25, 6),
        (69, 1, None, 1),
        (1, 69, None, 99),
        (0, 70, 50, 100),
        (70, 0, 50, 0),
    ],
)
def test_beside_a_foreign_share_a_percentage_is_of_ours_and_as_expected_if_it_is_just_that(
    stable: int, canary: int, expected: int | None, percent: int
) -> None:
    beside = route(to("stable", stable), to("canary", canary), to("v3", 30, host="legacy"))
    assert weights(beside, expected=expected) == (percent, percent)


@pytest.mark.parametrize(
    ("stable", "canary", "percent"),
    [(110, -10, 0), (-10, 110, 100), (110, 0, 0), (1000, 1, 1), (1, 1000, 99)],
)
def test_weights_that_make_no_sense_are_still_read_as_a_percentage(
    stable: int, canary: int, percent: int
) -> None:
    assert weights(half(stable, canary)) == (percent, percent)


@pytest.mark.parametrize(
    ("subsets", "expected"),
    [
        (({"name": "stable"}, {"name": "canary"}), (None, None)),
        (({"name": "stable", "labels": None}, {"name": "canary", "labels": {"app": "web"}}), (None, None)),
        (
            (
                {"name": "canary", "labels": {"pod-template-hash": "bbb"}},
                {"name": "stable", "labels": {"app": "web", "pod-template-hash": "aaa"}},
            ),
            ("aaa", "bbb"),
        ),
        (({"name": "stable", "labels": {"pod-template-hash": "aaa"}},), ("aaa", None)),
    ],
)
def test_the_revisions_that_the_subsets_are_pinned_to_are_read(
    subsets: tuple[Json, ...], expected: tuple[str | None, str | None]
) -> None:
    reading = read_traffic(ROUTING, {"web": virtual_service(half(100, 0))}, destination_rule(*subsets))
    assert reading.subsets == expected


@pytest.mark.parametrize(
    ("names", "lacks"),
    [
        (("stable", "canary"), (False, False)),
        (("stable", "canray"), (False, True)),
        (("canary",), (True, False)),
        ((), (True, True)),
    ],
)
def test_subsets_that_the_rule_does_not_have_are_read_as_lacking(
    names: tuple[str, ...], lacks: tuple[bool, bool]
) -> None:
    rule = destination_rule()
    rule["spec"]["subsets"] = [{"name": name} for name in names]
    assert read_traffic(ROUTING, {"web": virtual_service(half(75, 25))}, rule).lacks == lacks


def test_weights_are_read_while_the_rule_is_not_there() -> None:
    reading = read_traffic(ROUTING, {"web": virtual_service(half(75, 25))}, None)
    assert reading == TrafficReading(canary_weight=(25, 25), subsets=(None, None))


def test_a_managed_route_that_was_renamed_is_found_by_what_it_splits() -> None:
    renamed = {**half(75, 25), "name": "secondary"}
    other = route(to("stable"), name="other")
    routing = Routing("shop", "web", (ManagedService("web", ("primary",)),), "web", "stable", "canary")
    assert weights(renamed, other, routing=routing) == (25, 25)
    assert weights({**half(90, 10), "name": "primary"}, renamed, routing=routing) == (10, 10)


def managed_by(*entries: tuple[str, str, Mapping[str, object]], name: str = "web") -> Json:
    service = virtual_service(half(100, 0), name=name)
    service["metadata"]["managedFields"] = [
        {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:spec": fields}}
        for manager, time, fields in entries
    ]
    return service


HTTP: Json = {"f:http": {}}


def who(write: ForeignWrite | None) -> str:
    return write.who.partition('"')[2].partition('"')[0] if write is not None else ""


@pytest.mark.parametrize(
    ("entries", "stranger"),
    [
        ([], ""),
        ([("kubectl", "2026-01-01T00:00:01Z", {"f:hosts": {}})], ""),
        ([("kubectl", "2026-01-01T00:00:01Z", HTTP)], "kubectl"),
        (
            [("argocd", "2026-01-01T00:00:02Z", HTTP), ("kubectl", "2026-01-01T00:00:01Z", HTTP)],
            "argocd",
        ),
        (
            [
                ("rollout-controller", "2026-01-01T00:00:02Z", HTTP),
                ("argocd", "2026-01-01T00:00:01Z", HTTP),
                ("kubectl", "2026-01-01T00:00:03Z", {"f:hosts": {}}),
            ],
            "",
        ),
        (
            [
                ("rollout-controller", "2026-01-01T00:00:02Z", HTTP),
                ("argocd", "2026-01-01T00:00:02Z", HTTP),
            ],
            "argocd",
        ),
    ],
)
def test_whoever_wrote_the_routes_after_us_is_told(
    entries: list[tuple[str, str, Mapping[str, object]]], stranger: str
) -> None:
    reading = read_traffic(ROUTING, {"web": managed_by(*entries)}, RULE)
    assert (who(reading.changed_by), who(reading.relabelled_by)) == (stranger, "")


def rule_managed_by(*entries: tuple[str, str]) -> Json:
    rule = deepcopy(RULE)
    rule["metadata"]["managedFields"] = [
        {"manager": manager, "time": time, "fieldsV1": {"f:spec": {"f:subsets": {}}}}
        for manager, time in entries
    ]
    return rule


def test_who_wrote_the_routes_and_who_wrote_the_subsets_are_told_apart() -> None:
    service = managed_by(("kubectl", "2026-01-01T00:00:03Z", HTTP))
    rule = rule_managed_by(
        ("rollout-controller", "2026-01-01T00:00:01Z"), ("git-sync", "2026-01-01T00:00:02Z")
    )
    reading = read_traffic(ROUTING, {"web": service}, rule)
    assert (who(reading.changed_by), who(reading.relabelled_by)) == ("kubectl", "git-sync")


def test_of_several_virtual_services_the_one_that_somebody_wrote_last_is_told() -> None:
    routing = replace(ROUTING, virtual_services=tuple(map(ManagedService, ("web", "mesh", "more"))))
    services = {
        "web": managed_by(("rollout-controller", "2026-01-01T00:00:09Z", HTTP)),
        "mesh": managed_by(("argocd-controller", "2026-01-01T00:00:05Z", HTTP), name="mesh"),
        "more": managed_by(("kubectl", "2026-01-01T00:00:04Z", HTTP), name="more"),
    }
    write = read_traffic(routing, services, RULE).changed_by
    assert write is not None
    assert write.who == 'Argo CD (field manager "argocd-controller")'
    assert (write.operation, write.at) == ("Update", "2026-01-01T00:00:05Z")
    assert write.object == "VirtualService shop/mesh"
    assert "name: mesh" in write.advice
