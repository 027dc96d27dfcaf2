"""Forwarders: sockets that listen on the host's loopback, with connections that go on into the namespace.

A socket belongs to the namespace in which it was made. The listeners are made before the launcher leaves the
host's network; what it dials afterwards is inside its own.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable, Mapping

from e2e.localcluster.layout import LOCAL

Address = tuple[str, int]
HIGH_WATER = 256 * 1024


def listen(names: Iterable[str]) -> dict[str, socket.socket]:
    """One listening socket per name, on free ports of the host's loopback."""
    sockets = {}
    for name in names:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # asyncio does this only for sockets that name their protocol: an answer in two pieces took 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it
        sock.bind((LOCAL, 0))
        sock.listen(512)
        sock.setblocking(False)
        sockets[name] = sock
    return sockets


def _reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset; closing alone looks like an orderly end to the other side."""
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _End(asyncio.Protocol):
    """One end of a pipe: what arrives here is written to the peer, at the peer's pace."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _End | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(HIGH_WATER)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.peer is None or self.peer.transport is None or self.peer.transport.is_closing():
            return False
        if self.peer.ended:
            self.peer.transport.close()
            return False
        self.peer.transport.write_eof()
        return True  # half-closed: the other direction may still have something to say

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is not None and self.peer.transport is not None:
            if exc is None:
                self.peer.transport.close()
            else:
                _reset(self.peer.transport)


class _Outer(_End):
    """The end towards the host: dials into the namespace as soon as somebody connects."""

    def __init__(self, target: Address) -> None:
        super().__init__()
        self.target = target
        self.dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self.dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        assert self.transport is not None
        inner = _End()
        inner.peer = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: inner, *self.target)
        except OSError:
            _reset(self.transport)  # the nearest to "refused" that an accepted connection can say
            return
        if self.transport.is_closing():
            assert inner.transport is not None
            inner.transport.abort()
            return
        self.peer = inner
        self.transport.resume_reading()


async def serve(
    listeners: Mapping[str, socket.socket], targets: Mapping[str, Address]
) -> list[asyncio.Server]:
    """Start piping each listener to its target inside the namespace."""
    loop = asyncio.get_running_loop()
    return [
        await loop.create_server(lambda target=targets[name]: _Outer(target), sock=sock)  # type: ignore[misc]
        for name, sock in listeners.items()
    ]
