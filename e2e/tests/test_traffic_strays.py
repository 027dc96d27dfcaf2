"""A proxy that refuses its newest routes, and so goes on sending to a canary that was taken back.

In a cluster of its own, because others need a gateway that takes its routes.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.localcluster import LocalCluster, http
from e2e.localcluster.kube import Object
from e2e.tests.apart import apart
from e2e.tests.support import Namespace, virtual_service, wait_for
from e2e.tests.world import HOLD, World, failed

pytestmark = pytest.mark.real

GATEWAY = "gw-0.istio-system"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


async def refusal(cluster: LocalCluster) -> str:
    """Why the gateway refused the routes that it was sent last, "" if it did not."""
    port = cluster.state.ports["istiod-debug"]
    answer = await http.request("GET", "127.0.0.1", port, "/debug/syncz")
    (gateway,) = [one for one in json.loads(answer.body) if one["proxy"] == GATEWAY]
    return str(gateway["resources"][ROUTES].get("lastError") or "")


@contextlib.asynccontextmanager
async def broken_routes(namespace: Namespace, cluster: LocalCluster) -> AsyncIterator[None]:
    """Somebody's VirtualService has a regular expression that is none: the gateway keeps its routes."""
    route: Object = {
        "match": [{"uri": {"regex": "/a["}}],
        "route": [{"destination": {"host": f"web.{namespace.name}.svc.cluster.local"}}],
    }
    await namespace.apply(virtual_service(f"broken.{namespace.host}", [route], "broken"))
    try:

        async def refused() -> str:
            return await refusal(cluster)

        await wait_for(refused, "the gateway to refuse its routes", 10)
        yield
    finally:
        await namespace.kube.delete(namespace.path("virtualservices", "broken", "networking.istio.io/v1"))

        async def taken() -> bool:
            return not await refusal(cluster)

        await wait_for(taken, "the gateway to take its routes again", 10)


async def test_a_proxy_that_keeps_its_old_routes_after_a_revert_is_named(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with apart(request.node, tmp_path) as (cluster, namespace, controller):
        world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
        async with world.load(100) as load:
            await world.release("v2")
            canary = (await world.at(25))["canary"]
            # Pods that Prometheus does not know yet are not waited for when they are drained.
            await world.until(lambda s: (s.get("verdict") or {}).get("result") == "pass", "a first pass")
            async with broken_routes(namespace, cluster):
                await world.command("abort", "wrong colour")

                async def home() -> bool:
                    return await world.weights() == [100, 0]

                await wait_for(home, "the weights to be home")
                event = await world.event("StrayRequests", GATEWAY, canary, within=40)
                assert "has not taken the routes that istiod sent it last" in event
                assert "missing ]" in event  # as Envoy says of the regular expression
                assert load.share("v2", load.answers[-1].done - 3) > 0.1
                status = await world.status()
                assert status["phase"] == "Reverting"
                assert [one["code"] for one in status["findings"]] == ["StrayRequests"]
                assert GATEWAY in status["message"]
                assert len(await world.pods(canary)) > 0
            status = await world.phase("Reverted")
            assert "findings" not in status
            await world.assert_reverted(canary)
            await asyncio.sleep(1)
        assert failed(load) == ""
        assert len(await world.events("StrayRequests")) == 1
        assert load.answers[-1].version == "v1"
