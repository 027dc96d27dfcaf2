"""Beside a destination that is not ours: requests counted through Envoy, and what passes the routes by."""

from collections import Counter

import pytest

from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.counting import answered
from e2e.tests.support import Namespace, deployment, service, virtual_service, wait_for
from e2e.tests.world import HOLD, World, failed, rollout

pytestmark = pytest.mark.real

FOREIGN = 30
"""Percent of the route that go to the legacy service."""


async def begin(namespace: Namespace, controller: Controller) -> World:
    """The usual world, with a route of which 30 % go to a third destination."""
    world = World(namespace, controller)
    await controller.start()
    manifests = world.manifests()
    stable, canary = manifests["VirtualService"]["spec"]["http"][0]["route"]
    stable["weight"] = 100 - FOREIGN
    legacy = {"destination": {"host": f"legacy.{namespace.name}.svc.cluster.local"}, "weight": FOREIGN}
    manifests["VirtualService"]["spec"]["http"][0]["route"] = [stable, legacy, canary]
    await namespace.apply(deployment("legacy", replicas=2, version="legacy"), service("legacy"))
    for item in await namespace.apply(*manifests.values()):
        world.applied[item["kind"]] = item
    await namespace.apply(rollout(steps=[HOLD, {"weight": 100}]))
    await controller.ready()
    await world.phase("Healthy")
    await world.serving()
    await namespace.rolled_out("legacy")
    await world.serving("legacy")
    return world


def unrouted(status: Object) -> list[Object]:
    """What the status says of Services that callers in the mesh reach past the managed routes."""
    return [one for one in status.get("findings", []) if one["code"] == "UnroutedPath"]


async def weights(world: World) -> list[int]:
    """Of stable, legacy and canary."""
    routes = (await world.get("virtualservices"))["spec"]["http"][0]["route"]
    return [one.get("weight", 0) for one in routes]


async def test_the_canary_gets_its_part_of_ours_and_the_others_keep_theirs(
    namespace: Namespace, controller: Controller
) -> None:
    world = await begin(namespace, controller)
    async with world.load(200) as whole:
        await world.release("v2")
        await world.at(25)
        assert await weights(world) == [52, FOREIGN, 18]  # round(70 × 25 / 100) = 18
        await answered(whole, "v2")
        async with world.load(300) as load:

            async def enough() -> bool:
                return len(load.answers) >= 3000

            await wait_for(enough, "3000 answers", 30)
        counted = Counter(answer.version for answer in load.answers)
        shares = {version: 100 * count / len(load.answers) for version, count in counted.items()}
        assert abs(shares["v2"] - 18) < 3
        assert abs(shares["legacy"] - FOREIGN) < 4
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(whole) == ""
    assert await weights(world) == [100 - FOREIGN, FOREIGN, 0]


async def test_a_service_that_no_managed_route_covers_in_the_mesh_is_a_warning_with_the_cure(
    namespace: Namespace, controller: Controller
) -> None:
    world = World(namespace, controller)
    await controller.start()
    only = virtual_service(world.host, world.manifests()["VirtualService"]["spec"]["http"])
    manifests = {**world.manifests(), "VirtualService": only}
    await namespace.apply(*manifests.values(), rollout())
    await controller.ready()
    status = await world.phase("Healthy")
    (finding,) = unrouted(status)
    assert finding["severity"] == "warning"
    assert finding["object"] == f"Service {namespace.name}/web"
    assert finding["fix"].startswith("Add mesh to spec.gateways and web to spec.hosts of VirtualService")
    await namespace.apply(world.manifests()["VirtualService"])
    await world.until(lambda s: not unrouted(s), "the warning to go")
