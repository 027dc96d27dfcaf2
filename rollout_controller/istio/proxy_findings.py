"""Pods without a proxy: their requests are not measured, and in ambient mode not routed by weight either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import DEPLOYMENT, SERVICE, error, title, titled, warning
from rollout_controller.istio.inventory import Inventory

PODS_WITHOUT_SIDECAR: Final = "PodsWithoutSidecar"
SIDECAR_REFUSED: Final = "SidecarRefused"
AMBIENT_WITHOUT_WAYPOINT: Final = "AmbientWithoutWaypoint"

INJECT: Final = "sidecar.istio.io/inject"
REVISION: Final = "istio.io/rev"
INJECTION: Final = "istio-injection"
DATAPLANE_MODE: Final = "istio.io/dataplane-mode"
WAYPOINT: Final = "istio.io/use-waypoint"
PROXY: Final = "istio-proxy"


def proxy_findings(known: Inventory) -> Iterator[Finding]:
    """Findings about the pods' proxies; nothing without the namespace's labels."""
    if known.namespace is None or known.deployment is None:
        return
    if _ambient(known):
        yield from _waypoint_findings(known)
    elif _injected(known):
        yield from _sidecar_findings(known)


def meshed(known: Inventory) -> bool | None:
    """Whether the pods are behind a proxy of the mesh, None if that is not known."""
    if any(has_proxy(pod) for pod in known.pods):
        return True
    if known.namespace is None:
        return None
    return _ambient(known) or (_injected(known) and not _refusal(known))


def has_proxy(pod: Json) -> bool:
    """Whether a pod has a sidecar, as a container or as an init container that keeps running."""
    spec = pod.get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return any(container.get("name") == PROXY for container in containers)


def _sidecar_findings(known: Inventory) -> Iterator[Finding]:
    owner = title(DEPLOYMENT, known.routing, known.routing.deployment)
    namespace = known.routing.namespace
    refusal = _refusal(known)
    if refusal:
        yield error(
            SIDECAR_REFUSED,
            owner,
            refusal,
            "its pods get no sidecar, so their requests are not measured and no release can be judged",
            f"Remove it: namespace {namespace} injects sidecars.",
        )
    elif any("spec" in pod and not has_proxy(pod) for pod in known.pods if _runs(pod)):
        yield warning(
            PODS_WITHOUT_SIDECAR,
            owner,
            "spec.template",
            f"pods of it run without a sidecar, although namespace {namespace} injects them: their requests"
            " are not measured",
            f"Make them anew (kubectl rollout restart -n {namespace} deployment/{known.routing.deployment});"
            " if that does not help, see whether Istio's injector is in force.",
        )


def _waypoint_findings(known: Inventory) -> Iterator[Finding]:
    """In ambient mode weights, and the counts of requests, are a waypoint's work."""
    namespace = known.routing.namespace
    if any(has_proxy(pod) for pod in known.pods):
        return
    for service in known.our_services:
        waypoint = _labels(service).get(WAYPOINT) or _labels(known.namespace).get(WAYPOINT) or "none"
        if waypoint != "none":
            continue
        yield error(
            AMBIENT_WITHOUT_WAYPOINT,
            titled(SERVICE, service),
            f'metadata.labels["{WAYPOINT}"]',
            "the pods are in ambient mode and no waypoint serves them, so nobody splits their requests by"
            " weight and nobody counts them",
            f"Make a waypoint (istioctl waypoint apply -n {namespace} --enroll-namespace), or use sidecars.",
        )


def _runs(pod: Json) -> bool:
    over = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return not over and "deletionTimestamp" not in pod["metadata"]


def _labels(obj: Json | None) -> dict[str, str]:
    return ((obj or {}).get("metadata") or {}).get("labels") or {}


def _ambient(known: Inventory) -> bool:
    mode = known.pod_labels.get(DATAPLANE_MODE) or _labels(known.namespace).get(DATAPLANE_MODE)
    return mode == "ambient"


def _injected(known: Inventory) -> bool:
    """Whether the namespace, or the template in one that says nothing, wants sidecars."""
    labels = _labels(known.namespace)
    if INJECTION in labels:
        return labels[INJECTION] == "enabled"
    return bool(labels.get(REVISION)) or known.pod_labels.get(INJECT) == "true"


def _refusal(known: Inventory) -> str | None:
    """The path by which the template refuses a sidecar, None if it does not. The label counts first."""
    metadata = known.template.get("metadata") or {}
    for field in ("labels", "annotations"):
        said = (metadata.get(field) or {}).get(INJECT)
        if said is not None:
            path = f'spec.template.metadata.{field}["{INJECT}"]'
            return path if said == "false" else None
    return None
