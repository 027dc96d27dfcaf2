"""Everything that is watched: a store per kind, a watch per kind and namespace, and whom a change wakes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rollout_controller.kube.index import Index
from rollout_controller.kube.rest import Rest
from rollout_controller.kube.store import Change, Store, version_of
from rollout_controller.kube.watch import IDLE, Scope, Watch
from rollout_controller.ports import Json, Key, Kind, Ref

_SELECTED: Final[dict[Kind, str]] = {
    # Pods of Deployments and of our canaries have it; those of Jobs, DaemonSets, StatefulSets do not.
    Kind.POD: "pod-template-hash",
}


@dataclass
class Writing:
    """An object that is being written: who is to be woken by what a watch tells of it meanwhile.

    The event of a write often overtakes the answer to it, and only the answer tells whose it is.
    """

    writers: int = 0
    own: set[int | None] = field(default_factory=set)
    held: list[tuple[int | None, set[Key]]] = field(default_factory=list)


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
        self.namespaces = frozenset(namespaces)
        self.stores = {kind: Store(kind) for kind in kinds}
        self._index = Index(self._cached)
        self._wake: Callable[[Key], None] = lambda _: None
        self._tasks: list[asyncio.Task[None]] = []
        self._writing: dict[Ref, Writing] = {}
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
        """Return once every kind was read, and those that only findings are made from were tried."""
        for watch in self._watches:
            await (watch.tried if watch.scope.kind.optional else watch.synced).wait()

    def missing(self) -> list[str]:
        """What was never read yet and is needed, each with the reason: empty when ready."""
        needed = (w for w in self._watches if not w.scope.kind.optional)
        return [f"{w.scope}: {w.trouble}" for w in needed if not w.synced.is_set()]

    def known(self, kind: Kind, namespace: str) -> tuple[Json, ...] | None:
        """See ports.Cluster."""
        covered = not namespace or "" in self.namespaces or namespace in self.namespaces
        return self.stores[kind].all(namespace) if covered and not self.trouble(kind) else None

    def rollouts(self) -> list[Key]:
        """All Rollouts known."""
        return [
            Key(obj["metadata"]["namespace"], obj["metadata"]["name"])
            for obj in self.stores[Kind.ROLLOUT].select("")
        ]

    @contextmanager
    def writing(self, ref: Ref) -> Iterator[Callable[[Json | None], None]]:
        """While an object is written. To be called with the answer: the object, or None if it is gone."""
        writing = self._writing.setdefault(ref, Writing())
        writing.writers += 1

        def wrote(answer: Json | None) -> None:
            writing.own.add(None if answer is None else version_of(answer))
            self._learn(ref, answer)

        try:
            yield wrote
        finally:
            writing.writers -= 1
            if not writing.writers:
                del self._writing[ref]
                for version, keys in writing.held:
                    self._wake_all(keys, own=version in writing.own)

    def trouble(self, kind: Kind) -> str:
        """Why a kind can not be answered from here, "" if it can."""
        if kind not in self.stores:
            return "not watched"
        return next((w.trouble for w in self._watches if w.scope.kind is kind and not w.synced.is_set()), "")

    def _cached(self, kind: Kind, namespace: str, name: str) -> Json | None:
        return self.stores[kind].get(namespace, name)

    def _learn(self, ref: Ref, answer: Json | None) -> None:
        store = self.stores.get(ref.kind)
        if store is None:
            return
        before = store.get(ref.namespace, ref.name)
        if answer is not None:
            change = store.learn(answer)
        else:
            change = store.unlearn(ref.namespace, ref.name, before["metadata"]["uid"]) if before else None
        if change is not None:
            self._wake_all(self._index.woken_by(ref.kind, change), own=True)

    def _tell(self, kind: Kind, change: Change) -> None:
        keys = self._index.woken_by(kind, change)
        present = change.new or change.old
        assert present is not None, "a change is of something"  # noqa: S101
        ref = Ref(kind, present["metadata"]["namespace"], present["metadata"]["name"])
        if ref in self._writing:
            self._writing[ref].held.append((version_of(change.new) if change.new else None, keys))
        else:
            self._wake_all(keys, own=False)

    def _wake_all(self, keys: set[Key], *, own: bool) -> None:
        # Whoever writes knows; but an object that several Rollouts share is news to the others.
        if not own or len(keys) > 1:
            for key in keys:
                self._wake(key)
