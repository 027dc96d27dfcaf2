"""Calls against a scripted server: each kind of answer, and none, becomes the right error of the ports."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes_asyncio.client import Configuration

from rollout_controller.kube.cache import Cache
from rollout_controller.kube.client import KubeCluster
from rollout_controller.kube.rest import Rest
from rollout_controller.ports import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Json,
    Key,
    Kind,
    NotFound,
    Ref,
    Refused,
    Unavailable,
)
from tests.support.apiserver import Answer, ApiServer, cuts, hangs, says, serving, text
from tests.support.ports import refusing

WEB = Ref(Kind.DEPLOYMENT, "ns", "web")
OBJECT: Json = {
    "metadata": {"name": "web", "namespace": "ns", "uid": "u1", "resourceVersion": "7"},
    "spec": {"replicas": 3},
}
Calls = list[tuple[str, str, str]]


def status(code: int, reason: str, message: str = "because", **details: Any) -> Answer:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
    return says({**body, "details": details}, code)


@asynccontextmanager
async def cluster(
    *script: Answer, timeout: float = 5.0
) -> AsyncIterator[tuple[KubeCluster, ApiServer, Calls]]:
    calls: Calls = []
    async with serving(*script) as server:
        rest = Rest(
            server.configuration, lambda verb, resource, code, _: calls.append((verb, resource, code))
        )
        try:
            yield KubeCluster(rest, Cache(rest), timeout=timeout), server, calls
        finally:
            await rest.close()


def get(c: KubeCluster) -> Coroutine[Any, Any, Any]:
    return c.get(WEB, live=True)


def list_(c: KubeCluster) -> Coroutine[Any, Any, Any]:
    return c.list(Kind.DEPLOYMENT, "ns", live=True)


def patch(c: KubeCluster) -> Coroutine[Any, Any, Any]:
    return c.patch(WEB, [{"op": "add", "path": "/spec/replicas", "value": 3}])


def create(c: KubeCluster) -> Coroutine[Any, Any, Any]:
    return c.create(Kind.DEPLOYMENT, "ns", {"metadata": {"name": "web"}})


def delete(c: KubeCluster) -> Coroutine[Any, Any, Any]:
    return c.delete(WEB, uid="u1")


Call = Callable[[KubeCluster], Coroutine[Any, Any, Any]]
WRITES = [patch, create, delete]
READS = [get, list_]


@pytest.mark.parametrize("call", [patch, delete])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(409, "Conflict"), Conflict),
        (status(422, "Invalid", "the server rejected our request"), Conflict),
        (status(422, "Invalid", "spec.x: Required", causes=[{"field": "spec.x"}]), Refused),
        (status(422, "Invalid", "denied by policy", kind="deployments", name="web"), Refused),
        (status(404, "NotFound", kind="deployments", name="web"), NotFound),
        (status(400, "BadRequest"), Refused),
        (status(401, "Unauthorized"), Refused),
        (status(403, "Forbidden"), Refused),
        (status(429, "TooManyRequests"), Unavailable),
        (status(500, "InternalError"), Unavailable),
        (text("bad gateway", 502), Unavailable),
        (status(504, "Timeout"), Unavailable),
        (text("moved", 302), Unavailable),
    ],
)
async def test_an_answer_to_a_write_becomes_its_error_after_one_call(
    call: Call, answer: Answer, error: type[ClusterError]
) -> None:
    async with cluster(answer, says(OBJECT)) as (c, server, _):
        with pytest.raises(error) as caught:
            await call(c)
        assert type(caught.value) is error
        assert len(server.requests) == 1, "a write is never repeated"


@pytest.mark.parametrize("call", [patch, create])
async def test_a_write_whose_connection_breaks_is_not_repeated(call: Call) -> None:
    async with cluster(cuts, says(OBJECT)) as (c, server, _):
        with pytest.raises(Unavailable):
            await call(c)
        assert len(server.requests) == 1


@pytest.mark.parametrize("call", [*READS, patch, create])
async def test_an_answer_that_is_no_json_is_unavailable(call: Call) -> None:
    async with cluster(text("<html>welcome</html>", 200), text("<html>welcome</html>", 200)) as (c, _, _):
        with pytest.raises(Unavailable, match="is that an API server"):
            await call(c)


async def test_a_name_that_is_taken_is_another_error_than_a_conflict() -> None:
    async with cluster(status(409, "AlreadyExists"), status(409, "Conflict")) as (c, _, _):
        with pytest.raises(AlreadyExists):
            await create(c)
        with pytest.raises(Conflict):
            await create(c)


async def test_an_error_says_what_was_done_to_what_and_the_servers_own_words() -> None:
    async with cluster(status(403, "Forbidden", "you may not")) as (c, _, _):
        with pytest.raises(Refused, match=r"^patch Deployment ns/web: you may not$"):
            await patch(c)


async def test_a_long_message_is_shortened() -> None:
    async with cluster(status(400, "BadRequest", "x" * 5000)) as (c, _, _):
        with pytest.raises(Refused) as caught:
            await patch(c)
        assert len(caught.value.message) == 600


async def test_an_object_that_does_not_exist_is_none() -> None:
    async with cluster(status(404, "NotFound", kind="deployments", name="web")) as (c, _, _):
        assert await get(c) is None


@pytest.mark.parametrize("call", [get, list_, patch, create])
async def test_a_kind_that_is_not_served_is_told_from_an_object_that_is_not_there(call: Call) -> None:
    async with cluster(text("404 page not found\n", 404)) as (c, _, _):
        with pytest.raises(NotFound, match="does not know apps/v1 Deployment; install"):
            await call(c)


@pytest.mark.parametrize("call", [*READS, *WRITES])
async def test_no_answer_is_unavailable_within_the_time_limit(call: Call) -> None:
    async with cluster(hangs, hangs, timeout=1) as (c, server, _):
        begun = time.monotonic()
        with pytest.raises(Unavailable, match=r"no answer within 1 s"):
            await call(c)
        assert time.monotonic() - begun < 1.7
        assert len(server.requests) == 1


@pytest.mark.parametrize("call", READS)
@pytest.mark.parametrize("trouble", [cuts, status(503, "ServiceUnavailable"), status(429, "TooManyRequests")])
async def test_a_read_is_tried_once_more(call: Call, trouble: Answer) -> None:
    good = says({**OBJECT, "items": []})
    async with cluster(trouble, good) as (c, server, _):
        await call(c)
    async with cluster(*[trouble] * 9) as (c, server, _):
        with pytest.raises(Unavailable):
            await call(c)
        # The HTTP library itself asks once more on a connection that was closed.
        assert len(server.requests) == (4 if trouble is cuts else 2)


async def test_no_connection_at_all_is_unavailable() -> None:
    with refusing() as port:
        configuration = Configuration(host=f"http://127.0.0.1:{port}")
        rest = Rest(configuration)
        with pytest.raises(Unavailable, match="Cannot connect"):
            await get(KubeCluster(rest, Cache(rest)))
        await rest.close()


async def test_a_dry_run_may_be_made_for_another_field_manager() -> None:
    async with cluster(says(OBJECT)) as (c, server, _):
        await c.patch(WEB, [], dry_run=True, manager="somebody")
        assert dict(server.requests[0].query) == {"fieldManager": "somebody", "dryRun": "All"}


async def test_every_write_bears_our_field_manager_and_a_dry_run_says_so() -> None:
    async with cluster(says(OBJECT, 201), says(OBJECT), says(OBJECT), says(OBJECT)) as (c, server, _):
        await create(c)
        await patch(c)
        await c.patch(WEB, [], dry_run=True)
        await c.patch(WEB, [], status=True)
        queries = [dict(r.query) for r in server.requests]
        assert all(q["fieldManager"] == "rollout-controller" for q in queries)
        assert [q.get("dryRun") for q in queries] == [None, None, "All", None]
        assert [(r.method, r.path) for r in server.requests] == [
            ("POST", "/apis/apps/v1/namespaces/ns/deployments"),
            ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/web"),
            ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/web"),
            ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/web/status"),
        ]
        assert server.requests[1].content_type == "application/json-patch+json"
        assert server.bodies[1] == [{"op": "add", "path": "/spec/replicas", "value": 3}]


async def test_a_delete_names_uid_and_version_and_runs_in_the_background() -> None:
    async with cluster(says({"kind": "Status"})) as (c, server, _):
        await c.delete(WEB, uid="u1", resource_version="7")
        assert server.bodies[0]["preconditions"] == {"uid": "u1", "resourceVersion": "7"}
        assert server.bodies[0]["propagationPolicy"] == "Background"


async def test_calls_are_counted_by_verb_resource_and_code() -> None:
    answers = (
        says(OBJECT),
        status(409, "Conflict"),
        hangs,
        says({"items": [], "metadata": {"resourceVersion": "1"}}),
        says(OBJECT),
    )
    async with cluster(*answers, timeout=1) as (c, _, calls):
        await get(c)
        for _ in range(2):
            with pytest.raises(ClusterError):
                await patch(c)
        await list_(c)
        await c.patch(WEB, [], status=True)
        assert calls == [
            ("get", "deployments", "200"),
            ("patch", "deployments", "409"),
            ("patch", "deployments", "none"),
            ("list", "deployments", "200"),
            ("patch", "deployments/status", "200"),
        ]


async def test_a_call_that_is_cancelled_ends_at_once() -> None:
    async with cluster(hangs) as (c, server, calls):
        task = asyncio.create_task(patch(c))
        await server.asked(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert calls == [("patch", "deployments", "none")]


async def test_a_cached_read_before_the_first_list_is_unavailable_and_touches_no_network() -> None:
    async with cluster() as (c, server, _):
        with pytest.raises(Unavailable, match="not read yet"):
            await c.get(WEB, live=False)
        with pytest.raises(Unavailable, match="not read yet"):
            await c.list(Kind.POD, "ns", live=False)
        assert server.requests == []


async def test_own_writes_are_read_back_from_the_cache_and_wake_nobody() -> None:
    woken: list[Key] = []
    async with serving() as server:
        rest = Rest(server.configuration)
        cache = Cache(rest, kinds=(Kind.DEPLOYMENT,))
        server.script = [says({"metadata": {"resourceVersion": "5"}, "items": []}), hangs]
        cache.start(woken.append)
        await asyncio.wait_for(cache.synced(), 5)
        await server.asked(2)
        c = KubeCluster(rest, cache)
        newer = {**OBJECT, "metadata": {**OBJECT["metadata"], "resourceVersion": "9"}}
        server.script = [says(OBJECT, 201), says(newer), says(newer), says({"kind": "Status"})]
        await create(c)
        assert await c.get(WEB, live=False) == OBJECT
        await c.patch(WEB, [], dry_run=True)
        assert await c.get(WEB, live=False) == OBJECT, "a dry run changed nothing"
        await patch(c)
        assert await c.get(WEB, live=False) == newer
        await delete(c)
        assert await c.get(WEB, live=False) is None
        assert woken == []
        await cache.stop()
        await rest.close()
