"""Eyes on the cluster: watches for what the controller writes, and the pods' own counters.

It sees what a person with kubectl would see, and nothing of the controller's insides.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any

import aiohttp

from e2e.demo import counts
from e2e.demo.counts import Counts
from e2e.localcluster import LocalCluster, http
from e2e.localcluster.kube import Kube, KubeError, Object
from rollout_controller.istio.routing import is_own

METRICS_PORT = 15020
POLL = 0.25
"""Seconds between two looks at a pod's counters."""


def revision_of(pod: str) -> str:
    """The pod-template-hash in a pod's name, `web` - hash - suffix; empty where there is none."""
    parts = pod.rsplit("-", 2)
    return parts[1] if len(parts) == 3 else ""


@dataclass
class Sight:
    """What was last seen, and since when. Times are time.monotonic()'s."""

    rollout: Object = field(default_factory=dict)
    service: Object = field(default_factory=dict)
    """The VirtualService."""
    weights: list[tuple[float, int]] = field(default_factory=list)
    """The canary's weight in git's route, each from its time on."""
    pinned: list[tuple[float, bool]] = field(default_factory=list)
    """Whether the VirtualService had routes of the controller's, each from its time on."""
    replica_sets: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    """Pod -> what it counted; pods that are gone keep their last."""
    first_error: dict[str, float] = field(default_factory=dict)
    """Revision -> when its pods were first seen to have answered with an error."""

    @property
    def status(self) -> Mapping[str, Any]:
        status: Mapping[str, Any] = self.rollout.get("status") or {}
        return status

    @property
    def phase(self) -> str:
        return str(self.status.get("phase") or "none yet")

    @property
    def message(self) -> str:
        return str(self.status.get("message") or "")

    @property
    def weight(self) -> int:
        return self.weights[-1][1] if self.weights else 0

    def ready(self, revision: str | None) -> int:
        """Ready pods of a revision."""
        return sum(
            one.get("status", {}).get("readyReplicas", 0)
            for one in self.replica_sets.values()
            if one["metadata"].get("labels", {}).get("pod-template-hash", _hash(one)) == revision
        )

    def counted(self, revision: str | None) -> Counts:
        """What all pods of a revision counted, ever."""
        return counts.total(one for pod, one in self.counts.items() if revision_of(pod) == revision)


def _hash(replica_set: Object) -> str:
    # The canary's ReplicaSet has its hash on the pods alone until it is the Deployment's.
    labels = replica_set["spec"]["template"]["metadata"].get("labels", {})
    return str(labels.get("pod-template-hash", ""))


class Observer:
    """Keeps a Sight up to date while its `async with` block runs."""

    def __init__(self, cluster: LocalCluster, kube: Kube, namespace: str, name: str) -> None:
        self.sight = Sight()
        self._cluster, self._kube = cluster, kube
        self._tasks: list[asyncio.Task[None]] = []
        core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}"
        mesh = f"/apis/networking.istio.io/v1/namespaces/{namespace}"
        ours = f"/apis/rollout-controller.dev/v1alpha1/namespaces/{namespace}"
        self._name = name
        self._watched: dict[str, Callable[[str, Object], None]] = {
            f"{ours}/rollouts": self._see_rollout,
            f"{mesh}/virtualservices": self._see_service,
            f"{apps}/replicasets": lambda type_, item: _keep(self.sight.replica_sets, type_, item),
            f"{core}/pods": lambda type_, item: _keep(self.sight.pods, type_, item),
        }

    async def __aenter__(self) -> "Observer":
        self._tasks = [asyncio.create_task(self._follow(path, see)) for path, see in self._watched.items()]
        self._tasks.append(asyncio.create_task(self._count()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, path: str, see: Callable[[str, Object], None]) -> None:
        """List, then watch, for ever; a watch that ends or breaks begins anew."""
        while True:
            with contextlib.suppress(KubeError, aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
                listed = await self._kube.get(path)
                for item in listed["items"]:
                    see("ADDED", item)
                async for type_, item in self._kube.watch(path, listed["metadata"]["resourceVersion"]):
                    see(type_, item)
            await asyncio.sleep(POLL)

    def _see_rollout(self, type_: str, item: Object) -> None:
        if item["metadata"].get("name") == self._name and type_ in ("ADDED", "MODIFIED"):
            self.sight.rollout = item

    def _see_service(self, type_: str, item: Object) -> None:
        if item["metadata"].get("name") != self._name or type_ not in ("ADDED", "MODIFIED"):
            return
        self.sight.service = item
        weight = canary_weight(item)
        if not self.sight.weights or self.sight.weights[-1][1] != weight:
            self.sight.weights.append((monotonic(), weight))
        pinned = any(is_own(route) for route in item["spec"].get("http", []))
        if not self.sight.pinned or self.sight.pinned[-1][1] != pinned:
            self.sight.pinned.append((monotonic(), pinned))

    async def _count(self) -> None:
        while True:
            serving = [
                (name, pod["status"]["podIP"])
                for name, pod in self.sight.pods.items()
                if pod.get("status", {}).get("phase") == "Running" and pod["status"].get("podIP")
            ]
            await asyncio.gather(*(self._count_one(name, address) for name, address in serving))
            await asyncio.sleep(POLL)

    async def _count_one(self, name: str, address: str) -> None:
        ask: Awaitable[http.Response] = self._cluster.pod_request(
            address, METRICS_PORT, "/stats/prometheus", timeout=2
        )
        try:
            answer = await ask
        except (OSError, TimeoutError, EOFError):  # a pod that begins or ends just now
            return
        if answer.status != 200:
            return
        found = counts.parse(answer.text)
        self.sight.counts[name] = found
        if found.errors > 0:
            self.sight.first_error.setdefault(revision_of(name), monotonic())


def canary_weight(service: Object, subset: str = "canary") -> int:
    """The weight of the canary's subset, the highest over all routes."""
    return max(
        (
            int(one.get("weight", 0))
            for route in service["spec"].get("http", [])
            for one in route.get("route", [])
            if one["destination"].get("subset") == subset
        ),
        default=0,
    )


def _keep(known: dict[str, Object], type_: str, item: Object) -> None:
    name = item["metadata"].get("name", "")
    if type_ in ("ADDED", "MODIFIED"):
        known[name] = item
    elif type_ == "DELETED":
        known.pop(name, None)
