"""What is wrong with the objects around a Rollout: told with its cure, nothing written, healed when cured.

All cases share a namespace and a controller, and have names of their own; no pods are needed.
"""

import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from e2e.localcluster import LocalCluster
from e2e.localcluster.kube import Kube
from e2e.tests.controller import STASH, Controller
from e2e.tests.mistakes import CASES, Case, having, without
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HOLD, NETWORKING, World, failed, rollout

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("findings")]

RENAME = [{"op": "replace", "path": "/spec/http/0/name", "value": "secondary"}]


@pytest_asyncio.fixture(scope="module")
async def shared(
    cluster: LocalCluster, kube: Kube, installed: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Namespace, Controller]]:
    """A namespace with a controller for all cases."""
    async with Namespace.make(cluster, kube) as namespace:
        one = Controller(cluster, namespace.name, tmp_path_factory.mktemp("findings") / "controller.log")
        await one.start()
        await one.ready()
        yield namespace, one
        await one.stop()
        assert one.defects()[:1] == []


@pytest.fixture
def make(request: pytest.FixtureRequest, shared: tuple[Namespace, Controller]) -> Callable[[str], World]:
    """A world of the given name, nothing applied yet."""
    request.node.stash[STASH] = shared[1]
    return lambda name: World(*shared, name)


def filled(value: Any, world: World) -> Any:
    """The same with {ns} and {name} filled in."""
    if isinstance(value, str):
        return value.replace("{ns}", world.namespace.name).replace("{name}", world.name)
    if isinstance(value, list):
        return [filled(one, world) for one in value]
    return {key: filled(one, world) for key, one in value.items()} if isinstance(value, dict) else value


