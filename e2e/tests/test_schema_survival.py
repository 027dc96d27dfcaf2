"""Whatever Istio's own schemas admit in a VirtualService or DestinationRule: only what is ours ever changes.

The schemas are those that the real API server serves, so that a new version of Istio is tried with all of its
fields, and each object has fields that no schema knows yet.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from e2e.localcluster.kube import Kube
from e2e.tests.schema_values import values_of
from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch, HeaderPin
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio import ManagedService, Routing, pin, set_traffic
from tests.support.jsonpatch import apply

pytestmark = pytest.mark.real

ROUTING = Routing("shop", "web", (ManagedService("web"),), "web", "stable", "canary", rollout="web")
OWN = "rollout-controller/web/"
RULE: Json = {"metadata": {"name": "web", "resourceVersion": "1"}, "spec": {"host": "web"}}
PINS: tuple[HeaderPin, ...] = (
    (HeaderMatch("x-canary", "exact", "true"),),
    (HeaderMatch("x-tenant", "prefix", "beta"), HeaderMatch("x-user", "exact", "me")),
)
States = st.tuples(st.integers(0, 100), st.sampled_from([0, 20, 100]), st.sampled_from([(), PINS[:1], PINS]))
SLOW = settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)


async def schema(kube: Kube, plural: str) -> Json:
    """The schema of the stored version's spec, as the API server has it."""
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.networking.istio.io"
    versions = (await kube.get(path))["spec"]["versions"]
    stored = next(version for version in versions if version["storage"])
    found: Json = stored["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def is_ours(destination: Any) -> bool:
    """Said in the plainest way, not by the code under test."""
    return (
        isinstance(destination, dict)
        and destination.get("host") == "web"
        and destination.get("subset") in ("stable", "canary")
    )


def to(subset: str) -> Json:
    return {"host": "web", "subset": subset}


@st.composite
def shared(draw: st.DrawFn, entries: Any, raw: Json) -> Json:
    """A route like this one, that sends to both of ours and perhaps to a third, of total 100."""
    third = draw(st.sampled_from([0, 0, 30]))
    made = [
        {**draw(entries), "destination": to("stable"), "weight": 100 - third},
        {**draw(entries), "destination": to("canary"), "weight": 0},
    ]
    if third:
        made.append(
            {**draw(entries), "destination": {"host": "ratings", "subset": "canary"}, "weight": third}
        )
    kept = {key: value for key, value in raw.items() if not str(value).startswith(OWN)}
    mirrors = [one for one in kept.get("mirrors") or [] if not is_ours(one.get("destination"))]
    if "mirrors" in kept:
        kept["mirrors"] = mirrors
    return {**kept, "route": draw(st.permutations(made))}


def virtual_services(spec: Json) -> st.SearchStrategy[Json]:
    """VirtualServices over the whole schema; some routes of each kind are shared between our subsets."""
    fields = spec["properties"]
    sections = {
        name: (
            values_of(fields[name]["items"]),
            values_of(fields[name]["items"]["properties"]["route"]["items"]),
        )
        for name in ("http", "tls", "tcp")
    }
    rest = values_of({**spec, "properties": {k: v for k, v in fields.items() if k not in sections}})

    @st.composite
    def made(draw: st.DrawFn) -> Json:
        result = draw(rest)
        for name, (routes, entries) in sections.items():
            raws = draw(st.lists(routes, min_size=name == "http", max_size=3))
            result[name] = [
                draw(shared(entries, raw)) if draw(st.booleans()) else without_ours(raw) for raw in raws
            ]
        return {"metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"}, "spec": result}

    return made()


def without_ours(raw: Json) -> Json:
    """The same route with nothing that could be taken for ours."""
    entries = [one for one in raw.get("route") or [] if not is_ours(one.get("destination"))]
    return {**raw, **({"route": entries} if "route" in raw else {}), "name": "theirs"}


