"""Canary pods that crash, never come up, or are lost in the middle of a step."""

import pytest

from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HASH_LABEL, HOLD, World, failed

pytestmark = pytest.mark.real


@pytest.mark.alone
async def test_a_canary_whose_pods_crash_at_25_percent_is_taken_back(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    stable = {pod["metadata"]["name"] for pod in await namespace.pods(app="web")}
    async with world.load(100) as load:
        await world.release("v2", env={"CRASH_AFTER_REQUESTS": "25"})
        canary = (await world.at(25))["canary"]
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert "canary pods" in status["reason"]
    assert load.answers[-1].version == "v1"
    # What a crash itself cuts off, and what is sent there until the last proxy knows.
    assert len(load.failures()) <= 40, failed(load)
    assert {pod["metadata"]["name"] for pod in await namespace.pods(app="web")} == stable


async def test_a_canary_that_is_never_available_is_taken_back_at_the_deadline_without_a_request(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, progressDeadline="8s")
    async with world.load(100) as load:
        await world.release("v2", image="app:missing")
        status = await world.phase("Reverted")
        await world.assert_reverted(status["canary"])
    assert failed(load) == ""
    assert set(load.versions()) == {"v1"}
    assert "progressDeadline" in status["reason"]
    assert "its image app:missing cannot be pulled" in status["reason"]


@pytest.mark.alone
async def test_canary_pods_that_are_all_unready_at_25_percent_cost_a_few_requests(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load(100) as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await world.pod_post(canary, "/-/unready")
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert "none is ready" in status["reason"]
    assert len(load.failures()) <= 10, failed(load)


async def test_one_canary_pod_short_lowers_the_share_until_it_is_back(
    namespace: Namespace, controller: Controller
) -> None:
    half = {**HOLD, "weight": 50}
    world = await World.begin(namespace, controller, steps=[half, {"weight": 100}])
    async with world.load(100) as load:
        await world.release("v2")
        canary = (await world.at(50))["canary"]
        pods = await world.pods(canary)
        assert len(pods) == 2
        await world.pod_post(canary, "/-/unready", only=1)
        lowered = await world.at(33)
        assert "lowered to 33 %" in lowered["message"]
        await world.event("PodsShort", "33 %")
        await world.pod_post(canary, "/-/ready", only=1)
        await world.at(50)
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""


async def test_a_canary_pod_deleted_by_hand_is_made_anew_and_the_release_goes_on(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}], pre_stop=3)
    async with world.load(100) as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        victim = (await world.pods(canary))[0]["metadata"]["name"]
        await world.kubectl("delete", "pod", victim, "--wait=false")

        async def replaced() -> bool:
            names = {pod["metadata"]["name"] for pod in await world.pods(canary)}
            return victim not in names and len(names) == 2

        await wait_for(replaced, "a new pod in place of the deleted one")
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""


@pytest.mark.parametrize("cascade", ["background", "orphan"])
async def test_a_canary_replica_set_deleted_by_hand_is_a_lost_canary(
    namespace: Namespace, controller: Controller, cascade: str
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load(100) as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await world.kubectl("delete", "replicaset", f"web-{canary}", "--wait=false", f"--cascade={cascade}")
        if cascade == "orphan":
            held = await world.until(lambda s: "2 canary pods" in s["message"], "the pods to be told of")
            assert held["weight"] == 0
            assert await world.pins() == [held["stable"], canary], "stable's subset would select them"
            await world.kubectl("delete", "pods", "-l", f"{HASH_LABEL}={canary}", "--wait=false")
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert "lost" in status["reason"]
    # 25 a second, from when the pods are told to end until the weight is home.
    assert len(load.failures()) <= 40, failed(load)
