"""What the cache keeps of an object: all where it is patched or compared, little where there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from rollout_controller.ports import Json, Kind

_POD_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "labels",
    "creationTimestamp",
    "deletionTimestamp",
    "ownerReferences",
)

_STATES: Final = {"waiting": ("reason", "message"), "terminated": ("exitCode", "reason")}
_COUNTING: Final = frozenset({"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"})
"""Reasons of which nobody reads the message, and which comes with another one at every try."""

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""A whole manifest in an annotation."""


def _picked(source: Any, fields: Iterable[str]) -> Json:
    return {name: source[name] for name in fields if name in source} if isinstance(source, dict) else {}


def _pod(pod: Json) -> Json:
    status = pod.get("status") or {}
    conditions = [
        _picked(c, ("type", "status", "lastTransitionTime", *_why(c))) for c in status.get("conditions") or ()
    ]
    containers = {
        field: [_picked(container, ("name",)) for container in listed or ()]
        for field, listed in _picked(pod.get("spec"), ("containers", "initContainers")).items()
    }
    return {
        "metadata": _picked(pod.get("metadata"), _POD_METADATA),
        "spec": containers,
        "status": {**_picked(status, ("phase", "podIP")), **_unready(status), "conditions": conditions},
    }


def _why(condition: Json) -> tuple[str, ...]:
    """Why a pod has no node is told by the condition alone."""
    return ("reason", "message") if condition.get("type") == "PodScheduled" else ()


def _unready(status: Json) -> Json:
    """The states of containers that are not ready: of most pods there are none."""
    listed = _picked(status, ("containerStatuses", "initContainerStatuses"))
    unready = {field: [c for c in found or () if c.get("ready") is False] for field, found in listed.items()}
    return {field: [_container_status(c) for c in found] for field, found in unready.items() if found}


def _container_status(container: Json) -> Json:
    """Without times and counts, so that a container which keeps ending wakes as few as can be."""
    kept = _picked(container, ("name", "image", "ready"))
    for field in ("state", "lastState"):
        told = {
            state: _picked(container[field][state], wanted)
            for state, wanted in _STATES.items()
            if (container.get(field) or {}).get(state)
        }
        if told.get("waiting", {}).get("reason") in _COUNTING:
            told["waiting"].pop("message", None)
        if told:
            kept[field] = told
    return kept


def _service(service: Json) -> Json:
    """With who wrote the selector, which is ours in host mode, and with the kind, which lists leave out."""
    metadata = service.get("metadata") or {}
    kept = _picked(metadata, ("name", "namespace", "uid", "resourceVersion", "labels"))
    if marks := {k: v for k, v in (metadata.get("annotations") or {}).items() if k != _LAST_APPLIED}:
        kept["annotations"] = marks
    if writers := [entry for entry in metadata.get("managedFields") or () if _wrote_selector(entry)]:
        kept["managedFields"] = writers
    spec = _picked(service.get("spec"), ("selector", "ports", "type"))
    return {"kind": Kind.SERVICE.title, "metadata": kept, "spec": spec}


def _wrote_selector(entry: Json) -> bool:
    return "f:selector" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})


def _endpoint_slice(endpoint_slice: Json) -> Json:
    metadata = _picked(
        endpoint_slice.get("metadata"), ("name", "namespace", "uid", "resourceVersion", "labels")
    )
    endpoints = [
        {
            "conditions": _picked(endpoint.get("conditions"), ("ready",)),
            "targetRef": _picked(endpoint.get("targetRef"), ("kind", "name")),
        }
        for endpoint in endpoint_slice.get("endpoints") or ()
    ]
    return {"metadata": metadata, "endpoints": endpoints}


def _unmanaged(obj: Json) -> Json:
    metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}
    return {**obj, "metadata": metadata}


def _without_status(obj: Json) -> Json:
    return {field: value for field, value in _unmanaged(obj).items() if field != "status"}


def _namespace(namespace: Json) -> Json:
    """As an object in itself, like any other."""
    metadata = _picked(namespace.get("metadata"), ("name", "uid", "resourceVersion", "labels"))
    return {"metadata": {**metadata, "namespace": metadata["name"]}}


_TRIMS: Final[dict[Kind, Callable[[Json], Json]]] = {
    Kind.POD: _pod,
    Kind.SERVICE: _service,
    Kind.ENDPOINT_SLICE: _endpoint_slice,
    Kind.REPLICA_SET: _unmanaged,
    Kind.GATEWAY: _without_status,
    Kind.SERVICE_ENTRY: _without_status,
    Kind.PEER_AUTHENTICATION: _without_status,
    Kind.AUTOSCALER: _without_status,
    Kind.NAMESPACE: _namespace,
}


def trim(kind: Kind, obj: Json) -> Json:
    """The part of an object that the cache keeps; the object itself is left as it is."""
    shorten = _TRIMS.get(kind)
    return shorten(obj) if shorten else obj
