"""Mirroring through the real Envoy: the canary gets copies, and users get only stable's answers."""

import pytest

from e2e.load import Load
from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.counting import more, requests_to, share, versions
from e2e.tests.meshes import AT_REST, PIN, PINNED, Place, with_routes
from e2e.tests.support import Namespace, deployment, route, service, wait_for
from e2e.tests.world import World, failed

pytestmark = pytest.mark.real

COPIES = {"mirror": 20, "minDuration": "5m"}
ALL = {"weight": 100}
RATE = 120.0
"""Requests per second: some hundred of them show a fifth."""


async def copied(world: World) -> str:
    """Wait until the canary's pods are sent requests; its revision."""
    status = await world.until(lambda s: str(s.get("step")).startswith("1/"), "the first step")
    revision: str = status["canary"]

    async def some() -> int:
        return await requests_to(world, revision=revision)

    await wait_for(some, "copies to reach the canary", within=30)
    return revision


async def sent_and_copied(world: World, load: Load, revision: str = "", *, app: str = "") -> tuple[int, int]:
    """The requests that a load has sent, and those that pods of a revision (or an app) were sent, so far."""
    counted = await requests_to(world, revision=revision, app=app)
    return load.sent, counted


async def mirrors(world: World) -> list[Object]:
    """What the VirtualService says of its copies."""
    found: list[Object] = (await world.get("virtualservices"))["spec"]["http"][-1].get("mirrors", [])
    return found


async def test_a_mirror_copies_its_percentage_to_the_canary_and_no_user_gets_its_answer(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[COPIES, ALL])
    async with world.load(RATE) as load:
        await world.release("v2")
        canary = await copied(world)
        before = await sent_and_copied(world, load, canary)
        await more(load, 600)
        asked, got = (
            after - b for after, b in zip(await sent_and_copied(world, load, canary), before, strict=True)
        )
        # five standard deviations, and what was under way at the two counts
        assert got / asked == pytest.approx(0.2, abs=0.09)
        status = await world.until(lambda s: s["verdict"]["result"] == "pass", "the gate to pass")
        assert status["step"] == "1/2"
        assert load.versions().keys() == {"v1"}
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""


async def test_a_canary_that_fails_its_copies_is_taken_back_and_no_user_met_it(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[COPIES, ALL])
    async with world.load(RATE) as load:
        await world.release("v2", env={"ERROR_RATE": "0.5"})
        status = await world.phase("Reverted")
        await world.assert_reverted(status["canary"])
    assert "error rate" in status["reason"]
    assert failed(load) == ""
    assert load.versions().keys() == {"v1"}


async def test_a_mirror_beside_a_weight_and_a_pin_gives_the_canary_all_three(
    namespace: Namespace, controller: Controller
) -> None:
    both = {"weight": 25, "mirror": 50, "minDuration": "5m"}
    world = await World.begin(namespace, controller, pin=[PIN], steps=[both, ALL])
    async with world.load(RATE) as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await more(load, 60)  # until Envoy knows
        before = await sent_and_copied(world, load, canary)
        answers = await more(load, 600)
        asked, got = (
            after - b for after, b in zip(await sent_and_copied(world, load, canary), before, strict=True)
        )
        assert share(answers, "v2") == pytest.approx(0.25, abs=0.09)
        # copies are made of every request that the route takes, those to the canary too
        assert got / asked == pytest.approx(0.75, abs=0.15)
        async with world.load(50, headers=PINNED) as pinned:
            assert versions(await more(pinned, 20)) == {"v2"}
        await world.command("abort", "by the test")
        await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert failed(load) == ""
    assert failed(pinned) == ""


async def test_a_mirror_of_the_users_own_stays_through_the_release(
    namespace: Namespace, controller: Controller
) -> None:
    await namespace.apply(deployment("shadow", replicas=1, version="shadow"), service("shadow"))
    await namespace.rolled_out("shadow")

    def routes(place: Place) -> list[Object]:
        own = {"destination": {"host": place.service_of("shadow")}, "percentage": {"value": 50}}
        return [route(AT_REST, host=place.service, mirrors=[own])]

    mesh = with_routes(routes, routes=["primary"])
    world = await World.begin(namespace, controller, mesh=mesh, steps=[COPIES, ALL])
    (own,) = await mirrors(world)
    async with world.load(RATE) as load:
        await world.release("v2")
        canary = await copied(world)
        assert [one["percentage"]["value"] for one in await mirrors(world)] == [50, 20]
        assert (await mirrors(world))[0] == own
        before = [
            *await sent_and_copied(world, load, canary),
            *await sent_and_copied(world, load, app="shadow"),
        ]
        await more(load, 600)
        after = [
            *await sent_and_copied(world, load, canary),
            *await sent_and_copied(world, load, app="shadow"),
        ]
        asked, ours, asked_theirs, theirs = (b - a for a, b in zip(before, after, strict=True))
        assert ours / asked == pytest.approx(0.2, abs=0.09)
        assert theirs / asked_theirs == pytest.approx(0.5, abs=0.12)
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert versions(load.answers) == {"v1", "v2"}