def bare(service: Json) -> Json:
    """What is not ours: without our routes, our weights, and our entries in mirrors."""
    result = deepcopy(service)
    spec = result["spec"]
    spec["http"] = [r for r in spec["http"] if not str(r.get("name") or "").startswith(OWN)]
    for section in ("http", "tls", "tcp"):
        for raw in spec[section]:
            for entry in raw.get("route") or []:
                if is_ours(entry.get("destination")):
                    entry.pop("weight", None)
            if raw.get("mirrors") is not None:
                raw["mirrors"] = [one for one in raw["mirrors"] if not is_ours(one.get("destination"))]
                if not raw["mirrors"]:  # the normal form: an empty list is none
                    del raw["mirrors"]
    return result


def normal(service: Json) -> Json:
    """The stated normal form: an empty list of mirrors is none."""
    result = deepcopy(service)
    for raw in result["spec"]["http"]:
        if raw.get("mirrors") == []:
            del raw["mirrors"]
    return result


def totals(service: Json) -> list[int]:
    return [
        sum(entry.get("weight") or 0 for entry in raw.get("route") or [])
        for section in ("http", "tls", "tcp")
        for raw in service["spec"][section]
        if not str(raw.get("name") or "").startswith(OWN)
    ]


def written(service: Json, percent: int, mirror: int = 0, pins: tuple[HeaderPin, ...] = ()) -> Json:
    return apply(service, set_traffic(ROUTING, service, percent, RULE, mirror=mirror, header_pins=pins))


async def test_in_a_virtual_service_all_that_is_not_ours_is_the_same_at_every_moment_and_comes_back(
    kube: Kube,
) -> None:
    spec = await schema(kube, "virtualservices")

    @SLOW
    @given(virtual_services(spec), st.lists(States, min_size=1, max_size=4))
    def holds(service: Json, states: list[tuple[int, int, tuple[HeaderPin, ...]]]) -> None:
        git = written(service, 0)
        assert bare(git) == bare(service)
        now = git
        for percent, mirror, pins in states:
            now = written(now, percent, mirror, pins)
            assert bare(now) == bare(git)
            assert totals(now) == totals(git)
            assert set_traffic(ROUTING, now, percent, RULE, mirror=mirror, header_pins=pins) == []
        event(f"own routes: {any(str(r.get('name') or '').startswith(OWN) for r in now['spec']['http'])}")
        assert normal(written(now, 0)) == normal(git)

    holds()


async def test_in_a_destination_rule_only_the_hash_in_our_subsets_ever_changes(kube: Kube) -> None:
    spec = await schema(kube, "destinationrules")
    subsets = values_of(spec["properties"]["subsets"]["items"])

    @st.composite
    def rules(draw: st.DrawFn) -> Json:
        result = draw(values_of(spec))
        made = [{**draw(subsets), "name": name} for name in ("stable", "canary", "debug")]
        for one in made:
            one["labels"] = draw(st.sampled_from([{"app": "web"}, {"app": "web", "x~/y": "1"}]))
        spec_made = {**result, "host": "web", "subsets": draw(st.permutations(made))}
        return {"metadata": {"name": "web", "resourceVersion": "1"}, "spec": spec_made}

    @SLOW
    @given(rules(), st.sampled_from([None, "aaa"]), st.sampled_from([None, "bbb"]))
    def holds(rule: Json, stable: str | None, canary: str | None) -> None:
        away = apply(rule, pin(ROUTING, rule, stable, canary))
        wanted = {"stable": stable, "canary": canary, "debug": None}
        for before, after in zip(rule["spec"]["subsets"], away["spec"]["subsets"], strict=True):
            revision = wanted[before["name"]]
            marked = {**before["labels"], **({HASH_LABEL: revision} if revision else {})}
            assert after == {**before, "labels": marked}
        assert {**away["spec"], "subsets": None} == {**rule["spec"], "subsets": None}
        assert apply(away, pin(ROUTING, away, None, None)) == rule

    holds()
