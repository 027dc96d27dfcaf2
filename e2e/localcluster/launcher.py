"""The launcher: process 1 of a cluster's namespace. Starts the parts, forwards, obeys the control socket.

`python -m e2e.localcluster.launcher ROOT [--daemon]`, called by `start.py`. It tells its progress as JSON
lines on standard output until it is ready. Without --daemon it ends when its standard input does, so that a
cluster never outlives the process that wanted it.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.localcluster import bootstrap, control, forward, netns
from e2e.localcluster.configuration import kubeconfig, write_configuration
from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import FORWARDED, LOCAL, Layout
from e2e.localcluster.parts import define
from e2e.localcluster.settings import Launch, State, write_private
from e2e.localcluster.supervisor import Supervisor


def tell(**event: Any) -> None:
    """One line of progress to whoever started us; nobody may be listening any more."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(event).encode() + b"\n")


def main() -> None:
    layout, daemon = Layout(Path(sys.argv[1])), "--daemon" in sys.argv[2:]
    # The control socket's path may be longer than a socket address holds; a relative one is not.
    os.chdir(layout.root)
    try:
        listeners = forward.listen(FORWARDED)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(layout.control.name)
        door.listen(64)
        door.setblocking(False)
        netns.unshare()
    except LocalClusterError as error:
        tell(error=str(error))
        sys.exit(1)
    except OSError as error:
        tell(error=f"cannot start the launcher in {layout.root}: {error}; is the disk full?")
        sys.exit(1)
    child = os.fork()
    if child:
        _outside(child, daemon)
    try:
        netns.configure_network()
        asyncio.run(Launcher(layout, listeners, door, daemon).run())
    except LocalClusterError as error:
        tell(error=str(error))
        os._exit(1)  # process 1: the kernel ends everything else with it
    os._exit(0)


def _outside(child: int, daemon: bool) -> None:
    """The half that stays in the host's namespaces: lives only to pass on the exit status."""
    if daemon:
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: os.kill(child, number))
    os._exit(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


class Launcher:
    """The running cluster, seen from inside its namespace."""

    def __init__(
        self, layout: Layout, listeners: Mapping[str, socket.socket], door: socket.socket, daemon: bool
    ) -> None:
        self.layout = layout
        self.listeners = listeners
        self.door = door
        self.daemon = daemon
        self.launch = Launch.read(layout.launch)
        self.token = layout.token.read_text()
        self.tls = ssl.create_default_context(cafile=str(layout.certificate))
        settings = self.launch.settings
        write_configuration(layout, settings, self.token)
        parts = define(layout, settings, self.launch.programs, self.tls, sys.executable)
        lazy = {"GOGC": str(settings.garbage), "GOMEMLIMIT": "1GiB"} if settings.garbage > 100 else {}
        self.supervisor = Supervisor(layout, parts, lazy)
        self.over = asyncio.Event()
        self.servers: list[asyncio.Server] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self.supervisor.reap)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.over.set)
        if not self.daemon:
            loop.add_reader(0, self._lifeline)
        bringing_up = loop.create_task(self._bring_up())
        ending = loop.create_task(self.over.wait())
        try:
            await asyncio.wait({bringing_up, ending}, return_when=asyncio.FIRST_COMPLETED)
            if bringing_up.done():
                bringing_up.result()
                await ending
        finally:
            bringing_up.cancel()
            await self.supervisor.stop_all()
        shutil.rmtree(self.layout.root, ignore_errors=True)

    def _lifeline(self) -> None:
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            self.over.set()

    async def _bring_up(self) -> None:
        settings, api = self.launch.settings, bootstrap.Api(self.token, self.tls)
        ports = {name: sock.getsockname()[1] for name, sock in self.listeners.items()}
        self.servers = await forward.serve(self.listeners, FORWARDED)
        self.servers.append(await control.serve(self.door, self.supervisor, self.over))
        await asyncio.gather(self._start("etcd"), self._start("apiserver"))
        await bootstrap.base(api)
        starting = [self._start("controller-manager", "kubelet")]
        if settings.metrics:
            starting.append(self._start("prometheus"))
        if settings.mesh:
            starting.append(self._mesh(api))
        await asyncio.gather(*starting)
        url = f"https://{LOCAL}:{ports['api']}"
        write_private(self.layout.kubeconfig, kubeconfig(url, self.layout, self.token))
        State(netns.own_host_pid(), time.time(), settings, ports).write(self.layout.state)
        tell(ready=True)
        log = os.open(self.layout.log("launcher"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)

    async def _mesh(self, api: bootstrap.Api) -> None:
        await bootstrap.custom_resources(api, self.launch.crds)
        # istiod waits by itself for definitions that are not served yet; that takes as long as its own start
        await asyncio.gather(self._start("istiod"), bootstrap.shared_gateway(api))
        await self._start("envoy")

    async def _start(self, *names: str) -> None:
        for name in names:
            tell(starting=name)
            await self.supervisor.start(name)
            tell(started=name)


if __name__ == "__main__":
    main()
