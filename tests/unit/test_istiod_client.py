"""What is asked of istiod's debug pages, and what comes of answers that are late, large or strange."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from aiohttp import web

from rollout_controller.istiod import client
from rollout_controller.istiod.client import Istiod, IstiodSettings
from rollout_controller.ports import ProxiesError, Sender, Subset

SECRET = "s3cr3t-t0k3n"
SUBSET = Subset("web.shop.svc.cluster.local", "canary")
IN_STEP = {"proxy": "gw-0.istio-system", "proxy_type": "router", "route_sent": "2", "route_acked": "2"}
LATE = {**IN_STEP, "route_acked": "1"}


def dump(*clusters: str) -> dict[str, Any]:
    """Routes to these clusters, as istiod means them."""
    return {"configs": [{"virtual_hosts": [{"routes": [{"route": {"cluster": one}} for one in clusters]}]}]}


class Pages:
    """An istiod: pages by path and proxy; a callable answers by itself."""

    def __init__(self, syncz: Any, **dumps: Any) -> None:
        self.syncz, self.dumps = syncz, dumps
        self.requests: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        page = self.syncz
        if request.path == "/debug/config_dump":
            page = self.dumps.get(request.query["proxyID"].partition(".")[0].replace("-", "_"))
        if page is None:
            return web.Response(status=404)
        return (await page(request)) if callable(page) else web.json_response(page)

    @property
    def paths(self) -> list[str]:
        return [request.path_qs for request in self.requests]


@contextlib.asynccontextmanager
async def serving(pages: Pages) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{page:.*}", pages.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def senders(pages: Pages, token_file: Path | None = None, timeout: float = 3.0) -> list[Sender]:
    async with serving(pages) as url:
        return await Istiod(IstiodSettings(url, token_file, timeout)).senders(SUBSET, "shop")


async def failure(pages: Pages, token_file: Path | None = None, timeout: float = 3.0) -> str:
    with pytest.raises(ProxiesError) as caught:
        await senders(pages, token_file, timeout)
    return str(caught.value)


async def test_a_proxy_that_did_not_take_its_routes_is_named_and_nothing_more_is_asked() -> None:
    pages = Pages([IN_STEP | {"proxy": "gw-1.istio-system"}, LATE])
    (found,) = await senders(pages)
    assert found == Sender("gw-0.istio-system", "has not taken the routes that istiod sent it last")
    assert pages.paths == ["/debug/syncz"]


async def test_if_all_are_in_step_their_routes_are_searched_for_the_subset() -> None:
    outbound = "outbound|80|{}|web.shop.svc.cluster.local"
    sidecars = [IN_STEP | {"proxy": f"{name}.shop", "proxy_type": "sidecar"} for name in "abc"]
    pages = Pages(
        [*sidecars, IN_STEP],
        gw_0=dump(outbound.format("stable"), outbound.format("canary")),
        a=dump(outbound.format("stable")),
        b=dump("outbound|80|canary|web.shop.svc.cluster.local.example", "outbound|80|canary|web-shop"),
    )
    (found,) = await senders(pages)
    assert found == Sender(
        "gw-0.istio-system", "is given a route to subset canary of web.shop.svc.cluster.local by istiod"
    )
    assert pages.paths[1] == "/debug/config_dump?types=rds&proxyID=gw-0.istio-system"


async def test_only_a_few_proxies_are_looked_into() -> None:
    many = [IN_STEP | {"proxy": f"web-{number}.shop"} for number in range(50)]
    pages = Pages(many)
    assert await senders(pages) == []
    assert len(pages.requests) == 1 + client.DUMPS


async def test_a_token_is_read_for_each_question_and_sent(tmp_path: Path) -> None:
    file = tmp_path / "token"
    pages = Pages([])
    async with serving(pages) as url:
        istiod = Istiod(IstiodSettings(url, file))
        for token in ("first", "second"):
            file.write_text(token + "\n")
            await istiod.senders(SUBSET, "shop")
    assert [r.headers["Authorization"] for r in pages.requests] == ["Bearer first", "Bearer second"]


async def test_without_a_token_nothing_is_said_of_authorization() -> None:
    pages = Pages([])
    await senders(pages)
    assert "Authorization" not in pages.requests[0].headers


@pytest.mark.parametrize("token", [f"{SECRET}\r\nx-evil: 1", f"{SECRET} more", f"{SECRET}é"])
async def test_a_token_that_no_header_can_carry_is_not_sent_and_not_shown(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    pages = Pages([])
    message = await failure(pages, tmp_path / "token")
    assert "no header can carry" in message
    assert SECRET not in message
    assert pages.requests == []


async def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = await failure(Pages([]), tmp_path / "gone")
    assert message == f"the token file {tmp_path / 'gone'} cannot be read: No such file or directory"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_refused_is_told_and_not_shown(tmp_path: Path, status: int) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=SECRET)

    (tmp_path / "token").write_text(SECRET)
    message = await failure(Pages(refuse), tmp_path / "token")
    assert f"answered {status} to /debug/syncz; is the token right?" in message
    assert SECRET not in message


async def test_a_redirect_is_not_followed_with_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    other = Pages([])

    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{url}/debug/syncz")

    async with serving(other) as url:
        message = await failure(Pages(elsewhere), tmp_path / "token")
    assert "answered 302" in message
    assert other.requests == []


@pytest.mark.parametrize("text", ["", "<html>", '{"proxy": "a"}', "[1]"])
async def test_a_page_that_is_something_else_is_told(text: str) -> None:
    async def strange(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    assert "answered /debug/syncz with something else" in await failure(Pages(strange))


async def test_a_page_that_is_too_large_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LARGEST", 1 << 20)
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 30:
                await response.write(b"[" * 65536)
                sent += 65536
        return response

    assert "with more than 1 MiB" in await failure(Pages(endless))
    assert sent < 64 << 20


async def test_a_dump_that_cannot_be_read_leaves_the_others() -> None:
    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    canary = dump("outbound|80|canary|web.shop.svc.cluster.local")
    pages = Pages([IN_STEP, IN_STEP | {"proxy": "a.shop"}], gw_0=broken, a=canary)
    assert [sender.proxy for sender in await senders(pages)] == ["a.shop"]


async def test_an_istiod_that_hangs_is_given_up_in_time() -> None:
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    began = monotonic()
    assert "gave no answer within 0.3 s" in await failure(Pages(hang), timeout=0.3)
    assert monotonic() - began < 2


async def test_a_page_that_drips_is_given_up_in_time() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(600):
                await response.write(b" ")
                await asyncio.sleep(0.1)
        return response

    assert "gave no answer within 0.5 s" in await failure(Pages(drip), timeout=0.5)


async def test_an_istiod_that_is_not_there_is_told() -> None:
    istiod = Istiod(IstiodSettings("http://127.0.0.1:9"))
    with pytest.raises(ProxiesError, match=r"no connection to istiod at http://127.0.0.1:9"):
        await istiod.senders(SUBSET, "shop")


async def test_an_answer_that_is_cut_is_an_error_and_asked_for_once() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(json.dumps([LATE]).encode())
        assert request.transport is not None
        request.transport.abort()
        return response

    pages = Pages(cut)
    assert "no connection to istiod" in await failure(pages)
    assert len(pages.requests) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://me:hunter2@istiod:15014", "no credentials"),
        ("istiod:15014", "expected an address"),
        ("ftp://istiod", "expected an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IstiodSettings(url)
