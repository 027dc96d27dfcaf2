"""The EndpointSlice controller of the simulated world."""

from __future__ import annotations

from typing import Final

from rollout_controller.ports import Json, Kind
from tests.support.replicasets import is_ready, selects
from tests.support.world import World, ref_of

CONTROLLER: Final = "endpointslice-controller"


def endpoints_step(world: World) -> bool:
    """Write one Service's EndpointSlice, where the world has such."""
    for service in world.every(Kind.SERVICE) if world.slices else ():
        wanted = _slice(world, service)
        ref = ref_of(Kind.ENDPOINT_SLICE, wanted)
        present = world.get(ref)
        if present is None:
            world.create(Kind.ENDPOINT_SLICE, wanted, CONTROLLER)
            return True
        if present["endpoints"] != wanted["endpoints"]:
            world.update(ref, {**present, "endpoints": wanted["endpoints"]}, CONTROLLER)
            return True
    return False


def _slice(world: World, service: Json) -> Json:
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    chosen = {"matchLabels": service["spec"]["selector"]}
    pods = [pod for pod in world.every(Kind.POD, namespace) if selects(chosen, pod["metadata"]["labels"])]
    return {
        "metadata": {
            "name": f"{name}-slice",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": [
            {
                "conditions": {"ready": is_ready(pod)},
                "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]},
            }
            for pod in pods
        ],
    }
