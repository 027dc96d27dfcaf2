"""Labels of subsets and Services that the Deployment's selector does not fix to one value."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.patch import Json
from tests.support.findings import codes, everywhere, pod, ruled, told
from tests.support.istio_objects import deployment, service

V1 = ruled({"name": "stable"}, {"name": "canary", "labels": {"version": "v1"}})
REMOVE = "Remove it; the versions are told apart by pod-template-hash."


def test_a_subset_label_that_all_pods_have_beside_the_selector_is_worth_a_word() -> None:
    assert told(destination_rule=V1) == [
        "warning LabelOutsideSelector: DestinationRule shop/web spec.subsets[1].labels.version: v1 is not in"
        f" the selector of Deployment shop/web, so a version without it would get no traffic. {REMOVE}"
    ]


def test_it_is_an_error_while_a_pod_is_without_it() -> None:
    pods = (pod("web-1"), pod("web-0", labels={"app": "web"}))
    [finding] = told(destination_rule=V1, pods=pods, serving=None)
    assert finding.startswith("error LabelOutsideSelector: ")
    assert "so pods that are without it get no traffic" in finding


def test_a_pod_that_goes_needs_no_traffic() -> None:
    gone = pod("web-0", labels={"app": "web"})
    gone["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    assert codes(destination_rule=V1, pods=(gone,), serving=None) == ["warning LabelOutsideSelector"]


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "version", "operator": "In", "values": ["v1", "v2"]},
        {"key": "version", "operator": "Exists"},
        {"key": "version", "operator": "NotIn", "values": ["v0"]},
    ],
)
def test_a_label_that_the_selector_leaves_open_is_outside_of_it(expression: Json) -> None:
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [expression]}
    found = codes(deployment=deployment(selector=selector), destination_rule=V1)
    assert found == ["warning LabelOutsideSelector"]


@pytest.mark.parametrize(
    ("pods", "severity"), [((), "warning"), ((pod("web-0", labels={"app": "web"}),), "error")]
)
def test_the_same_holds_of_a_services_selector(pods: Any, severity: str) -> None:
    services = everywhere(service({"app": "web", "version": "v1"}))
    assert codes(services=services, pods=pods, serving=None) == [f"{severity} LabelOutsideSelector"]