async def written_by_us(world: World) -> list[str]:
    """Objects around the Rollout that bear a write of the controller."""
    kinds = {"deployments": "apps/v1", "virtualservices": NETWORKING, "destinationrules": NETWORKING}
    found = [
        item
        for plural, group in kinds.items()
        for item in (await world.namespace.kube.get(world.namespace.path(plural, group=group)))["items"]
        if item["metadata"]["name"] == world.name
    ]
    return [
        item["kind"]
        for item in found
        for entry in item["metadata"]["managedFields"]
        if entry["manager"] == "rollout-controller"
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_mistake_is_told_with_its_cure_touches_nothing_and_heals_by_itself(
    make: Callable[[str], World], case: Case
) -> None:
    world = make(case.name)
    manifests = world.manifests(replicas=0)
    case.change(manifests)
    await world.namespace.apply(*filled(list(manifests.values()), world), rollout(world.name))
    status = await world.phase("Invalid", within=20)
    for words in case.says:
        assert filled(words, world) in status["message"]
    assert (status["findings"][0]["code"], status["findings"][0]["severity"]) == (case.code, "error")
    await world.event("Invalid", filled(case.says[0], world))
    assert await written_by_us(world) == []

    await world.apply(0)
    status = await world.phase("Healthy", within=20)
    assert "findings" not in status
    assert len(await world.events("Invalid")) == 1
    await world.assert_at_rest("v1", replicas=0)


async def test_several_mistakes_are_told_at_once(make: Callable[[str], World]) -> None:
    world = make("several")
    manifests = world.manifests(replicas=0)
    having("Deployment", "spec.strategy", {"type": "Recreate"})(manifests)
    without("VirtualService")(manifests)
    await world.namespace.apply(*manifests.values(), rollout(world.name))
    status = await world.phase("Invalid", within=20)
    assert [one["code"] for one in status["findings"]] == ["RecreateStrategy", "MissingVirtualService"]


async def test_a_warning_holds_nothing_and_is_told_once(make: Callable[[str], World]) -> None:
    world = make("retries")
    manifests = world.manifests(replicas=0)
    having("VirtualService", "spec.http.0.retries", {"attempts": 5})(manifests)
    await world.namespace.apply(*manifests.values(), rollout(world.name))
    status = await world.phase("Healthy", within=20)
    (finding,) = status["findings"]
    assert (finding["code"], finding["severity"]) == ("RetriesMultiplyLoad", "warning")
    assert "up to 6 times the requests" in status["message"]
    await world.event("RetriesMultiplyLoad", f"VirtualService {world.namespace.name}/{world.name}")
    await world.kubectl("annotate", "rlt", world.name, "looked=again")

    await world.apply(0)
    await world.until(lambda status: "findings" not in status, "the warning to go with its cause")
    assert len(await world.events("RetriesMultiplyLoad")) == 1


async def test_a_mistake_at_rest_holds_the_next_release_until_it_is_cured(
    make: Callable[[str], World],
) -> None:
    world = make("at-rest")
    await world.apply(0, rollout(world.name))
    await world.phase("Healthy")
    await world.patch("destinationrules", [{"op": "remove", "path": "/spec/subsets/1"}])
    await world.phase("Invalid")
    await world.release("v2")
    assert (await world.get("deployments"))["spec"]["paused"] is True
    assert len(await world.replica_sets()) == 1
    await world.namespace.apply(world.manifests()["DestinationRule"])
    await world.until(lambda s: bool(s.get("history")), "the release that was held")
    await world.assert_at_rest("v2", replicas=0)


async def test_an_older_rule_with_the_same_subsets_is_told_until_it_is_gone(
    make: Callable[[str], World],
) -> None:
    world = make("older-rule")
    older = copy.deepcopy(world.manifests()["DestinationRule"])
    older["metadata"]["name"] = "a-rule"
    await world.namespace.apply(older)
    await world.apply(0, rollout(world.name))
    status = await world.phase("Invalid")
    assert [finding["code"] for finding in status["findings"]] == ["ConflictingDestinationRule"]
    assert "the other one, so weights and a way back do not decide" in status["message"]
    assert await written_by_us(world) == []
    await world.kubectl("delete", "destinationrule", "a-rule")
    await world.phase("Healthy")


async def test_a_rule_that_is_followed_instead_of_ours_holds_the_next_release(
    make: Callable[[str], World],
) -> None:
    world = make("other-rule")
    await world.apply(0, rollout(world.name))
    await world.phase("Healthy")
    other = copy.deepcopy(world.manifests()["DestinationRule"])
    other["metadata"]["name"] = "z-rule"
    other["spec"] |= {"exportTo": ["."], "subsets": []}
    await world.namespace.apply(other)
    await world.phase("Invalid")
    await world.release("v2")
    assert len(await world.replica_sets()) == 1
    await world.kubectl("delete", "destinationrule", "z-rule")
    await world.until(lambda s: bool(s.get("history")), "the release that was held")
    await world.assert_at_rest("v2", replicas=0)


async def test_a_rule_that_only_adds_to_ours_is_fine(make: Callable[[str], World]) -> None:
    world = make("added-rule")
    added = copy.deepcopy(world.manifests()["DestinationRule"])
    added["metadata"]["name"] = "a-rule"
    added["spec"]["subsets"] = []
    await world.namespace.apply(added)
    await world.apply(0, rollout(world.name))
    assert "findings" not in await world.phase("Healthy")


async def test_a_mistake_in_the_middle_of_a_release_pauses_it_until_it_is_cured(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load(50) as load:
        await world.release("v2")
        await world.at(25)
        before = await world.get("virtualservices")
        await world.patch("virtualservices", RENAME)
        status = await world.phase("Paused")
        assert status["pausedBy"] == "Finding"
        assert 'no http route named "primary"' in status["message"]
        assert await world.weights() == [75, 25]
        await world.patch("virtualservices", [{**RENAME[0], "value": "primary"}])
        await world.at(25)
        assert (await world.get("virtualservices"))["spec"] == before["spec"]
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""


async def test_an_abort_takes_back_a_route_that_was_renamed_meanwhile(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load(50) as load:
        await world.release("v2")
        await world.at(25)
        await world.patch("virtualservices", RENAME)
        await world.phase("Paused")
        await world.command("abort")
        await world.phase("Reverted")
        assert await world.weights() == [100, 0]
    assert failed(load) == ""
    assert load.answers[-1].version == "v1"


async def test_a_rollout_that_is_wrong_from_the_start_can_be_deleted(make: Callable[[str], World]) -> None:
    world = make("deleted")
    await world.namespace.apply(rollout(world.name))
    await world.phase("Invalid")
    await world.kubectl("delete", "rlt", world.name, "--timeout=10s")

    async def away() -> bool:
        return not await world.kubectl("get", "rlt", world.name, "--ignore-not-found")

    await wait_for(away, "the Rollout to be gone")
