"""Kinds that only findings are made from: read where they can be, and waited for by nobody."""

import asyncio
import time

import pytest
from aiohttp import web as web_server

from rollout_controller.kube import watch as module
from rollout_controller.kube.cache import Cache
from rollout_controller.kube.rest import Rest
from rollout_controller.kube.watch import Scope
from rollout_controller.ports import Kind
from tests.support.apiserver import Answer, serving, streams, text
from tests.support.apiserver import says as says_json
from tests.unit.test_kube_watch import listed, quick, watching

__all__ = ["quick"]


async def test_of_namespaces_only_those_are_read_that_are_worked_in() -> None:
    scope = Scope(Kind.NAMESPACE, "shop")
    assert (scope.path, scope.selectors) == ("/api/v1/namespaces", {"fieldSelector": "metadata.name=shop"})
    assert Scope(Kind.NAMESPACE).selectors == {}


FORBIDDEN = says_json({"kind": "Status", "message": "gateways is forbidden"}, status=403)
UNKNOWN = text("404 page not found\n", 404)


@pytest.mark.parametrize("refusal", [FORBIDDEN, UNKNOWN])
async def test_a_kind_that_only_findings_are_made_from_is_not_waited_for(refusal: Answer) -> None:
    async def answer(request: web_server.Request) -> web_server.StreamResponse:
        if "gateways" in request.path:
            return await refusal(request)
        return await (streams(then="hang") if "watch" in request.query else listed(10))(request)

    async with serving(rest=answer) as server:
        rest = Rest(server.configuration)
        cache = Cache(rest, ("shop",), kinds=(Kind.ROLLOUT, Kind.GATEWAY))
        cache.start(lambda _: None)
        try:
            async with asyncio.timeout(5):
                await cache.synced()
            assert cache.missing() == []
            assert cache.known(Kind.GATEWAY, "shop") is None
            assert cache.known(Kind.ROLLOUT, "shop") == ()
            assert cache.known(Kind.ROLLOUT, "pay") is None, "a namespace that is not watched"
        finally:
            await cache.stop()
            await rest.close()


async def test_such_a_kind_is_asked_for_ever_more_rarely_until_it_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.02)
    script = [*[FORBIDDEN] * 4, listed(10), streams(then="hang")]
    begun = time.monotonic()
    async with watching(*script, kind=Kind.GATEWAY) as seen:
        await seen.until("a try", seen.watch.tried.is_set)
        assert not seen.watch.synced.is_set()
        await seen.until("the list", seen.watch.synced.is_set)
    # 20, 40, 80 and 160 ms, each at least halved by its spread: beyond the longest pause of the others
    assert time.monotonic() - begun > 0.15
