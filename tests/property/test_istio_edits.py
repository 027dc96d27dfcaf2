"""Whatever else is in a VirtualService or DestinationRule: only what is ours moves, and it moves back."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from rollout_controller.core.patch import Json
from rollout_controller.core.template import HASH_LABEL, same_template, template_hash
from rollout_controller.core.world import Part
from rollout_controller.istio import (
    Inventory,
    ManagedService,
    Routing,
    pin,
    preflight,
    read_traffic,
    set_traffic,
)
from tests.support.istio_objects import destination_rule, template, to, virtual_service
from tests.support.jsonpatch import apply

PERCENTS = st.integers(0, 100)
HASHES = st.none() | st.sampled_from(["aaa", "bbb", "ccc"])
NAMES = st.sampled_from(["primary", "other", "header"])
OUR_HOSTS = st.sampled_from(["web", "web.shop.svc.cluster.local", "web.shop"])
FOREIGN = st.sampled_from([("web", "debug"), ("web", None), ("ratings", "stable"), ("ratings", "canary")])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
route_extras = st.fixed_dictionaries(
    {},
    optional={
        "match": st.just([{"headers": {"x-user": {"exact": "me"}}}]),
        "fault": st.just({"abort": {"percentage": {"value": 0.1}, "httpStatus": 503}}),
        "corsPolicy": st.just({"allowOrigins": [{"exact": "https://a.example"}]}),
        "retries": st.just({"attempts": 0}),
        "timeout": st.just("2s"),
        "mirror": st.just({"host": "web", "subset": "canary"}),
        "fromTheFuture": json_values,
    },
)
destination_extras = st.fixed_dictionaries(
    {}, optional={"headers": st.just({"request": {"set": {"a": "b"}}}), "fromTheFuture": json_values}
)


@st.composite
def shared_route(draw: st.DrawFn) -> Json:
    """A route that sends to both our subsets and perhaps to others, of total 100, in any order."""
    foreign_weights = draw(st.lists(st.integers(0, 30), max_size=3))
    ours = 100 - sum(foreign_weights)
    canary = draw(st.integers(0, ours))
    destinations = [
        to("stable", ours - canary, host=draw(OUR_HOSTS), **draw(destination_extras)),
        to("canary", canary, host=draw(OUR_HOSTS), **draw(destination_extras)),
    ]
    for weight in foreign_weights:
        host, subset = draw(FOREIGN)
        destinations.append(to(subset, weight, host=host, **draw(destination_extras)))
    extras = draw(route_extras)
    name = draw(st.fixed_dictionaries({}, optional={"name": NAMES}))
    return {**name, **extras, "route": draw(st.permutations(destinations))}


other_routes = st.one_of(
    st.builds(lambda extras: {**extras, "redirect": {"uri": "/"}}, route_extras),
    st.builds(
        lambda extras, target, weight: {**extras, "route": [to(target[1], weight, host=target[0])]},
        route_extras,
        FOREIGN,
        st.none() | st.just(100),
    ),
)
services = st.builds(
    lambda routes, extra: {**virtual_service(*routes), "status": extra},
    st.lists(shared_route() | other_routes, min_size=1, max_size=4),
    json_values,
)
routings = st.builds(
    lambda names: Routing("shop", "web", (ManagedService("web", names),), "web", "stable", "canary"),
    st.none() | st.lists(NAMES, min_size=1, max_size=2, unique=True).map(tuple),
)
rules = st.builds(lambda host: destination_rule(host=host), OUR_HOSTS)


def is_ours(entry: Json) -> bool:
    """Said once more in the plainest way, not by the code under test."""
    target = entry["destination"]
    return target.get("subset") in ("stable", "canary") and target["host"].startswith("web")


def without_our_weights(service: Json) -> Json:
    bare = deepcopy(service)
    for route in bare["spec"]["http"]:
        for entry in filter(is_ours, route.get("route", [])):
            entry.pop("weight", None)
    return bare


def managed(routing: Routing, service: Json) -> list[Json]:
    """The routes that are named, or all; where one is missing also those that split between our subsets."""
    names, routes = routing.virtual_services[0].routes, service["spec"]["http"]
    if names is None:
        return list(routes)
    lost = not {*names} <= {route.get("name") for route in routes}
    return [route for route in routes if route.get("name") in names or (lost and splits(route))]


def splits(route: Json) -> bool:
    subsets = {entry["destination"]["subset"] for entry in route.get("route", []) if is_ours(entry)}
    return subsets == {"stable", "canary"}


def home(routing: Routing, service: Json, rule: Json) -> Json:
    return apply(service, set_traffic(routing, service, 0, rule))


@given(routings, services, rules, PERCENTS)
def test_a_weight_there_and_back_is_the_identity(
    routing: Routing, service: Json, rule: Json, percent: int
) -> None:
    at_home = home(routing, service, rule)
    away = apply(at_home, set_traffic(routing, at_home, percent, rule))
    event(f"moved: {away != at_home}")
    assert home(routing, away, rule) == at_home


@given(routings, services, rules, PERCENTS)
def test_an_edit_of_weights_touches_nothing_but_our_weights_in_managed_routes(
    routing: Routing, service: Json, rule: Json, percent: int
) -> None:
    after = apply(service, set_traffic(routing, service, percent, rule))
    assert without_our_weights(after) == without_our_weights(service)
    ours = managed(routing, service)
    for before, now in zip(service["spec"]["http"], after["spec"]["http"], strict=True):
        if before not in ours:
            assert now == before


@given(routings, services, rules, PERCENTS)
def test_the_total_of_every_route_stays_and_no_weight_leaves_its_range(
    routing: Routing, service: Json, rule: Json, percent: int
) -> None:
    after = apply(service, set_traffic(routing, service, percent, rule))
    for before, now in zip(service["spec"]["http"], after["spec"]["http"], strict=True):
        weights = [entry.get("weight") or 0 for entry in now.get("route", [])]
        assert sum(weights) == sum(entry.get("weight") or 0 for entry in before.get("route", []))
        assert all(0 <= weight <= 100 for weight in weights)


@given(routings, services, rules, PERCENTS)
def test_an_edit_that_was_made_is_not_made_again(
    routing: Routing, service: Json, rule: Json, percent: int
) -> None:
    after = apply(service, set_traffic(routing, service, percent, rule))
    assert set_traffic(routing, after, percent, rule) == []


@given(routings, services, rules, PERCENTS)
def test_what_was_written_is_read_back(routing: Routing, service: Json, rule: Json, percent: int) -> None:
    after = apply(service, set_traffic(routing, service, percent, rule))
    reading = read_traffic(routing, {"web": after}, rule, expected=percent)
    ours = [
        route
        for route in managed(routing, after)
        if sum(entry.get("weight") or 0 for entry in route.get("route", []) if is_ours(entry)) > 0
    ]
    assert reading.canary_weight == ((percent, percent) if ours else (0, 0))


@given(routings, services, rules)
def test_the_canary_has_no_share_exactly_when_no_managed_route_gives_it_one(
    routing: Routing, service: Json, rule: Json
) -> None:
    canary = sum(
        entry.get("weight") or 0
        for route in managed(routing, service)
        for entry in route.get("route", [])
        if is_ours(entry) and entry["destination"]["subset"] == "canary"
    )
    assert (read_traffic(routing, {"web": service}, rule).canary_weight[1] == 0) == (canary == 0)


# -- pins ------------------------------------------------------------------------------------------------

label_maps = st.dictionaries(st.sampled_from(["app", "app.kubernetes.io/name", "x~y"]), st.just("web"))
subset_extras = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.none() | label_maps,
        "trafficPolicy": st.just({"outlierDetection": {"consecutive5xxErrors": 5}}),
        "fromTheFuture": json_values,
    },
)


@st.composite
def pinnable_rules(draw: st.DrawFn) -> Json:
    names = draw(st.permutations(["stable", "canary", "debug"]).map(lambda n: n[: draw(st.integers(0, 3))]))
    rule = destination_rule()
    rule["spec"] = {
        "host": "web",
        "trafficPolicy": draw(json_values),
        "subsets": [{"name": name, **draw(subset_extras)} for name in names],
    }
    return rule


ROUTING = Routing("shop", "web", (ManagedService("web"),), "web", "stable", "canary")


def normal(rule: Json) -> Json:
    """The stated normal form: an empty map of labels is none. Only of our subsets, for the rest is sacred."""
    result = deepcopy(rule)
    for subset in result["spec"]["subsets"]:
        if subset["name"] in ("stable", "canary") and not subset.get("labels"):
            subset.pop("labels", None)
    return result


def pinned(rule: Json, stable: str | None, canary: str | None) -> Json:
    return apply(rule, pin(ROUTING, rule, stable, canary))


@given(pinnable_rules(), HASHES, HASHES, HASHES, HASHES)
def test_pins_there_on_and_back_are_the_identity(
    rule: Json, stable: str | None, canary: str | None, stable_then: str | None, canary_then: str | None
) -> None:
    away = pinned(pinned(rule, stable, canary), stable_then, canary_then)
    assert normal(pinned(away, None, None)) == normal(rule)


@given(pinnable_rules(), HASHES, HASHES)
def test_a_subset_with_labels_of_its_own_comes_back_byte_for_byte(
    rule: Json, stable: str | None, canary: str | None
) -> None:
    back = pinned(pinned(rule, stable, canary), None, None)
    for before, after in zip(rule["spec"]["subsets"], back["spec"]["subsets"], strict=True):
        if before.get("labels") or "labels" not in before:
            assert after == before


@given(pinnable_rules(), HASHES, HASHES)
def test_a_pin_touches_nothing_but_the_hash_in_our_subsets_and_is_read_back(
    rule: Json, stable: str | None, canary: str | None
) -> None:
    after = pinned(rule, stable, canary)
    present = {subset["name"] for subset in rule["spec"]["subsets"]}
    assert read_traffic(ROUTING, {}, after).subsets == (
        stable if "stable" in present else None,
        canary if "canary" in present else None,
    )
    assert pin(ROUTING, after, stable, canary) == []
    for subset in after["spec"]["subsets"]:
        if subset["name"] != "debug" and subset.get("labels"):
            subset["labels"].pop(HASH_LABEL, None)
    assert normal(after) == normal(rule)


# -- totality --------------------------------------------------------------------------------------------

loose_weights = st.none() | st.integers(-20, 120)
loose_entries = st.builds(
    lambda subset, host, weight: to(subset, weight, host=host),
    st.sampled_from(["stable", "canary", "v1", None]),
    st.sampled_from(["web", "web.shop", "ratings", ""]),
    loose_weights,
) | st.sampled_from([{}, {"destination": {}}, {"destination": None, "weight": 100}])
loose_services = st.builds(
    lambda routes: virtual_service(*routes),
    st.lists(
        st.builds(
            lambda name, entries: {"name": name, "route": entries},
            st.none() | NAMES,
            st.none() | st.lists(loose_entries, max_size=3),
        ),
        max_size=3,
    ),
)


@given(routings, loose_services, st.none() | rules, PERCENTS)
def test_whatever_the_api_server_accepted_is_read_edited_and_judged_without_a_fault(
    routing: Routing, service: Json, rule: Json | None, percent: int
) -> None:
    low, high = read_traffic(routing, {"web": service}, rule, percent).canary_weight
    assert 0 <= low <= high <= 100
    after = apply(service, set_traffic(routing, service, percent, rule))
    assert set_traffic(routing, after, percent, rule) == []
    unread = frozenset({Part.DEPLOYMENT, Part.DESTINATION_RULE})
    findings = preflight(
        Inventory(routing, virtual_services={"web": service}, destination_rule=rule, unread=unread)
    )
    assert all(finding.sentence and finding.fix and finding.object for finding in findings)


@given(routings, loose_services, rules, PERCENTS)
def test_where_preflight_finds_nothing_a_weight_arrives_on_a_managed_route(
    routing: Routing, service: Json, rule: Json, percent: int
) -> None:
    unread = frozenset({Part.DEPLOYMENT})
    findings = preflight(
        Inventory(routing, virtual_services={"web": service}, destination_rule=rule, unread=unread)
    )
    event(f"findings: {bool(findings)}")
    if not findings:
        after = apply(service, set_traffic(routing, service, percent, rule))
        assert read_traffic(routing, {"web": after}, rule, percent).canary_weight == (percent, percent)


# -- templates -------------------------------------------------------------------------------------------

templates = st.builds(
    lambda labels, image, extra: {**template(labels, image), "fromTheFuture": extra},
    st.dictionaries(st.sampled_from(["app", "version", HASH_LABEL]), st.sampled_from(["a", "b"])),
    st.sampled_from(["web:1", "web:2"]),
    json_values,
)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(templates, templates)
def test_templates_are_the_same_exactly_when_their_hashes_are(one: Json, other: Json) -> None:
    assert same_template(one, other) == (template_hash(one) == template_hash(other))
    assert same_template(one, reordered(one))
