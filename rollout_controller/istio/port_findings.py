"""Ports of which Istio takes the traffic for no http, so that http routes say nothing of it.

The protocol of a port is its `appProtocol` or else what stands before the first `-` of its name. For any
other word Istio looks into the traffic, and finds http.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import SERVICE, error, titled, warning
from rollout_controller.istio.gateway_findings import MESH, gateways_of
from rollout_controller.istio.inventory import Inventory

PORT_WITHOUT_HTTP: Final = "PortWithoutHttp"

_OTHERS: Final = frozenset({"tcp", "udp", "tls", "https", "mongo", "mysql", "redis"})


def port_findings(known: Inventory) -> Iterator[Finding]:
    """An error where callers in the mesh go by no managed http route, as no port of our Service is http; a
    warning if gateways do, which take every port for http."""
    routed = [service for service in known.virtual_services.values() if known.managed_http(service)]
    bound = {name for service in routed for name in gateways_of(service, known.routing.namespace)}
    if MESH not in bound:
        return
    tell = error if bound == {MESH} else warning
    for service in known.our_services:
        ports = (service.get("spec") or {}).get("ports") or []
        told = [_declared(index, port) for index, port in enumerate(ports)]
        if not told or None in told:
            continue
        path, word = next(one for one in told if one is not None)
        yield tell(
            PORT_WITHOUT_HTTP,
            titled(SERVICE, service),
            path,
            f'"{word}" says that {_these(len(told))} no http: Istio ignores http routes there, so their'
            " weights move nobody in the mesh",
            "Set appProtocol: http, or let the name begin with http.",
        )


def _these(ports: int) -> str:
    return "this port speaks" if ports == 1 else "this port speaks, like all others here,"


def _declared(index: int, port: Json) -> tuple[str, str] | None:
    """The field that says that a port speaks something else than http, and what it says."""
    path = f"spec.ports[{index}]"
    if port.get("protocol") == "UDP":
        return f"{path}.protocol", "UDP"
    field = "appProtocol" if port.get("appProtocol") is not None else "name"
    word = str(port.get(field) or "")
    other = word.lower().partition("-")[0] in _OTHERS or word == "kubernetes.io/wss"
    return (f"{path}.{field}", word) if other else None
