"""The control socket: how other processes ask a running launcher for something.

One JSON line asks, one JSON line answers: {"ok": true, ...} or {"error": "..."}. The verb `dial` turns the
connection into a pipe to an address inside the namespace.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any, Final

from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.supervisor import Supervisor

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_QUEUED_AT_MOST: Final = 10.0
_PAUSE: Final = 0.005
"""Seconds between two attempts to enter the queue."""
_QUEUE: Final = 512


async def serve(door: socket.socket, supervisor: Supervisor, over: asyncio.Event) -> asyncio.Server:
    """Answer on a listening socket."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = json.loads(await reader.readline())
            if asked.get("do") == "dial":
                await _dial(asked, reader, writer)
                return
            try:
                answer = {"ok": True, **await _obey(asked, supervisor, over)}
            except LocalClusterError as error:
                answer = {"error": str(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            pass  # whoever asked is gone, or did not speak our language: nobody to answer
        finally:
            writer.close()

    return await asyncio.start_unix_server(session, sock=door, backlog=_QUEUE)


async def _obey(asked: dict[str, Any], supervisor: Supervisor, over: asyncio.Event) -> dict[str, Any]:
    verb, name = asked.get("do"), str(asked.get("part", ""))
    match verb:
        case "status":
            return {"parts": supervisor.describe()}
        case "start":
            await supervisor.start(name)
        case "stop":
            await supervisor.stop(name, asked.get("grace"))
        case "kill":
            await supervisor.kill(name)
        case "pause":
            await supervisor.pause(name)
        case "resume":
            supervisor.send(name, signal.SIGCONT)
        case "shutdown":
            over.set()
        case _:
            raise LocalClusterError(f"the launcher does not know how to {verb!r}")
    return {}


async def _dial(asked: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        inner = await asyncio.wait_for(asyncio.open_connection(asked["host"], asked["port"]), 5)
    except (OSError, TimeoutError) as error:
        writer.write(json.dumps({"error": f"{asked['host']}:{asked['port']}: {error}"}).encode() + b"\n")
        return
    writer.write(b'{"ok": true}\n')
    await asyncio.gather(_copy(reader, inner[1]), _copy(inner[0], writer), return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


async def ask(door: Path, timeout: float = 70.0, **question: Any) -> dict[str, Any]:
    """Ask the launcher behind `door`. Raises LocalClusterError with its refusal, OSError if there is none."""
    async with asyncio.timeout(timeout):
        reader, writer = await connect(door)
        try:
            return await _exchange(reader, writer, question)
        finally:
            writer.close()


async def dial(door: Path, host: str, port: int) -> Streams:
    """Streams to an address inside the namespace."""
    reader, writer = await connect(door)
    try:
        await _exchange(reader, writer, {"do": "dial", "host": host, "port": port})
    except LocalClusterError as error:
        writer.close()
        raise ConnectionRefusedError(str(error)) from None
    return reader, writer


async def connect(door: Path) -> Streams:
    """Connect to a unix socket whose path may be longer than a socket address holds (107 bytes).

    Raises TimeoutError where its queue stays full for 10 s.
    """
    directory = os.open(door.parent, os.O_PATH | os.O_DIRECTORY)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(_QUEUED_AT_MOST):
            while True:
                # Not left to asyncio, which takes the "try again" of a full queue for "under way".
                with contextlib.suppress(BlockingIOError):
                    sock.connect(f"/proc/self/fd/{directory}/{door.name}")
                    break
                await asyncio.sleep(_PAUSE)
        return await asyncio.open_unix_connection(sock=sock)
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(directory)


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, question: dict[str, Any]
) -> dict[str, Any]:
    writer.write(json.dumps(question).encode() + b"\n")
    await writer.drain()
    line = await reader.readline()
    if not line:
        raise ConnectionError("the launcher closed the connection")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise LocalClusterError(answer["error"])
    return answer
