"""What all scenes share: the cluster with CRD and gate, the API server's log, clocks, progress."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench import controller
from bench.audit import AuditLog
from bench.controller import Controller
from e2e.localcluster import LocalCluster, Settings
from e2e.localcluster.kube import Kube
from e2e.localcluster.progress import Say
from e2e.tests.install import install_crd, install_gate
from e2e.tests.kubectl import Kubectl

T = TypeVar("T")


@dataclass(frozen=True)
class Lab:
    """A cluster that is ready for Rollouts."""

    cluster: LocalCluster
    kube: Kube
    audit: AuditLog
    folder: Path
    say: Say
    quick: bool

    def runs(self, full: int, quick: int) -> int:
        """How often to measure."""
        return quick if self.quick else full

    def controller(self, **settings: str) -> AbstractAsyncContextManager[Controller]:
        """A controller of the scene's own; settings as in its --help, with underscores."""
        logs = len(list(self.folder.glob("controller-*.log")))
        return controller.running(self.cluster, self.folder / f"controller-{logs}.log", **settings)


@contextlib.asynccontextmanager
async def opened(say: Say, quick: bool) -> AsyncIterator[Lab]:
    """A lab of one's own, with istiod's default debounce; everything is gone afterwards."""
    settings = Settings(audit=True)  # all else as it is by default: debounce, scrape interval, backoff
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with LocalCluster(settings, say=say) as cluster, cluster.kube() as kube:
            kubectl = Kubectl.of(cluster, "default")
            await asyncio.to_thread(install_crd, kubectl)
            await asyncio.to_thread(install_gate, kubectl)
            say("CRD and gate are in force")
            yield Lab(cluster, kube, AuditLog(cluster.layout.audit), Path(folder), say, quick)


def wall(monotonic: float) -> float:
    """The Unix time of a moment of time.monotonic()."""
    return monotonic + time.time() - time.monotonic()


async def side_by_side(work: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Run all at the same time and give what each gave. The first error ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
