"""Two Deployments that serve in turn, read from what the API server has of them."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.api.parse import parse_spec
from rollout_controller.controller.sides import read_sides
from rollout_controller.controller.snapshot import Snapshot
from rollout_controller.core.release import Facts
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio import Routing
from rollout_controller.ports import Json, Kind
from tests.support.two_deployments import shop

OLD, NEW = "old", "new"
(SPEC,) = (rollout["spec"] for rollout in shop().every(Kind.ROLLOUT))


def side(name: str, image: str) -> Json:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
        "spec": {"replicas": 2, "template": template(image)},
        "status": {"observedGeneration": 1, "availableReplicas": 2},
    }


def template(image: str) -> Json:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": image}]}}


def replica_set(owner: str, revision: str) -> Json:
    return {
        "metadata": {
            "name": f"{owner}-{revision}",
            "labels": {HASH_LABEL: revision},
            "ownerReferences": [{"controller": True, "uid": f"uid-{owner}", "name": owner}],
        },
        "spec": {"template": template(revision)},
    }


def pod(owner: str, revision: str, number: int, **metadata: Any) -> Json:
    return {
        "metadata": {
            "name": f"{owner}-{revision}-{number}",
            "labels": {HASH_LABEL: revision, "app": "web"},
            "ownerReferences": [{"controller": True, "name": f"{owner}-{revision}"}],
            **metadata,
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


ENDS = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("ending", "listed", "others"),
    [
        ({}, True, 1),
        ({}, False, 1),
        (ENDS, True, 1),
        (ENDS, False, 0),
    ],
)
def test_a_pod_of_another_template_that_ends_counts_as_long_as_proxies_may_send_it_requests(
    ending: dict[str, str], listed: bool, others: int
) -> None:
    old = pod("web-v2", OLD, 1, **ending)
    pods = [pod("web-v1", "first", 1), old, pod("web-v2", NEW, 1), pod("web-v2", NEW, 2)]
    ready = {one["metadata"]["name"] for one in pods if one is not old or listed}
    spec = parse_spec(SPEC)
    snapshot = Snapshot(
        {"metadata": {"name": "web", "namespace": "shop"}, "spec": SPEC},
        spec,
        Routing.of("shop", "web", spec),
        sides=(side("web-v1", "first"), side("web-v2", NEW)),
        replica_sets={
            one["metadata"]["name"]: one
            for one in (
                replica_set("web-v1", "first"),
                replica_set("web-v2", OLD),
                replica_set("web-v2", NEW),
            )
        },
        pods=pods,
        endpoints={"web": frozenset(ready)},
    )
    workload = read_sides(snapshot, Facts(stable="web-v1", canary=NEW))
    assert workload is not None
    assert workload.sides is not None
    assert workload.sides.idle.others == others
    assert workload.canary is not None
    assert workload.canary.ready_endpoints == (0 if others else 2)
