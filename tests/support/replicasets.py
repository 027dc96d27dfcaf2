"""The ReplicaSet controller, the kubelet and the garbage collector of the simulated world.

Each `..._step` makes the next write that its controller would make, and says whether there was one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from rollout_controller.ports import Json, Kind, Ref
from tests.support.world import FOREGROUND, World, finalizers_of, ref_of, when

RS_CONTROLLER: Final = "replicaset-controller"
GARBAGE_COLLECTOR: Final = "garbage-collector"
KUBELET: Final = "kubelet"
TEMPLATE_HASH: Final = "pod-template-hash"


def controller_of(obj: Json) -> str | None:
    """The uid of the controller that owns an object."""
    owners = obj["metadata"].get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def owner_reference(kind: Kind, owner: Json) -> Json:
    """The reference that makes `owner` the controller of an object."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.title,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def selects(selector: Json, labels: Json | None) -> bool:
    """Whether a selector (matchLabels; nothing here uses expressions) selects these labels."""
    own = labels or {}
    return all(own.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


def alive(obj: Json) -> bool:
    """Whether an object is not being deleted."""
    return "deletionTimestamp" not in obj["metadata"]


def pods_of(world: World, replica_set: Json) -> list[Json]:
    """The pods that a ReplicaSet controls, ending ones included, the oldest first."""
    uid = replica_set["metadata"]["uid"]
    pods = [pod for pod in world.every(Kind.POD) if controller_of(pod) == uid]
    return sorted(pods, key=lambda pod: int(pod["metadata"]["name"].rpartition("-")[2]))


def is_ready(pod: Json) -> bool:
    """Whether a pod is in the endpoints: ready, and not ending."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return alive(pod) and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def replicaset_step(world: World) -> bool:
    """Make or delete one pod, or write one ReplicaSet's status."""
    for replica_set in world.every(Kind.REPLICA_SET):
        pods = pods_of(world, replica_set)
        active = [pod for pod in pods if alive(pod)]
        if alive(replica_set):
            missing = replica_set["spec"].get("replicas", 1) - len(active)
            if missing > 0:
                _make_pod(world, replica_set)
                return True
            if missing < 0:
                victim = min(reversed(active), key=is_ready)
                world.delete(ref_of(Kind.POD, victim), RS_CONTROLLER)
                return True
        if _write_status(world, replica_set, active):
            return True
    return False


def _make_pod(world: World, replica_set: Json) -> None:
    template = replica_set["spec"]["template"]
    metadata = {
        "name": f"{replica_set['metadata']['name']}-{world.version + 1}",
        "namespace": replica_set["metadata"]["namespace"],
        "labels": dict(template["metadata"].get("labels") or {}),
        "ownerReferences": [owner_reference(Kind.REPLICA_SET, replica_set)],
    }
    status = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
    world.create(Kind.POD, {"metadata": metadata, "spec": template["spec"], "status": status}, RS_CONTROLLER)


def _write_status(world: World, replica_set: Json, active: list[Json]) -> bool:
    ready = sum(map(is_ready, active))
    status = {
        "replicas": len(active),
        "fullyLabeledReplicas": len(active),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "observedGeneration": replica_set["metadata"]["generation"],
    }
    if replica_set.get("status") == status:
        return False
    world.update(
        ref_of(Kind.REPLICA_SET, replica_set), {**replica_set, "status": status}, RS_CONTROLLER, status=True
    )
    return True


def images_of(pod: Json) -> set[str]:
    """The images that a pod (or a pod template) runs."""
    return {container["image"] for container in pod["spec"]["containers"]}


def kubelet_due(world: World) -> Iterator[datetime]:
    """When pods will next change by themselves."""
    for pod in world.every(Kind.POD):
        if not alive(pod):
            yield when(pod["metadata"]["deletionTimestamp"])
        elif not is_ready(pod) and not images_of(pod) & world.broken:
            yield when(pod["metadata"]["creationTimestamp"]) + world.readying


def kubelet_step(world: World) -> bool:
    """Let one pod that is due become ready, lose its readiness, or be gone."""
    for pod in world.every(Kind.POD):
        ref = ref_of(Kind.POD, pod)
        if not alive(pod):
            if when(pod["metadata"]["deletionTimestamp"]) <= world.now:
                world.end(ref)
                return True
            continue
        started = when(pod["metadata"]["creationTimestamp"]) + world.readying <= world.now
        ready = started and not images_of(pod) & world.broken
        if ready != is_ready(pod):
            conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
            phase = "Running" if started else "Pending"
            status = {"phase": phase, "conditions": conditions}
            world.update(ref, {**pod, "status": status}, KUBELET, status=True)
            return True
    return False


def garbage_step(world: World) -> bool:
    """Delete one object whose owners are all gone, or let go of an owner that waited for its dependents."""
    existing = {obj["metadata"]["uid"]: obj for kind in Kind for obj in world.every(kind)}
    for kind in (Kind.REPLICA_SET, Kind.POD):
        for obj in world.every(kind):
            owners = obj["metadata"].get("ownerReferences") or []
            kept = [o for o in owners if o["uid"] in existing and not _waits(existing[o["uid"]])]
            if owners and not kept and alive(obj):
                waited_for = any(o["uid"] in existing for o in owners)
                world.delete(
                    ref_of(kind, obj), GARBAGE_COLLECTOR, foreground=waited_for and kind is not Kind.POD
                )
                return True
    for kind in (Kind.ROLLOUT, Kind.DEPLOYMENT, Kind.REPLICA_SET):
        for obj in world.every(kind):
            if _waits(obj) and not any(_blocks(dependent, obj) for dependent in existing.values()):
                _let_go(world, ref_of(kind, obj), obj)
                return True
    return False


def _waits(obj: Json) -> bool:
    return not alive(obj) and FOREGROUND in finalizers_of(obj)


def _blocks(dependent: Json, owner: Json) -> bool:
    return any(
        o["uid"] == owner["metadata"]["uid"] and o.get("blockOwnerDeletion")
        for o in dependent["metadata"].get("ownerReferences") or []
    )


def _let_go(world: World, ref: Ref, obj: Json) -> None:
    kept = [name for name in finalizers_of(obj) if name != FOREGROUND]
    world.update(ref, {**obj, "metadata": {**obj["metadata"], "finalizers": kept}}, GARBAGE_COLLECTOR)
