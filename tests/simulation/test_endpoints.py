"""Pods that are ready before the proxies can know them."""

from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind, Ref
from tests.support import scene
from tests.support.play import Run
from tests.support.world import World

SLICE = Ref(Kind.ENDPOINT_SLICE, "shop", "web-slice")


def endpoints(world: World) -> list[Json]:
    """All pods that there are, as the EndpointSlice controller lists them once it gets to it."""
    pods = world.every(Kind.POD, "shop")
    return [
        {"conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]}}
        for pod in pods
    ]


def listed(world: World) -> None:
    """The EndpointSlice of Service web catches up."""
    labels = {"kubernetes.io/service-name": "web"}
    body = {
        "metadata": {"name": SLICE.name, "namespace": "shop", "labels": labels},
        "endpoints": endpoints(world),
    }
    if world.get(SLICE) is not None:
        world.delete(SLICE, "endpointslice-controller")
    world.create(Kind.ENDPOINT_SLICE, body, "endpointslice-controller")


def test_the_share_waits_until_the_ready_pods_are_endpoints_as_well() -> None:
    world = scene.shop()
    listed(world)
    run = Run(world).to_rest()
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: len(now.world.every(Kind.POD, "shop")) == 5)
    for _ in range(20):
        run.advance()
    assert (run.facts.phase, run.facts.stage) == (Phase.PROGRESSING, -1)
    listed(run.world)
    run.until(lambda now: now.facts.stage == 0)
