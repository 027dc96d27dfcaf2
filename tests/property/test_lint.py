"""Whatever is in the files: a linter that fails says nothing of the other mistakes."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from rollout_controller.cli.lint import lint
from rollout_controller.cli.manifests import read_manifests
from rollout_controller.core.patch import Json
from tests.support.findings import named, ruled
from tests.support.istio_objects import deployment, half, route, service, to, virtual_service

OBJECTS: list[Json] = [
    {
        "apiVersion": "rollout-controller.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "workload": {"deployment": "web"},
            "traffic": {
                "istio": {
                    "virtualServices": [{"name": "web"}],
                    "destinationRule": {"name": "web", "stableSubset": "stable", "canarySubset": "canary"},
                }
            },
            "strategy": {"canary": {"steps": [{"weight": 5}, {"weight": 100}]}},
            "analysis": {"checks": [{"errorRate": {"max": "1%"}}]},
        },
    },
    virtual_service(
        route(to("stable"), match=[{"uri": {"prefix": "/a"}, "headers": {"x": {"exact": "b"}}}]),
        {**half(100, 0), "retries": {"attempts": 3}, "mirror": {"host": "web", "subset": "canary"}},
    ),
    {**virtual_service(half(100, 0), name="other"), "spec": {"hosts": ["web"], "gateways": ["edge", "mesh"]}},
    ruled(
        {"name": "stable", "labels": {"app": "web"}, "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
        {"name": "canary"},
        trafficPolicy={
            "outlierDetection": {"maxEjectionPercent": 100},
            "portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}],
        },
    ),
    deployment(),
    service({"app": "web"}),
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"istio.io/rev": "a"}}},
    {"apiVersion": "networking.istio.io/v1", **named("Gateway", "edge", servers=[{"hosts": ["shop/*"]}])},
    {"apiVersion": "networking.istio.io/v1", **named("ServiceEntry", "vm", hosts=["vm.example"])},
    {
        "apiVersion": "security.istio.io/v1",
        **named(
            "PeerAuthentication",
            "default",
            mtls={"mode": "STRICT"},
            selector={"matchLabels": {"app": "web"}},
        ),
    },
    {
        "apiVersion": "autoscaling/v2",
        **named(
            "HorizontalPodAutoscaler",
            "web",
            scaleTargetRef={"kind": "Deployment", "name": "web"},
            metrics=[{"type": "Resource"}],
        ),
    },
]

values: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, -1, 1.5, "", "web", [], [None], ["web"], [{}], {}, {"a": None}, {"a": [1]}]
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in below for found in _paths(item, (*path, key)))]


def _changed(objects: list[Json], path: tuple[Any, ...], value: Any) -> list[Json]:
    changed: Any = deepcopy(objects)
    target = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    found: list[Json] = changed
    return found


@given(st.sampled_from([path for path in _paths(OBJECTS) if path]), values)
def test_any_value_in_any_place_is_judged_without_a_fault(path: tuple[Any, ...], value: Any) -> None:
    text = yaml.safe_dump_all(_changed(OBJECTS, path, value))
    found = lint(read_manifests(["-"], [text]), "shop")
    event(f"errors: {bool(found.count('error'))}")
    lines = text.count("\n")
    assert all(0 < report.line <= lines and str(report.finding) for report in found.reports)


def test_the_objects_are_sound_before_they_are_changed() -> None:
    text = "---\n".join(json.dumps(obj) + "\n" for obj in OBJECTS)
    found = lint(read_manifests(["-"], [text]), "shop")
    assert {report.finding.code for report in found.reports} == {
        "CanaryMayBeEjected",
        "ConflictingVirtualService",
        "MissingDestination",
        "MtlsConflict",
        "RetriesMultiplyLoad",
        "AutoscalerCountsCanary",
    }
