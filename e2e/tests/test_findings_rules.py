"""What Istio makes of two DestinationRules for one host, and what a release does when a second one comes."""

import copy

import pytest

from e2e.load import Load
from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import World

pytestmark = pytest.mark.real

FEW = {"weight": 5, "minDuration": "5m"}
"""A step whose weight is far from the canary's share of the pods: two of five."""
LAST = 60
"""How many of the newest answers are looked at."""


async def share(load: Load, wanted: float, *, over: bool) -> None:
    """Wait until the canary has more, or not more, than the wanted share of the newest answers."""
    begin = len(load.answers)

    async def reached() -> bool:
        newest = [answer.version for answer in load.answers[begin:]][-LAST:]
        return len(newest) == LAST and (newest.count("v2") / LAST > wanted) is over

    await wait_for(reached, f"{'more' if over else 'no more'} than {wanted:.0%} of the answers from v2")


async def test_a_rule_with_another_export_to_makes_weights_move_nobody_so_a_release_is_paused(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[FEW, {"weight": 100}])
    async with world.load(50) as load:
        await world.release("v2")
        await world.at(5)
        await share(load, 0.2, over=False)
        other = copy.deepcopy(world.manifests()["DestinationRule"])
        other["metadata"]["name"] = "z-rule"
        other["spec"]["exportTo"] = ["*"]
        await namespace.apply(other)
        status = await world.phase("Paused")
        assert status["pausedBy"] == "Finding"
        assert status["findings"][0]["code"] == "ConflictingDestinationRule"
        await share(load, 0.2, over=True)
        assert await world.weights() == [95, 5]
        await world.kubectl("delete", "destinationrule", "z-rule")
        await world.at(5)
        await share(load, 0.2, over=False)
        await world.command("promote", "full")
        await world.phase("Healthy")


async def test_of_two_rules_alike_the_older_ones_subsets_are_followed(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[FEW, {"weight": 100}])
    async with world.load(50) as load:
        await world.release("v2")
        await world.at(5)
        other = copy.deepcopy(world.manifests()["DestinationRule"])
        other["metadata"]["name"] = "z-rule"
        await namespace.apply(other)
        await world.until(lambda status: bool(status.get("findings")), "the warning of the younger rule")
        assert (await world.status())["findings"][0]["severity"] == "warning"
        await share(load, 0.2, over=False)
        assert (await world.status())["phase"] == "Progressing"
