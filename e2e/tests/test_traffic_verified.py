"""Whether requests go where the routes send them: a shadowed route, another VirtualService; and istiod's word
on who sends to a canary. That a subset means other pods is found before: see test_findings_rules."""

import pytest

from e2e.localcluster import LocalCluster
from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, virtual_service, wait_for
from e2e.tests.world import HOLD, World, analysis, failed
from rollout_controller.istiod.client import Istiod, IstiodSettings
from rollout_controller.ports import Sender, Subset

pytestmark = pytest.mark.real

RATE = 200.0
"""Requests per second."""
HEADER = {"x-team": "blue"}
HELD = analysis(inconclusive={"after": "25s", "then": "Pause"})
"""Evidence is compared with the weights once it is 10 s old."""


def verified(status: Object) -> tuple[str, str, str]:
    """Status, reason and message of the condition."""
    (found,) = [one for one in status.get("conditions", ()) if one["type"] == "TrafficVerified"]
    return found["status"], found["reason"], found["message"]


def to_stable(world: World) -> Object:
    """A route for one team, to stable alone."""
    target = {"host": world.service, "subset": "stable"}
    match = [{"headers": {name: {"exact": value}}} for name, value in HEADER.items()]
    return {"name": "blue", "match": match, "route": [{"destination": target}], "retries": {"attempts": 0}}


async def paused(world: World, reason: str) -> Object:
    """Wait until the condition is False for this reason, and the release Paused with the same words."""
    status = await world.until(lambda s: verified(s)[:2] == ("False", reason), f"TrafficVerified {reason}")
    assert status["phase"] == "Progressing"
    assert status["verdict"]["result"] == "inconclusive"
    status = await world.phase("Paused")
    assert status["pausedBy"] == "Inconclusive"
    assert verified(status)[1] == reason
    return status


async def test_a_good_release_is_verified(namespace: Namespace, controller: Controller) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    assert verified(await world.status())[:2] == ("Unknown", "NoRelease")
    async with world.load(RATE) as load:
        await world.release("v2")
        await world.at(25)
        await world.until(lambda s: verified(s)[0] == "True", "verified traffic")
        await world.kubectl("wait", "rlt/web", "--for=condition=TrafficVerified", "--timeout=5s")
        assert "the routes give it 25 %" in verified(await world.status())[2]
        await world.command("promote", "full")
        await world.phase("Healthy")
    assert failed(load) == ""
    assert verified(await world.status())[:2] == ("Unknown", "NoRelease")


async def test_a_route_above_that_takes_all_requests_holds_the_step_and_then_the_release(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(
        namespace, controller, steps=[{"weight": 25, "minDuration": "12s"}, {"weight": 100}], analysis=HELD
    )
    above = {"op": "add", "path": "/spec/http/0", "value": to_stable(world)}
    await world.patch("virtualservices", [above])
    async with world.load(RATE, headers=HEADER) as load:
        await world.release("v2")
        status = await paused(world, "NoRequests")
        assert "another route to stable may take them all" in verified(status)[2]
        assert verified(status)[2] in status["reason"]
    assert failed(load) == ""
    assert load.versions().keys() == {"v1"}
    async with world.load(RATE) as load:  # nobody of that team
        await world.until(lambda s: bool(s.get("history")), "the release to go on and end")
    assert failed(load) == ""
    assert (await world.status())["history"][0]["outcome"] == "Promoted"


async def test_another_virtual_service_that_takes_most_requests_holds_the_release(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}], analysis=HELD)
    await namespace.apply(virtual_service(world.host, [to_stable(world)], "another"))
    async with world.load(RATE * 0.9, headers=HEADER), world.load(RATE * 0.1):
        await world.release("v2")
        status = await paused(world, "FarTooFew")
        assert "another VirtualService may serve this host" in status["reason"]
        assert await world.weights() == [75, 25]
        await world.command("abort", "enough")
        await world.phase("Reverted")
    assert verified(await world.status())[:2] == ("False", "FarTooFew")


async def test_istiod_tells_whom_it_gives_routes_to_a_canary(
    namespace: Namespace, controller: Controller, cluster: LocalCluster
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    istiod = Istiod(IstiodSettings(cluster.istiod_debug_url))
    subset = Subset(world.service, "canary")
    assert await istiod.senders(subset, namespace.name) == []
    async with world.load(50):
        await world.release("v2")
        await world.at(25)

        async def routed() -> list[Sender]:
            return await istiod.senders(subset, namespace.name)

        (sender,) = await wait_for(routed, "istiod to have the route", 5)
    assert sender.proxy == "gw-0.istio-system"
    assert sender.why == f"is given a route to subset canary of {world.service} by istiod"
