"""The port `Cluster` on a real API server."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

from rollout_controller.api.names import FIELD_MANAGER
from rollout_controller.kube.cache import Cache
from rollout_controller.kube.errors import error_of, knows_kind
from rollout_controller.kube.rest import CALL_TIMEOUT, Answer, NoAnswer, Request, Rest
from rollout_controller.kube.watch import Broken, Expired, Scope, collection, list_all
from rollout_controller.ports import Json, Kind, Ref, Unavailable

_JSON_PATCH: Final = "application/json-patch+json"
_AGAIN_AFTER: Final = 0.2


class KubeCluster:
    """Live calls through one client, cached reads from the watches of another. Implements ports.Cluster.

    A read that met no connection, 429 or 5xx is tried once more within its time; a write never is: the pass
    that wanted it begins again from what it then reads. (The HTTP library repeats a GET or DELETE on a
    connection that was closed before the answer; our DELETEs name the uid, so a second one does no harm.)
    """

    def __init__(self, rest: Rest, cache: Cache, *, timeout: float = CALL_TIMEOUT) -> None:
        self._rest = rest
        self._cache = cache
        self._timeout = timeout

    @property
    def watched(self) -> frozenset[str]:
        """See ports.Cluster."""
        return self._cache.namespaces

    def known(self, kind: Kind, namespace: str = "") -> Sequence[Json] | None:
        """See ports.Cluster."""
        return self._cache.known(kind, namespace)

    async def get(self, ref: Ref, *, live: bool) -> Json | None:
        """See ports.Cluster."""
        if not live:
            self._expect_cached(ref.kind, ref)
            return self._cache.stores[ref.kind].get(ref.namespace, ref.name)
        answer = await self._read(ref, Request("get", ref.kind.plural, "GET", _path(ref)))
        if answer.code == 404 and knows_kind(answer):
            return None
        return _good(ref.kind, ref, "get", answer)

    async def list(self, kind: Kind, namespace: str, *, live: bool, labels: str = "") -> list[Json]:
        """See ports.Cluster."""
        scope = Scope(kind, namespace, labels)
        if not live:
            self._expect_cached(kind, str(scope))
            return self._cache.stores[kind].select(namespace, labels)
        try:
            objects, _ = await list_all(lambda request: self._read(str(scope), request), scope, verb="list")
        except Expired:
            raise Unavailable(str(scope), "list", "the list grew too old between two of its pages") from None
        except Broken as error:
            raise Unavailable(str(scope), "list", str(error)) from error
        return objects

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        """See ports.Cluster."""
        ref = Ref(kind, namespace, body["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER}
        request = Request("create", kind.plural, "POST", collection(kind, namespace), query, body)
        with self._cache.writing(ref) as wrote:
            stored = _good(kind, ref, "create", await self._write(ref, request))
            wrote(stored)
        return stored

    async def patch(
        self, ref: Ref, ops: Sequence[Json], *, status: bool = False, dry_run: bool = False, manager: str = ""
    ) -> Json:
        """See ports.Cluster."""
        query = {"fieldManager": manager or FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        path = f"{_path(ref)}/status" if status else _path(ref)
        resource = f"{ref.kind.plural}/status" if status else ref.kind.plural
        request = Request("patch", resource, "PATCH", path, query, list(ops), _JSON_PATCH)
        if dry_run:
            return _good(ref.kind, ref, "patch", await self._write(ref, request))
        with self._cache.writing(ref) as wrote:
            stored = _good(ref.kind, ref, "patch", await self._write(ref, request))
            wrote(stored)
        return stored

    async def delete(self, ref: Ref, *, uid: str, resource_version: str | None = None) -> None:
        """See ports.Cluster."""
        preconditions = {"uid": uid, **({"resourceVersion": resource_version} if resource_version else {})}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": preconditions,
        }
        request = Request("delete", ref.kind.plural, "DELETE", _path(ref), body=options)
        with self._cache.writing(ref) as wrote:
            answer = _good(ref.kind, ref, "delete", await self._write(ref, request))
            # An object that still has finalizers stays, and is the answer.
            wrote(None if answer.get("kind") == "Status" else answer)

    def _expect_cached(self, kind: Kind, ref: Ref | str) -> None:
        trouble = self._cache.trouble(kind)
        if trouble:
            raise Unavailable(ref, "read cached", trouble)

    async def _write(self, ref: Ref, request: Request) -> Answer:
        try:
            return await self._rest.call(request, timeout=self._timeout)
        except NoAnswer as error:
            raise Unavailable(ref, request.verb, str(error)) from error

    async def _read(self, ref: Ref | str, request: Request) -> Answer:
        deadline = time.monotonic() + self._timeout
        pause = _AGAIN_AFTER * random.uniform(0.5, 1.5)  # noqa: S311 (a spread, no secret)
        try:
            answer = await self._rest.call(request, timeout=self._timeout)
        except NoAnswer as error:
            if time.monotonic() + 2 * pause > deadline:
                raise Unavailable(ref, request.verb, str(error)) from error
        else:
            if (answer.code != 429 and answer.code < 500) or time.monotonic() + 2 * pause > deadline:
                return answer
        await asyncio.sleep(pause)
        try:
            return await self._rest.call(request, timeout=deadline - time.monotonic())
        except NoAnswer as error:
            raise Unavailable(ref, request.verb, str(error)) from error


def _path(ref: Ref) -> str:
    return f"{collection(ref.kind, ref.namespace)}/{ref.name}"


def _good(kind: Kind, ref: Ref, verb: str, answer: Answer) -> Json:
    if not answer.ok:
        raise error_of(kind, ref, verb, answer)
    return answer.body
