"""Watches that keep everything they were told, in one namespace."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, TypeVar

import aiohttp

from bench.errors import BenchError
from bench.history import Change, Object
from e2e.localcluster.kube import Kube, KubeError

T = TypeVar("T")

PATHS: Final[Mapping[str, str]] = {
    "rollouts": "/apis/rollout-controller.dev/v1alpha1/namespaces/{}/rollouts",
    "virtualservices": "/apis/networking.istio.io/v1/namespaces/{}/virtualservices",
    "destinationrules": "/apis/networking.istio.io/v1/namespaces/{}/destinationrules",
    "deployments": "/apis/apps/v1/namespaces/{}/deployments",
    "pods": "/api/v1/namespaces/{}/pods",
    "endpointslices": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
}
_AGAIN_AFTER = 0.2


class Recorder:
    """Records the changes of a namespace's objects while its `async with` block runs.

    A watch that ends goes on from the version where it was, so that nothing is missed; if the API server no
    longer knows that version, the run is void (BenchError from `until` and `check`).
    """

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.namespace = namespace
        self.changes: list[Change] = []
        self.objects: dict[tuple[str, str], Object] = {}
        """(plural, name) -> the object as it was last seen."""
        self._kube = kube
        self._news = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Recorder":
        versions = [await self._list(kind) for kind in PATHS]
        self._tasks = [
            asyncio.create_task(self._follow(kind, version), name=f"watch {kind}")
            for kind, version in zip(PATHS, versions, strict=True)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def version(self) -> int:
        """The highest resourceVersion seen."""
        return max((change.version for change in self.changes), default=0)

    def of(self, kind: str) -> list[Object]:
        """The objects of a kind that exist."""
        return [item for (known, _), item in self.objects.items() if known == kind]

    def one(self, kind: str, name: str) -> Object:
        """An object as last seen; {} if there is none."""
        return self.objects.get((kind, name), {})

    def check(self) -> None:
        """Raise what ended a watch."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                raise BenchError(f"{task.get_name()} in {self.namespace} ended: {task.exception()}")

    async def until(self, what: str, condition: Callable[[], T | None], within: float) -> T:
        """Wait until the condition, asked again after each change, gives something true. BenchError if it
        does not within so many seconds."""
        try:
            async with asyncio.timeout(within), self._news:
                while True:
                    self.check()
                    found = condition()
                    if found:
                        return found
                    await self._news.wait()
        except TimeoutError:
            raise BenchError(f"waited {within:g} s in {self.namespace} for {what}") from None

    async def _list(self, kind: str) -> str:
        listed = await self._kube.get(PATHS[kind].format(self.namespace))
        for item in listed["items"]:
            await self._learn(kind, "ADDED", item)
        return str(listed["metadata"]["resourceVersion"])

    async def _follow(self, kind: str, version: str) -> None:
        while True:
            try:
                async for type_, item in self._kube.watch(PATHS[kind].format(self.namespace), version):
                    version = item["metadata"]["resourceVersion"]
                    if type_ != "BOOKMARK":
                        await self._learn(kind, type_, item)
            except KubeError as error:
                if error.status == 410:
                    raise
            except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
                pass
            await asyncio.sleep(_AGAIN_AFTER)

    async def _learn(self, kind: str, type_: str, item: Object) -> None:
        assert type_ in ("ADDED", "MODIFIED", "DELETED")
        change = Change(kind, type_, item, time.monotonic(), time.time())  # type: ignore[arg-type]
        self.changes.append(change)
        if type_ == "DELETED":
            self.objects.pop((kind, change.name), None)
        else:
            self.objects[kind, change.name] = item
        async with self._news:
            self._news.notify_all()
