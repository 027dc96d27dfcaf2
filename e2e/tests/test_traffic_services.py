"""Host mode through the real Envoy: two Services in the place of subsets, an ordinary Deployment."""

import pytest

from e2e.tests.controller import Controller
from e2e.tests.counting import more, share, versions
from e2e.tests.meshes import PIN, PINNED, two_services
from e2e.tests.support import Namespace
from e2e.tests.world import HASH_LABEL, HOLD, World, failed

pytestmark = pytest.mark.real

FAST = ({"weight": 25}, {"weight": 50}, {"weight": 100})


async def selectors(world: World) -> list[str | None]:
    """The revisions that the two Services select."""
    found = [await world.get("services", name) for name in ("web", "web-canary")]
    return [one["spec"]["selector"].get(HASH_LABEL) for one in found]


async def test_a_good_release_over_two_services_fails_no_request_and_leaves_them_as_in_git(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, mesh=two_services, steps=FAST)
    assert await selectors(world) == [None, None]
    async with world.load() as load:
        await world.release("v2")
        await world.phase("Progressing")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
        assert versions(await more(load, 50)) == {"v2"}
    assert failed(load) == ""
    assert await selectors(world) == [None, None]


async def test_each_service_selects_its_version_while_the_release_runs(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(
        namespace, controller, mesh=two_services, pin=[PIN], steps=[HOLD, {"weight": 100}]
    )
    async with world.load() as load:
        await world.release("v2")
        status = await world.at(25)
        assert await selectors(world) == [status["stable"], status["canary"]]
        await more(load, 60)  # until Envoy knows
        assert share(await more(load, 480), "v2") == pytest.approx(0.25, abs=0.1)
        async with world.load(50, headers=PINNED) as pinned:
            assert versions(await more(pinned, 20)) == {"v2"}
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert failed(pinned) == ""


async def test_a_bad_release_over_two_services_is_taken_back_and_only_its_own_answers_failed(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, mesh=two_services, steps=FAST)
    async with world.load() as load:
        await world.release("v2", env={"ERROR_RATE": "0.2"})
        status = await world.phase("Reverted")
        await world.assert_reverted(status["canary"])
        assert versions(await more(load, 50)) == {"v1"}
    assert "error rate" in status["reason"]
    assert {(answer.status, answer.version) for answer in load.failures()} == {(500, "v2")}


async def test_there_and_back_again_over_two_services_fails_no_request(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, mesh=two_services, steps=FAST)
    async with world.load() as load:
        for version in ("v2", "v1"):
            await world.release(version)
            await world.phase("Progressing")
            await world.phase("Healthy")
            await world.assert_at_rest(version)
    assert failed(load) == ""
