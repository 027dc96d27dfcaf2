"""What the cache keeps of objects, and what of them it is kept for."""

from __future__ import annotations

from rollout_controller.istio.managers import last_stranger
from rollout_controller.kube.trim import trim
from rollout_controller.ports import Json, Kind

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
OURS = {"fieldsV1": {"f:spec": {"f:selector": {}}}, "manager": "argocd-controller", "operation": "Update"}


def kept(**metadata: object) -> Json:
    named = {"name": "web", "namespace": "shop", **metadata}
    return trim(Kind.SERVICE, {"metadata": named, "spec": {"selector": {"app": "web"}}})


def test_of_a_service_it_is_kept_who_wrote_the_selector() -> None:
    others = {"fieldsV1": {"f:spec": {"f:ports": {}}}, "manager": "helm"}
    service = kept(managedFields=[OURS, others, {"manager": "kubelet"}])
    assert service["metadata"]["managedFields"] == [OURS]
    stranger = last_stranger([(service, "selector")])
    assert stranger is not None
    assert stranger.object == "Service shop/web", "a list of Services does not say their kind"
    assert "managedFields" not in kept()["metadata"]


def test_of_a_services_annotations_the_manifest_is_not_kept() -> None:
    marks = {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}
    assert kept(annotations={**marks, LAST_APPLIED: "{}"})["metadata"]["annotations"] == marks
    assert "annotations" not in kept()["metadata"]
