"""Pod templates and the ReplicaSet made from one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rollout_controller.core.patch import pointer
from rollout_controller.core.template import (
    canary_replica_set,
    hand_over_ops,
    max_surge,
    same_template,
    template_hash,
)
from tests.support.istio_objects import deployment, template
from tests.support.jsonpatch import FailedTest, apply


def resources(**limits: Any) -> dict[str, Any]:
    return template(resources={"limits": limits})


def with_volume(**source: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"volumes": [{"name": "v", **source}]}}


def with_meta(**metadata: Any) -> dict[str, Any]:
    return {**template(), "metadata": metadata}


SAME = [
    (template({"app": "web", "pod-template-hash": "abc"}), template({"app": "web"})),
    (template({"pod-template-hash": "abc"}), template({})),
    (with_meta(labels={}), with_meta()),
    (with_meta(labels={}), {"spec": template()["spec"]}),
    (with_meta(labels={"app": "web"}, annotations={}), with_meta(labels={"app": "web"})),
    (with_meta(labels={"app": "web"}, creationTimestamp=None), with_meta(labels={"app": "web"})),
    (resources(memory="1Gi"), resources(memory="1073741824")),
    (resources(memory="1Gi"), resources(memory="1024Mi")),
    (resources(cpu="1"), resources(cpu="1000m")),
    (resources(cpu="0.5"), resources(cpu="500m")),
    (resources(cpu="2k"), resources(cpu="2e3")),
    (resources(cpu=1), resources(cpu="1")),
    (with_volume(emptyDir={"sizeLimit": "1Gi"}), with_volume(emptyDir={"sizeLimit": "1024Mi"})),
    (
        template(env=[{"valueFrom": {"resourceFieldRef": {"divisor": "1"}}}]),
        template(env=[{"valueFrom": {"resourceFieldRef": {"divisor": "1000m"}}}]),
    ),
]
DIFFERENT = [
    (template(image="web:1"), template(image="web:2")),
    (template({"app": "web"}), template({"app": "web", "version": "v1"})),
    (with_meta(annotations={"restartedAt": "1"}), with_meta(annotations={"restartedAt": "2"})),
    (resources(memory="1Gi"), resources(memory="1G")),
    (resources(cpu="1"), resources(cpu="1m")),
    (template(env=[{"name": "LIMIT", "value": "1000m"}]), template(env=[{"name": "LIMIT", "value": "1"}])),
    (template(args=["a", "b"]), template(args=["b", "a"])),
    (template(securityContext={}), template()),
    (template(tty=True), template(tty=1)),
    (with_volume(configMap={"sizeLimit": "1Gi"}), with_volume(configMap={"sizeLimit": "1024Mi"})),
    (resources(cpu="one"), resources(cpu="two")),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_templates_that_the_deployment_controller_takes_for_one_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert same_template(one, other)
    assert template_hash(one) == template_hash(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_templates_that_give_different_pods_are_not_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert not same_template(one, other)
    assert template_hash(one) != template_hash(other)


def test_a_hash_does_not_depend_on_the_order_of_keys() -> None:
    one = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"x": 1, "y": 2}}
    other = {"spec": {"y": 2, "x": 1}, "metadata": {"labels": {"b": "2", "a": "1"}}}
    assert template_hash(one) == template_hash(other)


def test_a_hash_is_what_a_label_and_a_name_may_hold() -> None:
    hashes = {template_hash(template(image=f"web:{n}")) for n in range(200)}
    assert len(hashes) == 200
    assert all(re.fullmatch("[bcdfghjklmnpqrstvwxz2456789]{10}", value) for value in hashes)


def test_a_hash_stays_what_it_was_in_earlier_versions() -> None:
    assert template_hash(template()) == "ckctv2z584"


def test_comparing_changes_neither_template() -> None:
    one, other = template({"app": "web", "pod-template-hash": "abc"}), template({"app": "web"})
    same_template(one, other)
    assert one == template({"app": "web", "pod-template-hash": "abc"})
    assert other == template({"app": "web"})


def test_the_canary_runs_the_deployments_template_under_its_hash() -> None:
    made = canary_replica_set(deployment(minReadySeconds=5), "abc", 3, "shop-web")
    assert made == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": "web-abc",
            "namespace": "shop",
            "labels": {"rollout-controller.dev/rollout": "shop-web", "pod-template-hash": "abc"},
        },
        "spec": {
            "replicas": 3,
            "minReadySeconds": 5,
            "selector": {"matchLabels": {"app": "web", "pod-template-hash": "abc"}},
            "template": template({"app": "web", "version": "v1", "pod-template-hash": "abc"}),
        },
    }


def test_the_canary_keeps_fields_of_the_template_that_nobody_here_knows() -> None:
    known = template()
    known["spec"]["fromTheFuture"] = {"a": [1, None]}
    made = canary_replica_set(deployment(template=known), "abc", 1, "web")
    assert made["spec"]["template"]["spec"] == known["spec"]


def test_the_canary_has_no_label_by_which_the_deployment_would_adopt_it() -> None:
    parent = deployment(
        selector={
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "Exists"}],
        },
        template=template({"app": "web", "tier": "front"}),
    )
    made = canary_replica_set(parent, "abc", 1, "web")
    assert {"app", "tier"}.isdisjoint(made["metadata"]["labels"])
    assert "ownerReferences" not in made["metadata"]
    assert made["spec"]["selector"] == {
        "matchLabels": {"app": "web", "pod-template-hash": "abc"},
        "matchExpressions": [{"key": "tier", "operator": "Exists"}],
    }


def test_the_canary_shares_nothing_with_the_deployment() -> None:
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}
    parent = deployment(selector=selector)
    made = canary_replica_set(parent, "abc", 1, "web")
    made["spec"]["template"]["spec"]["containers"][0]["image"] = "changed"
    made["spec"]["selector"]["matchLabels"]["app"] = "changed"
    made["spec"]["selector"]["matchExpressions"][0]["key"] = "changed"
    assert parent == deployment(selector=selector)


def created(parent: dict[str, Any]) -> dict[str, Any]:
    made = canary_replica_set(parent, "abc", 10, "web")
    made["metadata"]["resourceVersion"] = "12"
    return made


def test_the_hand_over_makes_the_canary_the_deployments_own_saturated_replica_set() -> None:
    parent = deployment()
    given = apply(created(parent), hand_over_ops(created(parent), parent, 10, 3))
    assert given["metadata"] == {
        "name": "web-abc",
        "namespace": "shop",
        "resourceVersion": "12",
        "labels": {"rollout-controller.dev/rollout": "web", "pod-template-hash": "abc", "app": "web"},
        "annotations": {
            "deployment.kubernetes.io/desired-replicas": "10",
            "deployment.kubernetes.io/max-replicas": "13",
        },
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": "web",
                "uid": "u-1",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    assert given["spec"] == created(parent)["spec"]


def test_the_hand_over_fits_a_selector_with_expressions_and_slashes_in_its_keys() -> None:
    parent = deployment(
        selector={
            "matchLabels": {"app.kubernetes.io/name": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "legacy", "operator": "DoesNotExist"},
            ],
        },
        template=template({"app.kubernetes.io/name": "web", "tier": "front", "version": "v2"}),
    )
    given = apply(created(parent), hand_over_ops(created(parent), parent, 10, 3))
    assert given["metadata"]["labels"] == {
        "rollout-controller.dev/rollout": "web",
        "pod-template-hash": "abc",
        "app.kubernetes.io/name": "web",
        "tier": "front",
    }


def test_the_hand_over_leaves_what_others_wrote_beside_it() -> None:
    parent = deployment()
    canary = created(parent)
    canary["metadata"]["annotations"] = {"team": "checkout"}
    canary["metadata"]["ownerReferences"] = [{"kind": "Thing", "name": "t", "uid": "u-2"}]
    given = apply(canary, hand_over_ops(canary, parent, 4, 1))
    assert given["metadata"]["annotations"] == {
        "team": "checkout",
        "deployment.kubernetes.io/desired-replicas": "4",
        "deployment.kubernetes.io/max-replicas": "5",
    }
    assert [owner["kind"] for owner in given["metadata"]["ownerReferences"]] == ["Thing", "Deployment"]


def test_the_hand_over_rests_on_the_replica_set_that_was_read() -> None:
    parent = deployment()
    ops = hand_over_ops(created(parent), parent, 10, 3)
    moved_on = created(parent)
    moved_on["metadata"]["resourceVersion"] = "13"
    with pytest.raises(FailedTest):
        apply(moved_on, ops)


@pytest.mark.parametrize(
    ("spec", "surge"),
    [
        ({"replicas": 10}, 3),
        ({"replicas": 4}, 1),
        ({"replicas": 1}, 1),
        ({"replicas": 0}, 0),
        ({"replicas": 10, "strategy": {}}, 3),
        ({"replicas": 10, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}}, 3),
        ({"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": 2}}}, 2),
        ({"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": 0}}}, 0),
        ({"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": "0%"}}}, 0),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": "34%"}}}, 2),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": "100%"}}}, 3),
        ({"replicas": 3, "strategy": {"type": "Recreate"}}, 0),
    ],
)
def test_max_surge_is_rounded_up_as_the_deployment_controller_does(spec: dict[str, Any], surge: int) -> None:
    assert max_surge(deployment(**spec)) == surge


def test_max_surge_of_a_deployment_that_names_no_replicas_is_that_of_one() -> None:
    parent = deployment()
    del parent["spec"]["replicas"]
    assert max_surge(parent) == 1


@pytest.mark.parametrize(
    ("segments", "text"),
    [(("a", 0, "b"), "/a/0/b"), (("a/b",), "/a~1b"), (("a~b",), "/a~0b"), (("~1",), "/~01"), ((), "")],
)
def test_a_pointer_escapes_what_would_be_read_otherwise(segments: tuple[str | int, ...], text: str) -> None:
    assert pointer(*segments) == text
