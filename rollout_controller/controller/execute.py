"""From symbolic effects to writes: each compiled against the very objects that the decision saw.

Every write says what it rests on, in a `test` of its patch or a precondition, so that a world that moved on
refuses it (Conflict) and the next pass decides anew. Plain coroutines over ports: one await, one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rollout_controller.api import names
from rollout_controller.controller.snapshot import Snapshot
from rollout_controller.core import commands
from rollout_controller.core.effects import (
    Adopt,
    Claim,
    Delete,
    Drop,
    Effect,
    Finalizer,
    HandOver,
    MakeCanary,
    PauseDeployment,
    Pin,
    Scale,
    SetTraffic,
    Unpause,
)
from rollout_controller.core.patch import add, pointer, remove, unchanged
from rollout_controller.core.template import canary_replica_set, hand_over_ops
from rollout_controller.istio.edits import pin, pin_service, set_traffic
from rollout_controller.ports import AlreadyExists, Cluster, ClusterError, Json, Kind, NotFound, Ref


def _test(value: object, *segments: str | int) -> Json:
    return {"op": "test", "path": pointer(*segments), "value": value}


@dataclass(slots=True)
class RolloutWriter:
    """Writes to the Rollout itself: claim, drop, finalizer, status. It follows the resourceVersion."""

    cluster: Cluster
    rollout: Json

    @property
    def ref(self) -> Ref:
        metadata = self.rollout["metadata"]
        return Ref(Kind.ROLLOUT, metadata["namespace"], metadata["name"])

    async def claim(self, effect: Claim) -> None:
        """Annotations away, claim there, in one write that rests on the resourceVersion of the token."""
        command = effect.command
        present = self.rollout["metadata"].get("annotations") or {}
        given = [commands.PREFIX + verb for verb in (command.verb, *command.ignored)]
        ops = [unchanged(self.rollout)]
        ops += [remove("metadata", "annotations", name) for name in given if name in present]
        ops.append(add(command.token, "metadata", "annotations", names.CLAIM))
        self.rollout = await self.cluster.patch(self.ref, ops)

    async def drop(self, effect: Drop) -> None:
        """Take the claim away, if it still is this one."""
        where = ("metadata", "annotations", names.CLAIM)
        self.rollout = await self.cluster.patch(self.ref, [_test(effect.token, *where), remove(*where)])

    async def finalizer(self, effect: Finalizer) -> None:
        """Put ours among the finalizers, or take it out; what others put there stays."""
        present = self.rollout["metadata"].get("finalizers") or []
        if effect.present == (names.FINALIZER in present):
            return
        if effect.present:
            op = add([*present, names.FINALIZER], "metadata", "finalizers")
        else:
            op = add([f for f in present if f != names.FINALIZER], "metadata", "finalizers")
        self.rollout = await self.cluster.patch(self.ref, [unchanged(self.rollout), op])

    async def status(self, status: Json, *, towards_safety: bool) -> None:
        """Write the whole status. It rests on the resourceVersion; a way back only on uid and canary."""
        ops = [unchanged(self.rollout)]
        before = self.rollout.get("status") or {}
        if towards_safety:
            ops = [_test(self.rollout["metadata"]["uid"], "metadata", "uid")]
            if before.get("canary") is not None:
                ops.append(_test(before["canary"], "status", "canary"))
        self.rollout = await self.cluster.patch(self.ref, [*ops, add(status, "status")], status=True)


class Executor:
    """Carries out the effects on mesh and workload."""

    def __init__(self, cluster: Cluster, snapshot: Snapshot) -> None:
        self._cluster = cluster
        self._seen = snapshot
        self._replica_sets = dict(snapshot.replica_sets)

    async def run(self, effect: Effect) -> None:
        """Do one effect. Raises the port's errors; Conflict where the world moved on."""
        match effect:
            case SetTraffic():
                await self._set_traffic(effect)
            case Pin(stable, canary):
                await self._pin(stable, canary)
            case MakeCanary(canary, replicas):
                await self._make(canary, replicas)
            case Scale(name, replicas):
                await self._scale(name, replicas)
            case Delete(name):
                await self._delete(name)
            case HandOver():
                await self._hand_over(effect)
            case Adopt(present):
                await self._patch_deployment(self._adoption(present))
            case PauseDeployment():
                await self._patch_deployment(self._pause)
            case Unpause():
                await self._patch_deployment(self._unpause)
            case _:
                raise TypeError(f"{type(effect).__name__} is written to the Rollout, not to its world")

    async def _set_traffic(self, effect: SetTraffic) -> None:
        """All VirtualServices get the same; towards stable all are written even if one fails."""
        failed: ClusterError | None = None
        for name, virtual_service in list(self._seen.virtual_services.items()):
            ops = set_traffic(
                self._seen.routing,
                virtual_service,
                effect.weight,
                self._seen.destination_rule,
                mirror=effect.mirror,
                header_pins=effect.header_pins,
            )
            if not ops:
                continue
            ref = Ref(Kind.VIRTUAL_SERVICE, self._seen.namespace, name)
            try:
                self._seen.virtual_services[name] = await self._cluster.patch(ref, ops)
            except ClusterError as problem:
                failed = failed or problem
                if effect != SetTraffic(0):
                    break
        if failed is not None:
            raise failed

    async def _pin(self, stable: str | None, canary: str | None) -> None:
        if self._seen.routing.services is not None:
            await self._pin_services(dict(zip(self._seen.routing.services, (stable, canary), strict=True)))
            return
        rule = self._seen.destination_rule
        if rule is None:
            return
        ops = pin(self._seen.routing, rule, stable, canary)
        if ops:
            ref = Ref(Kind.DESTINATION_RULE, self._seen.namespace, rule["metadata"]["name"])
            self._seen.destination_rule = await self._cluster.patch(ref, ops)

    async def _pin_services(self, wanted: Mapping[str, str | None]) -> None:
        """In host mode: one write for each Service; the next pass goes on where one fails."""
        for name, revision in wanted.items():
            service = self._seen.selectors.get(name)
            ops = pin_service(service, revision) if service is not None else []
            if ops:
                ref = Ref(Kind.SERVICE, self._seen.namespace, name)
                self._seen.selectors[name] = await self._cluster.patch(ref, ops)

    async def _make(self, canary: str, replicas: int) -> None:
        """One that is there already is ours from before a crash, and is looked at by the next pass."""
        if self._seen.deployment is None:
            return
        body = canary_replica_set(self._seen.deployment, canary, replicas, self._seen.name)
        try:
            made = await self._cluster.create(Kind.REPLICA_SET, self._seen.namespace, body)
        except AlreadyExists:
            return
        self._replica_sets[made["metadata"]["name"]] = made

    async def _scale(self, name: str, replicas: int) -> None:
        """Rests on uid and the count that was seen: status changes of a busy ReplicaSet are no conflict."""
        seen = self._replica_sets[name]
        ops = [
            _test(seen["metadata"]["uid"], "metadata", "uid"),
            _test(seen["spec"].get("replicas", 1), "spec", "replicas"),
            add(replicas, "spec", "replicas"),
        ]
        self._replica_sets[name] = await self._cluster.patch(self._ref(name), ops)

    async def _delete(self, name: str) -> None:
        metadata = self._replica_sets[name]["metadata"]
        try:
            await self._cluster.delete(
                self._ref(name), uid=metadata["uid"], resource_version=metadata["resourceVersion"]
            )
        except NotFound:
            return

    async def _hand_over(self, effect: HandOver) -> None:
        if self._seen.deployment is None:
            return
        seen = self._replica_sets[effect.name]
        ops = hand_over_ops(seen, self._seen.deployment, effect.replicas, effect.max_surge)
        self._replica_sets[effect.name] = await self._cluster.patch(self._ref(effect.name), ops)

    def _ref(self, name: str) -> Ref:
        return Ref(Kind.REPLICA_SET, self._seen.namespace, name)

    async def _patch_deployment(self, compile_ops: Callable[[Json], list[Json]]) -> None:
        seen = self._seen.deployment
        if seen is None:
            return
        ops = compile_ops(seen)
        if len(ops) > 1:
            ref = Ref(Kind.DEPLOYMENT, self._seen.namespace, seen["metadata"]["name"])
            self._seen.deployment = await self._cluster.patch(ref, ops)

    def _adoption(self, present: bool) -> Callable[[Json], list[Json]]:
        """The label that the gate selects by; with it goes the mark of the pause, which would outlive us."""

        def compile_ops(seen: Json) -> list[Json]:
            metadata = seen["metadata"]
            if present:
                return put(seen, "labels", names.LABEL, self._seen.name)
            ops = [_test(metadata["uid"], "metadata", "uid")]
            if (metadata.get("labels") or {}).get(names.LABEL) == self._seen.name:
                where = ("metadata", "labels", names.LABEL)
                ops += [_test(self._seen.name, *where), remove(*where)]
            return ops + _unmark(metadata)

        return compile_ops

    def _pause(self, seen: Json) -> list[Json]:
        return [*put(seen, "annotations", names.HELD_BY, self._seen.name), add(True, "spec", "paused")]

    def _unpause(self, seen: Json) -> list[Json]:
        """Rests on the resourceVersion: the template must still be the one that was seen to be stable's."""
        paused = [remove("spec", "paused")] if "paused" in seen["spec"] else []
        return [unchanged(seen), *paused, *_unmark(seen["metadata"])]


def put(seen: Json, field: str, key: str, value: str) -> list[Json]:
    """Put one label or annotation into an object that must still be this one.

    Where there is no map yet it is made, which rests on the version: one that somebody made meanwhile would
    be lost.
    """
    metadata = seen["metadata"]
    if metadata.get(field):
        return [_test(metadata["uid"], "metadata", "uid"), add(value, "metadata", field, key)]
    return [unchanged(seen), add({key: value}, "metadata", field)]


def _unmark(metadata: Json) -> list[Json]:
    held = names.HELD_BY in (metadata.get("annotations") or {})
    return [remove("metadata", "annotations", names.HELD_BY)] if held else []
