"""A small HTTP/1.1 client on bare streams: one request, one connection.

For health checks, bootstrap and requests to a pod: it costs no import time, which a full client does.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

Dial = Callable[[], Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    """Names in lower case; of repeated headers the last."""
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


async def request(
    method: str,
    host: str,
    port: int,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
    timeout: float = 5.0,
    dial: Dial | None = None,
) -> Response:
    """Send one request and read the whole answer within `timeout` seconds.

    Raises OSError (refused, reset, closed early) or TimeoutError. `dial` replaces the connecting.
    """
    async with asyncio.timeout(timeout):
        if dial is not None:
            reader, writer = await dial()
        else:
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        try:
            lines = [f"{method} {path} HTTP/1.1", f"host: {host}:{port}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
            lines += [f"content-length: {len(body)}", "", ""]
            writer.write("\r\n".join(lines).encode() + body)
            await writer.drain()
            return await _read(reader)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
            raise ConnectionError(f"{host}:{port} sent no whole HTTP answer") from error
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Response:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {}
    for line in head[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return Response(status, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)
