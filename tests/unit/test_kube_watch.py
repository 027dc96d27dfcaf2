"""A watch against a scripted server: whatever happens to a stream, nothing is lost and nothing invented."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web as web_server

from rollout_controller.kube import watch as module
from rollout_controller.kube.cache import Cache
from rollout_controller.kube.rest import Rest
from rollout_controller.kube.store import Change, Store
from rollout_controller.kube.watch import Scope, Watch
from rollout_controller.ports import Json, Kind
from tests.support.apiserver import Answer, ApiServer, cuts, serving, streams, text
from tests.support.apiserver import says as says_json


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHORTEST_PAUSE", 0.02)


def web(version: int, name: str = "web") -> Json:
    metadata = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(version)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"at": version}}


def listed(version: int, *objects: Json, more: str = "") -> Answer:
    return says_json(
        {"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(objects)}
    )


def event(type_: str, obj: Json) -> bytes:
    return json.dumps({"type": type_, "object": obj}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


EXPIRED = event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})


class Seen:
    """A watch that runs, and the changes it told of."""

    def __init__(self, server: ApiServer, watch: Watch, store: Store) -> None:
        self.server, self.watch, self.store = server, watch, store
        self.changes: list[str] = []

    def tell(self, _kind: Kind, change: Change) -> None:
        before, after = (o["metadata"]["resourceVersion"] if o else "-" for o in change)
        self.changes.append(f"{before}>{after}")

    async def until(self, what: str, holds: Callable[[], bool], within: float = 5.0) -> None:
        deadline = time.monotonic() + within
        while not holds():
            assert time.monotonic() < deadline, f"waited for {what}; changes {self.changes}"
            await asyncio.sleep(0.005)

    def queries(self) -> list[dict[str, Any]]:
        return [dict(r.query) for r in self.server.requests]

    def resumed_from(self) -> list[str]:
        return [q["resourceVersion"] for q in self.queries() if "watch" in q]


@asynccontextmanager
async def watching(
    *script: Answer, idle: float = 5.0, labels: str = "", kind: Kind = Kind.DEPLOYMENT
) -> AsyncIterator[Seen]:
    async with serving(*script) as server:
        rest = Rest(server.configuration)
        store = Store(kind)
        seen: Seen
        watch = Watch(rest, Scope(kind, "ns", labels), store, lambda k, c: seen.tell(k, c), idle=idle)
        seen = Seen(server, watch, store)
        task = asyncio.create_task(watch.run())
        try:
            yield seen
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await rest.close()


async def test_it_lists_then_watches_from_there_and_tells_each_change() -> None:
    stream = streams(
        event("ADDED", web(11, "pay")), event("MODIFIED", web(12)), event("DELETED", web(13)), then="hang"
    )
    async with watching(listed(10, web(5)), stream, labels="app") as seen:
        await seen.until("three changes after the list", lambda: len(seen.changes) == 4)
        assert seen.changes == ["->5", "->11", "5>12", "12>-"]
        assert seen.watch.synced.is_set()
        assert seen.queries()[0] == {"limit": "500", "labelSelector": "app"}
        watch = seen.queries()[1]
        assert (watch["resourceVersion"], watch["allowWatchBookmarks"]) == ("10", "true")
        assert watch["labelSelector"] == "app"
        assert 240 <= int(watch["timeoutSeconds"]) <= 480


async def test_a_long_list_is_read_page_by_page() -> None:
    async with watching(
        listed(10, web(5), more="next"), listed(10, web(6, "pay")), streams(then="hang")
    ) as seen:
        await seen.until("the list", seen.watch.synced.is_set)
        assert len(seen.store) == 2
        assert seen.queries()[1]["continue"] == "next"


async def test_a_stream_that_ends_is_resumed_from_its_last_event_without_a_list() -> None:
    script = (listed(10), streams(event("ADDED", web(11))), streams(event("MODIFIED", web(12)), then="hang"))
    async with watching(*script) as seen:
        await seen.until("both changes", lambda: len(seen.changes) == 2)
        assert seen.resumed_from() == ["10", "11"]


async def test_bookmarks_move_the_version_from_which_it_resumes() -> None:
    async with watching(listed(10), streams(bookmark(40)), streams(then="hang")) as seen:
        await seen.until("the second watch", lambda: len(seen.resumed_from()) == 2)
        assert seen.resumed_from() == ["10", "40"]
        assert seen.changes == []


async def test_lines_that_come_in_pieces_are_put_together() -> None:
    line = event("ADDED", web(11)) + event("ADDED", web(12, "pay"))
    pieces = [line[i : i + 7] for i in range(0, len(line), 7)]
    async with watching(listed(10), streams(*pieces, then="hang")) as seen:
        await seen.until("both changes", lambda: len(seen.changes) == 2)


@pytest.mark.parametrize("then", ["end", "cut"])
async def test_a_line_that_is_cut_off_is_dropped_and_asked_for_again(then: str) -> None:
    whole, half = event("ADDED", web(11)), event("ADDED", web(12, "pay"))
    script = (listed(10), streams(whole, half[:-20], then=then), streams(half, then="hang"))
    async with watching(*script) as seen:
        await seen.until("both changes", lambda: len(seen.changes) == 2)
        assert seen.resumed_from() == ["10", "11"]


@pytest.mark.parametrize("line", [b"<html>busy</html>\n", b'{"type":"ADDED"}\n', b"[]\n", b"null\n"])
async def test_a_line_that_is_no_event_ends_the_stream_and_is_survived(line: bytes) -> None:
    script = (listed(10), streams(line), streams(event("ADDED", web(11)), then="hang"))
    async with watching(*script) as seen:
        await seen.until("the change", lambda: seen.changes == ["->11"])


@pytest.mark.parametrize("expired", [streams(EXPIRED), says_json({"kind": "Status", "code": 410}, 410)])
async def test_an_expired_version_brings_a_new_list_that_tells_what_was_missed(expired: Answer) -> None:
    again = listed(30, web(25), web(26, "new"))
    script = (listed(10, web(5), web(6, "went")), expired, again, streams(then="hang"))
    async with watching(*script) as seen:
        await seen.until("the second watch", lambda: len(seen.resumed_from()) == 2)
        assert seen.changes[2:] == ["5>25", "->26", "6>-"]
        assert seen.resumed_from() == ["10", "30"]


async def test_an_error_event_of_another_kind_resumes_without_a_list() -> None:
    error = event("ERROR", {"kind": "Status", "code": 500, "message": "etcd is away"})
    async with watching(listed(10), streams(error), streams(event("ADDED", web(11)), then="hang")) as seen:
        await seen.until("the change", lambda: seen.changes == ["->11"])
        assert seen.resumed_from() == ["10", "10"]


@pytest.mark.parametrize(
    "trouble",
    [
        says_json({"kind": "Status", "message": "no"}, 403),
        says_json({"kind": "Status", "message": "busy"}, 429),
        text("bad gateway", 502),
        cuts,
    ],
)
async def test_whatever_refuses_a_list_or_a_watch_is_tried_again(trouble: Answer) -> None:
    script = (trouble, trouble, listed(10), trouble, streams(event("ADDED", web(11)), then="hang"))
    async with watching(*script) as seen:
        await seen.until("the change", lambda: seen.changes == ["->11"])
        assert seen.watch.trouble == ""


async def test_a_stream_without_a_byte_for_too_long_is_taken_for_dead() -> None:
    again = [streams(event("ADDED", web(11)), then="hang")] * 20
    async with watching(listed(10), streams(then="hang"), *again, idle=0.2) as seen:
        await seen.until("the change", lambda: "->11" in seen.changes)


@pytest.mark.parametrize("answer", [text("<html>welcome</html>", 200), says_json({"items": []})])
async def test_an_answer_that_is_no_list_is_not_taken_for_an_empty_one(answer: Answer) -> None:
    async with watching(answer, listed(10, web(5)), streams(then="hang")) as seen:
        await seen.until("the list", seen.watch.synced.is_set)
        assert seen.changes == ["->5"]


async def test_an_object_that_cannot_be_read_does_not_end_the_watch() -> None:
    script = (
        listed(10),
        streams(event("ADDED", {"metadata": {}})),
        listed(30, web(25)),
        streams(then="hang"),
    )
    async with watching(*script) as seen:
        await seen.until("the change after a new list", lambda: seen.changes == ["->25"])


async def test_an_unknown_kind_is_named_with_what_to_do_until_it_is_known() -> None:
    unknown = text("404 page not found\n", 404)
    async with watching(*[unknown] * 5, listed(10), streams(then="hang")) as seen:
        await seen.until("a try", lambda: "does not know" in seen.watch.trouble)
        assert seen.watch.trouble == (
            "the API server does not know apps/v1 Deployment; install its CustomResourceDefinition"
        )
        assert not seen.watch.synced.is_set()
        await seen.until("the list", seen.watch.synced.is_set)


async def test_tries_come_more_and_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.3)
    begun = time.monotonic()
    async with watching(*[text("no", 500)] * 100) as seen:
        await seen.until("eight tries", lambda: len(seen.server.requests) >= 8)
    # 20, 40, 80, 160, 300, 300, 300 ms, each at least halved by its spread
    assert time.monotonic() - begun > 0.6


async def test_a_server_that_ends_every_stream_at_once_is_not_asked_in_a_tight_loop() -> None:
    async with watching(listed(10), *[streams()] * 1000) as seen:
        await asyncio.sleep(0.5)
        assert len(seen.server.requests) < 40


async def test_all_watches_of_many_namespaces_are_open_at_once() -> None:
    async def lists_then_hangs(request: web_server.Request) -> web_server.StreamResponse:
        answer = streams(then="hang") if "watch" in request.query else listed(10)
        return await answer(request)

    namespaces = [f"ns{number}" for number in range(20)]
    async with serving(rest=lists_then_hangs) as server:
        rest = Rest(server.configuration)
        cache = Cache(rest, namespaces)
        cache.start(lambda _: None)
        try:
            await server.asked(2 * len(Kind) * len(namespaces), within=4.5)
        finally:
            await cache.stop()
            await rest.close()
    opened = [
        (request.path, request.query.get("fieldSelector"))
        for request in server.requests
        if "watch" in request.query
    ]
    assert len(set(opened)) == len(Kind) * len(namespaces)
