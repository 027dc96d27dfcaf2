"""Findings: what a person is told about each mistake, in full."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.core.world import Part
from rollout_controller.istio import Inventory, Known, ManagedService, Routing, preflight
from tests.support.istio_objects import (
    NAMED,
    ROUTING,
    deployment,
    destination_rule,
    half,
    route,
    service,
    template,
    to,
    virtual_service,
)

HOST = "web.shop.svc.cluster.local"
GOOD: dict[str, Any] = {
    "deployment": deployment(),
    "virtual_services": {"web": virtual_service(half(100, 0))},
    "destination_rule": destination_rule(),
    "services": [service({"app": "web"})],
}
HERE = frozenset({"shop"})


def told(routing: Routing = ROUTING, **changes: Any) -> list[str]:
    """The errors in a good world with these changes, as a person reads them, behind their codes."""
    given = {**GOOD, **changes}
    services = Known(tuple(given.pop("services")), HERE)
    findings = preflight(Inventory(routing, services=services, **given))
    return [f"{finding.code}: {finding}" for finding in findings if finding.severity == "error"]


def routes(*http: Json, routing: Routing = ROUTING) -> list[str]:
    return told(routing, virtual_services={"web": virtual_service(*http)})


def test_a_good_world_has_no_findings() -> None:
    assert told() == []
    assert routes(half(100, 0), routing=NAMED) != []
    assert routes(route(to("stable", 100), to("canary", 0), name="primary"), routing=NAMED) == []


@pytest.mark.parametrize(
    ("absent", "finding"),
    [
        (
            {"deployment": None},
            "MissingDeployment: Deployment shop/web: does not exist."
            " Create it, or correct spec.workload.deployment in the Rollout.",
        ),
        (
            {"virtual_services": {}},
            "MissingVirtualService: VirtualService shop/web: does not exist."
            " Create it, or correct spec.traffic.istio.virtualServices[0].name in the Rollout.",
        ),
        (
            {"destination_rule": None},
            "MissingDestinationRule: DestinationRule shop/web: does not exist."
            " Create it, or correct spec.traffic.istio.destinationRule.name in the Rollout.",
        ),
    ],
)
def test_a_missing_object_is_named_with_the_field_that_names_it(absent: Json, finding: str) -> None:
    assert told(**absent) == [finding]


def test_everything_missing_is_told_at_once() -> None:
    findings = told(deployment=None, virtual_services={}, destination_rule=None)
    assert [finding.partition(":")[0] for finding in findings] == [
        "MissingDeployment",
        "MissingDestinationRule",
        "MissingVirtualService",
    ]


@pytest.mark.parametrize(
    ("absent", "part"),
    [
        ({"deployment": None}, Part.DEPLOYMENT),
        ({"virtual_services": {}}, Part.VIRTUAL_SERVICE),
        ({"destination_rule": None}, Part.DESTINATION_RULE),
    ],
)
def test_what_could_not_be_read_is_not_called_missing(absent: Json, part: Part) -> None:
    assert told(**absent, unread=frozenset({part})) == []


def test_the_missing_one_of_several_virtual_services_is_told() -> None:
    two = Routing("shop", "web", (ManagedService("web"), ManagedService("mesh")), "web", "stable", "canary")
    assert told(two) == [
        "MissingVirtualService: VirtualService shop/mesh: does not exist."
        " Create it, or correct spec.traffic.istio.virtualServices[1].name in the Rollout."
    ]


def test_recreate_is_refused_with_the_reason() -> None:
    assert told(deployment=deployment(strategy={"type": "Recreate"})) == [
        "RecreateStrategy: Deployment shop/web spec.strategy.type: Recreate stops every old pod before a new"
        " one starts, so two versions never serve side by side. Set it to RollingUpdate."
    ]


def test_a_deployment_without_a_strategy_is_a_rolling_one() -> None:
    assert told(deployment=deployment(strategy={})) == []


# -- the DestinationRule ---------------------------------------------------------------------------------


def test_a_missing_subset_is_told_with_the_nearest_name() -> None:
    assert told(destination_rule=destination_rule({"name": "stable"}, {"name": "cannary"})) == [
        'MissingSubset: DestinationRule shop/web spec.subsets: there is no subset named "canary".'
        ' Did you mean "cannary"? Add it, or correct spec.traffic.istio.destinationRule.canarySubset in the'
        " Rollout."
    ]


def test_both_missing_subsets_are_told_without_far_fetched_guesses() -> None:
    assert told(destination_rule=destination_rule({"name": "v1"})) == [
        f'MissingSubset: DestinationRule shop/web spec.subsets: there is no subset named "{name}".'
        f" Add it, or correct spec.traffic.istio.destinationRule.{name}Subset in the Rollout."
        for name in ("stable", "canary")
    ]


def test_a_subset_defined_twice_is_told_but_only_if_it_is_ours() -> None:
    subsets = [{"name": name} for name in ("stable", "debug", "canary", "debug", "stable")]
    assert told(destination_rule=destination_rule(*subsets)) == [
        "DuplicateSubset: DestinationRule shop/web spec.subsets[4].name: there is more than one subset named"
        ' "stable". Keep one of them.'
    ]


def labelled(**labels: str) -> Json:
    return destination_rule({"name": "stable"}, {"name": "canary", "labels": labels})


REMOVE = "Remove it; the versions are told apart by pod-template-hash."


@pytest.mark.parametrize(
    ("labels", "finding"),
    [
        (
            {"version": "v2"},
            "LabelWithoutPods: DestinationRule shop/web spec.subsets[1].labels.version: v2 selects no new"
            f" pod: the template of Deployment shop/web has version=v1. {REMOVE}",
        ),
        (
            {"app": "wbe"},
            "LabelWithoutPods: DestinationRule shop/web spec.subsets[1].labels.app: wbe selects no new pod:"
            " the template of Deployment shop/web has app=web. Did you mean app: web? Else remove it; the"
            " versions are told apart by pod-template-hash.",
        ),
        (
            {"tier": "front"},
            "LabelWithoutPods: DestinationRule shop/web spec.subsets[1].labels.tier: front selects no new"
            f" pod: the template of Deployment shop/web has no such label. {REMOVE}",
        ),
    ],
)
def test_a_subset_label_without_pods_is_told(labels: dict[str, str], finding: str) -> None:
    assert told(destination_rule=labelled(**labels)) == [finding]


def test_a_label_with_dots_is_set_apart_in_the_path() -> None:
    key = "app.kubernetes.io/version"
    [finding] = told(destination_rule=labelled(**{key: "v1"}))
    assert f'DestinationRule shop/web spec.subsets[1].labels["{key}"]: v1 selects no new pod' in finding


def test_labels_of_both_subsets_are_looked_at_and_of_no_other() -> None:
    subsets = [{"name": name, "labels": {"version": "v2"}} for name in ("stable", "debug", "canary")]
    findings = told(destination_rule=destination_rule(*subsets))
    assert [finding.split(" ")[3] for finding in findings] == [
        "spec.subsets[0].labels.version:",
        "spec.subsets[2].labels.version:",
    ]


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "web", "version": "v1"}},
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "version", "operator": "In", "values": ["v1"]}],
        },
        {"matchExpressions": [{"key": "version", "operator": "In", "values": ["v1"]}]},
    ],
)
def test_a_subset_label_that_the_selector_fixes_is_fine(selector: Json) -> None:
    assert (
        told(deployment=deployment(selector=selector), destination_rule=labelled(version="v1"), services=[])
        == []
    )


def test_our_own_pin_is_no_finding() -> None:
    assert told(destination_rule=labelled(**{"app": "web", "pod-template-hash": "abc"})) == []


def test_labels_are_not_judged_without_the_deployment() -> None:
    assert (
        told(deployment=None, unread=frozenset({Part.DEPLOYMENT}), destination_rule=labelled(version="v9"))
        == []
    )


def test_a_subset_or_a_template_without_labels_is_fine() -> None:
    rule = destination_rule({"name": "stable", "labels": None}, {"name": "canary"})
    bare = {"spec": template()["spec"]}
    assert told(destination_rule=rule, deployment=deployment(template=bare)) == []


# -- the Service -----------------------------------------------------------------------------------------


def test_a_service_label_without_pods_is_told() -> None:
    [finding] = told(services=[service({"app": "web", "version": "v2"})])
    assert finding.startswith(
        "LabelWithoutPods: Service shop/web spec.selector.version: v2 selects no new pod"
    )


@pytest.mark.parametrize(
    "others",
    [
        [],
        [service({"version": "v9"}, name="web-v9")],
        [service(None)],
        [service({})],
    ],
)
def test_only_the_service_behind_the_host_is_looked_at(others: list[Json]) -> None:
    assert told(services=others) == []


def test_the_service_is_found_when_the_rule_writes_its_full_name() -> None:
    findings = told(services=[service({"version": "v2"})], destination_rule=destination_rule(host=HOST))
    assert [finding.partition(":")[0] for finding in findings] == ["LabelWithoutPods"]


# -- the routes ------------------------------------------------------------------------------------------

ADD = (
    f"Let it send to host {HOST}, subset stable with weight 100"
    f" and to host {HOST}, subset canary with weight 0."
)


def test_a_route_that_does_not_exist_is_told_with_the_nearest_name() -> None:
    assert routes(route(to("stable", 100), to("canary", 0), name="primry"), routing=NAMED) == [
        'MissingRoute: VirtualService shop/web spec.http: there is no http route named "primary". Did you'
        ' mean "primry"? Name the route so, or correct spec.traffic.istio.virtualServices[0].routes in the'
        " Rollout."
    ]


@pytest.mark.parametrize("http", [(half(100, 0),), (), (route(to("stable", 100), to("canary"), name="x"),)])
def test_a_route_that_does_not_exist_is_told_without_far_fetched_guesses(http: tuple[Json, ...]) -> None:
    assert routes(*http, routing=NAMED) == [
        'MissingRoute: VirtualService shop/web spec.http: there is no http route named "primary". Name the'
        " route so, or correct spec.traffic.istio.virtualServices[0].routes in the Rollout."
    ]


def test_a_missing_route_is_told_even_without_the_rule() -> None:
    findings = told(NAMED, destination_rule=None)
    assert [finding.partition(":")[0] for finding in findings] == ["MissingDestinationRule", "MissingRoute"]


@pytest.mark.parametrize(
    ("raw", "instead"),
    [
        (route(to("v1", 100), name="primary"), " but to web subset v1"),
        (
            route(to(None, 50, host="web"), to("canary", 50, host="ratings"), name="primary"),
            " but to web, ratings subset canary",
        ),
        ({"name": "primary", "redirect": {"uri": "/"}}, ""),
        ({"name": "primary", "delegate": {"name": "other"}}, ""),
    ],
)
def test_a_named_route_that_carries_none_of_ours_is_told_with_what_it_carries(
    raw: Json, instead: str
) -> None:
    assert routes(raw, routing=NAMED) == [
        'ForeignRoute: VirtualService shop/web spec.http[0].route: the route "primary" does not send to'
        f" subset stable or canary of {HOST}{instead}. {ADD}"
    ]


@pytest.mark.parametrize("http", [(), (route(to("v1", 100, host="ratings")),), ({"redirect": {"uri": "/"}},)])
def test_a_virtual_service_with_nothing_to_manage_is_told(http: tuple[Json, ...]) -> None:
    assert routes(*http) == [
        "NoManagedRoute: VirtualService shop/web spec.http: no route sends to subset stable or canary of"
        f" {HOST}, so there is no traffic to shift. {ADD}"
    ]


def test_a_route_that_lacks_the_canary_is_told_to_add_it_with_weight_0() -> None:
    assert routes(half(100, 0), route(to("stable"))) == [
        "MissingDestination: VirtualService shop/web spec.http[1].route: the route has no destination with"
        f" host {HOST}, subset canary, so nothing can be shifted on it. Add a destination with"
        f" host {HOST}, subset canary and weight 0 (Istio leaves it out until it has a weight), or name the"
        " routes to manage in spec.traffic.istio.virtualServices[0].routes of the Rollout."
    ]


def test_a_route_that_lacks_stable_is_told_to_add_it() -> None:
    assert routes(route(to("canary", 100))) == [
        "MissingDestination: VirtualService shop/web spec.http[0].route: the route has no destination with"
        f" host {HOST}, subset stable, so nothing can be shifted on it. Add a destination with"
        f" host {HOST}, subset stable and weight 100, or name the routes to manage in"
        " spec.traffic.istio.virtualServices[0].routes of the Rollout."
    ]


def test_a_route_that_is_not_named_may_lack_what_it_likes() -> None:
    primary = route(to("stable", 100), to("canary", 0), name="primary")
    beta = route(to("canary", 100), match=[{"headers": {"x-beta": {}}}])
    assert routes(beta, primary, route(to("stable", 40)), routing=NAMED) == []


def test_a_subset_that_a_route_sends_to_twice_is_told() -> None:
    assert routes(route(to("stable", 50), to("canary", 0), to("stable", 50))) == [
        "DuplicateDestination: VirtualService shop/web spec.http[0].route[2]: the route sends to host"
        f" {HOST}, subset stable more than once. Keep one destination of each version."
    ]


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([to("stable", 100), to("canary", 10)], "100 + 10 total 110"),
        ([to("stable", 90), to("canary")], "90 + 0 total 90"),
        ([to("stable"), to("canary")], "0 + 0 total 0"),
        ([to("stable", 60), to("canary", 0), to("v3", 30, host="legacy")], "60 + 0 + 30 total 90"),
    ],
)
def test_weights_that_do_not_total_100_are_told(entries: list[Json], sentence: str) -> None:
    assert routes(route(*entries)) == [
        f"WeightsNot100: VirtualService shop/web spec.http[0].route: the weights {sentence}, so their shares"
        " are not what they say. Make them total 100."
    ]


def test_foreign_destinations_may_have_their_share_of_100() -> None:
    assert routes(route(to("stable", 70), to("v3", 30, host="legacy"), to("canary", 0))) == []


@pytest.mark.parametrize(
    ("entries", "where", "weight"),
    [
        ([to("stable", 110), to("canary", -10)], (0, 1), (110, -10)),
        ([to("stable", 100), to("canary", 0), to("v3", -1, host="legacy")], (2,), (-1,)),
        ([to("stable", 101), to("canary", 0)], (0,), (101,)),
    ],
)
def test_weights_below_0_or_above_100_are_told_each(
    entries: list[Json], where: tuple[int, ...], weight: tuple[int, ...]
) -> None:
    assert routes(route(*entries)) == [
        f"WeightOutOfRange: VirtualService shop/web spec.http[0].route[{index}].weight: {value} is not a"
        " share in percent. Set it to a number from 0 to 100."
        for index, value in zip(where, weight, strict=True)
    ]


def test_weights_of_routes_that_are_not_managed_are_not_ours_to_judge() -> None:
    assert routes(half(100, 0), route(to("v1", 110, host="ratings"), to("v2", 10, host="ratings"))) == []


# -- hosts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["web.shop", "web.shop.svc"])
def test_a_host_that_istio_does_not_complete_is_told(host: str) -> None:
    sentence = f'Istio takes "{host}" for a full host name, and no Service has that one. Write web or {HOST}.'
    assert told(destination_rule=destination_rule(host=host)) == [
        f"IncompleteHost: DestinationRule shop/web spec.host: {sentence}"
    ]
    assert routes(route(to("stable", 100), to("canary", 0, host=host))) == [
        f"IncompleteHost: VirtualService shop/web spec.http[0].route[1].destination.host: {sentence}"
    ]


@pytest.mark.parametrize("host", [HOST, f"{HOST}.", "web", "web.other.svc.cluster.local", "shop.example.com"])
def test_a_host_that_istio_understands_is_fine(host: str) -> None:
    http = virtual_service(route(to("stable", 100, host=host), to("canary", 0, host=host)))
    assert told(destination_rule=destination_rule(host=host), virtual_services={"web": http}) == []
