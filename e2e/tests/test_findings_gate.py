"""The gate's policies absent: told with what to apply, no release, and well again once they are applied.

In a cluster of its own, because others rely on the gate.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.localcluster import LocalCluster, Settings
from e2e.localcluster.kube import Kube
from e2e.tests.controller import STASH, Controller
from e2e.tests.install import established, install_crd, install_gate, remove_gate, remove_keep
from e2e.tests.kubectl import Kubectl
from e2e.tests.support import Namespace
from e2e.tests.world import HELD_BY, World, rollout

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("gate-alone")]

MESH = ("virtualservices.networking.istio.io", "destinationrules.networking.istio.io")


@pytest_asyncio.fixture(scope="module")
async def bare() -> AsyncIterator[LocalCluster]:
    """An API server and its controllers, with the kinds that a Rollout speaks of; no mesh, no gate."""
    async with LocalCluster(Settings(mesh=False, metrics=False)) as cluster:
        launch = json.loads(cluster.layout.launch.read_text())
        kubectl = Kubectl.of(cluster, "default")
        for definition in json.loads(launch["crds"]):
            if definition["metadata"]["name"] in MESH:
                kubectl("create", "-f", "-", stdin=definition)
        established(kubectl, *MESH)
        install_crd(kubectl)
        yield cluster


@pytest_asyncio.fixture(scope="module")
async def client(bare: LocalCluster) -> AsyncIterator[Kube]:
    async with bare.kube() as kube:
        yield kube


async def test_without_the_gate_nothing_is_released_until_it_is_applied(
    request: pytest.FixtureRequest, bare: LocalCluster, client: Kube, tmp_path: Path
) -> None:
    async with Namespace.make(bare, client) as namespace:
        controller = Controller(bare, namespace.name, tmp_path / "controller.log")
        request.node.stash[STASH] = controller
        world = World(namespace, controller)
        await controller.start()
        await controller.ready()
        await world.apply(0, rollout())
        status = await world.phase("Invalid")
        assert f"Deployment {namespace.name}/web spec.paused" in status["message"]
        assert "kubectl apply -k deploy/gate" in status["message"]
        await world.event("Invalid", "kubectl apply -k deploy/gate")

        await world.release("v2")
        await namespace.rolled_out("web")
        assert not (await world.get("deployments"))["spec"].get("paused", False)
        assert (await world.status())["phase"] == "Invalid"

        kubectl = Kubectl.of(bare, "default")
        install_gate(kubectl)
        await world.phase("Healthy", within=40)
        await world.assert_at_rest("v2", replicas=0)
        await world.release("v3")
        found = await world.get("deployments")
        assert found["metadata"].get("annotations", {}).get(HELD_BY) == "web"
        await world.until(lambda s: bool(s.get("history")), "the release to be over")
        await world.assert_at_rest("v3", replicas=0)
        remove_gate(kubectl)
        await controller.stop()
        assert controller.defects()[:1] == []


async def test_without_the_policy_that_keeps_versions_held_none_is_released_until_it_is_applied(
    request: pytest.FixtureRequest, bare: LocalCluster, client: Kube, tmp_path: Path
) -> None:
    kubectl = Kubectl.of(bare, "default")
    install_gate(kubectl)
    remove_keep(kubectl)
    async with Namespace.make(bare, client) as namespace:
        controller = Controller(bare, namespace.name, tmp_path / "controller.log")
        request.node.stash[STASH] = controller
        world = World(namespace, controller)
        await controller.start()
        await controller.ready()
        await world.apply(0, rollout())
        await world.phase("Healthy")

        await world.release("v2")
        status = await world.phase("Invalid")
        assert f"Deployment {namespace.name}/web spec.paused" in status["message"]
        assert "keep.yaml is not in force" in status["message"]
        await world.event("Invalid", "kubectl apply -k deploy/gate")
        assert (await world.get("deployments"))["spec"]["paused"] is True

        install_gate(kubectl)
        await world.until(lambda s: bool(s.get("history")), "the release to be over")
        await world.assert_at_rest("v2", replicas=0)
        remove_gate(kubectl)
        await controller.stop()
        assert controller.defects()[:1] == []
