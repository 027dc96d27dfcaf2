"""Gate and CRD, installed in any order or not at all: in a cluster of their own, because others use both."""

from collections.abc import AsyncIterator, Iterator

import pytest

from e2e.localcluster.cluster import LocalCluster
from e2e.localcluster.settings import Settings
from e2e.tests.crd_objects import rollout
from e2e.tests.install import deployment, install_crd, install_gate, remove_crd, remove_gate, until
from e2e.tests.kubectl import Kubectl

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("gate-alone")]


@pytest.fixture(scope="module")
async def own_cluster() -> AsyncIterator[LocalCluster]:
    async with LocalCluster(Settings(mesh=False, metrics=False)) as cluster:
        yield cluster


@pytest.fixture
def kubectl(own_cluster: LocalCluster) -> Iterator[Kubectl]:
    """In a cluster without gate and CRD."""
    kubectl = Kubectl.of(own_cluster, "default")
    remove_gate(kubectl)
    remove_crd(kubectl)
    yield kubectl
    kubectl("delete", "deployments", "--all")


def paused(kubectl: Kubectl, name: str) -> bool:
    return bool(kubectl.get(f"deployment/{name}")["spec"].get("paused", False))


def other() -> dict[str, object]:
    manifest = deployment(name="other")
    del manifest["metadata"]["labels"]["rollout-controller.dev/rollout"]
    return manifest


def change_both(kubectl: Kubectl) -> dict[str, bool]:
    """Change the templates of an adopted Deployment and of another one; which of them came out paused."""
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("apply", "-f", "-", stdin=other())
    kubectl("set", "image", "deployment/web", "deployment/other", "web=web:2")
    return {name: paused(kubectl, name) for name in ("web", "other")}


def test_without_the_crd_the_gate_holds_and_refuses_nothing_else(kubectl: Kubectl) -> None:
    install_gate(kubectl)
    assert change_both(kubectl) == {"web": True, "other": False}


def test_a_crd_made_after_the_gate_changes_nothing(kubectl: Kubectl) -> None:
    install_gate(kubectl)
    install_crd(kubectl)
    kubectl("apply", "-f", "-", stdin=rollout(name="shop"))
    assert change_both(kubectl) == {"web": True, "other": False}


def test_without_the_gate_a_dry_run_does_not_come_back_paused(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=deployment())
    dry_run = ("set", "image", "deployment/web", "web=web:2", "--dry-run=server", "-o", "json")
    until("the removed gate to be out of force", lambda: '"paused": true' not in kubectl(*dry_run))
    assert change_both(kubectl) == {"web": False, "other": False}
