"""The node: takes pods, gives them addresses, keeps one worker per pod in step with the API server."""

import asyncio
import ipaddress
import logging
from pathlib import Path
from typing import Any

import aiohttp

from e2e.localcluster.bootstrap import NODE, NODE_LABELS
from e2e.localcluster.kube import Kube, KubeError, Object
from e2e.localcluster.kubelet.environment import Address
from e2e.localcluster.kubelet.pod import PodWorker
from e2e.localcluster.layout import FIRST_POD, NODE_IP, POD_NETWORK

PODS = "/api/v1/pods"
DEFAULT_SCHEDULER = "default-scheduler"
log = logging.getLogger("kubelet")


class Addresses:
    """Pod addresses out of a counter that a restart does not reset, so that none is used again soon."""

    def __init__(self, counter: Path) -> None:
        self._network = ipaddress.ip_network(POD_NETWORK)
        self._counter = counter
        self._next = int(counter.read_text()) if counter.exists() else FIRST_POD

    def take(self) -> str:
        if self._next >= self._network.num_addresses - 1:
            self._next = FIRST_POD
        address = self._network[self._next]
        self._next += 1
        self._counter.write_text(str(self._next))
        return str(address)


class Agent:
    """Runs until cancelled; then ends all containers."""

    def __init__(self, kube: Kube, data: Path, logs: Path, crash_backoff: float) -> None:
        self.kube = kube
        self.addresses = Addresses(data / "next-address")
        self.logs = logs
        self.crash_backoff = crash_backoff
        self.listed = asyncio.Event()
        """Set once the node is in step with the API server for the first time."""
        self._workers: dict[str, tuple[PodWorker, asyncio.Task[None]]] = {}
        self._binding: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._follow()
                except (KubeError, aiohttp.ClientError, TimeoutError, OSError) as error:
                    log.warning("pods: %s; listing again", error)
                    await asyncio.sleep(0.3)
        finally:
            tasks = [task for _, task in self._workers.values()] + list(self._binding.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        found = await self.kube.get(PODS)
        present = {pod["metadata"]["uid"] for pod in found["items"]}
        for uid in self._workers.keys() - present:
            self._workers[uid][0].gone()
        for pod in found["items"]:
            self._take(pod)
        self.listed.set()
        version = found["metadata"]["resourceVersion"]
        while True:
            async for kind, item in self.kube.watch(PODS, version):
                version = item["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    self._gone(item["metadata"]["uid"])
                elif kind != "BOOKMARK":
                    self._take(item)

    def _gone(self, uid: str) -> None:
        if uid in self._workers:
            self._workers[uid][0].gone()

    def _take(self, pod: Object) -> None:
        uid, spec = pod["metadata"]["uid"], pod["spec"]
        if uid in self._workers:
            self._workers[uid][0].update(pod)
        elif spec.get("nodeName") == NODE:
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") or _deleting(pod):
                self._run(pod)
        elif not spec.get("nodeName") and not _deleting(pod) and uid not in self._binding and _ours(spec):
            task = asyncio.create_task(self._bind(pod))
            self._binding[uid] = task
            task.add_done_callback(lambda _: self._binding.pop(uid, None))

    def _run(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        ip = pod.get("status", {}).get("podIP") or self.addresses.take()
        worker = PodWorker(pod, self.kube, Address(ip, NODE_IP), self.logs, self.crash_backoff)
        task = asyncio.create_task(worker.run())
        self._workers[uid] = (worker, task)
        task.add_done_callback(lambda done: self._finished(uid, done))

    def _finished(self, uid: str, task: "asyncio.Task[None]") -> None:
        self._workers.pop(uid, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("worker of pod %s failed", uid, exc_info=task.exception())

    async def _bind(self, pod: Object) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        body = {"metadata": {"name": metadata["name"], "uid": metadata["uid"]}, "target": target}
        for _ in range(20):
            try:
                await self.kube.create(path, body)
                return
            except KubeError as error:
                if error.status in (404, 409):
                    return  # removed, replaced or bound meanwhile
                log.warning("bind %s: %s", metadata["name"], error)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("bind %s: %s", metadata["name"], error)
            await asyncio.sleep(0.3)


def _deleting(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _ours(spec: dict[str, Any]) -> bool:
    """Whether the pod may run on this node; one that may not stays Pending, as without a fitting node."""
    selector = spec.get("nodeSelector", {})
    return (
        spec.get("schedulerName", DEFAULT_SCHEDULER) == DEFAULT_SCHEDULER
        and not spec.get("schedulingGates")
        and all(NODE_LABELS.get(key) == value for key, value in selector.items())
    )
