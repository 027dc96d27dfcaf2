"""People who un-pause the Deployment by hand, and templates that come while the controller is away."""

import pytest

from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HELD_BY, HOLD, World, failed

pytestmark = pytest.mark.real


async def test_resume_and_set_image_at_rest_start_a_release_and_no_native_roll(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    stable = (await world.status())["stable"]
    refused = await namespace.kubectl("rollout", "resume", "deployment/web")
    assert "is not paused" in refused.stderr
    async with world.load() as load:
        await world.kubectl("set", "image", "deployment/web", "app=app:new")
        status = await world.at(25)
        assert set(await world.replica_sets()) == {stable, status["canary"]}
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v1")
    assert failed(load) == ""


async def test_resume_in_the_middle_of_a_release_is_refused_and_a_new_image_starts_over(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    stable = (await world.status())["stable"]
    async with world.load() as load:
        await world.release("v2")
        second = (await world.at(25))["canary"]
        refused = await namespace.kubectl("rollout", "resume", "deployment/web")
        assert "Deployment web is held by Rollout web" in refused.stderr
        assert "promote=true" in refused.stderr
        assert "abort=" in refused.stderr
        await world.kubectl("set", "image", "deployment/web", "app=app:third")
        status = await world.until(
            lambda s: s["canary"] not in (None, second) and s.get("weight") == 25, "the third version at 25 %"
        )
        assert set(await world.replica_sets()) == {stable, status["canary"]}
    assert failed(load) == ""


async def test_the_break_glass_in_the_middle_of_a_release_ends_in_a_revert_and_a_held_deployment(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    stable = (await world.status())["stable"]
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await world.kubectl("rollout", "resume", "deployment/web", "--field-manager=rollout-controller")
        await world.until(
            lambda s: s["phase"] in ("Reverted", "Progressing") and not s.get("weight"),
            "the release to be over or to go on",
        )
        found = await world.get("deployments")
        assert found["spec"]["paused"] is True
        assert found["metadata"]["annotations"][HELD_BY] == "web"
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
        assert "NativeRoll" in status["reason"]

        async def stable_alone() -> bool:
            sets = await world.replica_sets()
            counts = {
                revision: (one["spec"]["replicas"], one["status"].get("availableReplicas", 0))
                for revision, one in sets.items()
            }
            return counts.pop(stable) == (3, 3) and set(counts.values()) <= {(0, 0)}

        await wait_for(stable_alone, "the native roll to be undone")
    assert failed(load) == ""


async def test_a_template_that_comes_while_the_controller_is_down_waits_for_it(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    stable = (await world.status())["stable"]
    ended, _ = await controller.stop()
    assert ended == 0
    await world.release("v2")
    found = await world.get("deployments")
    assert (found["spec"]["paused"], found["metadata"]["annotations"][HELD_BY]) == (True, "web")
    await world.serving("v1")
    assert set(await world.replica_sets()) == {stable}
    await controller.restart()
    await world.at(25)
