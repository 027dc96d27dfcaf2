"""Others who write to our VirtualService and DestinationRule in the middle of a release."""

import pytest

from e2e.tests.controller import Controller
from e2e.tests.counting import answered, more, versions
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HASH_LABEL, HOLD, World, failed

pytestmark = pytest.mark.real


async def test_a_weight_set_back_to_0_by_another_is_an_abort_that_names_him(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await world.weigh(0, manager="argocd-controller")
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert failed(load) == ""
    assert 'field manager "argocd-controller"' in status["reason"]
    assert "from 25 % to 0 %" in status["reason"]


async def test_a_weight_lowered_by_another_is_an_abort_as_well(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    canary = (await world.at(25))["canary"]
    await world.weigh(10, manager="kiali")
    status = await world.phase("Reverted")
    await world.assert_reverted(canary)
    assert 'field manager "kiali" lowered the canary\'s share from 25 % to 10 %' in status["reason"]


async def test_a_weight_lowered_while_the_controller_is_down_is_an_abort_once_it_is_back(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    canary = (await world.at(25))["canary"]
    await controller.kill()
    await world.weigh(0, manager="argocd-controller")
    await controller.restart()
    status = await world.phase("Reverted")
    await world.assert_reverted(canary)
    assert "argocd-controller" in status["reason"]


async def test_a_weight_raised_by_another_is_put_back_and_the_release_goes_on(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        await world.at(25)
        await world.weigh(60, manager="kiali")
        await world.event("Corrected", '"kiali"')

        async def put_back() -> bool:
            return await world.weights() == [75, 25]

        await wait_for(put_back, "the weights to be put back")
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""


async def test_who_keeps_raising_the_weight_ends_the_release(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    canary = (await world.at(25))["canary"]

    async def put_back() -> bool:
        return (await world.weights())[1] <= 25

    for _ in range(4):
        await world.weigh(60, manager="kiali")
        await wait_for(put_back, "the weights to be put back")
    status = await world.phase("Reverted")
    await world.assert_reverted(canary)
    assert 'field manager "kiali" keeps changing' in status["reason"]


async def test_a_subset_relabelled_by_another_is_put_back_and_the_release_goes_on(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        await world.at(25)
        pins = await world.pins()
        where = f"/spec/subsets/1/labels/{HASH_LABEL}"
        await world.patch("destinationrules", [{"op": "remove", "path": where}], manager="git-sync")
        await world.event("Corrected", '"git-sync"')

        async def put_back() -> bool:
            return await world.pins() == pins

        await wait_for(put_back, "the subsets to be put back")
        assert await world.weights() == [75, 25]
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""


async def test_what_others_change_beside_the_weights_survives_the_release(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)
    added = [{"op": "add", "path": "/spec/http/0/timeout", "value": "7s"}]
    found = await world.patch("virtualservices", added, manager="git-sync")
    world.applied["VirtualService"]["spec"]["http"][0]["timeout"] = "7s"
    assert found["spec"]["http"][0]["route"][1]["weight"] == 25
    await world.command("promote", "full")
    await world.phase("Healthy")
    await world.assert_at_rest("v2")


async def test_a_canary_whose_subset_is_taken_away_is_taken_back_at_once_and_the_rollout_can_be_deleted(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await answered(load, "v2")
        await world.patch("destinationrules", [{"op": "remove", "path": "/spec/subsets/1"}])
        status = await world.phase("Reverted")
        assert await world.weights() == [100, 0]
        known = await more(load, 40)
    assert "nobody answers requests for the canary" in status["reason"]
    assert 'there is no subset named "canary"' in status["reason"]
    assert versions(known) == {"v1"}
    # 15 a second, from when the subset is gone in Envoy until the weight is.
    assert {answer.status for answer in load.failures()} <= {503}
    assert len(load.failures()) <= 40, failed(load)
    await world.assert_no_pods(canary)
    await world.kubectl("delete", "rlt", "web", "--timeout=20s")


async def test_weights_that_total_no_100_after_a_raise_are_put_back_whole(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        await world.at(25)
        half = {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 30}
        await world.patch("virtualservices", [half])
        await world.event("Corrected", "from 25 % to 45 %", "put back, 1 of 3 times")

        async def whole() -> bool:
            return await world.weights() == [75, 25]

        await wait_for(whole, "the weights of the step")
        await world.at(25)
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
