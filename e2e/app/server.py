"""A small HTTP/1.1 server on asyncio's protocols: keep-alive, bodies skipped, one request at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}
HEAD_LIMIT = 65536


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    """Path and query."""
    proxied: bool
    """It came through Envoy, which gives every request an id."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds to wait before it is sent."""
    on_end: Callable[[bool], None] | None = None
    """Hears whether the answer was sent; False if the client had gone."""


Handler = Callable[[Request], Answer]


class Server:
    """Listens on one address; knows its connections, so that it can end without cutting an answer off."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[Connection] = set()
        self.closing = False
        self.idle = asyncio.Event()
        """Set once it is closed and the last connection has ended."""
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=512)

    def close(self) -> None:
        """Take no more connections; those that are idle end now, the others after their answer."""
        self.closing = True
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        self.check_idle()

    def check_idle(self) -> None:
        if self.closing and not self.connections:
            self.idle.set()


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._pending: asyncio.TimerHandle | None = None
        self._answer: Answer | None = None
        self._keep = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._server.check_idle()
        if self._pending is not None:
            self._pending.cancel()
        if self._answer is not None and self._answer.on_end is not None:
            self._answer.on_end(False)

    def close_if_idle(self) -> None:
        if self._answer is None and not self._buffer and self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answer is None:
            self._next()

    def _next(self) -> None:
        """Answer the next request if all of it has arrived."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT and self._transport is not None:
                self._transport.abort()
            return
        head = self._buffer[:end].decode("latin-1").lower()
        size = self._size(head, end + 4)
        if size is None or len(self._buffer) < size:
            return
        method, target, _ = self._buffer[:end].split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        self._buffer = self._buffer[size:]
        self._keep = "\r\nconnection: close" not in head
        answer = self._server.handler(Request(method, target, "\r\nx-request-id:" in head))
        self._answer = answer
        if answer.delay > 0:
            self._pending = asyncio.get_running_loop().call_later(answer.delay, self._send)
        else:
            self._send()

    def _size(self, head: str, start: int) -> int | None:
        """Bytes of the whole request, or None if that is not known yet."""
        if "\r\ntransfer-encoding: chunked" in head:
            end = self._buffer.find(b"0\r\n\r\n", start)
            return end + 5 if end >= 0 else None
        _, found, rest = head.partition("\r\ncontent-length:")
        return start + (int(rest.split("\r\n", 1)[0]) if found else 0)

    def _send(self) -> None:
        answer, transport = self._answer, self._transport
        assert answer is not None
        assert transport is not None
        self._answer = self._pending = None
        keep = self._keep and not self._server.closing
        headers = {
            **answer.headers,
            "content-length": str(len(answer.body)),
            "connection": "keep-alive" if keep else "close",
        }
        lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body)
        if answer.on_end is not None:
            answer.on_end(True)
        if not keep:
            transport.close()
        elif self._buffer:
            self._next()
