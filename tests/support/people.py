"""What people and other tools do to a shop while a release runs: each by a write of their own."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Final

from rollout_controller.api import names
from rollout_controller.ports import ClusterError, Json, Kind, Refused
from tests.support import mesh, scene
from tests.support.replicasets import TEMPLATE_HASH, alive, controller_of
from tests.support.simulation import ROLLOUT
from tests.support.world import World, ref_of

GITOPS: Final = "gitops"


def shift(world: World, percent: int, services: tuple[str, ...] = ("web", "web-mesh")) -> None:
    """Another manager gives the canary subset this share of ours."""
    for service in world.every(Kind.VIRTUAL_SERVICE):
        if service["metadata"]["name"] in services:
            spec = deepcopy(service["spec"])
            for route in spec["http"]:
                if route.get("name") == mesh.ROUTE:
                    ours = {mesh.side_of(d["destination"]): d for d in route["route"] if mesh.is_ours(d)}
                    total = sum(destination["weight"] for destination in ours.values())
                    ours["canary"]["weight"] = mesh.clamped(total, percent)
                    ours["stable"]["weight"] = total - mesh.clamped(total, percent)
            world.update(ref_of(Kind.VIRTUAL_SERVICE, service), {**service, "spec": spec}, GITOPS)


def relabel(world: World, stable: str | None, canary: str | None) -> None:
    """Another manager pins our subsets, or takes the pins off."""
    rule = world.need(scene.RULE)
    spec = deepcopy(rule["spec"])
    for subset in spec["subsets"]:
        if subset["name"] in {"stable", "canary"}:
            revision = stable if subset["name"] == "stable" else canary
            labels = {k: v for k, v in (subset.get("labels") or {}).items() if k != TEMPLATE_HASH}
            subset["labels"] = {**labels, **({TEMPLATE_HASH: revision} if revision else {})}
            if not subset["labels"]:
                del subset["labels"]
    world.update(scene.RULE, {**rule, "spec": spec}, GITOPS)


def apply_git(world: World) -> None:
    """A tool applies the DestinationRule as it is in git: without any pin."""
    relabel(world, None, None)


def _routes(world: World, edit: Callable[[Json], None], services: tuple[str, ...]) -> None:
    """Another manager edits the managed route, or all of the spec."""
    for service in world.every(Kind.VIRTUAL_SERVICE):
        if service["metadata"]["name"] in services:
            spec = deepcopy(service["spec"])
            edit(spec)
            world.update(ref_of(Kind.VIRTUAL_SERVICE, service), {**service, "spec": spec}, GITOPS)


def apply_routes(world: World) -> None:
    """A tool applies the VirtualServices without the routes that are not in git; weights are ignored."""

    def edit(spec: Json) -> None:
        spec["http"] = [route for route in spec["http"] if not route.get("name", "").startswith(mesh.OWN)]

    _routes(world, edit, ("web", "web-mesh"))


def copy(world: World, percent: int, services: tuple[str, ...] = ("web", "web-mesh")) -> None:
    """Somebody sets the canary's copies to this."""

    def edit(spec: Json) -> None:
        route = mesh.managed_route({"spec": spec})
        theirs = [e for e in route.pop("mirrors", []) if mesh.side_of(e["destination"]) != "canary"]
        to = next(d["destination"] for d in route["route"] if mesh.side_of(d["destination"]) == "canary")
        ours = [{"destination": to, "percentage": {"value": percent}}] if percent else []
        if theirs or ours:
            route["mirrors"] = [*theirs, *ours]

    _routes(world, edit, services)


def retime(world: World) -> None:
    """The managed route gets another timeout, which pinned routes then lack."""

    def edit(spec: Json) -> None:
        route = mesh.managed_route({"spec": spec})
        route["timeout"] = "9s" if route["timeout"] == "3s" else "3s"

    _routes(world, edit, ("web", "web-mesh"))


def unpause(world: World) -> bool:
    """`kubectl rollout resume`; whether the gate let it through."""
    deployment = world.need(scene.DEPLOYMENT)
    try:
        world.update(scene.DEPLOYMENT, _without_pause(deployment), scene.KUBECTL)
    except Refused:
        return False
    return True


def break_glass(world: World) -> None:
    """`kubectl rollout resume --field-manager=rollout-controller`, which the gate lets through."""
    watched, world.on_write = world.on_write, None
    deployment = world.need(scene.DEPLOYMENT)
    world.update(scene.DEPLOYMENT, _without_pause(deployment), names.FIELD_MANAGER)
    world.on_write = watched


def _without_pause(deployment: Json) -> Json:
    spec = {key: value for key, value in deployment["spec"].items() if key != "paused"}
    return {**deployment, "spec": spec}


def _canaries(world: World) -> list[Json]:
    """ReplicaSets of ours that were not handed over."""
    sets = [rs for rs in world.every(Kind.REPLICA_SET) if names.LABEL in rs["metadata"]["labels"]]
    return [rs for rs in sets if controller_of(rs) is None and alive(rs)]


def delete_canary(world: World) -> None:
    """`kubectl delete rs`: the canary's ReplicaSet goes, and its pods with it."""
    for replica_set in _canaries(world):
        world.delete(ref_of(Kind.REPLICA_SET, replica_set), scene.KUBECTL)


def scale_canary(world: World, replicas: int) -> None:
    """`kubectl scale rs`: somebody else sizes the canary's ReplicaSet."""
    for replica_set in _canaries(world):
        spec = {**replica_set["spec"], "replicas": replicas}
        world.update(ref_of(Kind.REPLICA_SET, replica_set), {**replica_set, "spec": spec}, scene.KUBECTL)


def evict(world: World, number: int) -> None:
    """One pod is evicted."""
    pods = sorted(world.every(Kind.POD), key=lambda pod: str(pod["metadata"]["name"]))
    if pods:
        pod = pods[number % len(pods)]
        world.delete(ref_of(Kind.POD, pod), scene.KUBECTL)


def strip_label(world: World) -> bool:
    """An apply without the gate's label; whether the gate let it through."""
    deployment = world.need(scene.DEPLOYMENT)
    labels = {k: v for k, v in deployment["metadata"]["labels"].items() if k != names.LABEL}
    try:
        bare = {**deployment, "metadata": {**deployment["metadata"], "labels": labels}}
        world.update(scene.DEPLOYMENT, bare, scene.KUBECTL)
    except Refused:
        return False
    return True


def delete_rollout(world: World) -> None:
    """`kubectl delete rlt`, if there is one."""
    try:
        world.delete(ROLLOUT, scene.KUBECTL)
    except ClusterError:
        return
