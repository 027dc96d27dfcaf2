"""The Deployment, its ReplicaSets and their pods, as one `Workload`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rollout_controller.api import names
from rollout_controller.controller.snapshot import Snapshot
from rollout_controller.controller.trouble import trouble_of
from rollout_controller.core.release import Facts
from rollout_controller.core.template import HASH_LABEL, max_surge, same_template, template_hash
from rollout_controller.core.world import Part, Pods, Workload
from rollout_controller.ports import Json


def read_workload(snapshot: Snapshot, facts: Facts) -> Workload | None:
    """The workload, None while Deployment or ReplicaSets could not be read.

    Without Deployment (404) it still tells of canaries of ours: 0 replicas, no target, paused.
    """
    if {Part.DEPLOYMENT, Part.REPLICA_SETS} & snapshot.unread:
        return None
    counted = _count(snapshot, _subset_labels(snapshot))
    deployment = snapshot.deployment
    sets = [_pods(raw, deployment, counted) for raw in snapshot.replica_sets.values()]
    stable = next((p for p in sets if p.hash == facts.stable and p.of == "deployment"), None)
    canary = next((p for p in sets if p.hash == facts.canary and p is not stable), None)
    others = tuple(sorted((p for p in sets if p is not stable and p is not canary), key=lambda p: p.name))
    bereft = counted.get(facts.canary, Count()).existing if canary is None and facts.canary else 0
    namespace, name = snapshot.rollout["metadata"]["namespace"], snapshot.routing.deployment
    if deployment is None:
        gone = Workload(0, 0, True, False, False, True, "", stable, canary, others, bereft=bereft)
        return replace(gone, namespace=namespace, name=name)
    metadata, spec = deployment["metadata"], deployment["spec"]
    current = next((p for p in (stable, canary) if p is not None and p.current), None)
    return Workload(
        replicas=spec.get("replicas", 1),
        max_surge=max_surge(deployment),
        paused=spec.get("paused", False),
        held=names.HELD_BY in (metadata.get("annotations") or {}),
        labelled=(metadata.get("labels") or {}).get(names.LABEL) == snapshot.rollout["metadata"]["name"],
        synced=(deployment.get("status") or {}).get("observedGeneration", 0) >= metadata.get("generation", 0),
        target=current.hash if current is not None else template_hash(spec["template"]),
        stable=stable,
        canary=canary,
        others=others,
        image=images_of(deployment),
        changed_by=_who_paused(deployment),
        bereft=bereft,
        namespace=namespace,
        name=name,
    )


def images_of(deployment: Json) -> str:
    """The images of a Deployment's template."""
    template = deployment["spec"]["template"]
    return ", ".join(c.get("image", "") for c in template.get("spec", {}).get("containers", ()))


def _pods(raw: Json, deployment: Json | None, counted: Mapping[str, Count]) -> Pods:
    metadata, spec = raw["metadata"], raw["spec"]
    revision = (metadata.get("labels") or {}).get(HASH_LABEL) or ""
    owned = any(o.get("controller") for o in metadata.get("ownerReferences") or [])
    of: Literal["deployment", "us"] = "deployment" if owned else "us"
    count = counted.get(revision, Count())
    return Pods(
        hash=revision,
        name=metadata["name"],
        of=of,
        spec=spec.get("replicas", 1),
        available=(raw.get("status") or {}).get("availableReplicas", 0),
        ready_endpoints=count.ready,
        existing=count.existing,
        listed=count.listed,
        selected=count.selected or not count.ready,
        trouble=count.trouble,
        current=deployment is not None and same_template(spec["template"], deployment["spec"]["template"]),
    )


@dataclass(slots=True)
class Count:
    """The pods of a revision, as in `core.world.Pods`; `existing` counts ending ones, too."""

    ready: int = 0
    existing: int = 0
    listed: int = 0
    selected: bool = False
    trouble: str = ""


def _count(snapshot: Snapshot, labels: Mapping[str, str]) -> dict[str, Count]:
    """The pods by revision."""
    counted: dict[str, Count] = {}
    for pod in sorted(snapshot.pods, key=lambda pod: str(pod["metadata"]["name"])):
        own = pod["metadata"].get("labels") or {}
        status = pod.get("status") or {}
        if status.get("phase") in {"Succeeded", "Failed"}:
            continue
        count = counted.setdefault(own.get(HASH_LABEL) or "", Count())
        count.existing += 1
        count.trouble = count.trouble or trouble_of(pod)
        if serves(snapshot, pod, labels):
            known = _listings(snapshot, pod)
            count.ready += 1
            count.listed += all(known)
            count.selected |= bool(known)
    return counted


def serves(snapshot: Snapshot, pod: Json, labels: Mapping[str, str]) -> bool:
    """Whether a pod may be sent requests by a subset, or a Service, that asks for these labels."""
    own, status = pod["metadata"].get("labels") or {}, pod.get("status") or {}
    return (
        "deletionTimestamp" not in pod["metadata"]
        and status.get("phase") not in {"Succeeded", "Failed"}
        and any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
        and labels.items() <= own.items()
        and _known_to_proxies(snapshot, pod)
    )


def _known_to_proxies(snapshot: Snapshot, pod: Json) -> bool:
    """Whether the EndpointSlices have the pod. In host mode those of one Service are enough, for that one
    carries its share; a pod that no Service selects will be known once one does."""
    known = _listings(snapshot, pod)
    return any(known) or not known


def _listings(snapshot: Snapshot, pod: Json) -> list[bool]:
    """For each Service that selects the pod, whether its EndpointSlices list it; without slices it does."""
    name, endpoints = pod["metadata"]["name"], snapshot.endpoints
    if snapshot.routing.services is None:
        return [endpoints is None or any(name in pods for pods in endpoints.values())]
    own = pod["metadata"].get("labels") or {}
    return [
        endpoints is None or service not in endpoints or name in endpoints[service]
        for service, raw in snapshot.selectors.items()
        if ((raw.get("spec") or {}).get("selector") or {"": ""}).items() <= own.items()
    ]


def _subset_labels(snapshot: Snapshot) -> dict[str, str]:
    """The labels that both subsets ask of a pod, the pins apart."""
    rule, routing = snapshot.destination_rule, snapshot.routing
    wanted: dict[str, str] = {}
    if rule is None:
        return wanted
    for subset in (rule.get("spec") or {}).get("subsets") or []:
        if routing.side(subset.get("name")) is not None:
            wanted |= {k: v for k, v in (subset.get("labels") or {}).items() if k != HASH_LABEL}
    return wanted


def _who_paused(deployment: Json) -> str:
    """The field manager that says `paused: false`, "" if none does: a removed pause has no owner."""
    entries: list[dict[str, Any]] = deployment["metadata"].get("managedFields") or []
    says = [e for e in entries if "f:paused" in ((e.get("fieldsV1") or {}).get("f:spec") or {})]
    last = max(says, key=lambda e: e.get("time") or "", default=None)
    return str(last.get("manager") or "") if last else ""
