"""One cluster for the whole run.

pytest's main process brings it up before any worker starts and takes it down when all have ended; workers of
pytest-xdist get its folder through the environment. If that process is killed, the cluster ends with it.
A cluster that is up already is used, and left up, with E2E_CLUSTER=<its state folder>; each test leaves
an empty namespace in it.
"""

import fcntl
import os
import re
import tempfile
from collections.abc import AsyncIterator, Generator
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio
from xdist.scheduler.loadgroup import LoadGroupScheduling  # type: ignore[import-untyped]  # it ships no types

from e2e.localcluster import LocalCluster, LocalClusterError, start
from e2e.localcluster.kube import Kube
from e2e.localcluster.layout import Layout
from e2e.localcluster.progress import Progress
from e2e.tests.apart import SETTINGS
from e2e.tests.controller import STASH, Controller, beside
from e2e.tests.install import install_crd, install_gate
from e2e.tests.kubectl import Kubectl
from e2e.tests.support import Namespace

FOLDER = "E2E_CLUSTER"
RUNNING = pytest.StashKey[tuple[start.Running, "tempfile.TemporaryDirectory[str]"]]()


class Groups(LoadGroupScheduling):  # type: ignore[misc]  # as above
    """Sends the files of one group to one worker, by the mark in their text.

    pytest-xdist 3.8 writes groups into an attribute of the items that pytest 9.2 no longer reads, and then
    spreads each group over all workers without a word. Here a group is always a whole file's.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(self.config.rootpath / nodeid.partition("::")[0]) or nodeid


FILLERS = frozenset({"test_crd.py", "test_crd_messages.py", "test_gate.py", "test_kube_client.py"})
"""Many short tests: at the end they keep busy those workers that no long test has any more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is alone with it at the end."""
    items.sort(key=lambda item: item.path.name in FILLERS)


@cache
def group_of(file: Path) -> str:
    """The xdist_group that a test file names, "" if none."""
    found = re.search(r'xdist_group\("([^"]+)"\)', file.read_text())
    return found[1] if found else ""


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadGroupScheduling | None:
    """Make `--dist loadgroup` keep its word."""
    return Groups(config, log) if config.getvalue("dist") == "loadgroup" else None


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
    """The run's cluster. A test that stops one of its parts must start it again, and runs when no
    other does: mark it `alone`."""
    return LocalCluster.attach(Path(os.environ[FOLDER]))


@pytest_asyncio.fixture(scope="session")
async def kube(cluster: LocalCluster) -> AsyncIterator[Kube]:
    """A client of the API server."""
    async with cluster.kube() as client:
        yield client


@pytest_asyncio.fixture
async def namespace(cluster: LocalCluster, kube: Kube) -> AsyncIterator[Namespace]:
    """A namespace of the test's own, emptied in the background afterwards."""
    async with Namespace.make(cluster, kube) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def installed(cluster: LocalCluster) -> None:
    """CRD and gate are in force: installed by the first worker that needs them."""
    with (cluster.layout.root / "installed.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not lock.read():
            kubectl = Kubectl.of(cluster, "default")
            install_crd(kubectl)
            install_gate(kubectl)
            lock.write("yes")


@pytest_asyncio.fixture
async def controller(
    request: pytest.FixtureRequest,
    cluster: LocalCluster,
    namespace: Namespace,
    installed: None,
    tmp_path: Path,
) -> AsyncIterator[Controller]:
    """A controller for the test's namespace, not started yet."""
    async with beside(request.node, cluster, namespace, tmp_path) as one:
        yield one


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the controller's log with a failed test."""
    report = yield
    if report.failed and STASH in item.stash:
        report.sections.append(("the controller's log", item.stash[STASH].tail()))
    return report
