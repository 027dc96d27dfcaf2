"""The CRD on a real API server: accepted, filled in, shown, and guarding a release that runs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.localcluster.cluster import LocalCluster
from e2e.tests.crd_objects import rollout
from e2e.tests.install import install_crd
from e2e.tests.kubectl import Kubectl
from e2e.tests.support import Namespace
from rollout_controller.api import RUNNING_PHASES, RolloutStatus, parse_spec

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", autouse=True)
def crd(cluster: LocalCluster) -> None:
    install_crd(Kubectl.of(cluster, "default"))


@pytest.fixture
def kubectl(cluster: LocalCluster, namespace: Namespace) -> Kubectl:
    return Kubectl.of(cluster, namespace.name)


def applied(kubectl: Kubectl, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    kubectl("apply", "-f", "-", stdin=rollout(changes))
    return kubectl.get("rollout/web")


def write_status(kubectl: Kubectl, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    kubectl("patch", "rollout/web", "--subresource=status", "--type=merge", "-p", patch)


def paths(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields; elements of a list are at `path[]`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from paths(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{path}[]")


def test_the_api_server_accepts_the_definition_without_reservations(kubectl: Kubectl) -> None:
    crd = kubectl.get("crd/rollouts.rollout-controller.dev")
    conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


def test_defaults_are_filled_in_where_everyone_sees_them(kubectl: Kubectl) -> None:
    spec = applied(kubectl)["spec"]
    assert spec["strategy"]["canary"] == {
        "minPods": 2,
        "steps": [{"weight": weight} for weight in (5, 10, 25, 50, 100)],
    }
    analysis = {key: value for key, value in spec["analysis"].items() if key != "checks"}
    assert analysis == {
        "interval": "10s",
        "window": "1m",
        "warmup": "30s",
        "minRequests": 20,
        "failureLimit": 2,
        "inconclusive": {"after": "5m", "then": "Pause"},
    }
    rest = {key: spec[key] for key in spec if key not in {"workload", "traffic", "strategy", "analysis"}}
    assert rest == {
        "minDuration": "1m",
        "maxDuration": "30m",
        "bake": "5m",
        "drain": "30s",
        "progressDeadline": "10m",
        "rollbackWindow": 3,
        "paused": False,
    }


def test_the_defaults_of_the_api_server_are_those_of_the_models(kubectl: Kubectl) -> None:
    stored = applied(kubectl, {"analysis.inconclusive": {"then": "Revert"}})["spec"]
    assert parse_spec(stored) == parse_spec(rollout({"analysis.inconclusive": {"then": "Revert"}})["spec"])


def test_every_field_comes_back_as_it_was_applied(kubectl: Kubectl) -> None:
    changes: dict[str, Any] = {
        "strategy.canary": {
            "pin": [
                {"headers": {"x-canary": {"exact": "true"}, "x-user": {"prefix": "beta-"}}},
                {"headers": {"x-region": {"regex": "eu-.*"}}},
            ],
            "minPods": 1,
            "steps": [
                {"weight": 0, "scale": 10, "minDuration": "500ms"},
                {"mirror": 20},
                {"weight": 20, "mirror": 5, "scale": 20},
                {"weight": 50, "scale": 50, "approval": True},
                {"weight": 50, "approval": False},
                {"weight": 100, "scale": 100},
            ],
        },
        "analysis.interval": "1s",
        "analysis.window": "1s",
        "analysis.warmup": "0s",
        "analysis.inconclusive": {"after": "1h", "then": "Revert"},
        "analysis.checks": [{"errorRate": {"max": "0%"}}, {"latency": {"quantile": 0.5, "max": "1ms"}}],
        "bake": "1h30m",
        "maxDuration": "999999h",
        "rollbackWindow": 10,
        "paused": True,
    }
    stored = applied(kubectl, changes)["spec"]
    asked = rollout(changes)["spec"]
    assert {key: stored[key] for key in asked} == asked | {"analysis": stored["analysis"]}
    assert {key: stored["analysis"][key] for key in asked["analysis"]} == asked["analysis"]


def test_blue_green_over_two_services_comes_back_with_its_defaults(kubectl: Kubectl) -> None:
    istio = {
        "virtualServices": [
            {
                "name": "web",
                "tlsRoutes": [{"sniHosts": ["a.example", "b.example"]}, {"port": 443, "sniHosts": ["c"]}],
                "tcpRoutes": [{"port": 5432}],
            }
        ],
        "services": {"stable": "web", "canary": "web-canary"},
    }
    preview = [{"headers": {"x-preview": {"exact": "true"}}}]
    blue_green = {"preview": preview, "mirror": 10, "minDuration": "2m", "approval": True}
    changes = {"traffic.istio": istio, "strategy": {"blueGreen": blue_green}}
    stored = applied(kubectl, changes)["spec"]
    assert stored["traffic"]["istio"] == istio
    assert stored["strategy"] == {"blueGreen": {**blue_green, "scale": 100}}
    stored = applied(kubectl, {"strategy": {"blueGreen": {}}})["spec"]
    assert stored["strategy"] == {"blueGreen": {"mirror": 0, "scale": 100, "approval": False}}
    assert parse_spec(stored) == parse_spec(rollout({"strategy": {"blueGreen": {}}})["spec"])


def test_the_columns_tell_where_a_release_is(kubectl: Kubectl) -> None:
    applied(kubectl)
    status = {
        "phase": "Progressing",
        "step": "3/5",
        "weight": 25,
        "verdict": {"result": "pass"},
        "stable": "6444769cf",
        "canary": "7d9f8c5b6",
        "message": "step 3/5 at 25 %",
    }
    write_status(kubectl, status)
    header, row = kubectl("get", "rlt").splitlines()
    assert header.split() == ["NAME", "PHASE", "STEP", "WEIGHT", "VERDICT", "AGE"]
    assert row.split()[:5] == ["web", "Progressing", "3/5", "25", "pass"]
    header, row = kubectl("get", "rlt", "-o", "wide").splitlines()
    assert header.split()[5:] == ["AGE", "STABLE", "CANARY", "MESSAGE"]
    assert row.split()[6:] == ["6444769cf", "7d9f8c5b6", "step", "3/5", "at", "25", "%"]


def test_a_status_is_stored_without_loss(kubectl: Kubectl) -> None:
    applied(kubectl)
    raw = {
        "observedGeneration": 1,
        "workload": {"observedGeneration": 3, "image": "web:2"},
        "phase": "Progressing",
        "message": "step 1/1 at 5 %",
        "step": "1/1",
        "weight": 5,
        "stable": "6444769cf",
        "canary": "7d9f8c5b6",
        "stage": {
            "index": 0,
            "name": "step 1",
            "since": "2026-03-04T05:06:07.891234Z",
            "reached": 5,
            "granted": 2,
            "approved": "step",
            "waitingSince": "2026-03-04T05:06:08.000001Z",
            "started": "2026-03-04T05:00:00Z",
            "loweredTo": 3,
            "shortages": 1,
            "corrections": 1,
            "corrected": "VirtualService shop/web",
            "fed": True,
            "interference": "argocd-controller applied routes at 05:06:07",
            "advice": "Argo CD: ignore the weights",
            "strayed": True,
        },
        "plan": [
            {
                "name": "step 1",
                "weight": 100,
                "scale": 100,
                "minPods": 2,
                "minDuration": "1m",
                "gate": True,
                "approval": False,
                "mirror": 20,
            }
        ],
        "pins": [{"headers": [{"name": "x-canary", "how": "exact", "value": "true"}]}],
        "verdict": {
            "result": "pass",
            "since": "2026-03-04T05:06:09Z",
            "failures": 0,
            "sentence": "error rate 0.2 %",
        },
        "reason": "none",
        "readings": [
            {
                "check": "errorRate",
                "value": "0.2%",
                "stable": "0.1%",
                "limit": "1%",
                "requests": 412,
            }
        ],
        "pausedBy": "Spec",
        "command": "promote=true@17",
        "findings": [
            {
                "severity": "warning",
                "code": "UnroutedPath",
                "object": "Service shop/web",
                "path": "spec.selector",
                "sentence": "selects the canary's pods",
                "fix": "route it",
            }
        ],
        "history": [
            {
                "revision": "6444769cf",
                "outcome": "Promoted",
                "reason": "all steps passed",
                "duration": "12m3s123ms456us",
                "ended": "2026-03-04T04:00:00.5Z",
            }
        ],
        "accepted": [{"deployment": "web-v1", "revision": "5b8f6c7d4"}],
        "previous": ["5b8f6c7d4", "86d7c5f9b"],
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "Progressing",
                "message": "a release runs",
                "lastTransitionTime": "2026-03-04T05:00:00Z",
                "observedGeneration": 1,
            }
        ],
    }
    write_status(kubectl, raw)
    stored = kubectl.get("rollout/web")["status"]
    assert stored == raw
    assert RolloutStatus.model_validate(stored) == RolloutStatus.model_validate(raw)
    # As many fields as the models have: none is left out here, none is lost by the API server.
    dumped = RolloutStatus.model_validate(stored).model_dump(by_alias=True, mode="json")
    assert set(paths(dumped)) == set(paths(raw))


def test_a_write_of_the_object_leaves_the_status_alone(kubectl: Kubectl) -> None:
    applied(kubectl)
    write_status(kubectl, {"phase": "Healthy"})
    changed = kubectl.get("rollout/web")
    changed["status"] = {"phase": "Progressing"}
    changed["spec"]["bake"] = "1s"
    kubectl("replace", "-f", "-", stdin=changed)
    stored = kubectl.get("rollout/web")
    assert (stored["status"]["phase"], stored["spec"]["bake"]) == ("Healthy", "1s")


IMMUTABLE: dict[str, dict[str, Any]] = {
    "spec.workload": {"workload.deployment": "other"},
    "spec.traffic": {"traffic.istio.virtualServices.0.routes": ["other"]},
}


@pytest.mark.parametrize("phase", RUNNING_PHASES)
@pytest.mark.parametrize("path", IMMUTABLE)
def test_what_a_running_release_rests_on_cannot_change(kubectl: Kubectl, phase: str, path: str) -> None:
    applied(kubectl)
    write_status(kubectl, {"phase": phase})
    err = kubectl.refused("apply", "-f", "-", stdin=rollout(IMMUTABLE[path]))
    assert f"{path}: Invalid value: cannot change while a release runs: wait for its end, or take it" in err
    assert "rollout-controller.dev/abort=" in err


@pytest.mark.parametrize("phase", ["Initializing", "Invalid", "Healthy", "Reverted"])
def test_everything_can_change_while_no_release_runs(kubectl: Kubectl, phase: str) -> None:
    applied(kubectl)
    write_status(kubectl, {"phase": phase})
    spec = applied(kubectl, IMMUTABLE["spec.workload"] | IMMUTABLE["spec.traffic"])["spec"]
    assert spec["workload"] == {"deployment": "other"}
    assert spec["traffic"]["istio"]["virtualServices"] == [{"name": "web", "routes": ["other"]}]


def test_what_counts_at_once_can_change_while_a_release_runs(kubectl: Kubectl) -> None:
    applied(kubectl)
    write_status(kubectl, {"phase": "Progressing"})
    spec = applied(kubectl, {"paused": True, "analysis.failureLimit": 3})["spec"]
    assert (spec["paused"], spec["analysis"]["failureLimit"]) == (True, 3)


def test_a_status_is_written_while_a_release_runs(kubectl: Kubectl) -> None:
    applied(kubectl)
    for phase in (*RUNNING_PHASES, "Healthy"):
        write_status(kubectl, {"phase": phase})
        assert kubectl.get("rollout/web")["status"]["phase"] == phase


def test_kubectl_explains_every_field_of_the_analysis(kubectl: Kubectl) -> None:
    text = kubectl("explain", "rollout.spec.analysis")
    assert "Consecutive failing readings that revert." in text
    assert "How far back a reading looks." in text
