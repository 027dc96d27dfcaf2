"""Replicas that change in the middle of a release, as an autoscaler changes them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HOLD, World, failed

pytestmark = pytest.mark.real


@contextlib.asynccontextmanager
async def never_fewer(world: World, revision: str, least: int) -> AsyncIterator[list[int]]:
    """While the block runs, sample how many pods the canary's ReplicaSet wants; they must be `least`."""
    seen: list[int] = []

    async def sample() -> None:
        while True:
            found = (await world.replica_sets()).get(revision)
            if found is not None:
                seen.append(found["spec"]["replicas"])
            await asyncio.sleep(0.1)

    task = asyncio.create_task(sample())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert seen, "the ReplicaSet was never seen"
    assert min(seen) >= least, seen


async def scaled(world: World, revision: str, wanted: int) -> None:
    """Wait until a revision has so many pods, all of them available."""

    async def there() -> bool:
        found = (await world.replica_sets())[revision]
        available = found["status"].get("availableReplicas", 0)
        return (found["spec"]["replicas"], available) == (wanted, wanted)

    await wait_for(there, f"{revision} to have {wanted} pods", 30)


async def test_replicas_raised_in_the_middle_of_a_release_are_there_at_the_end(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 50}, {"weight": 100}])
    stable = (await world.status())["stable"]
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await world.kubectl("scale", "deployment/web", "--replicas=5")
        await scaled(world, stable, 5)
        assert (await world.status())["weight"] == 25, "a raised replica count is no shortage of pods"
        await world.command("promote")
        await world.phase("Healthy")
        await world.assert_at_rest("v2", replicas=5)
    assert failed(load) == ""
    assert (await world.status())["stable"] == canary


async def test_an_autoscaler_up_and_down_at_25_percent_disturbs_nothing(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}], pre_stop=3)
    stable = (await world.status())["stable"]
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        async with never_fewer(world, canary, 1):
            for replicas in (6, 2, 4):
                await world.kubectl("scale", "deployment/web", f"--replicas={replicas}")
                await scaled(world, stable, replicas)
                assert (await world.status())["weight"] == 25
            await world.command("promote", "full")
            await world.phase("Healthy")
        await world.assert_at_rest("v2", replicas=4)
    assert failed(load) == ""


async def test_a_deployment_scaled_to_0_in_the_middle_of_a_release_takes_the_new_version(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)
    await world.kubectl("scale", "deployment/web", "--replicas=0")
    status = await world.phase("Healthy")
    assert status["history"][0]["outcome"] == "Promoted"

    async def no_pods() -> bool:
        return not await namespace.pods(app="web")

    await wait_for(no_pods, "all pods to be gone")
    await world.kubectl("scale", "deployment/web", "--replicas=2")
    await world.serving("v2")
    await world.phase("Healthy")


async def test_a_deployment_of_0_replicas_takes_a_new_version_at_once(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, replicas=0, answers=False)
    await world.release("v2")
    status = await world.until(lambda s: bool(s.get("history")), "the release to be over")
    assert (status["phase"], status["history"][0]["outcome"]) == ("Healthy", "Promoted")
    await world.kubectl("scale", "deployment/web", "--replicas=1")
    await world.serving("v2")
