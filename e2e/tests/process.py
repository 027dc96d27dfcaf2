"""A controller as a process with a kubeconfig of the test's choice: its log, its end, its pages."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from e2e.localcluster import http
from e2e.localcluster.layout import LOCAL, REPOSITORY
from e2e.localcluster.netns import die_with_parent
from e2e.tests.support import wait_for

CLI = ("-m", "rollout_controller.cli.main", "run")


class Process:
    """A controller that was started, its log, and how it ended."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The log; every line of it must be a JSON object."""
        return [json.loads(line) for line in self.log.splitlines()]

    async def logged(self, event: str, within: float = 30) -> dict[str, Any]:
        """Wait for a line with this event."""

        async def found() -> dict[str, Any] | None:
            assert self._process.returncode is None, f"it ended by itself:\n{self.log}"
            return next((line for line in self.lines() if line["event"] == event), None)

        return await wait_for(found, f"the line {event!r} in the log", within, every=0.05)

    async def ended(self, within: float = 30) -> int:
        """Wait for its end; the exit status."""
        return await asyncio.wait_for(self._process.wait(), within)

    async def terminate(self, within: float = 10) -> tuple[int, float]:
        """SIGTERM; exit status and seconds."""
        begun = monotonic()
        self._process.send_signal(signal.SIGTERM)
        return await self.ended(within), monotonic() - begun

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def fetch(self, path: str) -> tuple[int, str]:
        address = (await self.logged("serving health and metrics"))["address"]
        answer = await http.request("GET", LOCAL, int(address.rpartition(":")[2]), path)
        return answer.status, answer.text


@asynccontextmanager
async def started(folder: Path, kubeconfig: Path, namespace: str, *program: str) -> AsyncIterator[Process]:
    """A controller, killed at the end if it still runs."""
    flags = (
        f"--kubeconfig={kubeconfig}",
        f"--namespace={namespace}",
        "--health-address=127.0.0.1:0",
        "--log-format=json",
    )
    path = folder / "log"
    with path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(program or CLI),
            *flags,
            cwd=REPOSITORY,
            env={k: v for k, v in os.environ.items() if not k.startswith("ROLLOUT_CONTROLLER_")},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
    try:
        yield Process(process, path)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
