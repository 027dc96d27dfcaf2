"""The controller as its users run it, a process of its own, with its log and its metrics."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bench.errors import BenchError
from e2e.localcluster import LocalCluster, http
from e2e.localcluster.layout import LOCAL
from e2e.localcluster.netns import die_with_parent

COMMAND = (sys.executable, "-m", "rollout_controller.cli.main", "run")
READY_WITHIN = 30.0
ENDS_WITHIN = 10.0


class Controller:
    """A running controller; made by `running`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._offset = 0
        self._lines: list[dict[str, Any]] = []
        self._port = 0

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far; what is not JSON is left out."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            whole, _, _ = file.read().rpartition(b"\n")
        if whole:
            self._offset += len(whole) + 1
            for line in whole.decode(errors="replace").splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    self._lines.append(json.loads(line))
        return self._lines

    def troubles(self) -> list[str]:
        """What it logged as warnings and errors."""
        return [json.dumps(line) for line in self.lines() if line.get("level") in ("warning", "error")]

    async def metric(self, name: str, **labels: str) -> float:
        """A counter or gauge of its own, over all series that have these labels."""
        answer = await http.request("GET", LOCAL, self._port, "/metrics", timeout=5)
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def calls(self) -> dict[tuple[str, str], float]:
        """(verb, resource) -> calls to the API server, by its own count."""
        answer = await http.request("GET", LOCAL, self._port, "/metrics", timeout=5)
        counts: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                if sample.name == "rollout_controller_api_calls_total":
                    key = sample.labels["verb"], sample.labels["resource"]
                    counts[key] = counts.get(key, 0.0) + sample.value
        return counts

    def check(self) -> None:
        """Raise if it ended by itself."""
        if self._process.returncode is not None:
            raise BenchError(f"the controller ended with status {self._process.returncode}: {self._tail()}")

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    async def ready(self) -> None:
        """Wait until its caches are filled."""
        deadline = monotonic() + READY_WITHIN
        while monotonic() < deadline:
            self.check()
            serving = [line["address"] for line in self.lines() if "address" in line]
            if serving:
                self._port = int(serving[-1].rpartition(":")[2])
                with contextlib.suppress(OSError, TimeoutError):
                    if (await http.request("GET", LOCAL, self._port, "/readyz", timeout=2)).status == 200:
                        return
            await asyncio.sleep(0.1)
        raise BenchError(f"the controller was not ready within {READY_WITHIN:g} s: {self._tail()}")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not obeyed."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), ENDS_WITHIN)
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()


@contextlib.asynccontextmanager
async def running(cluster: LocalCluster, log: Path, **settings: str) -> AsyncIterator[Controller]:
    """A controller with these settings (`settle="1s"`) and defaults for the others, until the block ends."""
    given = {
        "kubeconfig": str(cluster.kubeconfig),
        "prometheus": cluster.prometheus_url,
        "health_address": f"{LOCAL}:0",
        "log_format": "json",
        **settings,
    }
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *flags,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is for the bench, which then ends the controller in order
            preexec_fn=die_with_parent,
        )
    controller = Controller(process, log)
    try:
        await controller.ready()
        yield controller
    finally:
        await controller.stop()
