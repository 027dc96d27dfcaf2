"""Counting: answers that users get, requests that pods were sent, writes that an object saw."""

import asyncio
import contextlib
import re
from types import TracebackType

from e2e.load import Answer, Load
from e2e.localcluster.kube import KubeError, Object
from e2e.tests.support import wait_for
from e2e.tests.world import World

_TOTAL = re.compile(r"^istio_requests_total\{.*\} (\d+)$", re.MULTILINE)


async def more(load: Load, count: int) -> list[Answer]:
    """Wait for so many answers to requests that leave from now on, and return them."""
    first = load.sent

    def since() -> list[Answer]:
        return [answer for answer in load.answers if answer.number >= first]

    async def there() -> bool:
        return len(since()) >= count

    await wait_for(there, f"{count} answers", within=20 + 3 * count / load.rate)
    return since()


async def answered(load: Load, version: str) -> None:
    """Wait until a version has answered one of the load's requests: Envoy hears later than the API."""

    async def seen() -> bool:
        return load.first(version) is not None

    await wait_for(seen, f"{version} to answer", 60)


def versions(answers: list[Answer]) -> set[str]:
    """Who gave these answers; the empty string for nobody."""
    return {answer.version for answer in answers}


def share(answers: list[Answer], version: str) -> float:
    """The part of the answers that a version gave, 0 to 1."""
    return sum(answer.version == version for answer in answers) / len(answers)


async def requests_to(world: World, *, revision: str = "", app: str = "") -> int:
    """The requests, copies too, that the pods of a revision (or of another app) were sent so far."""
    pods = await (world.pods(revision) if revision else world.namespace.pods(app=app))
    counted = 0
    for pod in pods:
        page = await world.namespace.cluster.pod_request(pod["status"]["podIP"], 15020, "/stats/prometheus")
        counted += sum(map(int, _TOTAL.findall(page.text)))
    return counted


class Writes:
    """Every state that the world's VirtualService had while the `async with` block ran, one for each write.

    Raises AssertionError at the end if the watch broke: then writes may be missing.
    """

    def __init__(self, world: World) -> None:
        self._kube = world.namespace.kube
        self._path = world.namespace.path("virtualservices", group="networking.istio.io/v1")
        self._name = world.name
        self._task: asyncio.Task[None] | None = None
        self.states: list[Object] = []

    async def __aenter__(self) -> "Writes":
        listed = await self._kube.get(self._path)
        self._task = asyncio.create_task(self._follow(str(listed["metadata"]["resourceVersion"])))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        broken = self._task.done()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, KubeError):
            await self._task
        assert not broken, "the watch ended"

    async def _follow(self, version: str) -> None:
        async for kind, item in self._kube.watch(self._path, version):
            if kind == "MODIFIED" and item["metadata"]["name"] == self._name:
                self.states.append(item)

    @property
    def weights(self) -> list[tuple[int, ...]]:
        """Of each state, the weights of the route that is split, in the order of its destinations."""
        return [_split(state) for state in self.states]


def _split(state: Object) -> tuple[int, ...]:
    routes = (one["route"] for one in state["spec"]["http"] if len(one["route"]) > 1)
    return tuple(destination.get("weight", 0) for destination in next(routes))
