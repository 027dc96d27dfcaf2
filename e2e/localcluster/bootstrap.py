"""What a fresh API server must hold before the other parts can work: namespace, node, Istio's resources."""

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import Any

from e2e.localcluster import http
from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import API_PORT, GATEWAY_PORT, KUBELET_LOG_PORT, LOCAL, NODE_IP

NODE = "local"
NODE_LABELS = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NEEDED = ("virtualservices.networking.istio.io", "destinationrules.networking.istio.io")
"""Waited for before anybody is told that the cluster is ready."""


@dataclass(frozen=True)
class Api:
    """The few calls that the launcher itself makes."""

    token: str
    tls: ssl.SSLContext

    async def call(self, method: str, path: str, body: Any = None, content: str = "json") -> http.Response:
        headers = {"authorization": f"Bearer {self.token}", "content-type": f"application/{content}"}
        data = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        return await http.request(
            method, LOCAL, API_PORT, path, headers=headers, body=data, tls=self.tls, timeout=15
        )

    async def create(self, path: str, body: Any) -> None:
        """Create an object; one that exists already is fine."""
        answer = await self.call("POST", path, body)
        if answer.status not in (200, 201, 202, 409):
            raise LocalClusterError(
                f"the API server refused POST {path} with {answer.status}: {answer.text[:300]}"
            )


async def base(api: Api) -> None:
    """The node, without which endpoints stay empty, and Istio's namespace."""
    address = {"type": "InternalIP", "address": NODE_IP}
    node = {"metadata": {"name": NODE, "labels": NODE_LABELS}}
    await asyncio.gather(
        api.create("/api/v1/nodes", node),
        api.create("/api/v1/namespaces", {"metadata": {"name": "istio-system"}}),
    )
    status = {
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_LOG_PORT}},
        "addresses": [address, {"type": "Hostname", "address": NODE}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        "capacity": {"pods": "1000", "cpu": "64", "memory": "64Gi"},
        "allocatable": {"pods": "1000", "cpu": "64", "memory": "64Gi"},
    }
    patch = {"status": status}
    await api.call("PATCH", f"/api/v1/nodes/{NODE}/status", patch, "strategic-merge-patch+json")


async def custom_resources(api: Api, definitions: str) -> None:
    """Create Istio's CustomResourceDefinitions; they are served about a second later."""
    await asyncio.gather(*(api.create(DEFINITIONS, one) for one in json.loads(definitions)))


async def _established(api: Api, path: str) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        conditions = json.loads((await api.call("GET", path)).body).get("status", {}).get("conditions") or []
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return
        if asyncio.get_running_loop().time() > deadline:
            raise LocalClusterError(f"{path} was not served within 30 s: run `down` and `up` again")
        await asyncio.sleep(0.05)


async def shared_gateway(api: Api) -> None:
    """A Gateway for everybody's hosts, so that a new test adds a VirtualService and no listener.

    Before that, wait until the resources that everybody needs are served.
    """
    for name in NEEDED:
        await _established(api, f"{DEFINITIONS}/{name}")
    server = {"port": {"number": GATEWAY_PORT, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    gateway = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "local", "namespace": "istio-system"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        path = "/apis/networking.istio.io/v1/namespaces/istio-system/gateways"
        answer = await api.call("POST", path, gateway)
        if answer.status in (200, 201, 409):
            return
        if answer.status != 404 or asyncio.get_running_loop().time() > deadline:
            raise LocalClusterError(
                f"the shared Gateway was refused with {answer.status}: {answer.text[:300]}"
            )
        await asyncio.sleep(0.05)  # a definition is established a moment before it is served
