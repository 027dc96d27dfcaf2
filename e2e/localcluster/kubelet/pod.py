"""The life of one pod on this node: run its containers, tell its status, end it in order."""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from e2e.localcluster.kube import Kube, KubeError, Object
from e2e.localcluster.kubelet.container import ContainerRun, Surroundings
from e2e.localcluster.kubelet.environment import Address, Lookup, references
from e2e.localcluster.kubelet.status import pod_status

RETRY = 0.3
log = logging.getLogger("kubelet")


class PodWorker:
    """One task per pod. The agent feeds it every newer version of the pod."""

    def __init__(self, pod: Object, kube: Kube, address: Address, logs: Path, crash_backoff: float) -> None:
        self.pod = pod
        self.kube = kube
        self.address = address
        metadata = pod["metadata"]
        self.uid: str = metadata["uid"]
        self.path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._dirty = asyncio.Event()
        self._ending = asyncio.Event()
        self._gone = asyncio.Event()
        self._started = datetime.now(UTC)
        status = pod.get("status", {})
        self._conditions = {one["type"]: one for one in status.get("conditions", [])}
        restarts = {one["name"]: one["restartCount"] + 1 for one in status.get("containerStatuses", [])}
        around = Surroundings(
            pod,
            address,
            logs / f"{metadata['namespace']}_{metadata['name']}_{self.uid}",
            crash_backoff,
            self._lookup,
            self._dirty.set,
        )
        self.containers = [
            ContainerRun(spec, around, restarts.get(spec["name"], 0)) for spec in pod["spec"]["containers"]
        ]
        self.update(pod)

    def update(self, pod: Object) -> None:
        """Take a newer version of the pod from the watch."""
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._ending.set()

    def gone(self) -> None:
        """The pod was removed from the API server, by force or by ourselves."""
        self._gone.set()

    async def run(self) -> None:
        """From start to the removal of the pod object."""
        writer = asyncio.create_task(self._write_status())
        runs = [asyncio.create_task(one.run()) for one in self.containers]
        self._dirty.set()
        try:
            await _first(self._ending.wait(), self._gone.wait())
            if not self._gone.is_set():
                await self._end()
        finally:
            for task in (*runs, writer):
                task.cancel()
            await asyncio.gather(*(one.kill() for one in self.containers))
            await asyncio.gather(*runs, writer, return_exceptions=True)

    async def _end(self) -> None:
        grace = float(self.pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        deadline = asyncio.get_running_loop().time() + grace
        await asyncio.gather(*(self._stop(one, deadline) for one in self.containers))
        with contextlib.suppress(KubeError):
            await self._tell()  # who holds a finalizer sees the end
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while not self._gone.is_set():
            try:
                await self.kube.delete(self.path, options)
                return
            except KubeError as error:
                if error.status in (404, 409):
                    return  # removed meanwhile, or replaced by a namesake
                log.warning("delete %s: %s", self.path, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("delete %s: %s", self.path, error)
            await asyncio.sleep(RETRY)

    async def _stop(self, container: ContainerRun, deadline: float) -> None:
        """Stop one container; a forced removal meanwhile cuts it short."""
        await _first(container.stop(deadline), self._gone.wait())

    async def _write_status(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._tell()
            except KubeError as error:
                if error.status in (404, 409):
                    return  # no such pod any more; its DELETED event ends the worker
                log.warning("status of %s: %s", self.path, error)
                await self._again()
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("status of %s: %s", self.path, error)
                await self._again()

    async def _again(self) -> None:
        self._dirty.set()
        await asyncio.sleep(RETRY)

    async def _tell(self) -> None:
        status = pod_status(
            [one.state for one in self.containers],
            self._conditions,
            datetime.now(UTC),
            ip=self.address.pod,
            host=self.address.host,
            started=self._started,
        )
        body = {"metadata": {"uid": self.uid}, "status": status}
        await self.kube.patch(f"{self.path}/status", body, "strategic")
        self._conditions = {one["type"]: one for one in status["conditions"]}

    async def _lookup(self) -> Lookup:
        namespace = self.pod["metadata"]["namespace"]
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for spec in self.pod["spec"]["containers"]:
            for kind, name in references(spec):
                plural = "configmaps" if kind == "ConfigMap" else "secrets"
                with contextlib.suppress(KubeError, aiohttp.ClientError, TimeoutError):
                    found[kind, name] = await self.kube.get(f"/api/v1/namespaces/{namespace}/{plural}/{name}")
        return lambda kind, name, key: _value(found.get((kind, name)), kind, key)


def _value(item: Mapping[str, Any] | None, kind: str, key: str) -> str | None:
    value: str | None = (item or {}).get("data", {}).get(key)
    return base64.b64decode(value).decode() if value is not None and kind == "Secret" else value


async def _first(*waits: Any) -> None:
    """Wait for the first of several; the others are cancelled. Raises what the first one raised."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
