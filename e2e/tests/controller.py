"""The controller as a process of its own, beside a test: started, killed, stopped, started again."""

import asyncio
import json
import signal
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest

from e2e.localcluster import LocalCluster, http
from e2e.localcluster.layout import LOCAL
from e2e.tests.forked import Forked
from e2e.tests.support import Namespace, wait_for

READY_WITHIN: Final = 40.0
"""Seconds from its start until its caches are filled: long, because many start at once on few cores."""
ROLLOUTS: Final = "rollout-controller.dev/v1alpha1"
_TAIL: Final = 60
_WIDTH: Final = 500


STASH: Final = pytest.StashKey["Controller"]()
"""Where a test's node keeps its controller, whose log is shown if the test fails."""


class Controller:
    """One controller at a time for one namespace. All that run write to one log, `log`."""

    def __init__(self, cluster: LocalCluster, namespace: str, log: Path) -> None:
        self.log = log
        self._arguments = [
            "run",
            f"--kubeconfig={cluster.kubeconfig}",
            f"--prometheus={cluster.prometheus_url}",
            f"--istiod={cluster.istiod_debug_url}",
            f"--namespace={namespace}",
            # The cluster's istiod waits 20 to 200 ms before it pushes, so that a write is live soon after.
            "--settle=500ms",
            "--settle-relabel=1s",
            "--health-address=127.0.0.1:0",
            "--log-format=json",
        ]
        self._process: Forked | None = None
        self._begun_at = 0
        """Where in the log the present process begins."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; `ready` waits until it works."""
        assert not self.running, "the controller runs already"
        self._begun_at = self.log.stat().st_size if self.log.exists() else 0
        self._process = Forked(self._arguments, self.log)

    async def ready(self) -> None:
        """Wait until /readyz says so: the caches are filled."""

        async def says_so() -> bool:
            assert self.running, f"the controller ended by itself:\n{self.tail()}"
            port = self._port()
            if port is None:
                return False
            try:
                return (await http.request("GET", LOCAL, port, "/readyz", timeout=2)).status == 200
            except (OSError, TimeoutError):
                return False

        await wait_for(says_so, "the controller to be ready", READY_WITHIN)

    async def kill(self) -> None:
        """SIGKILL, as a crash."""
        await self._end(signal.SIGKILL, 5)

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; exit status and seconds that it took. Fails the test after 10 s."""
        began = monotonic()
        return await self._end(signal.SIGTERM, 10), monotonic() - began

    async def _end(self, number: signal.Signals, within: float) -> int:
        assert self._process is not None, "no controller was started"
        process = self._process
        if process.returncode is None:
            process.send_signal(number)
        try:
            return await asyncio.wait_for(process.wait(), within)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"the controller did not end within {within:g} s of {number.name}") from None

    async def restart(self) -> None:
        """Start a new one after `kill` or `stop`, and wait until it works."""
        await self.start()
        await self.ready()

    async def metrics(self) -> str:
        """What /metrics says."""
        port = self._port()
        assert port is not None, "the controller serves no metrics yet"
        return (await http.request("GET", LOCAL, port, "/metrics")).text

    def lines(self) -> list[dict[str, Any]]:
        """The log of the present process; lines that are no JSON (a traceback at start) under `raw`."""
        with self.log.open("rb") as log:
            log.seek(self._begun_at)
            return [_parsed(line) for line in log.read().decode(errors="replace").splitlines()]

    def defects(self) -> list[str]:
        """Lines that tell of a defect of the controller itself: exceptions, passes cut for their length."""
        if not self.log.exists():
            return []
        found = [_parsed(line) for line in self.log.read_text(errors="replace").splitlines()]
        return [
            json.dumps(one)
            for one in found
            if "exception" in one or "raw" in one or one.get("level") in ("error", "critical")
        ]

    def tail(self, lines: int = _TAIL) -> str:
        """The end of the log, long lines cut short."""
        if not self.log.exists():
            return "(the controller was never started)"
        with self.log.open(errors="replace") as log:
            return "\n".join(line.rstrip()[:_WIDTH] for line in deque(log, lines))

    def _port(self) -> int | None:
        for line in self.lines():
            if line.get("event") == "serving health and metrics":
                return int(str(line["address"]).rpartition(":")[2])
        return None


@asynccontextmanager
async def beside(
    node: pytest.Item, cluster: LocalCluster, namespace: Namespace, folder: Path
) -> AsyncIterator[Controller]:
    """A controller beside a test, not started yet; at the end it must stop in order, and must have met no
    defect of its own. How soon it stops is test_app's to measure, when nothing else runs."""
    one = Controller(cluster, namespace.name, folder / "controller.log")
    node.stash[STASH] = one
    ended = None
    try:
        yield one
        ended = await one.stop() if one.running else None
    except BaseException:
        if one.running:
            await one.kill()
        raise
    finally:
        await _let_go(namespace)
    assert ended is None or ended[0] == 0, f"SIGTERM: exit status and seconds {ended}"
    assert one.defects()[:1] == []


async def _let_go(namespace: Namespace) -> None:
    """Without its controller a Rollout's finalizer would keep it for ever."""
    for item in (await namespace.kube.get(namespace.path("rollouts", group=ROLLOUTS)))["items"]:
        path = namespace.path("rollouts", item["metadata"]["name"], ROLLOUTS)
        await namespace.kube.patch(path, {"metadata": {"finalizers": None}})


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {"raw": line}
    return found if isinstance(found, dict) else {"raw": line}
