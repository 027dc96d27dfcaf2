"""One cluster for the whole run.

pytest's main process brings it up before any worker starts and takes it down when all have ended; workers of
pytest-xdist get its folder through the environment. If that process is killed, the cluster ends with it.
A cluster that is up already is used, and left alone, with E2E_CLUSTER=<its state folder>.
"""

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.localcluster import LocalCluster, LocalClusterError, Settings, start
from e2e.localcluster.kube import Kube
from e2e.localcluster.layout import Layout
from e2e.localcluster.progress import Progress
from e2e.tests.support import Namespace

FOLDER = "E2E_CLUSTER"
SETTINGS = Settings(debounce_after="20ms", debounce_max="200ms")
"""Short, so that tests side by side do not delay each other's pushes."""
RUNNING = pytest.StashKey[tuple[start.Running, "tempfile.TemporaryDirectory[str]"]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Bring the cluster up, in the main process only."""
    config = session.config
    if hasattr(config, "workerinput") or config.getoption("collectonly") or os.environ.get(FOLDER):
        return
    folder = tempfile.TemporaryDirectory(prefix="e2e-")
    layout = Layout(Path(folder.name) / "cluster")
    try:
        running = start.up(layout, SETTINGS, Progress(), daemon=False)
    except LocalClusterError as error:
        folder.cleanup()
        pytest.exit(f"the local cluster does not come up: {error}", returncode=3)
    config.stash[RUNNING] = (running, folder)
    os.environ[FOLDER] = str(layout.root)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take down what this process brought up; by now all workers have ended."""
    if RUNNING in config.stash:
        running, folder = config.stash[RUNNING]
        del os.environ[FOLDER]
        start.stop(running)
        folder.cleanup()


@pytest.fixture(scope="session")
def cluster() -> LocalCluster:
    """The run's cluster. A test that stops one of its parts must start it again, and belongs to the xdist
    group `parts`."""
    return LocalCluster.attach(Path(os.environ[FOLDER]))


@pytest_asyncio.fixture(scope="session")
async def kube(cluster: LocalCluster) -> AsyncIterator[Kube]:
    """A client of the API server."""
    async with cluster.kube() as client:
        yield client


@pytest_asyncio.fixture
async def namespace(cluster: LocalCluster, kube: Kube) -> AsyncIterator[Namespace]:
    """A namespace of the test's own, deleted in the background afterwards."""
    async with Namespace.make(cluster, kube) as fresh:
        yield fresh
