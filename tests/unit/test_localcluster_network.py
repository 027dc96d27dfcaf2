"""Forwarders, the control socket's client and the small HTTP client, over loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from e2e.localcluster import control, forward, http
from tests.support.ports import refusing

Session = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(session: Session) -> AsyncIterator[int]:
    """A server on a free port."""
    server = await asyncio.start_server(session, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def forwarding(port: int) -> AsyncIterator[int]:
    """A forwarder to that port."""
    listeners = forward.listen(["x"])
    (server,) = await forward.serve(listeners, {"x": ("127.0.0.1", port)})
    try:
        yield listeners["x"].getsockname()[1]
    finally:
        server.close()


def answer(text: bytes) -> Session:
    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        writer.close()

    return session


async def test_a_forwarder_passes_both_directions_and_a_half_close() -> None:
    async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read())[::-1])
        writer.close()

    async with serving(reverse) as port, forwarding(port) as door, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", door)
        sent = b"abc" * 1_000_000
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent[::-1]
        writer.close()


def test_a_forwarder_holds_nothing_back_until_the_host_has_acknowledged_what_came_before() -> None:
    listener = forward.listen(["x"])["x"]
    with listener, socket.create_connection(listener.getsockname(), timeout=5):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_forwarder_to_nobody_resets_the_connection() -> None:
    with refusing() as port:
        async with forwarding(port) as door, asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", door)
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
)
async def test_the_client_reads_every_kind_of_body(text: bytes) -> None:
    async with serving(answer(text)) as port:
        got = await http.request("GET", "127.0.0.1", port, "/")
    assert (got.status, got.text) == (200, "hello")


@pytest.mark.parametrize(
    "text", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", b"nonsense\r\n\r\n"]
)
async def test_the_client_tells_a_broken_answer_as_a_connection_error(text: bytes) -> None:
    async with serving(answer(text)) as port:
        with pytest.raises(ConnectionError, match="no whole HTTP answer"):
            await http.request("GET", "127.0.0.1", port, "/")


async def test_the_client_gives_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with serving(silent) as port:
        with pytest.raises(TimeoutError):
            await http.request("GET", "127.0.0.1", port, "/", timeout=0.1)


async def test_a_socket_path_may_be_longer_than_a_socket_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    monkeypatch.chdir(folder)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"ok": true, "hello": 1}\n')
        writer.close()

    server = await asyncio.start_unix_server(greet, "door")
    async with server:
        assert (await control.ask(folder / "door", do="greet"))["hello"] == 1


async def test_a_control_socket_with_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    # asyncio takes the kernel's "try again" for "under way", and the connection is lost at the first word.
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(str(tmp_path / "door"))
    door.listen(0)  # room for one
    door.setblocking(False)
    first = await control.connect(tmp_path / "door")
    second = asyncio.create_task(control.connect(tmp_path / "door"))
    await asyncio.wait({second}, timeout=0.05)
    assert not second.done()

    loop = asyncio.get_running_loop()
    answered = []
    for _ in range(2):
        accepted, _ = await asyncio.wait_for(loop.sock_accept(door), 5)
        answered.append(accepted)
        await loop.sock_sendall(accepted, b"hello\n")
    for reader, writer in (first, await asyncio.wait_for(second, 5)):
        assert await asyncio.wait_for(reader.readline(), 5) == b"hello\n"
        writer.close()
    for accepted in answered:
        accepted.close()
    door.close()
