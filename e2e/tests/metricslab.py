"""A Prometheus of a test's own, and pods whose counters are set by hand.

The cluster's Prometheus is shared and takes seconds to find a pod. This one scrapes a single target five
times a second, which tells of all pods as their own targets would: their series, and `up`. So pods come, go
and fail from one scrape to the next, and Prometheus can be stopped, emptied and started with nobody else
noticing. It is ready within about 6 s, as it looks for its target only every 5 s.
"""

import asyncio
import contextlib
import json
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from e2e.localcluster import http
from e2e.localcluster.binaries import PROGRAMS
from e2e.localcluster.layout import LOCAL
from e2e.localcluster.netns import die_with_parent
from e2e.tests.support import wait_for

SCRAPE: Final = 0.2
"""Seconds between two scrapes."""

TEXT: Final = "text/plain; version=0.0.4"
BUCKETS: Final = "istio_request_duration_milliseconds_bucket"

Labels = tuple[tuple[str, str], ...]


@dataclass
class Pod:
    """What a pod's proxy counted. Scrapes of a pod that is `down` fail."""

    requests: dict[Labels, float] = field(default_factory=dict)
    buckets: dict[Labels, float] = field(default_factory=dict)
    namespace: str = ""
    """Empty: that of the test."""
    down: bool = False

    def add(self, count: float, code: str = "200", grpc: str = "") -> None:
        """So many requests more that were answered so."""
        labels = (("grpc_response_status", grpc), ("reporter", "destination"), ("response_code", code))
        self.requests[labels] = self.requests.get(labels, 0) + count

    def take(self, count: float, milliseconds: float, bounds: tuple[float, ...]) -> None:
        """So many requests more that took so long, in a histogram with these bounds."""
        for bound in (*bounds, float("inf")):
            labels = (("le", f"{bound:g}".replace("inf", "+Inf")), ("reporter", "destination"))
            more = count if milliseconds <= bound else 0
            self.buckets[labels] = self.buckets.get(labels, 0) + more

    def text(self, name: str, namespace: str) -> str:
        """What is known of it from one scrape."""
        own: Labels = (("pod", name), ("namespace", self.namespace or namespace))
        series = {("up", own): 0.0 if self.down else 1.0}
        if not self.down:
            for metric, counts in (("istio_requests_total", self.requests), (BUCKETS, self.buckets)):
                series |= {(metric, own + labels): count for labels, count in counts.items()}
        return "".join(
            f"{metric}{{{','.join(f'{key}={json.dumps(value)}' for key, value in labels)}}} {value}\n"
            for (metric, labels), value in series.items()
        )


class MetricsLab:
    """Use `MetricsLab.open`. `pods` may be changed at will."""

    def __init__(self, folder: Path) -> None:
        self.pods: dict[str, Pod] = {}
        self.namespace = ""
        self.url = f"http://{LOCAL}:{_free_port()}"
        self._folder = folder
        self._exporter = 0
        self._revision = 0
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path) -> AsyncIterator["MetricsLab"]:
        """A Prometheus that knows of no pods yet."""
        lab = cls(folder)
        lab.begin()
        server = await asyncio.start_server(lab._answer, LOCAL, 0)
        lab._exporter = server.sockets[0].getsockname()[1]
        try:
            await lab.start()
            yield lab
        finally:
            await lab.stop()
            server.close()

    def begin(self) -> None:
        """No pods, in a namespace that had none before: what tests before this one counted is no past."""
        self.pods = {}
        self.namespace = f"shop-{secrets.token_hex(4)}"

    async def start(self, storage: str = "data") -> None:
        """Start Prometheus; with another `storage` it has forgotten everything."""
        program = next(p for p in PROGRAMS if p.name == "prometheus").path()
        self._configure()
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(program),
                f"--config.file={self._folder / 'prometheus.json'}",
                f"--storage.tsdb.path={self._folder / storage}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--log.level=warn",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        await wait_for(self._ready, "Prometheus to be ready")

    async def stop(self) -> None:
        """Kill it, as a crash does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def pause(self) -> None:
        """It hangs, with its connections open."""
        self._signal(signal.SIGSTOP)
        await wait_for(self._stopped, "every thread of Prometheus to stop", every=0.01)

    async def _stopped(self) -> bool:
        # A signal reaches each thread by itself: on a busy machine some go on answering for a while.
        assert self._process is not None, "start it first"
        return _states(self._process.pid) == {"T"}

    def resume(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    async def scrape(self) -> None:
        """Wait until Prometheus has read what all pods count now."""
        self._revision += 1
        await wait_for(self._scraped, "a scrape", every=SCRAPE / 4)

    async def _scraped(self) -> bool:
        path = f"/api/v1/query?{urlencode({'query': 'lab_revision'})}"
        answer = await http.request("GET", LOCAL, self._port, path)
        rows = json.loads(answer.body)["data"]["result"]
        return bool(rows) and int(rows[0]["value"][1]) == self._revision

    async def _ready(self) -> bool:
        try:
            return (await http.request("GET", LOCAL, self._port, "/-/ready", timeout=2)).status == 200
        except (OSError, TimeoutError):
            return False

    @property
    def _port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "start it first"
        self._process.send_signal(number)

    def _configure(self) -> None:
        interval = f"{SCRAPE * 1000:.0f}ms"
        target = {"targets": [f"{LOCAL}:{self._exporter}"]}
        configuration = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [{"job_name": "pods", "static_configs": [target]}],
        }
        (self._folder / "prometheus.json").write_text(json.dumps(configuration))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                pods = "".join(pod.text(name, self.namespace) for name, pod in self.pods.items())
                body = f"lab_revision {self._revision}\n{pods}".encode()
                head = f"HTTP/1.1 200 OK\r\ncontent-type: {TEXT}\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        writer.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((LOCAL, 0))
        port: int = one.getsockname()[1]
        return port


def _states(pid: int) -> set[str]:
    """The states of a process's threads, as proc(5) abbreviates them."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return {thread.read_text().rpartition(")")[2].split()[0] for thread in threads}
