"""A TCP proxy before the API server that can hang, cut its connections, or refuse new ones."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from e2e.localcluster import LocalCluster

LOOPBACK = "127.0.0.1"


class Proxy:
    """Forwards bytes between the loopback and one address."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._sessions: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.accepted = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._session, LOOPBACK, 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.flow()
        self.cut()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def hang(self) -> None:
        """Let nothing pass any more; connections stay open."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything pass again."""
        self._refusing = False
        self._flowing.set()

    def cut(self) -> None:
        """Break all connections, in the middle of whatever they carry."""
        for writer in list(self._writers):
            writer.transport.abort()

    def refuse(self) -> None:
        """Break all connections, and each new one at once."""
        self._refusing = True
        self.cut()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        if self._refusing:
            writer.transport.abort()
            return
        self.accepted += 1
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        finally:
            self._writers -= pair
            for one in pair:
                one.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
            writer.close()
        except OSError:
            writer.transport.abort()


@asynccontextmanager
async def before(cluster: LocalCluster, folder: Path) -> AsyncIterator[tuple[Proxy, Path]]:
    """A proxy before the cluster's API server, and a kubeconfig that goes through it."""
    address = urlsplit(cluster.api_url)
    assert address.hostname
    assert address.port
    proxy = Proxy(address.hostname, address.port)
    await proxy.start()
    kubeconfig = folder / "through-proxy"
    straight = cluster.kubeconfig.read_text()
    through = re.sub(re.escape(cluster.api_url), f"https://{LOOPBACK}:{proxy.port}", straight)
    assert through != straight
    kubeconfig.write_text(through)
    try:
        yield proxy, kubeconfig
    finally:
        await proxy.stop()
