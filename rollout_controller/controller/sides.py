"""The two Deployments that serve in turn, their ReplicaSets and pods, as one `Workload`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from rollout_controller.controller.snapshot import Snapshot
from rollout_controller.controller.trouble import trouble_of
from rollout_controller.controller.workload import images_of, serves
from rollout_controller.core.release import Facts, Hash
from rollout_controller.core.template import HASH_LABEL, same_template
from rollout_controller.core.world import Part, Pods, Side, Sides, Workload
from rollout_controller.istio.sides import side_labels
from rollout_controller.ports import Json


@dataclass(frozen=True, slots=True)
class _Seen:
    """One of the two, with what is its own; `labels` are those by which the mesh finds its pods."""

    name: str
    deployment: Json | None
    sets: tuple[Json, ...]
    pods: tuple[Json, ...]
    labels: Mapping[str, str]

    @property
    def replicas(self) -> int:
        replicas: int = self.deployment["spec"].get("replicas", 1) if self.deployment is not None else 0
        return replicas

    @property
    def revision(self) -> Hash:
        """The hash of the ReplicaSet that has the present template, "" while there is none.

        Both templates are read now: a field that a newer API server fills in makes no new revision.
        """
        if self.deployment is None:
            return ""
        wanted = self.deployment["spec"]["template"]
        return next((_hash(one) for one in self.sets if same_template(one["spec"]["template"], wanted)), "")

    @property
    def synced(self) -> bool:
        """Whether the Deployment controller has seen what it is to do."""
        if self.deployment is None:
            return True
        seen: int = (self.deployment.get("status") or {}).get("observedGeneration", 0)
        asked: int = self.deployment["metadata"].get("generation", 0)
        return seen >= asked

    def of(self, revision: Hash | None) -> list[Json]:
        """The pods of a revision; None: all."""
        return [pod for pod in self.pods if revision is None or _hash(pod) == revision]

    def side(self, listed: Collection[str]) -> Side:
        """`listed` are the pods that the proxies know: such a one is sent requests though it is to end."""
        present = self.revision
        others = [
            pod
            for pod in self.pods
            if _hash(pod) != present
            and not _ended(pod)
            and ("deletionTimestamp" not in pod["metadata"] or pod["metadata"]["name"] in listed)
        ]
        return Side(self.name, present, len(others))


def read_sides(snapshot: Snapshot, facts: Facts) -> Workload | None:
    """The workload, None while Deployments or ReplicaSets could not be read."""
    pair = snapshot.routing.deployments
    if pair is None or {Part.DEPLOYMENT, Part.REPLICA_SETS} & snapshot.unread:
        return None
    serving, idle = _seen(snapshot)
    listed = frozenset().union(*(snapshot.endpoints or {}).values())
    sides = Sides(serving.side(listed), idle.side(listed))
    accepted = dict(facts.accepted).get(idle.name)
    known = sides.idle.revision == accepted and facts.stable is not None
    released = idle.deployment if facts.canary is not None else serving.deployment
    return Workload(
        replicas=serving.replicas or idle.replicas or 1,  # none at all would make a release of nothing
        max_surge=0,
        paused=True,
        held=False,
        labelled=True,
        synced=serving.synced and idle.synced,
        target=(facts.stable or "") if known else sides.idle.revision,
        stable=_pods(snapshot, serving, serving.name, serving.pods) if serving.deployment else None,
        canary=_canary(snapshot, facts, idle, sides.idle),
        image=images_of(released) if released is not None else "",
        sides=sides,
        namespace=snapshot.rollout["metadata"]["namespace"],
        name=idle.name,
    )


def serving_sets(snapshot: Snapshot) -> list[str]:
    """The names of the serving Deployment's ReplicaSets that have pods."""
    serving, _ = _seen(snapshot)
    return sorted({_owner(pod) for pod in serving.pods})


def _seen(snapshot: Snapshot) -> tuple[_Seen, _Seen]:
    labels = side_labels(snapshot.routing, snapshot.destination_rule, snapshot.selectors.values())
    serving, idle = (
        _one(snapshot, name, deployment, wanted or {})
        for name, deployment, wanted in zip(
            snapshot.routing.deployments or (), snapshot.sides, labels, strict=True
        )
    )
    return serving, idle


def _one(snapshot: Snapshot, name: str, deployment: Json | None, labels: Mapping[str, str]) -> _Seen:
    uid = deployment["metadata"]["uid"] if deployment is not None else None
    sets = {
        one["metadata"]["name"]: one
        for one in snapshot.replica_sets.values()
        if any(o.get("controller") and o.get("uid") == uid for o in one["metadata"]["ownerReferences"])
    }
    pods = tuple(pod for pod in snapshot.pods if _owner(pod) in sets)
    return _Seen(name, deployment, tuple(sets.values()), pods, labels)


def _canary(snapshot: Snapshot, facts: Facts, idle: _Seen, side: Side) -> Pods | None:
    """The idle side's pods that are in release.

    Before the first stage none counts as ready while others of this side would be sent requests with them.
    """
    if idle.deployment is None or facts.canary is None:
        return None
    pods = _pods(snapshot, idle, facts.canary, idle.of(facts.canary))
    mixed = facts.stage < 0 and side.others > 0
    if mixed:
        return replace(pods, of="us", ready_endpoints=0, current=False)
    return pods


def _pods(snapshot: Snapshot, one: _Seen, revision: Hash, pods: tuple[Json, ...] | list[Json]) -> Pods:
    """Pods of one of the two as if of one ReplicaSet, under this revision."""
    ready = sum(serves(snapshot, pod, one.labels) for pod in pods)
    existing = sum(not _ended(pod) for pod in pods)
    status = (one.deployment or {}).get("status") or {}
    return Pods(
        hash=revision,
        name=one.name,
        of="deployment" if revision == one.name else "us",
        spec=one.replicas,
        available=status.get("availableReplicas", 0),
        ready_endpoints=ready,
        existing=existing,
        current=revision == one.name,
        trouble=min(filter(None, map(trouble_of, pods)), default=""),
    )


def _owner(pod: Json) -> str:
    owners = pod["metadata"].get("ownerReferences") or []
    return next((str(o["name"]) for o in owners if o.get("controller")), "")


def _hash(obj: Json) -> Hash:
    return (obj["metadata"].get("labels") or {}).get(HASH_LABEL) or ""


def _ended(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
