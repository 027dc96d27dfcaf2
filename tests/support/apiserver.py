"""A scripted HTTP server in the place of an API server: each request gets the next answer of its script."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from kubernetes_asyncio.client import Configuration

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def says(body: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def text(body: str, status: int) -> Answer:
    """A plain text answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status)

    return answer


def streams(*chunks: bytes, then: str = "end") -> Answer:
    """A stream of these chunks; then its end, an abrupt `cut` of the connection, or silence (`hang`)."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0.01)  # so that each is read by itself
        if then == "hang":
            await asyncio.sleep(30)
        if then == "cut":
            assert request.transport is not None
            request.transport.abort()
        return response

    return answer


async def hangs(_request: web.Request) -> web.StreamResponse:
    """No answer at all."""
    await asyncio.sleep(30)
    return web.Response()


async def cuts(request: web.Request) -> web.StreamResponse:
    """A connection that is closed before any answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class ApiServer:
    """Answers from a script; when that is at its end, from `rest`. `requests` are those that came."""

    def __init__(self, rest: Answer = hangs) -> None:
        self.script: list[Answer] = []
        self.rest = rest
        self.requests: list[web.Request] = []
        self.bodies: list[Any] = []
        self.url = ""
        self._came = asyncio.Condition()

    async def asked(self, times: int, within: float = 5.0) -> None:
        """Wait until that many requests have come."""
        async with asyncio.timeout(within), self._came:
            await self._came.wait_for(lambda: len(self.requests) >= times)

    @property
    def configuration(self) -> Configuration:
        return Configuration(host=self.url)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        raw = await request.read()
        self.bodies.append(json.loads(raw) if raw else None)
        async with self._came:
            self._came.notify_all()
        return await (self.script.pop(0) if self.script else self.rest)(request)


@asynccontextmanager
async def serving(*script: Answer, rest: Answer = hangs) -> AsyncIterator[ApiServer]:
    """A scripted server on a port of the loopback."""
    server = ApiServer(rest)
    server.script = list(script)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    # A connection beyond the backlog is tried again only seconds later.
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
