"""A cluster for one test, with CRD, gate, a namespace and a controller: for what would disturb all others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from e2e.localcluster import LocalCluster, Settings
from e2e.tests.controller import Controller, beside
from e2e.tests.install import install_crd, install_gate
from e2e.tests.kubectl import Kubectl
from e2e.tests.support import Namespace

SETTINGS = Settings(debounce_after="20ms", debounce_max="200ms", target_interval="1s", garbage=400)
"""Short, so that tests side by side do not delay each other's pushes, and Prometheus soon knows all pods."""


@asynccontextmanager
async def apart(node: pytest.Item, folder: Path) -> AsyncIterator[tuple[LocalCluster, Namespace, Controller]]:
    """Everything for a World, taken down at the end."""
    async with LocalCluster(SETTINGS) as cluster, cluster.kube() as kube:
        kubectl = Kubectl.of(cluster, "default")
        await asyncio.to_thread(install_crd, kubectl)
        await asyncio.to_thread(install_gate, kubectl)
        async with (
            Namespace.make(cluster, kube) as namespace,
            beside(node, cluster, namespace, folder) as controller,
        ):
            yield cluster, namespace, controller
