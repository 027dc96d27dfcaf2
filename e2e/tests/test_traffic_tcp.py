"""Tcp routes by port and tls routes by SNI host: plain connections through the real Envoy, counted.

Metrics of plain connections are not judged: requests over HTTP beside them are what the gate goes by here.
"""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.localcluster import LocalCluster
from e2e.localcluster.kube import Object
from e2e.tests.connections import Connections
from e2e.tests.controller import Controller
from e2e.tests.meshes import AT_REST, Layout, Mesh, Place, with_routes
from e2e.tests.support import Namespace, route, service
from e2e.tests.world import HOLD, World, failed

pytestmark = pytest.mark.real

RATE = 25.0
"""Connections per second."""
TCP, TLS = 9000, 9443
"""Ports of the Service and its pods."""


def ports_of(namespace: str) -> tuple[int, int]:
    """Ports of the gateway for plain TCP and for TLS, which no other test uses."""
    first = 18000 + int(namespace.rpartition("-")[2], 16) % 6000 * 2
    return first, first + 1


@pytest.fixture
def pair(cluster: LocalCluster, namespace: Namespace, tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for the world's host, its own authority, and the key."""
    host = f"web.{namespace.host}"
    program = str(cluster.layout.bin / "generate-cert")
    subprocess.run(
        [program, "-ca", f"-host={host}", "-ecdsa-curve=P256", "-duration=24h"], cwd=tmp_path, check=True
    )
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def gateway(place: Place, tcp: int, tls: int) -> Object:
    """A Gateway of the test's own, on the cluster's Envoy: plain TCP, and TLS passed through."""
    servers: list[Object] = [
        {"port": {"number": tcp, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]},
        {
            "port": {"number": tls, "name": "tls", "protocol": "TLS"},
            "hosts": [place.host],
            "tls": {"mode": "PASSTHROUGH"},
        },
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": place.name},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": servers},
    }


def split(place: Place, to_port: int, **match: Any) -> Object:
    """A route of connections, to this port of the Service."""
    to = {"host": place.service, "port": {"number": to_port}}
    weighted = [
        {"destination": {**to, "subset": subset}, "weight": weight} for subset, weight in AT_REST.items()
    ]
    return {"match": [match], "route": weighted}


def plain(pair: tuple[Path, Path], chosen: Callable[[int, int, str], Object]) -> Layout:
    """As usual, with a tcp and a tls route beside the http route; the Rollout has `chosen` from them."""

    def lay(place: Place) -> Mesh:
        tcp, tls = ports_of(place.namespace)
        usual = with_routes(lambda at: [route(AT_REST, host=at.service)])(place)
        (ref,) = usual.istio["virtualServices"]
        (made,) = (one for one in usual.objects if one["kind"] == "VirtualService")
        made["spec"]["gateways"].append(place.name)
        made["spec"]["tcp"] = [split(place, TCP, port=tcp)]
        made["spec"]["tls"] = [split(place, TLS, port=tls, sniHosts=[place.host])]
        listeners = [{"name": "tcp", "port": TCP}, {"name": "tls", "port": TLS}]
        rest = [one for one in usual.objects if one["kind"] != "Service"]
        certificate, key = map(str, pair)
        return Mesh(
            {**usual.istio, "virtualServices": [{**ref, **chosen(tcp, tls, place.host)}]},
            [gateway(place, tcp, tls), service(place.name, ports=listeners), *rest],
            {"TCP_PORT": str(TCP), "TLS_PORT": str(TLS), "TLS_CERTIFICATE": certificate, "TLS_KEY": key},
        )

    return lay


def share(answers: list[str], version: str) -> float:
    return answers.count(version) / len(answers)


async def test_tcp_and_tls_routes_carry_the_weights_of_the_http_route_beside_them(
    namespace: Namespace, controller: Controller, cluster: LocalCluster, pair: tuple[Path, Path]
) -> None:
    def named(tcp: int, tls: int, host: str) -> Object:
        return {
            "routes": ["primary"],
            "tcpRoutes": [{"port": tcp}],
            "tlsRoutes": [{"port": tls, "sniHosts": [host]}],
        }

    world = await World.begin(namespace, controller, mesh=plain(pair, named), steps=[HOLD, {"weight": 100}])
    tcp, tls = ports_of(namespace.name)
    trust = ssl.create_default_context(cafile=str(pair[0]))
    async with (
        world.load(RATE) as load,
        Connections(cluster, tcp, RATE) as plainly,
        Connections(cluster, tls, RATE, tls=trust, name=world.host) as secretly,
    ):
        for one in (plainly, secretly):
            assert set(await one.more(20)) == {"v1"}
        await world.release("v2")
        await world.at(25)
        for one in (plainly, secretly):
            await one.more(40)  # until Envoy knows
            # five standard deviations: wrong in one run of two million
            assert share(await one.more(200), "v2") == pytest.approx(0.25, abs=0.155)
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
        for one in (plainly, secretly):
            assert set((await one.more(40))[-20:]) == {"v2"}
    assert (plainly.failed, secretly.failed, failed(load)) == ("", "", "")


async def test_tcp_and_tls_routes_that_are_not_chosen_are_found_by_where_they_send_to_and_go_back_too(
    namespace: Namespace, controller: Controller, cluster: LocalCluster, pair: tuple[Path, Path]
) -> None:
    mesh = plain(pair, lambda tcp, tls, host: {})
    world = await World.begin(
        namespace, controller, mesh=mesh, steps=[{"weight": 50, "minDuration": "5m"}, {"weight": 100}]
    )
    tcp, tls = ports_of(namespace.name)
    trust = ssl.create_default_context(cafile=str(pair[0]))
    async with (
        world.load(RATE),
        Connections(cluster, tcp, RATE) as plainly,
        Connections(cluster, tls, RATE, tls=trust, name=world.host) as secretly,
    ):
        await world.release("v2")
        canary = (await world.at(50))["canary"]
        for one in (plainly, secretly):
            assert {"v1", "v2"} <= set(await one.more(60))
        await world.pod_post(canary, "/-/set?error_rate=0.4")
        await world.phase("Reverted")
        await world.assert_reverted(canary)
        for one in (plainly, secretly):
            assert set((await one.more(40))[-20:]) == {"v1"}
    assert (plainly.failed, secretly.failed) == ("", "")
