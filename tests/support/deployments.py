"""The Deployment controller of the simulated world, step for step as kube-controller-manager 1.36 has it.

`deployment_step` makes the next write that the controller would make. What it must get right for a canary
beside a Deployment: which ReplicaSet it takes for the new one, what it adopts, what a paused Deployment
still scales, and what it creates and rolls once it is not paused.
"""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from rollout_controller.ports import AlreadyExists, Json, Kind, Ref
from tests.support.replicasets import (
    TEMPLATE_HASH,
    alive,
    controller_of,
    owner_reference,
    pods_of,
    selects,
)
from tests.support.world import World, ref_of

CONTROLLER: Final = "kube-controller-manager"
REVISION: Final = "deployment.kubernetes.io/revision"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MAXIMUM: Final = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED: Final = frozenset(
    {REVISION, DESIRED, MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration"}
)


def deployment_step(world: World) -> bool:
    """The next write of the Deployment controller for any Deployment; False if there is none to make."""
    return any(_Sync(world, deployment).step() for deployment in world.every(Kind.DEPLOYMENT))


def same_but_hash(one: Json, other: Json) -> bool:
    """EqualIgnoreHash: whether two pod templates are the same, `pod-template-hash` apart."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Json) -> Json:
    labels = {k: v for k, v in (template["metadata"].get("labels") or {}).items() if k != TEMPLATE_HASH}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def native_hash(template: Json, collisions: int = 0) -> str:
    """A hash of a template as the Deployment controller would give it: its own, never ours."""
    text = f"{sorted(_flat(_without_hash(template)))}{collisions or ''}"
    return "n" + hashlib.sha256(text.encode()).hexdigest()[:7]


def _flat(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [line for key, item in value.items() for line in _flat(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [line for index, item in enumerate(value) for line in _flat(item, f"{path}.{index}")]
    return [f"{path}={value!r}"]


def surge_and_unavailable(deployment: Json) -> tuple[int, int]:
    """maxSurge (rounded up) and maxUnavailable (rounded down) in pods; never both 0."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    replicas: int = deployment["spec"].get("replicas", 1)

    def pods(value: int | str, up: int) -> int:
        if isinstance(value, int):
            return value
        return (replicas * int(value.removesuffix("%")) + up) // 100

    surge, unavailable = (
        pods(rolling.get("maxSurge", "25%"), 99),
        pods(rolling.get("maxUnavailable", "25%"), 0),
    )
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _count(replica_set: Json) -> int:
    count: int = replica_set["spec"].get("replicas", 1)
    return count


def _available(replica_set: Json) -> int:
    count: int = (replica_set.get("status") or {}).get("availableReplicas", 0)
    return count


def _noted(replica_set: Json, annotation: str) -> int | None:
    value = (replica_set["metadata"].get("annotations") or {}).get(annotation)
    return None if value is None else int(value)


@dataclass(slots=True)
class _Sync:
    """One syncDeployment: each method answers whether it made a write, after which the sync is over."""

    world: World
    deployment: Json

    @property
    def replicas(self) -> int:
        count: int = self.deployment["spec"].get("replicas", 1)
        return count

    @property
    def surge(self) -> int:
        return surge_and_unavailable(self.deployment)[0]

    def step(self) -> bool:
        if not alive(self.deployment):
            return self._write_status([], None)
        if self._claim():
            return True
        owned = self._owned()
        new = self._find_new(owned)
        old = [rs for rs in owned if rs is not new]
        if new is not None and self._note_revision(new, old):
            return True
        if self.deployment["spec"].get("paused", False) or self._is_scaling(owned):
            return self._scale(new, old) or self._clean_up(old) or self._write_status(owned, new)
        if new is None:
            return self._create(owned)
        return (
            self._scale_new(new, owned)
            or self._scale_old(new, old)
            or self._clean_up(old)
            or self._write_status(owned, new)
        )

    # -- whose is what

    def _all(self) -> list[Json]:
        return self.world.every(Kind.REPLICA_SET, self.deployment["metadata"]["namespace"])

    def _owned(self) -> list[Json]:
        uid = self.deployment["metadata"]["uid"]
        mine = [rs for rs in self._all() if controller_of(rs) == uid]
        return sorted(mine, key=_age)

    def _claim(self) -> bool:
        """Adopt an orphan whose labels the selector selects; let go of what it does not select any more."""
        uid, selector = self.deployment["metadata"]["uid"], self.deployment["spec"]["selector"]
        for rs in self._all():
            owner = controller_of(rs)
            selected = selects(selector, rs["metadata"].get("labels"))
            owners = rs["metadata"].get("ownerReferences") or []
            if owner is None and selected and alive(rs):
                self._write(rs, ownerReferences=[*owners, owner_reference(Kind.DEPLOYMENT, self.deployment)])
                return True
            if owner == uid and not selected and alive(rs):
                self._write(rs, ownerReferences=[o for o in owners if o["uid"] != uid])
                return True
        return False

    def _find_new(self, owned: list[Json]) -> Json | None:
        """FindNewReplicaSet: of equal templates the oldest, whatever its size."""
        template = self.deployment["spec"]["template"]
        return next((rs for rs in owned if same_but_hash(rs["spec"]["template"], template)), None)

    def _note_revision(self, new: Json, old: list[Json]) -> bool:
        """SetNewReplicaSetAnnotations and SetDeploymentRevision."""
        revision = str(max((_noted(rs, REVISION) or 0 for rs in old), default=0) + 1)
        before = new["metadata"].get("annotations") or {}
        own = self.deployment["metadata"].get("annotations") or {}
        after = {**before, **{k: v for k, v in own.items() if k not in _NOT_COPIED}}
        if (_noted(new, REVISION) or 0) < int(revision):
            after[REVISION] = revision
        if after != before:
            self._write(new, annotations=after)
            return True
        if own.get(REVISION) != after[REVISION]:
            metadata = {
                **self.deployment["metadata"],
                "annotations": {**own, REVISION: after[REVISION]},
            }
            ref = ref_of(Kind.DEPLOYMENT, self.deployment)
            self.world.update(ref, {**self.deployment, "metadata": metadata}, CONTROLLER)
            return True
        return False

    # -- scaling, as a paused Deployment and one whose replicas changed do it

    def _is_scaling(self, owned: list[Json]) -> bool:
        noted = (_noted(rs, DESIRED) for rs in owned if _count(rs) > 0)
        return any(desired is not None and desired != self.replicas for desired in noted)

    def _scale(self, new: Json | None, old: list[Json]) -> bool:
        everything = [*old, *([new] if new else [])]
        active = [rs for rs in everything if _count(rs) > 0]
        if not everything:
            return False
        if len(active) <= 1:
            newest = sorted(old, key=_age)[-1:]
            only = active[0] if active else (new or newest[0])
            return _count(only) != self.replicas and self._resize(only, self.replicas)
        if new is not None and self._saturated(new):
            return any(_count(rs) > 0 and self._resize(rs, 0) for rs in old)
        return self._scale_in_proportion(active)

    def _saturated(self, new: Json) -> bool:
        return _count(new) == self.replicas == _noted(new, DESIRED) == _available(new)

    def _scale_in_proportion(self, active: list[Json]) -> bool:
        allowed = self.replicas + self.surge if self.replicas else 0
        to_add = allowed - sum(map(_count, active))
        order = sorted(active, key=_age, reverse=to_add > 0)
        order.sort(key=_count, reverse=True)
        sizes, added = {}, 0
        for rs in order:
            more = self._proportion(rs, to_add, added) if to_add else 0
            sizes[rs["metadata"]["name"]] = _count(rs) + more
            added += more
        if to_add:
            first = order[0]["metadata"]["name"]
            sizes[first] = max(sizes[first] + to_add - added, 0)
        # One sync writes them all, as the real one does, whatever is seen in between.
        wrote = [self._resize(rs, sizes[rs["metadata"]["name"]]) for rs in order]
        return any(wrote)

    def _proportion(self, rs: Json, to_add: int, added: int) -> int:
        if not _count(rs) or to_add == added:
            return 0
        if self.replicas == 0:
            fraction = -_count(rs)
        else:
            before = _noted(rs, MAXIMUM) or (self.deployment.get("status") or {}).get("replicas", 0) or 1
            whole = self.replicas + self.surge
            fraction = (2 * _count(rs) * whole + before) // (2 * before) - _count(rs)
        allowed = to_add - added
        return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)

    # -- rolling

    def _create(self, owned: list[Json]) -> bool:
        template = deepcopy(self.deployment["spec"]["template"])
        collisions = (self.deployment.get("status") or {}).get("collisionCount", 0)
        revision = native_hash(template, collisions)
        template["metadata"].setdefault("labels", {})[TEMPLATE_HASH] = revision
        metadata = self.deployment["metadata"]
        labels = dict(template["metadata"]["labels"])
        own = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _NOT_COPIED}
        selector = {
            "matchLabels": {**self.deployment["spec"]["selector"]["matchLabels"], TEMPLATE_HASH: revision}
        }
        number = max((_noted(rs, REVISION) or 0 for rs in owned), default=0) + 1
        room = self.replicas + self.surge - sum(map(_count, owned))
        body = {
            "metadata": {
                "name": f"{metadata['name']}-{revision}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": {**own, REVISION: str(number), **self._marks()},
                "ownerReferences": [owner_reference(Kind.DEPLOYMENT, self.deployment)],
            },
            "spec": {
                "replicas": max(min(room, self.replicas), 0),
                "selector": selector,
                "template": template,
            },
        }
        try:
            self.world.create(Kind.REPLICA_SET, body, CONTROLLER)
        except AlreadyExists:
            status = {**(self.deployment.get("status") or {}), "collisionCount": collisions + 1}
            ref = ref_of(Kind.DEPLOYMENT, self.deployment)
            self.world.update(ref, {**self.deployment, "status": status}, CONTROLLER, status=True)
        return True

    def _scale_new(self, new: Json, owned: list[Json]) -> bool:
        if _count(new) > self.replicas:
            return self._resize(new, self.replicas)
        room = self.replicas + self.surge - sum(map(_count, owned))
        more = min(room, self.replicas - _count(new))
        return more > 0 and self._resize(new, _count(new) + more)

    def _scale_old(self, new: Json, old: list[Json]) -> bool:
        floor = self.replicas - surge_and_unavailable(self.deployment)[1]
        everything = [*old, new]
        spare = sum(map(_count, everything)) - floor - (_count(new) - _available(new))
        if not sum(map(_count, old)) or spare <= 0:
            return False
        for rs in old:
            unhealthy = min(_count(rs) - _available(rs), spare)
            if unhealthy > 0:
                return self._resize(rs, _count(rs) - unhealthy)
        spare = sum(map(_available, everything)) - floor
        return any(
            _count(rs) > 0 and spare > 0 and self._resize(rs, _count(rs) - min(_count(rs), spare))
            for rs in old
        )

    def _clean_up(self, old: list[Json]) -> bool:
        limit = self.deployment["spec"].get("revisionHistoryLimit", 10)
        excess = sorted((rs for rs in old if alive(rs)), key=lambda rs: _noted(rs, REVISION) or 0)
        for rs in excess[: max(len(excess) - limit, 0)]:
            if not _count(rs) and not (rs.get("status") or {}).get("replicas", 0):
                self.world.delete(ref_of(Kind.REPLICA_SET, rs), CONTROLLER)
                return True
        return False

    # -- writing

    def _marks(self) -> dict[str, str]:
        return {DESIRED: str(self.replicas), MAXIMUM: str(self.replicas + self.surge)}

    def _resize(self, rs: Json, count: int) -> bool:
        annotations = rs["metadata"].get("annotations") or {}
        if _count(rs) == count and {**annotations, **self._marks()} == annotations:
            return False
        sized = {**rs, "spec": {**rs["spec"], "replicas": count}}
        self._write(sized, annotations={**annotations, **self._marks()})
        return True

    def _write(self, rs: Json, **metadata: object) -> None:
        ref = Ref(Kind.REPLICA_SET, rs["metadata"]["namespace"], rs["metadata"]["name"])
        self.world.update(ref, {**rs, "metadata": {**rs["metadata"], **metadata}}, CONTROLLER)

    def _write_status(self, owned: list[Json], new: Json | None) -> bool:
        pods = [pod for rs in owned for pod in pods_of(self.world, rs) if alive(pod)]
        statuses = [rs.get("status") or {} for rs in owned]
        before = self.deployment.get("status") or {}
        status = {
            **({"collisionCount": before["collisionCount"]} if "collisionCount" in before else {}),
            "observedGeneration": self.deployment["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": ((new or {}).get("status") or {}).get("replicas", 0),
            "readyReplicas": sum(s.get("readyReplicas", 0) for s in statuses),
            "availableReplicas": sum(s.get("availableReplicas", 0) for s in statuses),
        }
        if before == status:
            return False
        ref = ref_of(Kind.DEPLOYMENT, self.deployment)
        self.world.update(ref, {**self.deployment, "status": status}, CONTROLLER, status=True)
        return True


def _age(rs: Json) -> tuple[str, str]:
    """ReplicaSetsByCreationTimestamp: equal times by name."""
    return rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]
