"""Back to the version before, under load on the real parts: in one write, and judged like any other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import monotonic

import pytest

from e2e.load import Load
from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HASH_LABEL, NETWORKING, World, failed

pytestmark = pytest.mark.real


@dataclass
class Writes:
    """Every write of the VirtualService: when it was seen, and the canary's weight in it."""

    seen: list[tuple[float, int]] = field(default_factory=list)

    def weights(self, since: float) -> list[int]:
        """The weights that were written since then."""
        return [weight for at, weight in self.seen if at >= since]

    async def full(self, since: float, within: float = 60.0) -> float:
        """Wait until the canary was given everybody; the seconds from `since` to that write."""

        async def written() -> float | None:
            return next((at for at, weight in self.seen if at >= since and weight == 100), None)

        return await wait_for(written, "the canary to get 100 %", within) - since


@contextlib.asynccontextmanager
async def written(world: World) -> AsyncIterator[Writes]:
    """Watch the world's VirtualService."""
    kube, path = world.namespace.kube, world.namespace.path("virtualservices", group=NETWORKING)
    version = (await kube.get(path))["metadata"]["resourceVersion"]
    writes = Writes()

    async def follow() -> None:
        async for type_, item in kube.watch(path, version):
            if type_ == "MODIFIED" and item["metadata"]["name"] == world.name:
                _stable, canary = item["spec"]["http"][0]["route"]
                writes.seen.append((monotonic(), canary.get("weight", 0)))

    watching = asyncio.create_task(follow())
    try:
        yield writes
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def promoted(world: World, version: str, writes: Writes) -> float:
    """Release a version to its end; the seconds until it had everybody."""
    begun = monotonic()
    await world.release(version)
    seconds = await writes.full(begun)
    await world.phase("Healthy")
    await world.assert_at_rest(version)
    return seconds


def last(load: Load, version: str, since: float) -> float:
    """Seconds from then to the last request that this version answered."""
    return max(answer.sent for answer in load.between(since) if answer.version == version) - since


async def test_back_to_the_version_before_is_one_write_and_no_request_fails(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, minDuration="2s")
    first = (await world.status())["stable"]
    async with written(world) as writes, world.load() as load:
        stepwise = await promoted(world, "v2", writes)
        second = (await world.status())["stable"]
        begun = monotonic()
        straight = await promoted(world, "v1", writes)
        everybody = last(load, "v2", begun)
    assert failed(load) == ""
    assert writes.weights(since=0)[:5] == [5, 10, 25, 50, 100]
    assert writes.weights(begun) == [100, 0]
    print(
        f"100 % after {straight:.1f} s (in 5 steps: {stepwise:.1f} s); everybody back after {everybody:.1f} s"
    )
    assert straight < stepwise / 2
    assert straight - 1 < everybody < straight + 2
    status = await world.status()
    assert [past["outcome"] for past in status["history"]] == ["Promoted", "Promoted"]
    assert status["previous"] == [second, first]
    await world.event("Started", f"back to {first}, which was stable before: straight to 100 %")


async def test_forth_again_is_as_fast_and_the_old_replica_sets_do_not_pile_up(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[{"weight": 50}, {"weight": 100}])
    async with written(world) as writes, world.load() as load:
        await promoted(world, "v2", writes)
        for version in ("v1", "v2", "v1"):
            begun = monotonic()
            await promoted(world, version, writes)
            assert writes.weights(begun) == [100, 0]
    assert failed(load) == ""
    assert len(await world.replica_sets()) == 2


async def test_a_version_before_that_fails_today_is_taken_back_and_then_tried_step_by_step(
    namespace: Namespace, controller: Controller
) -> None:
    steps = [{"weight": 50}, {"weight": 100}]
    world = await World.begin(namespace, controller, steps=steps, bake="60s")
    async with written(world) as writes, world.load() as load:
        await world.release("v2")
        await world.at(100)
        await world.command("promote")
        await world.phase("Healthy")
        begun = monotonic()
        await world.release("v1")
        canary = (await world.at(100))["canary"]
        await world.pod_post(canary, "/-/set?error_rate=0.5")
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
        assert writes.weights(begun) == [100, 0]
        assert "error rate" in status["reason"]
        assert {answer.version for answer in load.failures()} == {"v1"}
        begun = monotonic()
        await world.command("retry")
        await world.at(100)
        await writes.full(begun)
        assert writes.weights(begun) == [50, 100]


async def test_a_controller_killed_on_the_way_back_still_goes_straight(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[{"weight": 50}, {"weight": 100}])
    first = (await world.status())["stable"]
    async with written(world) as writes, world.load() as load:
        await promoted(world, "v2", writes)
        begun = monotonic()
        await world.release("v1")

        async def told_by_nothing_but_the_plan() -> bool:
            return first not in await world.replica_sets()

        await wait_for(told_by_nothing_but_the_plan, "the old ReplicaSet to be deleted")
        await controller.kill()
        await controller.restart()
        await world.phase("Healthy")
        await world.assert_at_rest("v1")
    assert failed(load) == ""
    assert writes.weights(begun) == [100, 0]


async def test_without_a_window_every_version_takes_its_steps(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(
        namespace, controller, steps=[{"weight": 50}, {"weight": 100}], rollbackWindow=0
    )
    async with written(world) as writes, world.load():
        await promoted(world, "v2", writes)
        begun = monotonic()
        await promoted(world, "v1", writes)
    assert writes.weights(begun) == [50, 100, 0]


async def test_the_way_back_from_a_version_that_lost_all_its_pods_is_open(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[{"weight": 50}, {"weight": 100}])
    async with written(world) as writes, world.load() as load:
        await promoted(world, "v2", writes)
        second = (await world.status())["stable"]
        await world.pod_post(second, "/-/unready")
        begun = monotonic()
        await promoted(world, "v1", writes)
    assert writes.weights(begun) == [100, 0]
    assert load.answers[-1].version == "v1"
    assert {pod["metadata"]["labels"][HASH_LABEL] for pod in await namespace.pods(app="web")} != {second}
