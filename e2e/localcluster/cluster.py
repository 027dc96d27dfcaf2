"""A running cluster as tests, demo and bench use it.

async with LocalCluster() as cluster:
    await cluster.kubectl("get", "pods", "-A")
"""

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from e2e.localcluster import control, http, start
from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.kube import Kube
from e2e.localcluster.layout import LOCAL, REPOSITORY, Layout
from e2e.localcluster.progress import Say, silent
from e2e.localcluster.settings import Settings, State


@dataclass(frozen=True)
class Completed:
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str

    def check(self) -> "Completed":
        """Itself if the command succeeded, else RuntimeError with what it wrote."""
        if self.status:
            raise RuntimeError(f"exit status {self.status}: {self.stderr.strip() or self.stdout.strip()}")
        return self


class LocalCluster:
    """One cluster: brought up and taken down by `async with`, or joined by `attach` where it is up already.

    Without `root` the state lives in a temporary folder; clusters with different roots never meet. A cluster
    of a context manager ends with the process that opened it, even if that is killed.
    """

    def __init__(
        self, settings: Settings | None = None, *, root: Path | None = None, say: Say = silent
    ) -> None:
        self.settings = settings or Settings()
        self._say = say
        self._folder = None if root else tempfile.TemporaryDirectory(prefix="localcluster-")
        self.layout = Layout(
            root.absolute() if root else Path(self._folder.name if self._folder else "") / "c"
        )
        self._running: start.Running | None = None
        self._attached: State | None = None

    @classmethod
    def attach(cls, root: Path) -> "LocalCluster":
        """The cluster that is up in `root`. Raises LocalClusterError where there is none."""
        state = State.read(Layout(root).state)
        if state is None or not start.alive(Layout(root)):
            raise LocalClusterError(f"no cluster is up in {root}: bring it up first")
        cluster = cls(state.settings, root=root)
        cluster._attached = state
        return cluster

    async def __aenter__(self) -> "LocalCluster":
        try:
            self._running = await asyncio.to_thread(
                start.up, self.layout, self.settings, self._say, daemon=False
            )
        except BaseException:
            if self._folder:
                self._folder.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            await asyncio.to_thread(start.stop, self._running)
        if self._folder:
            self._folder.cleanup()

    @property
    def state(self) -> State:
        """Ports and the launcher's process id."""
        found = self._attached or (self._running.state if self._running else None)
        if found is None:
            raise LocalClusterError("the cluster is not up: use it in `async with`")
        return found

    def _url(self, name: str, scheme: str = "http") -> str:
        return f"{scheme}://{LOCAL}:{self.state.ports[name]}"

    @property
    def kubeconfig(self) -> Path:
        """For use from the host; an administrator's."""
        return self.layout.kubeconfig

    @property
    def api_url(self) -> str:
        return self._url("api", "https")

    @property
    def certificate(self) -> Path:
        """The certificate authority of `api_url`."""
        return self.layout.certificate

    @cached_property
    def token(self) -> str:
        return self.layout.token.read_text()

    @property
    def gateway_url(self) -> str:
        """Envoy's listener on port 80 of the namespace."""
        return self._url("gateway")

    @property
    def prometheus_url(self) -> str:
        return self._url("prometheus")

    @property
    def envoy_admin_url(self) -> str:
        return self._url("envoy-admin")

    @property
    def istiod_debug_url(self) -> str:
        return self._url("istiod-debug")

    def kube(self, timeout: float = 10.0) -> Kube:
        """A client of the API server, to be used in `async with`."""
        return Kube(self.api_url, self.token, self.certificate, timeout)

    async def start(self, part: str) -> None:
        """Start etcd, apiserver, controller-manager, kubelet, istiod, envoy or prometheus; wait for it."""
        await control.ask(self.layout.control, do="start", part=part)

    async def stop(self, part: str, grace: float | None = None) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds (by default the part's own 0.5 to 5)."""
        await control.ask(self.layout.control, do="stop", part=part, grace=grace)

    async def kill(self, part: str) -> None:
        """SIGKILL, as a crash."""
        await control.ask(self.layout.control, do="kill", part=part)

    async def pause(self, part: str) -> None:
        """SIGSTOP: it hangs, with its connections open."""
        await control.ask(self.layout.control, do="pause", part=part)

    async def resume(self, part: str) -> None:
        """SIGCONT."""
        await control.ask(self.layout.control, do="resume", part=part)

    async def parts(self) -> dict[str, Any]:
        """Part name -> {"state": running | paused | exited (N) | not started, "starts": N}."""
        parts: dict[str, Any] = (await control.ask(self.layout.control, do="status"))["parts"]
        return parts

    async def exec(self, *command: str, timeout: float = 60.0, stdin: str = "") -> Completed:
        """Run a command inside the namespace, where pods have their addresses; KUBECONFIG is set."""
        inside = [sys.executable, "-m", "e2e.localcluster.enter", str(self.layout.root), *command]
        return await _run(inside, dict(os.environ), timeout, stdin)

    async def kubectl(self, *arguments: str, timeout: float = 60.0, stdin: str = "") -> Completed:
        """Run kubectl from the host."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return await _run([str(self.layout.bin / "kubectl"), *arguments], environment, timeout, stdin)

    async def dial(self, address: str, port: int) -> control.Streams:
        """A connection to an address inside the namespace. Raises ConnectionRefusedError."""
        return await control.dial(self.layout.control, address, port)

    async def pod_request(
        self, address: str, port: int, path: str, method: str = "GET", timeout: float = 5.0
    ) -> http.Response:
        """One HTTP request straight to a pod, past Envoy."""
        return await http.request(
            method,
            address,
            port,
            path,
            timeout=timeout,
            dial=lambda: self.dial(address, port),
        )

    def log(self, name: str) -> str:
        """The log of a part, or of a pod (`namespace/pod`), also of one that is gone."""
        return read_log(self.layout, name)


def read_log(layout: Layout, name: str) -> str:
    """See LocalCluster.log. Raises LocalClusterError where nothing of that name ever ran."""
    if "/" in name:
        namespace, pod = name.split("/", 1)
        found = sorted(
            layout.pod_logs.glob(f"{namespace}_{pod}_*/*/*.log"), key=lambda path: path.stat().st_mtime
        )
    else:
        found = [path for path in [layout.log(name)] if path.exists()]
    if not found:
        known = sorted(path.stem for path in layout.logs.glob("*.log"))
        raise LocalClusterError(
            f"no log of {name!r}: name a part ({', '.join(known)}) or a pod as NAMESPACE/NAME"
        )
    return "".join(path.read_text(errors="replace") for path in found)


async def _run(command: list[str], environment: dict[str, str], timeout: float, stdin: str) -> Completed:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=REPOSITORY,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout):
            out, errors = await process.communicate(stdin.encode())
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    assert process.returncode is not None
    return Completed(process.returncode, out.decode(errors="replace"), errors.decode(errors="replace"))
