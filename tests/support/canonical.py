"""Worlds compared: what two of them have in common when names of versions and clocks are forgotten.

In `canonical` times become ages, capped where no wait of the scenes looks any further back: a scene's waits
are at most `LONG_AGO`, or so long that they never end. Resource versions, uids, the names of pods and when
the status was last refreshed are left out. Two worlds that are equal so behave alike. In `shape` ages go as
well, and what a status tells about how long things took: that is what ends are compared by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from rollout_controller.api import names
from rollout_controller.controller.memory import Memory
from rollout_controller.ports import Json, Kind
from tests.support import mesh
from tests.support.replicasets import is_ready
from tests.support.simulation import ROLLOUT, TICK
from tests.support.world import World, when

LONG_AGO: Final = 4 * TICK
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_METADATA: Final = ("name", "labels", "annotations", "finalizers")
_DISPLAYED: Final = ("conditions", "history", "workload", "observedGeneration")
_MEMO: Final[dict[int, tuple[Json, str, tuple[datetime, ...]]]] = {}


def canonical(world: World, memory: Memory | None = None) -> Hashable:
    """What decides how a world, and the controller with this memory in it, go on."""
    age = partial(_age, world.now)
    objects = []
    for kind in Kind:
        if kind is not Kind.POD:
            for obj in world.every(kind):
                text, times = _text(kind, obj)
                objects.append((text, *map(age, times)))
    return (
        frozenset(objects),
        tuple(sorted(_pod(pod, age) for pod in world.every(Kind.POD))),
        _relations(world),
        _believed(world),
        world.broken,
        _remembered(memory, age),
    )


def shape(world: World) -> Hashable:
    """A world at its end, without anything that tells how it came there."""
    objects = {_text(kind, obj)[0] for kind in Kind if kind is not Kind.POD for obj in world.every(kind)}
    pods = tuple(sorted(_pod(pod, lambda _: None)[:3] for pod in world.every(Kind.POD)))
    return frozenset(objects), pods, _relations(world), _history(world)


def differences(shapes: Iterable[Hashable]) -> str:
    """What tells some shapes apart, to be read."""
    sets = [_lines(one) for one in shapes]
    common = frozenset.intersection(*sets)
    return "\n\n".join("\n".join(sorted(one - common)) for one in sets)


def _lines(one: Any) -> frozenset[str]:
    objects, *others = one
    return frozenset([*objects, *map(repr, others)])


def _age(now: datetime, at: datetime | None) -> timedelta | None:
    return None if at is None else min(now - at, LONG_AGO)


def _text(kind: Kind, obj: Json) -> tuple[str, tuple[datetime, ...]]:
    """An object as text with its times taken out; kept by identity, for objects are never changed."""
    known = _MEMO.get(id(obj))
    if known is not None and known[0] is obj:
        return known[1], known[2]
    plain = _TIME.split(json.dumps(_plain(kind, obj), sort_keys=True))
    times = tuple(when(t) for t in _TIME.findall(json.dumps(_plain(kind, obj), sort_keys=True)))
    text = "T".join(plain)
    _MEMO[id(obj)] = (obj, text, times)
    return text, times


def _plain(kind: Kind, obj: Json) -> Json:
    metadata = {key: obj["metadata"][key] for key in _METADATA if obj["metadata"].get(key)}
    metadata["ends"] = "deletionTimestamp" in obj["metadata"]
    metadata["owners"] = [f"{o['kind']}/{o['name']}" for o in obj["metadata"].get("ownerReferences") or []]
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {k: _token(v) if k == names.CLAIM else v for k, v in annotations.items()}
    status = dict(obj.get("status") or {})
    seen = status.get("observedGeneration")
    plain: Json = {"kind": kind.title, "metadata": metadata, "spec": obj.get("spec")}
    if kind is Kind.ENDPOINT_SLICE:
        plain["endpoints"] = sorted(map(_endpoint, obj.get("endpoints") or []))
    if kind is not Kind.ROLLOUT:
        status.pop("observedGeneration", None)
        return {**plain, "status": status, "synced": seen == obj["metadata"].get("generation")}
    for key in _DISPLAYED:
        status.pop(key, None)
    stage = {k: v for k, v in (status.get("stage") or {}).items() if k not in {"started", "corrected"}}
    return {**plain, "status": {**status, "stage": stage, "command": _token(status.get("command") or "")}}


def _endpoint(endpoint: Json) -> tuple[str, bool]:
    """An endpoint without the number in its pod's name."""
    return endpoint["targetRef"]["name"].rpartition("-")[0], endpoint["conditions"]["ready"]


def _token(text: str) -> str:
    """A command's token without the resourceVersion that makes it unique."""
    return text.rpartition("@")[0]


def _relations(world: World) -> Hashable:
    """What is said by versions and times only together: is the claim the command that was done, was this
    state corrected, which ReplicaSet is older.
    """
    rollout = world.get(ROLLOUT)
    if rollout is None:
        return None
    status = rollout.get("status") or {}
    claim = (rollout["metadata"].get("annotations") or {}).get(names.CLAIM)
    objects = [*world.every(Kind.VIRTUAL_SERVICE), *world.every(Kind.DESTINATION_RULE)]
    versions = [obj["metadata"]["resourceVersion"] for obj in objects]
    if not world.every(Kind.DESTINATION_RULE):
        versions += ["-", *(obj["metadata"]["resourceVersion"] for obj in world.every(Kind.SERVICE))]
    version = "/".join(versions)
    corrected = (status.get("stage") or {}).get("corrected")
    sets = sorted(
        (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]) for rs in world.every(Kind.REPLICA_SET)
    )
    done = claim is not None and claim == status.get("command")
    return done, corrected == version, tuple(name for _, name in sets)


def _history(world: World) -> Hashable:
    status = (world.get(ROLLOUT) or {}).get("status") or {}
    return tuple((h.get("revision"), h.get("outcome"), h.get("reason")) for h in status.get("history") or ())


def _pod(pod: Json, age: Any) -> tuple[str, bool, bool, Any, Any]:
    metadata = pod["metadata"]
    owner = "/".join(o["name"] for o in metadata.get("ownerReferences") or [])
    ending = metadata.get("deletionTimestamp")
    since = None if is_ready(pod) or ending else age(when(metadata["creationTimestamp"]))
    left = age(when(ending)) if ending else None
    return owner, is_ready(pod), ending is not None, _sortable(since), _sortable(left)


def _sortable(age: timedelta | None) -> float:
    return -1e9 if age is None else age.total_seconds()


def _believed(world: World) -> Hashable:
    """What proxies may still follow, and for how long."""
    rows: list[Hashable] = []
    for lag, of, brief in (
        (mesh.ROUTES_LAG, "services", _sent),
        (mesh.SUBSETS_LAG, "rules", lambda rule: mesh.pins([rule])),
    ):
        rows.append(
            tuple(
                (min(world.now - at, lag), tuple(str(brief(obj)) for obj in version))
                for at, version in mesh.in_force(world, lag, of)
            )
        )
    return tuple(rows)


def _sent(service: Json) -> Hashable:
    return str(mesh.route_weights(service)), str(mesh.own_routes(service)), mesh.copied(service)


def _remembered(memory: Memory | None, age: Any) -> Hashable:
    if memory is None:
        return None
    gate = memory.gate and (
        memory.gate.holds,
        memory.gate.keeps,
        memory.gate.problem,
        age(memory.gate.ask_at),
    )
    sighted = memory.weights, memory.subsets, age(memory.weights_since), age(memory.subsets_since)
    return *sighted, gate, memory.unwritten and (memory.unwritten.told, memory.unwritten.finding)
