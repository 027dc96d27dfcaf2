"""A caller inside the mesh: a pod whose Envoy is a sidecar to istiod, and the way to it from a test.

The sidecar captures nothing, as there is no iptables here: it is an HTTP proxy on a port of the loopback, and
routes by the Host header whatever it is sent. So requests go as those of an application in that pod would.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from e2e.localcluster.configuration import envoy_bootstrap
from e2e.localcluster.kube import Object
from e2e.localcluster.layout import LOCAL
from e2e.tests.support import Namespace

NAME = "caller"


@contextlib.asynccontextmanager
async def mesh_caller(namespace: Namespace) -> AsyncIterator[str]:
    """The URL at which the pod's sidecar takes requests, for a Load with the Host of a Service."""
    port = 12000 + int(namespace.name.rpartition("-")[2], 16) % 3000
    await namespace.apply(_sidecar(port), _pod(namespace))

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there = await namespace.cluster.dial(LOCAL, port)
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
        writer.close()

    server = await asyncio.start_server(session, LOCAL, 0)
    try:
        yield f"http://{LOCAL}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def _sidecar(port: int) -> Object:
    listener = {
        "port": {"number": port, "protocol": "HTTP_PROXY", "name": "proxy"},
        "bind": LOCAL,
        "captureMode": "NONE",
        "hosts": ["./*"],
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": NAME},
        "spec": {"workloadSelector": {"labels": {"app": NAME}}, "egress": [listener]},
    }


def _pod(namespace: Namespace) -> Object:
    labels = {"app": NAME}
    metadata = {
        "NAMESPACE": namespace.name,
        "NAME": NAME,
        "LABELS": labels,
        "INTERCEPTION_MODE": "NONE",
    }
    node = f"sidecar~$(POD_IP)~{NAME}.{namespace.name}~{namespace.name}.svc.cluster.local"
    bootstrap = json.dumps(envoy_bootstrap(node, f"{NAME}.{namespace.name}", metadata))
    program = str(namespace.cluster.layout.bin / "envoy")
    container = {
        "name": "proxy",
        "image": "envoy",
        "command": [program, "--config-yaml", bootstrap, "--concurrency", "1", "--disable-hot-restart"],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": labels},
        "spec": {"containers": [container]},
    }
