"""The controller's own adapter against a real API server, as a test uses it."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.tests.support import Namespace, wait_for
from rollout_controller.kube.cache import Cache
from rollout_controller.kube.client import KubeCluster
from rollout_controller.kube.config import load
from rollout_controller.kube.rest import CALL_TIMEOUT, Rest
from rollout_controller.kube.watch import IDLE
from rollout_controller.ports import Json, Key, Kind, Ref


@dataclass
class Adapter:
    """Calls, cache, and what was counted and woken."""

    calls: Rest
    cache: Cache
    cluster: KubeCluster
    counted: Counter[tuple[str, str, str]]
    woken: list[Key] = field(default_factory=list)

    async def synced(self, within: float = 20) -> None:
        async def done() -> bool:
            return not self.cache.missing()

        await wait_for(done, f"the caches to be filled ({self.cache.missing()})", within, every=0.02)

    async def cached(self, ref: Ref) -> Json | None:
        return await self.cluster.get(ref, live=False)

    async def until_cached(self, ref: Ref, *, there: bool = True, within: float = 20) -> None:
        """Wait until the cache knows the object, or knows that it is gone."""

        async def known() -> bool:
            return (await self.cached(ref) is not None) is there

        await wait_for(known, f"{ref} to be {'in' if there else 'out of'} the cache", within, every=0.02)


@asynccontextmanager
async def adapter(
    kubeconfig: Path,
    namespaces: tuple[str, ...] = ("",),
    *,
    context: str | None = None,
    kinds: Iterable[Kind] = tuple(Kind),
    timeout: float = CALL_TIMEOUT,
    idle: float = IDLE,
    start: bool = True,
) -> AsyncIterator[Adapter]:
    """The adapter as the controller wires it: two clients, one cache."""
    configuration = await load(str(kubeconfig), context)
    counted: Counter[tuple[str, str, str]] = Counter()

    def count(verb: str, resource: str, code: str, _seconds: float) -> None:
        counted[(verb, resource, code)] += 1

    calls, watches = Rest(configuration, count), Rest(configuration, count)
    cache = Cache(watches, namespaces, kinds=kinds, idle=idle)
    made = Adapter(calls, cache, KubeCluster(calls, cache, timeout=timeout), counted)
    if start:
        cache.start(made.woken.append)
    try:
        yield made
    finally:
        await cache.stop()
        await calls.close()
        await watches.close()


async def make_rollout(namespace: Namespace, name: str = "web") -> Json:
    """A Rollout of the Deployment of its name, which need not exist."""
    istio = {
        "virtualServices": [{"name": "web"}],
        "destinationRule": {"name": "web", "stableSubset": "stable", "canarySubset": "canary"},
    }
    spec: dict[str, Any] = {
        "workload": {"deployment": name},
        "traffic": {"istio": istio},
        "strategy": {"canary": {}},
        "analysis": {"checks": [{"errorRate": {"max": "1%"}}]},
    }
    made = {
        "apiVersion": "rollout-controller.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": spec,
    }
    return (await namespace.apply(made))[0]
