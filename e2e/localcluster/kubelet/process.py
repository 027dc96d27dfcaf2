"""One process of a container."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.localcluster.netns import die_with_parent


class Process:
    """A started process and all it starts: it leads a process group, which is killed when it ends.

    Ends are noticed through a pidfd: no thread per process, unlike asyncio's own watcher in older Pythons.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path
    ) -> None:
        """Start it. Raises OSError where the program or the directory does not exist."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=die_with_parent,  # safe: the kubelet has one thread
            )
        self.pid = self._popen.pid
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        self._fd = os.pidfd_open(self.pid)
        loop.add_reader(self._fd, self._on_end)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # a container ends with its first process
        code = self._popen.wait()
        if not self._ended.done():
            self._ended.set_result(code if code >= 0 else 128 - code)

    @property
    def running(self) -> bool:
        return not self._ended.done()

    async def wait(self) -> int:
        """Its exit status; 128 + n after signal n."""
        return await asyncio.shield(self._ended)

    async def terminate(self, grace: float) -> int:
        """Ask it to end, and kill it after `grace` seconds."""
        self.send(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.wait(), grace)
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self.wait()

    def send(self, number: signal.Signals) -> None:
        if self.running:
            os.kill(self.pid, number)
