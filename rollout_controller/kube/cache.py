"""Everything that is watched: a store per kind, a watch per kind and namespace, and whom a change wakes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from rollout_controller.kube.index import Index
from rollout_controller.kube.rest import Rest
from rollout_controller.kube.store import Change, Store
from rollout_controller.kube.watch import IDLE, Scope, Watch
from rollout_controller.ports import Json, Key, Kind

_SELECTED: Final[dict[Kind, str]] = {
    # Pods of Deployments and of our canaries have it; those of Jobs, DaemonSets, StatefulSets do not.
    Kind.POD: "pod-template-hash",
}


class Cache:
    """Filled by watches through a client of their own, so that they cannot starve calls of connections."""

    def __init__(
        self,
        rest: Rest,
        namespaces: Sequence[str] = ("",),
        *,
        kinds: Iterable[Kind] = tuple(Kind),
        idle: float = IDLE,
    ) -> None:
        self.stores = {kind: Store(kind) for kind in kinds}
        self._index = Index(self._cached)
        self._wake: Callable[[Key], None] = lambda _: None
        self._tasks: list[asyncio.Task[None]] = []
        self._watches = [
            Watch(rest, Scope(kind, namespace, _SELECTED.get(kind, "")), store, self._tell, idle=idle)
            for namespace in namespaces
            for kind, store in self.stores.items()
        ]

    def start(self, wake: Callable[[Key], None]) -> None:
        """Begin to watch; from now on `wake` is called with each Rollout that a change may concern."""
        self._wake = wake
        self._tasks = [
            asyncio.create_task(watch.run(), name=f"watch {watch.scope}") for watch in self._watches
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def synced(self) -> None:
        """Return once every kind was read."""
        for watch in self._watches:
            await watch.synced.wait()

    def missing(self) -> list[str]:
        """What was never read yet, each with the reason: empty when ready."""
        return [f"{w.scope}: {w.trouble}" for w in self._watches if not w.synced.is_set()]

    def rollouts(self) -> list[Key]:
        """All Rollouts known."""
        return [
            Key(obj["metadata"]["namespace"], obj["metadata"]["name"])
            for obj in self.stores[Kind.ROLLOUT].select("")
        ]

    def trouble(self, kind: Kind) -> str:
        """Why a kind can not be answered from here, "" if it can."""
        if kind not in self.stores:
            return "not watched"
        return next((w.trouble for w in self._watches if w.scope.kind is kind and not w.synced.is_set()), "")

    def _cached(self, kind: Kind, namespace: str, name: str) -> Json | None:
        return self.stores[kind].get(namespace, name)

    def _tell(self, kind: Kind, change: Change) -> None:
        for key in self._index.woken_by(kind, change):
            self._wake(key)
