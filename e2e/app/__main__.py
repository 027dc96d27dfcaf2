"""`python3 -m e2e.app`: see the package."""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
import time

from e2e.app.behaviour import Conduct
from e2e.app.metrics import Metrics
from e2e.app.server import Answer, Request, Server

DRAIN = 10.0
"""Seconds that answers under way get after SIGTERM."""


class App:
    """The two listeners and what they share."""

    def __init__(self, conduct: Conduct, metrics: Metrics) -> None:
        self.conduct = conduct
        self.metrics = metrics
        self.pod = conduct.environment.get("POD_NAME", "unknown")
        self.address = conduct.environment.get("POD_IP", "127.0.0.1")
        self.public = Server(self.serve)
        self.admin = Server(self.administer)

    def serve(self, request: Request) -> Answer:
        """The application proper. Health checks are not counted: a sidecar does not see them either."""
        if request.target.partition("?")[0] == "/healthz":
            ready = self.conduct.ready
            return Answer(200 if ready else 503, b"ok\n" if ready else b"not ready\n")
        conduct, began = self.conduct, time.monotonic()
        status, delay = conduct.next_status(), conduct.next_delay()
        if conduct.requests >= conduct.behaviour.crash_after_requests:
            self.crash()
        version = conduct.behaviour.version

        def count(sent: bool) -> None:
            spent = (time.monotonic() - began) * 1000
            if sent:
                self.metrics.count(status, spent, through_gateway=request.proxied)
            else:
                self.metrics.count(0, spent, through_gateway=request.proxied, flags="DC")

        headers = {"content-type": "text/plain", "x-version": version, "x-pod": self.pod}
        return Answer(status, f"{version} {self.pod}\n".encode(), headers, delay, count)

    def administer(self, request: Request) -> Answer:
        """Metrics, and changes of behaviour."""
        path, _, query = request.target.partition("?")
        match request.method, path:
            case "GET", "/stats/prometheus":
                kind = {"content-type": "text/plain; version=0.0.4"}
                return Answer(200, self.metrics.render().encode(), kind)
            case "POST", "/-/ready" | "/-/unready":
                self.conduct.forced_ready = path == "/-/ready"
            case "POST", "/-/crash":
                self.crash()
            case "POST", "/-/set":
                pairs = (pair.partition("=") for pair in query.split("&") if pair)
                try:
                    self.conduct.change({name: value for name, _, value in pairs})
                except ValueError as error:
                    return Answer(400, f"{error}\n".encode())
            case _:
                return Answer(404, b"no such page\n")
        return Answer(200, b"done\n")

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a plain connection. Its first bytes are awaited, as most protocols begin with the client."""
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(reader.read(1024), DRAIN)
            writer.write(f"{self.conduct.behaviour.version} {self.pod}\n".encode())
            await writer.drain()
        writer.close()

    async def listen_plainly(self) -> None:
        """Listen for plain TCP and for TLS, where asked to."""
        environment = self.conduct.environment
        if port := environment.get("TCP_PORT"):
            await asyncio.start_server(self.greet, self.address, int(port))
        if port := environment.get("TLS_PORT"):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(environment["TLS_CERTIFICATE"], environment["TLS_KEY"])
            await asyncio.start_server(self.greet, self.address, int(port), ssl=context)

    def crash(self) -> None:
        """End without a word to anybody, as a crash does."""
        print("crashing", flush=True)
        os._exit(self.conduct.behaviour.crash_status)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        environment = self.conduct.environment
        await self.admin.listen(self.address, int(environment.get("METRICS_PORT", "15020")))
        await self.public.listen(self.address, int(environment.get("PORT", "8080")))
        await self.listen_plainly()
        print(f"{self.conduct.behaviour.version} serves on {self.address}", flush=True)
        if self.conduct.behaviour.crash_after != float("inf"):
            loop.call_later(self.conduct.behaviour.crash_after, self.crash)
        await ending.wait()
        self.public.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.public.idle.wait(), DRAIN)
        print("bye", flush=True)


def main() -> None:
    try:
        app = App(Conduct(os.environ), Metrics(os.environ))
    except ValueError as error:
        sys.exit(f"error: {error}")
    asyncio.run(app.run())


if __name__ == "__main__":
    main()
