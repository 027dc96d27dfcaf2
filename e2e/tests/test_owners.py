"""Two Rollouts of one Deployment on the real parts: the older one owns it, and nobody fights."""

from typing import Any

import pytest

from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import GROUP, HOLD, LABEL, World, failed, rollout

pytestmark = pytest.mark.real


def second(world: World, name: str = "second") -> Object:
    """Another Rollout of all that the world's one claims."""
    body = rollout(world.name, steps=[{"weight": 100}])
    return {**body, "metadata": {"name": name}}


async def of(world: World, name: str) -> Object:
    found: Object = await world.namespace.kube.get(
        world.namespace.path("rollouts", name, f"{GROUP}/v1alpha1")
    )
    return found


async def comes_to(world: World, name: str, phase: str) -> dict[str, Any]:
    """The status of a Rollout once it is in this phase."""

    async def there() -> Object | None:
        status: Object = (await of(world, name)).get("status") or {}
        return status if status.get("phase") == phase else None

    return await wait_for(there, f"Rollout {name} to be {phase}", 60)


async def label(world: World) -> str:
    return str((await world.get("deployments"))["metadata"]["labels"][LABEL])


async def test_the_newer_one_waits_and_takes_over_when_the_owner_is_deleted(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[{"weight": 100}])
    # Creation times are whole seconds; "second" comes after "web" by its name in the same one as well.
    await namespace.apply({**second(world), "metadata": {"name": "zweb"}})
    status = await comes_to(world, "zweb", "Invalid")
    assert "Deployment web belongs to Rollout web, which claims it as well and is older" in status["message"]
    assert "this one begins once web has let go" in status["message"]
    async with world.load(50) as load:
        await world.release("v2")
        await world.phase("Progressing")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
        assert (await comes_to(world, "zweb", "Invalid"))["phase"] == "Invalid"
        await world.kubectl("delete", "rlt", "web")
        await comes_to(world, "zweb", "Healthy")
        assert await label(world) == "zweb"
        await world.release("v3")
        await comes_to(world, "zweb", "Progressing")
        await comes_to(world, "zweb", "Healthy")
    assert failed(load) == ""
    assert load.answers[-1].version == "v3"


async def test_a_running_release_is_held_for_an_owner_of_the_same_second_and_let_go_by_an_abort(
    namespace: Namespace, controller: Controller
) -> None:
    """The owner is made with the other one, but names the Deployment only in the middle of its release."""
    world = World(namespace, controller)
    await controller.start()
    claims = second(world, "alpha")
    apart = {
        "virtualServices": [{"name": "alpha"}],
        "destinationRule": {"name": "alpha", "stableSubset": "stable", "canarySubset": "canary"},
    }
    elsewhere = {"workload": {"deployment": "alpha"}, "traffic": {"istio": apart}}
    await namespace.apply({**claims, "spec": {**claims["spec"], **elsewhere}})
    await world.apply(3, rollout(world.name, steps=[HOLD, {"weight": 100}]))
    await controller.ready()
    await world.phase("Healthy")
    await comes_to(world, "alpha", "Invalid")  # there is no Deployment alpha
    async with world.load(50) as load:
        await world.release("v2")
        await world.at(25)
        await namespace.apply(claims)
        held = await world.at(25, "Paused")
        assert "Deployment web belongs to Rollout alpha" in held["message"]
        waits = await comes_to(world, "alpha", "Initializing")
        assert "waiting until Rollout web has let go of what both claim" in waits["message"]
        assert await label(world) == "web"
        assert await world.weights() == [75, 25]
        await world.command("abort", "for the owner")
        await world.phase("Invalid")
        # The Deployment still asks for version 2: now the owner releases it.
        await comes_to(world, "alpha", "Progressing")
        await comes_to(world, "alpha", "Healthy")
        assert await label(world) == "alpha"
        assert not (await world.get("rollouts"))["metadata"].get("finalizers")
    assert failed(load) == ""
    assert load.answers[-1].version == "v2"
