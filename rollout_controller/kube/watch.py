"""One list-then-watch of one kind, in one namespace or everywhere, for as long as the controller runs."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import structlog

from rollout_controller.kube.errors import error_of
from rollout_controller.kube.rest import Answer, NoAnswer, Request, Rest
from rollout_controller.kube.store import Change, Store
from rollout_controller.ports import ClusterError, Json, Kind

IDLE: Final = 90.0
"""Seconds without a byte after which a watch is taken for dead: bookmarks come about every minute."""

_PAGE: Final = "500"
_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_LONGEST_PAUSE_OPTIONAL: Final = 300.0
"""For a kind that only findings are made from, as long as it was never read: nobody waits for it."""

log = structlog.get_logger(__name__)


class Expired(Exception):
    """410: the API server no longer knows the version from which the watch would go on."""


class Broken(Exception):
    """A watch that went wrong; the message is for the log."""


class Scope(NamedTuple):
    """What is watched; namespace "" is everywhere, `labels` a selector that the API server applies."""

    kind: Kind
    namespace: str = ""
    labels: str = ""

    @property
    def path(self) -> str:
        return collection(self.kind, self.namespace)

    @property
    def selectors(self) -> dict[str, str]:
        """The query that narrows the collection to this."""
        chosen = {"labelSelector": self.labels} if self.labels else {}
        if self.kind is Kind.NAMESPACE and self.namespace:
            chosen["fieldSelector"] = f"metadata.name={self.namespace}"
        return chosen

    def __str__(self) -> str:
        return f"{self.kind.plural} in {self.namespace}" if self.namespace else self.kind.plural


def collection(kind: Kind, namespace: str) -> str:
    """The path of a kind's collection in a namespace ("": in all)."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    if not namespace or kind is Kind.NAMESPACE:
        return f"{root}/{kind.plural}"
    return f"{root}/namespaces/{namespace}/{kind.plural}"


class Watch:
    """Keeps a store up to date and tells of every change that is not our own.

    `synced` is set once the kind was read, `tried` once that was tried.
    """

    def __init__(
        self,
        rest: Rest,
        scope: Scope,
        store: Store,
        tell: Callable[[Kind, Change], None],
        *,
        idle: float = IDLE,
    ) -> None:
        self.scope = scope
        self.synced = asyncio.Event()
        self.tried = asyncio.Event()
        self.trouble = "not read yet"
        self._rest = rest
        self._store = store
        self._tell = tell
        self._idle = idle
        self._version = ""
        self._failures = 0

    async def run(self) -> None:
        """List, watch, and begin again after whatever happens; ends only by cancellation."""
        while True:
            try:
                if not self._version:
                    await self._list()
                events = await self._follow()
            except Expired:
                self._version = ""
                log.info("watch expired, listing again", what=str(self.scope))
            except (Broken, NoAnswer) as error:
                await self._pause(str(error))
            except ClusterError as error:
                await self._pause(error.message)
            except Exception:
                # A watch that ended would leave its kind as it was for ever: begin from the start instead.
                log.exception("watch ended by a defect", what=str(self.scope))
                self._version = ""
                await self._pause("a defect")
            else:
                if not events:
                    await self._pause("the watch ended without an event")

    async def _pause(self, trouble: str) -> None:
        self._failures += 1
        spare = self.scope.kind.optional and not self.synced.is_set()
        if trouble != self.trouble and spare:
            log.info("cannot be read, so no findings are made from it", what=str(self.scope), error=trouble)
        elif trouble != self.trouble:
            log.warning("watch failed, trying again", what=str(self.scope), error=trouble)
        self.trouble = trouble
        self.tried.set()
        most = _LONGEST_PAUSE_OPTIONAL if spare else _LONGEST_PAUSE
        longest = min(_SHORTEST_PAUSE * 2 ** min(self._failures - 1, 10), most)
        # Not for secrecy: the spread keeps eight watches from coming back as one burst.
        await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311

    def _well(self) -> None:
        if self._failures and self.trouble:
            log.info("watch is well again", what=str(self.scope))
        self.trouble = ""

    async def _list(self) -> None:
        objects, version = await list_all(self._rest.call, self.scope, verb="relist")
        for change in self._store.replace(self.scope.namespace, objects, int(version)):
            self._tell(self.scope.kind, change)
        self._version = version
        self.synced.set()
        self.tried.set()
        self._well()

    async def _follow(self) -> int:
        """Read one watch to its end; the number of events, bookmarks included."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            # Spread, so that the watches of many controllers do not end together.
            "timeoutSeconds": str(random.randint(240, 480)),  # noqa: S311
            **self.scope.selectors,
        }
        request = Request("watch", self.scope.kind.plural, "GET", self.scope.path, query)
        events = 0
        async with self._rest.stream(request, idle=self._idle) as (answer, lines):
            if answer.code == 410:
                raise Expired
            if not answer.ok:
                raise error_of(self.scope.kind, str(self.scope), "watch", answer)
            self._well()
            async for line in lines:
                self._take(line)
                events += 1
                self._failures = 0
        return events

    def _take(self, line: bytes) -> None:
        try:
            event: dict[str, Any] = json.loads(line)
            type_, obj = event["type"], event["object"]
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(f"a line of the watch is no event: {line[:80]!r}") from error
        change = None
        if type_ == "ERROR":
            if obj.get("code") == 410:
                raise Expired
            raise Broken(f"the API server ended the watch: {obj.get('message') or obj}")
        if type_ in ("ADDED", "MODIFIED"):
            change = self._store.put(obj)
        elif type_ == "DELETED":
            change = self._store.remove(obj)
        self._version = obj["metadata"]["resourceVersion"]
        if change is not None:
            self._tell(self.scope.kind, change)


async def list_all(
    call: Callable[[Request], Awaitable[Answer]], scope: Scope, *, verb: str
) -> tuple[list[Json], str]:
    """All objects of a scope, page by page, and the version of the list.

    Raises Expired if the pages outlived their version, a ClusterError for a refusal, Broken if the answer is
    no list, and what `call` raises.
    """
    objects: list[Json] = []
    # The API server leaves these out of the items of its own kinds.
    common = {"apiVersion": scope.kind.api_version, "kind": scope.kind.title}
    query = {"limit": _PAGE, **scope.selectors}
    while True:
        answer = await call(Request(verb, scope.kind.plural, "GET", scope.path, query))
        if answer.code == 410:
            raise Expired
        if not answer.ok:
            raise error_of(scope.kind, str(scope), "list", answer)
        objects += [{**common, **item} for item in answer.body.get("items") or ()]
        metadata = answer.body.get("metadata") or {}
        if not metadata.get("resourceVersion"):
            raise Broken("the answer to a list is no list")
        if not metadata.get("continue"):
            return objects, metadata["resourceVersion"]
        query = {**query, "continue": metadata["continue"]}
