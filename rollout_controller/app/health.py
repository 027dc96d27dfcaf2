"""The HTTP server for probes and metrics."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)


class HealthError(Exception):
    """The address cannot be listened on; the message says why and what to do."""


class Health:
    """/healthz: the event loop turns. /readyz: the caches are filled. /metrics: Prometheus' text format."""

    def __init__(self, missing: Callable[[], list[str]], page: Callable[[], bytes]) -> None:
        self._missing = missing
        self._page = page
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` is then the real one if 0 was asked for. Raises HealthError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise HealthError(
                f"cannot listen on {host}:{port}: {error.strerror or error};"
                " choose another address with --health-address"
            ) from error
        self.port = int(self._runner.addresses[0][1])
        log.info("serving health and metrics", address=f"{host}:{self.port}")

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        missing = self._missing()
        if not missing:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="".join(f"{line}\n" for line in missing))

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page(), headers={"Content-Type": "text/plain; version=0.0.4"})
