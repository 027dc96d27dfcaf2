"""The log port of the node: what `kubectl logs` reads, through the API server."""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from e2e.localcluster.layout import KUBELET_LOG_PORT, NODE_IP

POLL = 0.2
CHUNK = 65536


async def serve(logs: Path, tls: ssl.SSLContext) -> asyncio.Server:
    """Answer GET /containerLogs/NAMESPACE/POD/CONTAINER with tailLines, previous and follow."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = (await reader.readline()).decode("latin-1").split(" ")
            await reader.readuntil(b"\r\n\r\n")
            url = urlsplit(line[1])
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            await _answer(logs, url.path, query, writer)
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked is gone, or is no API server
        finally:
            writer.close()

    return await asyncio.start_server(session, NODE_IP, KUBELET_LOG_PORT, ssl=tls)


def find(logs: Path, namespace: str, pod: str, container: str, *, previous: bool = False) -> Path | None:
    """The newest log of a container, or the one before; also of a pod that is gone."""
    folders = sorted(logs.glob(f"{namespace}_{pod}_*"), key=lambda path: path.stat().st_mtime)
    if not folders:
        return None
    files = sorted((folders[-1] / container).glob("*.log"), key=lambda path: int(path.stem))
    wanted = files[:-1] if previous else files
    return wanted[-1] if wanted else None


async def _answer(logs: Path, path: str, query: Mapping[str, str], writer: asyncio.StreamWriter) -> None:
    parts = path.strip("/").split("/")
    previous = query.get("previous") == "true"
    found = find(logs, *parts[1:], previous=previous) if len(parts) == 4 else None
    if found is None or parts[0] != "containerLogs":
        writer.write(
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 12\r\nconnection: close\r\n\r\nno such log\n"
        )
        await writer.drain()
        return
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n")
    with found.open("rb") as file:
        if "tailLines" in query:
            writer.writelines(deque(file, maxlen=int(query["tailLines"])))
        while not writer.is_closing():
            data = file.read(CHUNK)
            writer.write(data)
            await writer.drain()
            if not data:
                if query.get("follow") != "true":
                    return
                await asyncio.sleep(POLL)


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS as a server; the API server does not check kubelets by default."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.set_alpn_protocols(["http/1.1"])
    tls.load_cert_chain(certificate, key)
    return tls
