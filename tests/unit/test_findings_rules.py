"""Findings about other DestinationRules for our host, whose subsets proxies follow instead of ours."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.patch import Json
from tests.support.findings import codes, everywhere, routed, ruled, some, told
from tests.support.istio_objects import half

FULL = "web.shop.svc.cluster.local"
PAIR = [{"name": "stable"}, {"name": "canary"}]


def other(
    *subsets: Json, name: str = "other", namespace: str = "shop", created: str = "", **spec: Any
) -> Json:
    return {
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": {"host": FULL, "subsets": list(subsets), **spec},
    }


def ours(created: str = "", **spec: Any) -> Json:
    made = ruled(**spec)
    return {**made, "metadata": {**made["metadata"], "creationTimestamp": created}}


def test_another_rule_with_our_subsets_is_an_error_with_its_cure() -> None:
    assert told(rules=everywhere(ruled(), other(*PAIR))) == [
        "error ConflictingDestinationRule: DestinationRule shop/web spec.host: DestinationRule shop/other"
        f" defines subsets stable and canary of {FULL} as well, and Istio takes those of the older rule: if"
        " that is the other one, weights and a way back do not decide who gets which version. Remove these"
        " subsets there, or the whole rule."
    ]


OLD, NEW = "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("mine", "theirs", "found"),
    [
        (ours(NEW), other(*PAIR, created=OLD), "error"),
        (ours(OLD), other(*PAIR, created=NEW), "warning"),  # until ours is made anew
        (ours(OLD), other(*PAIR, created=OLD), "error"),  # by name: `other` is before `web`
        (ours(OLD), other(*PAIR, created=OLD, name="zebra"), "warning"),
        (ours(), other({"name": "canary"}), "error"),
        (ours(), other({"name": "canary"}, host="web"), "error"),
        (ours(), other({"name": "legacy"}, trafficPolicy={"tls": {"mode": "DISABLE"}}), None),  # merged
        (ours(), other(*PAIR, host="*.shop.svc.cluster.local"), None),  # the exact host comes first
        (ours(), other(*PAIR, host="rates"), None),
        # Rules with another exportTo are not merged: who sees both follows the younger one alone.
        (ours(), other(exportTo=["."]), "error"),
        (ours(OLD), other(exportTo=["."], created=NEW), "error"),
        (ours(NEW), other(exportTo=["."], created=OLD), "warning"),
        (ours(exportTo=["."]), other(*PAIR, exportTo=["pay"]), None),  # nobody sees both
        (ours(exportTo=["."]), other(exportTo=["."]), None),
        # Callers that a workloadSelector chooses follow that rule, whatever its age.
        (ours(OLD), other(*PAIR, created=NEW, workloadSelector={"matchLabels": {"app": "a"}}), "error"),
        (ours(), other(workloadSelector={"matchLabels": {"app": "a"}}), "warning"),
        (ours(exportTo=["."]), other(workloadSelector={"matchLabels": {"app": "a"}}), None),
    ],
)
def test_of_rules_in_one_namespace_the_older_one_is_followed_where_they_are_merged(
    mine: Json, theirs: Json, found: str | None
) -> None:
    told = codes(destination_rule=mine, rules=some(mine, theirs))
    assert told == ([f"{found} ConflictingDestinationRule"] if found else [])


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (other(*PAIR, namespace="pay"), "error"),
        (other({"name": "stable"}, namespace="pay"), "error"),
        (other(namespace="pay"), "warning"),  # 503 for callers there, at rest as well
        (other(namespace="pay", host="*.local"), "warning"),
        (other(*PAIR, namespace="pay", exportTo=["."]), "error"),
        (other(*PAIR, namespace="pay", exportTo=["shop"]), None),  # not for its own callers
        (other(*PAIR, namespace="pay", host="web"), None),  # the Service beside it
        (other(*PAIR, namespace="pay", host="*.pay.svc.cluster.local"), None),
        (other(namespace="istio-system", host="*.local"), None),  # where nothing else is said
        (other(*PAIR, namespace="istio-system", exportTo=["."]), "error"),
    ],
)
def test_callers_of_another_namespace_follow_the_rules_of_their_own(theirs: Json, found: str | None) -> None:
    told = codes(rules=some(theirs))
    assert told == ([f"{found} ConflictingDestinationRule"] if found else [])


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, ["error ConflictingDestinationRule"]),
        ({"exportTo": ["."]}, []),
        ({"gateways": ["edge"], "hosts": ["shop.example"]}, []),
        ({"gateways": ["pay/edge"], "hosts": ["shop.example"]}, ["error ConflictingDestinationRule"]),
    ],
)
def test_a_namespace_that_our_routes_do_not_reach_may_have_rules_of_its_own(
    spec: Json, found: list[str]
) -> None:
    services = routed(half(100, 0), **spec)
    told = codes(virtual_services=services, rules=some(other(*PAIR, namespace="pay")), gateways=some())
    assert told == found


def test_callers_elsewhere_are_named() -> None:
    [finding] = told(rules=some(other(*PAIR, namespace="pay")))
    assert "callers in namespace pay follow DestinationRule pay/other" in finding
    [finding] = told(rules=some(other(namespace="pay", host="*.local")))
    assert "it has no subset stable or canary, so their requests to these get 503" in finding
