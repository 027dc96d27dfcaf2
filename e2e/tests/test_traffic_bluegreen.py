"""Blue-green through the real Envoy: a preview by header, then everybody in one write, and back in one."""

import pytest

from e2e.load import Load
from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.counting import Writes, more, requests_to, versions
from e2e.tests.meshes import PIN, PINNED
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import World, failed

pytestmark = pytest.mark.real

RATE = 100.0


def blue_green(**fields: object) -> Object:
    """The strategy, previewed by the header."""
    return {"blueGreen": {"preview": [PIN], **fields}}


async def approved(world: World) -> None:
    """Wait until the preview passed, and promote it."""
    status = await world.phase("Paused")
    assert status["pausedBy"] == "Approval"
    await world.command("promote", f"{status['canary']}/1")


def skew(load: Load) -> float:
    """Seconds from the first new answer to the last old one."""
    first, last = load.first("v2"), load.last("v1")
    assert first is not None
    assert last is not None
    return last.done - first.done


async def test_the_preview_is_reached_by_header_only_and_then_everybody_moves_in_one_write(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, strategy=blue_green(approval=True))
    async with Writes(world) as writes, world.load(RATE) as load:
        await world.release("v2")
        await world.serving("v2", headers=PINNED)
        assert versions(await more(load, 100)) == {"v1"}
        status = await world.phase("Paused")
        sets = await world.replica_sets()
        assert sets[status["canary"]]["status"]["availableReplicas"] == 3
        assert len(writes.states) == 1
        await approved(world)
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
        assert versions(await more(load, 50)) == {"v2"}
    assert failed(load) == ""
    assert writes.weights == [(100, 0), (0, 100), (100, 0)]
    routes = [[one["name"] for one in state["spec"]["http"]] for state in writes.states]
    pinned = ["rollout-controller/web/pin/primary", "primary"]
    assert routes == [pinned, pinned, ["primary"]]
    assert skew(load) < 1


async def test_a_preview_that_is_mirrored_is_judged_by_copies_and_loses_them_in_the_write_that_moves_all(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, strategy=blue_green(mirror=30))
    async with Writes(world) as writes, world.load(RATE) as load:
        await world.release("v2")
        canary = (await world.until(lambda s: s.get("step") == "1/2", "the preview"))["canary"]

        async def copied() -> bool:
            return await requests_to(world, revision=canary) >= 20

        await wait_for(copied, "copies to reach the preview")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert writes.weights == [(100, 0), (0, 100), (100, 0)]
    assert ["mirrors" in state["spec"]["http"][-1] for state in writes.states] == [True, False, False]


async def test_a_version_that_is_bad_once_it_is_live_is_taken_back_in_one_write(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, strategy=blue_green(approval=True), bake="5m")
    async with Writes(world) as writes, world.load(RATE) as load:
        await world.release("v2")
        await approved(world)
        canary = (await world.at(100))["canary"]
        await more(load, 50)
        assert failed(load) == ""
        await world.pod_post(canary, "/-/set?error_rate=0.3")
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
        assert versions(await more(load, 50)) == {"v1"}
    assert "error rate" in status["reason"]
    assert {(answer.status, answer.version) for answer in load.failures()} == {(500, "v2")}
    assert writes.weights == [(100, 0), (0, 100), (100, 0)]
    assert [one["name"] for one in writes.states[-1]["spec"]["http"]] == ["primary"]


async def test_a_preview_that_nobody_may_see_is_taken_back_and_no_user_met_it(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, strategy=blue_green(approval=True))
    async with Writes(world) as writes, world.load(RATE) as load, world.load(30, headers=PINNED):
        await world.release("v2", env={"ERROR_RATE": "0.5"})
        status = await world.phase("Reverted")
        await world.assert_reverted(status["canary"])
    assert failed(load) == ""
    assert load.versions().keys() == {"v1"}
    assert writes.weights == [(100, 0), (100, 0)]


async def test_two_switches_there_and_back_fail_no_request(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, strategy=blue_green(), minDuration="0s", bake="0s")
    async with world.load(RATE) as load:
        for version in ("v2", "v1"):
            await world.release(version)
            await world.phase("Progressing")
            await world.phase("Healthy")
            await world.assert_at_rest(version)
    assert failed(load) == ""
