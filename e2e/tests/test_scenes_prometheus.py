"""Metrics that hang in the middle of a release."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest

from e2e.localcluster import LocalCluster, http
from e2e.tests.apart import apart
from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HOLD, World, failed

pytestmark = pytest.mark.real


@contextlib.asynccontextmanager
async def hanging_prometheus(cluster: LocalCluster) -> AsyncIterator[None]:
    """It takes connections and answers nothing."""
    port = cluster.state.ports["prometheus"]

    async def hangs() -> bool:
        try:
            await http.request("GET", "127.0.0.1", port, "/-/healthy", timeout=0.3)
        except TimeoutError:
            return True
        return False

    await cluster.pause("prometheus")
    try:
        await wait_for(hangs, "Prometheus to answer no more", 5)
        yield
    finally:
        await cluster.resume("prometheus")


@pytest.mark.alone
async def test_an_abort_while_prometheus_hangs_is_not_late(
    cluster: LocalCluster, namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await world.until(lambda s: "verdict" in s, "a first verdict")
        async with hanging_prometheus(cluster):
            asked = monotonic()
            await world.command("abort", "now")

            async def home() -> bool:
                return await world.weights() == [100, 0]

            await wait_for(home, "the VirtualService at 0", 5, every=0.02)
            took = monotonic() - asked
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert took < 1.5, f"{took:.2f} s, kubectl's own start included"
    assert failed(load) == ""
    assert "now" in status["reason"]


async def test_promote_full_goes_to_the_end_while_prometheus_hangs(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with apart(request.node, tmp_path) as (cluster, namespace, controller):
        world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
        async with world.load() as load:
            await world.release("v2")
            await world.at(25)
            async with hanging_prometheus(cluster):
                await world.command("promote", "full")
                await world.phase("Healthy", within=30)
            await world.assert_at_rest("v2")
        assert failed(load) == ""
