"""A Rollout that is deleted: at rest, in the middle of a release, after a revert."""

import pytest

from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.counting import answered
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import GROUP, HELD_BY, HOLD, LABEL, World, failed, gone

pytestmark = pytest.mark.real


async def deployment_let_go(world: World) -> Object:
    """The Deployment, once label and mark of ours are off."""

    async def let_go() -> Object | None:
        found = await world.get("deployments")
        metadata = found["metadata"]
        marks = {*metadata.get("labels", {}), *metadata.get("annotations", {})}
        return None if marks & {LABEL, HELD_BY} else found

    return await wait_for(let_go, "the Deployment to be given back")


async def names_of_pods(world: World) -> set[str]:
    return {pod["metadata"]["name"] for pod in await world.namespace.pods(app=world.name)}


async def test_deletion_in_the_foreground_in_the_middle_of_a_release_fails_no_request(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    stable = await names_of_pods(world)
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await answered(load, "v2")
        await world.kubectl("delete", "rlt", "web", "--cascade=foreground", "--timeout=30s")
        assert canary not in await world.replica_sets()
        await world.assert_mesh_is_home()
        found = await deployment_let_go(world)
    assert failed(load) == ""
    assert load.versions()["v2"] > 0
    assert load.answers[-1].version == "v1"
    assert await names_of_pods(world) == stable
    assert found["spec"]["paused"] is True, "a template that nobody released must not roll by itself"
    await world.event("LeftPaused", "kubectl rollout resume deployment/web -n ")
    await world.kubectl("rollout", "resume", "deployment/web")
    await world.serving("v2")


async def test_deletion_at_rest_leaves_an_ordinary_deployment(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller)
    pods = await names_of_pods(world)
    await world.kubectl("delete", "rlt", "web", "--timeout=20s")
    found = await deployment_let_go(world)
    assert found["spec"] == world.applied["Deployment"]["spec"]
    assert await names_of_pods(world) == pods
    await world.assert_mesh_is_home()
    await world.release("v2")
    await namespace.rolled_out("web")
    assert not (await world.get("deployments"))["spec"].get("paused", False)


async def test_deletion_after_a_revert_leaves_the_new_template_on_hold_and_lets_people_decide(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)
    await world.command("abort", "not today")
    await world.phase("Reverted")
    await world.kubectl("delete", "rlt", "web", "--timeout=20s")
    found = await deployment_let_go(world)
    assert found["spec"]["paused"] is True
    await world.assert_mesh_is_home()
    await world.serving("v1")
    await world.kubectl("rollout", "resume", "deployment/web")
    await world.serving("v2")


async def test_deletion_while_the_canary_is_not_ready_yet_ends_as_well(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2", image="app:missing")
    await world.until(lambda s: "canary pods ready" in s["message"], "the canary's pods to be waited for")
    await world.kubectl("delete", "rlt", "web", "--timeout=20s")
    await deployment_let_go(world)
    await world.assert_mesh_is_home()
    assert len(await world.replica_sets()) == 1


async def test_a_rollout_deleted_while_the_controller_is_down_goes_once_it_is_back(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)
    await controller.kill()
    await world.kubectl("delete", "rlt", "web", "--wait=false")
    assert (await world.get("rollouts"))["metadata"]["finalizers"], "nothing of a release would be taken back"
    await controller.restart()
    await gone(lambda: world.get("rollouts"), "the Rollout")
    await world.assert_mesh_is_home()
    assert len(await world.replica_sets()) == 1


async def test_a_rollout_deleted_at_rest_while_the_controller_is_down_is_swept_up(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller)
    await controller.kill()
    await world.kubectl("delete", "rlt", "web", "--timeout=20s")
    await controller.restart()
    assert not (await deployment_let_go(world))["spec"].get("paused", False)
    assert GROUP not in str((await world.get("deployments"))["metadata"].get("labels"))
